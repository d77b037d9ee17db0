package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/cmd/rollproof/supervise"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/progress"
)

// watch runs the command in a child process and returns its exit code. When the child crashes or is killed, watch says so in one line and returns
// 3.
func watch(root *cobra.Command) int {
	display := progress.New(os.Stderr, "")
	defer display.Close()
	display.Redact(load.ReadCommandLine(os.Args[1:]).Redact)
	code, end, err := supervise.Run()
	switch {
	case err != nil:
		fmt.Fprintf(display, "rollproof: %v\n", err)
	case end != nil:
		fmt.Fprintf(display, "rollproof: %s\n", disorder(end, clusterOf(root)))
	default:
		return code
	}
	return exitCouldNotRun
}

// makesCluster is the annotation of a command that makes a cluster where there is none, or uses the one of its flag --name.
const makesCluster = "makes a cluster"

// clusterOf is the name of the cluster that the command line is about, empty where it is about none.
func clusterOf(root *cobra.Command) string {
	cmd, args, err := root.Find(os.Args[1:])
	if err != nil || cmd.Annotations[makesCluster] == "" || cmd.ParseFlags(args) != nil {
		return ""
	}
	if existing := cmd.Flag("kubeconfig"); existing != nil && existing.Changed { // it is not ours to remove
		return ""
	}
	return cmd.Flag("name").Value.String()
}

// disorder says in one line how a command ended, and what it leaves behind.
func disorder(end *supervise.End, cluster string) string {
	parts := []string{end.Why}
	if len(end.Stack) > 0 {
		parts = append(parts, keepStack(end.Stack))
	}
	if end.Recording != "" {
		parts = append(parts, leftBehind(end.Recording)...)
	}
	if cluster != "" {
		parts = append(parts, "the cluster is left as it is: `rollproof cluster down --name "+cluster+"` removes it")
	}
	return strings.Join(parts, "; ")
}

// keepStack writes a stack to a file of its own, and says where.
func keepStack(stack []byte) string {
	f, err := os.CreateTemp("", "rollproof-crash-*.txt")
	if err == nil {
		_, err = f.Write(stack)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Sprintf("the stack could not be written to a file: %v", err)
	}
	return "the stack is in " + f.Name()
}

// leftBehind says, by the record of a run that broke off, what is left to heal. A damaged record must not crash the report of a crash.
func leftBehind(dir string) (said []string) {
	defer func() {
		if recover() != nil {
			said = append(said, "the record in "+dir+" cannot be read")
		}
	}()
	left, err := unhealed(dir)
	switch {
	case len(left) > 0:
		said = append(said, "left to heal: "+strings.Join(left, ", "))
	case err == nil:
		said = append(said, "nothing is left to heal")
	}
	if err != nil {
		said = append(said, fmt.Sprintf("more may be left to heal: %v", err))
	}
	return append(said, "the record is in "+dir)
}

// unhealed lists the disturbances that began and were not healed, by a record, the latest first. Where the record is damaged it lists those before
// the damage, and returns the error.
func unhealed(dir string) ([]string, error) {
	h, err := history.Open(dir)
	if err != nil {
		return nil, err
	}
	var began []*history.Disturbance
	var damage error
	for e, err := range h.Events() {
		switch {
		case err != nil:
			damage = err // it is the last
		case e.Kind != history.KindDisturbance:
		case e.Disturbance.Phase == history.Began:
			began = append(began, e.Disturbance)
		case e.Disturbance.Phase == history.Healed:
			began = slices.DeleteFunc(began, func(d *history.Disturbance) bool { return d.ID == e.Disturbance.ID })
		}
	}
	var left []string
	for _, d := range slices.Backward(began) {
		left = append(left, d.Name+" of "+d.Target)
	}
	return left, damage
}
