package mechanics

import (
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

// SlugReadiness is the name of the check.
const SlugReadiness = "mechanics.readiness"

// Readiness looks for answers of pods that should not have got the question. Routers are given a propagation time to follow,
// and a watch may tell of readiness a little later than a router acts on it.
//
// What Kubernetes calls ready is not all: without a probe a pod is Ready when its process starts. So a pod that answers 503 itself,
// which says that it cannot serve now (RFC 9110, 15.6.4), got traffic that it should not have got.
func Readiness(tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugReadiness,
		Promise: "an unready pod gets no traffic: no hit is answered by a pod outside its ready time, propagation allowed for",
		Doc: judge.Doc{
			Proves: "No hit was answered by a pod outside the times the watches saw it ready and not terminating, with `propagation` " +
				"allowed after such a time for routers to follow, and `watch` before it for a watch that tells late.",
			Cannot: "See what happens within these tolerances, nor hits whose answer does not name a pod.",
			Fails: "On one such hit, and on a pod that answers 503 itself, unless its release answers 503 on purpose: whoever sent the request " +
				"took it for ready.",
			Inconclusive: "When no pod became ready or unready under load, with fewer than 300 answers from the pods that did (one that answers " +
				"nobody shows nothing), or when some answers name pods that no watch saw.",
		},
		Needs: []judge.Need{load.Carried, {What: "pod that became ready or unready under load", Met: podsChangedUnderLoad}},
		Rests: []string{"pods"},
		Late:  tolerance.Propagation,
		New:   func(t *timeline.Timeline) judge.Fold { return &ready{t: t, tolerance: tolerance} },
	}
}

func podsChangedUnderLoad(t *timeline.Timeline) bool {
	for _, pod := range t.Pods {
		if changedUnderLoad(t, pod) {
			return true
		}
	}
	return false
}

// changedUnderLoad reports whether a pod became ready or unready under load. Answers of any other pod cannot break the promise.
func changedUnderLoad(t *timeline.Timeline, pod *timeline.Pod) bool {
	begin, end := t.LoadBegin(), t.LoadEnd()
	under := func(at time.Duration) bool { return at >= begin && at <= end }
	return slices.ContainsFunc(pod.Ready, func(s timeline.Span) bool { return under(s.From) || under(s.Until) })
}

type ready struct {
	t         *timeline.Timeline
	tolerance judge.Tolerance
	arms      []*armReady
}

type armReady struct {
	pods      podFinder
	tolerance judge.Tolerance
	excuses   *timeline.Excuses

	judged, outside, unseen uint64
	changed                 uint64 // of judged: from pods that became ready or unready under load
	found                   judge.Findings
}

// podFinder finds the pods that had the name in a hit, which mostly is the same string as in the hit before.
type podFinder struct {
	t         *timeline.Timeline
	namespace string // of the pods that may answer an arm; empty where nobody said
	name      string
	pods      []*timeline.Pod
	changed   bool // one of the pods became ready or unready under load
}

func (f *podFinder) find(name string) []*timeline.Pod {
	if name != f.name {
		f.name, f.pods = name, f.t.PodsNamed(f.namespace, name)
		f.changed = slices.ContainsFunc(f.pods, func(pod *timeline.Pod) bool { return changedUnderLoad(f.t, pod) })
	}
	return f.pods
}

func (f *ready) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Control {
		return nil
	}
	a := &armReady{pods: podFinder{t: f.t, namespace: arm.Workload.Namespace}, tolerance: f.tolerance, excuses: f.t.ExcusesOf(arm)}
	f.arms = append(f.arms, a)
	return judge.WhileKnown(f.t, a)
}

func (a *armReady) Hit(h *history.Hit) {
	if h.Pod == "" {
		return
	}
	pods := a.pods.find(h.Pod)
	if len(pods) == 0 {
		a.unseen++
		return
	}
	a.judged++
	if a.pods.changed {
		a.changed++
	}
	switch {
	case !mayAnswer(pods, h.At, h.End(), a.tolerance):
		a.note(h, "pod %s answered a request started when it was not ready: %s", h.Pod, readyText(pods, h.At))
	case h.Code == http.StatusServiceUnavailable && a.excuses.Failure(h) == nil:
		a.note(h, "pod %s got a request and answered that it cannot serve: whoever sent it took it for ready", h.Pod)
	}
}

func (a *armReady) note(h *history.Hit, format string, args ...any) {
	a.outside++
	if a.found.Wants(h.At) {
		a.found.Keep(judge.HitFinding(h, fmt.Sprintf(format, args...)))
	}
}

// mayAnswer reports whether a hit touches a ready time of one of the pods that had its pod's name, stretched by what routers and watches
// are allowed.
func mayAnswer(pods []*timeline.Pod, from, until time.Duration, b judge.Tolerance) bool {
	for _, p := range slices.Backward(pods) {
		for i := len(p.Ready) - 1; i >= 0; i-- {
			s := &p.Ready[i]
			if s.From <= until+b.Watch && from-b.Propagation <= s.Until {
				return true
			}
		}
	}
	return false
}

// readyText says when the pods of a name were ready, as seen from a moment outside.
func readyText(pods []*timeline.Pod, at time.Duration) string {
	var ready []timeline.Span
	for _, p := range pods {
		ready = append(ready, p.Ready...)
	}
	if len(ready) == 0 {
		return "it never was"
	}
	text := ""
	for _, s := range ready {
		if s.Until != timeline.Never && s.Until <= at {
			text = fmt.Sprintf("%s after it stopped being so", words.Span(at-s.Until))
		} else if s.From > at {
			if text != "" {
				text += ", "
			}
			return text + fmt.Sprintf("%s before it became so", words.Span(s.From-at))
		}
	}
	return text
}

func (f *ready) Result() judge.Promise {
	p := judge.Promise{Verdict: judge.Pass}
	var found judge.Findings
	var unseen, changed uint64
	for _, a := range f.arms {
		p.Hits += a.judged
		changed += a.changed
		p.Dropped += a.outside
		unseen += a.unseen
		found.Merge(&a.found)
	}
	found.Into(&p)
	switch {
	case p.Dropped > 0:
		p.Verdict, p.Reason = judge.Fail, fmt.Sprintf("%s answered by pods that were not ready", words.Plural(p.Dropped, "hit"))
	case p.Hits == 0:
		p.Verdict, p.Reason = judge.Inconclusive, "no hit was answered by a pod that a watch saw"
	case unseen > 0:
		p.Verdict, p.Reason = judge.Inconclusive, fmt.Sprintf("%s answered by pods that no watch saw", words.Plural(unseen, "hit"))
	case changed < judge.Enough:
		p.Verdict = judge.Inconclusive
		p.Reason = fmt.Sprintf("%s from pods that became ready or unready under load, %d needed: no other answer can break the promise",
			words.Plural(changed, "answer"), judge.Enough)
	default:
		p.Power = judge.ZeroPower(changed, "answers from pods outside their ready time")
		p.Reason = p.Power.Text
	}
	return p
}
