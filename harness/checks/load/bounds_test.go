package load

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
)

// The tests of this file hold what the checks compute from a record at its bounds, and one step to each side of them.

const ms = time.Millisecond

// A hit of which something cannot be is refused, and one at the very edge of it is not.
func TestWhatIsImpossible(t *testing.T) {
	const ended = 100
	for name, c := range map[string]struct {
		h    history.Hit
		want bool
	}{
		"as early and as late as can be":      {history.Hit{At: 0, Intended: 0, Latency: ended, Code: 200}, false},
		"in no time":                          {history.Hit{At: 5, Latency: 0, Code: 200}, false},
		"before the run":                      {history.Hit{At: -1, Latency: 5, Code: 200}, true},
		"intended before the run":             {history.Hit{Intended: -1, Code: 200}, true},
		"over before it began":                {history.Hit{At: 5, Latency: -1, Code: 200}, true},
		"over after all of time":              {history.Hit{At: 5, Latency: timeline.Never, Code: 200}, true},
		"over after the run":                  {history.Hit{At: 1, Latency: ended, Code: 200}, true},
		"of the last class":                   {history.Hit{Class: history.ClassAmbiguous}, false},
		"of a class that is not":              {history.Hit{Class: history.ClassAmbiguous + 1}, true},
		"right, with an error":                {history.Hit{Code: 200, Error: "cut"}, true},
		"wrong, with an error":                {history.Hit{Class: history.ClassApplication, Error: "cut"}, false},
		"right, with the last status":         {history.Hit{Code: 499}, false},
		"right, with a server's error":        {history.Hit{Code: 500}, true},
		"right, with an error that is wanted": {history.Hit{Code: 500, Reason: history.ReasonExpected}, false},
		"wrong, with a server's error":        {history.Hit{Class: history.ClassApplication, Code: 500}, false},
		"right, and never sent":               {history.Hit{Unsent: true}, true},
		"never sent":                          {history.Hit{Class: history.ClassHarness, Unsent: true}, false},
	} {
		if got := impossible(&c.h, ended); (got != "") != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Of hits that cannot be the first by number is told of, in whatever order they come.
func TestTheFirstOfWhatIsImpossible(t *testing.T) {
	a := armCount{}
	for _, seq := range []uint64{5, 3, 4} {
		a.refuse(&history.Hit{Seq: seq, At: time.Duration(seq)}, fmt.Sprint(seq))
	}
	if a.impossible != 3 || a.first.Seq != 3 || a.why != "3" {
		t.Errorf("%d are refused, the first is %d: %s", a.impossible, a.first.Seq, a.why)
	}
}

// What the events say of an arm's hits, and what is there: each count by one.
func TestTheCountsOfAnArm(t *testing.T) {
	window := func(change func(*timeline.Window)) *timeline.Window {
		w := &timeline.Window{Window: history.Window{Index: 1, Length: 1, Planned: 3, Sent: 2, Ended: true}, Announced: true, Begins: 1, Ends: 1}
		change(w)
		return w
	}
	end := func(hits uint64) *history.End { return &history.End{Hits: map[string]uint64{"get": hits}} }
	batch := func(hits uint64) *history.Batch { return &history.Batch{Hits: hits} }
	same := func(*timeline.Window) {}
	for name, c := range map[string]struct {
		end    *history.End
		batch  *history.Batch
		window func(*timeline.Window)
		index  int // of the hits
		want   int
	}{
		"as it was":                             {end(3), batch(3), same, 1, 0},
		"cut short, and more came than a batch": {nil, batch(2), same, 1, 0},
		"cut short, a batch of all":             {nil, batch(3), same, 1, 0},
		"cut short, a batch of more":            {nil, batch(4), same, 1, 1},
		"ended, and more came than a batch":     {end(3), batch(2), same, 1, 1},
		"ended with more":                       {end(4), nil, same, 1, 1},
		"ended with fewer":                      {end(2), nil, same, 1, 1},
		"ended without the arm":                 {&history.End{}, nil, same, 1, 1},
		"began twice":                           {end(3), nil, func(w *timeline.Window) { w.Begins = 2 }, 1, 1},
		"ended twice":                           {end(3), nil, func(w *timeline.Window) { w.Ends = 2 }, 1, 1},
		"began before the run":                  {end(3), nil, func(w *timeline.Window) { w.Begin = -1 }, 1, 1},
		"ended before it began":                 {end(3), nil, func(w *timeline.Window) { w.Length = -1 }, 1, 1},
		"no time at all":                        {end(3), nil, func(w *timeline.Window) { w.Length = 0 }, 1, 0},
		"never announced":                       {end(3), nil, func(w *timeline.Window) { w.Announced = false }, 1, 1},
		"never ended":                           {end(3), nil, func(w *timeline.Window) { w.Ended = false }, 1, 1},
		"sent more":                             {end(3), nil, func(w *timeline.Window) { w.Sent = 3 }, 1, 1},
		"planned more":                          {end(3), nil, func(w *timeline.Window) { w.Planned = 4 }, 1, 1},
		"planned fewer":                         {end(3), nil, func(w *timeline.Window) { w.Planned = 2 }, 1, 1},
		"of another window":                     {end(3), nil, same, 2, 2}, // the one is empty, and the other unknown
	} {
		t.Run(name, func(t *testing.T) {
			a := &armCount{arm: &timeline.Arm{Name: "get", Batch: c.batch, Windows: []*timeline.Window{window(c.window)}}, windows: map[int]*windowCount{}, end: 100}
			for seq := range uint64(3) {
				h := history.Hit{Seq: seq, Window: c.index, Code: 200}
				if seq == 2 {
					h.Unsent, h.Class, h.Code = true, history.ClassHarness, 0
				}
				a.Hit(&h)
			}
			var f judge.Findings
			if a.check(c.end, &f); len(f.Kept) != c.want || a.last != 2 {
				t.Errorf("%d findings, want %d, up to number %d: %+v", len(f.Kept), c.want, a.last, f.Kept)
			}
		})
	}
	// Missing and doubled numbers show, though as many are there as were counted.
	for name, seqs := range map[string][]uint64{"doubled": {0, 0}, "missing": {0, 2}} {
		a := &armCount{arm: &timeline.Arm{Name: "get"}, windows: map[int]*windowCount{}, end: 100}
		for _, seq := range seqs {
			a.Hit(&history.Hit{Seq: seq, Code: 200})
		}
		var f judge.Findings
		if a.check(end(2), &f); len(f.Kept) != 2 { // and of no window
			t.Errorf("a hit is %s: %+v", name, f.Kept)
		}
	}
}

// A record is whole when its end, its opening line and the order of its moments are.
func TestWhatIsNotWhole(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*timeline.Timeline)
		want   int
	}{
		"whole":                    {func(*timeline.Timeline) {}, 0},
		"no end":                   {func(tl *timeline.Timeline) { tl.End = nil }, 1},
		"two ends":                 {func(tl *timeline.Timeline) { tl.Ends = 2 }, 1},
		"broken off, and ended":    {func(tl *timeline.Timeline) { tl.Broken = 5 }, 1},
		"broken off":               {func(tl *timeline.Timeline) { tl.Broken, tl.End.Outcome = 5, history.EndInterrupted }, 1},
		"ended early":              {func(tl *timeline.Timeline) { tl.End.Outcome = history.EndInterrupted }, 1},
		"told of later moments":    {func(tl *timeline.Timeline) { tl.Last = 101 }, 1},
		"damaged":                  {func(tl *timeline.Timeline) { tl.Damage = []history.Damage{{File: "x"}} }, 1},
		"no opening line":          {func(tl *timeline.Timeline) { tl.IDs = nil }, 1},
		"another run's":            {func(tl *timeline.Timeline) { tl.IDs = []string{"other"} }, 1},
		"two opening lines":        {func(tl *timeline.Timeline) { tl.IDs = []string{"r", "r"} }, 1},
		"a gap of no time":         {func(tl *timeline.Timeline) { tl.Gaps = []history.Gap{{From: 5, To: 5}} }, 0},
		"a gap that runs back":     {func(tl *timeline.Timeline) { tl.Gaps = []history.Gap{{From: 5, To: 4}} }, 1},
		"landed as it began":       {disturbed(10, func(d *timeline.Disturbance) { d.Landed = 10 }), 0},
		"landed before it began":   {disturbed(10, func(d *timeline.Disturbance) { d.Landed = 9 }), 1},
		"healed before it began":   {disturbed(10, func(d *timeline.Disturbance) { d.Healed = 9 }), 1},
		"failed before it began":   {disturbed(10, func(d *timeline.Disturbance) { d.Failed = 9 }), 1},
		"left before it began":     {disturbed(10, func(d *timeline.Disturbance) { d.Unhealed = 9 }), 1},
		"its beginning is unknown": {disturbed(timeline.Never, func(d *timeline.Disturbance) { d.Landed = 9 }), 0},
	} {
		tl := &timeline.Timeline{End: &history.End{Outcome: history.EndFinished}, Ends: 1, Ended: 100, Last: 100, Broken: timeline.Never, IDs: []string{"r"}}
		tl.Run.ID = "r"
		c.change(tl)
		var f judge.Findings
		if wholeFiles(tl, &f); len(f.Kept) != c.want {
			t.Errorf("%s: %d findings, want %d: %+v", name, len(f.Kept), c.want, f.Kept)
		}
	}
}

