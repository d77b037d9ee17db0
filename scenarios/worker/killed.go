package worker

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/worker"
	"bitvault.dev/rollproof/harness/run"
)

// Killed kills workers with SIGKILL from their nodes, one after the other and often enough that some are in the middle of a message:
// of workers that acknowledge before the effect, six kills lost three messages, and might have lost none.
func Killed(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "worker/killed",
		Proves: "workers that are killed in the middle of messages lose none",
		Labels: []string{"stores", "worker"},
		Needs:  run.Needs{Workers: 3, Capabilities: []run.Capability{run.NodeShell}},
		Stack:  bitvault.OfStores(w, bitvault.Worker(busy)),
		Before: 10 * time.Second,
		Acts:   []run.Act{bitvault.KillWorkers(12)},
		After:  15 * time.Second,
		Checks: []string{worker.SlugNoLostMessage},
	}
}
