package judge

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
)

// The tests of this file hold each bound of the engine at itself, and one step to each side of it.

// What a gap does to a promise is a matter of its verdict, of how long the gap is, and of whether the findings touch it.
func TestWhatAGapTakes(t *testing.T) {
	const late = 10
	gap := func(from, to time.Duration, lost bool) history.Gap {
		return history.Gap{Resource: "pods", From: from, To: to, Lost: lost}
	}
	at := func(from, until time.Duration) []Finding {
		return []Finding{{At: from, Until: until, Class: string(Fail)}}
	}
	for name, c := range map[string]struct {
		verdict  Verdict
		findings []Finding
		gaps     []history.Gap
		want     Verdict
		found    uint64
	}{
		"a pass without a gap":                      {Pass, nil, nil, Pass, 0},
		"a pass, and something was lost":            {Pass, nil, []history.Gap{gap(100, 101, true)}, Inconclusive, 1},
		"a pass, late by as much as is allowed":     {Pass, nil, []history.Gap{gap(100, 100+late, false)}, Pass, 0},
		"a pass, late by more":                      {Pass, nil, []history.Gap{gap(100, 101+late, false)}, Inconclusive, 1},
		"a pass, one gap of two is too long":        {Pass, nil, []history.Gap{gap(100, 101, false), gap(200, 201+late, false)}, Inconclusive, 1},
		"a failure clear of the gap":                {Fail, at(50, 60), []history.Gap{gap(100, 101, true)}, Fail, 2},
		"a failure in a gap":                        {Fail, at(100, 101), []history.Gap{gap(90, 110, true)}, Inconclusive, 2},
		"a failure in a short gap that lost none":   {Fail, at(100, 101), []history.Gap{gap(99, 99+late, false)}, Inconclusive, 2},
		"a failure that goes on into a gap":         {Fail, at(50, 95), []history.Gap{gap(90, 110, true)}, Inconclusive, 2},
		"a failure without an end, before a gap":    {Fail, at(50, 0), []history.Gap{gap(90, 110, true)}, Fail, 2},
		"a failure without an end, in a gap":        {Fail, at(95, 0), []history.Gap{gap(90, 110, true)}, Inconclusive, 2},
		"a failure in the one gap, not the other":   {Fail, at(100, 101), []history.Gap{gap(10, 20, true), gap(90, 110, true)}, Inconclusive, 3},
		"one failure of two is clear":               {Fail, append(at(100, 101), at(50, 60)...), []history.Gap{gap(90, 110, true)}, Fail, 3},
		"what is not certain is clear of it":        {Fail, append(at(100, 101), Finding{At: 50, Class: string(Inconclusive)}), []history.Gap{gap(90, 110, true)}, Inconclusive, 3},
		"what was inconclusive stays so":            {Inconclusive, at(50, 60), []history.Gap{gap(100, 101, true)}, Inconclusive, 2},
		"what was skipped stays so, with no word":   {Skipped, nil, []history.Gap{gap(100, 101, true)}, Skipped, 0},
		"what failed without a finding is not told": {Fail, nil, []history.Gap{gap(100, 101, true)}, Inconclusive, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := Promise{Verdict: c.verdict, Reason: "as told", Findings: c.findings, Found: uint64(len(c.findings)), Power: &Power{Hits: 7}}
			p.admitGaps(c.gaps, late)
			if p.Verdict != c.want || p.Found != c.found || len(p.Findings) != int(c.found) {
				t.Errorf("it is %s with %d findings, %d of them kept; want %s with %d", p.Verdict, p.Found, len(p.Findings), c.want, c.found)
			}
			if changed := c.verdict != c.want; changed == (p.Reason == "as told") || changed == (p.Power != nil) {
				t.Errorf("from %s to %s it has the reason %q and the power %+v", c.verdict, p.Verdict, p.Reason, p.Power)
			}
			if !slices.IsSortedFunc(p.Findings, CompareFindings) {
				t.Errorf("the findings are out of the order of time: %+v", p.Findings)
			}
		})
	}
}

// A gap says what may be missing: of one resource or of all, lost or only late.
func TestTheFindingOfAGap(t *testing.T) {
	pods := gapFinding(history.Gap{Resource: "pods", From: 1, To: 2, Lost: true})
	texts := map[string]bool{pods.Text: true}
	for _, other := range []history.Gap{{Resource: "pods", From: 1, To: 2}, {Resource: "*", From: 1, To: 2, Lost: true}, {Resource: "nodes", From: 1, To: 2, Lost: true}} {
		texts[gapFinding(other).Text] = true
	}
	if pods.At != 1 || pods.Until != 2 || len(texts) != 4 {
		t.Errorf("the finding %+v, and %d texts of four gaps that differ", pods, len(texts))
	}
}

