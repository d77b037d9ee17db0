package opensearch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"bitvault.dev/rollproof/harness/history"
)

// severity orders healths; one that is unknown has none.
var severity = map[history.StoreHealth]int{history.Green: 1, history.Yellow: 2, history.Red: 3}

func worse(a, b history.StoreHealth) history.StoreHealth {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// settings is what the cluster says of its own.
type settings struct {
	Persistent map[string]any `json:"persistent"`
	Transient  map[string]any `json:"transient"`
}

// excluding is what the settings begin with that keep shards off nodes, by name, address or host.
const excluding = "cluster.routing.allocation.exclude."

// excluded are the nodes that shards are kept off.
func (s *settings) excluded() []string {
	var all []string
	for _, of := range []map[string]any{s.Persistent, s.Transient} {
		for name, value := range of {
			if text := fmt.Sprint(value); value != nil && strings.HasPrefix(name, excluding) {
				all = append(all, strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })...)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// clusterState is which nodes there are, and which copy of which shard is where.
type clusterState struct {
	Manager string `json:"cluster_manager_node"` // id of a node
	Nodes   map[string]struct {
		Name string `json:"name"`
	} `json:"nodes"` // by id
	Table struct {
		Indices map[string]struct {
			Shards map[string][]shardCopy `json:"shards"` // by number
		} `json:"indices"`
	} `json:"routing_table"`
}

// shardCopy is one copy of a shard.
type shardCopy struct {
	State      string `json:"state"`
	Primary    bool   `json:"primary"`
	Node       string `json:"node"` // id; empty where it is on none
	Relocating string `json:"relocating_node"`
	Allocation struct {
		ID string `json:"id"`
	} `json:"allocation_id"`
}

// active reports whether the copy can be read and written.
func (c *shardCopy) active() bool { return c.State == "STARTED" || c.State == "RELOCATING" }

// view is what the state says to whoever looks. It is an error where nobody manages the cluster: what a node remembers is not what there is.
func (s *clusterState) view() (history.View, error) {
	leader := s.Nodes[s.Manager].Name
	if leader == "" {
		return history.View{}, errors.New("it names no cluster manager")
	}
	view := history.View{Leader: leader, Health: history.Green, Shards: map[string]int{}}
	for id, node := range s.Nodes {
		if node.Name == "" {
			return history.View{}, fmt.Errorf("node %s has no name", id)
		}
		if id != s.Manager {
			view.Members = append(view.Members, node.Name)
		}
		view.Shards[node.Name] = 0
	}
	slices.Sort(view.Members)
	if len(view.Shards) != len(s.Nodes) {
		return history.View{}, errors.New("two nodes have the same name")
	}
	for _, index := range s.Table.Indices {
		for _, copies := range index.Shards {
			for i := range copies {
				c := &copies[i]
				if node, ok := s.Nodes[c.Node]; ok {
					view.Shards[node.Name]++
				}
				view.Health = worse(view.Health, c.health())
			}
		}
	}
	return view, nil
}

// health is how a cluster is with this copy as it is.
func (c *shardCopy) health() history.StoreHealth {
	switch {
	case c.active():
		return history.Green
	case c.Primary:
		return history.Red
	}
	return history.Yellow
}

// placed is a copy of a shard, and the node that it is on.
type placed struct{ allocation, node, name string }

// copies are, of each shard of an index, the primary and the others in a steady order. Where one is missing or still moves, saw tells of it.
func (s *clusterState) copies(index string, want int) (all [][]placed, saw string) {
	if s.Manager == "" {
		return nil, "nobody manages the cluster"
	}
	table := s.Table.Indices[index].Shards
	if len(table) != shardsOf {
		return nil, fmt.Sprintf("%d of %d shards are known", len(table), shardsOf)
	}
	for n := range shardsOf {
		copies := slices.Clone(table[fmt.Sprint(n)])
		slices.SortFunc(copies, func(a, b shardCopy) int {
			if a.Primary != b.Primary {
				if a.Primary {
					return -1
				}
				return 1
			}
			return strings.Compare(a.Allocation.ID, b.Allocation.ID)
		})
		var of []placed
		for i, c := range copies {
			name := s.Nodes[c.Node].Name
			if c.State != "STARTED" || name == "" || c.Allocation.ID == "" || c.Primary != (i == 0) {
				return nil, fmt.Sprintf("a copy of shard %d is %s on node %q", n, c.State, name)
			}
			of = append(of, placed{c.Allocation.ID, c.Node, name})
		}
		if len(of) != want {
			return nil, fmt.Sprintf("shard %d has %d of %d copies", n, len(of), want)
		}
		all = append(all, of)
	}
	return all, ""
}
