package timeline

import (
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

// The states of a node are those of each object that had its name; what is told with the deletion of one is none.
func TestTheStatesOfANode(t *testing.T) {
	seen := func(at int, ready bool) Seen[resource.Node] {
		return Seen[resource.Node]{At: time.Duration(at), Object: resource.Node{Ready: ready}}
	}
	tl := &Timeline{Cluster: Cluster{Nodes: []*Track[resource.Node]{
		{Name: "n1", Seen: []Seen[resource.Node]{seen(1, true), seen(5, false), seen(9, true)}, Gone: 9},
		{Name: "n2", Seen: []Seen[resource.Node]{seen(2, true)}, Gone: Never},
		{Name: "n1", Seen: []Seen[resource.Node]{seen(12, false), seen(13, true)}, Gone: Never},
	}}}
	want := []NodeState{{1, true, true}, {5, true, false}, {9, false, false}, {12, true, false}, {13, true, true}}
	if got := tl.NodeStates("n1"); !slices.Equal(got, want) {
		t.Errorf("the states are %v, want %v", got, want)
	}
	if got := tl.NodeStates("n3"); got != nil {
		t.Errorf("a node that nobody saw has the states %v", got)
	}
}

// A node is missed when it is first seen to be away, while it is stopped.
func TestWhenANodeIsMissed(t *testing.T) {
	states := func(gone time.Duration, at ...time.Duration) *Timeline {
		node := &Track[resource.Node]{Name: "n1", Gone: gone, Seen: []Seen[resource.Node]{{At: 1, Object: resource.Node{Ready: true}}}}
		for i, when := range at { // away, and back
			node.Seen = append(node.Seen, Seen[resource.Node]{At: when, Object: resource.Node{Ready: i%2 == 1}})
		}
		return &Timeline{Cluster: Cluster{Nodes: []*Track[resource.Node]{node}}}
	}
	loss := Disturbance{Name: history.NodeLossName, Nodes: []string{"n1"}, Began: 10, Healed: 20, Unhealed: Never}
	drain := loss
	drain.Name = history.DrainName
	for name, c := range map[string]struct {
		t    *Timeline
		d    Disturbance
		want time.Duration
	}{
		"never": {states(Never), loss, Never}, "under it": {states(Never, 12), loss, 12}, "when it begins": {states(Never, 10), loss, 10}, "before": {states(Never, 9), loss, Never},
		"before, and again": {states(Never, 3, 5, 13), loss, 13}, "when it is healed": {states(Never, 20), loss, 20}, "later": {states(Never, 21), loss, Never},
		"its object is deleted": {states(14), loss, 14}, "another disturbance": {states(Never, 12), drain, Never},
	} {
		if got := c.t.Missed(&c.d, "n1"); got != c.want {
			t.Errorf("%s: it is missed at %d, want %d", name, got, c.want)
		}
	}
}

// A pod was Ready at a moment where it was there before, and Ready then.
func TestWhetherAPodWasReady(t *testing.T) {
	pod := &Pod{Seen: 5, Ready: []Span{{From: -Never, Until: 10}, {From: 20, Until: Never}}}
	for at, want := range map[time.Duration]bool{4: false, 5: false, 6: true, 9: true, 10: false, 19: false, 20: true, 99: true} {
		if got := pod.WasReady(at); got != want {
			t.Errorf("at %d it was Ready: %v", at, got)
		}
	}
}

// Only the loss of a node stops it, and only those that it names.
func TestWhatStopsANode(t *testing.T) {
	for name, c := range map[string]struct {
		d    Disturbance
		want bool
	}{
		"its loss":    {Disturbance{Name: history.NodeLossName, Nodes: []string{"n2", "n1"}}, true},
		"another's":   {Disturbance{Name: history.NodeLossName, Nodes: []string{"n2"}}, false},
		"its drain":   {Disturbance{Name: history.DrainName, Nodes: []string{"n1"}}, false},
		"nobody says": {Disturbance{Name: history.NodeLossName}, false},
	} {
		if got := c.d.Stops("n1"); got != c.want {
			t.Errorf("%s stops it: %v", name, got)
		}
	}
}
