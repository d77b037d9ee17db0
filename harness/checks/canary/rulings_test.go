package canary

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// The tests of this file change one thing of a release that went as it should, and count what is found.

var tolerance = judge.Tolerance{Propagation: 50, Watch: 10}

// state is what a Rollout says of release h2.
func state(at time.Duration, change func(*resource.Rollout)) timeline.Seen[resource.Rollout] {
	o := resource.Rollout{Generation: 1, ObservedGeneration: "1", Phase: "Progressing", StableRS: "h1", CurrentPodHash: "h2",
		Weights: &resource.Weights{Canary: resource.Weight{Weight: 10, PodTemplateHash: "h2", ServiceName: "canary"}, Stable: resource.Weight{Weight: 90, ServiceName: "stable"}}}
	if change != nil {
		change(&o)
	}
	return timeline.Seen[resource.Rollout]{At: at, Object: o}
}

func aborted(o *resource.Rollout) {
	o.Abort, o.AbortedAt, o.Phase, o.Weights.Canary.Weight = true, "then", "Degraded", 0
}

func metric(name, phase string, count int32) resource.MetricResult {
	return resource.MetricResult{Name: name, Phase: phase, Count: count}
}

// analysis is a run that is a step, from one moment to another.
func analysis(name string, began, ended time.Duration, phase string, metrics ...resource.MetricResult) *timeline.Track[resource.AnalysisRun] {
	o := resource.AnalysisRun{Step: "1", Phase: "Running"}
	over := o
	over.Phase, over.Metrics = phase, metrics
	return &timeline.Track[resource.AnalysisRun]{Namespace: "bitvault", Name: name, Gone: timeline.Never,
		Seen: []timeline.Seen[resource.AnalysisRun]{{At: began, Object: o}, {At: ended, Object: over}}}
}

// abortedRelease is a release of v2 from 100 that is aborted at 300 by its errors.
func abortedRelease() *timeline.Release {
	return &timeline.Release{Identity: timeline.Identity{Workload: app, Version: "v2", Hash: "h2"}, Stable: "h1", StableVersion: "v1", Began: 100, Until: timeline.Never,
		States: []timeline.Seen[resource.Rollout]{state(100, nil), state(300, aborted)},
		Runs:   []*timeline.Track[resource.AnalysisRun]{analysis("first", 200, 290, "Failed", metric("errors", "Failed", 1), metric("latency", "Successful", 2))}}
}

// finished is a timeline of a run that came to its end.
func finished() *timeline.Timeline {
	tl := loaded(0, 1000)
	tl.End, tl.Last, tl.Ended = &history.End{Outcome: history.EndFinished}, 1000, 1000
	return tl
}

// abort judges one trial of which the arms saw as much as they should, but for what is changed.
func abort(release *timeline.Release, tl *timeline.Timeline, late bool, weights []int32, change func(*abortCount)) (judge.Promise, judge.Ruling) {
	f := &abortion{t: tl, strategy: Strategy{Weights: weights}, budgets: AbortBudgets{Measurements: 2, Notice: 100}, tolerance: tolerance,
		kind: regression{metric: "errors", what: "failed answer", late: late}, trials: []trial{trialOf(release, []*timeline.Release{release}, tolerance)}}
	n := abortCount{bad: 250, evidence: "a hit", rest: judge.Enough}
	if change != nil {
		change(&n)
	}
	f.arms = []*armAbort{{counts: []abortCount{{bad: timeline.Never}}}, {counts: []abortCount{n}}}
	var p judge.Promise
	r := judge.Ruling{Timeline: tl}
	f.judge(0, &r, &p)
	r.Into(&p, "as told")
	return p, r
}

