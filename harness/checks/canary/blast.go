package canary

import (
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugBlast is the name of the check.
const SlugBlast = "canary.blast-radius"

// BlastBudgets are the limits of canary.blast-radius.
type BlastBudgets struct {
	Abort time.Duration `json:"abort"` // from the start of a bad release to its abort, at most
}

// DefaultBlastBudgets holds for scenarios that say nothing else.
func DefaultBlastBudgets() BlastBudgets { return BlastBudgets{Abort: 5 * time.Minute} }

// BlastRadius bounds what a release that is bad on purpose may do: failures no more than its share of the traffic until the
// abort, the abort in time, and none once routers had time to follow it.
func BlastRadius(b BlastBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugBlast,
		Promise: "a bad version hurts no more than its share of the traffic, and no longer than until its abort",
		Doc: judge.Doc{
			Proves: "A release which is bad on purpose answered no more hits, good and bad, than its share of the traffic explains (by the exact " +
				"binomial distribution, outside it once in a million by chance) until the step that took the traffic from it, this came " +
				"within `abort`, and it failed none later than `propagation` after it. The share is the larger one while routers follow a " +
				"step, `propagation` after it and `watch` before. The reason names the mean share that would have been seen.",
			Cannot: "See a share that is a little too large: of 1 200 hits, 10 % and 16 % look alike, of 4 000 10 % and 13 %. Nor see harm other than answers that carry the bad version; of those after the abort, other than failed ones.",
			Fails:  "On more answers than that, on a failure after the abort, or on a late abort.",
			Inconclusive: "Without a recorded abort, with no failure at all (the fault did not show), with fewer than 300 hits after the " +
				"abort, or with too few before it to see twice its share with a chance of 95 % (about 520 for a canary of 10 %, 120 for 30 %).",

			Budgets: []any{b},
		},
		Needs: []judge.Need{load.Carried,
			{What: "disturbance that injects failures", Met: func(t *timeline.Timeline) bool { return len(t.Injections()) > 0 }},
			{What: "step", Met: func(t *timeline.Timeline) bool { return len(t.Steps) > 0 }}},
		Rests: []string{"rollouts", "replicasets"},
		Late:  tolerance.Propagation,
		New: func(t *timeline.Timeline) judge.Fold {
			f := &blast{t: t, budgets: b, tolerance: tolerance}
			for _, i := range t.Injections() {
				f.exposures = append(f.exposures, exposureOf(t, i, tolerance))
			}
			return f
		},
	}
}

// exposure is how long, and with what share of traffic, users were exposed to a bad version.
type exposure struct {
	timeline.Identity
	began  time.Duration
	abort  time.Duration // the first step after its beginning that takes all traffic from it; never without one
	over   time.Duration // the abort, and the time until routers follow; never without an abort
	cuts   []time.Duration
	shares []float64 // of the stretches between the cuts, with the times before the first and after the last
}

// exposureOf reads the shares off the steps. While routers may still follow the step before, or follow the next one before its watch
// tells, the larger share counts.
func exposureOf(t *timeline.Timeline, i timeline.Injection, tolerance judge.Tolerance) exposure {
	e := exposure{Identity: i.Identity, began: i.From, abort: timeline.Never, over: timeline.Never}
	steps := t.StepsOf(i.Workload)
	for _, s := range steps {
		e.cuts = append(e.cuts, s.At-tolerance.Watch, s.At, s.At+tolerance.Propagation)
		if s.At >= i.From && e.abort == timeline.Never && weightOf(s, i.Version) == 0 && e.exposedBefore(steps, s) {
			e.abort, e.over = s.At, s.At+tolerance.Propagation
		}
	}
	e.cuts = append(e.cuts, i.From)
	c := timeline.NewCursor(e.cuts)
	for k := range c.Len() {
		e.shares = append(e.shares, largestShare(steps, i.Version, c.Bounds[k], tolerance))
	}
	return e
}

// exposedBefore reports whether the version had a share before a step: taking nothing away is no abort.
func (e *exposure) exposedBefore(steps []timeline.Step, s timeline.Step) bool {
	return slices.ContainsFunc(steps, func(other timeline.Step) bool { return other.At < s.At && weightOf(other, e.Version) > 0 })
}

// weightOf is the share that a step gives to a version; never less than 0.
func weightOf(s timeline.Step, version string) float64 {
	var w float64
	if s.Canary == version {
		w += s.Weight / 100
	}
	if s.Stable == version {
		w += 1 - s.Weight/100
	}
	return max(w, 0)
}

