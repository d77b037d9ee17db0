package load

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
)

// The tests of this file change one thing of a load that went as it should, and count what is found.

var app = history.Workload{Namespace: "ns", Kind: "Rollout", Name: "app"}

// armOf is an arm with one window of ten seconds.
func armOf(name string) *timeline.Arm {
	return &timeline.Arm{Name: name, Workload: app, Windows: []*timeline.Window{{Announced: true, Begins: 1, Ends: 1, Window: history.Window{Arm: name, Index: 1, Length: 10 * time.Second,
		Deadline: time.Second, Planned: 10, Sent: 10, Ended: true, Health: &history.Health{FilesLimit: 100}}}}}
}

func timelineOf(arms ...*timeline.Arm) *timeline.Timeline {
	return &timeline.Timeline{Arms: arms, Known: timeline.Never, Broken: timeline.Never, Last: 20 * time.Second, Ended: 20 * time.Second}
}

// What the generator says of a window, each limit at itself and one step beyond.
func TestWhatIsWrongWithAWindow(t *testing.T) {
	budgets := HeldBudgets{Lag: 200 * ms, Stall: 300 * ms, Files: .5}
	for name, c := range map[string]struct {
		change func(*timeline.Window)
		want   uint64
	}{
		"as planned":                {func(*timeline.Window) {}, 0},
		"it never ended":            {func(w *timeline.Window) { w.Ended, w.Sent = false, 0 }, 1},
		"nothing was planned":       {func(w *timeline.Window) { w.Planned, w.Sent = 0, 0 }, 1},
		"more was planned":          {func(w *timeline.Window) { w.Planned++ }, 1},
		"more was sent":             {func(w *timeline.Window) { w.Sent++ }, 1},
		"its health is not told":    {func(w *timeline.Window) { w.Health = nil }, 1},
		"as late as may be":         {func(w *timeline.Window) { w.Health.LagMax = 200 * ms }, 0},
		"later":                     {func(w *timeline.Window) { w.Health.LagMax = 200*ms + 1 }, 1},
		"stalled as long as may be": {func(w *timeline.Window) { w.Health.StallMax = 300 * ms }, 0},
		"stalled longer":            {func(w *timeline.Window) { w.Health.StallMax = 300*ms + 1 }, 1},
		"as long as the deadline":   {func(w *timeline.Window) { w.Deadline, w.Health.StallMax = 100*ms, 100*ms }, 0},
		"longer than the deadline":  {func(w *timeline.Window) { w.Deadline, w.Health.StallMax = 100*ms, 100*ms+1 }, 1},
		"without a deadline":        {func(w *timeline.Window) { w.Deadline, w.Health.StallMax = 0, 300*ms }, 0},
		"as many files as may be":   {func(w *timeline.Window) { w.Health.FilesMax = 50 }, 0},
		"one more":                  {func(w *timeline.Window) { w.Health.FilesMax = 51 }, 1},
		"files without a limit":     {func(w *timeline.Window) { w.Health.FilesMax, w.Health.FilesLimit = 51, 0 }, 0},
	} {
		arm := armOf("get")
		c.change(arm.Windows[0])
		var found judge.Findings
		if (&held{budgets: budgets}).window(arm, arm.Windows[0], &found); found.Found != c.want {
			t.Errorf("%s: %d findings, want %d: %+v", name, found.Found, c.want, found.Kept)
		}
	}
}

// heldBy folds hits of arms, and judges whether the load was held.
func heldBy(tl *timeline.Timeline, hits map[string][]history.Hit) judge.Promise {
	f := &held{t: tl, budgets: HeldBudgets{Lag: 200 * ms, Stall: 300 * ms, Files: .5, Around: 2, Quiet: time.Second}}
	for _, d := range tl.Disturbances {
		f.cuts = append(f.cuts, d.Began, d.Until())
	}
	for _, arm := range tl.Arms {
		a := f.Arm(arm)
		for _, h := range hits[arm.Name] {
			a.Hit(&h)
		}
	}
	return f.Result()
}

// each is a hit at each of some moments, in seconds.
func each(seconds ...float64) []history.Hit {
	var all []history.Hit
	for i, s := range seconds {
		at := time.Duration(s * float64(time.Second))
		all = append(all, history.Hit{Seq: uint64(i), Window: 1, Code: 200, Intended: at, At: at, Latency: ms})
	}
	return all
}

