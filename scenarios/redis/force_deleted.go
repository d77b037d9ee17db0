package redis

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/redis"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// ForceDeleted deletes the master from the API with a grace of 0: its preStop hook has no time to hand over.
func ForceDeleted(w bitvault.World) run.Scenario {
	store := bitvault.Redis()
	return run.Scenario{
		Name:    "redis/force-deleted",
		Proves:  "Sentinel replaces a master that is force-deleted, and no more acknowledged writes are lost than was declared",
		Labels:  []string{"stores", "redis"},
		Needs:   run.Needs{Workers: 3, Capabilities: []run.Capability{run.NodeShell}}, // by it the master is found
		Stack:   bitvault.OfStores(w, store),
		Before:  10 * time.Second,
		Acts:    []run.Act{store.KillMaster(disrupt.ForceDeleted, bitvault.RedisMaster)},
		After:   10 * time.Second,
		Checks:  []string{redis.SlugFailover},
		Budgets: missedMaster,
	}
}
