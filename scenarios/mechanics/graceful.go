package mechanics

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/fixtures/traffic"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// Graceful deletes pods under requests that take longer than preStop waits: SIGTERM finds them in flight.
func Graceful(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "mechanics/graceful",
		Proves: "requests in flight when a pod is told to end are answered whole",
		Labels: []string{"mechanics"},
		Stack:  bitvault.Stack{World: w, Mix: longExports, Deadline: 20 * time.Second},
		Before: 15 * time.Second,
		Acts: []run.Act{
			w.Kill(disrupt.Deleted), run.Hold(5 * time.Second),
			w.Kill(disrupt.Deleted), run.Hold(5 * time.Second),
		},
		After:   15 * time.Second,
		Budgets: exportsTakeLong,
		Checks:  []string{"mechanics.graceful"},
	}
}

// longExports keeps about a hundred requests in flight. Each lasts longer than preStop: at a pod's SIGTERM, when the router has sent it
// nothing new for some seconds, a dozen are still there.
func longExports(m *traffic.Mix) { m.Long, m.LongTime = .06, 9*time.Second }

// exportsTakeLong says that an export is slow by itself, and not for what was done to the pods.
func exportsTakeLong(b *checks.Budgets) { b.Long = []string{"GET /v1/export"} }
