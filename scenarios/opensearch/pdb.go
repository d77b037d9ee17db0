package opensearch

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks/opensearch"
	"bitvault.dev/rollproof/harness/run"
)

// PDB asks for the eviction of all nodes of OpenSearch at once, as drains of all their machines do.
func PDB(w bitvault.World) run.Scenario {
	store := bitvault.OpenSearch()
	return run.Scenario{
		Name:   "opensearch/pdb",
		Proves: "drains take one node of OpenSearch at a time, without its shards, and the next once it is back and green",
		Labels: []string{"stores", "opensearch"},
		Needs:  run.Needs{Workers: 3},
		Stack:  bitvault.OfStores(w, store),
		Before: 20 * time.Second,
		Acts:   []run.Act{store.EvictEach()},
		After:  20 * time.Second,
		Checks: []string{opensearch.SlugPDB, opensearch.SlugDrain},
	}
}
