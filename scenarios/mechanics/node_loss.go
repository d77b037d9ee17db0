package mechanics

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/run"
)

// NodeLoss stops a worker that holds half of the pods, keeps it away for a while after it was missed, and starts it again. Until it is missed every
// second request is sent to a pod that is not there any more.
func NodeLoss(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:    "mechanics/node-loss",
		Proves:  "a lost node costs requests only until it is missed: what is left carries the load, and all comes back",
		Labels:  []string{"mechanics"},
		Needs:   run.Needs{Workers: 2, Capabilities: []run.Capability{run.NodePower}},
		Stack:   bitvault.Stack{World: w},
		Before:  15 * time.Second,
		Acts:    []run.Act{w.StopNode(), run.Hold(untilMissed)},
		After:   20 * time.Second,
		Budgets: whileMissing,
		Checks:  []string{"mechanics.node-loss"},
	}
}

// untilMissed is how long the node stays away once the control plane misses it: more than what is left of the time in which hits may be lost.
const untilMissed = 60 * time.Second

// whileMissing is what is promised of the loss of a node: hits may be lost until it is missed, and no longer. Others are answered meanwhile, if later:
// whoever was sent to the lost node first has waited for as long as the router tried.
func whileMissing(b *checks.Budgets) {
	b.Unplanned = b.Missed
	b.Unanswered, b.P99 = 5*time.Second, 5*time.Second
}
