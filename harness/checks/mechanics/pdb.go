package mechanics

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugPDB is the name of the check.
const SlugPDB = "mechanics.pdb"

// evictedByAPI is the reason of the condition DisruptionTarget of a pod that the eviction API removed.
const evictedByAPI = "EvictionByEvictionAPI"

// PDB judges drains. Budgets bind the eviction API alone: what a controller or a delete removes they do not hold back, so
// each removal on a drained node must be an eviction. That a budget exists is not enough: it must have refused at least once.
func PDB(tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugPDB,
		Promise: "a drain never takes more pods than their disruption budget allows",
		Doc: judge.Doc{
			Proves: "For each drain: every pod that a PodDisruptionBudget selects and that ended on the drained node was evicted (the API " +
				"server took the eviction, or the pod's DisruptionTarget says EvictionByEvictionAPI); each of these budgets refused at least once " +
				"(429, cause DisruptionBudget) the eviction of a pod of that node that it selects, while its status allowed none, `watch` " +
				"before and after; at every change from the beginning of the drain to its healing as " +
				"many selected pods were ready as the budget asks for; and no eviction of a ready pod was accepted while its budget " +
				"allowed none, `watch` before and after. A pod that answered hits and is selected by no budget fails it.",
			Cannot:       "See pods of namespaces that are not watched. Pods of DaemonSets, and ones that were done, do not count.",
			Fails:        "On any of these but the missing refusal.",
			Inconclusive: "Without a refusal by one of the budgets, for it was never put to the test; also when nothing was removed.",
		},
		Needs:  []judge.Need{drained},
		Rests:  []string{"pods", "poddisruptionbudgets"},
		During: timeline.DuringDrains,
		Late:   tolerance.Propagation,
		New:    func(t *timeline.Timeline) judge.Fold { return &pdbs{t: t, tolerance: tolerance} },
	}
}

type pdbs struct {
	t         *timeline.Timeline
	tolerance judge.Tolerance
	arms      []*armServed
}

// armServed is which pods answered: those that users depend on.
type armServed struct {
	namespace string // of the pods; empty where nobody said
	pods      map[podName]bool
	last      string
}

// podName is the name of a pod in its namespace. An answer does not tell its UID.
type podName struct{ namespace, name string }

func (f *pdbs) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Control {
		return nil
	}
	a := &armServed{namespace: arm.Workload.Namespace, pods: map[podName]bool{}}
	f.arms = append(f.arms, a)
	return a
}

func (a *armServed) Hit(h *history.Hit) {
	if h.Pod != a.last && h.Pod != "" {
		a.last = h.Pod
		a.pods[podName{a.namespace, h.Pod}] = true
	}
}

func (f *pdbs) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	served := map[podName]bool{}
	for _, a := range f.arms {
		maps.Copy(served, a.pods)
	}
	var removed, refused uint64
	for _, d := range f.t.Drains() {
		j := pdbDrain{pdbs: f, Drain: d, served: served, Ruling: &r}
		j.judge(&p)
		removed += j.removed
		refused += j.refused
	}
	r.Into(&p, fmt.Sprintf("%s of protected pods, each an allowed eviction; %s by a budget; never fewer pods ready than it asks for",
		words.Plural(removed, "removal"), words.Plural(refused, "refusal")))
	return p
}

// pdbDrain is one drain being judged.
type pdbDrain struct {
	*pdbs
	*timeline.Drain
	*judge.Ruling
	served           map[podName]bool
	removed, refused uint64
}

func (j *pdbDrain) judge(p *judge.Promise) {
	protecting := j.removals()
	for _, e := range slices.Concat(j.Evictions, j.Probes) {
		if slices.ContainsFunc(protecting, func(b *timeline.Track[resource.PDB]) bool { return j.refusedBy(b, &e) }) {
			j.refused++
		}
	}
	p.Figures = append(p.Figures, judge.Figure{Name: "evictions refused during " + j.label(), Value: float64(j.refused), Unit: "answers"},
		judge.Figure{Name: "protected pods removed by " + j.label(), Value: float64(j.removed), Unit: "pods"})
	whole := judge.Finding{At: j.Began, Until: j.End(j.t())}
	switch {
	case len(protecting) == 0 && !j.anyRemoved():
		whole.Text = j.label() + ": no pod was removed: nothing was tested"
		j.Unsure(whole)
	case len(protecting) == 0:
		whole.Text = j.label() + ": no disruption budget selects any of the pods that were removed"
		for _, b := range j.t().Cluster.Budgets {
			whole.Evidence = append(whole.Evidence, budgetText(b, whole.Until), "it selects "+b.Last().Selector)
		}
		j.Broken(whole)
	case j.refused == 0:
		whole.Text = j.label() + ": no eviction was refused by a budget: it was never put to the test"
		j.Unsure(whole)
	}
	for _, b := range protecting {
		if j.refused > 0 && !j.tested(b) {
			untested := whole
			untested.Text = fmt.Sprintf("%s: no eviction was refused by budget %s: it was never put to the test", j.label(), b.Name)
			j.Unsure(untested)
		}
		j.floor(b, p)
	}
	for i := range j.Evictions {
		j.allowance(&j.Evictions[i])
	}
}

