package canary

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
)

// AbortsOnLatency releases a version that is too slow.
func AbortsOnLatency(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:    "canary/aborts-on-latency",
		Proves:  "a release whose answers take 700 ms longer is stopped by itself",
		Labels:  []string{"canary"},
		Stack:   bitvault.Stack{World: w},
		Before:  10 * time.Second,
		Acts:    []run.Act{w.Bad("-latency=700ms"), w.Decided(), run.Hold(10 * time.Second)},
		After:   10 * time.Second,
		Budgets: w.Notice,
		Checks:  []string{"canary.aborts-on-latency", "canary.traffic-share"},
	}
}
