package opensearch

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/opensearch"
	"bitvault.dev/rollproof/harness/run"
)

// Rolling updates the nodes one after another: each is excluded, and ends once it has no shard.
func Rolling(w bitvault.World) run.Scenario {
	store := bitvault.OpenSearch()
	return run.Scenario{
		Name:   "opensearch/rolling",
		Proves: "a rolling update of OpenSearch moves the shards of each node away before it goes, and loses no acknowledged document",
		Labels: []string{"stores", "opensearch"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, store),
		Before: 20 * time.Second,
		Acts:   []run.Act{store.Roll()},
		After:  20 * time.Second,
		Checks: []string{opensearch.SlugDrain},
	}
}
