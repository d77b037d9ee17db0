package mechanics

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
)

// ScaleDown takes half of the pods away under requests that take longer than preStop waits: SIGTERM finds them in flight.
func ScaleDown(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:    "mechanics/scale-down",
		Proves:  "half of the pods are taken away under load, and nothing is dropped",
		Labels:  []string{"mechanics"},
		Stack:   bitvault.Stack{World: w, Mix: longExports, Deadline: 20 * time.Second},
		Before:  15 * time.Second,
		Acts:    []run.Act{w.ScaleIn(2), run.Hold(5 * time.Second)},
		After:   15 * time.Second,
		Budgets: exportsTakeLong,
		Checks:  []string{"mechanics.scale-down", "mechanics.graceful"},
	}
}
