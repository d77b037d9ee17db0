package timeline

import (
	"cmp"
	"slices"
	"time"
)

// NodeState is how a node was from a moment on.
type NodeState struct {
	At           time.Duration
	There, Ready bool // Ready only where it is there
}

// NodeStates are the states of the node of a name as the watches saw them, in the order of time. An object that was deleted, and another one
// that took its name, are one node.
func (t *Timeline) NodeStates(name string) []NodeState {
	var all []NodeState
	for _, node := range t.Cluster.Nodes {
		if node.Name != name {
			continue
		}
		for i := range node.Seen {
			if s := &node.Seen[i]; s.At < node.Gone { // what is told with its deletion is of no later moment
				all = append(all, NodeState{At: s.At, There: true, Ready: s.Object.Ready})
			}
		}
		if !node.Here() {
			all = append(all, NodeState{At: node.Gone})
		}
	}
	slices.SortStableFunc(all, func(a, b NodeState) int { return cmp.Compare(a.At, b.At) })
	return all
}

// Missed is when a node was first seen not to be Ready, or not to be there, under a disturbance that stopped it; never where nobody saw it, or where the
// disturbance does not stop it.
func (t *Timeline) Missed(d *Disturbance, node string) time.Duration {
	if !d.Stops(node) {
		return Never
	}
	for _, s := range t.NodeStates(node) {
		if !s.Ready && s.At >= d.Began && s.At <= min(d.Healed, d.Unhealed) {
			return s.At
		}
	}
	return Never
}