func TestAnAbortIsJudgedByAllOfIt(t *testing.T) {
	seven := int32(7)
	split := func(namespace string, from, gone time.Duration, canary, stable *int32) func(*timeline.Release, *timeline.Timeline) {
		return func(_ *timeline.Release, tl *timeline.Timeline) {
			tl.Cluster.TraefikServices = append(tl.Cluster.TraefikServices, &timeline.Track[resource.TraefikService]{Namespace: namespace, Name: "split", Gone: gone,
				Seen: []timeline.Seen[resource.TraefikService]{{At: from, Object: resource.TraefikService{Services: []resource.WeightedService{{Name: "canary", Weight: canary}, {Name: "stable", Weight: stable}}}}}})
		}
	}
	zero, hundred := int32(0), int32(100)
	last := func(change func(*resource.Rollout)) func(*timeline.Release, *timeline.Timeline) {
		return func(r *timeline.Release, _ *timeline.Timeline) { change(&r.States[1].Object) }
	}
	run := func(change func(*resource.AnalysisRun)) func(*timeline.Release, *timeline.Timeline) {
		return func(r *timeline.Release, _ *timeline.Timeline) { change(&r.Runs[0].Seen[1].Object) }
	}
	later := func(at time.Duration, change func(*resource.Rollout)) func(*timeline.Release, *timeline.Timeline) {
		return func(r *timeline.Release, _ *timeline.Timeline) {
			r.States = append(r.States, state(at, func(o *resource.Rollout) { aborted(o); change(o) }))
		}
	}
	for name, c := range map[string]struct {
		change func(*timeline.Release, *timeline.Timeline)
		counts func(*abortCount)
		want   judge.Verdict
		found  uint64
	}{
		"aborted":               {nil, nil, judge.Pass, 0},
		"of the stable version": {func(r *timeline.Release, _ *timeline.Timeline) { r.StableVersion = "v2" }, nil, judge.Inconclusive, 1},
		"promoted":              {last(func(o *resource.Rollout) { o.StableRS = "h2" }), nil, judge.Fail, 1},
		"never aborted":         {func(r *timeline.Release, _ *timeline.Timeline) { r.States = r.States[:1] }, nil, judge.Fail, 1},
		"never, and the run was cut": {func(r *timeline.Release, tl *timeline.Timeline) {
			r.States, tl.End.Outcome = r.States[:1], history.EndInterrupted
		}, nil, judge.Inconclusive, 1},
		"an analysis had an error":     {run(func(o *resource.AnalysisRun) { o.Phase = "Error" }), nil, judge.Fail, 2},
		"an analysis was inconclusive": {run(func(o *resource.AnalysisRun) { o.Phase = "Inconclusive" }), nil, judge.Fail, 2},
		"an analysis is not over":      {run(func(o *resource.AnalysisRun) { o.Phase = "Running" }), nil, judge.Fail, 1},
		"another metric failed":        {run(func(o *resource.AnalysisRun) { o.Metrics[0].Phase, o.Metrics[1].Phase = "Successful", "Failed" }), nil, judge.Fail, 1},
		"the metric was not measured":  {run(func(o *resource.AnalysisRun) { o.Metrics[0].Count = 0 }), nil, judge.Fail, 1},
		"the metric is not there":      {run(func(o *resource.AnalysisRun) { o.Metrics = o.Metrics[1:] }), nil, judge.Fail, 1},
		"the only metric failed":       {run(func(o *resource.AnalysisRun) { o.Metrics = o.Metrics[:1] }), nil, judge.Pass, 0},
		"every metric failed":          {run(func(o *resource.AnalysisRun) { o.Metrics[1].Phase = "Failed" }), nil, judge.Inconclusive, 1},
		"another analysis caught it too": {func(r *timeline.Release, _ *timeline.Timeline) {
			r.Runs = append(r.Runs, analysis("second", 291, 295, "Successful"))
		}, nil, judge.Pass, 0},
		"the stable set changed":       {func(r *timeline.Release, _ *timeline.Timeline) { r.States[0].Object.StableRS = "h0" }, nil, judge.Fail, 1},
		"its status is old":            {last(func(o *resource.Rollout) { o.Generation = 2 }), nil, judge.Fail, 1},
		"nobody tells since when":      {last(func(o *resource.Rollout) { o.AbortedAt = "" }), nil, judge.Fail, 1},
		"it is not Degraded":           {last(func(o *resource.Rollout) { o.Phase = "Healthy" }), nil, judge.Fail, 1},
		"it keeps a weight":            {last(func(o *resource.Rollout) { o.Weights.Canary.Weight = 1 }), nil, judge.Fail, 1},
		"no weight is told":            {last(func(o *resource.Rollout) { o.Weights = nil }), nil, judge.Fail, 1},
		"wholly aborted, then less so": {later(340, func(o *resource.Rollout) { o.Generation = 2 }), nil, judge.Pass, 0},
		"wholly aborted later only": {func(r *timeline.Release, _ *timeline.Timeline) {
			r.States[1].Object.Phase = "Progressing"
			r.States = append(r.States, state(320, aborted))
		}, nil, judge.Pass, 0},
		"a state that tells of no abort": {later(340, func(o *resource.Rollout) { o.Abort = false }), nil, judge.Pass, 0},
		"whole, but aborted no longer": {func(r *timeline.Release, _ *timeline.Timeline) {
			r.States[1].Object.Phase = "Progressing"
			r.States = append(r.States, state(320, func(o *resource.Rollout) { aborted(o); o.Abort = false }))
		}, nil, judge.Fail, 1},
		"a weight again, routers follow":   {later(349, func(o *resource.Rollout) { o.Weights.Canary.Weight = 1 }), nil, judge.Pass, 0},
		"a weight again":                   {later(350, func(o *resource.Rollout) { o.Weights.Canary.Weight = 1 }), nil, judge.Fail, 1},
		"a weight of another release":      {later(350, func(o *resource.Rollout) { o.Weights.Canary.Weight, o.Weights.Canary.PodTemplateHash = 1, "h9" }), nil, judge.Pass, 0},
		"the router follows":               {split("bitvault", 0, timeline.Never, &zero, &hundred), nil, judge.Pass, 0},
		"the router gives it some":         {split("bitvault", 0, timeline.Never, &seven, &hundred), nil, judge.Fail, 1},
		"the router gives the stable none": {split("bitvault", 0, timeline.Never, &zero, &zero), nil, judge.Fail, 1},
		"the router gives it one":          {split("bitvault", 0, timeline.Never, nil, &hundred), nil, judge.Fail, 1},
		"the router gives the stable one":  {split("bitvault", 0, timeline.Never, &zero, nil), nil, judge.Pass, 0},
		"a router of another namespace":    {split("other", 0, timeline.Never, &seven, &hundred), nil, judge.Pass, 0},
		"a router that came later":         {split("bitvault", 1001, timeline.Never, &seven, &hundred), nil, judge.Pass, 0},
		"a router that is gone":            {split("bitvault", 0, 900, &seven, &hundred), nil, judge.Pass, 0},
		"a router of something else": {func(r *timeline.Release, tl *timeline.Timeline) {
			split("bitvault", 0, timeline.Never, &seven, &hundred)(r, tl)
			tl.Cluster.TraefikServices[0].Seen[0].Object.Services[0].Name = "else"
		}, nil, judge.Pass, 0},
		"no router is named": {func(r *timeline.Release, tl *timeline.Timeline) {
			split("bitvault", 0, timeline.Never, &seven, &hundred)(r, tl)
			r.States[1].Object.Weights.Canary.ServiceName = ""
			tl.Cluster.TraefikServices[0].Seen[0].Object.Services[0].Name = ""
		}, nil, judge.Pass, 0},
		"one answer too few": {nil, func(n *abortCount) { n.rest-- }, judge.Inconclusive, 1},
		"a leak":             {nil, func(n *abortCount) { n.leaked = 1 }, judge.Fail, 1},
		"no bad answer":      {nil, func(n *abortCount) { n.bad = timeline.Never }, judge.Inconclusive, 1},
		"noticed as it came": {nil, func(n *abortCount) { n.bad = 300 }, judge.Pass, 0},
		"aborted before":     {nil, func(n *abortCount) { n.bad = 301 }, judge.Inconclusive, 1},
		"noticed in time":    {nil, func(n *abortCount) { n.bad = 200 }, judge.Pass, 0},
		"noticed too late":   {nil, func(n *abortCount) { n.bad = 199 }, judge.Fail, 1},
	} {
		t.Run(name, func(t *testing.T) {
			release, tl := abortedRelease(), finished()
			if c.change != nil {
				c.change(release, tl)
			}
			p, _ := abort(release, tl, false, nil, c.counts)
			if p.Verdict != c.want || p.Found != c.found {
				t.Errorf("it is %s with %d findings, want %s with %d: %+v", p.Verdict, p.Found, c.want, c.found, p.Findings)
			}
			if c.want == judge.Pass && (p.Power == nil || p.Power.Hits != judge.Enough || p.Hits != judge.Enough || len(p.Figures) != 2) {
				t.Errorf("a pass rests on %+v, %d hits, %+v", p.Power, p.Hits, p.Figures)
			}
		})
	}
}

