package load

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// The tests of this file hold what load.undisturbed accounts for, and how, at its bounds.

const (
	propagation = 50
	watch       = 10
)

func account(tl *timeline.Timeline) *undisturbed {
	return &undisturbed{Ruling: judge.Ruling{Timeline: tl}, tolerance: judge.Tolerance{Propagation: propagation, Watch: watch}, until: 1000}
}

// seen is a track of one object.
func seen[T any](name string, states ...timeline.Seen[T]) *timeline.Track[T] {
	return &timeline.Track[T]{Namespace: "ns", Name: name, UID: "uid-" + name, Seen: states, Gone: timeline.Never}
}

// Who wrote any object of any kind tells that authors are recorded.
func TestWhetherAuthorsAreRecorded(t *testing.T) {
	by := []history.Author{{Manager: "m"}}
	none := func() timeline.Cluster {
		return timeline.Cluster{
			Nodes:           []*timeline.Track[resource.Node]{seen("n", timeline.Seen[resource.Node]{})},
			ReplicaSets:     []*timeline.Track[resource.ReplicaSet]{seen("r", timeline.Seen[resource.ReplicaSet]{})},
			Budgets:         []*timeline.Track[resource.PDB]{seen("b", timeline.Seen[resource.PDB]{})},
			Rollouts:        []*timeline.Track[resource.Rollout]{seen("o", timeline.Seen[resource.Rollout]{})},
			TraefikServices: []*timeline.Track[resource.TraefikService]{seen("t", timeline.Seen[resource.TraefikService]{})},
		}
	}
	if isAuthored(&timeline.Timeline{Cluster: none()}) {
		t.Error("a record in which nobody wrote anything tells who did")
	}
	for name, set := range map[string]func(*timeline.Cluster){
		"node": func(c *timeline.Cluster) { c.Nodes[0].Seen[0].By = by }, "replicaset": func(c *timeline.Cluster) { c.ReplicaSets[0].Seen[0].By = by },
		"budget": func(c *timeline.Cluster) { c.Budgets[0].Seen[0].By = by }, "rollout": func(c *timeline.Cluster) { c.Rollouts[0].Seen[0].By = by },
		"traefikservice": func(c *timeline.Cluster) { c.TraefikServices[0].Seen[0].By = by },
	} {
		c := none()
		if set(&c); !isAuthored(&timeline.Timeline{Cluster: c}) {
			t.Errorf("who wrote a %s is not seen", name)
		}
	}
}

// What happens up to the end of the load is accounted for, or noted.
func TestWhatHappenedUntilTheLoadEnded(t *testing.T) {
	for _, c := range []struct {
		at           time.Duration
		accounted    bool
		known, noted uint64
	}{{1000, true, 1, 0}, {1000, false, 0, 1}, {1001, true, 0, 0}, {1001, false, 0, 0}} {
		f := account(&timeline.Timeline{})
		f.happened(c.at, c.accounted, "", "it happened")
		var p judge.Promise
		if f.Into(&p, ""); f.known != c.known || p.Found != c.noted {
			t.Errorf("at %d: %d known, %d noted; want %d and %d", c.at, f.known, p.Found, c.known, c.noted)
		}
	}
}

// What Kubernetes says counts for the object itself, about the moment.
func TestWhatIsSaidOfAMoment(t *testing.T) {
	said := func(uid string, at time.Duration) *timeline.Track[resource.Event] {
		return seen("e", timeline.Seen[resource.Event]{At: at, Object: resource.Event{Reason: fmt.Sprint(at), Involved: resource.Owner{UID: uid}}})
	}
	f := account(&timeline.Timeline{Cluster: timeline.Cluster{Events: []*timeline.Track[resource.Event]{
		said("u", 100-propagation), said("u", 99-propagation), said("u", 100+propagation), said("u", 101+propagation), said("other", 100), said("", 100), said("u", 100+propagation),
	}}})
	if got := f.said("u", 100); len(got) != 2 {
		t.Errorf("of u it is said about 100: %q, want what comes within %d, each once", got, propagation)
	}
	if got := f.said("", 100); len(got) != 0 {
		t.Errorf("of nobody it is said: %q", got)
	}
}

// A touch is of one object: each part of its name tells it from another, and a UID only where both tell it.
func TestWhatATouchIsOf(t *testing.T) {
	whole := history.Touch{Effect: history.Ends, Resource: "pods", Namespace: "ns", Name: "p", UID: "u"}
	for name, c := range map[string]struct {
		change func(*history.Touch)
		uid    string
		want   int
	}{
		"itself": {func(*history.Touch) {}, "u", 1}, "nobody tells its UID": {func(*history.Touch) {}, "", 1}, "the touch tells no UID": {func(o *history.Touch) { o.UID = "" }, "u", 1},
		"another UID": {func(*history.Touch) {}, "v", 0}, "another effect": {func(o *history.Touch) { o.Effect = history.Changes }, "u", 0},
		"another resource": {func(o *history.Touch) { o.Resource = "nodes" }, "u", 0}, "another namespace": {func(o *history.Touch) { o.Namespace = "other" }, "u", 0},
		"another name": {func(o *history.Touch) { o.Name = "q" }, "u", 0},
	} {
		d := disturbance(100)
		touch := whole
		c.change(&touch)
		d.Touched = []history.Touch{touch}
		f := account(&timeline.Timeline{Disturbances: []*timeline.Disturbance{d}})
		if got := f.touched(history.Ends, "pods", "ns", "p", c.uid, 100); got != c.want {
			t.Errorf("%s: touched by %d, want %d", name, got, c.want)
		}
		if got := f.touched(history.Ends, "pods", "ns", "p", c.uid, 99); got != 0 {
			t.Errorf("%s: touched by %d before it began", name, got)
		}
	}
}

