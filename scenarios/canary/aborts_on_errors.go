package canary

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
)

// AbortsOnErrors releases a version that answers 500 to every fifth request.
func AbortsOnErrors(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:    "canary/aborts-on-errors",
		Proves:  "a release that fails one request in five is stopped by itself, and hurts no more than its share",
		Labels:  []string{"smoke", "canary"},
		Stack:   bitvault.Stack{World: w},
		Before:  10 * time.Second,
		Acts:    []run.Act{w.Bad("-error-ratio=0.2"), w.Decided(), run.Hold(10 * time.Second)},
		After:   10 * time.Second,
		Budgets: w.Notice,
		Checks:  []string{"canary.aborts-on-errors", "canary.blast-radius", "canary.traffic-share"},
	}
}
