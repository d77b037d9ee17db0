package run

import (
	"context"
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/observe"
	"bitvault.dev/rollproof/harness/wait"
)

// Act is one thing that happens while load runs.
type Act interface {
	// String says for people what is done.
	String() string
	Do(ctx context.Context, s *Stage) error
}

// Stage is what acts act on.
type Stage struct {
	Cluster Cluster
	Disrupt *disrupt.Env
	Observe Observer
	Say     Say

	see func(saw string) // is told what is seen while something is waited for; may be nil
}

// Observer tells what the cluster looks like now; an observe.Observer is one.
type Observer interface {
	Await(ctx context.Context, name string, bound time.Duration, cond func(observe.State) (done bool, saw string)) error
}

// Hold lets the load go on for a time.
type Hold time.Duration

func (h Hold) String() string { return fmt.Sprintf("load goes on for %v", time.Duration(h)) }

// Do waits.
func (h Hold) Do(ctx context.Context, _ *Stage) error { return wait.Pause(ctx, time.Duration(h)) }

// Disturb performs a disturbance. It is healed when all acts are done, or when one failed.
type Disturb struct{ disrupt.Disturbance }

func (d Disturb) String() string { return d.Name() + ": " + d.Target() }

// Do returns when the disturbance has landed.
func (d Disturb) Do(ctx context.Context, s *Stage) error {
	return s.Disrupt.Perform(ctx, d.Disturbance)
}

// Await waits until the cluster looks a certain way. That it does not within Bound ends the acts early, and is no error of the
// run: what did not happen is for the judges to say.
type Await struct {
	Name    string
	Usually time.Duration // how long it takes when all goes well
	Bound   time.Duration
	Until   func(observe.State) (done bool, saw string)
}

func (a Await) String() string { return fmt.Sprintf("waiting for %s, at most %v", a.Name, a.Bound) }

// Do waits.
func (a Await) Do(ctx context.Context, s *Stage) error {
	return s.Observe.Await(ctx, a.Name, a.Bound, func(state observe.State) (bool, string) {
		done, saw := a.Until(state)
		if s.see != nil {
			s.see(saw)
		}
		return done, saw
	})
}
