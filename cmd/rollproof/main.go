// Command rollproof proves that a stack's rollouts drop nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// Exit codes of every command. Scripts and CI jobs depend on them.
const (
	exitPass         = 0
	exitBroken       = 1
	exitInconclusive = 2
	exitCouldNotRun  = 3
)

// exitError carries an exit code out of a command that has already said everything the user needs.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	klog.SetLogger(logr.Discard()) // client-go prints what it returns as errors too; what matters is in ours
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, newRootCommand())
	stop()
	os.Exit(code)
}

// execute runs the command and turns its outcome into an exit code. An error is printed once, as one line.
func execute(ctx context.Context, root *cobra.Command) int {
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitPass
	}
	code, err := verdictOf(err)
	if err == nil {
		return int(code)
	}
	// What an interrupt broke off says what it was, and seldom why: "signal: killed", for a program that was started.
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	fmt.Fprintf(root.ErrOrStderr(), "rollproof: %v\n", err)
	return exitCouldNotRun
}

// verdictOf parts an error into the exit code that it carries and what went wrong besides: that is still to be said, and nil where
// nothing did.
func verdictOf(err error) (code exitError, other error) {
	if !errors.As(err, &code) {
		return 0, err
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return code, nil
	}
	var others []error
	for _, e := range joined.Unwrap() {
		_, other := verdictOf(e)
		others = append(others, other)
	}
	return code, errors.Join(others...)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "rollproof",
		Short: "Prove that rollouts drop nothing",
		Long: `rollproof replays traffic against a real stack while it rolls out, drains and breaks it on purpose,
and says for each promise of the rollout strategy whether it held.

Exit codes: 0 every promise held, 1 a promise was broken, 2 inconclusive (the run proves nothing), 3 could not run.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(commands()...)
	refuseUnknownVerbs(root)
	return root
}

// refuseUnknownVerbs makes `rollproof cluster upp` an error: cobra answers a mistyped verb of a group with its help and success.
func refuseUnknownVerbs(root *cobra.Command) {
	for _, group := range root.Commands() {
		if group.HasSubCommands() && !group.Runnable() {
			group.Args = cobra.NoArgs
			group.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// commands lists what the command line offers, in the order help shows it.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newRunCommand(),
		newListCommand(),
		newTeethCommand(),
		newDemoCommand(),
		newAttackCommand(),
		newJudgeCommand(),
		newReportCommand(),
		newTrafficCommand(),
		newClusterCommand(),
		newStackCommand(),
		newImagesCommand(),
		newDockerCommand(),
		newVersionCommand(),
		newBitvaultdCommand(),
	}
}
