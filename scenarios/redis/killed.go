package redis

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/redis"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// Killed kills the process of the master with SIGKILL from its node: nothing is handed over, the sentinels have to miss it.
func Killed(w bitvault.World) run.Scenario {
	store := bitvault.Redis()
	return run.Scenario{
		Name:    "redis/killed",
		Proves:  "Sentinel replaces a master that is killed, and no more acknowledged writes are lost than was declared",
		Labels:  []string{"stores", "redis"},
		Needs:   run.Needs{Workers: 3, Capabilities: []run.Capability{run.NodeShell}},
		Stack:   bitvault.OfStores(w, store),
		Before:  10 * time.Second,
		Acts:    []run.Act{store.KillMaster(disrupt.Killed, bitvault.RedisMaster)},
		After:   10 * time.Second,
		Checks:  []string{redis.SlugFailover},
		Budgets: missedMaster,
	}
}

// missedMaster is the budget of a master that hands nothing over: the sentinels miss it after 3 s (down-after-milliseconds), agree and elect. What it
// acknowledged and had not sent to a replica yet is lost: replication is asynchronous. A second's writes are declared.
func missedMaster(b *checks.Budgets) { b.RedisGap, b.RedisLost = 15*time.Second, 100 }