type hitCounter struct{ hits int }

func (c *hitCounter) Hit(*history.Hit) { c.hits++ }

// A hit that ended with the last event can be held against the events, one that ended later cannot.
func TestHitsAreComparedWhileEventsAreKnown(t *testing.T) {
	for known, want := range map[time.Duration]int{9: 0, 10: 1, 11: 1, timeline.Never: 1} {
		var c hitCounter
		WhileKnown(&timeline.Timeline{Known: known}, &c).Hit(&history.Hit{At: 4, Latency: 6})
		if c.hits != want {
			t.Errorf("with events up to %d, %d of the hits that end at 10 are taken, want %d", known, c.hits, want)
		}
	}
}

func TestThePowerOfAZero(t *testing.T) {
	if p := ZeroPower(0, "hits"); p != nil {
		t.Errorf("a zero in nothing has the power %+v", p)
	}
	for n, want := range map[uint64]float64{1: 1, 2: 1, 3: 1, 4: .75, Enough: .01} {
		if p := ZeroPower(n, "hits"); p == nil || p.Hits != n || p.MaxLossShare != want {
			t.Errorf("a zero in %d has the power %+v, want %v", n, p, want)
		}
	}
}

// Verdicts from the best to the worst.
func TestTheWorseOfTwoVerdicts(t *testing.T) {
	order := []Verdict{Skipped, Pass, Inconclusive, Fail}
	for i, a := range order {
		if a.Rank() != i {
			t.Errorf("%s has rank %d, want %d", a, a.Rank(), i)
		}
		for k, b := range order {
			if got, want := Worse(a, b), order[max(i, k)]; got != want {
				t.Errorf("the worse of %s and %s is %s", a, b, got)
			}
		}
	}
}

// At the ends of a distribution there is nothing to compute.
func TestTheEndsOfADistribution(t *testing.T) {
	for _, c := range []struct {
		k, n            uint64
		share           float64
		atMost, atLeast float64
	}{
		{0, 2, .5, .25, 1}, {1, 2, .5, .75, .75}, {2, 2, .5, 1, .25}, {3, 2, .5, 1, 0},
		{0, 3, 0, 1, 1}, {1, 3, 0, 1, 0}, {3, 3, 0, 1, 0},
		{0, 3, 1, 0, 1}, {2, 3, 1, 0, 1}, {3, 3, 1, 1, 1}, {4, 3, 1, 1, 0},
		{0, 0, .5, 1, 1}, {1, 0, .5, 1, 0},
	} {
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }
		if most, least := AtMost(c.k, c.n, c.share), AtLeast(c.k, c.n, c.share); !near(most, c.atMost) || !near(least, c.atLeast) {
			t.Errorf("of %d answers with share %v, at most %d: %v, at least: %v; want %v and %v", c.n, c.share, c.k, most, least, c.atMost, c.atLeast)
		}
	}
	for _, share := range []float64{0, 1} {
		if fewest, most := Bounds(100, share, FalseAlarm); fewest != uint64(100*share) || most != fewest {
			t.Errorf("a share of %v explains %d to %d of 100", share, fewest, most)
		}
	}
	if fewest, most := Bounds(0, .5, FalseAlarm); fewest != 0 || most != 0 {
		t.Errorf("a share explains %d to %d of no answers", fewest, most)
	}
}

// The share that is seen to be more is exact to a step, and all of them where more than all cannot be.
func TestTheShareThatIsSeenAbove(t *testing.T) {
	const step = 1e-4
	for most, n := range map[uint64]uint64{5: 10, 100: 400, 460: 4000} {
		seen := SeenAbove(most, n)
		if AtLeast(most+1, n, seen) < Seen || AtLeast(most+1, n, seen-step) >= Seen {
			t.Errorf("of %d answers %v are seen to be more than %d, which one step fewer are too or these are not", n, seen, most)
		}
	}
	if seen := SeenAbove(10, 10); seen != 1 {
		t.Errorf("%v are seen to be more than all", seen)
	}
	if n := NeededForHalf(1e-15, FalseAlarm); n != 1<<31 {
		t.Errorf("%d answers are needed for a share that no run can see, want a number that none has", n)
	}
}