// A disturbance excuses what happens while it goes on, and as long after it as others may follow.
func TestHowLongADisturbanceExcuses(t *testing.T) {
	d := disturbance(100)
	d.Healed = 200
	d.Phases = append(d.Phases, timeline.DisturbancePhase{At: 200})
	f := account(&timeline.Timeline{Disturbances: []*timeline.Disturbance{d}})
	for at, want := range map[time.Duration]bool{99: false, 100: true, 200 + propagation: true, 201 + propagation: false} {
		if f.during(at, func(*timeline.Disturbance) bool { return true }) != want || f.during(at, func(*timeline.Disturbance) bool { return false }) {
			t.Errorf("at %d it goes on: %v, want %v", at, !want, want)
		}
	}
}

// Who may write what: each by its name and by what it wrote.
func TestWhoMayWrite(t *testing.T) {
	wrote := func(manager, sub string) history.Author { return history.Author{Manager: manager, Subresource: sub} }
	d := disturbance(0)
	d.Touched = []history.Touch{{Effect: history.Changes, Resource: "rollouts", Namespace: "ns", Name: "a"}}
	ours := account(&timeline.Timeline{Disturbances: []*timeline.Disturbance{d}}).writer("rollouts", "ns", "a", "", 5)
	for name, c := range map[string]struct {
		may     author
		by      history.Author
		allowed bool
	}{
		"one of some":           {isOneOf([]string{"m"}), wrote("m", ""), true},
		"another":               {isOneOf([]string{"m"}), wrote("n", ""), false},
		"one, something else":   {isOneOf([]string{"m"}), wrote("m", "scale"), false},
		"the autoscaler":        {isScaler, wrote("kube-controller-manager", "scale"), true},
		"its process":           {isScaler, wrote("kube-controller-manager", ""), false},
		"another that scales":   {isScaler, wrote("kubectl", "scale"), false},
		"who taints":            {isTainter, wrote("kube-controller-manager", ""), true},
		"who taints, status":    {isTainter, wrote("kube-controller-manager", "status"), false},
		"another that taints":   {isTainter, wrote("kubectl", ""), false},
		"ours":                  {ours, wrote(history.DisturbanceManager, ""), true},
		"ours, scaling":         {ours, wrote(history.DisturbanceManager, "scale"), true},
		"ours, status":          {ours, wrote(history.DisturbanceManager, statusOf), false},
		"somebody else's, ours": {ours, wrote("kubectl", ""), false},
	} {
		if got := c.may(c.by); got != c.allowed {
			t.Errorf("%s may write: %v", name, got)
		}
	}
	if account(&timeline.Timeline{}).writer("rollouts", "ns", "a", "", 5)(wrote(history.DisturbanceManager, "")) {
		t.Error("ours may write what no disturbance touches")
	}
	status, whole, all := wrote("m", statusOf), wrote("m", ""), isOneOf([]string{"m"})
	for name, c := range map[string]struct {
		by         []history.Author
		none, only bool
	}{
		"nobody": {nil, true, false}, "status": {[]history.Author{status}, true, false}, "one who may": {[]history.Author{status, whole}, false, true},
		"one who may not": {[]history.Author{whole, wrote("n", "")}, false, false}, "only one who may not": {[]history.Author{wrote("n", "")}, false, false},
	} {
		if none, only := wroteNone(c.by), wroteOnly(c.by, isTainter, all); none != c.none || only != c.only {
			t.Errorf("%s: wrote nothing %v, only who may %v", name, none, only)
		}
	}
	if got := managers([]history.Author{status, wrote("n", ""), wrote("o", "scale")}, ""); !slices.Equal(got, []string{"n"}) {
		t.Errorf("the managers of the object itself are %q", got)
	}
}

// A controller of Rollouts is whoever wrote the first status that anybody but us wrote.
func TestTheControllersOfRollouts(t *testing.T) {
	by := func(managers ...string) timeline.Seen[resource.Rollout] {
		var all []history.Author
		for _, m := range managers {
			all = append(all, history.Author{Manager: m, Subresource: statusOf})
		}
		return timeline.Seen[resource.Rollout]{By: all}
	}
	got := controllersOf([]*timeline.Track[resource.Rollout]{
		seen("a", by(), by(history.DisturbanceManager), by("argo", history.DisturbanceManager), by("kubectl")), seen("b", by("argo-2")), seen("c", by()),
	})
	if !slices.Equal(got, []string{"argo", "argo-2"}) {
		t.Errorf("the controllers are %q", got)
	}
}

func TestWhoWroteIsTold(t *testing.T) {
	if got := writers(nil); len(got) != 1 {
		t.Errorf("where nobody tells it is said: %q", got)
	}
	plain := writers([]history.Author{{Manager: "m"}})
	dated := writers([]history.Author{{Manager: "m", At: time.Unix(7, 0)}, {Manager: "n"}})
	if len(plain) != 1 || len(dated) != 2 || plain[0] == dated[0] {
		t.Errorf("it is said %q, and with a time %q", plain, dated)
	}
}

