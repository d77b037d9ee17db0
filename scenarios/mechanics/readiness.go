package mechanics

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// Readiness deletes pods one after another: new ones start, old ones end, and neither may be asked meanwhile.
func Readiness(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "mechanics/readiness",
		Proves: "a pod gets traffic only while it is ready",
		Labels: []string{"mechanics"},
		Stack:  bitvault.Stack{World: w},
		Before: 10 * time.Second,
		Acts: []run.Act{
			w.Kill(disrupt.Deleted), run.Hold(5 * time.Second),
			w.Kill(disrupt.Deleted), run.Hold(5 * time.Second),
		},
		After:  10 * time.Second,
		Checks: []string{"mechanics.readiness"},
	}
}
