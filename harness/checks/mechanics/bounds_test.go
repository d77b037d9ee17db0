package mechanics

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// The tests of this file hold what the checks compute from a record at its bounds, and one step to each side of them.

var (
	app       = history.Workload{Namespace: "ns", Kind: "Rollout", Name: "app"}
	tolerance = judge.Tolerance{Propagation: 50, Watch: 10}
)

// disturbance is one that began at a moment, of which nothing else came.
func disturbance(name string, began time.Duration) *timeline.Disturbance {
	return &timeline.Disturbance{ID: "d1", Name: name, Workload: app, Began: began, Landed: timeline.Never, Healed: timeline.Never, Failed: timeline.Never,
		Unhealed: timeline.Never, Begins: 1, Phases: []timeline.DisturbancePhase{{At: began}}}
}

// loaded is a timeline under load from 100 to 1000 that came to its end.
func loaded() *timeline.Timeline {
	w := &timeline.Window{Window: history.Window{Begin: 100, Length: 900}}
	return &timeline.Timeline{Arms: []*timeline.Arm{{Name: "get", Workload: app, Windows: []*timeline.Window{w}}}, Pods: map[string]*timeline.Pod{}, Known: timeline.Never,
		Broken: timeline.Never, Last: 1000, Ended: 1000, End: &history.End{Outcome: history.EndFinished}}
}

func pod(name string, change func(*timeline.Pod)) *timeline.Pod {
	p := &timeline.Pod{UID: "uid-" + name, Namespace: "ns", Name: name, Workload: app}
	if change != nil {
		change(p)
	}
	return p
}

func told(at time.Duration) timeline.Stop {
	return timeline.Stop{Terminating: timeline.Never, Signalled: at, Gone: timeline.Never}
}

// A pod changed, or was stopped, under load from the first moment of the load to its last.
func TestWhatHappensUnderLoad(t *testing.T) {
	for at, want := range map[time.Duration]bool{99: false, 100: true, 1000: true, 1001: false} {
		from := pod("a", func(p *timeline.Pod) { p.Ready = []timeline.Span{{From: at, Until: timeline.Never}} })
		until := pod("a", func(p *timeline.Pod) { p.Ready = []timeline.Span{{From: -5, Until: at}} })
		stopped := pod("a", func(p *timeline.Pod) { p.Stops = []timeline.Stop{told(at)} })
		tl := loaded()
		if changedUnderLoad(tl, from) != want || changedUnderLoad(tl, until) != want {
			t.Errorf("a pod that became ready or unready at %d changed under load: %v", at, !want)
		}
		tl.Pods["a"] = from
		if podsChangedUnderLoad(tl) != want {
			t.Errorf("a pod became ready at %d under load: %v", at, !want)
		}
		if tl.Pods["a"] = stopped; podsStoppedUnderLoad(tl) != want {
			t.Errorf("a pod that was stopped at %d was so under load: %v", at, !want)
		}
	}
}

// A pod got its SIGTERM when it says so, or else between its deletion and its end.
func TestWhenAPodIsStopped(t *testing.T) {
	const never = timeline.Never
	tl := loaded()
	tl.Pods["b"] = pod("b", func(p *timeline.Pod) {
		p.Stops = []timeline.Stop{{Terminating: 300, Signalled: 310, Gone: 350}, {Terminating: 500, Signalled: never, Gone: 550}, {Terminating: 100, Signalled: never, Gone: never}}
	})
	tl.Pods["a"] = pod("a", func(p *timeline.Pod) { p.Stops = []timeline.Stop{told(310)} })
	var got []string
	for _, s := range stopsOf(tl) {
		got = append(got, fmt.Sprintf("%s %d-%d %v", s.of.Name, s.from, s.until, s.told))
	}
	if want := []string{"b 100-100 false", "a 310-310 true", "b 310-310 true", "b 500-550 false"}; !slices.Equal(got, want) {
		t.Errorf("the stops are %v, want %v", got, want)
	}
}

// A failed request may have been at a pod that went away unless something tells that it never was, or that its answer was whole.
func TestWhatMayBeTorn(t *testing.T) {
	for _, c := range []struct {
		h    history.Hit
		want bool
	}{
		{history.Hit{Pod: "a"}, true}, {history.Hit{Pod: "a", Code: 503}, false}, {history.Hit{}, true}, {history.Hit{Code: 502}, true}, {history.Hit{Code: 404}, false},
		{history.Hit{Code: 503}, false}, {history.Hit{Reason: history.ReasonRefused}, false}, {history.Hit{Reason: history.ReasonNotConnected}, false},
		{history.Hit{Reason: history.ReasonUnreachable}, false}, {history.Hit{Reason: history.ReasonTLS}, false}, {history.Hit{Reason: "reset"}, true},
	} {
		if got := mayBeTorn(&c.h); got != c.want {
			t.Errorf("pod %q, status %d, %q may be torn: %v", c.h.Pod, c.h.Code, c.h.Reason, got)
		}
	}
	if unnamed(&history.Hit{}) == "" || unnamed(&history.Hit{Pod: "a"}) != "" {
		t.Error("it is told that the pod is not known where it is not, and only there")
	}
}

