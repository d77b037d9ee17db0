package mechanics

import (
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugReadinessLost is the name of the check.
const SlugReadinessLost = "mechanics.readiness-lost"

// LostName is the name of the disturbance that has a living pod say that it is not ready, and after a time that it is again.
const LostName = "readiness-lost"

// LostBudgets are the limits of mechanics.readiness-lost.
type LostBudgets struct {
	Regained float64 `json:"regained"` // share of the traffic a pod gets when it is ready again, of its share before, at least
}

// DefaultLostBudgets holds for scenarios that say nothing else.
func DefaultLostBudgets() LostBudgets { return LostBudgets{Regained: 0.5} }

// ReadinessLost looks at pods that live on while they are not ready: their address stays, so only who watches readiness takes them out.
func ReadinessLost(b LostBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugReadinessLost,
		Promise: "a pod that begins to fail its readiness gets no more traffic, and gets it back afterwards",
		Doc: judge.Doc{
			Proves: "For each disturbance `readiness-lost`: a pod of its workload lost its readiness while it lived (the watches saw it not ready, not " +
				"terminating, and ready again under the same UID); it answered no hit that was started later than `propagation` after that; " +
				"and from `propagation` after it was ready again it got at least `regained` of the share of the answers that it had before.",
			Cannot: "See hits whose answer does not name a pod, nor what happens within `propagation`. That none was dropped is for `load.zero-dropped`.",
			Fails: "On one such answer, on a share that did not come back, and when a pod said that it is not ready and was never taken for " +
				"unready: nobody asks it.",
			Inconclusive: "When the disturbance did not land, when the pod answered nothing before, or when there is too little load afterwards.",
			Budgets:      []any{b},
		},
		Needs: []judge.Need{load.Carried, {What: "disturbance " + LostName, Met: func(t *timeline.Timeline) bool { return len(t.Performed(LostName)) > 0 }}},
		Rests: []string{"pods"},
		Late:  tolerance.Propagation,
		New: func(t *timeline.Timeline) judge.Fold {
			f := &lost{t: t, budgets: b, tolerance: tolerance}
			for _, d := range t.Performed(LostName) {
				f.losses = append(f.losses, loss{Disturbance: d, pods: lostIn(t, d)})
			}
			return f
		},
	}
}

// loss is one such disturbance, with the pods that lost their readiness under it.
type loss struct {
	*timeline.Disturbance
	pods []lostPod
}

// lostPod is a pod that was not ready for a time; Until is never when it did not become ready again.
type lostPod struct {
	*timeline.Pod
	timeline.Span
}

// lostIn are the pods of the workload that were not ready for a time which began under a disturbance, and that did not end then.
func lostIn(t *timeline.Timeline, d *timeline.Disturbance) []lostPod {
	var all []lostPod
	for _, pod := range t.Pods {
		if !pod.Serves(d.Workload) {
			continue
		}
		for i, s := range pod.Ready {
			if s.Until < d.Began || s.Until > d.Until() || endedBy(pod, s.Until) {
				continue
			}
			again := timeline.Never
			if i+1 < len(pod.Ready) {
				again = pod.Ready[i+1].From
			}
			all = append(all, lostPod{Pod: pod, Span: timeline.Span{From: s.Until, Until: again}})
		}
	}
	return all
}

func endedBy(pod *timeline.Pod, at time.Duration) bool {
	for _, s := range pod.Stops {
		if min(s.Terminating, s.Signalled, s.Gone) <= at {
			return true
		}
	}
	return at == timeline.Never
}

type lost struct {
	t         *timeline.Timeline
	budgets   LostBudgets
	tolerance judge.Tolerance
	losses    []loss
	arms      []*armLost
}

// armLost counts the answers of an arm for each pod that lost its readiness.
type armLost struct {
	*lost
	pods   []lostPod
	counts []lostCount // by pod
	found  judge.Findings
}

// lostCount is answers before a loss and after it, and of them the pod's own; and those that it gave meanwhile, too late.
type lostCount struct{ before, ownBefore, after, ownAfter, late uint64 }