// lateRelease passed its first analysis, and was aborted at 300 by its second, with 30 %.
func lateRelease() *timeline.Release {
	r := abortedRelease()
	r.States = []timeline.Seen[resource.Rollout]{state(100, nil), state(150, func(o *resource.Rollout) { o.Weights.Canary.Weight = 30 }), state(300, aborted)}
	r.Runs = []*timeline.Track[resource.AnalysisRun]{analysis("first", 110, 140, "Successful", metric("errors", "Successful", 2), metric("latency", "Successful", 2)),
		analysis("second", 160, 290, "Failed", metric("errors", "Failed", 1), metric("latency", "Successful", 2))}
	return r
}

func TestALateFaultIsCaughtByTheSecondAnalysis(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*timeline.Release)
		weights []int32
		want    judge.Verdict
		found   uint64
	}{
		"caught":                      {func(*timeline.Release) {}, []int32{10, 30}, judge.Pass, 0},
		"of three shares":             {func(*timeline.Release) {}, []int32{10, 30, 60}, judge.Pass, 0},
		"of one share":                {func(*timeline.Release) {}, []int32{30}, judge.Pass, 0},
		"with another share":          {func(*timeline.Release) {}, []int32{30, 10}, judge.Fail, 1},
		"its share as it was aborted": {func(r *timeline.Release) { r.States[1].At = 299 }, []int32{10, 30}, judge.Pass, 0},
		"one analysis only":           {func(r *timeline.Release) { r.Runs = r.Runs[1:] }, []int32{10, 30}, judge.Fail, 1},
		"the first is no step":        {func(r *timeline.Release) { r.Runs[0].Seen[1].Object.Step = "" }, []int32{10, 30}, judge.Fail, 1},
		"the first failed":            {func(r *timeline.Release) { r.Runs[0].Seen[1].Object.Phase = "Failed" }, []int32{10, 30}, judge.Fail, 1},
		"the first measured once":     {func(r *timeline.Release) { r.Runs[0].Seen[1].Object.Metrics[0].Count = 1 }, []int32{10, 30}, judge.Fail, 1},
		"the first did not measure":   {func(r *timeline.Release) { r.Runs[0].Seen[1].Object.Metrics = r.Runs[0].Seen[1].Object.Metrics[1:] }, []int32{10, 30}, judge.Fail, 1},
		"the third caught it": {func(r *timeline.Release) {
			r.Runs = append(r.Runs, r.Runs[1])
			r.Runs[1] = analysis("second", 160, 170, "Successful", metric("errors", "Successful", 2))
		}, []int32{10, 30}, judge.Fail, 1},
		"the third, the second without the metric": {func(r *timeline.Release) {
			r.Runs = append(r.Runs, r.Runs[1])
			r.Runs[1] = analysis("second", 160, 170, "Successful", metric("latency", "Successful", 2))
		}, []int32{10, 30}, judge.Fail, 1},
	} {
		release := lateRelease()
		c.change(release)
		if p, _ := abort(release, finished(), true, c.weights, nil); p.Verdict != c.want || p.Found != c.found {
			t.Errorf("%s: it is %s with %d findings, want %s with %d: %+v", name, p.Verdict, p.Found, c.want, c.found, p.Findings)
		}
	}
	// A check that asks for no late fault asks for no second analysis.
	if p, _ := abort(abortedRelease(), finished(), false, []int32{10, 30}, nil); p.Verdict != judge.Pass {
		t.Errorf("one analysis is %s", p.Verdict)
	}
}