// The end of a pod is when somebody first began to end it.
func TestTheEndOfAPod(t *testing.T) {
	state := func(at time.Duration, change func(*timeline.PodView)) timeline.Seen[timeline.PodView] {
		var o timeline.PodView
		change(&o)
		return timeline.Seen[timeline.PodView]{At: at, Object: o}
	}
	running := func(*timeline.PodView) {}
	ending := func(o *timeline.PodView) { o.Terminating = true }
	phase := func(p string) func(*timeline.PodView) { return func(o *timeline.PodView) { o.Phase = p } }
	owned := func(kind string) func(*timeline.PodView) {
		return func(o *timeline.PodView) { o.Owner = &resource.Owner{Kind: kind} }
	}
	for name, c := range map[string]struct {
		gone   time.Duration
		seen   []timeline.Seen[timeline.PodView]
		at     time.Duration
		counts bool
	}{
		"it lives":              {timeline.Never, []timeline.Seen[timeline.PodView]{state(1, running)}, timeline.Never, true},
		"it is deleted":         {30, []timeline.Seen[timeline.PodView]{state(1, running), state(20, ending), state(25, ending)}, 20, true},
		"it is gone at once":    {30, []timeline.Seen[timeline.PodView]{state(1, running), state(30, ending)}, 30, true},
		"it ended before":       {30, []timeline.Seen[timeline.PodView]{state(1, ending)}, 1, false},
		"it failed":             {timeline.Never, []timeline.Seen[timeline.PodView]{state(1, running), state(20, phase("Failed"))}, 20, true},
		"it had failed":         {timeline.Never, []timeline.Seen[timeline.PodView]{state(1, phase("Failed"))}, 1, false},
		"it had done its work":  {30, []timeline.Seen[timeline.PodView]{state(1, running), state(20, phase("Succeeded")), state(25, ending)}, 0, false},
		"a Job has it":          {30, []timeline.Seen[timeline.PodView]{state(1, owned("Job")), state(20, ending)}, 0, false},
		"something else has it": {30, []timeline.Seen[timeline.PodView]{state(1, owned("DaemonSet")), state(20, ending)}, 20, true},
	} {
		pod := seen("p", c.seen...)
		pod.Gone = c.gone
		if e, counts := endOf(pod); counts != c.counts || counts && (e.at != c.at || e.how == nil || e.pod != pod) {
			t.Errorf("%s: it ended at %d, which counts: %v; want %d, %v", name, e.at, counts, c.at, c.counts)
		}
	}
}

// ownedPod is a pod that lives from one moment to another.
func ownedPod(namespace, name string, owner *resource.Owner, from, gone time.Duration) *timeline.Track[timeline.PodView] {
	pod := seen(name, timeline.Seen[timeline.PodView]{At: from, Object: timeline.PodView{Pod: resource.Pod{Owner: owner}}})
	pod.Namespace, pod.Gone = namespace, gone
	return pod
}

// replicas is a ReplicaSet that asks for some pods from moments on.
func replicas(namespace, name string, desired map[time.Duration]int32) *timeline.Track[resource.ReplicaSet] {
	set := seen[resource.ReplicaSet](name)
	set.Namespace = namespace
	for at, n := range desired {
		set.Seen = append(set.Seen, timeline.Seen[resource.ReplicaSet]{At: at, Object: resource.ReplicaSet{Desired: n}})
	}
	slices.SortFunc(set.Seen, func(a, b timeline.Seen[resource.ReplicaSet]) int { return int(a.At - b.At) })
	return set
}

// How many pods a ReplicaSet asked for at the least counts from as long before as others may follow, to as long after as its watch may be late.
func TestTheFewestPodsOfAReplicaSet(t *testing.T) {
	for name, c := range map[string]struct {
		sets  []*timeline.Track[resource.ReplicaSet]
		gaps  []history.Gap
		owner resource.Owner
		want  int32
		told  bool
	}{
		"it always did":            {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 3})}, nil, resource.Owner{Name: "rs"}, 3, true},
		"told late":                {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 3, 100 + watch: 2})}, nil, resource.Owner{Name: "rs"}, 2, true},
		"told later":               {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 3, 101 + watch: 2})}, nil, resource.Owner{Name: "rs"}, 3, true},
		"told after a gap":         {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 3, 300 + watch: 2})}, []history.Gap{{Resource: "replicasets", From: 90, To: 300}}, resource.Owner{Name: "rs"}, 2, true},
		"told later than its gap":  {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 3, 301 + watch: 2})}, []history.Gap{{Resource: "replicasets", From: 90, To: 300}}, resource.Owner{Name: "rs"}, 3, true},
		"told after a gap of pods": {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 3, 300: 2})}, []history.Gap{{Resource: "pods", From: 90, To: 300}}, resource.Owner{Name: "rs"}, 3, true},
		"asked for fewer before":   {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 1, 100 - propagation: 3})}, nil, resource.Owner{Name: "rs"}, 1, true},
		"asked for fewer long ago": {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 1, 99 - propagation: 3})}, nil, resource.Owner{Name: "rs"}, 3, true},
		"the fewest of three":      {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{60: 3, 80: 1, 90: 2})}, nil, resource.Owner{Name: "rs"}, 1, true},
		"another name":             {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "other", map[time.Duration]int32{0: 1})}, nil, resource.Owner{Name: "rs"}, 0, false},
		"another namespace":        {[]*timeline.Track[resource.ReplicaSet]{replicas("other", "rs", map[time.Duration]int32{0: 1})}, nil, resource.Owner{Name: "rs"}, 0, false},
		"its UID":                  {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 1})}, nil, resource.Owner{Name: "rs", UID: "uid-rs"}, 1, true},
		"another UID":              {[]*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 1})}, nil, resource.Owner{Name: "rs", UID: "other"}, 0, false},
	} {
		f := account(&timeline.Timeline{Cluster: timeline.Cluster{ReplicaSets: c.sets}, Gaps: c.gaps})
		if got, told := f.fewest("ns", &c.owner, 100); got != c.want || told != c.told {
			t.Errorf("%s: it asked for %d, told: %v; want %d, %v", name, got, told, c.want, c.told)
		}
	}
	nameless := replicas("ns", "rs", map[time.Duration]int32{0: 1})
	nameless.UID = ""
	f := account(&timeline.Timeline{Cluster: timeline.Cluster{ReplicaSets: []*timeline.Track[resource.ReplicaSet]{nameless}}})
	if _, told := f.fewest("ns", &resource.Owner{Name: "rs", UID: "u"}, 100); !told {
		t.Error("a ReplicaSet whose UID nobody tells is not known by its name")
	}
	gone := replicas("ns", "rs", map[time.Duration]int32{0: 1})
	gone.Gone = 99 - propagation
	f = account(&timeline.Timeline{Cluster: timeline.Cluster{ReplicaSets: []*timeline.Track[resource.ReplicaSet]{gone}}})
	if _, told := f.fewest("ns", &resource.Owner{Name: "rs"}, 100); told {
		t.Error("a ReplicaSet that is long gone asks for pods")
	}
}