func TestALoadIsHeld(t *testing.T) {
	whole := []float64{1, 1.5, 3, 3.5, 4, 4.5, 5, 5.5, 8, 9}
	for name, c := range map[string]struct {
		change func(tl *timeline.Timeline, hits []history.Hit) []history.Hit
		want   uint64
	}{
		"held":                   {func(_ *timeline.Timeline, hits []history.Hit) []history.Hit { return hits }, 0},
		"one too few before":     {func(_ *timeline.Timeline, hits []history.Hit) []history.Hit { return hits[1:] }, 1},
		"one too few afterwards": {func(_ *timeline.Timeline, hits []history.Hit) []history.Hit { return hits[:9] }, 1},
		"none meanwhile":         {func(_ *timeline.Timeline, hits []history.Hit) []history.Hit { return slices.Delete(hits, 2, 8) }, 2},
		"quiet for a second": {func(_ *timeline.Timeline, hits []history.Hit) []history.Hit {
			hits[4].At = 4900 * ms
			hits[4].Intended = hits[4].At
			return hits
		}, 0},
		"quiet for longer": {func(_ *timeline.Timeline, hits []history.Hit) []history.Hit { return slices.Delete(hits, 4, 7) }, 1},
		"a hit as late as may be": {func(_ *timeline.Timeline, hits []history.Hit) []history.Hit {
			hits[1].Intended -= 200 * ms
			return hits
		}, 0},
		"a hit later": {func(_ *timeline.Timeline, hits []history.Hit) []history.Hit {
			hits[1].Intended -= 200*ms + 1
			return hits
		}, 1},
		"one never sent": {func(_ *timeline.Timeline, hits []history.Hit) []history.Hit {
			return append(hits, history.Hit{Unsent: true, Class: history.ClassHarness})
		}, 1},
		"no window": {func(tl *timeline.Timeline, hits []history.Hit) []history.Hit { tl.Arms[0].Windows = nil; return hits }, 1},
		"no beginning of it": {func(tl *timeline.Timeline, hits []history.Hit) []history.Hit {
			tl.Disturbances[0].Began = timeline.Never
			return hits[3:4]
		}, 0},
		"only the control arm's": {func(tl *timeline.Timeline, hits []history.Hit) []history.Hit { tl.Arms[0].Control = true; return hits }, 5}, // none of it counts: before, during, after, throughout, at all
	} {
		tl := timelineOf(armOf("get"))
		d := disturbance(3 * time.Second)
		d.Healed = 6 * time.Second
		tl.Disturbances = []*timeline.Disturbance{d}
		hits := c.change(tl, each(whole...))
		p := heldBy(tl, map[string][]history.Hit{"get": hits})
		if want := map[bool]judge.Verdict{true: judge.Pass, false: judge.Inconclusive}[c.want == 0]; p.Found != c.want || p.Verdict != want {
			t.Errorf("%s: %s with %d findings, want %d: %+v", name, p.Verdict, p.Found, c.want, p.Findings)
		}
	}
}

// The latest start is the one that is told of, and how late the worst was.
func TestTheLatestStart(t *testing.T) {
	hits := each(1, 2, 3, 4)
	for i, late := range []time.Duration{250 * ms, 400 * ms, 300 * ms, 400 * ms} {
		hits[i].Intended -= late
	}
	p := heldBy(timelineOf(armOf("get")), map[string][]history.Hit{"get": hits})
	if len(p.Findings) != 1 || p.Findings[0].Hit != "get/1" || p.Figures[0].Value != 400 {
		t.Errorf("the worst is %+v, figures %+v", p.Findings, p.Figures)
	}
}

// What a load carried is needed: arms, or the plan of one.
func TestWhatALoadCarries(t *testing.T) {
	planned := &timeline.Timeline{}
	planned.Run.Probes = []string{history.ProbeLoad}
	for want, tl := range map[bool]*timeline.Timeline{true: planned, false: {}} {
		if Carried.Met(tl) != want {
			t.Errorf("with probes %v there is load: %v", tl.Run.Probes, !want)
		}
	}
	if !Carried.Met(timelineOf(armOf("get"))) {
		t.Error("with an arm there is no load")
	}
}

