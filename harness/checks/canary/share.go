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

// SlugShare is the name of the check.
const SlugShare = "canary.traffic-share"

// ShareBudgets are the limits of canary.traffic-share.
type ShareBudgets struct {
	Settle time.Duration `json:"settle"` // after a step, before its share of traffic is judged; propagation where that is longer
}

// DefaultShareBudgets holds for scenarios that say nothing else.
func DefaultShareBudgets() ShareBudgets { return ShareBudgets{Settle: 5 * time.Second} }

// TrafficShare counts who really answered. What a controller says of its weights is no evidence: the router may not follow.
func TrafficShare(b ShareBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugShare,
		Promise: "the share of real traffic is what each step says",
		Doc: judge.Doc{
			Proves: "From `settle` (or `propagation`, the longer of the two) after each step until `watch` before the next one of the same " +
				"workload that says another share: of the hits started then, in the arms that get their answers from that workload, those " +
				"answered by the canary's version are as many as the share of the step explains, by the exact binomial distribution (outside " +
				"it once in a million by chance, see `docs/false-alarms.md`); at 0 and 100 % exactly. It counts answers, good and bad, however " +
				"slow, and no controller's word.",
			Cannot: "Count hits without a version in the answer (they are named), nor tell who would have got them.",
			Fails:  "When a share is outside the bound.",
			Inconclusive: "When a step saw too few answers to show half of its share with a chance of 95 %: 1 227 for 10 %, 336 for 30 %, 300 for " +
				"0 and 100 %; the finding names the number. A step under load that gave way before its share could be judged is one of these.",
			Budgets: []any{b},
		},
		Needs: []judge.Need{load.Carried, {What: "step", Met: func(t *timeline.Timeline) bool { return len(t.Steps) > 0 }}},
		Rests: []string{"rollouts", "replicasets"},
		Late:  tolerance.Propagation,
		New: func(t *timeline.Timeline) judge.Fold {
			return &share{t: t, steps: settledSteps(t, max(b.Settle, tolerance.Propagation), tolerance.Watch)}
		},
	}
}

// settledStep is a step and the time in which the share of hits started then must hold: from a settling time after it up to shortly before
// the next, which routers may follow before its watch tells.
type settledStep struct {
	timeline.Step
	from, until time.Duration // equal where the step was too short
	lasted      time.Duration
}

// settledSteps are those under load. A step that says what the one before it said (the last weight of a release, and its promotion) goes
// on with it.
func settledSteps(t *timeline.Timeline, settle, watch time.Duration) []settledStep {
	var steps []settledStep
	last := map[history.Workload]int{} // of steps
	for _, step := range t.Steps {
		w := step.Workload
		if t.Run.Format == 1 {
			w = history.Workload{}
		}
		if i, ok := last[w]; ok {
			before := &steps[i]
			if before.Canary == step.Canary && before.Weight == step.Weight {
				continue
			}
			before.end(step.At, step.At-watch)
		}
		last[w] = len(steps)
		steps = append(steps, settledStep{Step: step, from: step.At + settle})
		steps[len(steps)-1].end(t.LoadEnd(), t.LoadEnd())
	}
	return slices.DeleteFunc(steps, func(s settledStep) bool { return s.At >= t.LoadEnd() || s.At+s.lasted <= t.LoadBegin() })
}

// end says when the next step came, and until when a started hit can only have been answered under this one.
func (s *settledStep) end(at, until time.Duration) {
	s.lasted = at - s.At
	s.until = max(until, s.from)
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

// shareCount is who answered the hits that started under a step. How long an answer took says nothing: a slow canary's must count as well.
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
		if !f.served(&f.steps[i]) { // and so nobody answered, which is inconclusive
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
		p.Verdict, p.Reason = judge.Inconclusive, "no step was under load"
	case p.Verdict == judge.Pass:
		p.Reason = fmt.Sprintf("%s got their share, by %s; half of it would have been seen", words.Plural(judged, "step"), words.Plural(p.Hits, "answer"))
	}
	found.Into(&p)
	return p
}

// served reports whether the answers of any arm come from the workload of a step.
func (f *share) served(s *settledStep) bool {
	return slices.ContainsFunc(f.arms, func(a *armShare) bool { return f.t.Serves(a.arm, s.Workload) })
}

// judge holds one step against the binomial distribution. Shares of 0 and 100 % have no tolerance.
func (s *settledStep) judge(n shareCount) (judge.Verdict, string) {
	total, want := n.canary+n.others, s.Weight/100
	if !(want >= 0 && want <= 1) || s.Canary == "" {
		return judge.Inconclusive, fmt.Sprintf("step %s: a weight of %v %% for version %q is no share of traffic", s.Name, s.Weight, s.Canary)
	}
	fewest, most := judge.Bounds(total, want, judge.FalseAlarm)
	text := fmt.Sprintf("step %s: version %s answered %s of %s, want %s, which is %s to %s", s.Name, s.Canary,
		words.Count(n.canary), words.Plural(total, "hit"), words.Percent(want), words.Count(fewest), words.Count(most))
	needed := answersNeeded(want)
	switch {
	case n.canary < fewest || n.canary > most:
		return judge.Fail, text
	case s.from == s.until:
		return judge.Inconclusive, fmt.Sprintf("step %s gave way after %s, before it had settled: its share is not known", s.Name, words.Span(s.lasted))
	case total < needed:
		return judge.Inconclusive, fmt.Sprintf("step %s: %s in %s after settling, %s needed to tell %s from its half", s.Name,
			words.Plural(total, "answer"), words.Span(s.until-s.from), words.Count(needed), words.Percent(want))
	}
	return judge.Pass, text
}

// answersNeeded is how many answers show that a share is half as large (or half of what is left of it). For 0 and 100 % it is as many as
// show a leak of 1 %.
func answersNeeded(want float64) uint64 {
	small := min(want, 1-want)
	if small == 0 {
		return judge.Enough
	}
	return judge.NeededForHalf(small, judge.FalseAlarm)
}