// A pod is one too many while those of its own ReplicaSet that are left are as many as it asks for.
func TestAPodTooMany(t *testing.T) {
	rs := &resource.Owner{Kind: "ReplicaSet", Name: "rs", UID: "uid-rs"}
	later := func(pods ...*timeline.Track[timeline.PodView]) (all []end) {
		for _, pod := range pods {
			all = append(all, end{pod: pod, at: pod.Gone, how: pod.Last()})
		}
		return all
	}
	for name, c := range map[string]struct {
		owner *resource.Owner
		later []end
		want  bool
	}{
		"one is left, one is asked for": {rs, later(ownedPod("ns", "a", rs, 0, timeline.Never)), true},
		"none is left":                  {rs, nil, false},
		"one of another namespace":      {rs, later(ownedPod("other", "a", rs, 0, timeline.Never)), false},
		"one of another ReplicaSet":     {rs, later(ownedPod("ns", "a", &resource.Owner{Kind: "ReplicaSet", Name: "rs-2", UID: "u2"}, 0, timeline.Never)), false},
		"one that nobody owns":          {rs, later(ownedPod("ns", "a", nil, 0, timeline.Never)), false},
		"one that comes later":          {rs, later(ownedPod("ns", "a", rs, 101, timeline.Never)), false},
		"one that came at that moment":  {rs, later(ownedPod("ns", "a", rs, 100, timeline.Never)), true},
		"nobody owns it":                {nil, later(ownedPod("ns", "a", nil, 0, timeline.Never)), false},
		"something else owns it":        {&resource.Owner{Kind: "StatefulSet", Name: "rs", UID: "uid-rs"}, later(ownedPod("ns", "a", &resource.Owner{Kind: "StatefulSet", Name: "rs", UID: "uid-rs"}, 0, timeline.Never)), false},
	} {
		f := account(&timeline.Timeline{Cluster: timeline.Cluster{ReplicaSets: []*timeline.Track[resource.ReplicaSet]{replicas("ns", "rs", map[time.Duration]int32{0: 1})}}})
		pod := ownedPod("ns", "p", c.owner, 0, 100)
		if got := f.isSurplus(end{pod: pod, at: 100, how: pod.Last()}, c.later); got != c.want {
			t.Errorf("%s: it is one too many: %v", name, got)
		}
	}
}

