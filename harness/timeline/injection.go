package timeline

import (
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Injection is a release that gives bad answers on purpose for a time.
type Injection struct {
	Identity
	From, Until time.Duration // Began, Healed or Failed; never when it was not healed
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
		i := Injection{Identity: Identity{Workload: d.Workload, Version: d.Injects, Hash: d.Hash}, From: d.Began, Until: until}
		t.identify(&i.Identity)
		all = append(all, i)
	}
	return all
}

// Excepts reports whether a failed hit of an arm is one that was injected: the release itself gave a whole answer, bad on purpose,
// between the beginning and one deadline after the end. A torn answer is a drop, whoever tore it.
func (t *Timeline) Excepts(i *Injection, arm *Arm, h *history.Hit, deadline time.Duration) bool {
	return h.Class == history.ClassApplication && h.Code != 0 && !h.Unsent &&
		h.End() >= i.From && (i.Until == Never || h.End() <= i.Until+deadline) && t.Gave(&i.Identity, arm, h)
}
