package canary

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/run"
)

// AbortsLate releases a version that turns bad only when the first analysis has passed it.
func AbortsLate(w bitvault.World) run.Scenario {
	// The first analysis begins some seconds after the process; half of the second's delay later it is over for certain.
	onset := w.Strategy.Analysis(0).Lasts() + w.Strategy.Analysis(1).Delay()/2 + 10*time.Second
	return run.Scenario{
		Name:   "canary/aborts-late",
		Proves: "a fault that shows only later is caught by the second, longer analysis",
		Labels: []string{"canary"},
		Stack:  bitvault.Stack{World: w},
		Before: 10 * time.Second,
		Acts:   []run.Act{w.Bad("-error-ratio=0.2", "-onset-after="+onset.String()), w.Decided(), run.Hold(10 * time.Second)},
		After:  10 * time.Second,
		Budgets: func(b *checks.Budgets) {
			w.Notice(b)
			b.Abort = max(b.Abort, onset+b.Notice) // it counts from the release on, which is not bad before the onset
		},
		Checks: []string{"canary.aborts-late", "canary.blast-radius", "canary.traffic-share"},
	}
}
