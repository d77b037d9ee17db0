package postgres

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/run"
)

// Rolling gives all instances another image, and the old one back: the standbys go first, and the primary hands over before it goes.
func Rolling(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "postgres/rolling",
		Proves: "an update of PostgreSQL replaces the standbys first and the primary last, and loses no acknowledged commit",
		Labels: []string{"stores", "postgres"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, bitvault.Postgres()),
		Before: 10 * time.Second,
		Acts:   []run.Act{w.RollPostgres()},
		After:  10 * time.Second,
		Checks: []string{postgres.SlugRolling, postgres.SlugNoAckedLoss},
	}
}
