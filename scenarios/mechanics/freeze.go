package mechanics

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/run"
)

// frozen is how long the process of one pod stands still.
const frozen = 3 * time.Second

// Freeze stops one pod of four for some seconds. Its connections stay, and it answers nobody. A request that the router had sent to it waits until
// it goes on; all others are answered as before.
func Freeze(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:    "mechanics/freeze",
		Proves:  "a pod that stands still for 3 s costs no request, and nobody waits longer than it stood still",
		Labels:  []string{"mechanics"},
		Needs:   run.Needs{Capabilities: []run.Capability{run.NodeShell}},
		Stack:   bitvault.Stack{World: w},
		Before:  15 * time.Second,
		Acts:    []run.Act{w.Freeze(frozen)},
		After:   15 * time.Second,
		Budgets: whileFrozen,
		Checks:  []string{"load.responsive"},
	}
}

// whileFrozen is what is promised of a freeze: an answer may take as long as the pod stood still, and as the pod then needs for those who queued
// there. That all others are answered meanwhile is promised as ever.
func whileFrozen(b *checks.Budgets) { b.P99 = frozen + time.Second }
