// Package opensearch holds the promises of OpenSearch with more than one copy of each shard.
package opensearch

import (
	"time"

	"bitvault.dev/rollproof/harness/checks/store"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
)

// Store is the kind of store that ledgers name.
const Store = "opensearch"

// The names of the checks.
const (
	SlugDrain = "opensearch.drain"
	SlugPDB   = "opensearch.pdb"
)

// Budgets are the limits of the checks of this area.
type Budgets struct {
	DrainBudgets
	store.HealthBudgets
}

// DrainBudgets are what nodes that are drained may take from writers.
type DrainBudgets struct {
	// IndexGap is the longest time without an acknowledged document, in nanoseconds. A shard whose primary copy moves takes no writes for a moment,
	// and none does while another cluster manager is elected.
	IndexGap time.Duration `json:"indexGap"`
}

// Defaults holds for scenarios that say nothing else.
func Defaults() Budgets {
	return Budgets{DefaultDrainBudgets(), store.HealthBudgets{Unseen: 10 * time.Second}}
}

// DefaultDrainBudgets are those of a planned change.
func DefaultDrainBudgets() DrainBudgets { return DrainBudgets{IndexGap: 5 * time.Second} }

// Checks are the promises of this area, in the order they are reported in.
func Checks(b Budgets, ledger store.LedgerBudgets, tolerance judge.Tolerance) []judge.Check {
	return []judge.Check{
		store.Drain{
			Loss: store.Loss{
				Slug: SlugDrain, Promise: "shards move away before a node of OpenSearch goes, and it is never red", Store: Store, Copies: true, Budgets: ledger,
			},
			Gap: b.IndexGap, Tolerance: tolerance, Health: b.HealthBudgets, DocBudgets: []any{b.DrainBudgets, b.HealthBudgets},
		}.Check(),
		store.Quorum{
			Slug: SlugPDB, Promise: "a drain takes no second node of OpenSearch before the first is back and it is green", Store: Store, Tolerance: tolerance,
			Also: green(b.HealthBudgets, tolerance),
		}.Check(),
	}
}

// green is what is asked of OpenSearch besides its readiness.
func green(b store.HealthBudgets, tolerance judge.Tolerance) *store.Also {
	return &store.Also{
		Proves: "Each eviction was accepted while every node was in the cluster and it was green, `watch` before and as it was asked for. No look found the store red. In " +
			"the end every node was back, the store green, and no node excluded from shards.",
		Fails:        "So it does when an eviction was accepted while it was not green, when it was red once, or was not whole in the end.",
		Inconclusive: "When nobody could tell how the store was at an eviction, before the first disturbance, in the end, or for longer than `unseen`.",
		Budgets:      []any{b},
		Judge: func(t *timeline.Timeline, l *timeline.Ledger, r *judge.Ruling) {
			b.GreenBeforeEviction(t, l, tolerance.Watch, r)
			b.NeverRed(t, l, r)
		},
	}
}
