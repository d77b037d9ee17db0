package redis

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/redis"
	"bitvault.dev/rollproof/harness/run"
)

// PDB asks for the eviction of all servers at once, as drains of all their nodes do.
func PDB(w bitvault.World) run.Scenario {
	store := bitvault.Redis()
	return run.Scenario{
		Name:   "redis/pdb",
		Proves: "drains take one server of Redis at a time, and the next once it has copied its master",
		Labels: []string{"stores", "redis"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, store),
		Before: 10 * time.Second,
		Acts:   []run.Act{store.EvictEach()},
		After:  10 * time.Second,
		Checks: []string{redis.SlugPDB, redis.SlugFailover},
	}
}
