package timeline

import (
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// A StatefulSet gives the same name to one pod after another: each of them has a ready time and an end of its own.
func TestPodsOfOneName(t *testing.T) {
	seen := func(at time.Duration, change, uid string, state history.PodState) podChange {
		return podChange{at: at, gone: change == "deleted", name: "db-0", uid: uid, signalled: Never, PodState: state}
	}
	up, down, gone := history.PodState{Ready: true}, history.PodState{Ready: true, Terminating: true}, history.PodState{Terminating: true}
	cases := map[string]struct {
		pods    int
		changes []podChange
		ready   []Span
		stops   []Stop
	}{
		"one after another": {
			pods: 2,
			changes: []podChange{seen(1, "added", "a", history.PodState{}), seen(2, "modified", "a", up), seen(4, "modified", "a", down), seen(5, "deleted", "a", gone),
				seen(6, "added", "b", history.PodState{}), seen(7, "modified", "b", up), seen(8, "modified", "b", down)},
			ready: []Span{{2, 4}, {7, 8}},
			stops: []Stop{{Terminating: 4, Signalled: Never, Gone: 5}, {Terminating: 8, Signalled: Never, Gone: Never}},
		},
		"nobody saw the first one go": {
			pods:    2,
			changes: []podChange{seen(2, "added", "a", history.PodState{}), seen(3, "modified", "a", up), seen(6, "modified", "b", up)},
			ready:   []Span{{3, 6}, {6, Never}},
		},
		"killed": {
			pods:    1,
			changes: []podChange{seen(2, "added", "a", up), seen(3, "deleted", "a", up)},
			ready:   []Span{{-1 << 63, 3}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			line := &Timeline{Pods: map[string]*Pod{}, named: map[string][]*Pod{}}
			line.readPods(c.changes)
			var ready []Span
			var stops []Stop
			pods := line.PodsNamed("", "db-0")
			for _, pod := range pods {
				ready, stops = append(ready, pod.Ready...), append(stops, pod.Stops...)
				if line.Pods[pod.UID] != pod || pod.Name != "db-0" {
					t.Errorf("pod %s is not found by its UID %s", pod.Name, pod.UID)
				}
			}
			if len(pods) != c.pods {
				t.Errorf("%d pods had the name, want %d", len(pods), c.pods)
			}
			if !slices.Equal(ready, c.ready) {
				t.Errorf("ready %v, want %v", ready, c.ready)
			}
			if !slices.Equal(stops, c.stops) {
				t.Errorf("stops %v, want %v", stops, c.stops)
			}
		})
	}
}
