// Package postgres holds the promises of PostgreSQL with quorum commit, as CloudNativePG runs it.
package postgres

import (
	"time"

	"bitvault.dev/rollproof/harness/checks/store"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// Store is the kind of store that ledgers name.
const Store = "postgres"

// The names of the checks.
const (
	SlugNoAckedLoss = "postgres.no-acked-loss"
	SlugSwitchover  = "postgres.switchover"
	SlugRolling     = "postgres.rolling"
	SlugFailover    = "postgres.failover"
	SlugPDB         = "postgres.pdb"
)

// Budgets are the limits of the checks of this area.
type Budgets struct {
	FailoverBudgets
	SwitchoverBudgets
	RollingBudgets
}

// FailoverBudgets are what a new primary may take.
type FailoverBudgets struct {
	// CommitGap is the longest time without an acknowledged commit, in nanoseconds. A primary whose lease nobody gave back is missed after 15 s.
	CommitGap time.Duration `json:"commitGap"`
	// PromotedWithin is how long after a disturbance the new primary may take writes, in nanoseconds.
	PromotedWithin time.Duration `json:"promotedWithin"`
}

// SwitchoverBudgets are what hand-overs are judged by.
type SwitchoverBudgets struct {
	// FewestHandovers is how many hand-overs a run must have: fewer say little of a loss that comes now and then.
	FewestHandovers uint64 `json:"fewestHandovers"`
}

// RollingBudgets are what a rolling update may take from writers.
type RollingBudgets struct {
	// UpdateGap is the longest time without an acknowledged commit while the primary is handed over, in nanoseconds.
	UpdateGap time.Duration `json:"updateGap"`
}

// Defaults holds for scenarios that say nothing else.
func Defaults() Budgets {
	return Budgets{DefaultFailoverBudgets(), DefaultSwitchoverBudgets(), DefaultRollingBudgets()}
}

// DefaultFailoverBudgets are those of a primary that is gone without a word.
func DefaultFailoverBudgets() FailoverBudgets {
	return FailoverBudgets{CommitGap: 30 * time.Second, PromotedWithin: time.Minute}
}

// DefaultSwitchoverBudgets asks for twenty.
func DefaultSwitchoverBudgets() SwitchoverBudgets { return SwitchoverBudgets{FewestHandovers: 20} }

// DefaultRollingBudgets allow for the old primary to stop, 5 s of it for clients to leave by themselves, for the new one to be promoted and for the
// operator to lead clients to it, which takes it seconds more on a busy machine: 14 s and 18 s were seen on one.
func DefaultRollingBudgets() RollingBudgets { return RollingBudgets{UpdateGap: 30 * time.Second} }

// Checks are the promises of this area, in the order they are reported in.
func Checks(b Budgets, ledger store.LedgerBudgets, tolerance judge.Tolerance) []judge.Check {
	return []judge.Check{
		store.Loss{Slug: SlugNoAckedLoss, Promise: "no commit that PostgreSQL acknowledged is lost", Store: Store, Budgets: ledger}.Check(),
		store.Handovers{
			Loss:   store.Loss{Slug: SlugSwitchover, Promise: "planned hand-overs lose no acknowledged commit", Store: Store, Budgets: ledger},
			Fewest: b.FewestHandovers, Settles: b.PromotedWithin, DocBudgets: []any{b.SwitchoverBudgets},
		}.Check(),
		store.Rolling{
			Loss: store.Loss{Slug: SlugRolling, Promise: "an update replaces the standbys first, and the primary last, once it has handed over", Store: Store, Budgets: ledger},
			Gap:  b.UpdateGap, Tolerance: tolerance, Leads: primary, Rests: []string{resource.PostgresClusters.Name}, DocBudgets: []any{b.RollingBudgets},
		}.Check(),
		store.Election{
			Slug: SlugFailover, Promise: "a dead primary is replaced without hands", Store: Store, Gap: b.CommitGap, Settles: b.PromotedWithin, Budgets: ledger,
			DocBudgets: []any{b.FailoverBudgets},
		}.Check(),
		store.Quorum{Slug: SlugPDB, Promise: "a drain takes no second instance of PostgreSQL", Store: Store, Tolerance: tolerance}.Check(),
	}
}

// primary is the instance that the operator says is the primary of a Cluster. While it hands over that is still the old one.
func primary(t *timeline.Timeline, w history.Workload, at time.Duration) string {
	for _, cluster := range timeline.TracksOf(t, resource.PostgresClusters) {
		if o := cluster.At(at); o != nil && cluster.Namespace == w.Namespace && cluster.Name == w.Name {
			return o.CurrentPrimary
		}
	}
	return ""
}
