package mechanics

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
			Proves: "For each disturbance `node-loss`: the watches saw each of its nodes not Ready under it, and with them went Ready pods of a workload whose answers an arm gets; from " +
				"`missed` after its beginning until the last of the nodes was Ready again, to stay so until it was healed, no hit failed; and when it was healed each node was Ready and stayed so, " +
				"and each workload that had Ready pods on them had as many Ready ones as before. Pods of Jobs need not come back, and of a workload that was in the middle of a " +
				"release only as many must as it asks for afterwards.",
			Cannot: "Say what the loss cost until it was missed: `load.zero-dropped` counts that against what the scenario declares (`unplanned`), and `load.responsive` " +
				"how long nobody was answered. Show the loss of what a disk's cache holds: the machine under the node runs on. That no acknowledged write " +
				"is lost is for the checks of stores.",
			Fails: "On one hit that failed later than `missed` while the node was away, and on a node or a pod that did not come back.",
			Inconclusive: "When the disturbance did not land or was not healed; when nobody saw a node of it not Ready, or its object was deleted before; when no Ready pod was on it of a workload " +
				"whose answers an arm gets (pods of DaemonSets, Jobs and the node itself are none); when it was Ready in between, or not Ready for a while after it was healed; when another node that " +
				"nobody stopped was not Ready too; or with fewer than `beside` hits of the arms of those workloads while it was away and missed.",
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
	nodes []awayNode
	span  timeline.Span   // in which nothing may fail; empty where there is no such time
	pods  []*timeline.Pod // that were Ready on the nodes, and must come back or be replaced
	load  []history.Workload
}

// awayNode is how a node went and came back, as the watches saw it.
type awayNode struct {
	name    string
	missed  time.Duration   // when it was first seen to be not Ready under the disturbance; never where nobody saw that
	deleted bool            // its object was deleted before it was missed
	ready   []timeline.Span // since it was missed, when it was Ready again; the last is until never where it stayed so
}

func newNodeLost(t *timeline.Timeline, d *timeline.Disturbance, missed time.Duration) nodeLost {
	l := nodeLost{Disturbance: d}
	until := d.Began
	for _, name := range d.Nodes {
		n := awayUnder(name, t.NodeStates(name), d)
		l.nodes = append(l.nodes, n)
		until = max(until, min(n.back(d.Healed), whileAway(d)))
	}
	if len(l.nodes) > 0 {
		l.span = timeline.Span{From: d.Began + missed, Until: t.Clamp(until)}
	}
	for _, pod := range t.PodsInOrder() {
		if !slices.Contains(d.Nodes, pod.Node) || !pod.WasReady(d.Began) || pod.Workload.Kind == "Job" {
			continue
		}
		l.pods = append(l.pods, pod)
		// Nothing else takes the place of what a DaemonSet, or the node itself, has there: it carries no load that others could.
		if w := pod.Workload; !w.IsZero() && w.Kind != "DaemonSet" && w.Kind != "Node" && !slices.Contains(l.load, w) {
			l.load = append(l.load, w)
		}
	}
	return l
}

// whileAway is until when a disturbance may keep its nodes away: until it was healed, and for ever where it was not.
func whileAway(d *timeline.Disturbance) time.Duration { return min(d.Healed, d.Unhealed) }

// awayUnder is how a node was under a disturbance, and since.
func awayUnder(name string, states []timeline.NodeState, d *timeline.Disturbance) awayNode {
	n := awayNode{name: name, missed: timeline.Never}
	for _, s := range states {
		last := len(n.ready) - 1
		back := last >= 0 && n.ready[last].Until == timeline.Never
		switch {
		case s.At < d.Began:
		case n.missed == timeline.Never && !s.There:
			n.deleted = true
			return n
		case n.missed == timeline.Never:
			if !s.Ready && s.At <= whileAway(d) {
				n.missed = s.At
			}
		case s.Ready && !back:
			n.ready = append(n.ready, timeline.Span{From: s.At, Until: timeline.Never})
		case !s.Ready && back:
			n.ready[last].Until = s.At
		}
	}
	return n
}

