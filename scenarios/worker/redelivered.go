package worker

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/worker"
	"bitvault.dev/rollproof/harness/run"
)

// Redelivered kills the server of NATS that leads the worker's consumer, again and again: for seconds no acknowledgement arrives, and what had its effect is
// delivered again. One kill alone may meet no message between its effect and its acknowledgement.
func Redelivered(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "worker/redelivered",
		Proves: "messages that are delivered again have one effect each, and none is lost",
		Labels: []string{"stores", "worker"},
		Needs:  run.Needs{Workers: 3, Capabilities: []run.Capability{run.NodeShell}},
		Stack:  bitvault.OfStores(w, bitvault.Worker(busy)),
		Before: 10 * time.Second,
		Acts:   []run.Act{bitvault.KillConsumerLeader(3)},
		After:  15 * time.Second,
		Checks: []string{worker.SlugNoLostMessage, worker.SlugIdempotent},
	}
}
