package postgres

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// ForceDeleted deletes the primary from the API with a grace of 0. Its process still gets a moment.
func ForceDeleted(w bitvault.World) run.Scenario {
	store := bitvault.Postgres()
	return run.Scenario{
		Name:   "postgres/force-deleted",
		Proves: "PostgreSQL whose primary is force-deleted loses no acknowledged commit, and has another primary",
		Labels: []string{"stores", "postgres"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, store),
		Before: 10 * time.Second,
		Acts:   []run.Act{store.KillLeader(disrupt.ForceDeleted, bitvault.Primary)},
		After:  10 * time.Second,
		Checks: []string{postgres.SlugNoAckedLoss, postgres.SlugFailover},
	}
}
