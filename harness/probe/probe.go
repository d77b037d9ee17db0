// Package probe says what a probe is: something that asks of a stack, and records what it got, all the while the acts of a scenario disturb it.
// HTTP load is one, a ledger of acknowledged writes is another.
package probe

import (
	"context"

	"bitvault.dev/rollproof/harness/history"
)

// Probe is what a scenario's stack names to be at work from before the first act until after the last one is healed.
type Probe interface {
	// Name tells it from the other probes of a scenario, in the record and for people: load.
	Name() string
	// Start returns once the probe is at work, and what it asks from then on is recorded. ctx is for the start alone: what is at work is ended
	// by Stop. A start that fails leaves nothing behind.
	Start(ctx context.Context, rec *history.Recorder) (Running, error)
}

// Running is a probe at work. Its methods are safe for concurrent use.
type Running interface {
	// Stop asks it to end. It returns at once, and may be called again.
	Stop()
	// Wait returns when it has ended and all that it saw is recorded, each time with the same error. An answer that is wrong or missing is no
	// error: it is recorded. Nor is it one to have been stopped.
	Wait() error
	// Done is closed when it has ended. One that can no longer do its work ends by itself, and Wait says why: it is a *CutOffError where that
	// is neither the fault of the product nor of the probe.
	Done() <-chan struct{}
	// Status is how far it is.
	Status() Status
}

// Status is how far a probe is, for people.
type Status struct {
	Unit   string // of what it counts, in the plural: hits
	Sent   uint64
	Failed uint64 // of Sent
	Unsent uint64 // was due and never sent
}

// CutOffError says that a probe no longer gets to what it asks, and that the record shows why. It ends the acts early, is for the judges, and
// the cluster is not given to another scenario.
type CutOffError struct{ Err error }

func (e *CutOffError) Error() string { return e.Err.Error() }

func (e *CutOffError) Unwrap() error { return e.Err }
