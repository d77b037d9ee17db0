package judge

import (
	"fmt"
	"math"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const slugBlast = "canary.blast-radius"

// blastRadius bounds what a release that is bad on purpose may do: failures no more than its share of the traffic until the
// abort, the abort in time, and none once routers had time to follow it.
func blastRadius(b Budgets) Check {
	return Check{
		Slug:    slugBlast,
		Promise: "a bad version hurts no more than its share of the traffic, and no longer than until its abort",
		Needs: []Need{carriesLoad,
			{What: "disturbance that injects failures", Met: func(t *Timeline) bool { return len(injectionsOf(t)) > 0 }},
			{What: "step", Met: func(t *Timeline) bool { return len(t.Steps) > 0 }}},
		Rests: []string{"rollouts", "replicasets"},
		Late:  b.Propagation,
		New: func(t *Timeline) Fold {
			f := &blast{t: t, budgets: b}
			for _, i := range injectionsOf(t) {
				f.exposures = append(f.exposures, exposureOf(t, i, b.Propagation))
			}
			return f
		},
	}
}

// exposure is how long, and with what share of traffic, users were exposed to a bad version.
type exposure struct {
	version string
	began   time.Duration
	abort   time.Duration // the first step after its beginning that takes all traffic from it; never without one
	over    time.Duration // the abort, and the time until routers follow; never without an abort
	cuts    []time.Duration
	shares  []float64 // of the stretches between the cuts, with the times before the first and after the last
}

// exposureOf reads the shares off the steps. While routers may still follow the step before, the larger share counts.
func exposureOf(t *Timeline, i injection, propagation time.Duration) exposure {
	e := exposure{version: i.version, began: i.from, abort: Never, over: Never}
	for _, s := range t.Steps {
		e.cuts = append(e.cuts, s.At, s.At+propagation)
		if s.At >= i.from && e.abort == Never && weightOf(s, i.version) == 0 && e.exposedBefore(t, s) {
			e.abort, e.over = s.At, s.At+propagation
		}
	}
	e.cuts = append(e.cuts, i.from)
	c := newCursor(e.cuts)
	for k := range c.len() {
		e.shares = append(e.shares, largestShare(t.Steps, i.version, c.bounds[k], propagation))
	}
	return e
}

// exposedBefore reports whether the version had a share before a step: taking nothing away is no abort.
func (e *exposure) exposedBefore(t *Timeline, s Step) bool {
	return slices.ContainsFunc(t.Steps, func(other Step) bool { return other.At < s.At && weightOf(other, e.version) > 0 })
}

// weightOf is the share, 0 to 1, that a step gives to a version.
func weightOf(s Step, version string) float64 {
	var w float64
	if s.Canary == version {
		w += s.Weight / 100
	}
	if s.Stable == version {
		w += 1 - s.Weight/100
	}
	return min(max(w, 0), 1)
}

// largestShare is the largest share that a version may have at a moment: of the step that holds then, and of those that were
// replaced less than propagation ago.
func largestShare(steps []Step, version string, at, propagation time.Duration) float64 {
	var largest float64
	for i, s := range steps {
		replaced := Never
		if i+1 < len(steps) {
			replaced = steps[i+1].At
		}
		if s.At <= at && (replaced == Never || at < replaced+propagation) {
			largest = max(largest, weightOf(s, version))
		}
	}
	return largest
}

type blast struct {
	t         *Timeline
	budgets   Budgets
	exposures []exposure
	arms      []*armBlast
}

type armBlast struct {
	exposures []exposure
	starts    []cursor   // one for each exposure
	traffic   [][]uint64 // hits sent, by exposure and stretch
	harmed    []uint64   // failed answers of the bad version before over, by exposure
	after     []uint64   // and after it
	found     findings
}

func (f *blast) Arm(arm *Arm) HitFold {
	if arm.Control {
		return nil
	}
	a := &armBlast{exposures: f.exposures, harmed: make([]uint64, len(f.exposures)), after: make([]uint64, len(f.exposures))}
	for _, e := range f.exposures {
		c := newCursor(e.cuts)
		a.starts = append(a.starts, c)
		a.traffic = append(a.traffic, make([]uint64, c.len()))
	}
	f.arms = append(f.arms, a)
	return f.t.whileKnown(a)
}

func (a *armBlast) Hit(h *history.Hit) {
	if h.Unsent {
		return
	}
	for i := range a.exposures {
		a.traffic[i][a.starts[i].find(h.At)]++
		if h.Class != history.ClassOK && h.Version == a.exposures[i].version && h.End() >= a.exposures[i].began {
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
	if a.found.wants(h.At) {
		a.found.keep(hitFinding(h, fmt.Sprintf("version %s still hurt %s after its abort: %s", h.Version, span(h.At-a.exposures[i].abort), reason(h))))
	}
}

func (f *blast) Result() Promise {
	p := Promise{Verdict: Pass}
	var found findings
	for _, a := range f.arms {
		found.merge(&a.found)
	}
	for i := range f.exposures {
		f.judge(i, &p, &found)
	}
	found.into(&p)
	return p
}

// judge adds the verdict on one exposure. The worst is the promise's.
func (f *blast) judge(i int, p *Promise, found *findings) {
	e := &f.exposures[i]
	var harmed, after, hits, later uint64
	var expected, variance float64
	for _, a := range f.arms {
		harmed += a.harmed[i]
		after += a.after[i]
		for k, n := range a.traffic[i] {
			if from := a.starts[i].bounds[k]; from >= e.over {
				later += n
			} else if from >= e.began {
				hits += n
				expected += e.shares[k] * float64(n)
				variance += e.shares[k] * (1 - e.shares[k]) * float64(n)
			}
		}
	}
	p.Hits += hits + later
	p.Injected += harmed
	p.Dropped += after
	allowed := expected + sigmas*math.Sqrt(variance)
	p.Figures = append(p.Figures,
		Figure{Name: "failures injected by " + e.version, Value: float64(harmed), Unit: "hits"},
		Figure{Name: "hits its share allowed, with tolerance", Value: math.Floor(allowed), Unit: "hits"})
	if e.abort != Never {
		p.Figures = append(p.Figures, Figure{Name: "time to the abort of " + e.version, Value: (e.abort - e.began).Seconds(), Unit: "s"})
	}
	verdict, text := f.verdict(e, harmed, after, later, allowed)
	if verdict != Pass {
		found.note(Finding{At: e.began, Until: min(e.over, f.t.LoadEnd()), Class: string(verdict), Text: text})
	}
	if p.Reason == "" || verdict.rank() > p.Verdict.rank() {
		p.Verdict, p.Reason = verdict, text
		p.Power = nil
		if verdict == Pass {
			p.Power = zeroPower(later, "hits after the abort")
		}
	}
}

func (f *blast) verdict(e *exposure, harmed, after, later uint64, allowed float64) (Verdict, string) {
	took := min(e.abort, f.t.LoadEnd()) - e.began
	switch {
	case after > 0:
		return Fail, fmt.Sprintf("version %s still caused %s later than %s after its abort", e.version, plural(after, "failure"), span(f.budgets.Propagation))
	case float64(harmed) > allowed:
		return Fail, fmt.Sprintf("version %s caused %s, its share of the traffic allowed %.0f", e.version, plural(harmed, "failure"), allowed)
	case took > f.budgets.Abort:
		return Fail, fmt.Sprintf("version %s was not aborted within %s", e.version, span(f.budgets.Abort))
	case e.abort == Never:
		return Inconclusive, fmt.Sprintf("no step took the traffic from version %s: the record does not show its abort", e.version)
	case harmed == 0:
		return Inconclusive, fmt.Sprintf("version %s hurt nobody: the injected fault did not show", e.version)
	case later < enoughAfter:
		return Inconclusive, fmt.Sprintf("%s sent later than %s after the abort of version %s, %d needed", plural(later, "hit"),
			span(f.budgets.Propagation), e.version, enoughAfter)
	}
	return Pass, fmt.Sprintf("version %s caused %s in %s until its abort (its share allowed %.0f), and none of %s after it", e.version,
		plural(harmed, "failure"), span(took), allowed, plural(later, "hit"))
}