// back is when the node was Ready again and stayed so until the disturbance was healed; never where it did not come back. A watch may tell of it
// a little later than the disturbance saw it.
func (n *awayNode) back(healed time.Duration) time.Duration {
	if healed == timeline.Never && n.isHere() {
		return n.ready[len(n.ready)-1].From
	}
	for _, s := range n.ready {
		if healed != timeline.Never && s.From <= healed+watchLate && s.Until > healed {
			return s.From
		}
	}
	return timeline.Never
}

// isHere reports whether the node is Ready when the record ends.
func (n *awayNode) isHere() bool {
	return len(n.ready) > 0 && n.ready[len(n.ready)-1].Until == timeline.Never
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

type nodeLossCount struct {
	hits, failed uint64
	beside       uint64 // of hits, those whose answers a workload gives that lost pods
}

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
		if slices.Contains(l.load, a.arm.Workload) {
			a.counts[i].beside++
		}
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
	nodes, pods := 0, 0
	for i := range f.losses {
		n := f.count(i)
		p.Hits += n.hits
		p.Dropped += n.failed
		nodes += len(f.losses[i].nodes)
		pods += len(f.losses[i].pods)
		f.rule(&f.losses[i], n, &p, &r)
	}
	r.Into(&p, fmt.Sprintf("%s lost with %s on it: none of %s failed once that was missed, and all came back", words.Plural(uint64(nodes), "node"),
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
		n.beside += a.counts[i].beside
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
	if l.Landed == timeline.Never {
		note(r.Unsure, "it did not land")
		return
	}
	if !f.wereMissed(l, note, p, r) {
		return
	}
	switch {
	case len(l.pods) == 0:
		note(r.Unsure, "no Ready pod was on it: nothing was lost with it")
	case !slices.ContainsFunc(f.arms, func(a *armNodeLoss) bool { return slices.Contains(l.load, a.arm.Workload) }):
		note(r.Unsure, "no arm gets its answers from a workload that had a Ready pod on it: nothing that carries load was lost with it")
	}
	if n.beside < f.budgets.Beside {
		note(r.Unsure, "%s while the node was away and missed, %s needed: keep it away for longer than %s", words.Plural(n.beside, "hit"), words.Count(f.budgets.Beside),
			words.Span(f.budgets.Missed))
	}
	f.others(l, note, r)
	if l.Healed == timeline.Never {
		note(r.Unsure, "it was not healed")
		return
	}
	for i := range l.nodes {
		l.nodes[i].returned(l.Healed, note, r)
	}
	f.missing(l, note, r)
}

// noting notes something of one loss by a rule.
type noting = func(rule func(judge.Finding), format string, args ...any)

// wereMissed reports whether watches saw that each node was gone.
func (f *nodeLoss) wereMissed(l *nodeLost, note noting, p *judge.Promise, r *judge.Ruling) bool {
	var last time.Duration
	for i := range l.nodes {
		n := &l.nodes[i]
		switch {
		case n.deleted:
			note(r.Unsure, "the object of node %s was deleted before anybody missed the node: whoever did that told what is to be found out", n.name)
			return false
		case n.missed == timeline.Never:
			note(r.Unsure, "nobody saw a node %s that is not Ready", n.name)
			return false
		}
		last = max(last, n.missed)
	}
	if len(l.nodes) == 0 {
		note(r.Unsure, "it does not say which node it stopped")
		return false
	}
	p.Figures = append(p.Figures, judge.Figure{Name: "time until " + l.Label() + " was missed", Value: (last - l.Began).Seconds(), Unit: "s"})
	return true
}

// others notes nodes that were not Ready meanwhile although nobody stopped them: what is left was less than it seems.
func (f *nodeLoss) others(l *nodeLost, note noting, r *judge.Ruling) {
	var seen []string
	for _, node := range f.t.Cluster.Nodes {
		if slices.Contains(seen, node.Name) || slices.ContainsFunc(f.losses, func(o nodeLost) bool { return o.Stops(node.Name) }) {
			continue
		}
		seen = append(seen, node.Name)
		states := f.t.NodeStates(node.Name)
		for i, s := range states {
			over := timeline.Never
			if i+1 < len(states) {
				over = states[i+1].At
			}
			if !s.Ready && over > l.Began && s.At < whileAway(l.Disturbance) {
				note(r.Unsure, "node %s, which nobody stopped, was not Ready at %s: more was lost than was meant to be", node.Name, words.Span(max(s.At, 0)))
				break
			}
		}
	}
}

// returned says of a node how it did not come back, or not at once to stay.
func (n *awayNode) returned(healed time.Duration, note noting, r *judge.Ruling) {
	back := n.back(healed)
	switch {
	case back == timeline.Never:
		note(r.Missing, "node %s was not Ready again", n.name)
		return
	case !n.isHere():
		note(r.Missing, "node %s was Ready again at %s, and is not any more", n.name, words.Span(back))
		return
	}
	for _, s := range n.ready {
		switch {
		case s.From < back:
			note(r.Unsure, "node %s was Ready from %s to %s meanwhile: it was not away all the time", n.name, words.Span(s.From), words.Span(s.Until))
		case s.From > back:
			note(r.Unsure, "node %s was not Ready for a while until %s, after it had come back", n.name, words.Span(s.From))
		}
	}
}

// watchLate is how much later than a disturbance saw it a watch may tell of a node.
const watchLate = 5 * time.Second

// missing says which workloads have fewer Ready pods than before.
func (f *nodeLoss) missing(l *nodeLost, note noting, r *judge.Ruling) {
	var seen []history.Workload
	healed := f.t.Clamp(l.Healed + watchLate)
	for _, pod := range l.pods {
		w := pod.Workload
		if slices.Contains(seen, w) {
			continue
		}
		seen = append(seen, w)
		before, after := f.ready(w, l.Began), len(f.ready(w, healed))
		needed := f.needed(w, before, healed)
		switch {
		case needed == 0:
			note(r.Unsure, "%s asks for no pod any more: whether it would come back nobody can say", w)
		case after < needed:
			note(r.Missing, "%s has %d Ready pods, and had %d before", w, after, len(before))
		}
	}
}

// needed is how many pods of a workload must be there at a moment: as many as before. Where a release was under way then, which keeps pods of two
// templates, it is no more than the workload asks for.
func (f *nodeLoss) needed(w history.Workload, before []*timeline.Pod, at time.Duration) int {
	released := slices.ContainsFunc(before, func(pod *timeline.Pod) bool { return pod.Hash != before[0].Hash })
	if want, told := f.wanted(w, at); told && released {
		return min(len(before), want)
	}
	return len(before)
}

// wanted is how many pods a workload asks for at a moment, where a watch tells: a Rollout itself, anything else by its ReplicaSets.
func (f *nodeLoss) wanted(w history.Workload, at time.Duration) (want int, told bool) {
	for _, rollout := range f.t.Cluster.Rollouts {
		if o := rollout.At(at); o != nil && o.Replicas != nil && w == (history.Workload{Namespace: rollout.Namespace, Kind: "Rollout", Name: rollout.Name}) {
			return int(*o.Replicas), true
		}
	}
	for _, set := range f.t.Cluster.ReplicaSets {
		o := set.At(at)
		if o != nil && o.Owner != nil && w == (history.Workload{Namespace: set.Namespace, Kind: o.Owner.Kind, Name: o.Owner.Name}) {
			want, told = want+int(o.Desired), true
		}
	}
	return want, told
}

// ready are the Ready pods of a workload at a moment.
func (f *nodeLoss) ready(w history.Workload, at time.Duration) []*timeline.Pod {
	return slices.DeleteFunc(f.t.PodsInOrder(), func(pod *timeline.Pod) bool { return pod.Workload != w || !pod.WasReady(at) })
}
