package timeline

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

// disturbance is one that did not land, heal or fail.
func disturbance(id string, began time.Duration) *Disturbance {
	return &Disturbance{ID: id, Name: history.DrainName, Began: began, Landed: Never, Healed: Never, Failed: Never, Unhealed: Never}
}

func TestEvictionsOfADrain(t *testing.T) {
	d := disturbance("d", 10)
	d.Target, d.Healed = "node/worker-1", 20
	eviction := func(at time.Duration, of, pod, node string, dry bool) Eviction {
		return Eviction{At: at, Eviction: history.Eviction{Disturbance: of, Pod: pod, Node: node, DryRun: dry}}
	}
	line := &Timeline{
		Disturbances: []*Disturbance{d},
		Evictions: []Eviction{
			eviction(5, "d", "its own, early", "early", false),
			eviction(9, "", "nobody's, before", "x", false),
			eviction(10, "", "nobody's, as it begins", "n1", false),
			eviction(15, "d", "probe", "probed", true),
			eviction(15, "other", "of another one", "x", false),
			eviction(20, "", "nobody's, as it ends", "", false),
			eviction(21, "", "nobody's, after", "x", false),
			eviction(30, "d", "its own, late", "late", false),
		},
	}
	for _, name := range []string{"worker-1", "worker-2"} {
		line.Cluster.Nodes = append(line.Cluster.Nodes, &Track[resource.Node]{Name: name})
	}
	drains := line.Drains()
	if len(drains) != 1 {
		t.Fatalf("%d drains, want 1", len(drains))
	}
	pods := func(evictions []Eviction) string {
		var names []string
		for _, e := range evictions {
			names = append(names, e.Pod)
		}
		return strings.Join(names, "; ")
	}
	if got, want := pods(drains[0].Evictions), "its own, early; nobody's, as it begins; nobody's, as it ends; its own, late"; got != want {
		t.Errorf("its evictions are of %s, want %s", got, want)
	}
	if got := pods(drains[0].Probes); got != "probe" {
		t.Errorf("its dry runs are of %s", got)
	}
	want := map[string]bool{"early": true, "n1": true, "late": true, "worker-1": true}
	if !maps.Equal(drains[0].Nodes, want) {
		t.Errorf("it drains %v, want %v", drains[0].Nodes, want)
	}
	for target, want := range map[string]string{"worker-2": "worker-2", "node worker-2": "worker-2", "node/worker-3": ""} {
		d.Target = target
		drain := line.Drains()[0]
		delete(drain.Nodes, "early")
		delete(drain.Nodes, "n1")
		delete(drain.Nodes, "late")
		if got := strings.Join(slices.Collect(maps.Keys(drain.Nodes)), " "); got != want {
			t.Errorf("%s is of node %q, want %q", target, got, want)
		}
	}
}

func TestTheTimeOfDrains(t *testing.T) {
	first, second, kill, missing := disturbance("a", 10), disturbance("b", 15), disturbance("c", 1), disturbance("d", Never)
	first.Healed, second.Landed = 40, 30
	kill.Name = "kill"
	line := &Timeline{Disturbances: []*Disturbance{first, second, kill, missing}, Last: 100}
	if got := DuringDrains(line); got != (Span{From: 10, Until: 40}) {
		t.Errorf("drains from %d until %d, want from 10 until 40", got.From, got.Until)
	}
	second.Landed = Never
	if got := DuringDrains(line); got != (Span{From: 10, Until: 100}) {
		t.Errorf("with one that did not end, from %d until %d, want from 10 until the last event at 100", got.From, got.Until)
	}
	if got := DuringDrains(&Timeline{}); got.From <= got.Until {
		t.Errorf("without a drain there is time from %d until %d", got.From, got.Until)
	}
}

func TestAnswersToEvictions(t *testing.T) {
	for _, c := range []struct {
		code              int
		cause             string
		accepted, refused bool
	}{
		{199, "", false, false}, {200, "", true, false}, {201, "", true, false}, {202, "", false, false},
		{429, "DisruptionBudget", false, true}, {429, "", false, false}, {428, "DisruptionBudget", false, false}, {430, "DisruptionBudget", false, false}, {0, "", false, false},
	} {
		e := &Eviction{Eviction: history.Eviction{Code: c.code, Cause: c.cause}}
		if e.Accepted() != c.accepted || e.Refused() != c.refused {
			t.Errorf("%d %s: accepted %v, refused %v", c.code, c.cause, e.Accepted(), e.Refused())
		}
	}
}

func TestWhichPodAnEvictionIsOf(t *testing.T) {
	for _, c := range []struct {
		eviction history.Eviction
		pod      Track[PodView]
		want     bool
	}{
		{history.Eviction{UID: "u", Pod: "other", Namespace: "x"}, Track[PodView]{UID: "u", Name: "p", Namespace: "n"}, true},
		{history.Eviction{UID: "v", Pod: "p", Namespace: "n"}, Track[PodView]{UID: "u", Name: "p", Namespace: "n"}, false},
		{history.Eviction{Pod: "p", Namespace: "n"}, Track[PodView]{UID: "u", Name: "p", Namespace: "n"}, true},
		{history.Eviction{UID: "v", Pod: "p", Namespace: "n"}, Track[PodView]{Name: "p", Namespace: "n"}, true},
		{history.Eviction{Pod: "p", Namespace: "x"}, Track[PodView]{Name: "p", Namespace: "n"}, false},
		{history.Eviction{Pod: "q", Namespace: "n"}, Track[PodView]{Name: "p", Namespace: "n"}, false},
	} {
		if got := (&Eviction{Eviction: c.eviction}).Of(&c.pod); got != c.want {
			t.Errorf("%+v is of %s/%s %s: %v, want %v", c.eviction, c.pod.Namespace, c.pod.Name, c.pod.UID, got, c.want)
		}
	}
}

func TestWhichPodsABudgetCovers(t *testing.T) {
	pod := &Track[PodView]{Namespace: "n", Seen: []Seen[PodView]{{Object: PodView{Pod: resource.Pod{Labels: map[string]string{"app": "api"}}}}}}
	budget := func(namespace, selector string) *Track[resource.PDB] {
		return &Track[resource.PDB]{Namespace: namespace, Gone: Never, Seen: []Seen[resource.PDB]{{At: 5, Object: resource.PDB{Selector: selector}}}}
	}
	for _, c := range []struct {
		namespace, selector string
		want                bool
	}{
		{"n", "app=api", true}, {"n", "app=web", false}, {"n", "*", true}, {"n", "", false}, {"x", "app=api", false}, {"x", "*", false}, {"n", "app in (", false},
	} {
		if got := Covers(budget(c.namespace, c.selector), pod); got != c.want {
			t.Errorf("%q in %s covers the pod: %v, want %v", c.selector, c.namespace, got, c.want)
		}
	}
	line := &Timeline{}
	line.Cluster.Budgets = []*Track[resource.PDB]{budget("n", "app=web"), budget("n", "app=api"), budget("n", "*")}
	line.Cluster.Budgets[2].Gone = 8
	for at, want := range map[time.Duration]int{4: 0, 5: 2, 7: 2, 8: 1} {
		if got := line.BudgetsOf(pod, at); len(got) != want || len(line.Cluster.Budgets) != 3 {
			t.Errorf("at %d %d budgets protect it, want %d", at, len(got), want)
		}
	}
}
