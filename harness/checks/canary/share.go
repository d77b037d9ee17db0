package canary

import (
	"fmt"
	"math"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugShare is the name of the check.
const SlugShare = "canary.traffic-share"

// sigmas is how far a count may stray from what its share says: once in 16 000 by chance.
const sigmas = 4

// ShareBudgets are the limits of canary.traffic-share.
type ShareBudgets struct {
	Settle time.Duration `json:"settle"` // after a step, before its share of traffic is judged
}

// DefaultShareBudgets holds for scenarios that say nothing else.
func DefaultShareBudgets() ShareBudgets { return ShareBudgets{Settle: 3 * time.Second} }

// TrafficShare counts who really answered. What a controller says of its weights is no evidence: the router may not follow.
func TrafficShare(b ShareBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugShare,
		Promise: "the share of real traffic is what each step says",
		Doc: judge.Doc{
			Proves: "From `settle` after each step until the next one of the same workload, the share of answers with the canary's version, " +
				"in the arms that get their answers from that workload, is the share of the step, within 4 sigma of the binomial " +
				"distribution; at 0 and 100 % exactly. It counts answers, good and bad, and no controller's word.",
			Cannot: "Count hits without a version in the answer (they are named), nor tell who would have got them.",
			Fails:  "When a share is outside the bound.",
			Inconclusive: "When a step saw too few answers to tell its share from half of it: 576 for 10 %, 150 for 30 %, 300 for 0 and 100 %; " +
				"the finding names the number. A step shorter than the settling time cannot be judged.",
			Budgets: []any{b},
		},
		Needs: []judge.Need{load.Carried, {What: "step", Met: func(t *timeline.Timeline) bool { return len(t.Steps) > 0 }}},
		Rests: []string{"rollouts", "replicasets"},
		Late:  tolerance.Propagation,
		New:   func(t *timeline.Timeline) judge.Fold { return &share{t: t, steps: settledSteps(t, b.Settle)} },
	}
}

// settledStep is a step and the time in which its share must hold: from a settling time after it up to the next.
type settledStep struct {
	timeline.Step
	from, until time.Duration
}

func settledSteps(t *timeline.Timeline, settle time.Duration) []settledStep {
	var steps []settledStep
	for i, step := range t.Steps {
		until := t.LoadEnd()
		if next := t.StepAfter(i); next != nil {
			until = next.At
		}
		steps = append(steps, settledStep{Step: step, from: min(step.At+settle, until), until: until})
	}
	return steps
}

type share struct {
	t     *timeline.Timeline
	steps []settledStep
	arms  []*armShare
}

type armShare struct {
	arm    *timeline.Arm
	steps  []settledStep
	starts timeline.Cursor
	// By stretch of starts; index maps a stretch to its step, -1 for the times in between.
	index  []int
	counts []shareCount
}

// shareCount is who answered the hits that a step saw from start to end.
type shareCount struct{ canary, others, nobody uint64 }

func (f *share) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Control {
		return nil
	}
	var cuts []time.Duration
	for _, s := range f.steps {
		if f.t.Serves(arm, s.Workload) {
			cuts = append(cuts, s.from, s.until)
		}
	}
	a := &armShare{arm: arm, steps: f.steps, starts: timeline.NewCursor(cuts), counts: make([]shareCount, len(f.steps))}
	a.index = make([]int, a.starts.Len())
	for i := range a.index {
		a.index[i] = -1
		for k, s := range f.steps {
			if f.t.Serves(arm, s.Workload) && s.from <= a.starts.Bounds[i] && a.starts.Bounds[i+1] <= s.until {
				a.index[i] = k
			}
		}
	}
	f.arms = append(f.arms, a)
	return judge.WhileKnown(f.t, a)
}

func (a *armShare) Hit(h *history.Hit) {
	i := a.index[a.starts.Find(h.At)]
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

func (f *share) Result() judge.Promise {
	p := judge.Promise{Verdict: judge.Pass}
	var found judge.Findings
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
		if verdict == judge.Inconclusive && f.steps[i].passing() {
			continue
		}
		if verdict == judge.Inconclusive && !f.served(&f.steps[i]) {
			text = fmt.Sprintf("step %s: no arm says that its answers come from %s", f.steps[i].Name, f.steps[i].Workload)
		}
		judged++
		if verdict != judge.Pass {
			found.Note(judge.Finding{At: f.steps[i].from, Until: f.steps[i].until, Class: string(verdict), Text: text,
				Evidence: []string{fmt.Sprintf("%s without a version in the answer", words.Plural(n.nobody, "hit"))}})
		}
		if verdict.Rank() > p.Verdict.Rank() {
			p.Verdict, p.Reason = verdict, text
		}
		if total := n.canary + n.others; total > 0 {
			p.Figures = append(p.Figures, judge.Figure{Name: fmt.Sprintf("share of the canary in step %d, %s", i+1, f.steps[i].Name),
				Value: 100 * float64(n.canary) / float64(total), Unit: "%"})
		}
	}
	switch {
	case judged == 0:
		p.Verdict, p.Reason = judge.Inconclusive, "no step lasted longer than its settling time"
	case p.Verdict == judge.Pass:
		p.Reason = fmt.Sprintf("%s within %d sigma of their share, by %s", words.Plural(judged, "step"), sigmas, words.Plural(p.Hits, "answer"))
	}
	found.Into(&p)
	return p
}

// served reports whether the answers of any arm come from the workload of a step.
func (f *share) served(s *settledStep) bool {
	return slices.ContainsFunc(f.arms, func(a *armShare) bool { return f.t.Serves(a.arm, s.Workload) })
}

// passing reports whether the next step came before this one had settled: the last weight of a release, which is its promotion,
// mostly lasts no longer. canary.steps sees to it that a step with an analysis lasts.
func (s *settledStep) passing() bool { return s.from == s.until }

// judge holds one step against the binomial bound. Shares of 0 and 100 % have no tolerance.
func (s *settledStep) judge(n shareCount) (judge.Verdict, string) {
	total, want := n.canary+n.others, s.Weight/100
	if !(want >= 0 && want <= 1) || s.Canary == "" {
		return judge.Inconclusive, fmt.Sprintf("step %s: a weight of %v %% for version %q is no share of traffic", s.Name, s.Weight, s.Canary)
	}
	tolerance := sigmas * math.Sqrt(float64(total)*want*(1-want))
	text := fmt.Sprintf("step %s: version %s answered %s of %s, want %s, within %.0f", s.Name, s.Canary,
		words.Count(n.canary), words.Plural(total, "hit"), words.Percent(want), tolerance)
	needed := answersNeeded(want)
	switch {
	case (want == 0 || want == 1) && n.canary != uint64(want)*total:
		return judge.Fail, text
	case total < needed:
		return judge.Inconclusive, fmt.Sprintf("step %s: %s in %s after settling, %s needed to tell %s from its half", s.Name,
			words.Plural(total, "answer"), words.Span(s.until-s.from), words.Count(needed), words.Percent(want))
	case math.Abs(float64(n.canary)-float64(total)*want) > tolerance:
		return judge.Fail, text
	}
	return judge.Pass, text
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