// On whose account a hit without a correct answer goes.
func TestOnWhoseAccountAFailureGoes(t *testing.T) {
	stalled := armOf("get")
	stalled.Windows[0].Health.Stalls = []history.Stall{{At: 5 * time.Second, Length: time.Second}}
	for name, c := range map[string]struct {
		known time.Duration
		arm   *timeline.Arm
		h     history.Hit
		want  string // dropped, harness, unsent, undecided, bare
	}{
		"dropped":                     {timeline.Never, armOf("get"), history.Hit{Class: history.ClassApplication, Code: 503}, "1 0 0 0 0"},
		"dropped, nothing came":       {timeline.Never, armOf("get"), history.Hit{Class: history.ClassAmbiguous}, "1 0 0 0 1"},
		"never sent":                  {timeline.Never, armOf("get"), history.Hit{Class: history.ClassHarness, Unsent: true}, "0 0 1 0 0"},
		"the harness's":               {timeline.Never, armOf("get"), history.Hit{Class: history.ClassHarness}, "0 1 0 0 0"},
		"no status":                   {timeline.Never, armOf("get"), history.Hit{BytesIn: 1}, "1 0 0 0 0"},
		"in its deadline":             {timeline.Never, armOf("get"), history.Hit{Code: 200, Latency: time.Second}, "0 0 0 0 0"},
		"past its deadline":           {timeline.Never, armOf("get"), history.Hit{Code: 200, Latency: time.Second + 1}, "1 0 0 0 0"},
		"the generator did not run":   {timeline.Never, stalled, history.Hit{At: 5 * time.Second, Code: 200, Latency: time.Second + 1}, "0 1 0 0 0"},
		"no event is left":            {4 * time.Second, armOf("get"), history.Hit{At: 4 * time.Second, Latency: 1, Class: history.ClassApplication, Code: 503}, "0 0 0 1 0"},
		"at the last event":           {4 * time.Second, armOf("get"), history.Hit{At: 4*time.Second - 1, Latency: 1, Class: history.ClassApplication, Code: 503}, "1 0 0 0 0"},
		"no event, no status":         {4 * time.Second, armOf("get"), history.Hit{At: 4 * time.Second, Latency: 1, Class: history.ClassApplication}, "1 0 0 0 1"},
		"no event, an ingress answer": {4 * time.Second, armOf("get"), history.Hit{At: 4 * time.Second, Latency: 1, Class: history.ClassIngress, Code: 503}, "1 0 0 0 0"},
	} {
		tl := timelineOf(c.arm)
		tl.Known = c.known
		f := &drops{t: tl}
		a := f.Arm(c.arm).(*armDrops)
		c.h.Window, c.h.Arm = 1, "get"
		a.Hit(&c.h)
		if got := fmt.Sprint(a.dropped, a.harness, a.tally.unsent, a.undecided, len(a.unreached)); got != c.want || a.hits != 1 || a.found.Found != a.dropped+a.harness+a.tally.unsent+a.undecided {
			t.Errorf("%s: %s of %d hits, %d found; want %s", name, got, a.hits, a.found.Found, c.want)
		}
	}
}

// A failure of the control arm is one, unless the generator brought it about.
func TestFailuresOfAControlArm(t *testing.T) {
	arm := armOf("control")
	arm.Control = true
	arm.Windows[0].Health.Stalls = []history.Stall{{At: 5 * time.Second, Length: time.Second}}
	for name, c := range map[string]struct {
		h    history.Hit
		want string // failed, starved
	}{
		"answered":                  {history.Hit{Code: 200, Latency: time.Second}, "0 0"},
		"past its deadline":         {history.Hit{Code: 200, Latency: time.Second + 1}, "1 0"},
		"failed":                    {history.Hit{Class: history.ClassIngress, Code: 503}, "1 0"},
		"never sent":                {history.Hit{Class: history.ClassHarness, Unsent: true}, "1 0"},
		"never sent, and called OK": {history.Hit{Code: 200, Unsent: true}, "1 0"},
		"no status":                 {history.Hit{}, "1 0"},
		"the generator did not run": {history.Hit{At: 5 * time.Second, Code: 200, Latency: time.Second + 1}, "0 1"},
	} {
		f := &drops{t: timelineOf(arm)}
		a := f.Arm(arm).(*controlDrops)
		c.h.Window = 1
		if a.Hit(&c.h); fmt.Sprint(a.failed, a.starved) != c.want || a.hits != 1 || a.found.Found != a.failed || len(a.seconds) != int(a.failed) || (len(a.answered) == 1) != (c.h.Code != 0) {
			t.Errorf("%s: %d failed, %d starved, %d found; want %s", name, a.failed, a.starved, a.found.Found, c.want)
		}
	}
	// It failed about a moment when it did within a second of it; its own failures do not tell of it.
	f := &drops{control: []*controlDrops{{arm: arm, seconds: map[int64]bool{5: true}}}}
	for second, want := range map[time.Duration]bool{3: false, 4: true, 5: true, 6: true, 7: false} {
		if got := f.controlFailed("get", second*time.Second); got != want {
			t.Errorf("it failed about second %d: %v", second, got)
		}
	}
	if f.controlFailed("control", 5*time.Second) {
		t.Error("its own failure tells of another")
	}
	// Bytes after an answer are a failure for each connection, of any arm.
	arm.Windows[0].Late = 3
	c := &controlDrops{arm: arm}
	main := armOf("get")
	main.Windows[0].Late = 3
	a := (&drops{t: timelineOf(main)}).Arm(main).(*armDrops)
	c.failLate()
	if a.dropLate(); c.failed != 3 || c.found.Found != 1 || a.dropped != 3 || a.found.Found != 1 {
		t.Errorf("of three connections with bytes too many %d and %d failed, %d and %d found", c.failed, a.dropped, c.found.Found, a.found.Found)
	}
	none := armOf("get")
	b := (&drops{t: timelineOf(none)}).Arm(none).(*armDrops)
	quiet := &controlDrops{arm: none}
	quiet.failLate()
	if b.dropLate(); b.found.Found != 0 || quiet.found.Found != 0 {
		t.Error("without such a connection something is found")
	}
}

