package judge

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const slugPDB = "mechanics.pdb"

// evictedByAPI is the reason of the condition DisruptionTarget of a pod that the eviction API removed.
const evictedByAPI = "EvictionByEvictionAPI"

// pdbHonoured judges drains. Budgets bind the eviction API alone: what a controller or a delete removes they do not hold back, so
// each removal on a drained node must be an eviction. That a budget exists is not enough: it must have refused at least once.
func pdbHonoured(b Budgets) Check {
	return Check{
		Slug:    slugPDB,
		Promise: "a drain never takes more pods than their disruption budget allows",
		Needs:   []Need{drained},
		Rests:   []string{"pods", "poddisruptionbudgets"},
		During:  duringDrains,
		Late:    b.Propagation,
		New:     func(t *Timeline) Fold { return &pdbs{t: t, budgets: b} },
	}
}

type pdbs struct {
	t       *Timeline
	budgets Budgets
	arms    []*armServed
}

// armServed is which pods answered: those that users depend on.
type armServed struct {
	pods map[string]bool
	last string
}

func (f *pdbs) Arm(arm *Arm) HitFold {
	if arm.Control {
		return nil
	}
	a := &armServed{pods: map[string]bool{}}
	f.arms = append(f.arms, a)
	return a
}

func (a *armServed) Hit(h *history.Hit) {
	if h.Pod != a.last && h.Pod != "" {
		a.last = h.Pod
		a.pods[h.Pod] = true
	}
}

func (f *pdbs) Result() Promise {
	var p Promise
	r := ruling{t: f.t}
	served := map[string]bool{}
	for _, a := range f.arms {
		maps.Copy(served, a.pods)
	}
	var removed, refused uint64
	for _, d := range f.t.drains() {
		j := pdbDrain{pdbs: f, drain: d, served: served, ruling: &r}
		j.judge(&p)
		removed += j.removed
		refused += j.refused
	}
	r.into(&p, fmt.Sprintf("%s of protected pods, each an allowed eviction; %s by a budget; never fewer pods ready than it asks for",
		plural(removed, "removal"), plural(refused, "refusal")))
	return p
}

// pdbDrain is one drain being judged.
type pdbDrain struct {
	*pdbs
	*drain
	*ruling
	served           map[string]bool
	removed, refused uint64
}

func (j *pdbDrain) judge(p *Promise) {
	protecting := j.removals()
	for _, e := range slices.Concat(j.evictions, j.probes) {
		if e.refused() && j.protects(&e) {
			j.refused++
		}
	}
	p.Figures = append(p.Figures, Figure{Name: "evictions refused during " + j.label(), Value: float64(j.refused), Unit: "answers"},
		Figure{Name: "protected pods removed by " + j.label(), Value: float64(j.removed), Unit: "pods"})
	whole := Finding{At: j.Began, Until: j.end(j.t())}
	switch {
	case len(protecting) == 0 && !j.anyRemoved():
		whole.Text = j.label() + ": no pod was removed: nothing was tested"
		j.unsure(whole)
	case len(protecting) == 0:
		whole.Text = j.label() + ": no disruption budget selects any of the pods that were removed"
		for _, b := range j.t().Cluster.Budgets {
			whole.Evidence = append(whole.Evidence, budgetText(b, whole.Until), "it selects "+b.last().Selector)
		}
		j.broken(whole)
	case j.refused == 0:
		whole.Text = j.label() + ": no eviction was refused by a budget: it was never put to the test"
		j.unsure(whole)
	}
	for _, b := range protecting {
		j.floor(b, p)
	}
	for i := range j.evictions {
		j.allowance(&j.evictions[i])
	}
}

func (j *pdbDrain) t() *Timeline { return j.pdbs.t }

func (j *pdbDrain) label() string { return j.drain.label() }

// protects reports whether an eviction is of a pod that a budget selects, as far as the cluster is watched.
func (j *pdbDrain) protects(e *Eviction) bool {
	return slices.ContainsFunc(j.t().Cluster.Pods, func(pod *Track[PodView]) bool {
		return e.of(pod) && len(j.t().budgetsOf(pod, e.At)) > 0
	})
}

// ended is when a pod's end began; never when it did not.
func ended(pod *Track[PodView]) time.Duration {
	for _, s := range pod.Seen {
		if s.Object.Terminating {
			return s.At
		}
	}
	return pod.Gone
}

// mine reports whether a pod ended on a drained node during the drain, and was not one that drains leave alone. A pod that was done
// before is one of those; a pod that ends well because it was told to is Succeeded too, but only afterwards.
func (j *pdbDrain) mine(pod *Track[PodView]) bool {
	at, o := ended(pod), pod.last()
	before := pod.at(at - 1)
	done := before != nil && (before.Phase == "Succeeded" || before.Phase == "Failed")
	return at >= j.Began && at <= j.end(j.t()) && j.nodes[o.Node] && !done && (o.Owner == nil || o.Owner.Kind != "DaemonSet")
}