// A request is in flight at a moment that lies between its start and its end.
func TestWhatIsInFlightAtAStop(t *testing.T) {
	tl := loaded()
	other := history.Workload{Namespace: "ns", Kind: "Rollout", Name: "other"}
	tl.Pods["a"] = pod("a", func(p *timeline.Pod) {
		p.Stops = []timeline.Stop{{Terminating: 300, Signalled: timeline.Never, Gone: 400}}
	})
	failed := func(h history.Hit) history.Hit {
		h.Class = history.ClassApplication
		return h
	}
	for name, c := range map[string]struct {
		arm         history.Workload
		h           history.Hit
		whole, torn uint64
	}{
		"whole":               {app, history.Hit{Pod: "a", At: 299, Latency: 2, Code: 200}, 1, 0},
		"began at it":         {app, history.Hit{Pod: "a", At: 300, Latency: 2, Code: 200}, 0, 0},
		"ended at it":         {app, history.Hit{Pod: "a", At: 299, Latency: 1, Code: 200}, 0, 0},
		"never sent":          {app, history.Hit{Pod: "a", At: 299, Latency: 2, Code: 200, Unsent: true}, 0, 0},
		"at another pod":      {app, history.Hit{Pod: "b", At: 299, Latency: 2, Code: 200}, 0, 0},
		"of another workload": {other, history.Hit{Pod: "a", At: 299, Latency: 2, Code: 200}, 0, 0},
		"torn from the first": {app, failed(history.Hit{Pod: "a", At: 250, Latency: 50}), 0, 1},
		"torn before":         {app, failed(history.Hit{Pod: "a", At: 250, Latency: 49}), 0, 0},
		"torn at the last":    {app, failed(history.Hit{Pod: "a", At: 400, Latency: 1}), 0, 1},
		"torn afterwards":     {app, failed(history.Hit{Pod: "a", At: 401, Latency: 1}), 0, 0},
		"torn, no pod":        {app, failed(history.Hit{At: 350, Latency: 1}), 0, 1},
		"torn at another":     {app, failed(history.Hit{Pod: "b", At: 350, Latency: 1}), 0, 0},
		"another's torn":      {other, failed(history.Hit{At: 350, Latency: 1}), 0, 0},
		"failed, never sent":  {app, failed(history.Hit{At: 350, Latency: 1, Unsent: true}), 0, 0},
		"the harness's":       {app, history.Hit{At: 350, Latency: 1, Class: history.ClassHarness}, 0, 0},
		"a whole bad answer":  {app, failed(history.Hit{Pod: "a", At: 350, Latency: 1, Code: 500}), 0, 0},
	} {
		f := &grace{t: tl, stops: stopsOf(tl)}
		a := f.Arm(&timeline.Arm{Workload: c.arm}).(*armGrace)
		a.Hit(&c.h)
		if got := a.counts[0]; got.whole != c.whole || got.torn != c.torn || a.torn != c.torn {
			t.Errorf("%s: %+v, %d in all; want %d whole and %d torn", name, got, a.torn, c.whole, c.torn)
		}
	}
	if (&grace{t: tl}).Arm(&timeline.Arm{Control: true}) != nil {
		t.Error("the control arm is looked at")
	}
	// A failure that the generator brought about is none of a pod's.
	w := &timeline.Window{Window: history.Window{Index: 1, Deadline: 10, Health: &history.Health{Stalls: []history.Stall{{At: 340, Length: 30}}}}}
	f := &grace{t: tl, stops: stopsOf(tl)}
	a := f.Arm(&timeline.Arm{Workload: app, Windows: []*timeline.Window{w}}).(*armGrace)
	if a.Hit(&history.Hit{Class: history.ClassAmbiguous, Reason: history.ReasonDeadline, At: 345, Latency: 20, Window: 1}); a.torn != 0 {
		t.Error("a hit that failed by the generator's own stall counts")
	}
	// A failure at the stops of two pods is one.
	tl.Pods["b"] = pod("b", func(p *timeline.Pod) { p.Stops = []timeline.Stop{told(350)} })
	f = &grace{t: tl, stops: stopsOf(tl)}
	a = f.Arm(&timeline.Arm{Workload: app}).(*armGrace)
	h := failed(history.Hit{At: 345, Latency: 10})
	if a.Hit(&h); a.torn != 1 || a.found.Found != 1 {
		t.Errorf("one failure at the stops of two pods counts as %d", a.torn)
	}
}

// As many requests in flight as are asked for are enough, and one that was torn is too many.
func TestTheVerdictOnRequestsInFlight(t *testing.T) {
	for _, c := range []struct {
		n    graceCount
		want judge.Verdict
	}{{graceCount{whole: 10}, judge.Pass}, {graceCount{whole: 9}, judge.Inconclusive}, {graceCount{whole: 9, torn: 1}, judge.Fail}} {
		f := &grace{t: loaded(), budgets: GracefulBudgets{Straddling: 10}, stops: []stop{{of: pod("a", nil), told: true}}}
		f.arms = []*armGrace{{counts: []graceCount{c.n}, torn: c.n.torn}, {counts: make([]graceCount, 1)}}
		if p := f.Result(); p.Verdict != c.want || p.Hits != c.n.whole+c.n.torn || (p.Power != nil) != (c.want == judge.Pass) || p.Figures[0].Value != float64(c.n.whole+c.n.torn) {
			t.Errorf("%+v is %s: %+v", c.n, p.Verdict, p)
		}
	}
}