// Whether a disturbance ended a pod is told by what it touched, evicted, or is aimed at.
func TestWhetherAPodWasEndedOnPurpose(t *testing.T) {
	store := &resource.Owner{Kind: "StatefulSet", Name: "store"}
	evicted := timeline.Eviction{At: 105 + watch, Eviction: history.Eviction{Disturbance: "d1", Pod: "p", Namespace: "ns", Code: 201, Latency: 5}}
	for name, c := range map[string]struct {
		owner      *resource.Owner
		disruption string
		set        func(*timeline.Disturbance)
		evictions  []timeline.Eviction
		want       bool
	}{
		"by nobody": {store, "", nil, nil, false},
		"its workload's update": {store, "", func(d *timeline.Disturbance) {
			d.Name, d.Landed, d.Workload = history.RollName, 60, history.Workload{Namespace: "ns", Kind: "StatefulSet", Name: "store"}
		}, nil, true},
		"its workload's update, which did not land": {store, "", func(d *timeline.Disturbance) {
			d.Name, d.Workload = history.RollName, history.Workload{Namespace: "ns", Kind: "StatefulSet", Name: "store"}
		}, nil, false},
		"its workload's update, of another pod": {store, "", func(d *timeline.Disturbance) {
			d.Name, d.Landed, d.Workload = history.RollName, 60, history.Workload{Namespace: "ns", Kind: "StatefulSet", Name: "store"}
			d.Touched = []history.Touch{{Effect: history.Replaces, Resource: "pods", Namespace: "ns", Name: "q"}}
		}, nil, false},
		"something else that is done to its workload": {store, "", func(d *timeline.Disturbance) {
			d.Landed, d.Workload = 60, history.Workload{Namespace: "ns", Kind: "StatefulSet", Name: "store"}
		}, nil, false},
		"another's update": {store, "", func(d *timeline.Disturbance) {
			d.Name, d.Landed, d.Workload = history.RollName, 60, history.Workload{Namespace: "ns", Kind: "StatefulSet", Name: "other"}
		}, nil, false},
		"another namespace's": {store, "", func(d *timeline.Disturbance) {
			d.Name, d.Landed, d.Workload = history.RollName, 60, history.Workload{Namespace: "no", Kind: "StatefulSet", Name: "store"}
		}, nil, false},
		"a ReplicaSet's": {&resource.Owner{Kind: "ReplicaSet", Name: "rs"}, "", func(d *timeline.Disturbance) {
			d.Name, d.Landed, d.Workload = history.RollName, 60, history.Workload{Namespace: "ns", Kind: "ReplicaSet", Name: "rs"}
		}, nil, false},
		"nobody owns it": {nil, "", func(d *timeline.Disturbance) { d.Workload = history.Workload{Namespace: "ns"} }, nil, false},
		"a touch": {nil, "", func(d *timeline.Disturbance) {
			d.Touched = []history.Touch{{Effect: history.Ends, Resource: "pods", Namespace: "ns", Name: "p"}}
		}, nil, true},
		"a taint of its node":     {store, taintManager, func(d *timeline.Disturbance) { d.Name, d.Nodes = history.NodeLossName, []string{"n1"} }, nil, true},
		"a taint, and it runs":    {store, taintManager, func(d *timeline.Disturbance) { d.Name, d.Nodes = history.DrainName, []string{"n1"} }, nil, false},
		"a taint of another":      {store, taintManager, func(d *timeline.Disturbance) { d.Name, d.Nodes = history.NodeLossName, []string{"n2"} }, nil, false},
		"a taint, and not missed": {store, taintManager, func(d *timeline.Disturbance) { d.Began, d.Name, d.Nodes = 91, history.NodeLossName, []string{"n1"} }, nil, false},
		"its node, and no taint":  {store, "", func(d *timeline.Disturbance) { d.Name, d.Nodes = history.NodeLossName, []string{"n1"} }, nil, false},
		"evicted":                 {store, "", nil, []timeline.Eviction{evicted}, true},
		"evicted a moment later":  {store, "", nil, []timeline.Eviction{{At: evicted.At + 1, Eviction: evicted.Eviction}}, false},
		"the eviction is another": {store, "", nil, []timeline.Eviction{{At: 100, Eviction: history.Eviction{Disturbance: "d1", Pod: "q", Namespace: "ns", Code: 201}}}, false},
		"it was refused":          {store, "", nil, []timeline.Eviction{{At: 100, Eviction: history.Eviction{Disturbance: "d1", Pod: "p", Namespace: "ns", Code: 429}}}, false},
		"it was a trial":          {store, "", nil, []timeline.Eviction{{At: 100, Eviction: history.Eviction{Disturbance: "d1", Pod: "p", Namespace: "ns", Code: 201, DryRun: true}}}, false},
		"it was somebody else's":  {store, "", nil, []timeline.Eviction{{At: 100, Eviction: history.Eviction{Pod: "p", Namespace: "ns", Code: 201}}}, false},
	} {
		node := seen("n1", timeline.Seen[resource.Node]{At: 1, Object: resource.Node{Ready: true}}, timeline.Seen[resource.Node]{At: 90})
		tl := &timeline.Timeline{Evictions: c.evictions, Cluster: timeline.Cluster{Nodes: []*timeline.Track[resource.Node]{node}}}
		if c.set != nil {
			d := disturbance(50)
			c.set(d)
			tl.Disturbances = append(tl.Disturbances, d)
		}
		pod := ownedPod("ns", "p", c.owner, 0, 100)
		pod.Seen[0].Object.Node, pod.Seen[0].Object.Disruption = "n1", c.disruption
		if got := account(tl).isDone(end{pod: pod, at: 100, how: pod.Last()}); got != c.want {
			t.Errorf("%s: it was ended on purpose: %v", name, got)
		}
	}
}

// Containers that start anew are counted one by one, up to the end of their pod.
func TestContainersThatStartAnew(t *testing.T) {
	state := func(at time.Duration, ending bool, restarts ...int32) timeline.Seen[timeline.PodView] {
		var o timeline.PodView
		for i, n := range restarts {
			o.Containers = append(o.Containers, resource.ContainerState{Name: fmt.Sprint("c", i), Restarts: n})
		}
		o.Terminating = ending
		return timeline.Seen[timeline.PodView]{At: at, Object: o}
	}
	for name, c := range map[string]struct {
		seen        []timeline.Seen[timeline.PodView]
		touched     int
		known, left uint64
	}{
		"none":                      {[]timeline.Seen[timeline.PodView]{state(1, false, 0), state(5, false, 0)}, 0, 0, 0},
		"one":                       {[]timeline.Seen[timeline.PodView]{state(1, false, 2), state(5, false, 3)}, 0, 0, 1},
		"one that is known":         {[]timeline.Seen[timeline.PodView]{state(1, false, 2), state(5, false, 3)}, 1, 1, 0},
		"two at once, one known":    {[]timeline.Seen[timeline.PodView]{state(1, false, 2), state(5, false, 4)}, 1, 0, 1},
		"two at once, two known":    {[]timeline.Seen[timeline.PodView]{state(1, false, 2), state(5, false, 4)}, 2, 1, 0},
		"two in turn, one known":    {[]timeline.Seen[timeline.PodView]{state(1, false, 2), state(5, false, 3), state(6, false, 4)}, 1, 1, 1},
		"two containers, one known": {[]timeline.Seen[timeline.PodView]{state(1, false, 2, 0), state(5, false, 3, 1)}, 1, 1, 1},
		"a container that is new":   {[]timeline.Seen[timeline.PodView]{state(1, false), state(5, false, 1)}, 0, 0, 1},
		"it counts anew":            {[]timeline.Seen[timeline.PodView]{state(1, false, 2), state(5, false, 0)}, 0, 0, 0},
		"while it ends":             {[]timeline.Seen[timeline.PodView]{state(1, false, 0), state(5, true, 1), state(6, true, 2)}, 0, 0, 0},
		"before it ends":            {[]timeline.Seen[timeline.PodView]{state(1, false, 0), state(5, false, 1), state(6, true, 1)}, 0, 0, 1},
	} {
		tl := &timeline.Timeline{Cluster: timeline.Cluster{Pods: []*timeline.Track[timeline.PodView]{seen("p", c.seen...)}}}
		for range c.touched {
			d := disturbance(0)
			d.Touched = []history.Touch{{Effect: history.Restarts, Resource: "pods", Namespace: "ns", Name: "p"}}
			tl.Disturbances = append(tl.Disturbances, d)
		}
		f := account(tl)
		f.restarts()
		var p judge.Promise
		if f.Into(&p, ""); f.known != c.known || p.Found != c.left {
			t.Errorf("%s: %d known, %d not; want %d and %d", name, f.known, p.Found, c.known, c.left)
		}
	}
}