// disturbance is one that began at a moment, of which nothing else came.
func disturbance(began time.Duration) *timeline.Disturbance {
	return &timeline.Disturbance{ID: "d1", Name: "kill", Began: began, Landed: timeline.Never, Healed: timeline.Never, Failed: timeline.Never, Unhealed: timeline.Never,
		Phases: []timeline.DisturbancePhase{{At: began}}}
}

// disturbed gives a timeline one disturbance.
func disturbed(began time.Duration, change func(*timeline.Disturbance)) func(*timeline.Timeline) {
	return func(tl *timeline.Timeline) {
		d := disturbance(began)
		change(d)
		tl.Disturbances = append(tl.Disturbances, d)
	}
}

// Times without a started hit are found to the step, at both ends of a span too.
func TestTheQuietOfACover(t *testing.T) {
	const s = coverStep
	for name, c := range map[string]struct {
		span timeline.Span
		hits []time.Duration
		want timeline.Span
	}{
		"no hit":                    {timeline.Span{From: 5 * s, Until: 8 * s}, nil, timeline.Span{From: 5 * s, Until: 8 * s}},
		"a hit in each step":        {timeline.Span{From: 0, Until: 3 * s}, []time.Duration{0, s, 2 * s}, timeline.Span{}},
		"the first step is missing": {timeline.Span{From: 0, Until: 3 * s}, []time.Duration{s, 2 * s}, timeline.Span{From: 0, Until: s}},
		"the last one is":           {timeline.Span{From: 0, Until: 3 * s}, []time.Duration{0, 2*s - 1}, timeline.Span{From: 2 * s, Until: 3 * s}},
		"the longer of two":         {timeline.Span{From: 0, Until: 6 * s}, []time.Duration{s, 4 * s}, timeline.Span{From: 2 * s, Until: 4 * s}},
		"the first of two as long":  {timeline.Span{From: 0, Until: 5 * s}, []time.Duration{2 * s}, timeline.Span{From: 0, Until: 2 * s}},
		"hits of other times":       {timeline.Span{From: 5 * s, Until: 6 * s}, []time.Duration{5*s - 1, 6 * s}, timeline.Span{From: 5 * s, Until: 6 * s}},
		"hits at its two ends":      {timeline.Span{From: 5 * s, Until: 6 * s}, []time.Duration{5 * s}, timeline.Span{}},
		"a part of a step":          {timeline.Span{From: 0, Until: 2*s + 1}, []time.Duration{0, s}, timeline.Span{From: 2 * s, Until: 2*s + 1}},
		"the last moment":           {timeline.Span{From: 0, Until: 2*s + 1}, []time.Duration{0, s, 2 * s}, timeline.Span{}},
		"no time":                   {timeline.Span{From: s, Until: s}, nil, timeline.Span{}},
		"longer than can be":        {timeline.Span{From: math.MinInt64, Until: math.MaxInt64}, []time.Duration{0}, timeline.Span{}},
	} {
		cov := newCover(c.span)
		for _, at := range c.hits {
			cov.add(at)
		}
		if got := cov.quiet(); got != c.want {
			t.Errorf("%s: quiet from %s to %s, want %s to %s", name, got.From, got.Until, c.want.From, c.want.Until)
		}
	}
	long := newCover(timeline.Span{Until: 2 * maxCover * s})
	if len(long.steps) > maxCover || long.step < 2*s {
		t.Errorf("a long time is kept in %d steps of %s, want at most %d", len(long.steps), long.step, maxCover)
	}
	a, b := newCover(timeline.Span{Until: 3 * s}), newCover(timeline.Span{Until: 3 * s})
	a.add(0)
	b.add(2 * s)
	if a.merge(&b); a.quiet() != (timeline.Span{From: s, Until: 2 * s}) {
		t.Errorf("two covers leave quiet %+v", a.quiet())
	}
}

