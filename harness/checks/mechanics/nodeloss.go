package mechanics

import (
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugNodeLoss is the name of the check.
const SlugNodeLoss = "mechanics.node-loss"

// NodeLossBudgets are the limits of mechanics.node-loss.
type NodeLossBudgets struct {
	Missed time.Duration `json:"missed"` // from the loss of a node until no hit may fail of it any more: the control plane must miss it, and routers follow
	Beside uint64        `json:"beside"` // hits that must be judged while the node is away and missed, at least
}

// DefaultNodeLossBudgets holds for scenarios that say nothing else. Kubernetes 1.36 misses a node after 50 s, and looks every 5 s
// (node-monitor-grace-period, node-monitor-period); the rest is for routers, and for hits that wait until their deadline.
func DefaultNodeLossBudgets() NodeLossBudgets {
	return NodeLossBudgets{Missed: 75 * time.Second, Beside: judge.Enough}
}

// NodeLoss looks at what a lost node leaves: whether it carries the load, and whether all comes back with the node.
func NodeLoss(b NodeLossBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugNodeLoss,
		Promise: "losing a node heals: what is left carries the load, and all comes back",
		Doc: judge.Doc{
			Proves: "For each disturbance `node-loss`: the watches saw its node not Ready under it, with pods on it that had been Ready; from `missed` after its beginning " +
				"until the node was Ready again, no hit failed; and when it was healed the node was Ready, and each workload with such pods had as many Ready ones as before.",
			Cannot: "Say what the loss cost until it was missed: `load.zero-dropped` counts that against what the scenario declares (`unplanned`), and `load.responsive` " +
				"how long nobody was answered. Show the loss of what a disk's cache holds: the machine under the node runs on. That no acknowledged write " +
				"is lost is for the checks of stores.",
			Fails: "On one hit that failed later than `missed` while the node was away, and on a node or a pod that did not come back.",
			Inconclusive: "When the disturbance did not land or was not healed, when nobody saw the node not Ready, when no Ready pod was on it, or with fewer than " +
				"`beside` hits while it was away and missed.",
			Budgets: []any{b},
		},
		Needs: []judge.Need{load.Carried, {What: "disturbance " + history.NodeLossName, Met: func(t *timeline.Timeline) bool { return len(t.Performed(history.NodeLossName)) > 0 }}},
		Rests: []string{"pods", "nodes"},
		Late:  tolerance.Propagation,
		New: func(t *timeline.Timeline) judge.Fold {
			f := &nodeLoss{t: t, budgets: b}
			for _, d := range t.Performed(history.NodeLossName) {
				f.losses = append(f.losses, newNodeLost(t, d, b.Missed))
			}
			return f
		},
	}
}

// nodeLost is one such disturbance.
type nodeLost struct {
	*timeline.Disturbance
	away timeline.Span // from when the node was seen to be not Ready until it was Ready again; Until is never where it was not, both where nobody saw it
	span timeline.Span // in which nothing may fail; empty where there is no such time
	pods []*timeline.Pod
}

func newNodeLost(t *timeline.Timeline, d *timeline.Disturbance, missed time.Duration) nodeLost {
	l := nodeLost{Disturbance: d, away: timeline.Span{From: timeline.Never, Until: timeline.Never}}
	for _, node := range t.Cluster.Nodes {
		if slices.Contains(d.Nodes, node.Name) {
			l.away = awayUnder(node.Seen, d)
		}
	}
	if l.away.From != timeline.Never {
		l.span = timeline.Span{From: d.Began + missed, Until: t.Clamp(min(l.away.Until, d.Until()))}
	}
	for _, pod := range t.PodsInOrder() {
		if slices.Contains(d.Nodes, pod.Node) && pod.Seen < d.Began && wasReadyAt(pod, d.Began) {
			l.pods = append(l.pods, pod)
		}
	}
	return l
}

// awayUnder is when a node was first seen to be not Ready under a disturbance, and when it was Ready again.
func awayUnder(seen []timeline.Seen[resource.Node], d *timeline.Disturbance) timeline.Span {
	s := timeline.Span{From: timeline.Never, Until: timeline.Never}
	for i := range seen {
		at, ready := seen[i].At, seen[i].Object.Ready
		switch {
		case at < d.Began:
		case !ready && s.From == timeline.Never && at <= d.Until():
			s.From = at
		case ready && s.From != timeline.Never && s.Until == timeline.Never:
			s.Until = at
		}
	}
	return s
}

func wasReadyAt(pod *timeline.Pod, at time.Duration) bool {
	return slices.ContainsFunc(pod.Ready, func(s timeline.Span) bool { return s.From <= at && at < s.Until })
}

type nodeLoss struct {
	t       *timeline.Timeline
	budgets NodeLossBudgets
	losses  []nodeLost
	arms    []*armNodeLoss
}