// restarted is a pod whose only container has started anew so many times.
func restarted(at time.Duration, n int32) timeline.Seen[timeline.PodView] {
	var o timeline.PodView
	o.Containers = []resource.ContainerState{{Name: "c", Restarts: n}}
	return timeline.Seen[timeline.PodView]{At: at, Object: o}
}

// startedAnewAt is a pod whose container started anew at some moments.
func startedAnewAt(moments []time.Duration) *timeline.Track[timeline.PodView] {
	states := []timeline.Seen[timeline.PodView]{restarted(1, 0)}
	for i, at := range moments {
		states = append(states, restarted(at, int32(i+1)))
	}
	return seen("p", states...)
}

// What a disturbance may do to a container it does in its own time, and once for each touch: what another one left undone explains nothing.
func TestContainersThatStartAnewInTurn(t *testing.T) {
	touch := history.Touch{Effect: history.Restarts, Resource: "pods", Namespace: "ns", Name: "p"}
	for name, c := range map[string]struct {
		times       int // that each of the two says it touched the pod
		restarts    []time.Duration
		known, left uint64
	}{
		"one of each":                          {1, []time.Duration{110, 210}, 2, 0},
		"both of the first":                    {1, []time.Duration{110, 115}, 1, 1},
		"both of the second, the first spared": {1, []time.Duration{210, 215}, 1, 1},
		"one of each, and one between":         {1, []time.Duration{110, 160, 210}, 2, 1},
		"two of each":                          {2, []time.Duration{110, 115, 210, 215}, 4, 0},
	} {
		tl := &timeline.Timeline{Cluster: timeline.Cluster{Pods: []*timeline.Track[timeline.PodView]{startedAnewAt(c.restarts)}}}
		for _, began := range []time.Duration{100, 200} {
			d := disturbance(began)
			d.Landed, d.Healed = began+10, began+20
			d.Phases = append(d.Phases, timeline.DisturbancePhase{At: d.Healed})
			d.Touched = slices.Repeat([]history.Touch{touch}, c.times)
			tl.Disturbances = append(tl.Disturbances, d)
		}
		f := account(tl)
		f.restarts()
		var p judge.Promise
		if f.Into(&p, ""); f.known != c.known || p.Found != c.left {
			t.Errorf("%s: %d known, %d not; want %d and %d", name, f.known, p.Found, c.known, c.left)
		}
	}
}

// A primary that lost its place to another, while a disturbance of its store went on, starts anew once to follow; whenever the kubelet lets it.
func TestAPrimaryThatWasDemotedStartsAnew(t *testing.T) {
	for name, c := range map[string]struct {
		primaries   map[time.Duration]string
		touches     string // namespace
		restarts    []time.Duration
		known, left uint64
	}{
		"it led, and another one is to":       {map[time.Duration]string{0: "p", 105: "q"}, "ns", []time.Duration{300}, 1, 0},
		"it starts anew a second time":        {map[time.Duration]string{0: "p", 105: "q"}, "ns", []time.Duration{300, 310}, 1, 1},
		"before another one led":              {map[time.Duration]string{0: "p", 105: "q"}, "ns", []time.Duration{90}, 0, 1},
		"another one led":                     {map[time.Duration]string{0: "r", 105: "q"}, "ns", []time.Duration{300}, 0, 1},
		"it leads still":                      {map[time.Duration]string{0: "p"}, "ns", []time.Duration{300}, 0, 1},
		"nobody says who is to lead":          {map[time.Duration]string{0: "p", 105: ""}, "ns", []time.Duration{300}, 0, 1},
		"nobody disturbed that store":         {map[time.Duration]string{0: "p", 105: "q"}, "other", []time.Duration{300}, 0, 1},
		"long after what was disturbed":       {map[time.Duration]string{0: "p", 500: "q"}, "ns", []time.Duration{600}, 0, 1},
		"it led twice, and lost it each time": {map[time.Duration]string{0: "p", 105: "q", 110: "p", 112: "q"}, "ns", []time.Duration{300, 310}, 2, 0},
	} {
		d := disturbance(100)
		d.Landed, d.Healed = 110, 120
		d.Phases = append(d.Phases, timeline.DisturbancePhase{At: d.Healed})
		d.Touched = []history.Touch{{Effect: history.Changes, Resource: "clusters.postgresql.cnpg.io", Namespace: c.touches, Name: "pg"}}
		tl := &timeline.Timeline{Disturbances: []*timeline.Disturbance{d}, Cluster: timeline.Cluster{Pods: []*timeline.Track[timeline.PodView]{startedAnewAt(c.restarts)}}}
		for _, at := range slices.Sorted(maps.Keys(c.primaries)) {
			data, err := json.Marshal(resource.PostgresCluster{TargetPrimary: c.primaries[at]})
			if err != nil {
				t.Fatal(err)
			}
			tl.Changes = append(tl.Changes, timeline.Change{At: at, Change: history.Change{
				Type: "modified", Resource: resource.PostgresClusters.Name, Namespace: "ns", Name: "pg", UID: "uid-pg", Object: data,
			}})
		}
		f := account(tl)
		f.restarts()
		var p judge.Promise
		if f.Into(&p, ""); f.known != c.known || p.Found != c.left {
			t.Errorf("%s: %d known, %d not; want %d and %d", name, f.known, p.Found, c.known, c.left)
		}
	}
}

