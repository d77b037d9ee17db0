package timeline

import (
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Stalled is how much of a time the generator's process did not run, as it measured itself.
func (w *Window) Stalled(from, until time.Duration) time.Duration {
	if w.Health == nil {
		return 0
	}
	return stalled(w.Health.Stalls, from, until)
}

// stalled is how much of a time lies in one of the stalls.
func stalled(stalls []history.Stall, from, until time.Duration) (sum time.Duration) {
	for _, s := range stalls {
		sum += max(0, min(s.At+s.Length, until)-max(s.At, from))
	}
	return sum
}

// StalledAtMost is Stalled, or the longest stall of the window where the record does not tell when it was.
func (w *Window) StalledAtMost(from, until time.Duration) time.Duration {
	if w.Health != nil && len(w.Health.Stalls) == 0 {
		return w.Health.StallMax
	}
	return w.Stalled(from, until)
}

// Starved reports whether a hit failed by its deadline alone, and the generator's own process did not run for as long as the whole deadline
// while the hit was under way: nobody can tell when its answer came. Any other failure, like an answer with a status, is none of it.
func (a *Arm) Starved(h *history.Hit) bool {
	if late := h.Class == history.ClassOK && h.Code != 0; !late && !h.Overdue() {
		return false
	}
	w := a.Window(h.Window)
	return w != nil && w.Deadline > 0 && w.Stalled(h.At, h.End()) >= w.Deadline
}
