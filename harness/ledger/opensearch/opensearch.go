// Package opensearch keeps ledgers of documents in an index of OpenSearch that has more than one copy of each shard.
//
// A member of such a ledger is one whole copy of the index: the primary copies of all its shards, or their replicas. The nodes that the copies are on
// change while a node is drained; what a look at the cluster names are nodes.
package opensearch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/wait"
)

const (
	// Name is the kind of store.
	Name = "opensearch"

	shardsOf       = 3 // of the ledger's index: with as many nodes each has some, and a drain has something to move
	openWithin     = 20 * time.Second
	upToDateWithin = 15 * time.Second // copies on a node that was restarted last
	lookEvery      = 200 * time.Millisecond
	lookWithin     = 450 * time.Millisecond // of one node in one look: another one is asked where it does not answer
	together       = 1000                   // documents that are read at once
	mostPages      = 1000                   // of one shard: a ledger that does not end is none
	primary        = "primary"              // the member that is the primary copies
)

// Open makes an index of its own for the ledger, with as many copies of each shard as the plan asks for.
func Open(ctx context.Context, plan ledger.Plan, keys string) (ledger.Store, error) {
	s := &store{
		index: "rollproof-" + strings.TrimSuffix(keys, "-"), keys: keys, copies: plan.Target.Replicas, try: cmp.Or(plan.Try, 2*time.Second),
		client: newClient(plan.Target.Addresses),
	}
	err := s.make(ctx)
	if err != nil {
		s.client.close()
		return nil, fmt.Errorf("make index %s with %d copies of each shard on OpenSearch at %s: %w", s.index, s.copies, strings.Join(plan.Target.Addresses, ", "), err)
	}
	return s, nil
}

type store struct {
	client      *client
	index, keys string
	copies      int
	try         time.Duration
	version     string
}

// make makes the index, and waits until all its copies are there.
func (s *store) make(ctx context.Context) error {
	var root struct {
		Version struct {
			Number string `json:"number"`
		} `json:"version"`
	}
	if err := s.client.get(ctx, "/", &root); err != nil {
		return err
	}
	if s.version = root.Version.Number; s.version == "" {
		return errors.New("it does not say that it is OpenSearch")
	}
	var made struct {
		Acknowledged bool   `json:"acknowledged"`
		Index        string `json:"index"`
	}
	status, err := s.client.call(ctx, http.MethodPut, "/"+s.index, map[string]any{
		"settings": map[string]any{
			"number_of_shards": shardsOf, "number_of_replicas": s.copies - 1,
			// A copy that went with its node is missed for this long, so that no look takes a copy that was made anew for one that had moved.
			"index.unassigned.node_left.delayed_timeout": "1m",
		},
		"mappings": map[string]any{"dynamic": "strict", "properties": map[string]any{"key": map[string]string{"type": "keyword"}}},
	}, &made)
	if err != nil {
		return err
	}
	if status != http.StatusOK || !made.Acknowledged || made.Index != s.index {
		return fmt.Errorf("it was answered %d, acknowledged %v, for index %q", status, made.Acknowledged, made.Index)
	}
	return wait.Until(ctx, "all copies of index "+s.index, openWithin, lookEvery, func(ctx context.Context) (bool, string, error) {
		_, saw, err := s.settled(ctx)
		return saw == "", saw, err
	})
}

// Versions names the store as the first node said; the client is this package.
func (s *store) Versions() map[string]string { return map[string]string{"opensearch": s.version} }

// document is what is kept of a write: its id and its content are its key.
type document struct {
	Key string `json:"key"`
}

// Write creates a document under the key. One that is there already comes of an earlier try whose answer was lost: that the primary copy has it does not
// say that the others do, so it is written once more, with the same content, and that answer counts.
func (s *store) Write(ctx context.Context, op ledger.Op) (ledger.Ack, error) {
	err := s.put(ctx, op.Key, "create", http.StatusCreated)
	if conflict := (*refusedError)(nil); !errors.As(err, &conflict) || conflict.status != http.StatusConflict {
		return ledger.Ack{}, err
	}
	err = s.put(ctx, op.Key, "index", http.StatusOK, http.StatusCreated)
	if certain := (*ledger.NotWrittenError)(nil); errors.As(err, &certain) {
		err = certain.Err // this try wrote nothing: an earlier one did
	}
	return ledger.Ack{Duplicate: true}, err
}

