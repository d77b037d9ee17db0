package timeline

import (
	"net/http"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Injection is a release that gives bad answers on purpose for a time.
type Injection struct {
	Identity
	From, Until time.Duration // Began, Healed or Failed; never when it was not healed
	Fault       history.Fault // none in a record that does not tell: errors of a server, and slowness
}

// Injections are the injections that began, in order.
func (t *Timeline) Injections() []Injection {
	var all []Injection
	for _, d := range t.Disturbances {
		if d.Injects == "" || d.Began == Never {
			continue
		}
		until := d.Healed
		if until == Never {
			until = d.Failed
		}
		i := Injection{Identity: Identity{Workload: d.Workload, Version: d.Injects, Hash: d.Hash}, From: d.Began, Until: until, Fault: d.Fault}
		t.identify(&i.Identity)
		all = append(all, i)
	}
	return all
}

// causes reports whether an answer has the status that was injected, and nothing else is wrong with it.
func (i *Injection) causes(h *history.Hit) bool {
	if h.Class != history.ClassApplication || h.Unsent || h.Reason != history.ReasonStatus(h.Code) {
		return false
	}
	if i.Fault.IsZero() {
		return h.Code >= http.StatusInternalServerError
	}
	return h.Code != 0 && h.Code == i.Fault.Status
}

// slows reports whether its answers are slow on purpose.
func (i *Injection) slows() bool { return i.Fault.Slow || i.Fault.IsZero() }

// Excuses tell for the hits of one arm what was injected, by the release that gave the answer and by the kind of fault.
type Excuses struct {
	t          *Timeline
	arm        *Arm
	injections []Injection

	window   int // that deadline is of
	deadline time.Duration
}

// ExcusesOf are the excuses for the hits of an arm.
func (t *Timeline) ExcusesOf(arm *Arm) *Excuses {
	e := &Excuses{t: t, arm: arm, injections: t.Injections()}
	e.deadline = arm.Deadline(e.window)
	return e
}

// Failure is the injection that a failed hit comes of; nil when it comes of none. The release itself gave a whole answer with the status that was
// injected, in time unless it is slow on purpose too, between the beginning and one deadline after the end. A torn answer is a drop,
// whoever tore it.
func (e *Excuses) Failure(h *history.Hit) *Injection {
	return e.find(h, func(i *Injection, deadline time.Duration) bool {
		return i.causes(h) && (h.Latency <= deadline || i.Fault.Slow)
	})
}

// Slowness is the injection that a good answer is slow of; nil when it is of none.
func (e *Excuses) Slowness(h *history.Hit) *Injection {
	return e.find(h, func(i *Injection, _ time.Duration) bool { return i.slows() })
}

func (e *Excuses) find(h *history.Hit, is func(*Injection, time.Duration) bool) *Injection {
	if h.Window != e.window {
		e.window, e.deadline = h.Window, e.arm.Deadline(h.Window)
	}
	for k := range e.injections {
		i := &e.injections[k]
		meanwhile := h.End() >= i.From && h.End()-i.Until <= e.grace() // which it is always where nobody healed it
		if meanwhile && is(i, e.deadline) && e.t.Gave(&i.Identity, e.arm, h) {
			return i
		}
	}
	return nil
}

// grace is how long after the end of an injection one of its answers may still come.
func (e *Excuses) grace() time.Duration {
	if e.deadline == Never {
		return 0
	}
	return e.deadline
}
