package mechanics

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugGraceful is the name of the check.
const SlugGraceful = "mechanics.graceful"

// GracefulBudgets are the limits of mechanics.graceful.
type GracefulBudgets struct {
	Straddling uint64 `json:"straddling"` // requests seen in flight across a SIGTERM, at least
}

// DefaultGracefulBudgets holds for scenarios that say nothing else.
func DefaultGracefulBudgets() GracefulBudgets { return GracefulBudgets{Straddling: 10} }

// Graceful looks at the requests that were in flight when a pod was told to stop. A torn request often does not say which
// pod it was at: a failed one without a pod counts when it was in flight at such a moment, whichever pod it was.
func Graceful(b GracefulBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugGraceful,
		Promise: "requests in flight finish after SIGTERM",
		Doc: judge.Doc{
			Proves: "Requests in flight at a pod when it got its SIGTERM finished, and there were at least `straddling` of them in all. The " +
				"process tells when that was: a line `rollproof.dev/sigterm=<RFC 3339 time>` in its container's termination message. " +
				"Where none does, or the time cannot be true, the moment its deletion was asked for is taken, and the reason says so: " +
				"preStop runs in between.",
			Cannot: "Tell which pod a request without any answer was at: one that failed while in flight at the stop of any pod of the " +
				"arm's workload counts.",
			Fails:        "On one such request.",
			Inconclusive: "With fewer in flight, or when no pod was told to stop under load.",
			Budgets:      []any{b},
		},
		Needs: []judge.Need{load.Carried, {What: "pod that was told to stop under load", Met: podsStoppedUnderLoad}},
		Rests: []string{"pods"},
		Late:  tolerance.Propagation,
		New:   func(t *timeline.Timeline) judge.Fold { return &grace{t: t, budgets: b, stops: stopsOf(t)} },
	}
}

func podsStoppedUnderLoad(t *timeline.Timeline) bool {
	begin, end := t.LoadBegin(), t.LoadEnd()
	return slices.ContainsFunc(stopsOf(t), func(s stop) bool { return s.from >= begin && s.from <= end })
}

// stop is the time in which a pod got its SIGTERM: one moment where the process told of it, else from its deletion, which
// preStop hooks follow, to its end.
type stop struct {
	of          *timeline.Pod
	from, until time.Duration
	told        bool
	gone        time.Duration // never where nobody saw it go
}

func stopsOf(t *timeline.Timeline) []stop {
	var stops []stop
	for _, pod := range t.Pods {
		for _, s := range pod.Stops {
			switch {
			case s.Signalled != timeline.Never:
				stops = append(stops, stop{of: pod, from: s.Signalled, until: s.Signalled, told: true, gone: s.Gone})
			case s.Gone != timeline.Never:
				stops = append(stops, stop{of: pod, from: s.Terminating, until: s.Gone, gone: s.Gone})
			default:
				stops = append(stops, stop{of: pod, from: s.Terminating, until: s.Terminating, gone: timeline.Never})
			}
		}
	}
	slices.SortFunc(stops, func(a, b stop) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.of.Name, b.of.Name), cmp.Compare(a.of.Namespace, b.of.Namespace), cmp.Compare(a.of.UID, b.of.UID))
	})
	return stops
}

type grace struct {
	t       *timeline.Timeline
	budgets GracefulBudgets
	stops   []stop
	arms    []*armGrace
}

type armGrace struct {
	arm    *timeline.Arm
	stops  []stop
	byPod  map[string][]int // indexes into stops
	counts []graceCount     // by stop

	// The pod of the hit before this one, which is often this one's too.
	name   string
	stopOf []int

	found judge.Findings
	torn  uint64 // failed hits, each once, however many pods stopped then
}

type graceCount struct{ whole, torn uint64 }

func (f *grace) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Control {
		return nil
	}
	a := &armGrace{arm: arm, stops: f.stops, byPod: map[string][]int{}, counts: make([]graceCount, len(f.stops))}
	for i, s := range f.stops {
		if s.of.Serves(arm.Workload) {
			a.byPod[s.of.Name] = append(a.byPod[s.of.Name], i)
		}
	}
	f.arms = append(f.arms, a)
	return judge.WhileKnown(f.t, a)
}

