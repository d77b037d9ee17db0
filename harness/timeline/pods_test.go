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
		changes []podChange
		ready   []Span
		stops   []Stop
	}{
		"one after another": {
			changes: []podChange{seen(1, "added", "a", history.PodState{}), seen(2, "modified", "a", up), seen(4, "modified", "a", down), seen(5, "deleted", "a", gone),
				seen(6, "added", "b", history.PodState{}), seen(7, "modified", "b", up), seen(8, "modified", "b", down)},
			ready: []Span{{2, 4}, {7, 8}},
			stops: []Stop{{Terminating: 4, Signalled: Never, Gone: 5}, {Terminating: 8, Signalled: Never, Gone: Never}},
		},
		"nobody saw the first one go": {
			changes: []podChange{seen(2, "added", "a", history.PodState{}), seen(3, "modified", "a", up), seen(6, "modified", "b", up)},
			ready:   []Span{{3, 6}, {6, Never}},
		},
		"killed": {
			changes: []podChange{seen(2, "added", "a", up), seen(3, "deleted", "a", up)},
			ready:   []Span{{-1 << 63, 3}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			line := &Timeline{Pods: map[string]*Pod{}}
			for i := range c.changes {
				line.podChanged(&c.changes[i])
			}
			pod := line.Pods["db-0"]
			if !slices.Equal(pod.Ready, c.ready) {
				t.Errorf("ready %v, want %v", pod.Ready, c.ready)
			}
			if !slices.Equal(pod.Stops, c.stops) {
				t.Errorf("stops %v, want %v", pod.Stops, c.stops)
			}
		})
	}
}
