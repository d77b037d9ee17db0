package stack

import (
	"fmt"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// The tests of this file hold what stack.healed computes from a record at its bounds, and one step to each side of them.

func track[T any](name string, states ...timeline.Seen[T]) *timeline.Track[T] {
	return &timeline.Track[T]{Namespace: "ns", Name: name, UID: "uid-" + name, Seen: states, Gone: timeline.Never}
}

func at[T any](moment time.Duration, object T) timeline.Seen[T] {
	return timeline.Seen[T]{At: moment, Object: object}
}

// disturbance is one that began at 200 and landed at 300.
func disturbance(change func(*timeline.Disturbance)) *timeline.Disturbance {
	d := &timeline.Disturbance{ID: "d1", Name: "kill", Began: 200, Landed: 300, Healed: timeline.Never, Failed: timeline.Never, Unhealed: timeline.Never}
	change(d)
	return d
}

func podOf(owner string, change func(*timeline.PodView)) timeline.PodView {
	var o timeline.PodView
	o.Phase, o.Ready, o.Owner = "Running", true, &resource.Owner{Kind: "ReplicaSet", Name: owner}
	if change != nil {
		change(&o)
	}
	return o
}

// whole is a stack of one node, one Rollout and one pod that is as it was.
func whole() *timeline.Timeline {
	replicas := int32(1)
	w := &timeline.Window{Window: history.Window{Begin: 100, Length: 800}}
	return &timeline.Timeline{
		Arms: []*timeline.Arm{{Name: "get", Windows: []*timeline.Window{w}}}, Known: timeline.Never, Broken: timeline.Never, Last: 1000, End: &history.End{Outcome: history.EndFinished},
		Disturbances: []*timeline.Disturbance{disturbance(func(d *timeline.Disturbance) { d.Healed = 400 })},
		Cluster: timeline.Cluster{
			Nodes:       []*timeline.Track[resource.Node]{track("n1", at(0, resource.Node{Ready: true}))},
			ReplicaSets: []*timeline.Track[resource.ReplicaSet]{track("rs", at(0, resource.ReplicaSet{Owner: &resource.Owner{Kind: "Rollout", Name: "app"}, Desired: 1}))},
			Rollouts:    []*timeline.Track[resource.Rollout]{track("app", at(0, resource.Rollout{Phase: "Healthy", ObservedGeneration: "0", Replicas: &replicas}))},
			Pods:        []*timeline.Track[timeline.PodView]{track("a", at(0, podOf("rs", nil)))},
		},
	}
}

// Each thing that is left broken is one finding.
func TestWhatIsLeftBroken(t *testing.T) {
	two := int32(2)
	pod := func(change func(*timeline.PodView)) func(*timeline.Timeline) { // one more, since before the first disturbance and to the end
		return func(tl *timeline.Timeline) {
			tl.Cluster.Pods = append(tl.Cluster.Pods, track("b", at(0, podOf("rs", change))))
		}
	}
	node := func(first, last resource.Node) func(*timeline.Timeline) {
		return func(tl *timeline.Timeline) {
			tl.Cluster.Nodes = append(tl.Cluster.Nodes, track("n2", at(0, first), at(500, last)))
		}
	}
	rollout := func(change func(*resource.Rollout)) func(*timeline.Timeline) {
		return func(tl *timeline.Timeline) { change(&tl.Cluster.Rollouts[0].Seen[0].Object) }
	}
	disturbed := func(change func(*timeline.Disturbance)) func(*timeline.Timeline) {
		return func(tl *timeline.Timeline) { tl.Disturbances = append(tl.Disturbances, disturbance(change)) }
	}
	for name, c := range map[string]struct {
		change func(*timeline.Timeline)
		want   judge.Verdict
		found  uint64
	}{
		"whole":                      {func(*timeline.Timeline) {}, judge.Pass, 0},
		"cut short":                  {func(tl *timeline.Timeline) { tl.End = nil }, judge.Inconclusive, 1},
		"never healed":               {disturbed(func(*timeline.Disturbance) {}), judge.Fail, 1},
		"given up":                   {disturbed(func(d *timeline.Disturbance) { d.Failed = 400 }), judge.Pass, 0},
		"a release":                  {disturbed(func(d *timeline.Disturbance) { d.Name = releaseName }), judge.Pass, 0},
		"could not be healed":        {disturbed(func(d *timeline.Disturbance) { d.Unhealed = 400 }), judge.Fail, 1},
		"a release could not":        {disturbed(func(d *timeline.Disturbance) { d.Name, d.Unhealed = releaseName, 400 }), judge.Fail, 1},
		"healed and not healed":      {disturbed(func(d *timeline.Disturbance) { d.Unhealed, d.Healed = 400, 500 }), judge.Inconclusive, 1},
		"a node is gone":             {func(tl *timeline.Timeline) { tl.Cluster.Nodes[0].Gone = 500 }, judge.Fail, 1},
		"a node is not Ready":        {node(resource.Node{Ready: true}, resource.Node{}), judge.Fail, 1},
		"a node never was":           {node(resource.Node{}, resource.Node{}), judge.Pass, 0},
		"a node is cordoned":         {node(resource.Node{Ready: true}, resource.Node{Ready: true, Unschedulable: true}), judge.Fail, 1},
		"a node always was":          {node(resource.Node{Ready: true, Unschedulable: true}, resource.Node{Ready: true, Unschedulable: true}), judge.Pass, 0},
		"a Rollout is gone":          {func(tl *timeline.Timeline) { tl.Cluster.Rollouts[0].Gone = 500 }, judge.Fail, 1},
		"a Rollout is aborted":       {rollout(func(o *resource.Rollout) { o.Abort = true }), judge.Fail, 1},
		"a Rollout is on its way":    {rollout(func(o *resource.Rollout) { o.Phase = "Progressing" }), judge.Fail, 1},
		"a Rollout is not seen":      {rollout(func(o *resource.Rollout) { o.Generation = 1 }), judge.Fail, 1},
		"a Rollout that says little": {rollout(func(o *resource.Rollout) { o.Replicas = nil }), judge.Pass, 0},
		"it says so later only": {func(tl *timeline.Timeline) {
			r := tl.Cluster.Rollouts[0]
			r.Seen = append(r.Seen, at(500, r.Seen[0].Object))
			r.Seen[0].Object.Replicas = nil
		}, judge.Pass, 0},
		"it says so no longer": {func(tl *timeline.Timeline) {
			r := tl.Cluster.Rollouts[0]
			r.Seen = append(r.Seen, at(500, r.Seen[0].Object))
			r.Seen[1].Object.Replicas = nil
		}, judge.Pass, 0},
		"a Rollout that is new": {func(tl *timeline.Timeline) { tl.Cluster.Rollouts[0].Seen[0].At = 300 }, judge.Pass, 0},
		"a Rollout asks for more": {func(tl *timeline.Timeline) {
			r := tl.Cluster.Rollouts[0]
			r.Seen = append(r.Seen, at(500, r.Seen[0].Object))
			r.Seen[1].Object.Replicas = &two
		}, judge.Fail, 1},
		"a pod is Pending":           {pod(func(o *timeline.PodView) { o.Phase, o.Ready = "Pending", false }), judge.Fail, 1},
		"a pod is not Ready":         {pod(func(o *timeline.PodView) { o.Ready = false }), judge.Fail, 1},
		"a pod is done":              {pod(func(o *timeline.PodView) { o.Phase, o.Ready = "Succeeded", false }), judge.Pass, 0},
		"a pod failed":               {pod(func(o *timeline.PodView) { o.Phase, o.Ready = "Failed", false }), judge.Fail, 1},
		"a pod has been ending long": {pod(func(o *timeline.PodView) { o.Terminating = true }), judge.Fail, 1},
		"a pod nobody owns":          {pod(func(o *timeline.PodView) { o.Owner = nil }), judge.Pass, 0},
		"a pod fewer":                {func(tl *timeline.Timeline) { tl.Cluster.Pods[0].Gone = 500 }, judge.Fail, 1},
		"a pod more": {func(tl *timeline.Timeline) {
			tl.Cluster.Pods = append(tl.Cluster.Pods, track("b", at(500, podOf("rs", nil))))
		}, judge.Fail, 1},
		"a pod of a new workload": {func(tl *timeline.Timeline) {
			tl.Cluster.Pods = append(tl.Cluster.Pods, track("b", at(500, podOf("new", nil))))
		}, judge.Pass, 0},
		"a workload that was done": {func(tl *timeline.Timeline) {
			tl.Cluster.Pods = append(tl.Cluster.Pods, track("b", at(0, podOf("new", func(o *timeline.PodView) { o.Phase, o.Ready = "Succeeded", false }))), track("c", at(500, podOf("new", nil))))
		}, judge.Pass, 0},
		"one that is about to go":  {func(tl *timeline.Timeline) { old(tl, resource.ReplicaSet{ScaleDownAt: "soon", Desired: 1}) }, judge.Pass, 0},
		"one that nobody asks for": {func(tl *timeline.Timeline) { old(tl, resource.ReplicaSet{}) }, judge.Pass, 0},
		"one that is asked for":    {func(tl *timeline.Timeline) { old(tl, resource.ReplicaSet{Desired: 1}) }, judge.Fail, 1},
	} {
		tl := whole()
		c.change(tl)
		f := &healed{budgets: HealedBudgets{Ending: 100}, Ruling: judge.Ruling{Timeline: tl}}
		if p := f.Result(); p.Verdict != c.want || p.Found != c.found {
			t.Errorf("%s: %s with %d findings, want %s with %d: %s", name, p.Verdict, p.Found, c.want, c.found, p.Reason)
		}
	}
}

// old adds a ReplicaSet of the Rollout, with a pod that came late.
func old(tl *timeline.Timeline, o resource.ReplicaSet) {
	o.Owner = &resource.Owner{Kind: "Rollout", Name: "app"}
	tl.Cluster.ReplicaSets = append(tl.Cluster.ReplicaSets, track("old", at(0, o)))
	tl.Cluster.Pods = append(tl.Cluster.Pods, track("b", at(500, podOf("old", nil))))
}

// A pod that was deleted may be ending for as long as is allowed, and counts as none meanwhile.
func TestHowLongAPodMayEnd(t *testing.T) {
	for deleted, want := range map[time.Duration]uint64{900: 0, 899: 1} {
		tl := whole()
		tl.Cluster.Pods = append(tl.Cluster.Pods, track("b", at(850, podOf("new", nil)), at(deleted, podOf("new", func(o *timeline.PodView) { o.Terminating = true }))))
		f := &healed{budgets: HealedBudgets{Ending: 100}, Ruling: judge.Ruling{Timeline: tl}}
		if good := f.pods(); good != 1 || f.Against.Found != want {
			t.Errorf("deleted at %d: %d good pods, %d findings; want 1 and %d", deleted, good, f.Against.Found, want)
		}
	}
}

// What was before is how it was at the first disturbance, or when the load began, and nothing was before anybody looked.
func TestWhenTheStackWasWhole(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*timeline.Timeline)
		want   time.Duration
	}{
		"the load came first":      {func(*timeline.Timeline) {}, 100},
		"a disturbance came first": {func(tl *timeline.Timeline) { tl.Disturbances[0].Began = 50 }, 50},
		"nobody looked before":     {func(tl *timeline.Timeline) { tl.Cluster.Nodes[0].Seen[0].At = 150 }, 150},
		"there was no load":        {func(tl *timeline.Timeline) { tl.Arms = nil }, 200},
		"there was nothing at all": {func(tl *timeline.Timeline) { tl.Arms, tl.Disturbances = nil, nil }, 1000},
	} {
		tl := whole()
		c.change(tl)
		if got := (&healed{Ruling: judge.Ruling{Timeline: tl}}).start(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A pod is of the owner of its ReplicaSet, which is known by namespace and name.
func TestWhoKeepsAPod(t *testing.T) {
	tl := whole()
	elsewhere := track("rs", at(0, resource.ReplicaSet{Owner: &resource.Owner{Kind: "Rollout", Name: "elsewhere"}, Desired: 1}))
	elsewhere.Namespace = "other"
	orphan := track("orphan", at(0, resource.ReplicaSet{Desired: 1}))
	later := track("later", at(500, resource.ReplicaSet{Owner: &resource.Owner{Kind: "Rollout", Name: "app"}, Desired: 1}))
	tl.Cluster.ReplicaSets = append([]*timeline.Track[resource.ReplicaSet]{elsewhere, orphan, later}, tl.Cluster.ReplicaSets...)
	f := &healed{Ruling: judge.Ruling{Timeline: tl}}
	for owner, want := range map[resource.Owner]string{
		{Kind: "ReplicaSet", Name: "rs"}: "ns Rollout app", {Kind: "ReplicaSet", Name: "orphan"}: "ns ReplicaSet orphan", {Kind: "ReplicaSet", Name: "later"}: "ns ReplicaSet later",
		{Kind: "ReplicaSet", Name: "unknown"}: "ns ReplicaSet unknown", {Kind: "StatefulSet", Name: "rs"}: "ns StatefulSet rs",
	} {
		w, leaving := f.workload("ns", &owner, 100)
		if got := fmt.Sprint(w.Namespace, " ", w.Kind, " ", w.Name); got != want || leaving {
			t.Errorf("a pod of %s %s is of %s, leaving: %v; want %s", owner.Kind, owner.Name, got, leaving, want)
		}
	}
}

// A pod's text tells of its containers that are not simply running.
func TestWhatIsToldOfAPod(t *testing.T) {
	plain := podText(&timeline.PodView{})
	for _, c := range []struct {
		container resource.ContainerState
		tells     bool
	}{{resource.ContainerState{Name: "app"}, false}, {resource.ContainerState{Name: "app", Restarts: 1}, true}, {resource.ContainerState{Name: "app", Waiting: "CrashLoopBackOff"}, true},
		{resource.ContainerState{Name: "app", Terminated: "Error"}, true}} {
		if got := podText(&timeline.PodView{Pod: resource.Pod{Containers: []resource.ContainerState{c.container}}}); (got != plain) != c.tells {
			t.Errorf("of %+v is told: %s", c.container, got)
		}
	}
}
