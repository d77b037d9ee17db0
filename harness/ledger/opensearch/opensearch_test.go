package opensearch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
)

// answer is what a server says to one request.
type answer struct {
	status int
	body   string
	cut    bool // the connection is closed before the end of the body
	hang   bool // it never answers
}

// fake is an OpenSearch of three nodes that misbehaves as it is told. What says is asked first, with the method and the path; where it knows nothing the
// fake answers as a sound one does.
type fake struct {
	*httptest.Server
	mu    sync.Mutex
	docs  map[string]bool
	says  func(method, path string, n int) *answer // n counts the requests of this method and path from 0
	seen  map[string]int
	state func(*clusterState) // changes what is said of the cluster
}

const index = "rollproof-opensearch-w"

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{docs: map[string]bool{}, seen: map[string]int{}, says: func(string, string, int) *answer { return nil }, state: func(*clusterState) {}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	what := r.Method + " " + r.URL.Path + " " + r.URL.Query().Get("op_type")
	n := f.seen[what]
	f.seen[what]++
	a := f.says(r.Method, strings.TrimSpace(r.URL.Path+" "+r.URL.Query().Get("op_type")), n)
	if a == nil {
		a = f.sound(r)
	}
	f.mu.Unlock()
	if a.hang {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client has gone away
		<-r.Context().Done()
		return
	}
	if a.cut {
		w.Header().Set("Content-Length", fmt.Sprint(len(a.body)+100))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body)) // who has gone away needs no answer
}

func said(status int, v any) *answer {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return &answer{status: status, body: string(data)}
}

func (f *fake) sound(r *http.Request) *answer {
	switch path := r.URL.Path; {
	case path == "/":
		return said(200, map[string]any{"version": map[string]string{"number": "2.19.6"}})
	case path == "/_cluster/settings":
		return &answer{status: 200, body: `{"persistent":{},"transient":{}}`}
	case path == "/_cluster/health":
		return &answer{status: 200, body: `{"status":"green","timed_out":false}`}
	case strings.HasPrefix(path, "/_cluster/state/"):
		return said(200, f.cluster())
	case path == "/"+index && r.Method == http.MethodPut:
		return &answer{status: 200, body: `{"acknowledged":true,"shards_acknowledged":true,"index":"` + index + `"}`}
	case path == "/"+index && r.Method == http.MethodDelete:
		return &answer{status: 200, body: `{"acknowledged":true}`}
	case path == "/"+index+"/_refresh":
		return &answer{status: 200, body: `{"_shards":{"total":6,"successful":6,"failed":0}}`}
	case path == "/"+index+"/_search":
		return f.search(r)
	}
	key := strings.TrimPrefix(r.URL.Path, "/"+index+"/_doc/")
	switch had := f.docs[key]; {
	case had && r.URL.Query().Get("op_type") == "create":
		return &answer{status: 409, body: `{"error":{"type":"version_conflict_engine_exception"},"status":409}`}
	case had:
		return written(200, key, "updated", 0)
	}
	f.docs[key] = true
	return written(201, key, "created", 0)
}

func written(status int, key, result string, failed int) *answer {
	return said(status, map[string]any{"_index": index, "_id": key, "_version": 1, "result": result, "_shards": map[string]int{"total": 2, "successful": 2 - failed, "failed": failed}})
}

// cluster has shard n as primary on node n, and its replica on the next one.
func (f *fake) cluster() map[string]any {
	var s clusterState
	text := `{"cluster_manager_node":"id0","nodes":{"id0":{"name":"m-0"},"id1":{"name":"m-1"},"id2":{"name":"m-2"}},"routing_table":{"indices":{"` + index + `":{"shards":{`
	for n := range 3 {
		text += fmt.Sprintf(`"%d":[{"state":"STARTED","primary":true,"node":"id%d","allocation_id":{"id":"p%d"}},{"state":"STARTED","primary":false,"node":"id%d","allocation_id":{"id":"r%d"}}],`, n, n, n, (n+1)%3, n)
	}
	text = strings.TrimSuffix(text, ",") + `}}}}}`
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	f.state(&s)
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		panic(err)
	}
	return out
}