// Identities, hashes and numbers of a path are told from words.
func TestWhatIsAnID(t *testing.T) {
	for segment, want := range map[string]bool{
		"": false, "0": true, "9": true, "17": true, "a": false, "17a": false, "cafe": false, "v1": false, "-": false, "1-2": false,
		"0123456789abcdef": true, "0123456789ABCDEF": true, "0123456789abcde": false, "abcdefabcdefabcdef": false, "0123456789abcdeg": false,
		"0b4c1e0a-6a3c-4d7e-9f55-0a1b2c3d4e5f": true, "0b4c1e0a6-a3c-4d7e-9f55-0a1b2c3d4e5f": false, "0b4c1e0a-6a3c4-d7e-9f55-0a1b2c3d4e5f": false,
		"0b4c1e0a-6a3c-4d7e9-f55-0a1b2c3d4e5f": false, "0b4c1e0a-6a3c-4d7e-9f550-a1b2c3d4e5f": false, "0b4c1e0a-6a3c-4d7e-9f55-0a1b2c3d4e5": false,
		"0b4c1e0a-6a3c-4d7e-9f55-0a1b2c3d4e5f0": false, "1/": false, ":1": false, "@1": false, "`1": false, "G1": false, "g1": false,
		"A123456789012345": true, "F123456789012345": true, "a123456789012345": true, "f123456789012345": true,
	} {
		if isID(segment) != want {
			t.Errorf("%q is an id: %v, want %v", segment, !want, want)
		}
	}
}

// Each mark of an answer stands for itself, and an answer without a body owes no digest.
func TestTheMarksOfAnAnswer(t *testing.T) {
	for want, h := range map[marks]history.Hit{0: {}, markVersion: {Version: "v1"}, markPod: {Pod: "pod-a"}, markDigest: {Digest: true}, markEcho: {Echoed: true},
		allMarks: {Version: "v1", Pod: "pod-a", Digest: true, Echoed: true}} {
		if got := marksOf(&h); got != want {
			t.Errorf("%+v carries %b, want %b", h, got, want)
		}
	}
	for _, h := range []history.Hit{{Method: "HEAD", Code: 200}, {Method: "GET", Code: 204}, {Method: "GET", Code: 304}} {
		if owed(&h) != allMarks&^markDigest {
			t.Errorf("%s with status %d owes %b", h.Method, h.Code, owed(&h))
		}
	}
	if h := (history.Hit{Method: "GET", Code: 200}); owed(&h) != allMarks {
		t.Errorf("an answer with a body owes %b", owed(&h))
	}
	// Only correct answers that lack what others carried are wrong, and only for what was carried.
	for name, c := range map[string]struct {
		others  []history.Hit
		correct bool
		want    uint64
	}{
		"nobody carries anything": {nil, true, 0}, "others carry a version": {[]history.Hit{{Version: "v1", Code: 200}}, true, 1},
		"it is no correct answer": {[]history.Hit{{Version: "v1", Code: 200}}, false, 0}, "others carry all": {[]history.Hit{{Version: "v1", Pod: "p", Digest: true, Echoed: true}}, true, 1},
	} {
		var i identity
		route := &routeCounts{}
		for _, h := range c.others {
			i.see(&h, false, route)
		}
		i.see(&history.Hit{Code: 200, At: 3}, c.correct, route)
		var wrong uint64
		if i.wrong(func(l *lacking) { wrong += l.routes[route] }); wrong != c.want {
			t.Errorf("%s: %d are wrong, want %d", name, wrong, c.want)
		}
	}
}

