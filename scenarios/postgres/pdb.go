package postgres

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/run"
)

// PDB asks for the eviction of all instances at once, as drains of all their nodes do. The primary is one of them: others are refused right after
// a promotion too.
func PDB(w bitvault.World) run.Scenario {
	store := bitvault.Postgres()
	return run.Scenario{
		Name:   "postgres/pdb",
		Proves: "drains take one instance of PostgreSQL at a time, and the next once it is back: no acknowledged commit is lost",
		Labels: []string{"stores", "postgres"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, store),
		Before: 10 * time.Second,
		Acts:   []run.Act{store.EvictEach()},
		After:  10 * time.Second,
		Checks: []string{postgres.SlugPDB, postgres.SlugNoAckedLoss, postgres.SlugFailover},
	}
}
