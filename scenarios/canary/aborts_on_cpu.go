package canary

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
)

// AbortsOnCPU releases a version that burns CPU with every request.
func AbortsOnCPU(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:    "canary/aborts-on-cpu",
		Proves:  "a release that burns more CPU than it may is stopped by itself",
		Labels:  []string{"canary"},
		Needs:   run.Needs{Capabilities: []run.Capability{run.Metrics}},
		Stack:   bitvault.Stack{World: w},
		Before:  10 * time.Second,
		Acts:    []run.Act{w.Bad("-cpu-burn=15ms"), w.Decided(), run.Hold(10 * time.Second)},
		After:   10 * time.Second,
		Budgets: w.Notice,
		Checks:  []string{"canary.aborts-on-cpu", "canary.traffic-share"},
	}
}
