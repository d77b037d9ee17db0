package redis

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/redis"
	"bitvault.dev/rollproof/harness/run"
)

// Rolling updates the servers one after another. The master pauses writes and hands over before it goes.
func Rolling(w bitvault.World) run.Scenario {
	store := bitvault.Redis()
	return run.Scenario{
		Name:   "redis/rolling",
		Proves: "a rolling update of Redis hands the master over and loses no acknowledged write",
		Labels: []string{"stores", "redis"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, store),
		Before: 10 * time.Second,
		Acts:   []run.Act{store.Roll()},
		After:  10 * time.Second,
		Checks: []string{redis.SlugFailover},
	}
}
