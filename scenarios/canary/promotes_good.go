package canary

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
)

// PromotesGood releases a good version and expects it to reach everyone.
func PromotesGood(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:    "canary/promotes-good",
		Proves:  "a good release goes 10 %, analysis, 30 %, longer analysis, 100 %, and nobody notices",
		Labels:  []string{"smoke", "canary"},
		Stack:   bitvault.Stack{World: w},
		Before:  10 * time.Second,
		Acts:    []run.Act{w.Good(), w.Decided()},
		After:   10 * time.Second,
		Budgets: w.Shares,
		Checks:  []string{"canary.promotes-good", "canary.steps", "canary.traffic-share", "mechanics.readiness"},
	}
}