// largestShare is the largest share that a version may have at a moment: of the step that holds then or soon, and of those that were
// replaced a moment ago.
func largestShare(steps []timeline.Step, version string, at time.Duration, tolerance judge.Tolerance) float64 {
	var largest float64
	for i, s := range steps {
		replaced := timeline.Never
		if i+1 < len(steps) {
			replaced = steps[i+1].At
		}
		if s.At-tolerance.Watch <= at && (replaced == timeline.Never || at < replaced+tolerance.Propagation) {
			largest = max(largest, weightOf(s, version))
		}
	}
	return largest
}

type blast struct {
	t         *timeline.Timeline
	budgets   BlastBudgets
	tolerance judge.Tolerance
	exposures []exposure
	arms      []*armBlast
}

type armBlast struct {
	t         *timeline.Timeline
	arm       *timeline.Arm
	exposures []exposure
	starts    []timeline.Cursor // one for each exposure
	traffic   [][]uint64        // hits sent, by exposure and stretch
	reached   []uint64          // answers of the bad version, good and bad, started from its beginning to over, by exposure
	harmed    []uint64          // failed ones among those that ended after its beginning
	after     []uint64          // and after it
	found     judge.Findings
}

func (f *blast) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Control {
		return nil
	}
	a := &armBlast{t: f.t, arm: arm, exposures: f.exposures}
	a.reached, a.harmed, a.after = make([]uint64, len(f.exposures)), make([]uint64, len(f.exposures)), make([]uint64, len(f.exposures))
	for _, e := range f.exposures {
		c := timeline.NewCursor(e.cuts)
		a.starts = append(a.starts, c)
		a.traffic = append(a.traffic, make([]uint64, c.Len()))
	}
	f.arms = append(f.arms, a)
	return judge.WhileKnown(f.t, a)
}

func (a *armBlast) Hit(h *history.Hit) {
	if h.Unsent {
		return
	}
	for i := range a.exposures {
		if !a.t.Serves(a.arm, a.exposures[i].Workload) {
			continue
		}
		a.traffic[i][a.starts[i].Find(h.At)]++
		if !a.t.Claims(&a.exposures[i].Identity, a.arm, h) {
			continue
		}
		if h.At >= a.exposures[i].began && h.At <= a.exposures[i].over {
			a.reached[i]++
		}
		if h.Class != history.ClassOK && h.End() >= a.exposures[i].began {
			a.hurt(i, h)
		}
	}
}

func (a *armBlast) hurt(i int, h *history.Hit) {
	if h.At <= a.exposures[i].over {
		a.harmed[i]++
		return
	}
	a.after[i]++
	if a.found.Wants(h.At) {
		a.found.Keep(judge.HitFinding(h, fmt.Sprintf("version %s still hurt %s after its abort: %s", h.Version, words.Span(h.At-a.exposures[i].abort), judge.WhyFailed(h))))
	}
}

func (f *blast) Result() judge.Promise {
	p := judge.Promise{Verdict: judge.Pass}
	var found judge.Findings
	for _, a := range f.arms {
		found.Merge(&a.found)
	}
	for i := range f.exposures {
		f.judge(i, &p, &found)
	}
	found.Into(&p)
	return p
}

// judge adds the verdict on one exposure. The worst is the promise's.
func (f *blast) judge(i int, p *judge.Promise, found *judge.Findings) {
	e := &f.exposures[i]
	var reached, harmed, after, later uint64
	var traffic exposed
	for _, a := range f.arms {
		reached += a.reached[i]
		harmed += a.harmed[i]
		after += a.after[i]
		for k, n := range a.traffic[i] {
			if from := a.starts[i].Bounds[k]; from >= e.over {
				later += n
			} else if from >= e.began {
				traffic.add(n, e.shares[k])
			}
		}
	}
	p.Hits += traffic.hits + later
	p.Injected += harmed
	p.Dropped += after
	allowed := traffic.allowed()
	p.Figures = append(p.Figures,
		judge.Figure{Name: "failures injected by " + e.Version, Value: float64(harmed), Unit: "hits"},
		judge.Figure{Name: "hits answered by " + e.Version, Value: float64(reached), Unit: "hits"},
		judge.Figure{Name: "hits its share allowed, with tolerance", Value: float64(allowed), Unit: "hits"})
	if e.abort != timeline.Never {
		p.Figures = append(p.Figures, judge.Figure{Name: "time to the abort of " + e.Version, Value: (e.abort - e.began).Seconds(), Unit: "s"})
	}
	verdict, text := f.verdict(e, &traffic, shown{reached, harmed, after, later})
	if verdict != judge.Pass {
		found.Note(judge.Finding{At: e.began, Until: min(e.over, f.t.LoadEnd()), Class: string(verdict), Text: text})
	}
	if p.Reason == "" || verdict.Rank() > p.Verdict.Rank() {
		p.Verdict, p.Reason = verdict, text
		p.Power = nil
		if verdict == judge.Pass {
			p.Power = judge.ZeroPower(later, "hits after the abort")
		}
	}
}