// What the hits of an arm tell of a trial: its first bad answer, and who answered after its abort.
func TestWhatAnArmSeesOfAnAbort(t *testing.T) {
	next := abortedRelease()
	next.Began = 600
	release := abortedRelease()
	other := history.Workload{Namespace: "bitvault", Kind: "Rollout", Name: "other"}
	hit := func(at, latency time.Duration, version string, class history.Class) history.Hit {
		return history.Hit{Arm: "get", At: at, Latency: latency, Version: version, Class: class, Code: 200}
	}
	const never = timeline.Never
	for name, c := range map[string]struct {
		arm  history.Workload
		hits []history.Hit
		want string // bad, leaked, rest
	}{
		"nothing":                    {app, nil, "never 0 0"},
		"a bad answer":               {app, []history.Hit{hit(200, 5, "v2", history.ClassApplication)}, "205 0 0"},
		"the first of two":           {app, []history.Hit{hit(200, 5, "v2", history.ClassApplication), hit(210, 5, "v2", history.ClassApplication)}, "205 0 0"},
		"as it began":                {app, []history.Hit{hit(95, 5, "v2", history.ClassApplication)}, "100 0 0"},
		"before it began":            {app, []history.Hit{hit(94, 5, "v2", history.ClassApplication)}, "never 0 0"},
		"of the stable version":      {app, []history.Hit{hit(200, 5, "v1", history.ClassApplication)}, "never 0 0"},
		"a good answer":              {app, []history.Hit{hit(200, 5, "v2", history.ClassOK)}, "never 0 0"},
		"of another workload":        {other, []history.Hit{hit(200, 5, "v2", history.ClassApplication), hit(400, 5, "v1", history.ClassOK)}, "never 0 0"},
		"before the next release":    {app, []history.Hit{hit(590, 9, "v2", history.ClassApplication)}, "599 1 0"},
		"as the next one began":      {app, []history.Hit{hit(595, 5, "v2", history.ClassApplication)}, "never 1 0"},
		"while routers follow":       {app, []history.Hit{hit(350, 5, "v2", history.ClassOK), hit(350, 5, "v1", history.ClassOK)}, "never 0 0"},
		"after it":                   {app, []history.Hit{hit(351, 5, "v2", history.ClassOK), hit(351, 5, "v1", history.ClassOK), hit(352, 5, "v1", history.ClassOK)}, "never 1 2"},
		"as the next release begins": {app, []history.Hit{hit(600, 5, "v2", history.ClassOK), hit(600, 5, "v1", history.ClassOK)}, "never 0 0"},
		"just before":                {app, []history.Hit{hit(599, 5, "v2", history.ClassOK), hit(599, 5, "v1", history.ClassOK)}, "never 1 1"},
		"without a version":          {app, []history.Hit{hit(400, 5, "", history.ClassOK)}, "never 0 0"},
		"never sent":                 {app, []history.Hit{{At: 400, Version: "v1", Unsent: true}}, "never 0 0"},
	} {
		f := &abortion{t: finished(), tolerance: tolerance, kind: regression{bad: failedAnswer}, trials: []trial{trialOf(release, []*timeline.Release{release, next}, tolerance)}}
		a := f.Arm(&timeline.Arm{Name: "get", Workload: c.arm}).(*armAbort)
		for _, h := range c.hits {
			a.Hit(&h)
		}
		n := a.counts[0]
		bad := "never"
		if n.bad != never {
			bad = fmt.Sprint(int64(n.bad))
		}
		if got := fmt.Sprint(bad, " ", n.leaked, " ", n.rest); got != c.want || a.found.Found != n.leaked || (n.evidence != "") != (n.bad != never) {
			t.Errorf("%s: %s, %d found, evidence %q; want %s", name, got, a.found.Found, n.evidence, c.want)
		}
	}
	if (&abortion{}).Arm(&timeline.Arm{Control: true}) != nil {
		t.Error("the control arm is looked at")
	}
	// Of two answers that end at once the first is shown, and so is that of the first arm.
	f := &abortion{t: finished(), tolerance: tolerance, kind: regression{bad: failedAnswer}, trials: []trial{trialOf(release, []*timeline.Release{release}, tolerance)}}
	for _, arm := range []string{"get", "post"} {
		a := f.Arm(&timeline.Arm{Name: arm, Workload: app}).(*armAbort)
		for seq := range uint64(2) {
			h := history.Hit{Arm: arm, Seq: seq, At: 200, Version: "v2", Class: history.ClassApplication}
			a.Hit(&h)
		}
	}
	if n := f.sum(0); n.bad != 200 || !strings.Contains(n.evidence, "get/0,") {
		t.Errorf("the first bad answer is shown by %q", n.evidence)
	}
}

// A good release is promoted, Healthy and stays so.
func TestAGoodReleaseIsPromoted(t *testing.T) {
	promoted := func(o *resource.Rollout) { o.StableRS, o.Phase = "h2", "Healthy" }
	after := func(at time.Duration, change func(*resource.Rollout)) func(*timeline.Release) {
		return func(r *timeline.Release) {
			r.States = append(r.States, state(at, func(o *resource.Rollout) { promoted(o); change(o) }))
		}
	}
	for name, c := range map[string]struct {
		change  func(*timeline.Release)
		want    judge.Verdict
		figures int
	}{
		"promoted":                {func(*timeline.Release) {}, judge.Pass, 2},
		"and replaced":            {func(r *timeline.Release) { r.Until = 900 }, judge.Pass, 2},
		"Degraded afterwards":     {after(400, func(o *resource.Rollout) { o.Phase = "Degraded" }), judge.Fail, 0},
		"Progressing afterwards":  {after(400, func(o *resource.Rollout) { o.Phase = "Progressing" }), judge.Pass, 2},
		"aborted afterwards":      {after(400, func(o *resource.Rollout) { o.Abort = true }), judge.Fail, 0},
		"taken back afterwards":   {after(400, func(o *resource.Rollout) { o.StableRS = "h1" }), judge.Fail, 0},
		"aborted before":          {func(r *timeline.Release) { r.States[0].Object.Abort = true }, judge.Fail, 0},
		"promoted, never Healthy": {func(r *timeline.Release) { r.States[1].Object.Phase = "Progressing" }, judge.Fail, 0},
		"never promoted":          {func(r *timeline.Release) { r.States = r.States[:1] }, judge.Fail, 0},
		"replaced before":         {func(r *timeline.Release) { r.States, r.Until = r.States[:1], 200 }, judge.Fail, 0},
	} {
		r := abortedRelease()
		r.States = []timeline.Seen[resource.Rollout]{state(100, nil), state(300, promoted)}
		c.change(r)
		tl := finished()
		ruling, p := judge.Ruling{Timeline: tl}, judge.Promise{}
		(&promotes{t: tl}).judge(r, &ruling, &p)
		if ruling.Into(&p, ""); p.Verdict != c.want || len(p.Figures) != c.figures {
			t.Errorf("%s: it is %s with %+v, want %s", name, p.Verdict, p.Figures, c.want)
		}
	}
	// What did not come yet may come later where the run was cut, and what came and went does not.
	for name, c := range map[string]struct {
		states []timeline.Seen[resource.Rollout]
		until  time.Duration
		want   judge.Verdict
	}{
		"not yet promoted": {[]timeline.Seen[resource.Rollout]{state(100, nil)}, timeline.Never, judge.Inconclusive},
		"not yet Healthy":  {[]timeline.Seen[resource.Rollout]{state(100, nil), state(300, func(o *resource.Rollout) { o.StableRS = "h2" })}, timeline.Never, judge.Inconclusive},
		"replaced":         {[]timeline.Seen[resource.Rollout]{state(100, nil)}, 200, judge.Fail},
		"Degraded":         {[]timeline.Seen[resource.Rollout]{state(100, func(o *resource.Rollout) { o.Phase = "Degraded" })}, timeline.Never, judge.Fail},
		"aborted":          {[]timeline.Seen[resource.Rollout]{state(100, aborted)}, timeline.Never, judge.Fail},
	} {
		r := abortedRelease()
		r.States, r.Until = c.states, c.until
		tl := finished()
		tl.End.Outcome = history.EndInterrupted
		ruling, p := judge.Ruling{Timeline: tl}, judge.Promise{}
		(&promotes{t: tl}).judge(r, &ruling, &p)
		if ruling.Into(&p, ""); p.Verdict != c.want || p.Found != 1 {
			t.Errorf("%s, and the run was cut: it is %s, want %s", name, p.Verdict, c.want)
		}
	}
}

