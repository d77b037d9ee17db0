package postgres

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// Killed kills the primary with SIGKILL from its node: nothing is handed over, and its container starts anew at once.
func Killed(w bitvault.World) run.Scenario {
	store := bitvault.Postgres()
	return run.Scenario{
		Name:    "postgres/killed",
		Proves:  "PostgreSQL whose primary is killed loses no acknowledged commit, and has another primary",
		Labels:  []string{"stores", "postgres"},
		Needs:   run.Needs{Workers: 3, Capabilities: []run.Capability{run.NodeShell}},
		Stack:   bitvault.OfStores(w, store),
		Before:  10 * time.Second,
		Acts:    []run.Act{store.KillLeader(disrupt.Killed, bitvault.Primary)},
		After:   10 * time.Second,
		Checks:  []string{postgres.SlugNoAckedLoss, postgres.SlugFailover},
		Budgets: missedPrimary,
	}
}
