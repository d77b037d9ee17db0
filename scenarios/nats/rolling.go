package nats

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/nats"
	"bitvault.dev/rollproof/harness/run"
)

// Rolling updates the servers one after another: each hands its leaderships over before it goes.
func Rolling(w bitvault.World) run.Scenario {
	store := bitvault.NATS(3)
	return run.Scenario{
		Name:   "nats/rolling",
		Proves: "a rolling update of JetStream loses no acknowledged message, and publishing goes on",
		Labels: []string{"stores", "nats"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, store),
		Before: 10 * time.Second,
		Acts:   []run.Act{store.Roll()},
		After:  10 * time.Second,
		Checks: []string{nats.SlugNoAckedLoss, nats.SlugReElection},
	}
}