// A pod lost its readiness under a disturbance from its beginning to its end, unless the pod ended.
func TestWhichPodsLoseTheirReadiness(t *testing.T) {
	const never = timeline.Never
	d := disturbance(LostName, 200)
	d.Healed = 400
	stopped := func(s timeline.Stop) func(*timeline.Pod) {
		return func(p *timeline.Pod) { p.Stops = []timeline.Stop{s} }
	}
	for name, c := range map[string]struct {
		until  time.Duration // of its ready time
		again  time.Duration
		change func(*timeline.Pod)
		want   bool
	}{
		"as it began": {200, 250, nil, true}, "a moment before": {199, 250, nil, false}, "at its end": {400, 450, nil, true}, "a moment later": {401, 450, nil, false},
		"not again": {300, never, nil, true}, "it stays ready": {never, never, nil, false},
		"another workload's": {300, 350, func(p *timeline.Pod) { p.Workload.Name = "other" }, false},
		"it was deleted":     {300, never, stopped(timeline.Stop{Terminating: 300, Signalled: never, Gone: never}), false}, "it was signalled": {300, never, stopped(timeline.Stop{Terminating: never, Signalled: 300, Gone: never}), false},
		"it was gone": {300, never, stopped(timeline.Stop{Terminating: never, Signalled: never, Gone: 300}), false}, "it was deleted later": {300, 350, stopped(timeline.Stop{Terminating: 301, Signalled: never, Gone: never}), true},
	} {
		p := pod("a", c.change)
		p.Ready = []timeline.Span{{From: 0, Until: c.until}}
		if c.again != never {
			p.Ready = append(p.Ready, timeline.Span{From: c.again, Until: never})
		}
		tl := loaded()
		tl.Pods["a"] = p
		got := lostIn(tl, d)
		if (len(got) == 1) != c.want || c.want && got[0].Span != (timeline.Span{From: c.until, Until: c.again}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Answers count before a loss, from the time that routers follow its end, and against the pod while it was out.
func TestWhichAnswersOfALostPodCount(t *testing.T) {
	out := timeline.Span{From: 300, Until: 500}
	for name, c := range map[string]struct {
		span timeline.Span
		h    history.Hit
		want lostCount
	}{
		"before":               {out, history.Hit{Pod: "a", At: 290, Latency: 9}, lostCount{before: 1, ownBefore: 1}},
		"another's before":     {out, history.Hit{Pod: "b", At: 290, Latency: 9}, lostCount{before: 1}},
		"across its beginning": {out, history.Hit{Pod: "a", At: 290, Latency: 10}, lostCount{}},
		"while routers follow": {out, history.Hit{Pod: "a", At: 350, Latency: 1}, lostCount{}},
		"too late":             {out, history.Hit{Pod: "a", At: 351, Latency: 1}, lostCount{late: 1}},
		"another's meanwhile":  {out, history.Hit{Pod: "b", At: 351, Latency: 1}, lostCount{}},
		"up to its end":        {out, history.Hit{Pod: "a", At: 351, Latency: 138}, lostCount{late: 1}},
		"as the watch is late": {out, history.Hit{Pod: "a", At: 351, Latency: 139}, lostCount{}},
		"back, routers follow": {out, history.Hit{Pod: "a", At: 550, Latency: 1}, lostCount{}},
		"back":                 {out, history.Hit{Pod: "a", At: 551, Latency: 1}, lostCount{after: 1, ownAfter: 1}},
		"another's afterwards": {out, history.Hit{Pod: "b", At: 551, Latency: 1}, lostCount{after: 1}},
		"it never comes back":  {timeline.Span{From: 300, Until: timeline.Never}, history.Hit{Pod: "a", At: 900, Latency: 1}, lostCount{late: 1}},
		"another's, never":     {timeline.Span{From: 300, Until: timeline.Never}, history.Hit{Pod: "b", At: 900, Latency: 1}, lostCount{}},
		"nobody tells the pod": {out, history.Hit{At: 290, Latency: 9}, lostCount{}},
		"it failed":            {out, history.Hit{Pod: "a", At: 351, Latency: 1, Class: history.ClassApplication}, lostCount{}},
	} {
		a := &armLost{lost: &lost{tolerance: tolerance}, pods: []lostPod{{pod("a", nil), c.span}}, counts: make([]lostCount, 1)}
		if a.Hit(&c.h); a.counts[0] != c.want || a.found.Found != c.want.late {
			t.Errorf("%s: %+v, want %+v", name, a.counts[0], c.want)
		}
	}
	sum := lostCount{1, 2, 3, 4, 5}
	if sum.add(lostCount{1, 2, 3, 4, 5}); sum != (lostCount{2, 4, 6, 8, 10}) {
		t.Errorf("two counts add up to %+v", sum)
	}
}

// A share came back when it is as large as is asked for, of enough answers before and after.
func TestTheShareThatComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		n    lostCount
		want judge.Verdict
	}{
		"half of it":         {lostCount{before: 100, ownBefore: 40, after: 100, ownAfter: 20}, judge.Pass},
		"less than half":     {lostCount{before: 100, ownBefore: 40, after: 100, ownAfter: 19}, judge.Fail},
		"too few before":     {lostCount{before: 99, ownBefore: 40, after: 100, ownAfter: 40}, judge.Inconclusive},
		"too few afterwards": {lostCount{before: 100, ownBefore: 40, after: 99, ownAfter: 40}, judge.Inconclusive},
		"none of its own":    {lostCount{before: 100, after: 100, ownAfter: 40}, judge.Inconclusive},
	} {
		tl := loaded()
		lostPods := []lostPod{{pod("a", nil), timeline.Span{From: 300, Until: 500}}, {pod("b", nil), timeline.Span{From: 300, Until: 500}}}
		f := &lost{t: tl, budgets: LostBudgets{Regained: .5}, arms: []*armLost{{pods: lostPods, counts: []lostCount{c.n, {before: 7}}}}}
		var p judge.Promise
		r := judge.Ruling{Timeline: tl}
		f.share(lostPods[0], &p, &r)
		if r.Into(&p, "as told"); p.Verdict != c.want || p.Hits != c.n.before+c.n.after {
			t.Errorf("%s: %s by %d hits, want %s", name, p.Verdict, p.Hits, c.want)
		}
	}
	never := lostPod{pod("a", nil), timeline.Span{From: 300, Until: timeline.Never}}
	tl := loaded()
	var p judge.Promise
	r := judge.Ruling{Timeline: tl}
	(&lost{t: tl}).share(never, &p, &r)
	if r.Into(&p, ""); p.Verdict != judge.Fail {
		t.Errorf("a pod that does not become ready again is %s", p.Verdict)
	}
}

// The pods that went and came under a scale-in, from its beginning to when it landed.
func TestWhatAScaleInTakes(t *testing.T) {
	d := disturbance(history.ScaleInName, 200)
	d.Landed = 400
	given := disturbance(history.ScaleInName, 200)
	given.Failed = 400
	open := disturbance(history.ScaleInName, 200)
	for name, c := range map[string]struct {
		d           *timeline.Disturbance
		pod         *timeline.Pod
		stops, came int
		until       time.Duration
	}{
		"stopped as it began":     {d, pod("a", func(p *timeline.Pod) { p.Stops = []timeline.Stop{told(200)} }), 1, 0, 450},
		"as early as a watch may": {d, pod("a", func(p *timeline.Pod) { p.Stops = []timeline.Stop{told(190)} }), 1, 0, 450},
		"a moment before":         {d, pod("a", func(p *timeline.Pod) { p.Stops = []timeline.Stop{told(189)} }), 0, 0, 450},
		"as it landed":            {d, pod("a", func(p *timeline.Pod) { p.Stops = []timeline.Stop{told(400)} }), 1, 0, 450},
		"a moment later":          {d, pod("a", func(p *timeline.Pod) { p.Stops = []timeline.Stop{told(401)} }), 0, 0, 450},
		"another workload's":      {d, pod("a", func(p *timeline.Pod) { p.Stops, p.Workload.Name, p.Seen = []timeline.Stop{told(300)}, "other", 300 }), 0, 0, 450},
		"came":                    {d, pod("a", func(p *timeline.Pod) { p.Seen = 201 }), 0, 1, 450},
		"was there":               {d, pod("a", func(p *timeline.Pod) { p.Seen = 200 }), 0, 0, 450},
		"came at the last":        {d, pod("a", func(p *timeline.Pod) { p.Seen = 399 }), 0, 1, 450},
		"came with its healing":   {d, pod("a", func(p *timeline.Pod) { p.Seen = 400 }), 0, 0, 450},
		"given up":                {given, pod("a", func(p *timeline.Pod) { p.Stops, p.Seen = []timeline.Stop{told(400)}, 201 }), 1, 1, 450},
		"it goes on":              {open, pod("a", func(p *timeline.Pod) { p.Stops, p.Seen = []timeline.Stop{told(900)}, 300 }), 1, 0, timeline.Never},
	} {
		tl := loaded()
		tl.Disturbances, tl.Pods["a"] = []*timeline.Disturbance{c.d}, c.pod
		got := scalesOf(tl, tolerance)
		if len(got) != 1 || len(got[0].stops) != c.stops || len(got[0].came) != c.came || got[0].span != (timeline.Span{From: 200, Until: c.until}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	two := loaded()
	two.Disturbances = []*timeline.Disturbance{d}
	two.Pods["a"], two.Pods["b"] = pod("a", func(p *timeline.Pod) { p.Seen = 310 }), pod("b", func(p *timeline.Pod) { p.Seen = 300 })
	if came := scalesOf(two, tolerance)[0].came; len(came) != 2 || came[0].Name != "b" {
		t.Errorf("the pods that came are %v, want them in the order they came in", came)
	}
}

// Hits count while it is scaled in, on its workload, or where one of the two is not told.
func TestWhichHitsAScaleInCounts(t *testing.T) {
	other := history.Workload{Namespace: "ns", Kind: "Rollout", Name: "other"}
	for name, c := range map[string]struct {
		arm, workload history.Workload
		h             history.Hit
		want          scaleCount
	}{
		"across a stop":        {app, app, history.Hit{Pod: "a", At: 299, Latency: 2}, scaleCount{hits: 1, straddling: 1}},
		"from it on":           {app, app, history.Hit{Pod: "a", At: 300, Latency: 2}, scaleCount{hits: 1}},
		"up to it":             {app, app, history.Hit{Pod: "a", At: 299, Latency: 1}, scaleCount{hits: 1}},
		"at another pod":       {app, app, history.Hit{Pod: "b", At: 299, Latency: 2}, scaleCount{hits: 1}},
		"as it began":          {app, app, history.Hit{At: 190, Latency: 10}, scaleCount{hits: 1}},
		"before it began":      {app, app, history.Hit{At: 190, Latency: 9}, scaleCount{}},
		"at its end":           {app, app, history.Hit{At: 450, Latency: 10}, scaleCount{hits: 1}},
		"after its end":        {app, app, history.Hit{At: 451, Latency: 10}, scaleCount{}},
		"failed":               {app, app, history.Hit{Pod: "a", At: 299, Latency: 2, Class: history.ClassApplication}, scaleCount{hits: 1, failed: 1}},
		"the harness's":        {app, app, history.Hit{At: 299, Latency: 2, Class: history.ClassHarness}, scaleCount{}},
		"never sent":           {app, app, history.Hit{At: 299, Latency: 2, Unsent: true}, scaleCount{}},
		"of another workload":  {other, app, history.Hit{At: 299, Latency: 2}, scaleCount{}},
		"of nobody knows whom": {history.Workload{}, app, history.Hit{At: 299, Latency: 2}, scaleCount{hits: 1}},
		"on nobody knows whom": {other, history.Workload{}, history.Hit{At: 299, Latency: 2}, scaleCount{hits: 1}},
	} {
		d := disturbance(history.ScaleInName, 200)
		d.Workload = c.workload
		f := &scaleDown{scales: []scale{{Disturbance: d, stops: []stop{{of: pod("a", nil), from: 300}}, span: timeline.Span{From: 200, Until: 450}}}, t: loaded()}
		a := f.Arm(&timeline.Arm{Workload: c.arm}).(*armScale)
		if a.Hit(&c.h); a.counts[0] != c.want || a.found.Found != c.want.failed {
			t.Errorf("%s: %+v, want %+v", name, a.counts[0], c.want)
		}
	}
	if (&scaleDown{}).Arm(&timeline.Arm{Control: true}) != nil {
		t.Error("the control arm is looked at")
	}
	f := &scaleDown{arms: []*armScale{{counts: []scaleCount{{1, 2, 3}}}, {counts: []scaleCount{{1, 2, 3}}}}}
	if got := f.count(0); got != (scaleCount{2, 4, 6}) {
		t.Errorf("two arms count %+v", got)
	}
}

// A pod may answer while it is ready, a little before, and as long after as routers take to follow.
func TestWhenAPodMayAnswer(t *testing.T) {
	pods := []*timeline.Pod{pod("a", func(p *timeline.Pod) {
		p.Ready = []timeline.Span{{From: 100, Until: 200}, {From: 400, Until: timeline.Never}}
	}), pod("a", nil)}
	for _, c := range []struct {
		from, until time.Duration
		want        bool
	}{{50, 89, false}, {50, 90, true}, {250, 260, true}, {251, 260, false}, {300, 390, true}, {300, 389, false}, {900, 901, true}} {
		if got := mayAnswer(pods, c.from, c.until, tolerance); got != c.want {
			t.Errorf("from %d to %d it may answer: %v", c.from, c.until, got)
		}
	}
	// What has not stopped is not told to have.
	next := []*timeline.Pod{pod("a", func(p *timeline.Pod) { p.Ready = pods[0].Ready[1:] })}
	if got, want := readyText(pods, 150), readyText(next, 150); got != want {
		t.Errorf("while it is ready it is told %q, want what comes next only: %q", got, want)
	}
	// Each moment outside is told by what lies before and after it.
	texts := map[string]bool{}
	for _, at := range []time.Duration{50, 199, 200, 300, 400} {
		texts[readyText(pods, at)] = true
	}
	if len(texts) != 5 || readyText(pods[1:], 5) == "" || texts[readyText(pods[1:], 5)] {
		t.Errorf("five moments and a pod that never was ready are told by %v and %q", texts, readyText(pods[1:], 5))
	}
}

// The last answer to the evictions of each pod counts; a pod is told from another by its namespace, name and UID.
func TestTheLastAnswersToEvictions(t *testing.T) {
	e := func(namespace, name, uid string, code int) timeline.Eviction {
		return timeline.Eviction{Eviction: history.Eviction{Namespace: namespace, Pod: name, UID: uid, Code: code}}
	}
	got := lastAnswers([]timeline.Eviction{e("ns", "a", "1", 429), e("ns", "b", "2", 429), e("ns", "a", "1", 201), e("ns", "a", "3", 429), e("other", "a", "1", 404), e("ns", "c", "1", 500)})
	var codes []int
	for _, last := range got {
		codes = append(codes, last.Code)
	}
	if !slices.Equal(codes, []int{201, 429, 429, 404, 500}) {
		t.Errorf("the last answers are %v", codes)
	}
}

// A drain's verdict hangs on each of its evictions and on when it landed.
func TestTheVerdictOnADrain(t *testing.T) {
	e := func(name string, code int, cause string) timeline.Eviction {
		return timeline.Eviction{At: 250, Eviction: history.Eviction{Namespace: "ns", Pod: name, Code: code, Cause: cause}}
	}
	accepted := e("a", 201, "")
	for name, c := range map[string]struct {
		landed, failed time.Duration
		evictions      []timeline.Eviction
		early          bool // the run was interrupted
		want           judge.Verdict
		found          uint64
	}{
		"in time":                         {700, timeline.Never, []timeline.Eviction{accepted}, false, judge.Pass, 0},
		"a moment too late":               {701, timeline.Never, []timeline.Eviction{accepted}, false, judge.Fail, 1},
		"it evicted nothing":              {700, timeline.Never, nil, false, judge.Inconclusive, 1},
		"it was gone already":             {700, timeline.Never, []timeline.Eviction{accepted, e("b", 404, "")}, false, judge.Pass, 0},
		"only what was gone":              {700, timeline.Never, []timeline.Eviction{e("b", 404, "")}, false, judge.Inconclusive, 1},
		"one was refused to the end":      {700, timeline.Never, []timeline.Eviction{accepted, e("b", 429, "DisruptionBudget")}, false, judge.Fail, 1},
		"refused, and the run ends":       {700, timeline.Never, []timeline.Eviction{accepted, e("b", 429, "DisruptionBudget")}, true, judge.Inconclusive, 1},
		"given up on a refusal":           {timeline.Never, 600, []timeline.Eviction{accepted, e("b", 429, "DisruptionBudget")}, true, judge.Fail, 2},
		"given up for another reason":     {timeline.Never, 600, []timeline.Eviction{accepted, e("b", 500, "")}, true, judge.Inconclusive, 2},
		"it failed":                       {timeline.Never, 600, []timeline.Eviction{accepted}, false, judge.Inconclusive, 1},
		"it never ended":                  {timeline.Never, timeline.Never, []timeline.Eviction{accepted}, false, judge.Fail, 1},
		"it never ended, nor did the run": {timeline.Never, timeline.Never, []timeline.Eviction{accepted}, true, judge.Inconclusive, 1},
	} {
		tl := loaded()
		if c.early {
			tl.End.Outcome = history.EndInterrupted
		}
		d := disturbance(history.DrainName, 200)
		d.Landed, d.Failed = c.landed, c.failed
		for i := range c.evictions {
			c.evictions[i].Disturbance = d.ID
		}
		tl.Disturbances, tl.Evictions = []*timeline.Disturbance{d}, c.evictions
		p := (&deadlock{t: tl, budgets: DeadlockBudgets{Drain: 500}}).Result()
		if p.Verdict != c.want || p.Found != c.found || (len(p.Figures) == 1) != (c.landed != timeline.Never) {
			t.Errorf("%s: %s with %d findings, want %s with %d: %+v", name, p.Verdict, p.Found, c.want, c.found, p)
		}
	}
}

func track[T any](name string, states ...timeline.Seen[T]) *timeline.Track[T] {
	return &timeline.Track[T]{Namespace: "ns", Name: name, UID: "uid-" + name, Seen: states, Gone: timeline.Never}
}

func at[T any](moment time.Duration, object T) timeline.Seen[T] {
	return timeline.Seen[T]{At: moment, Object: object}
}

// What a budget allowed in a time is what it allowed at its beginning, and from then to its end.
func TestWhatABudgetAllowed(t *testing.T) {
	b := track("guard", at(100, resource.PDB{DisruptionsAllowed: 3}), at(200, resource.PDB{DisruptionsAllowed: 1}), at(300, resource.PDB{DisruptionsAllowed: 2}))
	for _, c := range []struct {
		from, until time.Duration
		most, least int32
	}{{50, 99, 0, 1<<31 - 1}, {50, 100, 3, 3}, {100, 199, 3, 3}, {150, 200, 3, 1}, {200, 250, 1, 1}, {201, 299, 1, 1}, {201, 300, 2, 1}, {400, 500, 2, 2}} {
		if most, least := allowedWithin(b, c.from, c.until), leastAllowedWithin(b, c.from, c.until); most != c.most || least != c.least {
			t.Errorf("from %d to %d it allowed %d at most and %d at least, want %d and %d", c.from, c.until, most, least, c.most, c.least)
		}
	}
	texts := map[string]bool{}
	for moment, o := range map[time.Duration]resource.PDB{99: {}, 100: {MinAvailable: "2"}, 101: {MaxUnavailable: "1"}, 102: {}} {
		texts[budgetText(track("guard", at(100, o)), moment)] = true
	}
	if len(texts) != 4 {
		t.Errorf("four budgets are told by %v", texts)
	}
}

// drainOf is a drain of node n1 from 200 to 400, of pods that a budget selects.
func drainOf(change func(*timeline.Timeline, *timeline.Disturbance)) pdbDrain {
	tl := loaded()
	d := disturbance(history.DrainName, 200)
	d.Landed, d.Healed, d.Target = 300, 400, "n1"
	tl.Cluster.Nodes = []*timeline.Track[resource.Node]{track("n1", at(0, resource.Node{Ready: true}))}
	tl.Cluster.Budgets = []*timeline.Track[resource.PDB]{track("guard", at(0, resource.PDB{Selector: "app=a", DesiredHealthy: 1}))}
	tl.Disturbances = []*timeline.Disturbance{d}
	if change != nil {
		change(tl, d)
	}
	return pdbDrain{pdbs: &pdbs{t: tl, tolerance: tolerance}, Drain: tl.Drains()[0], Ruling: &judge.Ruling{Timeline: tl}, served: map[podName]bool{}}
}

// drainedPod is a pod of node n1 that is deleted at a moment.
func drainedPod(name string, deleted time.Duration, change func(*timeline.PodView)) *timeline.Track[timeline.PodView] {
	var o timeline.PodView
	o.Node, o.Ready, o.Phase, o.Labels = "n1", true, "Running", map[string]string{"app": "a"}
	if change != nil {
		change(&o)
	}
	ending := o
	ending.Terminating = true
	return track(name, at(0, o), at(deleted, ending))
}

// A drain removed the pods that ended on its node while it went on, and were neither done nor of a DaemonSet.
func TestWhichPodsADrainRemoves(t *testing.T) {
	owned := func(kind string) func(*timeline.PodView) {
		return func(o *timeline.PodView) { o.Owner = &resource.Owner{Kind: kind} }
	}
	for name, c := range map[string]struct {
		pod  *timeline.Track[timeline.PodView]
		want bool
	}{
		"as it began": {drainedPod("a", 200, nil), true}, "before": {drainedPod("a", 199, nil), false}, "at its end": {drainedPod("a", 400, nil), true}, "afterwards": {drainedPod("a", 401, nil), false},
		"of another node": {drainedPod("a", 300, func(o *timeline.PodView) { o.Node = "n2" }), false},
		"done":            {drainedPod("a", 300, func(o *timeline.PodView) { o.Phase = "Succeeded" }), false}, "failed": {drainedPod("a", 300, func(o *timeline.PodView) { o.Phase = "Failed" }), false},
		"of a DaemonSet": {drainedPod("a", 300, owned("DaemonSet")), false}, "of a ReplicaSet": {drainedPod("a", 300, owned("ReplicaSet")), true},
		"seen as it ended": {track("a", at(300, timeline.PodView{PodState: history.PodState{Node: "n1", Terminating: true}})), true},
	} {
		j := drainOf(func(tl *timeline.Timeline, _ *timeline.Disturbance) {
			tl.Cluster.Pods = []*timeline.Track[timeline.PodView]{c.pod}
		})
		if got := j.mine(c.pod); got != c.want || j.anyRemoved() != c.want {
			t.Errorf("%s: it was removed: %v", name, got)
		}
	}
	// One that was done only when it was told to end was removed.
	ended := drainedPod("a", 300, nil)
	ended.Seen[1].Object.Phase = "Succeeded"
	if j := drainOf(nil); !j.mine(ended) {
		t.Error("a pod that ended well because it was told to was not removed")
	}
}

// What a drain removes must be protected where it answered, and evicted where it is protected.
func TestHowADrainRemovesPods(t *testing.T) {
	evicted := []timeline.Eviction{{At: 300, Eviction: history.Eviction{Disturbance: "d1", Namespace: "ns", Pod: "a", Node: "n1", Code: 201}}}
	unprotected := func(o *timeline.PodView) { o.Labels = nil }
	for name, c := range map[string]struct {
		change    func(*timeline.PodView)
		evictions []timeline.Eviction
		served    []podName
		found     uint64
		removed   uint64
		budgets   int
	}{
		"evicted":                      {nil, evicted, nil, 0, 1, 1},
		"it says that it was":          {func(o *timeline.PodView) { o.Disruption = evictedByAPI }, nil, nil, 0, 1, 1},
		"nobody evicted it":            {nil, nil, nil, 1, 1, 1},
		"the eviction was refused":     {nil, []timeline.Eviction{{At: 300, Eviction: history.Eviction{Disturbance: "d1", Namespace: "ns", Pod: "a", Code: 429}}}, nil, 1, 1, 1},
		"another was evicted":          {nil, []timeline.Eviction{{At: 300, Eviction: history.Eviction{Disturbance: "d1", Namespace: "ns", Pod: "b", Code: 201}}}, nil, 1, 1, 1},
		"unprotected":                  {unprotected, nil, nil, 0, 0, 0},
		"unprotected, and it answered": {unprotected, nil, []podName{{"ns", "a"}}, 1, 0, 0},
		"it answered, somewhere":       {unprotected, nil, []podName{{"", "a"}}, 1, 0, 0},
		"one of another namespace did": {unprotected, nil, []podName{{"other", "a"}}, 0, 0, 0},
		"protected, and it answered":   {nil, evicted, []podName{{"ns", "a"}}, 0, 1, 1},
	} {
		j := drainOf(func(tl *timeline.Timeline, _ *timeline.Disturbance) {
			tl.Cluster.Pods = []*timeline.Track[timeline.PodView]{drainedPod("a", 300, c.change)}
			tl.Evictions = c.evictions
		})
		for _, name := range c.served {
			j.served[name] = true
		}
		protecting := j.removals()
		if j.Against.Found != c.found || j.removed != c.removed || len(protecting) != c.budgets {
			t.Errorf("%s: %d findings, %d removed, %d budgets; want %d, %d, %d", name, j.Against.Found, j.removed, len(protecting), c.found, c.removed, c.budgets)
		}
	}
	two := drainOf(func(tl *timeline.Timeline, _ *timeline.Disturbance) {
		tl.Cluster.Pods = []*timeline.Track[timeline.PodView]{drainedPod("a", 300, nil), drainedPod("b", 310, nil)}
	})
	if protecting := two.removals(); len(protecting) != 1 || two.removed != 2 {
		t.Errorf("two pods of one budget: %d removed, %d budgets", two.removed, len(protecting))
	}
}

// A refusal is a budget's where it selects the pod, the pod is of the node, and it allowed none about that moment.
func TestWhoseRefusalItWas(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*timeline.PodView)
		allowed []timeline.Seen[resource.PDB]
		e       history.Eviction
		want    bool
	}{
		"the budget's":               {nil, nil, history.Eviction{Code: 429, Cause: "DisruptionBudget"}, true},
		"for another cause":          {nil, nil, history.Eviction{Code: 429}, false},
		"of a pod elsewhere":         {func(o *timeline.PodView) { o.Node = "n2" }, nil, history.Eviction{Code: 429, Cause: "DisruptionBudget"}, false},
		"of a pod unprotected":       {func(o *timeline.PodView) { o.Labels = nil }, nil, history.Eviction{Code: 429, Cause: "DisruptionBudget"}, false},
		"one was allowed":            {nil, []timeline.Seen[resource.PDB]{at(0, resource.PDB{Selector: "app=a", DisruptionsAllowed: 1})}, history.Eviction{Code: 429, Cause: "DisruptionBudget"}, false},
		"none, as late as a watch":   {nil, []timeline.Seen[resource.PDB]{at(0, resource.PDB{Selector: "app=a", DisruptionsAllowed: 1}), at(310, resource.PDB{Selector: "app=a"})}, history.Eviction{Code: 429, Cause: "DisruptionBudget"}, true},
		"none, a moment later":       {nil, []timeline.Seen[resource.PDB]{at(0, resource.PDB{Selector: "app=a", DisruptionsAllowed: 1}), at(311, resource.PDB{Selector: "app=a"})}, history.Eviction{Code: 429, Cause: "DisruptionBudget"}, false},
		"none, as early as it asked": {nil, []timeline.Seen[resource.PDB]{at(0, resource.PDB{Selector: "app=a"}), at(286, resource.PDB{Selector: "app=a", DisruptionsAllowed: 1})}, history.Eviction{Code: 429, Cause: "DisruptionBudget", Latency: 5}, true},
		"none, a moment earlier":     {nil, []timeline.Seen[resource.PDB]{at(0, resource.PDB{Selector: "app=a"}), at(285, resource.PDB{Selector: "app=a", DisruptionsAllowed: 1})}, history.Eviction{Code: 429, Cause: "DisruptionBudget", Latency: 5}, false},
	} {
		e := timeline.Eviction{At: 300, Eviction: c.e}
		e.Disturbance, e.Namespace, e.Pod = "d1", "ns", "a"
		j := drainOf(func(tl *timeline.Timeline, _ *timeline.Disturbance) {
			tl.Cluster.Pods = []*timeline.Track[timeline.PodView]{drainedPod("a", 500, c.change)}
			if c.allowed != nil {
				tl.Cluster.Budgets[0].Seen = c.allowed
			}
			tl.Evictions = []timeline.Eviction{e}
		})
		b := j.t().Cluster.Budgets[0]
		if got := j.refusedBy(b, &e); got != c.want || j.tested(b) != c.want {
			t.Errorf("%s: it was the budget's: %v", name, got)
		}
	}
}

// An eviction of a ready pod may be accepted where its budget allowed one about that moment.
func TestAnEvictionThatWasNotAllowed(t *testing.T) {
	accepted := history.Eviction{Disturbance: "d1", Namespace: "ns", Pod: "a", Code: 201, Latency: 5}
	allowing := func(moment time.Duration) []timeline.Seen[resource.PDB] {
		return []timeline.Seen[resource.PDB]{at(0, resource.PDB{Selector: "app=a"}), at(moment, resource.PDB{Selector: "app=a", DisruptionsAllowed: 1}), at(moment+1, resource.PDB{Selector: "app=a"})}
	}
	for name, c := range map[string]struct {
		pod     func(*timeline.PodView)
		e       history.Eviction
		allowed []timeline.Seen[resource.PDB]
		found   uint64
	}{
		"none was allowed":          {nil, accepted, nil, 1},
		"one was, shortly before":   {nil, accepted, allowing(285), 0},
		"one was, too long before":  {nil, accepted, allowing(283), 1},
		"one was, shortly after":    {nil, accepted, allowing(310), 0},
		"one was, too late":         {nil, accepted, allowing(311), 1},
		"it was refused":            {nil, history.Eviction{Disturbance: "d1", Namespace: "ns", Pod: "a", Code: 429}, nil, 0},
		"the pod was not ready":     {func(o *timeline.PodView) { o.Ready = false }, accepted, nil, 0},
		"the pod is unprotected":    {func(o *timeline.PodView) { o.Labels = nil }, accepted, nil, 0},
		"a pod that nobody watched": {nil, history.Eviction{Disturbance: "d1", Namespace: "ns", Pod: "b", Code: 201}, nil, 0},
	} {
		e := timeline.Eviction{At: 300, Eviction: c.e}
		j := drainOf(func(tl *timeline.Timeline, _ *timeline.Disturbance) {
			tl.Cluster.Pods = []*timeline.Track[timeline.PodView]{drainedPod("a", 350, c.pod)}
			if c.allowed != nil {
				tl.Cluster.Budgets[0].Seen = c.allowed
			}
		})
		if j.allowance(&e); j.Against.Found != c.found {
			t.Errorf("%s: %d findings, want %d", name, j.Against.Found, c.found)
		}
	}
	// The answer may be recorded later than its own effect: the pod was ready a moment before it ended.
	j := drainOf(func(tl *timeline.Timeline, _ *timeline.Disturbance) {
		tl.Cluster.Pods = []*timeline.Track[timeline.PodView]{drainedPod("a", 290, nil)}
	})
	if j.allowance(&timeline.Eviction{At: 300, Eviction: accepted}); j.Against.Found != 1 {
		t.Errorf("an eviction that was recorded late: %d findings, want 1", j.Against.Found)
	}
}

// As many pods as a budget asks for must be ready at each change from the beginning of a drain to its end.
func TestTheFloorOfABudget(t *testing.T) {
	unready := func(from, until time.Duration) *timeline.Track[timeline.PodView] {
		p := drainedPod("a", 900, nil)
		out := p.Seen[0].Object
		out.Ready = false
		p.Seen = []timeline.Seen[timeline.PodView]{p.Seen[0], at(from, out), at(until, p.Seen[0].Object)}
		return p
	}
	for name, c := range map[string]struct {
		pod    *timeline.Track[timeline.PodView]
		change func(*timeline.Timeline)
		found  uint64
		lowest float64
	}{
		"as many as it asks for":    {drainedPod("a", 900, nil), nil, 0, 1},
		"one too few as it begins":  {unready(200, 201), nil, 1, 0},
		"one too few before":        {unready(198, 199), nil, 0, 1},
		"up to its beginning":       {unready(150, 200), nil, 0, 1},
		"one too few at its end":    {unready(400, 500), nil, 1, 0},
		"one too few afterwards":    {unready(401, 500), nil, 0, 1},
		"it is gone":                {drainedPod("a", 300, nil), nil, 1, 0},
		"another's pod":             {drainedPod("a", 300, func(o *timeline.PodView) { o.Labels = nil }), nil, 1, 0},
		"the budget comes later":    {unready(250, 260), func(tl *timeline.Timeline) { tl.Cluster.Budgets[0].Seen[0].At = 255 }, 1, 0},
		"it comes when all is well": {unready(250, 260), func(tl *timeline.Timeline) { tl.Cluster.Budgets[0].Seen[0].At = 260 }, 0, 1},
		"it asks for more later": {drainedPod("a", 900, nil), func(tl *timeline.Timeline) {
			b := tl.Cluster.Budgets[0]
			more := b.Seen[0].Object
			more.DesiredHealthy = 2
			b.Seen = append(b.Seen, at(350, more))
		}, 1, 1},
	} {
		j := drainOf(func(tl *timeline.Timeline, _ *timeline.Disturbance) {
			tl.Cluster.Pods = []*timeline.Track[timeline.PodView]{c.pod}
			if c.change != nil {
				c.change(tl)
			}
		})
		var p judge.Promise
		j.floor(j.t().Cluster.Budgets[0], &p)
		if min(j.Against.Found, 1) != c.found || len(p.Figures) != 1 || p.Figures[0].Value != c.lowest {
			t.Errorf("%s: %d findings, %+v; want %d and %v", name, j.Against.Found, p.Figures, c.found, c.lowest)
		}
	}
	pods := []*timeline.Track[timeline.PodView]{drainedPod("a", 300, nil), drainedPod("b", 500, nil)}
	for moment, want := range map[time.Duration]int{-1: 0, 100: 2, 300: 1, 500: 0} {
		if got := readyOf(pods, moment); got != want {
			t.Errorf("%d pods are ready at %d, want %d", got, moment, want)
		}
	}
	if both, one, none := readyNames(pods, 100), readyNames(pods, 400), readyNames(pods, 600); both == one || one != "b" || none == one {
		t.Errorf("the pods that are ready are %q, %q and %q", both, one, none)
	}
}

// A drain is judged by what it removed, and by which budgets refused.
func TestTheVerdictOnABudget(t *testing.T) {
	refused := timeline.Eviction{At: 290, Eviction: history.Eviction{Disturbance: "d1", Namespace: "ns", Pod: "a", Node: "n1", Code: 429, Cause: "DisruptionBudget"}}
	trial := refused
	trial.DryRun = true
	for name, c := range map[string]struct {
		pods      []*timeline.Track[timeline.PodView]
		evictions []timeline.Eviction
		second    bool // budget
		want      judge.Verdict
		refused   uint64
	}{
		"nothing removed":           {nil, nil, false, judge.Inconclusive, 0},
		"nothing that is protected": {[]*timeline.Track[timeline.PodView]{drainedPod("a", 300, func(o *timeline.PodView) { o.Labels = nil })}, nil, false, judge.Fail, 0},
		"never refused":             {evictedPods(), nil, false, judge.Inconclusive, 0},
		"refused":                   {evictedPods(), []timeline.Eviction{refused}, false, judge.Pass, 1},
		"refused in a trial":        {evictedPods(), []timeline.Eviction{trial}, false, judge.Pass, 1},
		"refused twice":             {evictedPods(), []timeline.Eviction{refused, trial}, false, judge.Pass, 2},
		"one of two was asked":      {evictedPods(), []timeline.Eviction{refused}, true, judge.Inconclusive, 1},
	} {
		j := drainOf(func(tl *timeline.Timeline, _ *timeline.Disturbance) {
			tl.Cluster.Pods, tl.Evictions = c.pods, c.evictions
			if c.second {
				tl.Cluster.Budgets = append(tl.Cluster.Budgets, track("second", at(0, resource.PDB{Selector: "app=a", DisruptionsAllowed: 1, DesiredHealthy: 1})))
			}
		})
		p := (&pdbs{t: j.t(), tolerance: tolerance}).Result()
		if p.Verdict != c.want || p.Figures[0].Value != float64(c.refused) {
			t.Errorf("%s: %s with %v, want %s with %d refusals", name, p.Verdict, p.Figures, c.want, c.refused)
		}
	}
}

// evictedPods are one that a drain evicted, and one that stays.
func evictedPods() []*timeline.Track[timeline.PodView] {
	return []*timeline.Track[timeline.PodView]{drainedPod("a", 300, func(o *timeline.PodView) { o.Disruption = evictedByAPI }),
		drainedPod("b", 900, func(o *timeline.PodView) { o.Node = "n2" })}
}