// armNodeLoss counts, by loss, the hits of an arm while the node was away and missed.
type armNodeLoss struct {
	*nodeLoss
	arm    *timeline.Arm
	counts []nodeLossCount
	found  judge.Findings
}

type nodeLossCount struct{ hits, failed uint64 }

func (f *nodeLoss) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Control {
		return nil
	}
	a := &armNodeLoss{nodeLoss: f, arm: arm, counts: make([]nodeLossCount, len(f.losses))}
	f.arms = append(f.arms, a)
	return judge.WhileKnown(f.t, a)
}

func (a *armNodeLoss) Hit(h *history.Hit) {
	if h.Unsent || h.Class == history.ClassHarness || a.arm.Starved(h) {
		return
	}
	for i := range a.losses {
		l := &a.losses[i]
		if h.At < l.span.From || h.At >= l.span.Until {
			continue
		}
		a.counts[i].hits++
		if h.Class == history.ClassOK && h.Code != 0 && h.Latency <= a.arm.Deadline(h.Window) {
			continue
		}
		a.counts[i].failed++
		if a.found.Wants(h.At) {
			a.found.Keep(judge.HitFinding(h, fmt.Sprintf("failed %s after %s began: %s", words.Span(h.At-l.Began), l.Label(), judge.WhyFailed(h))))
		}
	}
}

func (f *nodeLoss) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	for _, a := range f.arms {
		r.AllBroken(&a.found)
	}
	pods := 0
	for i := range f.losses {
		n := f.count(i)
		p.Hits += n.hits
		p.Dropped += n.failed
		pods += len(f.losses[i].pods)
		f.rule(&f.losses[i], n, &p, &r)
	}
	r.Into(&p, fmt.Sprintf("%s lost with %s on it: none of %s failed once that was missed, and all came back", words.Plural(uint64(len(f.losses)), "node"),
		words.Plural(uint64(pods), "Ready pod"), words.Plural(p.Hits, "request")))
	if p.Verdict == judge.Pass {
		p.Power = judge.ZeroPower(p.Hits, "requests while a node was away")
	}
	return p
}

func (f *nodeLoss) count(i int) (n nodeLossCount) {
	for _, a := range f.arms {
		n.hits += a.counts[i].hits
		n.failed += a.counts[i].failed
	}
	return n
}

// rule says what speaks against one loss besides hits that failed.
func (f *nodeLoss) rule(l *nodeLost, n nodeLossCount, p *judge.Promise, r *judge.Ruling) {
	at := judge.Finding{At: l.Began, Until: f.t.Clamp(l.Until()), Evidence: judge.EvidenceText(l.Evidence)}
	note := func(rule func(judge.Finding), format string, args ...any) {
		finding := at
		finding.Text = l.Label() + ": " + fmt.Sprintf(format, args...)
		rule(finding)
	}
	switch {
	case l.Landed == timeline.Never:
		note(r.Unsure, "it did not land")
		return
	case l.away.From == timeline.Never:
		note(r.Unsure, "nobody saw a node of %v that is not Ready", l.Nodes)
		return
	case len(l.pods) == 0:
		note(r.Unsure, "no Ready pod was on it: nothing was lost with it")
	}
	p.Figures = append(p.Figures, judge.Figure{Name: "time until " + l.Label() + " was missed", Value: (l.away.From - l.Began).Seconds(), Unit: "s"})
	if n.hits < f.budgets.Beside {
		note(r.Unsure, "%s while the node was away and missed, %s needed: keep it away for longer than %s", words.Plural(n.hits, "hit"), words.Count(f.budgets.Beside),
			words.Span(f.budgets.Missed))
	}
	if l.Healed == timeline.Never {
		note(r.Unsure, "it was not healed")
		return
	}
	if l.away.Until > l.Healed+watchLate {
		note(r.Missing, "the node was not Ready again")
	}
	f.missing(l, note, r)
}

// watchLate is how much later than a disturbance saw it a watch may tell of a node.
const watchLate = 5 * time.Second

// missing says which workloads have fewer Ready pods than before.
func (f *nodeLoss) missing(l *nodeLost, note func(func(judge.Finding), string, ...any), r *judge.Ruling) {
	var seen []history.Workload
	for _, pod := range l.pods {
		if slices.Contains(seen, pod.Workload) {
			continue
		}
		seen = append(seen, pod.Workload)
		before, after := f.ready(pod.Workload, l.Began), f.ready(pod.Workload, f.t.Clamp(l.Healed+watchLate))
		if after < before {
			note(r.Missing, "%s has %d Ready pods, and had %d before", pod.Workload, after, before)
		}
	}
}

// ready counts the Ready pods of a workload at a moment.
func (f *nodeLoss) ready(w history.Workload, at time.Duration) (n int) {
	for _, pod := range f.t.Pods {
		if pod.Workload == w && wasReadyAt(pod, at) {
			n++
		}
	}
	return n
}
