package postgres

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// ForceDeleted deletes the primary from the API with a grace of 0. Its process still gets a moment.
func ForceDeleted(w bitvault.World) run.Scenario {
	store := bitvault.Postgres()
	return run.Scenario{
		Name:    "postgres/force-deleted",
		Proves:  "PostgreSQL whose primary is force-deleted loses no acknowledged commit, and has another primary",
		Labels:  []string{"stores", "postgres"},
		Needs:   run.Needs{Workers: 3},
		Stack:   bitvault.OfStores(w, store),
		Before:  10 * time.Second,
		Acts:    []run.Act{store.KillLeader(disrupt.ForceDeleted, bitvault.Primary)},
		After:   10 * time.Second,
		Checks:  []string{postgres.SlugNoAckedLoss, postgres.SlugFailover},
		Budgets: missedPrimary,
	}
}

// missedPrimary is the budget of a primary that goes without a word: its lease runs out after 15 s, and on a busy machine the promotion, and the
// operator that leads clients to the new one, take as long again. 21 s were seen on an idle machine, 30 s on one with ten times the work that it had
// processors for.
func missedPrimary(b *checks.Budgets) { b.CommitGap = 45 * time.Second }
