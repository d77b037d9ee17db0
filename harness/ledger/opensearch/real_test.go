//go:build opensearch

package opensearch_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/ledger/ledgertest"
	"bitvault.dev/rollproof/harness/ledger/opensearch"
	"bitvault.dev/rollproof/harness/wait"
)

// realCluster are the addresses of the nodes of a real OpenSearch of three nodes that has nothing to lose, separated by commas. Its settings are changed.
const realCluster = "OPENSEARCH_NODES"

func nodes(t *testing.T) []string {
	t.Helper()
	text := os.Getenv(realCluster)
	if text == "" {
		t.Fatalf("set %s to the addresses of a real OpenSearch of three nodes, separated by commas", realCluster)
	}
	return strings.Split(text, ",")
}

func realPlan(addresses []string) ledger.Plan {
	return ledger.Plan{Ledger: opensearch.Name, Store: opensearch.Name, Rate: 50, Deadline: time.Minute, Target: ledger.Target{Addresses: addresses, Replicas: 2}}
}

// exclude keeps shards off a node by name; an empty name keeps them off none.
func exclude(t *testing.T, address, name string) {
	t.Helper()
	value := "null"
	if name != "" {
		value = `"` + name + `"`
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPut, address+"/_cluster/settings",
		strings.NewReader(`{"persistent":{"cluster.routing.allocation.exclude._name":`+value+`}}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("exclude %q: answered %d", name, answer.StatusCode)
	}
}

// While a ledger is written a node is drained and taken back. Every copy has all that was acknowledged, and looks told of it.
func TestARealNodeIsDrained(t *testing.T) {
	addresses := nodes(t)
	t.Cleanup(func() { exclude(t, addresses[0], "") })
	w, err := ledgertest.Begin(t.Context(), t.TempDir(), opensearch.Open, realPlan(addresses), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	look, err := opensearch.Open(t.Context(), realPlan(addresses), "opensearch-look-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = look.Close(context.Background()) }) // it has written nothing
	if err := w.Await(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	first := look.View(t.Context())
	if first.Health != history.Green || len(first.Members) != 2 || first.Shards[first.Leader] == 0 || len(first.Excluded) != 0 {
		t.Fatalf("a look saw %+v", first)
	}
	exclude(t, addresses[0], first.Leader)
	awaitView(t, look, "its shards to be elsewhere", func(v history.View) bool {
		return v.Shards[first.Leader] == 0 && v.Health == history.Green && len(v.Excluded) == 1
	})
	exclude(t, addresses[0], "")
	awaitView(t, look, "no exclusion", func(v history.View) bool { return len(v.Excluded) == 0 && v.Health == history.Green })
	if err := w.Await(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	lines, err := w.End()
	if err != nil {
		t.Fatal(err)
	}
	sum := ledgertest.Sum(lines)
	if len(sum.Acked) < 200 || len(sum.Lacks()) != 2 {
		t.Errorf("%d acknowledged, lacks %v", len(sum.Acked), sum.Lacks())
	}
	for member, n := range sum.Lacks() {
		if n != 0 {
			t.Errorf("%s lacks %d of %d", member, n, len(sum.Acked))
		}
	}
}

func awaitView(t *testing.T, store ledger.Store, what string, done func(history.View) bool) {
	t.Helper()
	err := wait.Until(t.Context(), what, time.Minute, 100*time.Millisecond, func(ctx context.Context) (bool, string, error) {
		v := store.View(ctx)
		return done(v), strings.Join(v.Excluded, ",") + " " + string(v.Health) + v.Error, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A write that is repeated is acknowledged as one that is there, and is there once.
func TestARealRepeatedWrite(t *testing.T) {
	store, err := opensearch.Open(t.Context(), realPlan(nodes(t)), "opensearch-twice-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for n := range 2500 { // more than one page of each shard
		op := ledger.Op{Number: uint64(n), Key: "opensearch-twice-" + string(rune('a'+n%26)) + time.Duration(n).String()}
		for again := range 1 + n%100/99 {
			ack, err := store.Write(t.Context(), op)
			if err != nil || ack.Duplicate != (again > 0) {
				t.Fatalf("%v: %+v, %v", op, ack, err)
			}
		}
		if n == 0 {
			if ack, err := store.Write(t.Context(), op); err != nil || !ack.Duplicate {
				t.Fatalf("the repeat: %+v, %v", ack, err)
			}
		}
	}
	members, err := store.Members(t.Context())
	if err != nil || len(members) != 2 {
		t.Fatal(members, err)
	}
	for _, member := range members {
		read := map[string]int{}
		if err := store.Read(t.Context(), member, func(e ledger.Entry) { read[e.Key]++ }); err != nil {
			t.Fatal(err)
		}
		if len(read) != 2500 {
			t.Errorf("%s has %d documents", member, len(read))
		}
	}
}