// put writes a document. It is acknowledged where no copy failed, by one of the statuses that it may have, and by what belongs to that.
func (s *store) put(ctx context.Context, key, kind string, may ...int) error {
	var said struct {
		Index  string  `json:"_index"`
		ID     string  `json:"_id"`
		Result string  `json:"result"`
		Shards *shards `json:"_shards"`
	}
	query := url.Values{"op_type": {kind}, "timeout": {strconv.FormatInt(s.try.Milliseconds(), 10) + "ms"}}
	status, err := s.client.call(ctx, http.MethodPut, s.path("_doc/"+url.PathEscape(key), query), document{key}, &said)
	if err != nil {
		return err
	}
	want := map[int]string{http.StatusCreated: "created", http.StatusOK: "updated"}[status]
	switch {
	case !slices.Contains(may, status) || said.Result != want:
		return fmt.Errorf("it was answered %d with the result %q", status, said.Result)
	case said.Index != s.index || said.ID != key:
		return fmt.Errorf("the answer is for document %q of index %q", said.ID, said.Index)
	case said.Shards == nil || said.Shards.Failed != 0 || said.Shards.Successful < 1 || said.Shards.Successful > said.Shards.Total:
		return fmt.Errorf("of its copies, %s", said.Shards)
	}
	return nil
}

func (s *store) path(what string, query url.Values) string {
	return "/" + s.index + "/" + what + "?" + query.Encode()
}

// View is who manages the cluster, which other nodes are in it, how many shards each has, which are excluded, and how it is. A node that does not answer
// leaves the question to another.
func (s *store) View(ctx context.Context) history.View {
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, lookWithin)
		view, err := s.look(asked)
		cancel()
		if err == nil {
			return view
		}
		s.client.close() // the next connection may be to another node behind the same address
		if wait.Pause(ctx, lookEvery/10) != nil {
			break
		}
	}
	return history.View{Error: "no node answers for the cluster"} // errors differ from time to time, and say no more than that
}

// look asks one node for all of it. Health comes last: it is never older than the nodes and shards beside it.
func (s *store) look(ctx context.Context) (history.View, error) {
	var said settings
	if err := s.client.get(ctx, "/_cluster/settings?flat_settings=true", &said); err != nil {
		return history.View{}, err
	}
	state, err := s.state(ctx)
	if err != nil {
		return history.View{}, err
	}
	var health struct {
		Status   history.StoreHealth `json:"status"`
		TimedOut bool                `json:"timed_out"`
	}
	if err := s.client.get(ctx, "/_cluster/health", &health); err != nil {
		return history.View{}, err
	}
	if health.TimedOut || severity[health.Status] == 0 {
		return history.View{}, fmt.Errorf("its health is %q, timed out %v", health.Status, health.TimedOut)
	}
	view, err := state.view()
	if err != nil {
		return history.View{}, err
	}
	view.Health, view.Excluded = worse(view.Health, health.Status), said.excluded()
	return view, nil
}

func (s *store) state(ctx context.Context) (clusterState, error) {
	var state clusterState
	err := s.client.get(ctx, "/_cluster/state/cluster_manager_node,nodes,routing_table", &state)
	return state, err
}

// settled is the copies of the index, once each is on a node to stay; saw is what is still to come, empty where nothing is.
func (s *store) settled(ctx context.Context) (all [][]placed, saw string, err error) {
	state, err := s.state(ctx)
	if err != nil {
		return nil, "", err
	}
	all, saw = state.copies(s.index, s.copies)
	return all, saw, nil
}

// Members are the copies of the index: the primary one, and each replica.
func (s *store) Members(context.Context) ([]string, error) {
	all := []string{primary}
	for n := 1; n < s.copies; n++ {
		all = append(all, fmt.Sprint("replica-", n))
	}
	return all, nil
}

// Read reads every document of one copy of the index, shard by shard from the node that has that copy of it.
func (s *store) Read(ctx context.Context, member string, found func(ledger.Entry)) error {
	names, _ := s.Members(ctx) // it asks nobody
	n := slices.Index(names, member)
	if n < 0 {
		return fmt.Errorf("the index has no such copy, but %s", strings.Join(names, ", "))
	}
	before, err := s.refreshed(ctx)
	if err != nil {
		return err
	}
	var keys []string
	for shard, copies := range before {
		of, err := s.readShard(ctx, shard, copies[n].node)
		if err != nil {
			return fmt.Errorf("shard %d on node %s: %w", shard, copies[n].name, err)
		}
		keys = append(keys, of...)
	}
	after, saw, err := s.settled(ctx)
	if err != nil {
		return err
	}
	if saw != "" || !slices.EqualFunc(before, after, slices.Equal[[]placed]) {
		return fmt.Errorf("copies moved while they were read: %s", cmp.Or(saw, "they are elsewhere now"))
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }) // as they were intended
	for _, key := range keys {
		found(ledger.Entry{Key: key})
	}
	return nil
}