// Too few hits take a pass, in all or of one arm.
func TestHowManyHitsAreEnough(t *testing.T) {
	f := &drops{budgets: DroppedBudgets{Fewest: 100, FewestOfArm: 10}}
	for name, c := range map[string]struct {
		arms []uint64
		want judge.Verdict
	}{"enough": {[]uint64{90, 10}, judge.Pass}, "one too few": {[]uint64{89, 10}, judge.Inconclusive}, "one too few of an arm": {[]uint64{91, 9}, judge.Inconclusive}, "of the first arm": {[]uint64{9, 91}, judge.Inconclusive}} {
		f.arms = nil
		var sum tally
		for _, n := range c.arms {
			f.arms = append(f.arms, &armDrops{arm: armOf("get"), tally: tally{hits: n + 1, injected: 1}})
			sum.add(tally{hits: n})
		}
		p := judge.Promise{Verdict: judge.Pass}
		if f.enough(&sum, &p); p.Verdict != c.want || (p.Reason == "") != (c.want == judge.Pass) {
			t.Errorf("%s: %s: %s", name, p.Verdict, p.Reason)
		}
	}
}

// What came of power and of the longest gap.
func TestThePowerOfALoad(t *testing.T) {
	if p := loadPower(0, 10, time.Second, ms); p != nil {
		t.Errorf("with nothing left to judge the power is %+v", p)
	}
	if p := loadPower(10, 30, 2*time.Second, ms); p.Hits != 10 || p.Rate != 15 || p.OutageSeen != ms {
		t.Errorf("the power is %+v", p)
	}
	if p := loadPower(10, 30, 0, ms); p.Rate != 0 {
		t.Errorf("in no time the rate is %v", p.Rate)
	}
}

// A single drop is no outage, two in a row are; the worst of an arm is told.
func TestWhichOutagesAreTold(t *testing.T) {
	f := &drops{arms: []*armDrops{{arm: armOf("a")}, {arm: armOf("b")}, {arm: armOf("c")}}}
	f.arms[1].outages.worst = outage{from: 1, until: 5, hits: 1}
	f.arms[2].outages.worst = outage{from: 2, until: 5, hits: 2, first: 7}
	if got := f.outageFindings(); len(got) != 1 || got[0].Arm != "c" || got[0].Hit != "c/7" || got[0].At != 2 || got[0].Until != 5 {
		t.Errorf("the outages are %+v", got)
	}
}

