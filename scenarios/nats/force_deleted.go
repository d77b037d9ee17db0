package nats

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/nats"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// ForceDeleted deletes the stream's leader from the API with a grace of 0. Its process still gets a moment to step down.
func ForceDeleted(w bitvault.World) run.Scenario {
	store := bitvault.NATS(3)
	return run.Scenario{
		Name:    "nats/force-deleted",
		Proves:  "JetStream whose leader is force-deleted loses no acknowledged message, and elects another one",
		Labels:  []string{"stores", "nats"},
		Needs:   run.Needs{Workers: 3},
		Stack:   bitvault.OfStores(w, store),
		Before:  10 * time.Second,
		Acts:    []run.Act{store.KillLeader(disrupt.ForceDeleted, bitvault.StreamLeader)},
		After:   10 * time.Second,
		Checks:  []string{nats.SlugNoAckedLoss, nats.SlugReElection},
		Budgets: missedLeader,
	}
}
