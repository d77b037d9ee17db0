package timeline

import (
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Injection is a version that gives bad answers on purpose for a time.
type Injection struct {
	Version     string
	From, Until time.Duration // Began, Healed or Failed; never when it was not healed
}

// InjectionsOf are the injections that began, in order.
func InjectionsOf(t *Timeline) []Injection {
	var all []Injection
	for _, d := range t.Disturbances {
		if d.Injects == "" || d.Began == Never {
			continue
		}
		until := d.Healed
		if until == Never {
			until = d.Failed
		}
		all = append(all, Injection{Version: d.Injects, From: d.Began, Until: until})
	}
	return all
}

// Excepts reports whether a failed hit is one that was injected: the version itself gave a whole answer, bad on purpose,
// between the beginning and one deadline after the end. A torn answer is a drop, whoever tore it.
func (i *Injection) Excepts(h *history.Hit, deadline time.Duration) bool {
	return h.Class == history.ClassApplication && h.Code != 0 && !h.Unsent && h.Version == i.Version &&
		h.End() >= i.From && (i.Until == Never || h.End() <= i.Until+deadline)
}
