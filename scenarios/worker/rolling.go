package worker

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/worker"
	"bitvault.dev/rollproof/harness/run"
)

// Rolling releases the next version of the worker while messages are published: for a while both take from one consumer.
func Rolling(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "worker/rolling",
		Proves: "a rolling update of the worker loses no message, and both versions take messages at once",
		Labels: []string{"stores", "worker"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, bitvault.Worker(usual)),
		Before: 10 * time.Second,
		Acts:   []run.Act{w.RollWorker()},
		After:  10 * time.Second,
		Checks: []string{worker.SlugNoLostMessage, worker.SlugTwoVersions},
	}
}
