// Package nats holds the promises of NATS JetStream with three replicas.
package nats

import (
	"time"

	"bitvault.dev/rollproof/harness/checks/store"
	"bitvault.dev/rollproof/harness/judge"
)

// Store is the kind of store that ledgers name.
const Store = "nats"

// The names of the checks.
const (
	SlugNoAckedLoss = "nats.no-acked-loss"
	SlugReElection  = "nats.re-election"
	SlugPDB         = "nats.pdb"
)

// Budgets are the limits of the checks of this area.
type Budgets struct{ ElectionBudgets }

// ElectionBudgets are how long an election of the stream's leader may take.
type ElectionBudgets struct {
	// PublishGap is the longest time without an acknowledged publication, in nanoseconds. A server that is stopped steps down first; one that is
	// killed is missed after 4 s to 9 s only, which a scenario must say.
	PublishGap time.Duration `json:"publishGap"`
	// ElectedWithin is how long after a disturbance the new leader may be named, in nanoseconds.
	ElectedWithin time.Duration `json:"electedWithin"`
}

// Defaults holds for scenarios that say nothing else.
func Defaults() Budgets { return Budgets{DefaultElectionBudgets()} }

// DefaultElectionBudgets are those of a planned change.
func DefaultElectionBudgets() ElectionBudgets {
	return ElectionBudgets{PublishGap: 2 * time.Second, ElectedWithin: 15 * time.Second}
}

// Checks are the promises of this area, in the order they are reported in.
func Checks(b Budgets, ledger store.LedgerBudgets, tolerance judge.Tolerance) []judge.Check {
	return []judge.Check{
		store.Loss{
			Slug: SlugNoAckedLoss, Promise: "JetStream with three replicas keeps every message that it acknowledged", Store: Store, Position: "stream sequence",
			Budgets: ledger,
		}.Check(),
		store.Election{
			Slug: SlugReElection, Promise: "the stream elects a new leader when a member goes, and publishing goes on", Store: Store,
			Gap: b.PublishGap, Settles: b.ElectedWithin, Budgets: ledger, DocBudgets: []any{b.ElectionBudgets},
		}.Check(),
		store.Quorum{Slug: SlugPDB, Promise: "a drain takes no second server: two of three are a quorum", Store: Store, Tolerance: tolerance}.Check(),
	}
}
