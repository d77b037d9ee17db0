package postgres

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/run"
)

// handovers are two more than the check asks for: one that nobody saw costs no run.
const handovers = 22

// Switchover hands the primary over again and again, each time once all instances follow the one before. A loss that comes now and then
// (cloudnative-pg#11114, #11293) is seen only by many.
func Switchover(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "postgres/switchover",
		Proves: "planned hand-overs of PostgreSQL's primary lose no acknowledged commit, in many of them",
		Labels: []string{"stores", "postgres"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, bitvault.Postgres()),
		Before: 10 * time.Second,
		Acts:   []run.Act{bitvault.SwitchOver(handovers)},
		After:  10 * time.Second,
		Checks: []string{postgres.SlugSwitchover, postgres.SlugFailover},
	}
}