// What an answer says of how long one waits.
func TestWhatAnAnswerSaysOfWaiting(t *testing.T) {
	stalled := armOf("get")
	stalled.Windows[0].Health.Stalls = []history.Stall{{At: 5 * time.Second, Length: 2 * time.Second}}
	for name, c := range map[string]struct {
		arm          *timeline.Arm
		h            history.Hit
		want         outcome
		judged, long uint64
	}{
		"answered":                        {armOf("get"), history.Hit{Code: 200, Latency: time.Second}, answered, 1, 0},
		"past its deadline":               {armOf("get"), history.Hit{Code: 200, Latency: time.Second + 1}, dropped, 1, 0},
		"no status":                       {armOf("get"), history.Hit{}, dropped, 1, 0},
		"never sent":                      {armOf("get"), history.Hit{Code: 200, Unsent: true}, aside, 0, 0},
		"the harness's":                   {armOf("get"), history.Hit{Class: history.ClassHarness}, aside, 0, 0},
		"failed":                          {armOf("get"), history.Hit{Class: history.ClassApplication, Code: 503}, dropped, 1, 0},
		"long by itself":                  {armOf("get"), history.Hit{Code: 200, Route: "export"}, granted, 0, 0},
		"long, and failed":                {armOf("get"), history.Hit{Class: history.ClassApplication, Code: 503, Route: "export"}, dropped, 1, 0},
		"the generator did not run":       {stalled, history.Hit{At: 5 * time.Second, Code: 200, Latency: 2 * time.Second}, aside, 0, 0},
		"it did not run, and was in time": {stalled, history.Hit{At: 5 * time.Second, Code: 200, Latency: time.Second}, answered, 1, 0},
	} {
		f := &responsive{t: timelineOf(c.arm), budgets: ResponsiveBudgets{Long: []string{"export"}}}
		a := f.Arm(c.arm).(*armWaits)
		a.deadline = time.Second
		c.h.Window = 1
		if got := a.outcome(&c.h); got != c.want || a.judged != c.judged {
			t.Errorf("%s: outcome %d, %d judged; want %d, %d", name, got, a.judged, c.want, c.judged)
		}
	}
}

// A stall is broken, or unsure, by how much of it is left without what was the generator's, the path's, and the control arm's.
func TestWhoseStallItIs(t *testing.T) {
	s := time.Second
	for name, c := range map[string]struct {
		stall         waited
		pause         time.Duration // of the generator, as it measured itself
		path, control []timeline.Span
		want          judge.Verdict
	}{
		"the stack's":                {waited{s, s, 2 * s}, 0, nil, nil, judge.Fail},
		"sent late, within it":       {waited{s, 1500 * ms, 2 * s}, 0, nil, nil, judge.Inconclusive},
		"sent late, and longer":      {waited{s, 1500*ms - 1, 2 * s}, 0, nil, nil, judge.Fail},
		"paused, within it":          {waited{s, s, 2 * s}, 500 * ms, nil, nil, judge.Inconclusive},
		"paused, and longer":         {waited{s, s, 2 * s}, 500*ms - 1, nil, nil, judge.Fail},
		"the path's, within it":      {waited{s, s, 2 * s}, 0, []timeline.Span{{From: s, Until: 1500 * ms}}, nil, judge.Inconclusive},
		"the path's, and longer":     {waited{s, s, 2 * s}, 0, []timeline.Span{{From: s, Until: 1500*ms - 1}}, nil, judge.Fail},
		"the longer of both":         {waited{s, s, 2 * s}, 250 * ms, []timeline.Span{{From: s, Until: 1400 * ms}}, nil, judge.Fail},
		"the control arm's, as well": {waited{s, s, 2 * s}, 0, nil, []timeline.Span{{From: s, Until: 1500 * ms}}, judge.Inconclusive},
		"the control arm's, shorter": {waited{s, s, 2 * s}, 0, nil, []timeline.Span{{From: s, Until: 1500*ms - 1}}, judge.Fail},
	} {
		arm := armOf("get")
		arm.Windows[0].Health.Stalls = []history.Stall{{At: s, Length: c.pause}}
		tl := timelineOf(arm)
		a := &armWaits{responsive: &responsive{t: tl, budgets: ResponsiveBudgets{Unanswered: 500 * ms}}, arm: arm, stalls: []waited{c.stall}}
		var p judge.Promise
		r := judge.Ruling{Timeline: tl}
		a.judge(c.path, c.control, &r)
		if r.Into(&p, ""); p.Verdict != c.want || p.Found != 1 || p.Findings[0].At != s || p.Findings[0].Until != 2*s {
			t.Errorf("%s: %s, want %s: %+v", name, p.Verdict, c.want, p.Findings)
		}
	}
}