// Without data nothing is promoted, and somebody tells why.
func TestNothingIsPromotedWithoutData(t *testing.T) {
	blind := resource.MetricResult{Name: "errors", Phase: "Error", Error: 1}
	data := resource.MetricResult{Name: "errors", Phase: "Failed", Count: 1, Measurements: []resource.Measurement{{Phase: "Failed", Value: "[1]"}}}
	passedBlind := resource.MetricResult{Name: "errors", Phase: "Successful", Count: 1, Measurements: []resource.Measurement{{Phase: "Successful", Value: "[]"}}}
	promoted := func(o *resource.Rollout) { o.StableRS = "h2" }
	for name, c := range map[string]struct {
		phase   string
		metrics []resource.MetricResult
		message string // of the analysis
		told    string // by the Rollout
		promote bool
		none    bool // no analysis
		want    judge.Verdict
		found   uint64
	}{
		"held back":                   {"Error", []resource.MetricResult{blind}, "why", "", false, false, judge.Pass, 0},
		"the Rollout tells why":       {"Error", []resource.MetricResult{blind}, "", "why", false, false, judge.Pass, 0},
		"nobody tells why":            {"Error", []resource.MetricResult{blind}, "", "", false, false, judge.Fail, 1},
		"both tell why":               {"Error", []resource.MetricResult{blind}, "why", "why", false, false, judge.Pass, 0},
		"promoted":                    {"Error", []resource.MetricResult{blind}, "why", "", true, false, judge.Fail, 1},
		"promoted, with data":         {"Failed", []resource.MetricResult{data}, "why", "", true, false, judge.Inconclusive, 1},
		"promoted, data and none":     {"Successful", []resource.MetricResult{data, passedBlind}, "why", "", true, false, judge.Fail, 2},
		"there was data":              {"Failed", []resource.MetricResult{data}, "why", "", false, false, judge.Inconclusive, 1},
		"it passed blind":             {"Successful", []resource.MetricResult{passedBlind}, "why", "", false, false, judge.Fail, 2},
		"it passed unmeasured":        {"Successful", nil, "why", "", false, false, judge.Fail, 2},
		"no analysis":                 {"", nil, "", "why", false, true, judge.Inconclusive, 1},
		"nothing is told of its data": {"Failed", []resource.MetricResult{{Name: "errors", Phase: "Failed"}}, "why", "", false, false, judge.Inconclusive, 1},
		"it has no result":            {"Running", []resource.MetricResult{blind}, "why", "", false, false, judge.Inconclusive, 1},
	} {
		r := abortedRelease()
		r.States = []timeline.Seen[resource.Rollout]{state(100, func(o *resource.Rollout) { o.Message = c.told })}
		if c.promote {
			r.States = append(r.States, state(300, promoted))
		}
		run := analysis("first", 200, 290, c.phase, c.metrics...)
		run.Seen[1].Object.Message = c.message
		if r.Runs = []*timeline.Track[resource.AnalysisRun]{run}; c.none {
			r.Runs = nil
		}
		tl := finished()
		f := &noData{t: tl, metrics: Metrics{Errors: "errors", Latency: "latency", Late: "late"}}
		ruling, p := judge.Ruling{Timeline: tl}, judge.Promise{}
		f.judge(r, &ruling, &p)
		if ruling.Into(&p, ""); p.Verdict != c.want || p.Found != c.found || len(p.Figures) != 1 {
			t.Errorf("%s: it is %s with %d findings, want %s with %d: %+v", name, p.Verdict, p.Found, c.want, c.found, p.Findings)
		}
	}
	f := &noData{metrics: Metrics{Errors: "errors", Latency: "latency", Late: "late"}}
	for name, want := range map[string]bool{"errors": true, "latency": true, "late": true, "cpu": false} {
		if f.needsTraffic(name) != want {
			t.Errorf("metric %s is made of requests: %v", name, !want)
		}
	}
	// The first reason counts, whichever analysis tells it.
	first, second := analysis("first", 200, 210, "Error"), analysis("second", 220, 230, "Error")
	first.Seen[1].Object.Message, second.Seen[1].Object.Message = "first", "second"
	if d := f.dataOf(&timeline.Release{Until: timeline.Never, Runs: []*timeline.Track[resource.AnalysisRun]{first, second}}); d.reason != "first" || !d.over {
		t.Errorf("of two analyses %+v is told", d)
	}
	running := analysis("third", 240, 250, "Running")
	if d := f.dataOf(&timeline.Release{Until: timeline.Never, Runs: []*timeline.Track[resource.AnalysisRun]{first, running}}); !d.over {
		t.Error("one analysis came to a result, and another that runs makes it none")
	}
}