func (j *pdbDrain) anyRemoved() bool { return slices.ContainsFunc(j.t().Cluster.Pods, j.mine) }

// removals looks at each pod that ended: users' pods must be protected, and protected pods evicted. It returns the budgets that
// protect one of them.
func (j *pdbDrain) removals() []*Track[history.PDBObject] {
	var protecting []*Track[history.PDBObject]
	for _, pod := range j.t().Cluster.Pods {
		if !j.mine(pod) {
			continue
		}
		at := Finding{At: ended(pod), Until: j.t().clamp(max(ended(pod), min(pod.Gone, j.end(j.t())))),
			Evidence: []string{fmt.Sprintf("pod %s/%s (%s) on node %s", pod.Namespace, pod.Name, pod.UID, pod.last().Node)}}
		own := j.t().budgetsOf(pod, ended(pod))
		switch {
		case len(own) == 0 && j.served[pod.Name]:
			at.Text = fmt.Sprintf("%s: pod %s answered users and no disruption budget selects it", j.label(), pod.Name)
			j.broken(at)
		case len(own) > 0 && !j.evicted(pod):
			at.Text = fmt.Sprintf("%s: pod %s was removed, and not by an eviction", j.label(), pod.Name)
			j.missing(at)
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
func (j *pdbDrain) evicted(pod *Track[PodView]) bool {
	return slices.ContainsFunc(j.evictions, func(e Eviction) bool { return e.accepted() && e.of(pod) }) ||
		slices.ContainsFunc(pod.Seen, func(s Seen[PodView]) bool { return s.Object.Disruption == evictedByAPI })
}

// floor counts, at every change during the drain, the pods that a budget selects and that are ready.
func (j *pdbDrain) floor(b *Track[history.PDBObject], p *Promise) {
	var pods []*Track[PodView]
	for _, pod := range j.t().Cluster.Pods {
		if covers(b, pod) {
			pods = append(pods, pod)
		}
	}
	lowest := -1
	for _, at := range j.moments(b, pods) {
		want := b.at(at)
		if want == nil {
			continue
		}
		have := readyOf(pods, at)
		if lowest < 0 || have < lowest {
			lowest = have
		}
		if have < int(want.DesiredHealthy) {
			j.broken(Finding{At: at, Until: at, Text: fmt.Sprintf("%s: %d pods ready, budget %s asks for %d", j.label(), have, b.Name, want.DesiredHealthy),
				Evidence: []string{budgetText(b, at), "ready: " + readyNames(pods, at)}})
		}
	}
	p.Figures = append(p.Figures, Figure{Name: "fewest pods ready of budget " + b.Name, Value: float64(lowest), Unit: "pods"})
}

// moments are those during the drain at which something changed.
func (j *pdbDrain) moments(b *Track[history.PDBObject], pods []*Track[PodView]) []time.Duration {
	from, until := j.Began, j.end(j.t())
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

func isReady(pod *Track[PodView], at time.Duration) bool {
	o := pod.at(at)
	return o != nil && o.Ready && !o.Terminating
}

func readyOf(pods []*Track[PodView], at time.Duration) int {
	n := 0
	for _, pod := range pods {
		if isReady(pod, at) {
			n++
		}
	}
	return n
}

func readyNames(pods []*Track[PodView], at time.Duration) string {
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
func (j *pdbDrain) allowance(e *Eviction) {
	i := slices.IndexFunc(j.t().Cluster.Pods, e.of)
	if i < 0 || !e.accepted() {
		return
	}
	pod, watch := j.t().Cluster.Pods[i], j.budgets.Watch
	asked := min(e.At-e.Latency, ended(pod)-1) // the answer may be recorded later than its own effect
	if !isReady(pod, asked) {
		return
	}
	for _, b := range j.t().budgetsOf(pod, asked) {
		if allowedWithin(b, asked-watch, e.At+watch) == 0 {
			j.broken(Finding{At: asked, Until: e.At, Text: fmt.Sprintf("%s: the eviction of pod %s was accepted while budget %s allowed none", j.label(), e.Pod, b.Name),
				Evidence: []string{e.text(), budgetText(b, asked)}})
		}
	}
}

// allowedWithin is the most that a budget allowed at any moment of a time.
func allowedWithin(b *Track[history.PDBObject], from, until time.Duration) int32 {
	var most int32
	if o := b.at(from); o != nil {
		most = o.DisruptionsAllowed
	}
	for _, s := range b.Seen {
		if s.At >= from && s.At <= until {
			most = max(most, s.Object.DisruptionsAllowed)
		}
	}
	return most
}