func (a *armGrace) Hit(h *history.Hit) {
	if h.Class != history.ClassOK {
		a.failed(h)
		return
	}
	if h.Pod != a.name {
		a.name, a.stopOf = h.Pod, a.byPod[h.Pod]
	}
	for _, i := range a.stopOf {
		if at := a.stops[i].from; h.At < at && h.End() > at && !h.Unsent {
			a.counts[i].whole++
		}
	}
}

// failed finds the stop that a failed hit was in flight at. A whole answer that is bad is no torn request.
func (a *armGrace) failed(h *history.Hit) {
	if h.Unsent || h.Class == history.ClassHarness || a.arm.Starved(h) || !mayBeTorn(h) {
		return
	}
	for i := range a.stops {
		s := &a.stops[i]
		if !s.of.Serves(a.arm.Workload) || h.Pod != "" && h.Pod != s.of.Name || h.At > s.until || h.End() < s.from {
			continue
		}
		a.counts[i].torn++
		a.torn++
		if a.found.Wants(h.At) {
			a.found.Keep(judge.HitFinding(h, fmt.Sprintf("in flight when pod %s was told to stop, and never finished: %s%s", s.of.Name, judge.WhyFailed(h), unnamed(h))))
		}
		return
	}
}

// mayBeTorn reports whether a failed hit may have been at a pod that went away. A whole answer of a pod, however bad, was not torn;
// and what was refused, or answered by an ingress that had no pod to ask, never was at one. A 502 may have been.
func mayBeTorn(h *history.Hit) bool {
	if h.Pod != "" {
		return h.Code == 0
	}
	switch h.Code {
	case http.StatusNotFound, http.StatusServiceUnavailable:
		return false
	}
	switch h.Reason {
	case history.ReasonRefused, history.ReasonNotConnected, history.ReasonUnreachable, history.ReasonTLS:
		return false
	}
	return true
}

func unnamed(h *history.Hit) string {
	if h.Pod == "" {
		return " (which pod it was at is not known)"
	}
	return ""
}

func (f *grace) Result() judge.Promise {
	p := judge.Promise{Verdict: judge.Pass}
	var found judge.Findings
	var whole, untold uint64
	for _, a := range f.arms {
		p.Dropped += a.torn
		found.Merge(&a.found)
	}
	for i, s := range f.stops {
		var n graceCount
		for _, a := range f.arms {
			n.whole += a.counts[i].whole
			n.torn += a.counts[i].torn
		}
		whole += n.whole
		if !s.told {
			untold++
		}
		p.Figures = append(p.Figures, judge.Figure{Name: fmt.Sprintf("requests in flight when %s was told to stop at %s", s.of.Name, words.Span(s.from)), Value: float64(n.whole + n.torn), Unit: "hits"})
	}
	p.Hits = whole + p.Dropped
	found.Into(&p)
	text := fmt.Sprintf("%s in flight across the stop of %s, all finished", words.Plural(whole, "request"), words.Plural(uint64(len(f.stops)), "pod"))
	if untold > 0 {
		text += fmt.Sprintf("; %s did not tell of its SIGTERM and was judged by its deletion", words.Plural(untold, "pod"))
	}
	switch {
	case p.Dropped > 0:
		p.Verdict, p.Reason = judge.Fail, fmt.Sprintf("%s of %s in flight when a pod was told to stop never finished", words.Count(p.Dropped), words.Plural(p.Hits, "request"))
	case whole < f.budgets.Straddling:
		p.Verdict = judge.Inconclusive
		p.Reason = fmt.Sprintf("%s in flight when a pod was told to stop, %d needed: send slower requests or more of them", words.Plural(whole, "request"), f.budgets.Straddling)
	default:
		p.Reason, p.Power = text, judge.ZeroPower(whole, "requests in flight across a SIGTERM")
	}
	return p
}