// More slow answers than may be are broken, or unsure, by how many are left without what was the generator's own.
func TestWhoseSlowAnswersTheyAre(t *testing.T) {
	s := time.Second
	for name, c := range map[string]struct {
		due, own int // slow answers, and of them those that were sent late
		limit    time.Duration
		control  bool
		want     judge.Verdict
	}{
		"as many as may be":        {slowOf, 0, 100 * ms, false, judge.Pass},
		"one more":                 {slowOf + 1, 0, 100 * ms, false, judge.Fail},
		"one more, one sent late":  {slowOf + 1, 1, 100 * ms, false, judge.Inconclusive},
		"two more, one sent late":  {slowOf + 2, 1, 100 * ms, false, judge.Fail},
		"nobody said what is slow": {slowOf + 1, 0, 0, false, judge.Pass},
		"the control arm was slow": {slowOf + 1, 0, 100 * ms, true, judge.Inconclusive},
	} {
		arm := armOf("get")
		arm.Windows[0].Health.Stalls = []history.Stall{{At: 9 * s, Length: 1}}
		tl := timelineOf(arm)
		f := &responsive{t: tl, limit: c.limit}
		if c.control {
			f.control = []*controlWaits{{seconds: map[int64]*slowCount{1: {all: 100, slow: 50}}}}
		}
		a := &armWaits{responsive: f, arm: arm}
		a.quick.worst.due = c.due
		for i := range c.due {
			r := reply{due: s + time.Duration(i), sent: s + time.Duration(i), end: s + time.Duration(i) + 100*ms + 1}
			if i < c.own {
				r.sent++ // within the limit from then on
			}
			a.quick.slows = append(a.quick.slows, r)
		}
		var p judge.Promise
		r := judge.Ruling{Timeline: tl}
		a.judge(nil, nil, &r)
		if r.Into(&p, ""); p.Verdict != c.want {
			t.Errorf("%s: %s, want %s", name, p.Verdict, c.want)
		}
		if c.want != judge.Pass && (p.Findings[0].At != s || p.Findings[0].Until != s+time.Duration(c.due-1)+100*ms+1) {
			t.Errorf("%s: the finding is of %s to %s", name, p.Findings[0].At, p.Findings[0].Until)
		}
	}
}

// The generator's pauses count in the windows that share time with a wait.
func TestWhichPausesCount(t *testing.T) {
	window := func(begin, length, stall time.Duration) *timeline.Window {
		return &timeline.Window{Window: history.Window{Begin: begin, Length: length, Health: &history.Health{StallMax: stall}}}
	}
	a := &armWaits{arm: &timeline.Arm{Windows: []*timeline.Window{window(100, 100, 7), window(300, 100, 9)}}}
	for _, c := range []struct{ due, end, want time.Duration }{{0, 99, 0}, {0, 100, 7}, {200, 250, 7}, {201, 299, 0}, {201, 300, 9}, {150, 350, 9}, {400, 500, 9}, {401, 500, 0}} {
		if got := a.paused(waited{due: c.due, sent: c.due, end: c.end}); got != c.want {
			t.Errorf("from %d to %d the generator paused %d, want %d", c.due, c.end, got, c.want)
		}
	}
}

// A path stalls from when it is due to when it answers, for longer than leastStall; stalls that touch are one.
func TestWhenAPathStalls(t *testing.T) {
	hit := func(seq uint64, at, latency time.Duration, class history.Class) history.Hit {
		return history.Hit{Seq: seq, Intended: at, At: at, Latency: latency, Class: class, Code: 200}
	}
	for name, c := range map[string]struct {
		hits []history.Hit
		want []timeline.Span
	}{
		"it answers":        {[]history.Hit{hit(0, 0, leastStall, 0)}, nil},
		"it stalls":         {[]history.Hit{hit(0, 0, leastStall+1, 0)}, []timeline.Span{{From: 0, Until: leastStall + 1}}},
		"it fails":          {[]history.Hit{hit(0, 0, ms, history.ClassApplication), hit(1, leastStall, 1, 0)}, []timeline.Span{{From: 0, Until: leastStall + 1}}},
		"the harness's own": {[]history.Hit{hit(0, 0, leastStall+1, history.ClassHarness), hit(1, leastStall, 1, 0)}, nil},
		"twice, apart":      {[]history.Hit{hit(0, 0, leastStall+1, 0), hit(1, 2*leastStall, leastStall+1, 0)}, []timeline.Span{{From: 0, Until: leastStall + 1}, {From: 2 * leastStall, Until: 3*leastStall + 1}}},
		"twice, touching":   {[]history.Hit{hit(0, 0, leastStall+1, 0), hit(1, leastStall+1, leastStall+1, 0)}, []timeline.Span{{From: 0, Until: 2*leastStall + 2}}},
	} {
		p := newPathWaits(&timeline.Arm{})
		for _, h := range c.hits {
			p.Hit(&h)
		}
		if got := p.stalled(&timeline.Timeline{}); !slices.Equal(got, c.want) {
			t.Errorf("%s: it stalls %v, want %v", name, got, c.want)
		}
	}
	arm := &timeline.Arm{Windows: []*timeline.Window{{Window: history.Window{Node: "n1"}}}}
	p := newPathWaits(arm)
	h := hit(0, 0, leastStall+1, 0)
	p.Hit(&h)
	d := disturbance(0)
	d.Nodes = []string{"n1"}
	if got := p.stalled(&timeline.Timeline{Disturbances: []*timeline.Disturbance{d}}); len(got) != 0 {
		t.Errorf("its node is what is disturbed, and it stalls %v", got)
	}
}

