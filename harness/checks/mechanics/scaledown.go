package mechanics

import (
	"fmt"
	"slices"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugScaleDown is the name of the check.
const SlugScaleDown = "mechanics.scale-down"

// ScaleDown looks at the pods that were taken from a workload and not replaced, and at every hit of that time.
func ScaleDown(b GracefulBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugScaleDown,
		Promise: "scaling in under load drops nothing",
		Doc: judge.Doc{
			Proves: "For each disturbance `scale-in`: pods of its workload were told to stop under it and went, and none came in their place; " +
				"at least `straddling` requests were in flight at one of them when it got its SIGTERM, and finished; and from the first " +
				"moment of it until `propagation` after the last of these pods was gone, no hit on the workload failed.",
			Cannot: "Tell whether the pods that are left can carry the load for long: it looks at the way down.",
			Fails:  "On one failed hit, and when other pods came in the place of those that went.",
			Inconclusive: "When the disturbance did not land, when no pod of the workload was told to stop under it, or one was that nobody saw go, or with fewer requests in " +
				"flight at those that were.",
			Budgets: []any{b},
		},
		Needs: []judge.Need{load.Carried, {What: "disturbance " + history.ScaleInName, Met: func(t *timeline.Timeline) bool { return len(t.Performed(history.ScaleInName)) > 0 }}},
		Rests: []string{"pods"},
		Late:  tolerance.Propagation,
		New: func(t *timeline.Timeline) judge.Fold {
			return &scaleDown{t: t, budgets: b, scales: scalesOf(t, tolerance)}
		},
	}
}

// scale is one such disturbance, with the stops of the pods that went under it, and the time in which nothing may fail.
type scale struct {
	*timeline.Disturbance
	stops []stop
	came  []*timeline.Pod // in their place
	span  timeline.Span
}

func scalesOf(t *timeline.Timeline, tolerance judge.Tolerance) []scale {
	var all []scale
	for _, d := range t.Performed(history.ScaleInName) {
		landed := min(d.Landed, d.Failed)
		s := scale{Disturbance: d, span: timeline.Span{From: d.Began, Until: landed}}
		for _, stop := range stopsOf(t) {
			if stop.of.Serves(d.Workload) && stop.from >= d.Began-tolerance.Watch && stop.from <= landed {
				s.stops = append(s.stops, stop)
				if landed != timeline.Never && stop.gone != timeline.Never {
					s.span.Until = max(s.span.Until, stop.gone)
				}
			}
		}
		for _, pod := range t.Pods {
			// Healing brings pods back: they are not in the place of those that went.
			if landed != timeline.Never && pod.Serves(d.Workload) && pod.Seen > d.Began && pod.Seen < landed {
				s.came = append(s.came, pod)
			}
		}
		slices.SortFunc(s.came, func(a, b *timeline.Pod) int { return int(a.Seen - b.Seen) })
		if landed != timeline.Never {
			s.span.Until += tolerance.Propagation
		}
		all = append(all, s)
	}
	return all
}

type scaleDown struct {
	t       *timeline.Timeline
	budgets GracefulBudgets
	scales  []scale
	arms    []*armScale
}

// armScale counts, by scale, the hits that failed meanwhile, and those that were in flight at a pod when it was told to stop and finished.
type armScale struct {
	*scaleDown
	arm    *timeline.Arm
	counts []scaleCount
	found  judge.Findings
}

type scaleCount struct{ hits, failed, straddling uint64 }

func (f *scaleDown) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Control {
		return nil
	}
	a := &armScale{scaleDown: f, arm: arm, counts: make([]scaleCount, len(f.scales))}
	f.arms = append(f.arms, a)
	return judge.WhileKnown(f.t, a)
}

func (a *armScale) Hit(h *history.Hit) {
	if h.Unsent || h.Class == history.ClassHarness {
		return
	}
	for i := range a.scales {
		s := &a.scales[i]
		if !s.of(a.arm) || h.End() < s.span.From || h.At > s.span.Until {
			continue
		}
		a.counts[i].hits++
		switch {
		case h.Class != history.ClassOK:
			a.counts[i].failed++
			if a.found.Wants(h.At) {
				a.found.Keep(judge.HitFinding(h, fmt.Sprintf("failed while %s was scaled in: %s", s.Workload, judge.WhyFailed(h))))
			}
		case s.straddles(h):
			a.counts[i].straddling++
		}
	}
}

// of reports whether an arm's hits are on the workload; they may be where one of the two is not told.
func (s *scale) of(arm *timeline.Arm) bool {
	return arm.Workload.IsZero() || s.Workload.IsZero() || arm.Workload == s.Workload
}

// straddles reports whether a hit was in flight at one of the pods when it was told to stop.
func (s *scale) straddles(h *history.Hit) bool {
	return slices.ContainsFunc(s.stops, func(at stop) bool { return at.of.Name == h.Pod && h.At < at.from && h.End() > at.from })
}

// lingering are the stops of pods that nobody saw go.
func (s *scale) lingering() []stop {
	return slices.DeleteFunc(slices.Clone(s.stops), func(at stop) bool { return at.gone != timeline.Never })
}

func (f *scaleDown) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	for _, a := range f.arms {
		r.AllBroken(&a.found)
	}
	straddling, pods := uint64(0), 0
	for i, s := range f.scales {
		n := f.count(i)
		p.Hits += n.hits
		p.Dropped += n.failed
		straddling += n.straddling
		pods += len(s.stops)
		f.ruling(&s, n, &r)
	}
	r.Into(&p, fmt.Sprintf("%s were taken away and not replaced; %s in flight at them at their SIGTERM finished, and none of %s failed meanwhile",
		words.Plural(uint64(pods), "pod"), words.Plural(straddling, "request"), words.Plural(p.Hits, "request")))
	if p.Verdict == judge.Pass {
		p.Power = judge.ZeroPower(p.Hits, "requests while it was scaled in")
	}
	return p
}

func (f *scaleDown) count(i int) (n scaleCount) {
	for _, a := range f.arms {
		n.hits += a.counts[i].hits
		n.failed += a.counts[i].failed
		n.straddling += a.counts[i].straddling
	}
	return n
}

// ruling says what speaks against one scale-in besides hits that failed.
func (f *scaleDown) ruling(s *scale, n scaleCount, r *judge.Ruling) {
	at := judge.Finding{At: s.Began, Until: f.t.Clamp(s.span.Until), Evidence: judge.EvidenceText(s.Evidence)}
	for _, pod := range s.came {
		came := at
		came.At, came.Text = pod.Seen, fmt.Sprintf("pod %s came while %s was scaled in: pods were replaced, and not taken away", pod.Name, s.Workload)
		r.Broken(came)
	}
	switch {
	case s.Landed == timeline.Never:
		at.Text = s.Label() + " did not land"
	case len(s.stops) == 0:
		at.Text = s.Label() + ": no pod of " + s.Workload.String() + " was seen to be told to stop"
	case len(s.lingering()) > 0:
		at.Text = fmt.Sprintf("%s: pod %s was told to stop, and nobody saw it go", s.Label(), s.lingering()[0].of.Name)
	case n.straddling < f.budgets.Straddling:
		at.Text = fmt.Sprintf("%s: %s in flight at a pod when it was told to stop, %d needed: send slower requests or more of them", s.Label(),
			words.Plural(n.straddling, "request"), f.budgets.Straddling)
	default:
		return
	}
	r.Unsure(at)
}