func (c *lostCount) add(o lostCount) {
	c.before += o.before
	c.ownBefore += o.ownBefore
	c.after += o.after
	c.ownAfter += o.ownAfter
	c.late += o.late
}

func (f *lost) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Control {
		return nil
	}
	a := &armLost{lost: f}
	for _, l := range f.losses {
		for _, p := range l.pods {
			if p.Serves(arm.Workload) {
				a.pods = append(a.pods, p)
			}
		}
	}
	a.counts = make([]lostCount, len(a.pods))
	f.arms = append(f.arms, a)
	return judge.WhileKnown(f.t, a)
}

func (a *armLost) Hit(h *history.Hit) {
	if h.Pod == "" || h.Class != history.ClassOK {
		return
	}
	for i := range a.pods {
		p, n, own := &a.pods[i], &a.counts[i], uint64(0)
		if h.Pod == p.Name {
			own = 1
		}
		switch {
		case h.End() < p.From:
			n.before++
			n.ownBefore += own
		case p.Until != timeline.Never && h.At > p.Until+a.tolerance.Propagation:
			n.after++
			n.ownAfter += own
		case own == 1 && h.At > p.From+a.tolerance.Propagation && (p.Until == timeline.Never || h.End() < p.Until-a.tolerance.Watch):
			n.late++
			if a.found.Wants(h.At) {
				a.found.Keep(judge.HitFinding(h, fmt.Sprintf("pod %s answered a request started %s after it became unready", p.Name, words.Span(h.At-p.From))))
			}
		}
	}
}

// enough is how many answers there must be before and after for a share to say anything.
const enough = 100

func (f *lost) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	for _, a := range f.arms {
		r.AllBroken(&a.found)
	}
	for _, l := range f.losses {
		if len(l.pods) == 0 {
			text := l.Label() + ": no pod of " + l.Workload.String() + " was taken for unready"
			if l.Landed == timeline.Never {
				r.Unsure(judge.FindingSince(f.t, l.Began, text+", and it did not land"))
				continue
			}
			r.Missing(judge.Finding{At: l.Began, Until: f.t.Clamp(l.Until()), Text: text + ", although it said so itself", Evidence: judge.EvidenceText(l.Evidence)})
		}
		for _, pod := range l.pods {
			f.share(pod, &p, &r)
		}
	}
	r.Into(&p, "each pod that lost its readiness got no more traffic, and its share back afterwards")
	return p
}

// share asks that a pod which is ready again gets its share of the answers again.
func (f *lost) share(pod lostPod, p *judge.Promise, r *judge.Ruling) {
	var sum lostCount
	for _, a := range f.arms {
		for i := range a.pods {
			if a.pods[i] == pod {
				sum.add(a.counts[i])
			}
		}
	}
	p.Hits += sum.before + sum.after + sum.late
	at := judge.Finding{At: pod.From, Until: f.t.Clamp(pod.Until)}
	switch {
	case pod.Until == timeline.Never:
		at.Text = "pod " + pod.Name + " did not become ready again"
		r.Missing(at)
		return
	case sum.ownBefore == 0 || sum.before < enough || sum.after < enough:
		at.Text = fmt.Sprintf("pod %s gave %s of %s before it became unready, and %s came after it was ready again: too few to compare", pod.Name,
			words.Count(sum.ownBefore), words.Plural(sum.before, "answer"), words.Count(sum.after))
		r.Unsure(at)
		return
	}
	before, after := float64(sum.ownBefore)/float64(sum.before), float64(sum.ownAfter)/float64(sum.after)
	p.Figures = append(p.Figures, judge.Figure{Name: "share of pod " + pod.Name + " before", Value: before * 100, Unit: "%"},
		judge.Figure{Name: "share of pod " + pod.Name + " afterwards", Value: after * 100, Unit: "%"})
	if after < f.budgets.Regained*before {
		at.Text = fmt.Sprintf("pod %s gave %s of the answers before it became unready, and %s after it was ready again", pod.Name, words.Percent(before), words.Percent(after))
		r.Broken(at)
	}
}
