package load

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// loss is what a fault that nobody plans may cost one arm.
type loss struct {
	timeline.Span // in which hits may be lost
	label         string
	ready         []*timeline.Pod // of the arm's workload, when it began
	gone          []*timeline.Pod // those of them that went with it; empty where it says that it is one of them, and not which
	blind         bool            // the watches may have missed which pods were where when it began
}

// lossesOf are what the faults that landed may cost an arm: those that took a Ready pod of the workload that answers it. length is what the
// scenario declares, 0 for none.
//
// A loss excuses until the earlier of two moments. At length after its beginning the control plane has missed what is gone, and routers follow:
// what is lost later is not of it, however long it stays away. And once it is healed, and routers had the time to follow, nothing is away that a
// hit could be lost to, however much of length is left.
func lossesOf(t *timeline.Timeline, arm *timeline.Arm, length, propagation time.Duration) []loss {
	var all []loss
	if length <= 0 || arm.Workload.IsZero() {
		return nil
	}
	for _, name := range []string{history.NodeLossName, history.KilledName, history.ForceDeletedName} {
		for _, d := range t.Performed(name) {
			if d.Landed == timeline.Never {
				continue
			}
			l := loss{Span: timeline.Span{From: d.Began, Until: min(d.Began+length, timeline.Later(d.Healed, propagation))}, label: d.Label()}
			l.takes(t, d, arm.Workload)
			if len(l.ready) > 0 {
				all = append(all, l)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b loss) int { return cmp.Compare(a.From, b.From) })
	for i := range all {
		all[i].adopt(all[:i])
	}
	return all
}

// takes finds out which pods of a workload a disturbance took. It leaves the loss empty where that is none.
func (l *loss) takes(t *timeline.Timeline, d *timeline.Disturbance, w history.Workload) {
	var ready, gone []*timeline.Pod
	for _, pod := range t.PodsInOrder() {
		if pod.Workload == w && pod.WasReady(d.Began) {
			ready = append(ready, pod)
			if takesPod(t, d, pod) {
				gone = append(gone, pod)
			}
		}
	}
	if len(gone) == 0 && (d.Workload != w || namesWhatItTakes(d)) {
		return
	}
	l.ready, l.gone = ready, gone
	l.blind = len(t.GapsOver([]string{"pods", "replicasets"}, timeline.Span{From: d.Began, Until: d.Began})) > 0
}

// namesWhatItTakes reports whether a disturbance tells by nodes or by pods what it takes. Else it takes one pod of its workload.
func namesWhatItTakes(d *timeline.Disturbance) bool {
	return d.Name == history.NodeLossName || slices.ContainsFunc(d.Touched, func(t history.Touch) bool { return t.Resource == "pods" })
}

// takesPod reports whether a pod went with a node that a disturbance stopped, which watches saw, or is one that it ended or whose process it killed.
func takesPod(t *timeline.Timeline, d *timeline.Disturbance, pod *timeline.Pod) bool {
	if d.Name == history.NodeLossName {
		return t.Missed(d, pod.Node) != timeline.Never
	}
	return touches(d, history.Ends, "pods", pod.Namespace, pod.Name, pod.UID)+touches(d, history.Restarts, "pods", pod.Namespace, pod.Name, pod.UID) > 0
}

// adopt takes over what earlier losses, which still go on when it begins, took: both are away then.
func (l *loss) adopt(earlier []loss) {
	for i := range earlier {
		e := &earlier[i]
		if e.Until < l.From {
			continue
		}
		l.ready, l.gone = union(l.ready, e.ready), union(l.gone, e.gone)
		l.blind = l.blind || e.blind
	}
}

func union(a, b []*timeline.Pod) []*timeline.Pod {
	all := slices.Clone(a)
	for _, pod := range b {
		if !slices.Contains(all, pod) {
			all = append(all, pod)
		}
	}
	return all
}

// away is how many pods went.
func (l *loss) away() int { return max(len(l.gone), 1) }

// share is the share of the hits that it explains, 0 to 1, where each Ready pod gets as many as any other, and the ingress itself loses a share.
func (l *loss) share(ingress float64) float64 {
	return 1 - (1-float64(l.away())/float64(len(l.ready)))*(1-ingress)
}

// underway reports whether a hit was under way in its time.
func (l *loss) underway(h *history.Hit) bool { return h.End() >= l.From && h.At <= l.Until }

// explains reports whether a failed hit may be lost to it: a pod that stands elsewhere did not take part of its answer with it.
func (l *loss) explains(t *timeline.Timeline, arm *timeline.Arm, h *history.Hit) bool {
	if !broughtNoAnswer(h) {
		return false
	}
	pods := l.gone
	if len(pods) == 0 {
		pods = l.ready
	}
	return h.Pod == "" || slices.ContainsFunc(t.PodsNamed(arm.Workload.Namespace, h.Pod), func(pod *timeline.Pod) bool { return slices.Contains(pods, pod) })
}

// broughtNoAnswer reports whether a failed hit got no complete answer, or one that an ingress gives which reaches no backend. A complete answer
// that is wrong is nobody's loss.
func broughtNoAnswer(h *history.Hit) bool {
	switch h.Code {
	case 0:
		return brokeOff(h.Reason) && (h.Class == history.ClassIngress || h.Class == history.ClassApplication || h.Class == history.ClassAmbiguous)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return h.Class == history.ClassIngress && h.Reason == history.ReasonStatus(h.Code)
	}
	return false
}

// brokeOff reports whether a hit failed because nobody was there, or was no longer. What is no HTTP, or another's certificate, came of somebody.
func brokeOff(reason string) bool {
	switch reason {
	case history.ReasonRefused, history.ReasonNotConnected, history.ReasonUnreachable, history.ReasonDeadline, history.ReasonDeadlineInBody, history.ReasonEOF,
		history.ReasonGoAway, history.ReasonTruncated, history.ReasonReset, history.ReasonReset + history.ReasonInBody:
		return true
	}
	return false
}

// lossStep is how exactly it is kept when hits were lost: what is lost at once must be explained by itself, and not by good answers of another time.
// The control arm is kept by ingressStep, for it has few hits.
const (
	lossStep    = time.Second
	ingressStep = 5 * time.Second
)

// lossTime is a time of lossStep under one loss.
type lossTime struct {
	loss int // index
	step int64
}

// lossCount counts the hits of a time: all that were sent and are not the harness's own, and those that may be lost.
type lossCount struct {
	hits, lost uint64
	unreached  unreached // of lost
}

// lossTimes are the hits of an arm that were under way in the time of a loss. Their number is that of such times.
type lossTimes map[lossTime]*lossCount

// see counts a hit under the latest loss that it was under way in; that knows of the earlier ones.
func (c lossTimes) see(losses []loss, h *history.Hit, lost bool, deadline time.Duration) {
	for i := len(losses) - 1; i >= 0; i-- {
		if !losses[i].underway(h) {
			continue
		}
		n := c.of(lossTime{i, int64(max(h.At, losses[i].From) / lossStep)})
		n.hits++
		if lost {
			n.lost++
			n.unreached.add(h, deadline)
		}
		return
	}
}

func (c lossTimes) of(when lossTime) *lossCount {
	if c[when] == nil {
		c[when] = &lossCount{unreached: unreached{}}
	}
	return c[when]
}

// stretch is a time under a loss: what was sent then, what was lost, and what the loss explains on the average.
type stretch struct {
	timeline.Span
	hits, lost uint64
	explained  float64
}

// stretches are the times of one loss in order, without what is a dead path's own, and how much that is. ingress is the share of hits that the ingress
// itself loses, by ingressStep.
func (c lossTimes) stretches(i int, l *loss, dark []timeline.Span, ingress map[int64]float64) (all []stretch, ofPath uint64) {
	times := slices.DeleteFunc(slices.Collect(maps.Keys(c)), func(when lossTime) bool { return when.loss != i })
	slices.SortFunc(times, func(a, b lossTime) int { return cmp.Compare(a.step, b.step) })
	for _, when := range times {
		n, from := c[when], time.Duration(when.step)*lossStep
		of := n.unreached.explainedBy(dark)
		ofPath += of
		s := stretch{Span: timeline.Span{From: from, Until: from + lossStep}, hits: n.hits - of, lost: n.lost - of}
		s.explained = float64(s.hits) * l.share(ingress[int64(from/ingressStep)])
		all = append(all, s)
	}
	return all, ofPath
}

// joined adds up stretches by a number of steps.
func joined(all []stretch, steps int64) (sums []stretch) {
	of := func(s *stretch) int64 { return int64(s.From/lossStep) / steps }
	for _, s := range all {
		last := len(sums) - 1
		if last < 0 || of(&sums[last]) != of(&s) {
			sums = append(sums, s)
			continue
		}
		sum := &sums[last]
		sum.Until, sum.hits, sum.lost, sum.explained = s.Until, sum.hits+s.hits, sum.lost+s.lost, sum.explained+s.explained
	}
	return sums
}

// most is how many hits the loss explains, but for a chance of level.
func (s *stretch) most(level float64) uint64 {
	if s.hits == 0 {
		return 0
	}
	_, most := judge.Bounds(s.hits, s.explained/float64(s.hits), level)
	return most
}

// excess are the stretches in which more was lost than a loss explains, and how much more: of all lengths of time, each double the one before it, the
// one that shows the most. All of them together are one test of judge.FalseAlarm.
func excess(all []stretch) (worst []stretch, beyond uint64, level float64) {
	level = judge.FalseAlarm / float64(4*len(all)+1)
	for steps := int64(1); ; steps *= 2 {
		sums := joined(all, steps)
		var over []stretch
		var n uint64
		for i := range sums {
			if most := sums[i].most(level); sums[i].lost > most {
				n += sums[i].lost - most
				over = append(over, sums[i])
			}
		}
		if n > beyond {
			worst, beyond = over, n
		}
		if len(sums) <= 1 {
			return worst, beyond, level
		}
	}
}

// isLost reports whether a failed hit may be lost to a fault that nobody plans.
func (a *armDrops) isLost(h *history.Hit) bool {
	for i := len(a.losses) - 1; i >= 0; i-- {
		if l := &a.losses[i]; l.underway(h) {
			return l.explains(a.t, a.arm, h)
		}
	}
	return false
}

// limitLosses drops what was lost beyond what the faults explain, and gives to a dead path what is its own. ingress is the share of hits that the
// ingress itself loses, by ingressStep.
func (a *armDrops) limitLosses(dark []timeline.Span, ingress map[int64]float64) {
	for i := range a.losses {
		l := &a.losses[i]
		all, ofPath := a.lossTimes.stretches(i, l, dark, ingress)
		worst, beyond, level := excess(all)
		a.path, a.lost, a.dropped = a.path+ofPath, a.lost-ofPath-beyond, a.dropped+beyond
		a.unseen = a.unseen || l.blind && slices.ContainsFunc(all, func(s stretch) bool { return s.lost > 0 })
		for k := range worst {
			s := &worst[k]
			a.found.Note(judge.Finding{At: max(s.From, l.From), Until: a.t.Clamp(min(s.Until, l.Until)), Arm: a.arm.Name, Class: history.ClassAmbiguous.String(), Text: fmt.Sprintf(
				"dropped: %s of %s in this time, and %s, which took %d of %s, explains %s at most: which of them it cost nobody can tell",
				words.Plurals(s.lost, "hit failed", "hits failed"), words.Count(s.hits), l.label, l.away(), words.Plural(uint64(len(l.ready)), "Ready pod"), words.Count(s.most(level)))})
		}
	}
}

// ingressLost is the share of hits that the ingress itself lost at most, by ingressStep, as far as the control arm tells: it loses some where a pod of the
// ingress goes with a node. Where none failed it is 0.
func (f *drops) ingressLost() map[int64]float64 {
	all := map[int64]float64{}
	for _, c := range f.control {
		for step, n := range c.steps {
			if n.lost > 0 {
				all[step] = max(all[step], judge.SeenAbove(n.lost, n.hits))
			}
		}
	}
	return all
}