// A field that was taken away leaves no author. It is excused where a disturbance says that it changes that very object, and goes on.
func TestAFieldThatIsGone(t *testing.T) {
	status := history.Author{Manager: "kube-controller-manager", Subresource: statusOf}
	for name, c := range map[string]struct {
		touched history.Touch
		at      time.Duration
		by      []history.Author
		known   uint64
	}{
		"a disturbance is undone":  {history.Touch{Effect: history.Changes, Resource: "rollouts", Namespace: "ns", Name: "app"}, 150, []history.Author{status}, 1},
		"before it began":          {history.Touch{Effect: history.Changes, Resource: "rollouts", Namespace: "ns", Name: "app"}, 50, []history.Author{status}, 0},
		"of another object":        {history.Touch{Effect: history.Changes, Resource: "rollouts", Namespace: "ns", Name: "other"}, 150, []history.Author{status}, 0},
		"another effect":           {history.Touch{Effect: history.Replaces, Resource: "rollouts", Namespace: "ns", Name: "app"}, 150, []history.Author{status}, 0},
		"somebody left their name": {history.Touch{Effect: history.Changes, Resource: "rollouts", Namespace: "ns", Name: "app"}, 150, []history.Author{status, {Manager: "kubectl"}}, 0},
		"nobody tells who wrote":   {history.Touch{Effect: history.Changes, Resource: "rollouts", Namespace: "ns", Name: "app"}, 150, nil, 0},
	} {
		d := disturbance(100)
		d.Touched = []history.Touch{c.touched}
		track := &timeline.Track[resource.Rollout]{Namespace: "ns", Name: "app", Gone: timeline.Never, Seen: []timeline.Seen[resource.Rollout]{
			{Object: resource.Rollout{Generation: 1}}, {At: c.at, Object: resource.Rollout{Generation: 2}, By: c.by},
		}}
		f := account(&timeline.Timeline{Disturbances: []*timeline.Disturbance{d}})
		changes(f, "rollouts", []*timeline.Track[resource.Rollout]{track}, func(o *resource.Rollout) any { return o.Generation })
		var p judge.Promise
		if f.Into(&p, ""); f.known != c.known || p.Found != 1-c.known {
			t.Errorf("%s: %d known, %d not; want %d known", name, f.known, p.Found, c.known)
		}
	}
}

// A release that is bad on purpose is told by its workload and its pod template, and one whose template nobody tells is none.
func TestWhetherAPodIsOfABadRelease(t *testing.T) {
	w := history.Workload{Namespace: "ns", Kind: "Rollout", Name: "app"}
	for name, c := range map[string]struct {
		hash, podHash, injects string
		workload               history.Workload
		at                     time.Duration
		want                   bool
	}{
		"it is": {"h2", "h2", "v2", w, 100, true}, "before": {"h2", "h2", "v2", w, 49, false}, "another template": {"h1", "h2", "v2", w, 100, false},
		"nobody tells": {"", "", "v2", w, 100, false}, "it is good": {"h2", "h2", "", w, 100, false}, "another workload": {"h2", "h2", "v2", history.Workload{Name: "other"}, 100, false},
	} {
		d := disturbance(50)
		d.Injects, d.Hash, d.Workload = c.injects, c.hash, c.workload
		tl := &timeline.Timeline{Disturbances: []*timeline.Disturbance{d}, Pods: map[string]*timeline.Pod{"uid-p": {Hash: c.podHash, Workload: w}}}
		if got := account(tl).isBad(seen[timeline.PodView]("p"), c.at); got != c.want {
			t.Errorf("%s: it is bad on purpose: %v", name, got)
		}
	}
	if account(&timeline.Timeline{Disturbances: []*timeline.Disturbance{disturbance(0)}}).isBad(seen[timeline.PodView]("unknown"), 5) {
		t.Error("a pod that nobody knows is bad on purpose")
	}
}