// shardOf is the shard that has a key: any will do, as long as it is always the same.
func shardOf(key string) int { return int(key[len(key)-1]) % 3 }

func (f *fake) search(r *http.Request) *answer {
	var shard, node int
	if _, err := fmt.Sscanf(r.URL.Query().Get("preference"), "_shards:%d|_only_nodes:id%d", &shard, &node); err != nil || node != shard && node != (shard+1)%3 {
		return &answer{status: 400, body: "no such copy"}
	}
	var ask struct {
		Size  int      `json:"size"`
		After []string `json:"search_after"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		return &answer{status: 400, body: err.Error()}
	}
	var keys []string
	for key := range f.docs {
		if shardOf(key) == shard {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	total := len(keys)
	keys = slices.DeleteFunc(keys, func(key string) bool { return len(ask.After) > 0 && key <= ask.After[0] })
	return found(total, 0, false, keys[:min(len(keys), ask.Size)]...)
}

func found(total, failed int, timedOut bool, keys ...string) *answer {
	hits := []any{}
	for _, key := range keys {
		hits = append(hits, map[string]any{"_index": index, "_id": key, "_source": map[string]string{"key": key}})
	}
	return said(200, map[string]any{"timed_out": timedOut, "_shards": map[string]int{"total": 1, "successful": 1 - failed, "failed": failed},
		"hits": map[string]any{"total": map[string]any{"value": total, "relation": "eq"}, "hits": hits}})
}

func (f *fake) open(t *testing.T) *store {
	t.Helper()
	s, err := Open(t.Context(), ledger.Plan{Ledger: "opensearch", Target: ledger.Target{Addresses: []string{f.URL}, Replicas: 2}}, "opensearch-w-")
	if err != nil {
		t.Fatal(err)
	}
	return s.(*store)
}

func TestWrite(t *testing.T) {
	const key = "opensearch-w-7"
	type want struct {
		acked, duplicate, notWritten bool
	}
	create := func(as ...*answer) func(method, path string, n int) *answer {
		return func(method, path string, n int) *answer {
			if method == http.MethodPut && strings.HasSuffix(path, " create") {
				return as[min(n, len(as)-1)]
			}
			return nil
		}
	}
	again := func(a *answer) func(method, path string, n int) *answer {
		return func(_, path string, _ int) *answer {
			switch {
			case strings.HasSuffix(path, " create"):
				return &answer{status: 409, body: `{}`}
			case strings.HasSuffix(path, " index"):
				return a
			}
			return nil
		}
	}
	cases := []struct {
		name string
		says func(method, path string, n int) *answer
		want want
	}{
		{"created", nil, want{acked: true}},
		{"created, and a copy failed", create(written(201, key, "created", 1)), want{}},
		{"created, without a word of copies", create(said(201, map[string]string{"_index": index, "_id": key, "result": "created"})), want{}},
		{"created on no copy", create(&answer{status: 201, body: `{"_index":"` + index + `","_id":"` + key + `","result":"created","_shards":{"total":2,"successful":0,"failed":0}}`}), want{}},
		{"created on more copies than there are", create(&answer{status: 201, body: `{"_index":"` + index + `","_id":"` + key + `","result":"created","_shards":{"total":2,"successful":3,"failed":0}}`}), want{}},
		{"200 for a create", create(written(200, key, "created", 0)), want{}},
		{"200 and updated for a create", create(written(200, key, "updated", 0)), want{}},
		{"201, and updated", create(written(201, key, "updated", 0)), want{}},
		{"201, and nothing done", create(written(201, key, "noop", 0)), want{}},
		{"202", create(written(202, key, "created", 0)), want{}},
		{"another document", create(written(201, "opensearch-w-70", "created", 0)), want{}},
		{"an empty answer", create(&answer{status: 201}), want{}},
		{"half an answer", create(&answer{status: 201, body: written(201, key, "created", 0).body[:60], cut: true}), want{}},
		{"a whole answer that is said to be longer", create(&answer{status: 201, body: written(201, key, "created", 0).body, cut: true}), want{}},
		{"half of the JSON, as if it were all", create(&answer{status: 201, body: written(201, key, "created", 0).body[:60]}), want{}},
		{"no answer", create(&answer{hang: true}), want{}},
		{"too much to do", create(&answer{status: 429, body: `{}`}), want{}},
		{"an error within", create(&answer{status: 500, body: `{}`}), want{}},
		{"nobody manages the cluster", create(&answer{status: 503, body: `{}`}), want{}},
		{"a redirect", create(&answer{status: 307, body: `{}`}), want{}},
		{"it is wrong", create(&answer{status: 400, body: `{}`}), want{notWritten: true}},
		{"it is blocked", create(&answer{status: 403, body: `{}`}), want{notWritten: true}},
		{"the index is gone", create(&answer{status: 404, body: `{}`}), want{notWritten: true}},

		{"it is there already, on every copy", again(written(200, key, "updated", 0)), want{acked: true, duplicate: true}},
		{"it was there, and is there anew", again(written(201, key, "created", 0)), want{acked: true, duplicate: true}},
		{"it is there already, and a copy failed", again(written(200, key, "updated", 1)), want{}},
		{"it is there already, and nobody says on how many copies", again(&answer{status: 503, body: `{}`}), want{}},
		{"it is there already, and may not be written again", again(&answer{status: 403, body: `{}`}), want{}},
		{"it is there already, and is there already", again(&answer{status: 409, body: `{}`}), want{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			s := f.open(t)
			if c.says != nil {
				f.says = c.says
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			if c.want.acked {
				ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
			}
			defer cancel()
			ack, err := s.Write(ctx, ledger.Op{Number: 7, Key: key})
			not := (*ledger.NotWrittenError)(nil)
			if (err == nil) != c.want.acked || err == nil && ack.Duplicate != c.want.duplicate || err != nil && errors.As(err, &not) != c.want.notWritten {
				t.Errorf("%+v, %v; want %+v", ack, err, c.want)
			}
		})
	}
}

// Nothing was written where there was no connection.
func TestNobodyListens(t *testing.T) {
	f := newFake(t)
	s := f.open(t)
	f.Close()
	s.client = newClient([]string{f.URL}) // an open connection may end after the write was sent
	_, err := s.Write(t.Context(), ledger.Op{Key: "opensearch-w-0"})
	if not := (*ledger.NotWrittenError)(nil); !errors.As(err, &not) {
		t.Errorf("%v", err)
	}
}

func TestRead(t *testing.T) {
	searches := func(change func(n int) *answer) func(*fake) {
		return func(f *fake) {
			f.says = func(_, path string, n int) *answer {
				if strings.HasSuffix(path, "/_search") {
					return change(n)
				}
				return nil
			}
		}
	}
	once := func(a *answer) func(*fake) {
		return searches(func(n int) *answer {
			if n == 0 {
				return a
			}
			return nil
		})
	}
	refresh := func(a string) func(*fake) {
		return func(f *fake) {
			f.says = func(_, path string, _ int) *answer {
				if strings.HasSuffix(path, "/_refresh") {
					return &answer{status: 200, body: a}
				}
				return nil
			}
		}
	}
	cases := []struct {
		name  string
		spoil func(*fake)
		tells string // empty: it is read to its end
	}{
		{"all", func(*fake) {}, ""},
		{"a shard failed", once(found(3, 1, false, "a")), "was answered 200 from a part"},
		{"it timed out", once(found(0, 0, true)), "from a part: timed out true"},
		{"nobody says whether it timed out", once(&answer{status: 200, body: `{"_shards":{"total":1,"successful":1,"failed":0},"hits":{"total":{"value":0,"relation":"eq"},"hits":[]}}`}), "from a part: timed out true"},
		{"no shard took part", once(&answer{status: 200, body: `{"timed_out":false,"_shards":{"total":0,"successful":0,"failed":0},"hits":{"total":{"value":0,"relation":"eq"},"hits":[]}}`}), "from a part"},
		{"at least so many", once(&answer{status: 200, body: `{"timed_out":false,"_shards":{"total":1,"successful":1,"failed":0},"hits":{"total":{"value":0,"relation":"gte"},"hits":[]}}`}), `total "gte"`},
		{"fewer than it says", once(found(3, 0, false, "opensearch-w-0")), "and said 3 before"},
		{"none of those that it says", searches(func(int) *answer { return found(3, 0, false) }), "0 documents were read, and it says that it has 3"},
		{"more than it says", once(found(1, 0, false, "a", "b")), "2 documents were read, and it says that it has 1"},
		{"the same page again", searches(func(int) *answer { return found(4, 0, false, "a", "b") }), "is out of turn"},
		{"the content of another", once(&answer{status: 200, body: `{"timed_out":false,"_shards":{"total":1,"successful":1,"failed":0},"hits":{"total":{"value":1,"relation":"eq"},"hits":[{"_index":"` + index + `","_id":"a","_source":{"key":"b"}}]}}`}), `"a" has the content of "b"`},
		{"half an answer", once(&answer{status: 200, body: found(0, 0, false).body[:20], cut: true}), "read the answer"},
		{"an error", once(&answer{status: 500}), "answered 500"},
		{"a copy did not refresh", refresh(`{"_shards":{"total":6,"successful":5,"failed":1}}`), "refreshed 5 of 6 took part, 1 failed"},
		{"a copy is on no node", refresh(`{"_shards":{"total":6,"successful":5,"failed":0}}`), "refreshed 5 of 6"},
		{"fewer copies than there are to be", refresh(`{"_shards":{"total":3,"successful":3,"failed":0}}`), "refreshed 3 of 3"},
		{"nobody says what refreshed", refresh(`{}`), "nothing is told"},
		{"a copy moves", func(f *fake) {
			f.state = func(s *clusterState) { s.Table.Indices[index].Shards["1"][0].State = "RELOCATING" }
		}, "a copy of shard 1 is RELOCATING"},
		{"a copy is missing", func(f *fake) {
			f.state = func(s *clusterState) { s.Table.Indices[index].Shards["1"] = s.Table.Indices[index].Shards["1"][:1] }
		}, "shard 1 has 1 of 2 copies"},
		{"a shard is missing", func(f *fake) { f.state = func(s *clusterState) { delete(s.Table.Indices[index].Shards, "2") } }, "2 of 3 shards are known"},
		{"two primary copies", func(f *fake) {
			f.state = func(s *clusterState) { s.Table.Indices[index].Shards["0"][1].Primary = true }
		}, "a copy of shard 0"},
		{"no cluster manager", func(f *fake) { f.state = func(s *clusterState) { s.Manager = "" } }, "nobody manages"},
		{"copies change places meanwhile", func(f *fake) {
			looks := 0
			f.state = func(s *clusterState) {
				if looks++; looks > 1 {
					s.Table.Indices[index].Shards["0"][0].Allocation.ID = "another"
				}
			}
		}, "copies moved while they were read"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			s := f.open(t)
			for n := range 3500 {
				f.docs[fmt.Sprint("opensearch-w-", n)] = true
			}
			c.spoil(f)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if c.tells != "" {
				ctx, cancel = context.WithTimeout(t.Context(), 4*time.Second)
			}
			defer cancel()
			var got []string
			err := s.Read(ctx, "replica-1", func(e ledger.Entry) { got = append(got, e.Key) })
			if c.tells != "" {
				if err == nil || !strings.Contains(err.Error(), c.tells) {
					t.Errorf("%v, want %q", err, c.tells)
				}
				if len(got) != 0 {
					t.Errorf("%d were told of", len(got))
				}
				return
			}
			if err != nil || len(got) != 3500 || got[0] != "opensearch-w-0" || got[3499] != "opensearch-w-3499" {
				t.Errorf("%d read, %v", len(got), err)
			}
		})
	}
}

func TestMembersAreCopies(t *testing.T) {
	s := newFake(t).open(t)
	members, err := s.Members(t.Context())
	if err != nil || !slices.Equal(members, []string{"primary", "replica-1"}) {
		t.Errorf("%v, %v", members, err)
	}
	if err := s.Read(t.Context(), "m-0", func(ledger.Entry) {}); err == nil || !strings.Contains(err.Error(), "no such copy") {
		t.Errorf("%v", err)
	}
}

func TestView(t *testing.T) {
	whole := history.View{Leader: "m-0", Members: []string{"m-1", "m-2"}, Health: history.Green, Shards: map[string]int{"m-0": 2, "m-1": 2, "m-2": 2}}
	none := history.View{Error: "no node answers for the cluster"}
	at := func(path string, a answer) func(*fake) {
		return func(f *fake) {
			f.says = func(_, p string, _ int) *answer {
				if strings.HasPrefix(p, path) {
					return &a
				}
				return nil
			}
		}
	}
	cases := []struct {
		name  string
		spoil func(*fake)
		want  func(v *history.View)
	}{
		{"whole", func(*fake) {}, func(*history.View) {}},
		{"the cluster says yellow", at("/_cluster/health", answer{status: 200, body: `{"status":"yellow"}`}), func(v *history.View) { v.Health = history.Yellow }},
		{"the cluster says red", at("/_cluster/health", answer{status: 200, body: `{"status":"red"}`}), func(v *history.View) { v.Health = history.Red }},
		{"it says green, and a primary copy is on no node", func(f *fake) {
			f.state = func(s *clusterState) { c := &s.Table.Indices[index].Shards["0"][0]; c.State, c.Node = "UNASSIGNED", "" }
		}, func(v *history.View) { v.Health, v.Shards = history.Red, map[string]int{"m-0": 1, "m-1": 2, "m-2": 2} }},
		{"it says green, and a replica is still being made", func(f *fake) {
			f.state = func(s *clusterState) { s.Table.Indices[index].Shards["0"][1].State = "INITIALIZING" }
		}, func(v *history.View) { v.Health = history.Yellow }},
		{"a shard moves", func(f *fake) {
			f.state = func(s *clusterState) { s.Table.Indices[index].Shards["0"][1].State = "RELOCATING" }
		}, func(*history.View) {}},
		{"a node is away", func(f *fake) {
			f.state = func(s *clusterState) {
				delete(s.Nodes, "id2")
				for _, copies := range s.Table.Indices[index].Shards {
					for i := range copies {
						if copies[i].Node == "id2" {
							copies[i].Node = "id0"
						}
					}
				}
			}
		}, func(v *history.View) { v.Members, v.Shards = []string{"m-1"}, map[string]int{"m-0": 4, "m-1": 2} }},
		{"nodes are excluded", at("/_cluster/settings", answer{status: 200, body: `{"persistent":{"cluster.routing.allocation.exclude._name":"m-2,m-1"},"transient":{"cluster.routing.allocation.exclude._ip":"10.0.0.1"}}`}),
			func(v *history.View) { v.Excluded = []string{"10.0.0.1", "m-1", "m-2"} }},
		{"an exclusion that was undone", at("/_cluster/settings", answer{status: 200, body: `{"persistent":{"cluster.routing.allocation.exclude._name":""},"transient":{}}`}), func(*history.View) {}},
		{"a health that there is not", at("/_cluster/health", answer{status: 200, body: `{"status":"blue"}`}), func(v *history.View) { *v = none }},
		{"no health", at("/_cluster/health", answer{status: 200, body: `{}`}), func(v *history.View) { *v = none }},
		{"a health that waited in vain", at("/_cluster/health", answer{status: 200, body: `{"status":"green","timed_out":true}`}), func(v *history.View) { *v = none }},
		{"no cluster manager", func(f *fake) { f.state = func(s *clusterState) { s.Manager = "" } }, func(v *history.View) { *v = none }},
		{"two nodes of one name", func(f *fake) {
			f.state = func(s *clusterState) { n := s.Nodes["id1"]; n.Name = "m-2"; s.Nodes["id1"] = n }
		}, func(v *history.View) { *v = none }},
		{"no settings", at("/_cluster/settings", answer{status: 503}), func(v *history.View) { *v = none }},
		{"half a state", at("/_cluster/state", answer{status: 200, body: `{"cluster_manager_node":"id0"`, cut: true}), func(v *history.View) { *v = none }},
		{"nobody answers", at("/_cluster", answer{hang: true}), func(v *history.View) { *v = none }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			s := f.open(t)
			c.spoil(f)
			want := whole
			c.want(&want)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if want.Error != "" {
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			}
			defer cancel()
			if got := s.View(ctx); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// A look goes on to another node where the first one does not answer.
func TestALookPassesANodeThatHangs(t *testing.T) {
	dead, alive := newFake(t), newFake(t)
	s := alive.open(t)
	dead.says = func(string, string, int) *answer { return &answer{hang: true} }
	s.client.bases = []string{dead.URL, alive.URL}
	if v := s.View(t.Context()); v.Error != "" || v.Leader != "m-0" {
		t.Errorf("%+v", v)
	}
}

func TestOpenAndClose(t *testing.T) {
	for name, says := range map[string]func(method, path string, n int) *answer{
		"it is no OpenSearch":   func(_, path string, _ int) *answer { return map[string]*answer{"/": {status: 200, body: `{}`}}[path] },
		"the index is not made": func(_, path string, _ int) *answer { return map[string]*answer{"/" + index: {status: 400}}[path] },
		"it is not acknowledged": func(_, path string, _ int) *answer {
			return map[string]*answer{"/" + index: {status: 200, body: `{"acknowledged":false,"index":"` + index + `"}`}}[path]
		},
		"another index was made": func(_, path string, _ int) *answer {
			return map[string]*answer{"/" + index: {status: 200, body: `{"acknowledged":true,"index":"x"}`}}[path]
		},
		"its copies are not to come": func(_, path string, _ int) *answer {
			return map[string]*answer{"/_cluster/state/cluster_manager_node,nodes,routing_table": {status: 503}}[path]
		},
	} {
		f := newFake(t)
		f.says = says
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := Open(ctx, ledger.Plan{Ledger: "opensearch", Target: ledger.Target{Addresses: []string{f.URL}, Replicas: 2}}, "opensearch-w-")
		cancel()
		if err == nil || !strings.Contains(err.Error(), "make index "+index+" with 2 copies of each shard on OpenSearch at "+f.URL) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newFake(t)
	s := f.open(t)
	if err := s.Close(t.Context()); err != nil || f.seen["DELETE /"+index+" "] != 1 {
		t.Errorf("%v, %v", err, f.seen)
	}
	f.says = func(method, _ string, _ int) *answer {
		return map[string]*answer{http.MethodDelete: {status: 404}}[method]
	}
	if err := f.open(t).Close(t.Context()); err != nil {
		t.Errorf("an index that is gone: %v", err)
	}
	f.says = func(method, _ string, _ int) *answer {
		return map[string]*answer{http.MethodDelete: {status: 503}}[method]
	}
	if err := f.open(t).Close(t.Context()); err == nil || !strings.Contains(err.Error(), "remove index "+index) {
		t.Errorf("an index that stays: %v", err)
	}
}