func (j *pdbDrain) t() *timeline.Timeline { return j.pdbs.t }

func (j *pdbDrain) label() string { return j.Drain.Label() }

// tested reports whether a budget refused an eviction of the drain.
func (j *pdbDrain) tested(b *timeline.Track[resource.PDB]) bool {
	return slices.ContainsFunc(slices.Concat(j.Evictions, j.Probes), func(e timeline.Eviction) bool { return j.refusedBy(b, &e) })
}

// refusedBy reports whether it was a budget that refused an eviction: it selects the pod, which is on a drained node, and allowed none
// then. The API server also refuses while it has not yet counted the pods of a budget; that puts no budget to the test.
func (j *pdbDrain) refusedBy(b *timeline.Track[resource.PDB], e *timeline.Eviction) bool {
	if !e.Refused() || leastAllowedWithin(b, e.At-e.Latency-j.tolerance.Watch, e.At+j.tolerance.Watch) > 0 {
		return false
	}
	return slices.ContainsFunc(j.t().Cluster.Pods, func(pod *timeline.Track[timeline.PodView]) bool {
		return e.Of(pod) && j.Nodes[pod.Last().Node] && slices.Contains(j.t().BudgetsOf(pod, e.At), b)
	})
}

// mine reports whether a pod ended on a drained node during the drain, and was not one that drains leave alone. A pod that was done
// before is one of those; a pod that ends well because it was told to is Succeeded too, but only afterwards.
func (j *pdbDrain) mine(pod *timeline.Track[timeline.PodView]) bool {
	at, o := timeline.Ended(pod), pod.Last()
	before := pod.At(at - 1)
	done := before != nil && (before.Phase == "Succeeded" || before.Phase == "Failed")
	return at >= j.Began && at <= j.End(j.t()) && j.Nodes[o.Node] && !done && (o.Owner == nil || o.Owner.Kind != "DaemonSet")
}

func (j *pdbDrain) anyRemoved() bool { return slices.ContainsFunc(j.t().Cluster.Pods, j.mine) }

// removals looks at each pod that ended: users' pods must be protected, and protected pods evicted. It returns the budgets that
// protect one of them.
func (j *pdbDrain) removals() []*timeline.Track[resource.PDB] {
	var protecting []*timeline.Track[resource.PDB]
	for _, pod := range j.t().Cluster.Pods {
		if !j.mine(pod) {
			continue
		}
		at := judge.Finding{At: timeline.Ended(pod), Until: j.t().Clamp(max(timeline.Ended(pod), min(pod.Gone, j.End(j.t())))),
			Evidence: []string{fmt.Sprintf("pod %s/%s (%s) on node %s", pod.Namespace, pod.Name, pod.UID, pod.Last().Node)}}
		own := j.t().BudgetsOf(pod, timeline.Ended(pod))
		switch {
		case len(own) == 0 && (j.served[podName{pod.Namespace, pod.Name}] || j.served[podName{"", pod.Name}]):
			at.Text = fmt.Sprintf("%s: pod %s answered users and no disruption budget selects it", j.label(), pod.Name)
			j.Broken(at)
		case len(own) > 0 && !j.evicted(pod):
			at.Text = fmt.Sprintf("%s: pod %s was removed, and not by an eviction", j.label(), pod.Name)
			j.Missing(at)
		}
		for _, b := range own {
			if !slices.Contains(protecting, b) {
				protecting = append(protecting, b)
			}
		}
		if len(own) > 0 {
			j.removed++
		}
	}
	return protecting
}

// evicted reports whether the API server took an eviction of a pod, or the pod itself says so.
func (j *pdbDrain) evicted(pod *timeline.Track[timeline.PodView]) bool {
	return slices.ContainsFunc(j.Evictions, func(e timeline.Eviction) bool { return e.Accepted() && e.Of(pod) }) ||
		slices.ContainsFunc(pod.Seen, func(s timeline.Seen[timeline.PodView]) bool { return s.Object.Disruption == evictedByAPI })
}

