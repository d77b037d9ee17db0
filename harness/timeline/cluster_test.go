package timeline

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

// node is a change of a node; an empty text is a change without an object.
func node(at time.Duration, kind, uid, object string) Change {
	c := Change{At: at, Change: history.Change{Type: kind, Resource: "nodes", Name: "n", UID: uid}}
	if object != "" {
		c.Object = json.RawMessage(object)
	}
	return c
}

// clusterOf sorts changes by object, and says what of them cannot be read.
func clusterOf(changes []Change) (Cluster, []history.Damage) {
	t := Timeline{Changes: changes}
	t.readCluster()
	return t.Cluster, t.Damage
}

// told is what the tracks say, one line each: the UID, when it was seen and how, and when it was gone.
func told(tracks []*Track[resource.Node]) string {
	var lines []string
	for _, track := range tracks {
		line := track.UID
		for _, s := range track.Seen {
			line += fmt.Sprintf(" %d:%s", s.At, s.Object.KubeletVersion)
		}
		if !track.Here() {
			line += fmt.Sprintf(" gone %d", track.Gone)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func TestTheLifeOfAnObject(t *testing.T) {
	const a, b = `{"kubeletVersion":"a"}`, `{"kubeletVersion":"b"}`
	for name, c := range map[string]struct {
		changes []Change
		want    string
		damage  int
	}{
		"seen, changed, deleted":              {[]Change{node(1, "added", "x", a), node(2, "modified", "x", b), node(3, "deleted", "x", b)}, "x 1:a 2:b 3:b gone 3", 0},
		"deleted without its content":         {[]Change{node(1, "added", "x", a), node(3, "deleted", "x", "")}, "x 1:a gone 3", 0},
		"deleted with content nobody reads":   {[]Change{node(1, "added", "x", a), node(3, "deleted", "x", "[]")}, "x 1:a gone 3", 1},
		"changed without its content":         {[]Change{node(1, "added", "x", a), node(3, "modified", "x", "")}, "x 1:a", 1},
		"changed with content nobody reads":   {[]Change{node(1, "added", "x", a), node(3, "modified", "x", "[]"), node(4, "modified", "x", b)}, "x 1:a 4:b", 1},
		"never seen but as it went":           {[]Change{node(3, "deleted", "x", b)}, "x 3:b gone 3", 0},
		"nothing of it can be read":           {[]Change{node(1, "added", "x", "[]"), node(3, "deleted", "x", "")}, "", 1},
		"another one of its name":             {[]Change{node(1, "added", "x", a), node(2, "deleted", "x", a), node(5, "added", "y", b)}, "x 1:a 2:a gone 2; y 5:b", 0},
		"another one, and nobody saw it go":   {[]Change{node(1, "added", "x", a), node(5, "modified", "y", b)}, "x 1:a gone 5; y 5:b", 0},
		"another one is unreadable at first":  {[]Change{node(1, "added", "x", a), node(5, "modified", "y", "[]"), node(6, "modified", "y", b)}, "x 1:a gone 5; y 6:b", 1},
		"there again under no UID":            {[]Change{node(1, "added", "", a), node(2, "deleted", "", a), node(5, "added", "", b)}, " 1:a 2:a gone 2;  5:b", 0},
		"deleted twice":                       {[]Change{node(1, "added", "x", a), node(2, "deleted", "x", a), node(5, "deleted", "x", b)}, "x 1:a 2:a 5:b gone 2", 0},
		"a change does not tell the UID":      {[]Change{node(1, "added", "x", a), node(2, "modified", "", b)}, "x 1:a 2:b", 0},
		"the UID is told later":               {[]Change{node(1, "added", "", a), node(2, "modified", "x", b)}, " 1:a 2:b", 0},
		"what is of another resource is none": {[]Change{{At: 1, Change: history.Change{Type: "added", Resource: "leases", Name: "n", Object: json.RawMessage(a)}}}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, damage := clusterOf(c.changes)
			if got := told(cluster.Nodes); got != c.want || len(damage) != c.damage {
				t.Errorf("got %q with damage %v, want %q with %d", got, damage, c.want, c.damage)
			}
		})
	}
}

// Two objects of one name in two namespaces are two, and so are two names.
func TestObjectsOfOtherNames(t *testing.T) {
	var changes []Change
	for _, n := range []struct{ namespace, name string }{{"a", "x"}, {"b", "x"}, {"a", "y"}} {
		changes = append(changes, Change{Change: history.Change{Type: "added", Resource: "nodes", Namespace: n.namespace, Name: n.name, Object: json.RawMessage(`{}`)}})
	}
	cluster, _ := clusterOf(changes)
	if got := cluster.Nodes; len(got) != 3 || got[1].Namespace != "b" || got[2].Name != "y" {
		t.Errorf("%d tracks, want 3", len(got))
	}
}

// A pod of a cluster comes with its object and its state; a process comes with its state only, and is none of the cluster.
func TestPodsOfAClusterAndProcesses(t *testing.T) {
	change := func(name, object string, state *history.PodState) Change {
		c := Change{Change: history.Change{Type: "added", Resource: "pods", Name: name, Pod: state}}
		if object != "" {
			c.Object = json.RawMessage(object)
		}
		return c
	}
	cluster, damage := clusterOf([]Change{
		change("pod", `{"disruption":"x"}`, &history.PodState{Node: "n"}), change("process", "", &history.PodState{}), change("stateless", `{}`, nil),
	})
	if len(cluster.Pods) != 1 || cluster.Pods[0].Last().Node != "n" || cluster.Pods[0].Last().Disruption != "x" || len(damage) != 1 {
		t.Errorf("read %d pods with damage %v", len(cluster.Pods), damage)
	}
	for _, c := range []struct {
		change Change
		want   bool
	}{{change("process", "", nil), false}, {change("pod", `{}`, nil), true}, {node(1, "deleted", "", ""), true}} {
		if got := c.change.isClustered(); got != c.want {
			t.Errorf("%s %s is of a cluster: %v, want %v", c.change.Resource, c.change.Name, got, c.want)
		}
	}
}

func TestEveryResourceHasItsTracks(t *testing.T) {
	var changes []Change
	for i, resource := range []string{"pods", "nodes", "replicasets", "poddisruptionbudgets", "rollouts", "analysisruns", "traefikservices", "events"} {
		changes = append(changes, Change{Change: history.Change{Type: "added", Resource: resource, Name: fmt.Sprint(i), Object: json.RawMessage(`{}`),
			Pod: &history.PodState{}, By: []history.Author{{Manager: resource}}}})
	}
	c, damage := clusterOf(changes)
	var got []string
	add := func(name, by string) { got = append(got, name+" "+by) }
	for _, x := range c.Pods {
		add(x.Name, x.Seen[0].By[0].Manager)
	}
	for _, x := range c.Nodes {
		add(x.Name, x.Seen[0].By[0].Manager)
	}
	for _, x := range c.ReplicaSets {
		add(x.Name, x.Seen[0].By[0].Manager)
	}
	for _, x := range c.Budgets {
		add(x.Name, x.Seen[0].By[0].Manager)
	}
	for _, x := range c.Rollouts {
		add(x.Name, x.Seen[0].By[0].Manager)
	}
	for _, x := range c.AnalysisRuns {
		add(x.Name, x.Seen[0].By[0].Manager)
	}
	for _, x := range c.TraefikServices {
		add(x.Name, x.Seen[0].By[0].Manager)
	}
	for _, x := range c.Events {
		add(x.Name, x.Seen[0].By[0].Manager)
	}
	want := []string{"0 pods", "1 nodes", "2 replicasets", "3 poddisruptionbudgets", "4 rollouts", "5 analysisruns", "6 traefikservices", "7 events"}
	if !slices.Equal(got, want) || len(damage) > 0 {
		t.Errorf("got %q with damage %v, want %q", got, damage, want)
	}
}

func TestAnObjectAtAMoment(t *testing.T) {
	track := &Track[string]{Seen: []Seen[string]{{At: 2, Object: "first"}, {At: 5, Object: "second"}}, Gone: 9}
	for moment, want := range map[time.Duration]string{1: "", 2: "first", 4: "first", 5: "second", 8: "second", 9: "", 10: ""} {
		got := ""
		if o := track.At(moment); o != nil {
			got = *o
		}
		if got != want {
			t.Errorf("at %d it is %q, want %q", moment, got, want)
		}
	}
	if *track.Last() != "second" || track.Here() {
		t.Errorf("it was last %q, here %v", *track.Last(), track.Here())
	}
	for moment, want := range map[time.Duration]int{1: 0, 2: 1, 4: 1, 5: 2, 6: 2} {
		if cut := track.until(moment); len(cut.Seen) != want || len(track.Seen) != 2 {
			t.Errorf("until %d it was seen %d times, want %d", moment, len(cut.Seen), want)
		}
	}
}

func TestWhenThePodsEndBegan(t *testing.T) {
	pod := func(gone time.Duration, terminating ...bool) *Track[PodView] {
		track := &Track[PodView]{Gone: gone}
		for i, is := range terminating {
			track.Seen = append(track.Seen, Seen[PodView]{At: time.Duration(i), Object: PodView{PodState: history.PodState{Terminating: is}}})
		}
		return track
	}
	for _, c := range []struct {
		pod  *Track[PodView]
		want time.Duration
	}{{pod(9, false, true, true), 1}, {pod(9, false, false), 9}, {pod(Never, false), Never}} {
		if got := Ended(c.pod); got != c.want {
			t.Errorf("its end began at %d, want %d", got, c.want)
		}
	}
}
