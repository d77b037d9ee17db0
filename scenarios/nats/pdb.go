package nats

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/nats"
	"bitvault.dev/rollproof/harness/run"
)

// PDB asks for the eviction of all servers at once, as drains of all their nodes do.
func PDB(w bitvault.World) run.Scenario {
	store := bitvault.NATS(3)
	return run.Scenario{
		Name:   "nats/pdb",
		Proves: "drains take one server of NATS at a time, and the next once it is back: no acknowledged message is lost, and publishing goes on",
		Labels: []string{"stores", "nats"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, store),
		Before: 10 * time.Second,
		Acts:   []run.Act{store.EvictEach()},
		After:  10 * time.Second,
		Checks: []string{nats.SlugPDB, nats.SlugNoAckedLoss, nats.SlugReElection},
	}
}