// What is asked for stays asked for, in whatever place of the list, and what is only always judged stays optional.
func TestAskedForTwice(t *testing.T) {
	for i, c := range []struct{ first, second, want bool }{{true, true, true}, {true, false, false}, {false, true, false}, {false, false, false}} {
		checks := Catalogue{}.withAlways([]Check{{Slug: "a", Optional: c.first}, {Slug: "a", Optional: c.second}})
		if len(checks) != 1 || checks[0].Optional != c.want {
			t.Errorf("case %d: %+v, want one that is optional: %v", i, checks, c.want)
		}
	}
	catalogue := Catalogue{{Slug: "a"}, {Slug: "b", Always: true}, {Slug: "c", Always: true}}
	var got []string
	for _, check := range catalogue.withAlways([]Check{{Slug: "unknown"}, {Slug: "c"}}) {
		got = append(got, fmt.Sprint(check.Slug, check.Optional))
	}
	if want := []string{"btrue", "cfalse", "unknownfalse"}; !slices.Equal(got, want) {
		t.Errorf("the checks are %v, want %v", got, want)
	}
}

// A hit that brought anything of an answer is not bare.
func TestIsBare(t *testing.T) {
	for name, h := range map[string]history.Hit{"status": {Code: 200}, "body": {BytesIn: 1}, "version": {Version: "v1"}, "pod": {Pod: "pod-a"}} {
		if IsBare(&h) {
			t.Errorf("a hit with a %s is bare", name)
		}
	}
	if !IsBare(&history.Hit{Error: "refused", Latency: 7}) {
		t.Error("a hit with nothing of an answer is not bare")
	}
}

// The finding of a hit shows each thing that is known of it, and a long body in part.
func TestTheEvidenceOfAHit(t *testing.T) {
	all := history.Hit{Arm: "get", Seq: 3, At: 5, Latency: 2, Method: "GET", URL: "/", Code: 503, Error: "cut", Version: "v1", Pod: "pod-a", Body: []byte("sorry")}
	f := HitFinding(&all, "what")
	if f.At != 5 || f.Until != 7 || f.Arm != "get" || f.Hit != "get/3" || f.Text != "what" || f.Bare || len(f.Evidence) != 5 {
		t.Errorf("the finding is %+v, want five lines of evidence", f)
	}
	for name, h := range map[string]history.Hit{"a method": {Method: "GET"}, "a URL": {URL: "/"}, "a status": {Code: 503}, "an error": {Error: "cut"},
		"a version": {Version: "v1"}, "a pod": {Pod: "pod-a"}, "a body": {Body: []byte("x")}} {
		if got := HitFinding(&h, "").Evidence; len(got) != 1 {
			t.Errorf("the evidence of a hit with %s is %q", name, got)
		}
	}
	if got := HitFinding(&history.Hit{}, ""); len(got.Evidence) != 0 || !got.Bare {
		t.Errorf("the finding of a hit of which nothing is known is %+v", got)
	}
	if got := HitFinding(&history.Hit{Body: slices.Repeat([]byte("x"), 201)}, "").Evidence[0]; len(got) != len(`body: ""`)+200 {
		t.Errorf("of a body of 201 bytes is shown: %s", got)
	}
}

// Why a hit failed is told by what is known: the deadline, where the answer itself was right.
func TestWhyAHitFailed(t *testing.T) {
	late, statusless, failed := WhyFailed(&history.Hit{Code: 200}), WhyFailed(&history.Hit{}), WhyFailed(&history.Hit{Class: history.ClassApplication, Code: 200, Reason: "digest"})
	if late == statusless || late == failed || statusless == failed {
		t.Errorf("a late answer, one without a status and a failed one are told by %q, %q and %q", late, statusless, failed)
	}
	if one, two := FirstOf([]Finding{{Text: "a"}}, 1), FirstOf([]Finding{{Text: "a"}}, 2); one != "a" || two == one {
		t.Errorf("one finding is told by %q, the first of two by %q", one, two)
	}
}

// Findings of a moment are kept with those of an arm that found more; all of them are counted.
func TestFindingsOfSeveralArms(t *testing.T) {
	var a, b Findings
	for i := range MaxFindings {
		a.Note(Finding{At: time.Duration(2 * i)})
		b.Note(Finding{At: time.Duration(2*i + 1)})
	}
	if a.Merge(&b); a.Found != 2*MaxFindings || len(a.Kept) != MaxFindings || a.Kept[MaxFindings-1].At != MaxFindings-1 {
		t.Errorf("%d findings, %d kept, the last %+v", a.Found, len(a.Kept), a.Kept[len(a.Kept)-1])
	}
	r := Ruling{}
	r.AllBroken(&a)
	var p Promise
	if r.Into(&p, ""); p.Verdict != Fail || p.Found != 2*MaxFindings || len(p.Findings) != MaxFindings {
		t.Errorf("the promise is %s with %d findings, %d kept", p.Verdict, p.Found, len(p.Findings))
	}
}