// The order of hits is brought back as soon as no hit is missing, and holes are told.
func TestASequenceVisitsAsSoonAsItCan(t *testing.T) {
	for name, c := range map[string]struct {
		seqs   []uint64
		after  []int // visited, after each
		broken bool
	}{
		"in order":             {[]uint64{0, 1, 2}, []int{1, 2, 3}, false},
		"the first comes late": {[]uint64{2, 1, 0, 3}, []int{0, 0, 3, 4}, false},
		"one comes again":      {[]uint64{0, 0}, []int{1, 2}, true},
		"one waits twice":      {[]uint64{2, 2}, []int{0, 1}, true},
		"the next comes twice": {[]uint64{1, 0, 1}, []int{0, 2, 3}, true},
	} {
		var visited []uint64
		s := &sequence{visit: func(s slot) { visited = append(visited, s.seq) }}
		for i, seq := range c.seqs {
			s.add(slot{seq: seq, outcome: answered})
			if len(visited) != c.after[i] {
				t.Errorf("%s: after %v %v are visited, want %d", name, c.seqs[:i+1], visited, c.after[i])
			}
		}
		if s.broken != c.broken {
			t.Errorf("%s: broken: %v", name, s.broken)
		}
	}
	// A number that is as far away as there is room makes more room, and what waits is kept.
	var visited []uint64
	s := &sequence{visit: func(s slot) { visited = append(visited, s.seq) }}
	const far = 5000
	for seq := uint64(far); seq > 0; seq-- {
		s.add(slot{seq: seq, outcome: answered})
	}
	if s.add(slot{seq: 0, outcome: answered}); len(visited) != far+1 || !slices.IsSorted(visited) || s.broken {
		t.Errorf("%d hits are visited, in order: %v, broken: %v", len(visited), slices.IsSorted(visited), s.broken)
	}
	// Beyond all room the missing ones are given up, in order.
	visited, s = nil, &sequence{visit: func(s slot) { visited = append(visited, s.seq) }}
	for _, seq := range []uint64{5, maxPending - 1, maxPending, 3 * maxPending} {
		s.add(slot{seq: seq, outcome: answered})
	}
	if !slices.Equal(visited, []uint64{5, maxPending - 1, maxPending, 3 * maxPending}) || !s.broken || len(s.ring) != maxPending {
		t.Errorf("%v are visited, broken: %v, with room for %d", visited, s.broken, len(s.ring))
	}
}

// Of very many outages the longest are kept, and the first of those that are as long.
func TestTheLongestOutagesAreKept(t *testing.T) {
	o := &outages{arm: armOf("get")}
	seq := uint64(0)
	visit := func(at, end time.Duration, what outcome) {
		o.visit(slot{seq: seq, at: at, end: end, window: 1, outcome: what})
		seq++
	}
	for i := range time.Duration(3 * maxOutages) { // the 700th is the longest, and the 900th as long
		long := time.Duration(1)
		if i == 700 || i == 900 {
			long = 5
		}
		visit(10*i, 10*i+1, dropped)
		visit(10*i+long, 10*i+long, answered)
	}
	if o.finish(); o.worst.from != 7000 || o.worst.until != 7005 || len(o.closed) > 2*maxOutages {
		t.Errorf("the worst is %+v of %d", o.worst, len(o.closed))
	}
	o.leaveOut([]timeline.Span{{From: 7000, Until: 7001}})
	if o.worst.from != 9000 {
		t.Errorf("without it the worst is %+v", o.worst)
	}
	if !slices.IsSortedFunc(o.closed, func(a, b outage) int { return cmp.Compare(b.until-b.from, a.until-a.from) }) {
		t.Error("they are not in the order of their length")
	}
}

