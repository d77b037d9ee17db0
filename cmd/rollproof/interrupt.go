package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/cmd/rollproof/supervise"
	"bitvault.dev/rollproof/harness/progress"
)

// onInterrupt is the annotation of a command that says what it waits for once it is interrupted, and how long at most.
const onInterrupt = "on interrupt"

// waitsFor says what the command of this command line waits for once it is interrupted. It is called before the command begins, because cobra
// changes its commands while they run.
func waitsFor(root *cobra.Command) string {
	if cmd, _, err := root.Find(os.Args[1:]); err == nil && cmd.Annotations[onInterrupt] != "" {
		return cmd.Annotations[onInterrupt]
	}
	return "ending in order"
}

// obey ends the command in order at the first signal, and at once at the second.
func obey(child *supervise.Child, signals <-chan os.Signal, display *progress.Display, waitsFor string, interrupt context.CancelCauseFunc) {
	first := <-signals
	said := make(chan struct{})
	go func() {
		defer close(said)
		display.Say("%s: %s; a second signal ends it at once and leaves everything as it is", first, waitsFor)
	}()
	select {
	case <-said:
	case <-time.After(time.Second): // a terminal that was stopped by Ctrl-S takes no line
	}
	interrupt(interruptError{first})
	<-signals
	child.Abandon(exitCouldNotRun)
}

// interruptError is what a signal ends a command with.
type interruptError struct{ signal os.Signal }

func (e interruptError) Error() string { return e.signal.String() + " signal received" }

// Is makes an interrupt one of the ways to be cancelled.
func (e interruptError) Is(target error) bool { return target == context.Canceled }