// floor counts, at every change during the drain, the pods that a budget selects and that are ready.
func (j *pdbDrain) floor(b *timeline.Track[resource.PDB], p *judge.Promise) {
	var pods []*timeline.Track[timeline.PodView]
	for _, pod := range j.t().Cluster.Pods {
		if timeline.Covers(b, pod) {
			pods = append(pods, pod)
		}
	}
	lowest := -1
	for _, at := range j.moments(b, pods) {
		want := b.At(at)
		if want == nil {
			continue
		}
		have := readyOf(pods, at)
		if lowest < 0 || have < lowest {
			lowest = have
		}
		if have < int(want.DesiredHealthy) {
			j.Broken(judge.Finding{At: at, Until: at, Text: fmt.Sprintf("%s: %d pods ready, budget %s asks for %d", j.label(), have, b.Name, want.DesiredHealthy),
				Evidence: []string{budgetText(b, at), "ready: " + readyNames(pods, at)}})
		}
	}
	p.Figures = append(p.Figures, judge.Figure{Name: "fewest pods ready of budget " + b.Name, Value: float64(lowest), Unit: "pods"})
}

// moments are those during the drain at which something changed.
func (j *pdbDrain) moments(b *timeline.Track[resource.PDB], pods []*timeline.Track[timeline.PodView]) []time.Duration {
	from, until := j.Began, j.End(j.t())
	moments := []time.Duration{from}
	add := func(at time.Duration) {
		if at >= from && at <= until {
			moments = append(moments, at)
		}
	}
	for _, s := range b.Seen {
		add(s.At)
	}
	for _, pod := range pods {
		add(pod.Gone)
		for _, s := range pod.Seen {
			add(s.At)
		}
	}
	slices.Sort(moments)
	return slices.Compact(moments)
}

func isReady(pod *timeline.Track[timeline.PodView], at time.Duration) bool {
	o := pod.At(at)
	return o != nil && o.Ready && !o.Terminating
}

func readyOf(pods []*timeline.Track[timeline.PodView], at time.Duration) int {
	n := 0
	for _, pod := range pods {
		if isReady(pod, at) {
			n++
		}
	}
	return n
}

func readyNames(pods []*timeline.Track[timeline.PodView], at time.Duration) string {
	text := "none"
	for _, pod := range pods {
		if isReady(pod, at) {
			if text != "none" {
				text += ", " + pod.Name
			} else {
				text = pod.Name
			}
		}
	}
	return text
}

// allowance asks that an eviction of a ready pod was taken only while its budgets allowed one. An accepted eviction itself uses up
// the allowance, and both watches may be late: what a budget allowed shortly before and after counts.
func (j *pdbDrain) allowance(e *timeline.Eviction) {
	i := slices.IndexFunc(j.t().Cluster.Pods, e.Of)
	if i < 0 || !e.Accepted() {
		return
	}
	pod, watch := j.t().Cluster.Pods[i], j.tolerance.Watch
	asked := min(e.At-e.Latency, timeline.Ended(pod)-1) // the answer may be recorded later than its own effect
	if !isReady(pod, asked) {
		return
	}
	for _, b := range j.t().BudgetsOf(pod, asked) {
		if allowedWithin(b, asked-watch, e.At+watch) == 0 {
			j.Broken(judge.Finding{At: asked, Until: e.At, Text: fmt.Sprintf("%s: the eviction of pod %s was accepted while budget %s allowed none", j.label(), e.Pod, b.Name),
				Evidence: []string{e.Text(), budgetText(b, asked)}})
		}
	}
}

// allowedWithin is the most that a budget allowed at any moment of a time.
func allowedWithin(b *timeline.Track[resource.PDB], from, until time.Duration) int32 {
	return slices.Max(append(allowances(b, from, until), 0))
}

// leastAllowedWithin is the least that a budget allowed at any moment of a time in which it was there.
func leastAllowedWithin(b *timeline.Track[resource.PDB], from, until time.Duration) int32 {
	return slices.Min(append(allowances(b, from, until), math.MaxInt32))
}

// allowances is all that a budget allowed in a time.
func allowances(b *timeline.Track[resource.PDB], from, until time.Duration) []int32 {
	var all []int32
	if o := b.At(from); o != nil {
		all = append(all, o.DisruptionsAllowed)
	}
	for _, s := range b.Seen {
		if s.At >= from && s.At <= until {
			all = append(all, s.Object.DisruptionsAllowed)
		}
	}
	return all
}