// A release goes by its shares, an analysis after each, each longer than the one before.
func TestTheWayOfARelease(t *testing.T) {
	weight := func(w int32) func(*resource.Rollout) {
		return func(o *resource.Rollout) { o.Weights.Canary.Weight = w }
	}
	promoted := func(o *resource.Rollout) { o.StableRS, o.Weights = "h2", nil }
	good := func(n int32) []resource.MetricResult {
		return []resource.MetricResult{metric("errors", "Successful", n)}
	}
	way := func() *timeline.Release {
		r := abortedRelease()
		r.States = []timeline.Seen[resource.Rollout]{state(100, weight(0)), state(200, weight(10)), state(400, weight(30)), state(700, promoted)}
		r.Runs = []*timeline.Track[resource.AnalysisRun]{analysis("first", 210, 310, "Successful", good(1)...), analysis("second", 410, 530, "Successful", good(1)...)}
		return r
	}
	first := func(change func(*timeline.Track[resource.AnalysisRun])) func(*timeline.Release) {
		return func(r *timeline.Release) { change(r.Runs[0]) }
	}
	for name, c := range map[string]struct {
		change  func(*timeline.Release)
		want    judge.Verdict
		figures int
	}{
		"all of it":                     {func(*timeline.Release) {}, judge.Pass, 2},
		"the second no longer":          {func(r *timeline.Release) { r.Runs[1].Seen[1].At = 529 }, judge.Fail, 2},
		"another share":                 {func(r *timeline.Release) { r.States[1].Object.Weights.Canary.Weight = 11 }, judge.Fail, 0},
		"a share more":                  {func(r *timeline.Release) { r.States = slices.Insert(r.States, 3, state(600, weight(60))) }, judge.Fail, 0},
		"a share fewer":                 {func(r *timeline.Release) { r.States = slices.Delete(r.States, 2, 3) }, judge.Fail, 0},
		"the first share only":          {func(r *timeline.Release) { r.States, r.Runs = r.States[:2], r.Runs[:1] }, judge.Pass, 1},
		"two of them":                   {func(r *timeline.Release) { r.States = r.States[:3] }, judge.Pass, 2},
		"two, with no analysis yet":     {func(r *timeline.Release) { r.States, r.Runs = r.States[:3], r.Runs[:1] }, judge.Pass, 1},
		"two, and the first without":    {func(r *timeline.Release) { r.States, r.Runs = r.States[:3], nil }, judge.Fail, 0},
		"more than asked, on its way":   {func(r *timeline.Release) { r.States[3] = state(600, weight(60)) }, judge.Fail, 0},
		"an analysis fewer":             {func(r *timeline.Release) { r.Runs = r.Runs[:1] }, judge.Fail, 0},
		"an analysis more":              {func(r *timeline.Release) { r.Runs = append(r.Runs, r.Runs[1]) }, judge.Fail, 0},
		"began as early as a watch may": {first(func(run *timeline.Track[resource.AnalysisRun]) { run.Seen[0].At = 190; run.Seen[1].At = 290 }), judge.Pass, 2},
		"began too early":               {first(func(run *timeline.Track[resource.AnalysisRun]) { run.Seen[0].At = 189; run.Seen[1].At = 289 }), judge.Fail, 1},
		"began at the last":             {first(func(run *timeline.Track[resource.AnalysisRun]) { run.Seen[0].At, run.Seen[1].At = 399, 405 }), judge.Pass, 2},
		"began with the next share":     {first(func(run *timeline.Track[resource.AnalysisRun]) { run.Seen[0].At, run.Seen[1].At = 400, 405 }), judge.Fail, 1},
		"ended as late as a watch may":  {first(func(run *timeline.Track[resource.AnalysisRun]) { run.Seen[0].At, run.Seen[1].At = 310, 410 }), judge.Pass, 2},
		"ended too late":                {first(func(run *timeline.Track[resource.AnalysisRun]) { run.Seen[0].At, run.Seen[1].At = 311, 411 }), judge.Fail, 1},
		"it never ended":                {first(func(run *timeline.Track[resource.AnalysisRun]) { run.Seen[1].Object.Phase = "Running" }), judge.Fail, 1},
		"it failed":                     {first(func(run *timeline.Track[resource.AnalysisRun]) { run.Seen[1].Object.Phase = "Failed" }), judge.Fail, 1},
		"it measured nothing":           {first(func(run *timeline.Track[resource.AnalysisRun]) { run.Seen[1].Object.Metrics[0].Count = 0 }), judge.Fail, 1},
		"the last one runs":             {func(r *timeline.Release) { r.States = r.States[:3]; r.Runs[1].Seen[1].Object.Phase = "Running" }, judge.Pass, 1},
		"the last one failed":           {func(r *timeline.Release) { r.States = r.States[:3]; r.Runs[1].Seen[1].Object.Phase = "Failed" }, judge.Pass, 1},
	} {
		r := way()
		c.change(r)
		tl := finished()
		f := &stepsTaken{t: tl, weights: []int32{10, 30}, tolerance: tolerance}
		ruling, p := judge.Ruling{Timeline: tl}, judge.Promise{}
		f.judge(r, &ruling, &p)
		if ruling.Into(&p, ""); p.Verdict != c.want || len(p.Figures) != c.figures || (c.want == judge.Fail) != (p.Found == 1) {
			t.Errorf("%s: it is %s with %d findings and %d figures, want %s and %d: %+v", name, p.Verdict, p.Found, len(p.Figures), c.want, c.figures, p.Findings)
		}
	}
	cut := way()
	cut.Runs[0].Seen[1].Object.Phase = "Running"
	tl := finished()
	tl.End.Outcome = history.EndInterrupted
	ruling, p := judge.Ruling{Timeline: tl}, judge.Promise{}
	(&stepsTaken{t: tl, weights: []int32{10, 30}, tolerance: tolerance}).judge(cut, &ruling, &p)
	if ruling.Into(&p, ""); p.Verdict != judge.Inconclusive {
		t.Errorf("an analysis that never ended in a run that was cut is %s", p.Verdict)
	}
	if a, b := stepsPromise(nil), stepsPromise([]int32{10}); a == b || stepsPromise([]int32{10, 30}) == stepsPromise([]int32{30, 10}) {
		t.Errorf("the promise is %q and %q", a, b)
	}
	if phaseText("") == "" || phaseText("Failed") != "Failed" {
		t.Errorf("phases are told by %q and %q", phaseText(""), phaseText("Failed"))
	}
}

