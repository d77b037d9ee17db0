package judge

import (
	"fmt"
	"math"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const slugShare = "canary.traffic-share"

// sigmas is how far a count may stray from what its share says: once in 16 000 by chance.
const sigmas = 4

// trafficShare counts who really answered. What a controller says of its weights is no evidence: the router may not follow.
func trafficShare(b Budgets) Check {
	return Check{
		Slug:    slugShare,
		Promise: "the share of real traffic is what each step says",
		Needs:   []Need{carriesLoad, {What: "step", Met: func(t *Timeline) bool { return len(t.Steps) > 0 }}},
		Rests:   []string{"rollouts", "replicasets"},
		Late:    b.Propagation,
		New:     func(t *Timeline) Fold { return &share{t: t, steps: settledSteps(t, b.Settle)} },
	}
}

// settledStep is a step and the time in which its share must hold: from a settling time after it up to the next.
type settledStep struct {
	Step
	from, until time.Duration
}

func settledSteps(t *Timeline, settle time.Duration) []settledStep {
	var steps []settledStep
	for i, step := range t.Steps {
		until := t.LoadEnd()
		if i+1 < len(t.Steps) {
			until = t.Steps[i+1].At
		}
		steps = append(steps, settledStep{Step: step, from: min(step.At+settle, until), until: until})
	}
	return steps
}

type share struct {
	t     *Timeline
	steps []settledStep
	arms  []*armShare
}

type armShare struct {
	steps  []settledStep
	starts cursor
	// By stretch of starts; index maps a stretch to its step, -1 for the times in between.
	index  []int
	counts []shareCount
}

// shareCount is who answered the hits that a step saw from start to end.
type shareCount struct{ canary, others, nobody uint64 }

func (f *share) Arm(arm *Arm) HitFold {
	if arm.Control {
		return nil
	}
	var cuts []time.Duration
	for _, s := range f.steps {
		cuts = append(cuts, s.from, s.until)
	}
	a := &armShare{steps: f.steps, starts: newCursor(cuts), counts: make([]shareCount, len(f.steps))}
	a.index = make([]int, a.starts.len())
	for i := range a.index {
		a.index[i] = -1
		for k, s := range f.steps {
			if s.from <= a.starts.bounds[i] && a.starts.bounds[i+1] <= s.until {
				a.index[i] = k
			}
		}
	}
	f.arms = append(f.arms, a)
	return f.t.whileKnown(a)
}

func (a *armShare) Hit(h *history.Hit) {
	i := a.index[a.starts.find(h.At)]
	if i < 0 || h.Unsent {
		return
	}
	step := &a.steps[i]
	switch {
	case h.End() > step.until: // it may have been answered under the next step already
	case h.Version == "":
		a.counts[i].nobody++
	case h.Version == step.Canary:
		a.counts[i].canary++
	default:
		a.counts[i].others++
	}
}

func (f *share) Result() Promise {
	p := Promise{Verdict: Pass}
	var found findings
	var judged uint64
	for i := range f.steps {
		var n shareCount
		for _, a := range f.arms {
			n.canary += a.counts[i].canary
			n.others += a.counts[i].others
			n.nobody += a.counts[i].nobody
		}
		p.Hits += n.canary + n.others
		verdict, text := f.steps[i].judge(n)
		if verdict == Inconclusive && f.steps[i].passing() {
			continue
		}
		judged++
		if verdict != Pass {
			found.note(Finding{At: f.steps[i].from, Until: f.steps[i].until, Class: string(verdict), Text: text,
				Evidence: []string{fmt.Sprintf("%s without a version in the answer", plural(n.nobody, "hit"))}})
		}
		if verdict.rank() > p.Verdict.rank() {
			p.Verdict, p.Reason = verdict, text
		}
		if total := n.canary + n.others; total > 0 {
			p.Figures = append(p.Figures, Figure{Name: fmt.Sprintf("share of the canary in step %d, %s", i+1, f.steps[i].Name),
				Value: 100 * float64(n.canary) / float64(total), Unit: "%"})
		}
	}
	switch {
	case judged == 0:
		p.Verdict, p.Reason = Inconclusive, "no step lasted longer than its settling time"
	case p.Verdict == Pass:
		p.Reason = fmt.Sprintf("%s within %d sigma of their share, by %s", plural(judged, "step"), sigmas, plural(p.Hits, "answer"))
	}
	found.into(&p)
	return p
}

// passing reports whether the next step came before this one had settled: the last weight of a release, which is its promotion,
// mostly lasts no longer. canary.steps sees to it that a step with an analysis lasts.
func (s *settledStep) passing() bool { return s.from == s.until }

// judge holds one step against the binomial bound. Shares of 0 and 100 % have no tolerance.
func (s *settledStep) judge(n shareCount) (Verdict, string) {
	total, want := n.canary+n.others, s.Weight/100
	if !(want >= 0 && want <= 1) || s.Canary == "" {
		return Inconclusive, fmt.Sprintf("step %s: a weight of %v %% for version %q is no share of traffic", s.Name, s.Weight, s.Canary)
	}
	tolerance := sigmas * math.Sqrt(float64(total)*want*(1-want))
	text := fmt.Sprintf("step %s: version %s answered %s of %s, want %s, within %.0f", s.Name, s.Canary,
		count(n.canary), plural(total, "hit"), percent(want), tolerance)
	needed := answersNeeded(want)
	switch {
	case (want == 0 || want == 1) && n.canary != uint64(want)*total:
		return Fail, text
	case total < needed:
		return Inconclusive, fmt.Sprintf("step %s: %s in %s after settling, %s needed to tell %s from its half", s.Name,
			plural(total, "answer"), span(s.until-s.from), count(needed), percent(want))
	case math.Abs(float64(n.canary)-float64(total)*want) > tolerance:
		return Fail, text
	}
	return Pass, text
}

// answersNeeded is how many answers make the bound half as wide as the share itself (or as what is left of it), so that a
// share half as large cannot pass. For 0 and 100 % it is as many as show a leak of 1 % at 95 %.
func answersNeeded(want float64) uint64 {
	small := min(want, 1-want)
	if small == 0 {
		return 300
	}
	return uint64(math.Ceil(4 * sigmas * sigmas * (1 - small) / small))
}
