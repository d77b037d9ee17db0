package judge

import (
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const slugReadiness = "mechanics.readiness"

// readiness looks for answers of pods that should not have got the question. Routers are given a propagation time to follow,
// and a watch may tell of readiness a little later than a router acts on it.
func readiness(b Budgets) Check {
	return Check{
		Slug:    slugReadiness,
		Promise: "an unready pod gets no traffic: no hit is answered by a pod outside its ready time, propagation allowed for",
		Needs:   []Need{carriesLoad, {What: "pod that became ready or unready under load", Met: podsChangedUnderLoad}},
		Rests:   []string{"pods"},
		Late:    b.Propagation,
		New:     func(t *Timeline) Fold { return &ready{t: t, budgets: b} },
	}
}

func podsChangedUnderLoad(t *Timeline) bool {
	begin, end := t.LoadBegin(), t.LoadEnd()
	under := func(at time.Duration) bool { return at >= begin && at <= end }
	for _, pod := range t.Pods {
		for _, s := range pod.Ready {
			if under(s.From) || under(s.Until) {
				return true
			}
		}
	}
	return false
}

type ready struct {
	t       *Timeline
	budgets Budgets
	arms    []*armReady
}

type armReady struct {
	pods    podFinder
	budgets Budgets

	judged, outside, unseen uint64
	found                   findings
}

// podFinder finds a pod by the name in a hit, which mostly is the same string as in the hit before.
type podFinder struct {
	pods map[string]*Pod
	name string
	pod  *Pod
}

func (f *podFinder) find(name string) *Pod {
	if name != f.name {
		f.name, f.pod = name, f.pods[name]
	}
	return f.pod
}

func (f *ready) Arm(arm *Arm) HitFold {
	if arm.Control {
		return nil
	}
	a := &armReady{pods: podFinder{pods: f.t.Pods}, budgets: f.budgets}
	f.arms = append(f.arms, a)
	return f.t.whileKnown(a)
}

func (a *armReady) Hit(h *history.Hit) {
	if h.Pod == "" {
		return
	}
	pod := a.pods.find(h.Pod)
	if pod == nil {
		a.unseen++
		return
	}
	a.judged++
	if !pod.mayAnswer(h.At, h.End(), &a.budgets) {
		a.outside++
		if a.found.wants(h.At) {
			a.found.keep(hitFinding(h, fmt.Sprintf("pod %s answered a request started when it was not ready: %s", pod.Name, pod.readyText(h.At))))
		}
	}
}

// mayAnswer reports whether a hit touches a ready time of the pod, stretched by what routers and watches are allowed.
func (p *Pod) mayAnswer(from, until time.Duration, b *Budgets) bool {
	for i := len(p.Ready) - 1; i >= 0; i-- {
		s := &p.Ready[i]
		if s.From <= until+b.Watch && from-b.Propagation <= s.Until {
			return true
		}
	}
	return false
}

// readyText says when the pod was ready, as seen from a moment outside.
func (p *Pod) readyText(at time.Duration) string {
	if len(p.Ready) == 0 {
		return "it never was"
	}
	text := ""
	for _, s := range p.Ready {
		if s.Until != Never && s.Until <= at {
			text = fmt.Sprintf("%s after it stopped being so", span(at-s.Until))
		} else if s.From > at {
			if text != "" {
				text += ", "
			}
			return text + fmt.Sprintf("%s before it became so", span(s.From-at))
		}
	}
	return text
}

func (f *ready) Result() Promise {
	p := Promise{Verdict: Pass}
	var found findings
	var unseen uint64
	for _, a := range f.arms {
		p.Hits += a.judged
		p.Dropped += a.outside
		unseen += a.unseen
		found.merge(&a.found)
	}
	found.into(&p)
	switch {
	case p.Dropped > 0:
		p.Verdict, p.Reason = Fail, fmt.Sprintf("%s answered by pods that were not ready", plural(p.Dropped, "hit"))
	case p.Hits == 0:
		p.Verdict, p.Reason = Inconclusive, "no hit was answered by a pod that a watch saw"
	case unseen > 0:
		p.Verdict, p.Reason = Inconclusive, fmt.Sprintf("%s answered by pods that no watch saw", plural(unseen, "hit"))
	default:
		p.Power = zeroPower(p.Hits, "answers from pods outside their ready time")
		p.Reason = p.Power.Text
	}
	return p
}