// What was excepted ends no outage, widens no gap that others closed, and is none.
func TestWhatAnOutageSees(t *testing.T) {
	visit := func(whats ...outcome) *outages {
		o := &outages{arm: armOf("get")}
		for i, what := range whats {
			at := time.Duration(i) * time.Second
			o.visit(slot{seq: uint64(i), at: at, end: at + ms, window: 1, outcome: what})
		}
		o.finish()
		return o
	}
	for name, c := range map[string]struct {
		whats []outcome
		hits  uint64
		until time.Duration
		gap   time.Duration
	}{
		"answered":             {[]outcome{answered, answered}, 0, 0, 9 * time.Second},
		"one drop":             {[]outcome{answered, dropped, answered}, 1, 2 * time.Second, 8 * time.Second},
		"excepted meanwhile":   {[]outcome{dropped, aside, dropped, answered}, 2, 3 * time.Second, 7 * time.Second},
		"never sent meanwhile": {[]outcome{dropped, unsent, dropped, answered}, 2, 3 * time.Second, 7 * time.Second},
		"to the end":           {[]outcome{answered, dropped, dropped}, 2, 2*time.Second + ms, 8 * time.Second},
		"granted ends it not":  {[]outcome{dropped, granted, answered}, 1, 2 * time.Second, 8 * time.Second},
	} {
		if o := visit(c.whats...); o.worst.hits != c.hits || o.worst.until != c.until || o.gaps[o.arm.Windows[0]] != c.gap {
			t.Errorf("%s: the worst is %+v, the longest gap %s; want %d to %s, and %s", name, o.worst, o.gaps[o.arm.Windows[0]], c.hits, c.until, c.gap)
		}
	}
	// The time between windows is no gap.
	arm := &timeline.Arm{Windows: []*timeline.Window{{Window: history.Window{Index: 1, Length: 10}}, {Window: history.Window{Index: 2, Begin: 100, Length: 10}}}}
	o := &outages{arm: arm}
	for i, at := range []time.Duration{2, 8, 103, 109} {
		o.visit(slot{seq: uint64(i), at: at, end: at, window: int32(1 + i/2), outcome: answered})
	}
	if o.finish(); o.gaps[arm.Windows[0]] != 6 || o.gaps[arm.Windows[1]] != 6 {
		t.Errorf("the longest gaps of two windows are %v", o.gaps)
	}
}

// The hits of a window whose index is 0 are of that window, from its first one on.
func TestAWindowOfIndexZero(t *testing.T) {
	arm := &timeline.Arm{Windows: []*timeline.Window{{Window: history.Window{Length: 10}}}}
	o := &outages{arm: arm}
	o.visit(slot{at: 4, end: 4, outcome: answered})
	if o.finish(); o.gaps[arm.Windows[0]] != 6 {
		t.Errorf("the longest gaps are %v, want 6 after the hit", o.gaps)
	}
}

// In a window without a planned end hits wait for as long as the record goes on.
func TestAWaitInAWindowWithoutAnEnd(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{0: 20 * time.Second, 1: 1, 5 * time.Second: 5 * time.Second} {
		arm := armOf("get")
		arm.Windows[0].Length = length
		f := &responsive{t: timelineOf(arm)}
		a := f.Arm(arm).(*armWaits)
		a.visit(slot{window: 1, outcome: dropped})
		if a.leave(); a.longest != want {
			t.Errorf("in a window of %s it waited %s, want %s", length, a.longest, want)
		}
	}
}

// What the load lost counts as the path's only where it failed, was sent, is not the harness's own and brought nothing.
func TestWhatALoadLosesToAPath(t *testing.T) {
	arm := armOf("get")
	a := (&held{t: timelineOf(arm)}).Arm(arm).(*armHeld)
	for _, h := range []history.Hit{{Code: 200}, {}, {Class: history.ClassHarness}, {Class: history.ClassAmbiguous, Unsent: true}, {Class: history.ClassAmbiguous, BytesIn: 1}} {
		a.Hit(&h)
	}
	if len(a.unreached) != 0 {
		t.Errorf("%v are taken for lost", a.unreached)
	}
	if a.Hit(&history.Hit{Class: history.ClassAmbiguous}); len(a.unreached) != 1 || a.hits != 6 || a.unsent != 1 || len(a.others) != 1 {
		t.Errorf("%v are lost of %d hits, %d never sent, %d answered", a.unreached, a.hits, a.unsent, len(a.others))
	}
}

// Answers that were slow by themselves are worse than any number that were sent late.
func TestSlowByThemselvesIsWorse(t *testing.T) {
	q := quickness{limit: 5}
	for i := range 3 * quickOf {
		r := reply{due: time.Duration(i), sent: time.Duration(i), end: time.Duration(i + 1)}
		switch {
		case i < 20: // slow from when it was due
			r.end += 5
			r.sent += 2
		case i >= 2*quickOf && i < 2*quickOf+5:
			r.end += 5
		}
		q.add(r)
	}
	if want := (slowness{5, 5}); q.worst != want {
		t.Errorf("the worst is %+v, want %+v", q.worst, want)
	}
}