// Nodes are accounted for by what happened to them, one thing at a time.
func TestWhatHappensToNodes(t *testing.T) {
	state := func(at time.Duration, ready, cordoned bool, by ...history.Author) timeline.Seen[resource.Node] {
		return timeline.Seen[resource.Node]{At: at, Object: resource.Node{Ready: ready, Unschedulable: cordoned}, By: by}
	}
	ours := history.Author{Manager: history.DisturbanceManager}
	for name, c := range map[string]struct {
		seen        []timeline.Seen[resource.Node]
		gone        time.Duration
		aimed       bool
		known, left uint64
	}{
		"nothing":                  {[]timeline.Seen[resource.Node]{state(1, true, false), state(60, true, false)}, timeline.Never, true, 0, 0},
		"it was never ready":       {[]timeline.Seen[resource.Node]{state(1, false, false), state(60, false, false)}, timeline.Never, false, 0, 0},
		"it comes back":            {[]timeline.Seen[resource.Node]{state(1, false, false), state(60, true, false)}, timeline.Never, false, 0, 0},
		"it is lost":               {[]timeline.Seen[resource.Node]{state(1, true, false), state(60, false, false)}, timeline.Never, false, 0, 1},
		"it is lost on purpose":    {[]timeline.Seen[resource.Node]{state(1, true, false), state(60, false, false)}, timeline.Never, true, 1, 0},
		"it is gone":               {[]timeline.Seen[resource.Node]{state(1, true, false)}, 60, false, 0, 1},
		"it is gone on purpose":    {[]timeline.Seen[resource.Node]{state(1, true, false)}, 60, true, 1, 0},
		"it is cordoned":           {[]timeline.Seen[resource.Node]{state(1, true, false), state(60, true, true, history.Author{Manager: "kubectl"})}, timeline.Never, true, 0, 1},
		"it is cordoned by us":     {[]timeline.Seen[resource.Node]{state(1, true, false), state(60, true, true, ours)}, timeline.Never, true, 1, 0},
		"cordoned by us, too soon": {[]timeline.Seen[resource.Node]{state(1, true, false), state(40, true, true, ours)}, timeline.Never, true, 0, 1},
		"by us and another":        {[]timeline.Seen[resource.Node]{state(1, true, false), state(60, true, true, ours, history.Author{Manager: "kubectl"})}, timeline.Never, true, 0, 1},
		"cordoned by nobody":       {[]timeline.Seen[resource.Node]{state(1, true, false), state(60, true, true)}, timeline.Never, true, 0, 1},
		"it is uncordoned":         {[]timeline.Seen[resource.Node]{state(1, true, true), state(60, true, false)}, timeline.Never, true, 1, 0},
		"uncordoned, not by us":    {[]timeline.Seen[resource.Node]{state(1, true, true), state(60, true, false)}, timeline.Never, false, 0, 1},
	} {
		d := disturbance(50)
		if c.aimed {
			d.Name, d.Nodes, d.Touched = history.NodeLossName, []string{"n"}, []history.Touch{{Effect: history.Changes, Resource: "nodes", Name: "n"}}
		}
		node := seen("n", c.seen...)
		node.Namespace, node.Gone = "", c.gone
		f := account(&timeline.Timeline{Disturbances: []*timeline.Disturbance{d}, Cluster: timeline.Cluster{Nodes: []*timeline.Track[resource.Node]{node}}})
		f.nodes()
		var p judge.Promise
		if f.Into(&p, ""); f.known != c.known || p.Found != c.left {
			t.Errorf("%s: %d known, %d not; want %d and %d", name, f.known, p.Found, c.known, c.left)
		}
	}
}

// Orders in the status of a Rollout are ours where a disturbance touches it.
func TestOrdersToARollout(t *testing.T) {
	for name, c := range map[string]struct {
		by          history.Author
		touched     bool
		known, left uint64
	}{
		"its controller's": {history.Author{Manager: "argo", Subresource: statusOf}, false, 0, 0}, "no order": {history.Author{Manager: "kubectl"}, false, 0, 0},
		"by hand": {history.Author{Manager: "kubectl", Subresource: statusOf}, true, 0, 1},
		"ours":    {history.Author{Manager: history.DisturbanceManager, Subresource: statusOf}, true, 1, 0}, "ours, and nobody said": {history.Author{Manager: history.DisturbanceManager, Subresource: statusOf}, false, 0, 1},
	} {
		d := disturbance(50)
		if c.touched {
			d.Touched = []history.Touch{{Effect: history.Changes, Resource: "rollouts", Namespace: "ns", Name: "app"}}
		}
		f := account(&timeline.Timeline{Disturbances: []*timeline.Disturbance{d}})
		release := seen("app", timeline.Seen[resource.Rollout]{By: []history.Author{c.by}}, timeline.Seen[resource.Rollout]{At: 60, By: []history.Author{c.by}})
		orders(f, "rollouts", []*timeline.Track[resource.Rollout]{release}, []string{"argo"})
		var p judge.Promise
		if f.Into(&p, ""); f.known != c.known || p.Found != c.left {
			t.Errorf("%s: %d known, %d not; want %d and %d", name, f.known, p.Found, c.known, c.left)
		}
	}
}

// A pod is of a workload by the namespace, the kind and the name of its owner, all three.
func TestWhoKeepsAPod(t *testing.T) {
	keeper := history.Workload{Namespace: "ns", Kind: "StatefulSet", Name: "db"}
	for name, c := range map[string]struct {
		namespace string
		owner     *resource.Owner
		want      bool
	}{
		"its own":             {"ns", &resource.Owner{Kind: "StatefulSet", Name: "db"}, true},
		"nobody":              {"ns", nil, false},
		"another namespace":   {"other", &resource.Owner{Kind: "StatefulSet", Name: "db"}, false},
		"another kind":        {"ns", &resource.Owner{Kind: "Cluster", Name: "db"}, false},
		"another name":        {"ns", &resource.Owner{Kind: "StatefulSet", Name: "cache"}, false},
		"the name is alike":   {"other", &resource.Owner{Kind: "Cluster", Name: "db"}, false},
		"nobody, far from it": {"other", nil, false},
	} {
		if got := keeps(keeper, c.namespace, &timeline.PodView{Pod: resource.Pod{Owner: c.owner}}); got != c.want {
			t.Errorf("%s: it is kept: %v", name, got)
		}
	}
}

// What is still there was not deleted, however long the load goes on; and what is deleted is accounted for, unless it asked for nothing.
func TestWhatWasDeleted(t *testing.T) {
	for name, c := range map[string]struct {
		desired int32
		gone    time.Duration
		want    uint64
	}{
		"still there":             {1, timeline.Never, 0},
		"deleted":                 {1, 500, 1},
		"asks for nothing":        {0, timeline.Never, 0},
		"asked for nothing, gone": {0, 500, 0},
	} {
		f := account(&timeline.Timeline{})
		f.until = timeline.Never
		set := replicas("ns", "rs", map[time.Duration]int32{0: c.desired})
		set.Gone = c.gone
		changes(f, "replicasets.apps", []*timeline.Track[resource.ReplicaSet]{set}, func(o *resource.ReplicaSet) any { return o.Desired })
		var p judge.Promise
		if f.Into(&p, ""); p.Found != c.want || f.known != 0 {
			t.Errorf("%s: %d findings, %d accounted for; want %d findings", name, p.Found, f.known, c.want)
		}
	}
}