// A correct answer without what others of its arm carried is a drop, and counted as such a one too.
func TestAnswersOfNobodyAreDropped(t *testing.T) {
	arm := armOf("get")
	f := &drops{t: timelineOf(arm)}
	a := f.Arm(arm).(*armDrops)
	for seq, version := range []string{"v1", "", "v1", ""} {
		a.Hit(&history.Hit{Seq: uint64(seq), Window: 1, Code: 200, Version: version})
	}
	f.shareIdentity()
	if a.dropAnonymous(); a.dropped != 2 || a.anonymous != 2 {
		t.Errorf("%d are dropped, %d of them without a version; want 2 and 2", a.dropped, a.anonymous)
	}
}

// Hits are counted by what became of them.
func TestTheCountsOfARoute(t *testing.T) {
	c := &routeCounts{latencies: newLatencies(), unreached: unreached{}}
	c.add(&history.Hit{Latency: ms, Code: 200}, ms, answered, false)
	c.add(&history.Hit{Masked: 1, Latency: 2 * time.Hour, Code: 200}, ms, answered, false)
	c.add(&history.Hit{}, ms, dropped, false)
	c.add(&history.Hit{Code: 503, Class: history.ClassApplication}, ms, dropped, false)
	c.add(&history.Hit{Code: 503}, ms, aside, true)
	c.add(&history.Hit{}, ms, aside, false)
	c.add(&history.Hit{Masked: 1}, ms, unsent, false)
	if c.Sent != 6 || c.Masked != 1 || c.Dropped != 2 || c.Injected != 1 || c.Harness != 1 || c.Unsent != 1 || c.latencies.TotalCount() != 2 || len(c.unreached) != 1 {
		t.Errorf("the route counts %+v, %d latencies, %v unreached", c.Route, c.latencies.TotalCount(), c.unreached)
	}
	o := &routeCounts{latencies: newLatencies()}
	o.Sent, o.Dropped, o.Injected, o.Masked, o.Unsent, o.Harness = 1, 2, 3, 4, 5, 6
	_ = o.latencies.RecordValue(1)
	if c.merge(o); c.Sent != 7 || c.Dropped != 4 || c.Injected != 4 || c.Masked != 5 || c.Unsent != 6 || c.Harness != 7 || c.latencies.TotalCount() != 3 {
		t.Errorf("with those of another arm %+v, %d latencies", c.Route, c.latencies.TotalCount())
	}
}

