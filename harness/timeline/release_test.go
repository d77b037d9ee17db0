package timeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

// rollout is a track of a Rollout; each word is a moment: its stable and its current pod template, with "!" where somebody ordered it promoted
// in full and "a" in front where it was aborted.
func rollout(moments ...string) *Track[resource.Rollout] {
	track := &Track[resource.Rollout]{Namespace: "shop", Name: "api", Gone: Never}
	for i, moment := range moments {
		o := resource.Rollout{PromoteFull: strings.HasSuffix(moment, "!"), Abort: strings.HasPrefix(moment, "a ")}
		o.StableRS, o.CurrentPodHash, _ = strings.Cut(strings.TrimPrefix(strings.TrimSuffix(moment, "!"), "a "), ">")
		track.Seen = append(track.Seen, Seen[resource.Rollout]{At: time.Duration(i + 1), Object: o})
	}
	return track
}

func TestReleasesOfARollout(t *testing.T) {
	for name, c := range map[string]struct {
		moments []string
		broken  time.Duration
		want    string
	}{
		"one":                              {[]string{"1>1", "1>2", "1>2", "2>2"}, Never, "2 over 1 from 2, 3 states"},
		"begun before anybody watched":     {[]string{"1>2", "2>2"}, Never, "2 over 1 from 1, 2 states, midway"},
		"the first of all":                 {[]string{">1", "1>1"}, Never, ""},
		"not told yet":                     {[]string{"1>", "1>1"}, Never, ""},
		"one after another":                {[]string{"1>1", "1>2", "2>2", "2>3"}, Never, "2 over 1 from 2 until 4, 2 states; 3 over 2 from 4, 1 states"},
		"given up for another":             {[]string{"1>1", "1>2", "1>3", "3>3"}, Never, "2 over 1 from 2 until 3, 1 states; 3 over 1 from 3, 2 states"},
		"the way back is none":             {[]string{"1>1", "1>2", "1>1"}, Never, "2 over 1 from 2 until 3, 1 states"},
		"ordered to skip its steps":        {[]string{"1>1", "1>2", "1>2!", "2>2"}, Never, ""},
		"what comes after a run broke off": {[]string{"1>1", "1>2", "1>3"}, 2, "2 over 1 from 2, 1 states"},
	} {
		line := &Timeline{Broken: c.broken, Cluster: Cluster{Rollouts: []*Track[resource.Rollout]{rollout(c.moments...)}}}
		var got []string
		for _, r := range line.Releases() {
			text := fmt.Sprintf("%s over %s from %d", r.Hash, r.Stable, r.Began)
			if r.Until != Never {
				text += fmt.Sprintf(" until %d", r.Until)
			}
			if text += fmt.Sprintf(", %d states", len(r.States)); r.Midway {
				text += ", midway"
			}
			got = append(got, text)
		}
		if got := strings.Join(got, "; "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestReleasesOfAllRolloutsAreInOrder(t *testing.T) {
	late, early := rollout("1>1", "1>1", "1>2"), rollout("1>1", "1>2")
	late.Name = "web"
	line := &Timeline{Broken: Never, Cluster: Cluster{Rollouts: []*Track[resource.Rollout]{late, early}}}
	if got := line.Releases(); len(got) != 2 || got[0].Workload != api || got[1].Workload != web {
		t.Errorf("%d releases, want that of api before that of web", len(got))
	}
}

// The version of a pod template is what a ReplicaSet of the Rollout says, and of no other.
func TestTheVersionOfAPodTemplate(t *testing.T) {
	r := &Release{Identity: Identity{Workload: api}}
	type sets = []*Track[resource.ReplicaSet]
	unowned := func(namespace string) *Track[resource.ReplicaSet] {
		return replicaSet(namespace, "x", resource.ReplicaSet{Hash: "h", Version: "v"})
	}
	for name, c := range map[string]struct {
		sets sets
		want string
	}{
		"its own": {sets{ownedReplicaSet(api, "v", "h")}, "v"}, "of nobody that is told": {sets{unowned("shop")}, "v"}, "of another namespace": {sets{unowned("x")}, ""},
		"of another Rollout": {sets{ownedReplicaSet(web, "v", "h")}, ""}, "of another hash": {sets{ownedReplicaSet(api, "v", "i")}, ""},
		"that does not tell": {sets{ownedReplicaSet(api, "", "h"), ownedReplicaSet(api, "v", "h")}, "v"}, "nobody": {nil, ""},
	} {
		if got := (&Timeline{Cluster: Cluster{ReplicaSets: c.sets}}).versionOf(r, "h"); got != c.want {
			t.Errorf("%s: version %q, want %q", name, got, c.want)
		}
	}
	line := &Timeline{Broken: Never, Cluster: Cluster{Rollouts: []*Track[resource.Rollout]{rollout("1>1", "1>2")},
		ReplicaSets: sets{ownedReplicaSet(api, "v1", "1"), ownedReplicaSet(api, "v2", "2")}}}
	if r := line.Releases()[0]; r.Version != "v2" || r.StableVersion != "v1" || !r.alone {
		t.Errorf("a release of %s over %s, alone %v", r.Version, r.StableVersion, r.alone)
	}
}

func TestAnalysesOfARelease(t *testing.T) {
	const s = time.Second
	run := func(began time.Duration, namespace, hash, owner string) *Track[resource.AnalysisRun] {
		o := resource.AnalysisRun{Hash: hash, Step: "1"}
		if owner != "" {
			o.Owner = &resource.Owner{Kind: "Rollout", Name: owner}
		}
		return &Track[resource.AnalysisRun]{Namespace: namespace, Name: hash, Gone: Never, Seen: []Seen[resource.AnalysisRun]{{At: began, Object: o}}}
	}
	r := &Release{Identity: Identity{Workload: api, Hash: "h"}, Began: 100 * s, Until: 200 * s}
	for name, c := range map[string]struct {
		run  *Track[resource.AnalysisRun]
		want int
	}{
		"its own":                            {run(150*s, "shop", "h", "api"), 1},
		"of nobody that is told":             {run(150*s, "shop", "h", ""), 1},
		"of another Rollout":                 {run(150*s, "shop", "h", "web"), 0},
		"of another namespace":               {run(150*s, "x", "h", "api"), 0},
		"of another release":                 {run(150*s, "shop", "i", "api"), 0},
		"told before the release by a watch": {run(95*s, "shop", "h", "api"), 1},
		"longer before it":                   {run(95*s-1, "shop", "h", "api"), 0},
		"the last moment":                    {run(200*s-1, "shop", "h", "api"), 1},
		"when the next one began":            {run(200*s, "shop", "h", "api"), 0},
		"as the run was broken off":          {run(180*s, "shop", "h", "api"), 1},
		"when the run had been broken off":   {run(180*s+1, "shop", "h", "api"), 0},
	} {
		line := &Timeline{Broken: 180 * s, Cluster: Cluster{AnalysisRuns: []*Track[resource.AnalysisRun]{c.run}}}
		if strings.HasPrefix(name, "the last") || strings.HasPrefix(name, "when the next") {
			line.Broken = Never
		}
		if got := line.runsOf(r); len(got) != c.want {
			t.Errorf("%s: %d analyses, want %d", name, len(got), c.want)
		}
	}
	background := run(150*s, "shop", "h", "api")
	background.Seen[0].Object.Step = ""
	r.Runs = []*Track[resource.AnalysisRun]{background, run(150*s, "shop", "h", "api")}
	if got := r.StepRuns(); len(got) != 1 || got[0] != r.Runs[1] || len(r.Runs) != 2 || len(r.RunTexts()) != 2 {
		t.Errorf("%d analyses are steps, want the second one", len(got))
	}
}

func TestTheEndOfAnAnalysis(t *testing.T) {
	for phase, want := range map[string]time.Duration{"": Never, "Pending": Never, "Running": Never, "Successful": 2, "Failed": 2, "Error": 2, "Inconclusive": 2} {
		run := &Track[resource.AnalysisRun]{Seen: []Seen[resource.AnalysisRun]{{At: 1}, {At: 2, Object: resource.AnalysisRun{Phase: phase}}, {At: 3, Object: resource.AnalysisRun{Phase: phase}}}}
		if got := RunEnd(run); got != want {
			t.Errorf("phase %q: it ended at %d, want %d", phase, got, want)
		}
	}
	o := &resource.AnalysisRun{Metrics: []resource.MetricResult{{Name: "first"}, {Name: "second"}}}
	for _, name := range []string{"first", "second"} {
		if m := MetricOf(o, name); m == nil || m.Name != name {
			t.Errorf("metric %s is %v", name, m)
		}
	}
	if MetricOf(o, "third") != nil {
		t.Error("a metric that was not measured is there")
	}
}

func TestWhatBecameOfARelease(t *testing.T) {
	healthy := resource.Rollout{Phase: "Healthy", Generation: 12, ObservedGeneration: "12", StableRS: "h", CurrentPodHash: "h"}
	release := func(change func(*resource.Rollout)) *Release {
		o := healthy
		change(&o)
		return &Release{Identity: Identity{Hash: "h"}, Until: 50, States: []Seen[resource.Rollout]{{At: 1, Object: resource.Rollout{StableRS: "g", CurrentPodHash: "h"}}, {At: 2, Object: o}, {At: 3, Object: o}}}
	}
	for name, c := range map[string]struct {
		change                     func(*resource.Rollout)
		healthy, promoted, aborted time.Duration
	}{
		"healthy":       {func(*resource.Rollout) {}, 2, 2, Never},
		"progressing":   {func(o *resource.Rollout) { o.Phase = "Progressing" }, Never, 2, Never},
		"not seen yet":  {func(o *resource.Rollout) { o.ObservedGeneration = "11" }, Never, 2, Never},
		"stable before": {func(o *resource.Rollout) { o.StableRS = "g" }, Never, Never, Never},
		"given up":      {func(o *resource.Rollout) { o.Abort = true }, Never, 2, 2},
	} {
		r := release(c.change)
		if r.Healthy() != c.healthy || r.Promoted() != c.promoted || r.Aborted() != c.aborted {
			t.Errorf("%s: healthy at %d, promoted at %d, aborted at %d, want %d, %d, %d", name, r.Healthy(), r.Promoted(), r.Aborted(), c.healthy, c.promoted, c.aborted)
		}
	}
	r := release(func(*resource.Rollout) {})
	if r.Last() != &r.States[2].Object || r.End(&Timeline{Last: 40}) != 40 || r.End(&Timeline{Last: 60}) != 50 {
		t.Errorf("its last state is %+v, its end at %d and %d", r.Last(), r.End(&Timeline{Last: 40}), r.End(&Timeline{Last: 60}))
	}
}

func TestTheShareOfARelease(t *testing.T) {
	r := &Release{Identity: Identity{Hash: "h"}}
	say := func(at time.Duration, hash string, percent int32) {
		r.States = append(r.States, Seen[resource.Rollout]{At: at, Object: resource.Rollout{Weights: &resource.Weights{Canary: resource.Weight{Weight: percent, PodTemplateHash: hash}}}})
	}
	r.States = append(r.States, Seen[resource.Rollout]{At: 1})
	say(2, "h", 10)
	say(4, "other", 50)
	say(6, "h", 30)
	for at, want := range map[time.Duration]int32{1: 0, 2: 10, 4: 10, 5: 10, 6: 30, 9: 30} {
		if got := r.WeightAt(at); got != want {
			t.Errorf("at %d the share is %d, want %d", at, got, want)
		}
	}
	for i, want := range []string{"0 false", "10 true", "0 false", "30 true"} {
		percent, told := r.Weight(&r.States[i].Object)
		if got := fmt.Sprint(percent, told); got != want {
			t.Errorf("state %d says %s, want %s", i, got, want)
		}
	}
}

// A release is bad on purpose only where an injection is of its own workload, version and hash, and began before it was over.
func TestReleasesThatAreBadOnPurpose(t *testing.T) {
	for name, c := range map[string]struct {
		format int
		change func(*Injection, *Release)
		want   bool
	}{
		"its own":                      {2, func(*Injection, *Release) {}, true},
		"its own, and no hash is told": {2, func(i *Injection, _ *Release) { i.Hash = "" }, true},
		"another hash":                 {2, func(i *Injection, _ *Release) { i.Hash = "i" }, false},
		"another workload":             {2, func(i *Injection, _ *Release) { i.Workload = web }, false},
		"another version":              {2, func(i *Injection, _ *Release) { i.Version = "v3" }, false},
		"no version":                   {2, func(i *Injection, r *Release) { i.Version, r.Version = "", "" }, false},
		"begun when it was over":       {2, func(i *Injection, _ *Release) { i.From = 50 }, false},
		"begun just before":            {2, func(i *Injection, _ *Release) { i.From = 49 }, true},
		"format 1":                     {1, func(i *Injection, _ *Release) { i.Workload, i.Hash = web, "i" }, true},
		"format 1, another version":    {1, func(i *Injection, _ *Release) { i.Version = "v3" }, false},
	} {
		id := Identity{Workload: api, Version: "v2", Hash: "h"}
		i, r := &Injection{Identity: id, From: 10}, &Release{Identity: id, Until: 50}
		c.change(i, r)
		if got := (&Timeline{Run: history.Run{Format: c.format}}).isOf(i, r); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	line := &Timeline{Disturbances: []*Disturbance{{Injects: "v2", Workload: api, Hash: "h", Began: 1, Healed: Never, Failed: Never}}}
	if !line.IsInjected(&Release{Identity: Identity{Workload: api, Version: "v2", Hash: "h"}, Until: 9}) || line.IsInjected(&Release{Until: 9}) {
		t.Error("the release that was injected is not told from others")
	}
}

func TestReleaseOrdersAtTheBounds(t *testing.T) {
	const s = time.Second
	at := func(id string, began, healed time.Duration) *Disturbance {
		return &Disturbance{ID: id, Began: began, Landed: Never, Healed: healed, Failed: Never, Unhealed: Never}
	}
	r := &Release{Identity: Identity{Workload: api}, Began: 100 * s}
	for name, c := range map[string]struct {
		disturbances []*Disturbance
		format       int
		want         string
	}{
		"as late as another watch may tell": {[]*Disturbance{at("a", 105*s, 200*s)}, 2, "a"},
		"later":                             {[]*Disturbance{at("a", 105*s+1, 200*s)}, 2, ""},
		"over as early as that":             {[]*Disturbance{at("a", 10*s, 95*s)}, 2, "a"},
		"over earlier":                      {[]*Disturbance{at("a", 10*s, 95*s-1)}, 2, ""},
		"two at one moment":                 {[]*Disturbance{at("a", 99*s, 200*s), at("b", 99*s, 200*s)}, 2, "b"},
		"the later one is told first":       {[]*Disturbance{at("a", 99*s, 200*s), at("b", 98*s, 200*s)}, 2, "a"},
		"one before, one at the moment":     {[]*Disturbance{at("a", 99*s, 200*s), at("b", 100*s, 200*s)}, 2, "b"},
		"two after":                         {[]*Disturbance{at("a", 101*s, 200*s), at("b", 102*s, 200*s)}, 2, "a"},
		"over when the record ended":        {[]*Disturbance{at("a", 10*s, Never)}, 2, "a"},
		"of another workload in format 1":   {[]*Disturbance{{ID: "a", Workload: web, Began: 99 * s, Landed: Never, Healed: Never, Failed: Never, Unhealed: Never}}, 1, "a"},
	} {
		line := &Timeline{Run: history.Run{Format: c.format}, Disturbances: c.disturbances, Last: 300 * s}
		got := ""
		if d := line.OrderOf(r); d != nil {
			got = d.ID
		}
		if got != c.want {
			t.Errorf("%s: ordered by %q, want %q", name, got, c.want)
		}
	}
	early := &Timeline{Disturbances: []*Disturbance{at("a", 10*s, Never)}, Last: 94 * s}
	if early.OrderOf(r) != nil {
		t.Error("a release after the last event was ordered by what the record no longer tells of")
	}
}

// The sentences tell what is wrong where something is: an abort, errors, a message, values.
func TestSentencesOfReleasesTellAll(t *testing.T) {
	for name, pair := range map[string][2]string{
		"abort":     {StateText(&resource.Rollout{}), StateText(&resource.Rollout{Abort: true})},
		"message":   {StateText(&resource.Rollout{}), StateText(&resource.Rollout{Message: "m"})},
		"errors":    {MetricText(&resource.MetricResult{}), MetricText(&resource.MetricResult{Error: 1})},
		"values":    {MetricText(&resource.MetricResult{}), MetricText(&resource.MetricResult{Measurements: []resource.Measurement{{Value: "7"}}})},
		"a message": {RunText(&Track[resource.AnalysisRun]{Seen: []Seen[resource.AnalysisRun]{{}}}), RunText(&Track[resource.AnalysisRun]{Seen: []Seen[resource.AnalysisRun]{{Object: resource.AnalysisRun{Message: "m"}}}})},
	} {
		if without, with := pair[0], pair[1]; !strings.HasPrefix(with, strings.TrimSuffix(without, "m")) || len(with) <= len(without) {
			t.Errorf("%s: %q tells no more than %q", name, with, without)
		}
	}
	// What nobody could count is no count: a negative number of a damaged record is none.
	if got, want := MetricText(&resource.MetricResult{Count: -1}), MetricText(&resource.MetricResult{}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