// refreshed has every copy show all that it has, and returns where the copies are.
func (s *store) refreshed(ctx context.Context) (copies [][]placed, err error) {
	err = wait.Until(ctx, "all copies of index "+s.index, upToDateWithin, lookEvery, func(ctx context.Context) (bool, string, error) {
		var saw string
		var err error
		if copies, saw, err = s.settled(ctx); err != nil || saw != "" {
			return false, saw, err
		}
		var said struct {
			Shards *shards `json:"_shards"`
		}
		status, err := s.client.call(ctx, http.MethodPost, s.path("_refresh", nil), nil, &said)
		if err != nil {
			return false, "", err
		}
		done := status == http.StatusOK && said.Shards.all(shardsOf*s.copies)
		return done, fmt.Sprintf("refreshed %s", said.Shards), nil
	})
	return copies, err
}

// readShard reads the keys of a shard from one node, and from no other.
func (s *store) readShard(ctx context.Context, shard int, node string) ([]string, error) {
	query := url.Values{"preference": {fmt.Sprintf("_shards:%d|_only_nodes:%s", shard, node)}, "allow_partial_search_results": {"false"}}
	ask := map[string]any{"size": together, "sort": []map[string]string{{"key": "asc"}}, "track_total_hits": true, "query": map[string]any{"match_all": map[string]any{}}}
	var keys []string
	var first uint64
	for n := range mostPages {
		page, total, err := s.page(ctx, query, ask)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			first = total
		} else if total != first {
			return nil, fmt.Errorf("it says that it has %d documents, and said %d before", total, first)
		}
		keys = append(keys, page...)
		switch {
		case uint64(len(keys)) == total:
			return keys, nil
		case len(page) == 0 || uint64(len(keys)) > total:
			return nil, fmt.Errorf("%d documents were read, and it says that it has %d", len(keys), total)
		}
		ask["search_after"] = []string{page[len(page)-1]}
	}
	return nil, fmt.Errorf("it has more than %d documents", mostPages*together)
}

// page is one answer to a search of one shard, and how many documents that has.
func (s *store) page(ctx context.Context, query url.Values, ask map[string]any) (keys []string, total uint64, err error) {
	var said struct {
		TimedOut *bool   `json:"timed_out"`
		Shards   *shards `json:"_shards"`
		Hits     struct {
			Total struct {
				Value    uint64 `json:"value"`
				Relation string `json:"relation"`
			} `json:"total"`
			Hits []struct {
				Index  string   `json:"_index"`
				ID     string   `json:"_id"`
				Source document `json:"_source"`
			} `json:"hits"`
		} `json:"hits"`
	}
	status, err := s.client.call(ctx, http.MethodPost, s.path("_search", query), ask, &said)
	if err != nil {
		return nil, 0, err
	}
	if status != http.StatusOK || said.TimedOut == nil || *said.TimedOut || !said.Shards.all(1) || said.Hits.Total.Relation != "eq" {
		return nil, 0, fmt.Errorf("it was answered %d from a part: timed out %v, shards %s, total %q", status, said.TimedOut == nil || *said.TimedOut, said.Shards, said.Hits.Total.Relation)
	}
	last, _ := ask["search_after"].([]string)
	for _, hit := range said.Hits.Hits {
		key := hit.Source.Key
		if hit.Index != s.index || len(last) > 0 && key <= last[0] {
			return nil, 0, fmt.Errorf("document %q of index %q is out of turn", hit.ID, hit.Index)
		}
		last = []string{key}
		if hit.ID != key {
			return nil, 0, fmt.Errorf("document %q has the content of %q", hit.ID, key)
		}
		keys = append(keys, key)
	}
	return keys, said.Hits.Total.Value, nil
}

// Close removes the index.
func (s *store) Close(ctx context.Context) error {
	defer s.client.close()
	_, err := s.client.call(ctx, http.MethodDelete, "/"+s.index, nil, nil)
	if gone := (*refusedError)(nil); err != nil && !(errors.As(err, &gone) && gone.status == http.StatusNotFound) {
		return fmt.Errorf("remove index %s: %w", s.index, err)
	}
	return nil
}