// exposed is the traffic while a bad version had a share of it.
type exposed struct {
	hits     uint64  // all
	whole    uint64  // while it had all of the traffic, or might have
	some     uint64  // while it had a part
	expected float64 // of some
}

func (x *exposed) add(n uint64, share float64) {
	x.hits += n
	switch {
	case share >= 1:
		x.whole += n
	case share > 0:
		x.some += n
		x.expected += share * float64(n)
	}
}

// allowed is the most answers that the shares explain. Where they differ their mean is taken: the sum of unlike chances strays less than
// that of like ones (Hoeffding 1956).
func (x *exposed) allowed() uint64 {
	if x.some == 0 {
		return x.whole
	}
	_, most := judge.Bounds(x.some, x.mean(), judge.FalseAlarm)
	return x.whole + most
}

// power is what part of the traffic the version was to have, and how large a part would have been seen to be more.
func (x *exposed) power() string {
	if x.some == 0 {
		return fmt.Sprintf("its share allowed %s", words.Count(x.allowed()))
	}
	return fmt.Sprintf("its share, %s in the mean, allowed %s; %s would have been seen", words.Percent(x.mean()),
		words.Count(x.allowed()), words.Percent(judge.SeenAbove(x.allowed()-x.whole, x.some)))
}

// tells reports whether twice the share would have been seen. Where the version may have had all traffic there is nothing to see.
func (x *exposed) tells() bool {
	return x.some == 0 || judge.SeenAbove(x.allowed()-x.whole, x.some) <= tooWide*x.mean()
}

// tooWide is how many times its share a version may have at most without being seen: a bound that is wider says nothing.
const tooWide = 2

// mean is the mean share while it had a part of the traffic.
func (x *exposed) mean() float64 { return x.expected / float64(x.some) }

// shown is what the hits show of a bad version.
type shown struct{ reached, harmed, after, later uint64 }

func (f *blast) verdict(e *exposure, traffic *exposed, n shown) (judge.Verdict, string) {
	took := min(e.abort, f.t.LoadEnd()) - e.began
	switch {
	case n.after > 0:
		return judge.Fail, fmt.Sprintf("version %s still caused %s later than %s after its abort", e.Version, words.Plural(n.after, "failure"), words.Span(f.tolerance.Propagation))
	case max(n.reached, n.harmed) > traffic.allowed():
		return judge.Fail, fmt.Sprintf("version %s answered %s and caused %s, its share of the traffic allowed %s", e.Version,
			words.Plural(n.reached, "hit"), words.Plural(n.harmed, "failure"), words.Count(traffic.allowed()))
	case took > f.budgets.Abort:
		return judge.Fail, fmt.Sprintf("version %s was not aborted within %s", e.Version, words.Span(f.budgets.Abort))
	case e.abort == timeline.Never:
		return judge.Inconclusive, fmt.Sprintf("no step took the traffic from version %s: the record does not show its abort", e.Version)
	case n.harmed == 0:
		return judge.Inconclusive, fmt.Sprintf("version %s hurt nobody: the injected fault did not show", e.Version)
	case n.later < judge.Enough:
		return judge.Inconclusive, fmt.Sprintf("%s sent later than %s after the abort of version %s, %d needed", words.Plural(n.later, "hit"),
			words.Span(f.tolerance.Propagation), e.Version, judge.Enough)
	case !traffic.tells():
		return judge.Inconclusive, fmt.Sprintf("%s while version %s had a share: %s; %s must be seen", words.Plural(traffic.some, "hit"), e.Version, traffic.power(),
			words.Percent(tooWide*traffic.mean()))
	}
	return judge.Pass, fmt.Sprintf("version %s caused %s of %s in %s until its abort (%s), and none of %s after it", e.Version,
		words.Plural(n.harmed, "failure"), words.Plural(n.reached, "answer"), words.Span(took), traffic.power(), words.Plural(n.later, "hit"))
}
