package timeline

import (
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
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

func TestReadyTimesAndEndsOfAPod(t *testing.T) {
	up, down := history.PodState{Ready: true}, history.PodState{}
	change := func(at time.Duration, state history.PodState) podChange {
		return podChange{at: at, name: "p", uid: "a", signalled: Never, PodState: state}
	}
	with := func(c podChange, f func(*podChange)) podChange { f(&c); return c }
	gone := func(c *podChange) { c.gone = true }
	terminating := func(c *podChange) { c.Terminating = true }
	signalled := func(at time.Duration) func(*podChange) { return func(c *podChange) { c.signalled = at } }
	const s = time.Second
	for name, c := range map[string]struct {
		changes []podChange
		ready   []Span
		stops   []Stop
	}{
		"up, down, up":          {[]podChange{change(1, down), change(2, up), change(3, up), change(4, down), change(5, down), change(6, up)}, []Span{{2, 4}, {6, Never}}, nil},
		"up from the beginning": {[]podChange{change(1, up), change(2, down)}, []Span{{-1 << 63, 2}}, nil},
		"ready as it is gone":   {[]podChange{change(1, down), with(change(2, up), gone)}, nil, nil},
		"terminating, told twice, then gone": {
			[]podChange{change(1, down), change(2, up), with(change(3, up), terminating), with(change(4, up), terminating), with(with(change(5, down), terminating), gone)},
			[]Span{{2, 3}}, []Stop{{Terminating: 3, Signalled: Never, Gone: 5}},
		},
		"gone without more words": {
			[]podChange{with(change(3, down), terminating), with(change(5, down), gone)}, nil, []Stop{{Terminating: 3, Signalled: Never, Gone: 5}},
		},
		"stopped twice, as a process is": {
			[]podChange{with(change(3, down), signalled(3)), with(change(4, down), gone), change(5, up), with(change(6, up), signalled(6)), with(change(7, down), gone)},
			[]Span{{5, 7}}, []Stop{{Terminating: Never, Signalled: 3, Gone: 4}, {Terminating: Never, Signalled: 6, Gone: 7}},
		},
		"the signal is the earliest one": {
			[]podChange{with(change(3*s, down), terminating), with(with(change(5*s, down), terminating), signalled(4*s)), with(with(change(6*s, down), terminating), signalled(6*s))},
			nil, []Stop{{Terminating: 3 * s, Signalled: 4 * s, Gone: Never}},
		},
		"a signal a second before the deletion was told": {
			[]podChange{with(with(change(3*s, down), terminating), signalled(2*s))}, nil, []Stop{{Terminating: 3 * s, Signalled: 2 * s, Gone: Never}},
		},
		"a signal long before": {
			[]podChange{with(with(change(3*s, down), terminating), signalled(2*s-1))}, nil, []Stop{{Terminating: 3 * s, Signalled: Never, Gone: Never}},
		},
		"a signal of the moment": {
			[]podChange{with(with(change(3*s, down), terminating), signalled(3*s))}, nil, []Stop{{Terminating: 3 * s, Signalled: 3 * s, Gone: Never}},
		},
		"a signal from the future": {
			[]podChange{with(with(change(3*s, down), terminating), signalled(3*s+1))}, nil, []Stop{{Terminating: 3 * s, Signalled: Never, Gone: Never}},
		},
		"gone with its signal": {
			[]podChange{with(with(change(3*s, down), gone), signalled(2*s))}, nil, []Stop{{Terminating: Never, Signalled: 2 * s, Gone: 3 * s}},
		},
		"another one took its place, unseen": {
			[]podChange{with(change(3, down), terminating), with(change(8, down), func(c *podChange) { c.uid = "b" })}, nil, []Stop{{Terminating: 3, Signalled: Never, Gone: 8}},
		},
		"another one took its place, seen": {
			[]podChange{with(with(change(3, down), terminating), gone), with(change(8, down), func(c *podChange) { c.uid = "b" })}, nil, []Stop{{Terminating: 3, Signalled: Never, Gone: 3}},
		},
		"another one took the place of a ready one": {
			[]podChange{change(2, up), with(change(8, up), func(c *podChange) { c.uid = "b" })}, []Span{{-1 << 63, 8}}, nil,
		},
	} {
		line := &Timeline{Pods: map[string]*Pod{}, named: map[string][]*Pod{}}
		line.readPods(c.changes)
		if pod := line.Pods["a"]; !slices.Equal(pod.Ready, c.ready) || !slices.Equal(pod.Stops, c.stops) {
			t.Errorf("%s: ready %v, stops %v, want %v, %v", name, pod.Ready, pod.Stops, c.ready, c.stops)
		}
	}
}

// A change that does not tell the UID is of the pod that has the name.
func TestAPodWhoseUIDIsNotAlwaysTold(t *testing.T) {
	for _, uids := range [][]string{{"", "a"}, {"a", ""}, {"a", "a"}, {"", ""}} {
		line := &Timeline{Pods: map[string]*Pod{}, named: map[string][]*Pod{}}
		var changes []podChange
		for i, uid := range uids {
			changes = append(changes, podChange{at: time.Duration(i), namespace: "n", name: "p", uid: uid, signalled: Never})
		}
		line.readPods(changes)
		key := "n/p"
		if slices.Contains(uids, "a") {
			key = "a"
		}
		if len(line.PodsNamed("n", "p")) != 1 || line.Pods[key] == nil || len(line.Pods) != 1 {
			t.Errorf("UIDs %q: pods %v", uids, line.Pods)
		}
	}
}

func TestWhereAPodMayBeOf(t *testing.T) {
	pod := func(namespace, name string, w history.Workload) *Pod {
		return &Pod{Namespace: namespace, Name: name, Workload: w}
	}
	for _, c := range []struct {
		pod  *Pod
		w    history.Workload
		want bool
	}{
		{pod("shop", "p", api), api, true}, {pod("shop", "p", web), api, false}, {pod("x", "p", api), api, false}, {pod("x", "p", history.Workload{}), api, false},
		{pod("", "p", history.Workload{}), api, true}, {pod("shop", "p", history.Workload{}), api, true}, {pod("shop", "p", api), history.Workload{}, true}, {pod("", "p", web), api, false},
	} {
		if got := c.pod.Serves(c.w); got != c.want {
			t.Errorf("%s/%s of %v may answer for %v: %v, want %v", c.pod.Namespace, c.pod.Name, c.pod.Workload, c.w, got, c.want)
		}
	}
	line := &Timeline{named: map[string][]*Pod{"p": {pod("shop", "p", api), pod("x", "p", api), pod("", "p", api)}}}
	for namespace, want := range map[string]int{"shop": 2, "x": 2, "y": 1, "": 3} {
		if got := line.PodsNamed(namespace, "p"); len(got) != want {
			t.Errorf("%d pods of the name in %q, want %d", len(got), namespace, want)
		}
	}
}

// A pod belongs to the owner of its ReplicaSet, or to its own owner where that is no ReplicaSet.
func TestWhatAPodBelongsTo(t *testing.T) {
	db := history.Workload{Namespace: "shop", Kind: "StatefulSet", Name: "db"}
	owner := func(kind, name string) *resource.Owner { return &resource.Owner{Kind: kind, Name: name} }
	sets := []*Track[resource.ReplicaSet]{
		replicaSet("shop", "lone", resource.ReplicaSet{Hash: "h0"}), replicaSet("x", "api-h1", resource.ReplicaSet{Owner: owner("Rollout", "other"), Hash: "h9"}),
		ownedReplicaSet(web, "v1", "h1"), ownedReplicaSet(api, "v1", "h1"),
	}
	for name, c := range map[string]struct {
		uid   string
		owner *resource.Owner
		want  history.Workload
		hash  string
	}{
		"of a ReplicaSet":              {"u", owner("ReplicaSet", "api-h1"), api, "h1"},
		"of a ReplicaSet of nobody":    {"u", owner("ReplicaSet", "lone"), history.Workload{}, ""},
		"of a ReplicaSet nobody saw":   {"u", owner("ReplicaSet", "api-h2"), history.Workload{}, ""},
		"of a StatefulSet":             {"u", owner("StatefulSet", "db"), db, ""},
		"of a StatefulSet, without ID": {"", owner("StatefulSet", "db"), db, ""},
		"of nobody":                    {"u", nil, history.Workload{}, ""},
	} {
		line := &Timeline{Pods: map[string]*Pod{}, named: map[string][]*Pod{}, Cluster: Cluster{ReplicaSets: sets, Pods: []*Track[PodView]{
			{Namespace: "shop", Name: "p", UID: c.uid, Seen: []Seen[PodView]{{Object: PodView{Pod: resource.Pod{Owner: c.owner}}}}},
		}}}
		line.readPods([]podChange{{namespace: "shop", name: "p", uid: c.uid, signalled: Never}, {namespace: "x", name: "p", uid: "stranger", signalled: Never}})
		if pod := line.PodsNamed("shop", "p")[0]; pod.Workload != c.want || pod.Hash != c.hash {
			t.Errorf("%s: it is of %v, hash %q, want %v, %q", name, pod.Workload, pod.Hash, c.want, c.hash)
		}
		if stranger := line.Pods["stranger"]; !stranger.Workload.IsZero() {
			t.Errorf("%s: a pod that no watch tells of is of %v", name, stranger.Workload)
		}
	}
}