// Hits of a bad version count against its share from its beginning, and against the abort from when routers had time to follow.
func TestWhatAnArmSeesOfAnExposure(t *testing.T) {
	e := exposure{Identity: timeline.Identity{Workload: app, Version: "v2"}, began: 100, abort: 500, over: 550, cuts: []time.Duration{100, 500, 550}}
	other := history.Workload{Namespace: "bitvault", Kind: "Rollout", Name: "other"}
	hit := func(at, latency time.Duration, version string, class history.Class) history.Hit {
		return history.Hit{At: at, Latency: latency, Version: version, Class: class, Code: 200}
	}
	for name, c := range map[string]struct {
		arm  history.Workload
		h    history.Hit
		want string // traffic, reached, harmed, after
	}{
		"a good answer":             {app, hit(200, 5, "v2", history.ClassOK), "1 1 0 0"},
		"another's":                 {app, hit(200, 5, "v1", history.ClassApplication), "1 0 0 0"},
		"harm":                      {app, hit(200, 5, "v2", history.ClassApplication), "1 1 1 0"},
		"as it began":               {app, hit(100, 5, "v2", history.ClassOK), "1 1 0 0"},
		"before it began":           {app, hit(99, 0, "v2", history.ClassApplication), "1 0 0 0"},
		"harm across its beginning": {app, hit(99, 1, "v2", history.ClassApplication), "1 0 1 0"},
		"at the last":               {app, hit(550, 5, "v2", history.ClassApplication), "1 1 1 0"},
		"afterwards":                {app, hit(551, 5, "v2", history.ClassApplication), "1 0 0 1"},
		"good afterwards":           {app, hit(551, 5, "v2", history.ClassOK), "1 0 0 0"},
		"of another workload":       {other, hit(200, 5, "v2", history.ClassApplication), "0 0 0 0"},
		"never sent":                {app, history.Hit{At: 200, Version: "v2", Unsent: true}, "0 0 0 0"},
	} {
		f := &blast{t: finished(), exposures: []exposure{e}}
		a := f.Arm(&timeline.Arm{Workload: c.arm}).(*armBlast)
		a.Hit(&c.h)
		var traffic uint64
		for _, n := range a.traffic[0] {
			traffic += n
		}
		if got := fmt.Sprint(traffic, a.reached[0], a.harmed[0], a.after[0]); got != c.want || a.found.Found != a.after[0] {
			t.Errorf("%s: %s, %d found; want %s", name, got, a.found.Found, c.want)
		}
	}
	if (&blast{}).Arm(&timeline.Arm{Control: true}) != nil || (&share{}).Arm(&timeline.Arm{Control: true}) != nil {
		t.Error("the control arm is looked at")
	}
}

// Hits count for the step that they were started under, by who answered.
func TestWhatAnArmSeesOfAStep(t *testing.T) {
	tl := finished()
	f := &share{t: tl, steps: []settledStep{{Step: step(100, "v1", "v2", 10), from: 150, until: 300, lasted: 200}, {Step: step(310, "v1", "v2", 30), from: 360, until: 360, lasted: 1}}}
	other := history.Workload{Namespace: "bitvault", Kind: "Rollout", Name: "other"}
	for name, c := range map[string]struct {
		arm  history.Workload
		h    history.Hit
		want shareCount
	}{
		"the canary": {app, history.Hit{At: 200, Version: "v2"}, shareCount{canary: 1}}, "another": {app, history.Hit{At: 200, Version: "v1"}, shareCount{others: 1}},
		"nobody": {app, history.Hit{At: 200}, shareCount{nobody: 1}}, "never sent": {app, history.Hit{At: 200, Version: "v2", Unsent: true}, shareCount{}},
		"as it has settled": {app, history.Hit{At: 150, Version: "v2"}, shareCount{canary: 1}}, "before": {app, history.Hit{At: 149, Version: "v2"}, shareCount{}},
		"at the last": {app, history.Hit{At: 299, Version: "v2"}, shareCount{canary: 1}}, "afterwards": {app, history.Hit{At: 300, Version: "v2"}, shareCount{}},
		"of another workload": {other, history.Hit{At: 200, Version: "v2"}, shareCount{}}, "in a step too short": {app, history.Hit{At: 360, Version: "v2"}, shareCount{}},
	} {
		f.arms = nil
		a := f.Arm(&timeline.Arm{Workload: c.arm}).(*armShare)
		if a.Hit(&c.h); a.counts[0] != c.want || a.counts[1] != (shareCount{}) {
			t.Errorf("%s: %+v, want %+v", name, a.counts, c.want)
		}
		if got := f.served(&f.steps[0]); got != (c.arm == app) {
			t.Errorf("%s: the step is served: %v", name, got)
		}
	}
}

