// Package redis holds the promises of Redis with Sentinel.
package redis

import (
	"time"

	"bitvault.dev/rollproof/harness/checks/store"
	"bitvault.dev/rollproof/harness/judge"
)

// Store is the kind of store that ledgers name.
const Store = "redis"

// The names of the checks.
const (
	SlugFailover = "redis.failover"
	SlugPDB      = "redis.pdb"
)

// Budgets are the limits of the checks of this area.
type Budgets struct{ FailoverBudgets }

// FailoverBudgets are what a hand-over or a failover of the master may cost.
type FailoverBudgets struct {
	// RedisLost is how many acknowledged writes may be missing. Redis replicates asynchronously: a kill may lose some, which a scenario must say. A
	// planned change pauses writes before the hand-over, and loses none.
	RedisLost uint64 `json:"redisLost"`
	// RedisGap is the longest time without an acknowledged write, in nanoseconds.
	RedisGap time.Duration `json:"redisGap"`
	// RedisElectedWithin is how long after a disturbance the new master may be named, in nanoseconds.
	RedisElectedWithin time.Duration `json:"redisElectedWithin"`
}

// Defaults holds for scenarios that say nothing else.
func Defaults() Budgets { return Budgets{DefaultFailoverBudgets()} }

// DefaultFailoverBudgets are those of a planned change.
func DefaultFailoverBudgets() FailoverBudgets {
	return FailoverBudgets{RedisGap: 5 * time.Second, RedisElectedWithin: 30 * time.Second}
}

// Checks are the promises of this area, in the order they are reported in.
func Checks(b Budgets, ledger store.LedgerBudgets, tolerance judge.Tolerance) []judge.Check {
	return []judge.Check{
		store.Failover{
			Loss: store.Loss{
				Slug: SlugFailover, Promise: "Sentinel brings another master, one at any time, and what was acknowledged is kept as far as was declared", Store: Store,
				Allowed: b.RedisLost, Budgets: ledger,
			},
			Gap: b.RedisGap, Settles: b.RedisElectedWithin, DocBudgets: []any{b.FailoverBudgets},
		}.Check(),
		store.Quorum{Slug: SlugPDB, Promise: "a drain takes no second server of Redis", Store: Store, Tolerance: tolerance}.Check(),
	}
}