func TestTheVerdictOnARoute(t *testing.T) {
	for name, c := range map[string]struct {
		route judge.Route
		want  judge.Verdict
	}{
		"enough":                          {judge.Route{Sent: 30}, judge.Pass},
		"one too few":                     {judge.Route{Sent: 29}, judge.Inconclusive},
		"enough besides what is injected": {judge.Route{Sent: 32, Injected: 2}, judge.Pass},
		"too few besides it":              {judge.Route{Sent: 32, Injected: 3}, judge.Inconclusive},
		"one drop":                        {judge.Route{Sent: 30, Dropped: 1}, judge.Fail},
		"one of the harness's":            {judge.Route{Sent: 60, Harness: 1}, judge.Inconclusive},
		"one never sent":                  {judge.Route{Sent: 60, Unsent: 1}, judge.Inconclusive},
	} {
		rc := &routeCounts{Route: c.route, latencies: newLatencies()}
		if got := rc.judged(30); got.Verdict != c.want || got.Latency != nil || (got.MaxLossShare > 0) != (c.want == judge.Pass) {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
	if got := (&routeCounts{latencies: newLatencies()}).judged(0); got.Verdict != judge.Inconclusive {
		t.Errorf("a route without a hit is %s", got.Verdict)
	}
}

// Routes beyond what is told apart are counted together, and none is lost.
func TestTheBoundsOfRoutes(t *testing.T) {
	many := func(n int) []*routeCounts {
		var all []*routeCounts
		for i := range n {
			all = append(all, &routeCounts{Route: judge.Route{Name: fmt.Sprint(i), Sent: 1}, latencies: newLatencies(), unreached: unreached{}})
		}
		return all
	}
	for n, want := range map[int]int{maxRoutes - 1: maxRoutes - 1, maxRoutes: maxRoutes, maxRoutes + 1: maxRoutes, 2 * maxRoutes: maxRoutes} {
		got, sent := bounded(many(n)), uint64(0)
		for _, c := range got {
			sent += c.Sent
		}
		if len(got) != want || sent != uint64(n) || (got[len(got)-1].Name == otherRoutes) != (n > maxRoutes) {
			t.Errorf("of %d routes %d are told with %d hits, the last %s", n, len(got), sent, got[len(got)-1].Name)
		}
	}
	first := many(maxRoutes + 1)
	first[0].Name = otherRoutes
	if got := bounded(first); len(got) != maxRoutes || got[len(got)-1].Name != otherRoutes || got[0].Name != "1" || got[maxRoutes-2].Name != fmt.Sprint(maxRoutes-1) {
		t.Errorf("those that were together stay so, and last: %d routes, from %s to %s", len(got), got[0].Name, got[len(got)-1].Name)
	}
	r := newArmRoutes(&timeline.Arm{}, nil)
	for i := range maxArmRoutes + 2 {
		r.of(&history.Hit{Route: fmt.Sprint(i)}).add(&history.Hit{}, 0, aside, false)
	}
	if len(r.routes) != maxArmRoutes+1 || r.routes[otherRoutes].Sent != 2 {
		t.Errorf("%d routes of an arm, %d hits of others", len(r.routes), r.routes[otherRoutes].Sent)
	}
	if r.of(&history.Hit{Route: "0"}).add(&history.Hit{}, time.Second, aside, false); r.routes["0"].Sent != 2 {
		t.Errorf("a route that was counted for itself has %d hits, want 2", r.routes["0"].Sent)
	}
	for i := range maxIdentities + 2 {
		r.identity(fmt.Sprint("more", i))
	}
	if len(r.identities) != maxIdentities || r.identity("0") == nil || r.identity("unheard of") != nil {
		t.Errorf("%d routes of an arm are held to what they carry, at most %d may be", len(r.identities), maxIdentities)
	}
	bare := newArmRoutes(&timeline.Arm{}, nil)
	if bare.of(&history.Hit{}).routeCounts == nil {
		t.Error("a hit of which nothing is told has no route")
	}
	var none *identity
	none.see(&history.Hit{Code: 200}, true, nil) // of a route beyond those that are remembered
	urls := newArmRoutes(&timeline.Arm{}, nil)
	for i := range maxRouteURLs + 5 {
		urls.of(&history.Hit{Method: "GET", URL: fmt.Sprintf("http://a/%d", i)})
	}
	if len(urls.known) != 5 || len(urls.routes) != 1 {
		t.Errorf("%d URLs are remembered, of %d routes", len(urls.known), len(urls.routes))
	}
}

// What was asked of one host needs none in its name, and what cannot be read is named as it is.
func TestTheNameOfARoute(t *testing.T) {
	arm := func(control bool, targets ...string) *timeline.Arm {
		return &timeline.Arm{Control: control, Windows: []*timeline.Window{{Window: history.Window{Targets: targets}}}}
	}
	get := arm(false, "http://a/items/1", "http://a")
	for name, c := range map[string]struct {
		arms []*timeline.Arm
		key  routeKey
		want string
	}{
		"a target":           {[]*timeline.Arm{get}, routeKey{method: "GET", url: "http://a/items/1"}, "GET /items/1"},
		"no target":          {[]*timeline.Arm{get}, routeKey{method: "GET", url: "http://a/items/2"}, "GET /items/{id}"},
		"no path":            {[]*timeline.Arm{get}, routeKey{method: "GET", url: "http://a"}, "GET /"},
		"two hosts":          {[]*timeline.Arm{get, arm(false, "http://b/")}, routeKey{method: "GET", url: "http://a"}, "GET a/"},
		"the control arm's":  {[]*timeline.Arm{get, arm(true, "http://b/")}, routeKey{method: "GET", url: "http://a"}, "GET /"},
		"one without a host": {[]*timeline.Arm{get, arm(false, "http://a/other")}, routeKey{method: "GET", url: "http://a"}, "GET /"},
		"no URL":             {[]*timeline.Arm{get}, routeKey{method: "GET", url: "http://a\x7f/1"}, "GET http://a\x7f/1"},
		"a name":             {[]*timeline.Arm{get}, routeKey{route: "query", method: "GET", url: "http://a"}, "query"},
	} {
		r := newArmRoutes(get, c.arms)
		if got := r.name(c.key); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for raw, want := range map[string]string{"http://a/x?y=1": "/x", "http://a": "/", "http://a\x7f/": "http://a\x7f/"} {
		if got := pathOf(raw); got != want {
			t.Errorf("the path of %q is %q, want %q", raw, got, want)
		}
	}
}

// The routes that take long by themselves, by name where they have one.
func TestLongRoutes(t *testing.T) {
	l := longRoutes{routes: []string{"GET /export", "query all"}}
	for _, c := range []struct {
		h    history.Hit
		want bool
	}{
		{history.Hit{Method: "GET", URL: "http://a/export?x=1"}, true}, {history.Hit{Method: "GET", URL: "http://a/export?x=1"}, true},
		{history.Hit{Method: "POST", URL: "http://a/export"}, false}, {history.Hit{Method: "GET", URL: "http://a/"}, false},
		{history.Hit{Route: "query all", Method: "POST", URL: "http://a/"}, true}, {history.Hit{Route: "query one", Method: "GET", URL: "http://a/export"}, false},
	} {
		if got := l.has(&c.h); got != c.want {
			t.Errorf("%s %s %s takes long: %v, want %v", c.h.Route, c.h.Method, c.h.URL, got, c.want)
		}
	}
	if root := (longRoutes{routes: []string{"GET /"}}); !root.has(&history.Hit{Method: "GET"}) {
		t.Error("a URL without a path is of no route")
	}
	if none := (longRoutes{}); none.has(&history.Hit{Method: "GET", URL: "http://a/export"}) {
		t.Error("with no long route a hit is of one")
	}
}

// Spans share time with others from their first moment up to their last.
func TestSpansThatOverlap(t *testing.T) {
	spans := []timeline.Span{{From: 10, Until: 20}, {From: 40, Until: 50}}
	for _, c := range []struct {
		from, until time.Duration
		overlaps    bool
		within      time.Duration
	}{{0, 10, false, 0}, {0, 11, true, 1}, {10, 20, true, 10}, {19, 25, true, 1}, {20, 40, false, 0}, {15, 45, true, 10}, {50, 60, false, 0}} {
		if got := overlaps(spans, c.from, c.until); got != c.overlaps {
			t.Errorf("%d to %d overlap: %v", c.from, c.until, got)
		}
		if got := within(spans, c.from, c.until); got != c.within {
			t.Errorf("%d to %d have %d within, want %d", c.from, c.until, got, c.within)
		}
	}
}

// Gaps between answers count from leastDark on, with the steps of the answers at both ends of them.
func TestTheGapsBetweenAnswers(t *testing.T) {
	answers := func(steps ...int64) moments {
		m := moments{}
		for _, n := range steps {
			m[n] = struct{}{}
		}
		return m
	}
	const least = int64(leastDark / step)
	span := func(from, until int64) timeline.Span {
		return timeline.Span{From: time.Duration(from) * step, Until: time.Duration(until) * step}
	}
	for name, c := range map[string]struct {
		answers moments
		in      timeline.Span
		want    []timeline.Span
	}{
		"nobody":              {answers(), span(10, 10+least), []timeline.Span{span(10, 10+least)}},
		"nobody, too short":   {answers(), span(10, 9+least), nil},
		"just long enough":    {answers(10, 11+least), span(0, 20), []timeline.Span{span(0, 11), span(10, 12+least), span(11+least, 20)}},
		"one step too short":  {answers(10, 10+least), span(9, 11+least), nil},
		"answers before":      {answers(9), span(10, 10+least), []timeline.Span{span(10, 10+least)}},
		"answers afterwards":  {answers(10 + least), span(10, 10+least), []timeline.Span{span(10, 10+least)}},
		"answered at its end": {answers(9 + least), span(10, 10+least), nil},
	} {
		if got := c.answers.gaps(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%s: gaps %v, want %v", name, got, c.want)
		}
	}
	m := moments{}
	m.add(&history.Hit{At: 3 * step, Latency: step - 1, Code: 503})
	if m.add(&history.Hit{At: 7 * step}); len(m) != 1 || !slices.Contains(slices.Collect(keys(m)), 3) {
		t.Errorf("the moments of one answer and of a hit without one are %v", m)
	}
}

func keys(m moments) func(func(int64) bool) {
	return func(yield func(int64) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// A dead path explains hits that brought nothing of an answer when it was dead for a part of their time, and an answer that was late when it was
// dead for as long as that and the steps at both ends.
func TestWhatADeadPathExplains(t *testing.T) {
	u := unreached{}
	u.add(&history.Hit{At: 10 * step, Latency: 2 * step}, step)
	u.add(&history.Hit{At: 10*step + 1, Latency: 2*step + 1}, step)
	other := unreached{}
	other.add(&history.Hit{At: 30 * step, Latency: 1}, step)
	other.add(&history.Hit{At: 50 * step, Latency: 9 * step, Code: 200}, 8*step)
	other.add(&history.Hit{At: 50 * step, Latency: 9 * step, Code: 200}, 9*step) // in time
	other.add(&history.Hit{At: 50 * step, Latency: 9 * step, Code: 503, Class: history.ClassApplication}, step)
	u.merge(other)
	for _, c := range []struct {
		from, until int64
		want        uint64
	}{{0, 10, 0}, {0, 11, 2}, {12, 13, 2}, {13, 14, 0}, {0, 31, 3}, {52, 54, 0}, {52, 55, 1}, {40, 52, 0}, {40, 53, 1}, {57, 70, 1}, {58, 70, 0}} {
		if got := u.explainedBy([]timeline.Span{{From: time.Duration(c.from) * step, Until: time.Duration(c.until) * step}}); got != c.want {
			t.Errorf("%d hits from step %d to %d, want %d", got, c.from, c.until, c.want)
		}
	}
	late := underwayIn(50*step, 59*step, step)
	if dark := []timeline.Span{{From: 51 * step, Until: 52 * step}, {From: 55 * step, Until: 57 * step}}; !late.explainedBy(dark) || late.explainedBy(dark[1:]) {
		t.Error("what two dead times explain together, or one of them alone, is not told apart")
	}
}

// A path is dead from its last good hit to the next one, and no harness error makes it so.
func TestTheDeadTimesOfAPath(t *testing.T) {
	good := func(at time.Duration) history.Hit { return history.Hit{At: at, Latency: 1, Code: 200} }
	bad := func(at time.Duration) history.Hit {
		return history.Hit{At: at, Latency: 1, Class: history.ClassAmbiguous}
	}
	own, unsent := bad(25), bad(26)
	own.Class, unsent.Unsent = history.ClassHarness, true
	for name, c := range map[string]struct {
		hits []history.Hit
		want []deadTime
	}{
		"alive":                       {[]history.Hit{good(10), good(20)}, nil},
		"dead for a while":            {[]history.Hit{good(10), bad(20), bad(30), good(40), good(50)}, []deadTime{{timeline.Span{From: 10, Until: 40}, 2}}},
		"dead twice":                  {[]history.Hit{good(10), bad(20), good(40), bad(50), good(60)}, []deadTime{{timeline.Span{From: 10, Until: 40}, 1}, {timeline.Span{From: 40, Until: 60}, 1}}},
		"dead to the end":             {[]history.Hit{good(10), bad(20)}, []deadTime{{timeline.Span{From: 10, Until: timeline.Never}, 1}}},
		"dead from the start":         {[]history.Hit{bad(20), good(30)}, []deadTime{{timeline.Span{From: 0, Until: 30}, 1}}},
		"the generator's own":         {[]history.Hit{good(10), own, unsent, good(30)}, nil},
		"one never sent, called good": {[]history.Hit{good(10), bad(20), {At: 25, Code: 200, Unsent: true}, good(40)}, []deadTime{{timeline.Span{From: 10, Until: 40}, 1}}},
		"an older answer comes":       {[]history.Hit{good(10), bad(20), good(10), good(9), good(30)}, []deadTime{{timeline.Span{From: 10, Until: 30}, 1}}},
		"answers out of order":        {[]history.Hit{good(15), good(10), bad(20), good(30)}, []deadTime{{timeline.Span{From: 15, Until: 30}, 1}}},
	} {
		p := pathHits{arm: &timeline.Arm{}}
		for _, h := range c.hits {
			p.Hit(&h)
		}
		if !slices.Equal(p.dead, c.want) || p.hits != uint64(len(c.hits)) {
			t.Errorf("%s: dead %v of %d hits, want %v", name, p.dead, p.hits, c.want)
		}
	}
}

// The node at the end of a path is what is disturbed from the first moment of a disturbance to its last.
func TestWhenTheNodeOfAPathIsDisturbed(t *testing.T) {
	arm := &timeline.Arm{Windows: []*timeline.Window{{Window: history.Window{Node: "n1"}}}}
	over, open := disturbance(20), disturbance(20)
	over.Healed = 30
	for _, c := range []struct {
		d           *timeline.Disturbance
		node        string
		from, until time.Duration
		want        bool
	}{
		{over, "n1", 0, 19, false}, {over, "n1", 0, 20, true}, {over, "n1", 30, 40, true}, {over, "n1", 31, 40, false}, {over, "n2", 20, 30, false},
		{open, "n1", 31, 40, true}, {open, "n1", 0, 19, false},
	} {
		d := *c.d
		d.Nodes = []string{c.node}
		tl := &timeline.Timeline{Disturbances: []*timeline.Disturbance{&d}}
		if got := nodeDisturbed(tl, arm, timeline.Span{From: c.from, Until: c.until}); got != c.want {
			t.Errorf("node %s is disturbed from %d to %d: %v, want %v", c.node, c.from, c.until, got, c.want)
		}
		if got := len(duringOf(tl, c.from, c.until)) > 0; c.node == "n1" && got != c.want {
			t.Errorf("from %d to %d a disturbance was on: %v, want %v", c.from, c.until, got, c.want)
		}
	}
}

// A path with as many failures as begin in leastDark is dead, with one fewer it is not.
func TestWhenAPathIsDark(t *testing.T) {
	for failed, want := range map[int]int{leastFailed - 1: 0, leastFailed: 1} {
		p := pathHits{arm: &timeline.Arm{}, dead: []deadTime{{timeline.Span{From: 0, Until: timeline.Never}, failed}}}
		dark := p.dark(&timeline.Timeline{Last: 10 * leastDark}, moments{})
		if len(dark) != want || want == 1 && dark[0].Until != 10*leastDark {
			t.Errorf("with %d failures it is dark %v", failed, dark)
		}
	}
	if leastFailed != 3 {
		t.Errorf("%d hits of the path arm, one each 50 ms, must fail, want 3: as many as begin within 200 ms for certain", leastFailed)
	}
}

// More than one answer of a hundred must have been slow, of the seconds asked for.
func TestSlowAnswersOfAControlArm(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		slow int // of 100
		from time.Duration
		want bool
	}{"one of a hundred": {1, 5 * s, false}, "two of a hundred": {2, 5 * s, true}, "a second later": {2, 6 * s, false}, "a second before": {2, 4 * s, false}} {
		arm := newControlWaits(&timeline.Arm{}, 50*ms)
		for i := range 100 {
			h := history.Hit{Seq: uint64(i), Intended: 5*s + time.Duration(i)*ms, At: 5*s + time.Duration(i)*ms, Latency: 50 * ms, Code: 200}
			if i < c.slow {
				h.Latency++
			}
			arm.Hit(&h)
		}
		arm.Hit(&history.Hit{Seq: 100, Intended: 5 * s, Unsent: true, Class: history.ClassHarness})
		arm.Hit(&history.Hit{Seq: 101, Intended: 5 * s, At: 5 * s, Latency: s, Class: history.ClassHarness})
		if got := arm.slowIn(c.from, c.from+s-1); got != c.want {
			t.Errorf("%s: slow is %v", name, got)
		}
	}
	failed := newControlWaits(&timeline.Arm{}, 50*ms)
	if failed.Hit(&history.Hit{Class: history.ClassApplication}); !failed.slowIn(0, 0) {
		t.Error("a failed hit is not slow")
	}
}

// Of times without an answer those over the budget are kept, and of those that overlap the one that was longest by itself.
func TestWhichWaitsAreKept(t *testing.T) {
	for name, c := range map[string]struct {
		waits []waited
		want  []waited
	}{
		"within the budget":     {[]waited{{0, 0, 100}}, nil},
		"over it":               {[]waited{{0, 0, 101}}, []waited{{0, 0, 101}}},
		"one after another":     {[]waited{{0, 0, 101}, {101, 101, 301}}, []waited{{0, 0, 101}, {101, 101, 301}}},
		"the second is longer":  {[]waited{{0, 0, 150}, {100, 100, 301}}, []waited{{100, 100, 301}}},
		"the second is as long": {[]waited{{0, 0, 150}, {100, 100, 250}}, []waited{{0, 0, 150}}},
		"the first began late":  {[]waited{{0, 100, 150}, {100, 110, 210}}, []waited{{100, 110, 210}}},
		"the second began late": {[]waited{{0, 0, 150}, {100, 200, 320}}, []waited{{0, 0, 150}}},
	} {
		a := armWaits{responsive: &responsive{budgets: ResponsiveBudgets{Unanswered: 100}}}
		longest := time.Duration(0)
		for _, w := range c.waits {
			longest = max(longest, w.end-w.due)
			a.waited(w)
		}
		if !slices.Equal(a.stalls, c.want) || a.longest != longest {
			t.Errorf("%s: kept %v, longest %d, want %v and %d", name, a.stalls, a.longest, c.want, longest)
		}
	}
}

// The numbers of all hits, and what they come to: each by one.
func TestTheVerdictOfATally(t *testing.T) {
	power := judge.ZeroPower(1000, "hits")
	all := tally{hits: 1000}
	for name, c := range map[string]struct {
		change func(*tally)
		want   judge.Verdict
		judged uint64
	}{
		"clean":                        {func(*tally) {}, judge.Pass, 1000},
		"one drop":                     {func(t *tally) { t.dropped = 1 }, judge.Fail, 1000},
		"a drop, and the control":      {func(t *tally) { t.dropped, t.control = 1, 1 }, judge.Fail, 1000},
		"none":                         {func(t *tally) { t.hits = 0 }, judge.Inconclusive, 0},
		"one of the harness's":         {func(t *tally) { t.harness = 1 }, judge.Inconclusive, 999},
		"one never sent":               {func(t *tally) { t.unsent = 1 }, judge.Inconclusive, 999},
		"one of the path's":            {func(t *tally) { t.path = 1 }, judge.Inconclusive, 999},
		"one of the control arm":       {func(t *tally) { t.control = 1 }, judge.Inconclusive, 1000},
		"one that nobody can decide":   {func(t *tally) { t.undecided = 1 }, judge.Inconclusive, 999},
		"one lost":                     {func(t *tally) { t.lost = 1 }, judge.Pass, 999},
		"one lost, nobody saw to what": {func(t *tally) { t.lost, t.unseen = 1, true }, judge.Inconclusive, 999},
		"one injected":                 {func(t *tally) { t.injected = 1 }, judge.Pass, 999},
		"one injected without an end":  {func(t *tally) { t.injected, t.unhealed = 1, 1 }, judge.Inconclusive, 999},
		"all but one injected":         {func(t *tally) { t.injected = 999 }, judge.Pass, 1},
		"all injected":                 {func(t *tally) { t.injected = 1000 }, judge.Inconclusive, 0},
		"one masked":                   {func(t *tally) { t.masked = 1 }, judge.Pass, 1000},
	} {
		sum := all
		c.change(&sum)
		if got, reason := sum.verdict(power); got != c.want || sum.judged() != c.judged || reason == "" {
			t.Errorf("%s: %s by %d, want %s by %d: %s", name, got, sum.judged(), c.want, c.judged, reason)
		}
	}
	sum := tally{}
	sum.add(tally{hits: 1, dropped: 2, injected: 3, masked: 4, maskedBy: []string{"a"}, anonymous: 5, harness: 6, unsent: 7, unhealed: 8, undecided: 9, path: 10, lost: 12, unseen: true, control: 11})
	sum.add(tally{hits: 1, dropped: 2, injected: 3, masked: 4, maskedBy: []string{"b"}, anonymous: 5, harness: 6, unsent: 7, unhealed: 8, undecided: 9, path: 10, lost: 12, control: 11})
	if got, want := fmt.Sprintf("%+v", sum), "{hits:2 dropped:4 injected:6 masked:8 maskedBy:[a b] anonymous:10 harness:12 unsent:14 unhealed:16 undecided:18 path:20 lost:24 unseen:true control:22}"; got != want {
		t.Errorf("two tallies add up to %s, want %s", got, want)
	}
}
