package mechanics

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
)

// ReadinessLost switches readiness off in one pod that lives on under the same address, and on again.
func ReadinessLost(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "mechanics/readiness-lost",
		Proves: "a pod that begins to fail its readiness gets no more traffic, and gets it back afterwards",
		Labels: []string{"mechanics"},
		Needs:  run.Needs{Capabilities: []run.Capability{run.NodeShell}},
		Stack:  bitvault.Stack{World: w},
		Before: 15 * time.Second,
		// Longer than routers are given to follow, so that there is a time in which no answer may come from it.
		Acts:   []run.Act{w.Unready(15 * time.Second)},
		After:  20 * time.Second,
		Checks: []string{"mechanics.readiness-lost", "mechanics.readiness"},
	}
}
