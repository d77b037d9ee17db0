package run

import (
	"context"
	"fmt"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/observe"
	"bitvault.dev/rollproof/harness/wait"
	"bitvault.dev/rollproof/harness/words"
)

// Act is one thing that happens while load runs.
type Act interface {
	// String says for people what is done.
	String() string
	// Lasts is how long it usually takes, its healing included.
	Lasts() time.Duration
	// Disturbances are what it does to the stack: each must land, or the run proves nothing.
	Disturbances() []disrupt.Disturbance
	// Do does it. An error that is a *VainError ends the acts early, and is for the judges; any other is one of the run.
	Do(ctx context.Context, s *Stage) error
}

// VainError says that something was waited for and did not come.
type VainError struct{ Err error }

func (e *VainError) Error() string { return e.Err.Error() }

func (e *VainError) Unwrap() error { return e.Err }

// Stage is what acts act on.
type Stage struct {
	Cluster Cluster
	Disrupt *disrupt.Env
	Observe Observer
	Record  disrupt.Recorder
	Say     Say

	settle func(ctx context.Context) error // lets the stack come to rest; nil where there is none
	see    func(saw string)                // is told what is seen while something is waited for; may be nil
}

// Observer tells what the cluster looks like now; an observe.Observer is one.
type Observer interface {
	Await(ctx context.Context, name string, bound time.Duration, cond func(observe.State) (done bool, saw string)) error
}

// unobserved is the Observer of a scenario without a cluster.
type unobserved struct{}

func (unobserved) Await(_ context.Context, name string, _ time.Duration, _ func(observe.State) (bool, string)) error {
	return fmt.Errorf("wait for %s: the scenario has no cluster that could be looked at", name)
}

func (unobserved) Lost() <-chan struct{} { return nil }

func (unobserved) Stop() error { return nil }

// Hold lets the load go on for a time.
type Hold time.Duration

func (h Hold) String() string {
	return fmt.Sprintf("load goes on for %s", words.Span(time.Duration(h)))
}

// Lasts is the time itself.
func (h Hold) Lasts() time.Duration { return time.Duration(h) }

// Disturbances are none.
func (Hold) Disturbances() []disrupt.Disturbance { return nil }

// Do waits.
func (h Hold) Do(ctx context.Context, _ *Stage) error { return wait.Pause(ctx, time.Duration(h)) }

// Disturb performs a disturbance. It is healed when all acts are done, or when one failed.
type Disturb struct{ disrupt.Disturbance }

func (d Disturb) String() string { return d.Name() + ": " + d.Target() }

// disturbing is how long a disturbance and its healing usually take: a release or a kill some seconds, a drain a minute.
const disturbing = 30 * time.Second

// Lasts is about the same for each disturbance.
func (Disturb) Lasts() time.Duration { return disturbing }

// Disturbances is the one.
func (d Disturb) Disturbances() []disrupt.Disturbance { return []disrupt.Disturbance{d.Disturbance} }

// Do returns when the disturbance has landed.
func (d Disturb) Do(ctx context.Context, s *Stage) error {
	return s.Disrupt.Perform(ctx, d.Disturbance)
}

// InTurn performs disturbances one after the other. Each is healed, and the stack at rest, before the next begins: so each worker is drained.
type InTurn []disrupt.Disturbance

func (in InTurn) String() string {
	var all []string
	for i := 0; i < len(in); {
		same := i
		for same < len(in) && (Disturb{in[same]}).String() == (Disturb{in[i]}).String() {
			same++
		}
		text := Disturb{in[i]}.String()
		if same-i > 1 {
			text += ", " + words.Plural(uint64(same-i), "time")
		}
		all, i = append(all, text), same
	}
	return "one after the other: " + strings.Join(all, "; ")
}

// Lasts is the sum of what each takes.
func (in InTurn) Lasts() time.Duration { return time.Duration(len(in)) * disturbing }

// Disturbances are all of them.
func (in InTurn) Disturbances() []disrupt.Disturbance { return in }

// Do returns when the last is healed, and the stack at rest. That it does not come to rest ends the acts, and is for the judges.
func (in InTurn) Do(ctx context.Context, s *Stage) error {
	for _, d := range in {
		if err := s.Disrupt.Perform(ctx, d); err != nil {
			return err
		}
		if err := s.heal(ctx); err != nil {
			return err
		}
	}
	return nil
}

// heal undoes what was done, as far as it is not healed, and lets the stack come to rest.
func (s *Stage) heal(ctx context.Context) error {
	unhurried, cancel := outliving(ctx)
	defer cancel()
	if err := s.Disrupt.Heal(unhurried); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.settle == nil {
		return nil
	}
	if err := s.settle(ctx); err != nil {
		return &VainError{&restlessError{err}}
	}
	return nil
}

// Await waits until the cluster looks a certain way. That it does not within Bound ends the acts early, and is no error of the
// run: what did not happen is for the judges to say.
type Await struct {
	Name    string
	Usually time.Duration // how long it takes when all goes well
	Bound   time.Duration
	Until   func(observe.State) (done bool, saw string)
}

func (a Await) String() string {
	return fmt.Sprintf("waiting for %s, at most %s", a.Name, words.Span(a.Bound))
}

// Lasts is what it takes when all goes well.
func (a Await) Lasts() time.Duration { return a.Usually }

// Disturbances are none.
func (Await) Disturbances() []disrupt.Disturbance { return nil }

// Do waits. The error is a *VainError.
func (a Await) Do(ctx context.Context, s *Stage) error {
	err := s.Observe.Await(ctx, a.Name, a.Bound, func(state observe.State) (bool, string) {
		done, saw := a.Until(state)
		if s.see != nil {
			s.see(saw)
		}
		return done, saw
	})
	if err != nil {
		return &VainError{err}
	}
	return nil
}