// Of several exposures the worst is the promise's, and all of them are counted.
func TestTheWorstOfTwoExposures(t *testing.T) {
	good := exposure{Identity: timeline.Identity{Workload: app, Version: "v2"}, began: 100, abort: 300, over: 350, cuts: []time.Duration{100, 350}, shares: []float64{0, .1, 0}}
	doubt := exposure{Identity: good.Identity, began: 100, abort: timeline.Never, over: timeline.Never, cuts: []time.Duration{100}, shares: []float64{0, .1}}
	const harmful = 600 // of 700 hits, where a share of 10 % explains far fewer
	for name, c := range map[string]struct {
		exposures []exposure
		reached   []uint64
		want      judge.Verdict
		found     uint64
	}{
		"both good":              {[]exposure{good, good}, []uint64{60, 60}, judge.Pass, 0},
		"the second failed":      {[]exposure{good, good}, []uint64{60, harmful}, judge.Fail, 1},
		"the first failed":       {[]exposure{good, good}, []uint64{harmful, 60}, judge.Fail, 1},
		"a doubt, and a failure": {[]exposure{doubt, good}, []uint64{60, harmful}, judge.Fail, 2},
		"a failure, and a doubt": {[]exposure{good, doubt}, []uint64{harmful, 60}, judge.Fail, 2},
		"a doubt":                {[]exposure{good, doubt}, []uint64{60, 60}, judge.Inconclusive, 1},
	} {
		f := &blast{t: loaded(0, 400), budgets: BlastBudgets{Abort: 1000}, tolerance: tolerance, exposures: c.exposures}
		a := f.Arm(&timeline.Arm{Workload: app}).(*armBlast)
		for i, n := range c.reached {
			a.reached[i], a.harmed[i] = n, 6
			for k := range a.traffic[i] {
				a.traffic[i][k] = 700
			}
		}
		p := f.Result()
		if p.Verdict != c.want || p.Found != c.found || p.Injected != 12 || (p.Power != nil) != (c.want == judge.Pass) {
			t.Errorf("%s: %s with %d findings, %d injected, power %+v; want %s with %d: %s", name, p.Verdict, p.Found, p.Injected, p.Power, c.want, c.found, p.Reason)
		}
	}
}

// Of two states that lack as much of an abort the later one is told, and of others the one that lacks least.
func TestTheStateNearestToAnAbort(t *testing.T) {
	lacking := func(at time.Duration, phase string, also func(*resource.Rollout)) timeline.Seen[resource.Rollout] {
		return state(at, func(o *resource.Rollout) {
			aborted(o)
			o.Phase = phase
			if also != nil {
				also(o)
			}
		})
	}
	more := func(o *resource.Rollout) { o.AbortedAt = "" }
	f := &abortion{}
	for name, c := range map[string]struct {
		states []timeline.Seen[resource.Rollout]
		want   int // the state; -1 when one lacks nothing
	}{
		"two alike":          {[]timeline.Seen[resource.Rollout]{lacking(300, "Progressing", nil), lacking(400, "Paused", nil)}, 1},
		"the later is worse": {[]timeline.Seen[resource.Rollout]{lacking(300, "Progressing", nil), lacking(400, "Paused", more)}, 0},
		"the first is worse": {[]timeline.Seen[resource.Rollout]{lacking(300, "Progressing", more), lacking(400, "Paused", nil)}, 1},
		"one lacks nothing":  {[]timeline.Seen[resource.Rollout]{lacking(300, "Progressing", nil), lacking(400, "Degraded", nil), lacking(500, "Paused", nil)}, -1},
	} {
		release := abortedRelease()
		release.States = c.states
		trial := trialOf(release, nil, tolerance)
		var want []string
		if c.want >= 0 {
			want = f.lacks(&trial, &c.states[c.want].Object)
		}
		if got := f.leastLacking(&trial); !slices.Equal(got, want) {
			t.Errorf("%s: it lacks %q, want %q", name, got, want)
		}
	}
}

// Of exposures that are as bad, the first is the reason.
func TestTheFirstOfTwoBadExposures(t *testing.T) {
	bad := exposure{Identity: timeline.Identity{Workload: app, Version: "v2"}, began: 100, abort: 300, over: 350, cuts: []time.Duration{100, 350}, shares: []float64{0, .1, 0}}
	worse := bad
	worse.Version = "v3"
	reason := func(exposures ...exposure) string {
		f := &blast{t: loaded(0, 400), budgets: BlastBudgets{Abort: 1000}, tolerance: tolerance, exposures: exposures}
		a := f.Arm(&timeline.Arm{Workload: app}).(*armBlast)
		for i := range exposures {
			a.reached[i], a.harmed[i] = 600, 600
			for k := range a.traffic[i] {
				a.traffic[i][k] = 700
			}
		}
		p := f.Result()
		if p.Verdict != judge.Fail || p.Found != uint64(len(exposures)) {
			t.Fatalf("%s with %d findings: %s", p.Verdict, p.Found, p.Reason)
		}
		return p.Reason
	}
	if first, second := reason(bad), reason(worse); first == second || reason(bad, worse) != first || reason(worse, bad) != second {
		t.Errorf("of %q and %q it tells %q, and in the other order %q", first, second, reason(bad, worse), reason(worse, bad))
	}
}

// The share of a step that nobody serves is not known, and that is said in place of how few answered.
func TestAStepThatNobodyServes(t *testing.T) {
	few := settledStep{Step: step(100, "v1", "v2", 10), from: 150, until: 300, lasted: 200}
	_, text := few.judge(shareCount{})
	for workload, own := range map[string]bool{"app": true, "other": false} {
		f := &share{t: finished(), steps: []settledStep{few}}
		w := app
		w.Name = workload
		f.Arm(&timeline.Arm{Workload: w})
		if p := f.Result(); p.Verdict != judge.Inconclusive || p.Found != 1 || (p.Reason == text) != own || len(p.Figures) != 0 {
			t.Errorf("with an arm of %s it is %s: %s", workload, p.Verdict, p.Reason)
		}
	}
	if p := (&share{t: finished()}).Result(); p.Verdict != judge.Inconclusive {
		t.Errorf("without a step it is %s", p.Verdict)
	}
}