// What did not come speaks against a promise where the run waited for it, and only then.
func TestWhatIsMissing(t *testing.T) {
	for outcome, want := range map[history.Outcome]Verdict{history.EndFinished: Fail, history.EndTimedOut: Fail, history.EndInterrupted: Inconclusive} {
		r := Ruling{Timeline: &timeline.Timeline{End: &history.End{Outcome: outcome}, Broken: timeline.Never}}
		r.Missing(Finding{Text: "it did not come"})
		var p Promise
		if r.Into(&p, ""); p.Verdict != want || len(p.Findings) != 1 || p.Findings[0].Class != string(want) {
			t.Errorf("of a run that %s it is %s: %+v", outcome, p.Verdict, p.Findings)
		}
	}
	sure, unsure := Ruling{}, Ruling{}
	var p, q Promise
	if sure.Into(&p, "as told"); p.Verdict != Pass || p.Reason != "as told" || len(p.Findings) != 0 {
		t.Errorf("with nothing against it a promise is %s: %s", p.Verdict, p.Reason)
	}
	unsure.Unsure(Finding{At: 1, Text: "doubt"})
	unsure.Broken(Finding{At: 2, Text: "broken"})
	if unsure.Into(&q, ""); q.Verdict != Fail || q.Reason != "broken" || q.Found != 2 {
		t.Errorf("with one thing against it and a doubt a promise is %s by %q, %d found", q.Verdict, q.Reason, q.Found)
	}
}

// told is a check with routes and more findings than it keeps.
type told struct{ Promise }

func (f told) Result() Promise { return f.Promise }

// A route is no greener than its promise and its record, and what is worse stays as it is.
func TestRoutesOfAPromise(t *testing.T) {
	for name, c := range map[string]struct {
		whole, promise, route Verdict
		want                  Verdict
	}{
		"green":                         {Pass, Pass, Pass, Pass},
		"the promise is not green":      {Pass, Inconclusive, Pass, Inconclusive},
		"another route failed":          {Pass, Fail, Pass, Pass},
		"the route failed":              {Pass, Fail, Fail, Fail},
		"the route failed, not whole":   {Inconclusive, Fail, Fail, Fail},
		"the record is not whole":       {Inconclusive, Pass, Pass, Inconclusive},
		"another failed, and not whole": {Inconclusive, Fail, Pass, Inconclusive},
	} {
		catalogue := Catalogue{whole(c.whole), {Slug: "a.routes", Always: true, New: func(*timeline.Timeline) Fold {
			return told{Promise{Verdict: c.promise, Reason: "as told", Found: 9, Findings: []Finding{{}}, Routes: []Route{{Verdict: c.route}}}}
		}}}
		result, err := Run(t.Context(), record(t), catalogue, nil)
		must(t, err)
		p := result.Promises[slices.IndexFunc(result.Promises, func(p Promise) bool { return p.Slug == "a.routes" })]
		if p.Routes[0].Verdict != c.want || p.Found != 9 {
			t.Errorf("%s: the route is %s, want %s; %d findings, want 9", name, p.Routes[0].Verdict, c.want, p.Found)
		}
	}
}

// stopper is a check that has the judging cancelled at its first hit.
type stopper struct {
	looker
	stop context.CancelFunc
}

func (s *stopper) Arm(*timeline.Arm) HitFold { return s }

func (s *stopper) Hit(h *history.Hit) { s.stop(); s.looker.Hit(h) }

// Judging that is cancelled ends there and then, and not with the record.
func TestJudgingIsCancelledAmongHits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &stopper{stop: cancel}
	catalogue := Catalogue{whole(Pass), {Slug: "a.hits", Always: true, New: func(*timeline.Timeline) Fold { return s }}}
	if _, err := Run(ctx, record(t), catalogue, nil); err == nil || s.hits != 1 {
		t.Errorf("judging took %d hits, want one, and ended with %v", s.hits, err)
	}
}

// A damaged file of hits is judged up to the damage, which the result names.
func TestDamageAmongHitsIsNamed(t *testing.T) {
	h := record(t)
	must(t, truncate(filepath.Join(h.Dir(), "hits-get.bin"), 3))
	result, err := Run(t.Context(), h, Catalogue{whole(Pass), says("a.good", Pass)}, nil)
	must(t, err)
	if len(result.Damage) == 0 {
		t.Error("a file that lost its end is called whole")
	}
}

// truncate takes bytes from the end of a file.
func truncate(path string, bytes int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()-bytes)
}
