package checks_test

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// What rests on a watch is not green, and not red, by what lies in a gap of it; a failure clear of the gap stands.
func TestGaps(t *testing.T) {
	pods, bad := replacedPod, sharedRelease
	cases := []struct {
		slug  string
		base  func(testing.TB, *recording)
		gap   string
		spoil func(*recording) // a failure in the gap, which is from 4 s to 5.5 s
		clear func(*recording) // and one far from it
	}{
		{mechanics.SlugReadiness, pods, "pods", func(r *recording) { r.at("get", 4600*ms).Pod = "pod-a" }, func(r *recording) { r.at("get", 9*time.Second).Pod = "pod-a" }},
		{mechanics.SlugGraceful, pods, "pods", func(r *recording) { tear(r.slow("get")[0]) }, nil},
		{canary.SlugShare, bad, "rollouts", func(r *recording) { r.serve(50, 2*time.Second, 6*time.Second) }, func(r *recording) { r.at("get", 9*time.Second).Version = "v2" }},
		{canary.SlugBlast, bad, "replicasets", nil, func(r *recording) { status503(r.at("get", 9*time.Second), "v2") }},
	}
	for _, c := range cases {
		try := func(name, resource string, spoil func(*recording), want, run judge.Verdict) {
			spoilt(t, c.slug, c.base, []verdictCase{{name: name, want: want, run: run, spoil: func(r *recording) {
				if spoil != nil {
					spoil(r)
				}
				if resource != "" {
					r.blind(resource, 4*time.Second, 5500*ms)
				}
			}}})
		}
		try("green with a gap", c.gap, nil, judge.Inconclusive, "")
		try("green with a gap of everything", "*", nil, judge.Inconclusive, "")
		try("green with a gap of something else", "endpointslices", nil, judge.Pass, "")
		if c.spoil != nil {
			run := judge.Verdict("")
			if c.slug == mechanics.SlugGraceful { // a torn request is a dropped one
				run = judge.Fail
			}
			try("red", "", c.spoil, judge.Fail, "")
			try("red in the gap", c.gap, c.spoil, judge.Inconclusive, run)
		}
		if c.clear != nil {
			try("red apart from the gap", c.gap, c.clear, judge.Fail, "")
		}
	}
}

func TestAGapIsEvidence(t *testing.T) {
	r := cleanRun()
	replacedPod(t, r)
	r.blind("pods", 4*time.Second, 5*time.Second)
	p := assertVerdict(t, r.judged(t, mechanics.SlugReadiness), mechanics.SlugReadiness, judge.Inconclusive)
	want := judge.Finding{At: 4 * time.Second, Until: 5 * time.Second, Class: "gap", Text: "changes of pods from 4 s to 5 s may be missing"}
	if len(p.Findings) != 1 || p.Findings[0].Text != want.Text || p.Findings[0].At != want.At || p.Findings[0].Until != want.Until ||
		p.Findings[0].Class != want.Class || p.Findings[0].Evidence[0] != "why: the API server was away" || p.Found != 1 || p.Power != nil {
		t.Errorf("the promise is %+v, want the finding %+v", p, want)
	}
}

// A gap of which every change is there, if late, takes no pass when it was short; a failure in it may be a change that came late.
func TestShortGapsThatLostNothing(t *testing.T) {
	spoilt(t, canary.SlugSteps, goodCanary, []verdictCase{
		{name: "green, short", want: judge.Pass, spoil: func(r *recording) { r.gap("rollouts", 3*time.Second, 3400*ms, false) }},
		{name: "green, long", want: judge.Inconclusive, reason: "were recorded late", spoil: func(r *recording) { r.gap("rollouts", 3*time.Second, 3600*ms, false) }},
		{name: "red, short", want: judge.Inconclusive, reason: "all that speaks against", spoil: func(r *recording) {
			r.forgetAbout("analysisruns", "first", 0)
			r.analysis("first", "1", 2400*ms, 3700*ms, "Successful", healthyMetrics()...)
			r.gap("analysisruns", 3300*ms, 3700*ms, false)
		}},
		{name: "red, elsewhere", want: judge.Fail, reason: "before its analysis was over", spoil: func(r *recording) {
			r.forgetAbout("analysisruns", "first", 0)
			r.analysis("first", "1", 2400*ms, 3700*ms, "Successful", healthyMetrics()...)
			r.gap("analysisruns", 5*time.Second, 5400*ms, false)
		}},
	})
}

func TestObjectsOfOneName(t *testing.T) {
	r := cleanRun()
	r.events = nil
	r.node(0, "n1", resource.Node{Ready: true})
	r.change(2*time.Second, "deleted", "nodes", "n1", nil, resource.Node{Ready: true})
	r.change(3*time.Second, "added", "nodes", "n1", nil, resource.Node{})
	for i := range r.events {
		if c := r.events[i].Change; c != nil && r.events[i].At > 3*time.Second {
			c.UID = "another"
		}
	}
	h, err := history.Open(r.record(t))
	must(t, err)
	line, err := timeline.Read(h)
	must(t, err)
	nodes := line.Cluster.Nodes
	if len(nodes) != 2 || nodes[0].Gone != 2*time.Second+4 || nodes[1].Here() == false || len(line.Damage) != 0 {
		t.Fatalf("nodes %+v, damage %v", nodes, line.Damage)
	}
	for at, there := range map[time.Duration]bool{0: false, time.Second: true, 2500 * ms: false} {
		if got := nodes[0].At(at); (got != nil) != there {
			t.Errorf("at %v the first node is %v", at, got)
		}
	}
}
