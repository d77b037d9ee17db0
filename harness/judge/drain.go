package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"k8s.io/apimachinery/pkg/labels"
)

const slugNoDeadlock = "mechanics.pdb-no-deadlock"

// drainName is the name of the disturbance that drains a node.
const drainName = "drain"

var drained = Need{What: "drain that began", Met: func(t *Timeline) bool { return len(t.drains()) > 0 }}

// drain is a node being emptied.
type drain struct {
	*Disturbance
	evictions []Eviction // without dry runs
	probes    []Eviction // dry runs
	nodes     map[string]bool
}

// drains are the drains that began, in order.
func (t *Timeline) drains() []*drain {
	var all []*drain
	for _, d := range t.Disturbances {
		if d.Name == drainName && d.Began != Never {
			all = append(all, t.drain(d))
		}
	}
	return all
}

func (t *Timeline) drain(d *Disturbance) *drain {
	all := &drain{Disturbance: d, nodes: map[string]bool{}}
	for _, e := range t.Evictions {
		if e.Disturbance != d.ID && (e.Disturbance != "" || e.At < d.Began || e.At > d.Until()) {
			continue
		}
		if e.DryRun {
			all.probes = append(all.probes, e)
			continue
		}
		all.evictions = append(all.evictions, e)
		if e.Node != "" {
			all.nodes[e.Node] = true
		}
	}
	target := d.Target[strings.LastIndexAny(d.Target, "/ ")+1:]
	for _, node := range t.Cluster.Nodes {
		if node.Name == target {
			all.nodes[target] = true
		}
	}
	return all
}

// duringDrains is from the first drain's beginning to the last one's end.
func duringDrains(t *Timeline) Span {
	s := Span{From: Never, Until: -Never}
	for _, d := range t.drains() {
		s.From, s.Until = min(s.From, d.Began), max(s.Until, d.end(t))
	}
	return s
}

// end is when the drain was over and healed, or when the record ended.
func (d *drain) end(t *Timeline) time.Duration { return t.clamp(d.Until()) }

func (e *Eviction) accepted() bool { return e.Code == 200 || e.Code == 201 }

// refused reports whether a budget was the reason of a refusal.
func (e *Eviction) refused() bool { return e.Code == 429 && e.Cause == "DisruptionBudget" }

func (e *Eviction) of(pod *Track[PodView]) bool {
	if e.UID != "" && pod.UID != "" {
		return e.UID == pod.UID
	}
	return e.Pod == pod.Name && e.Namespace == pod.Namespace
}

func (e *Eviction) text() string {
	text := fmt.Sprintf("eviction of %s at %s: %d", e.Pod, span(e.At), e.Code)
	return strings.TrimSuffix(text+" "+e.Cause+": "+e.Message, " : ")
}

// covers reports whether a budget selects a pod. A selector that cannot be read selects none.
func covers(b *Track[history.PDBObject], pod *Track[PodView]) bool {
	o := b.last()
	if b.Namespace != pod.Namespace || o.Selector == "" {
		return false
	}
	if o.Selector == "*" {
		return true
	}
	selector, err := labels.Parse(o.Selector)
	return err == nil && selector.Matches(labels.Set(pod.last().Labels))
}

// budgetsOf are the budgets that protect a pod at a moment.
func (t *Timeline) budgetsOf(pod *Track[PodView], at time.Duration) []*Track[history.PDBObject] {
	return slices.DeleteFunc(slices.Clone(t.Cluster.Budgets), func(b *Track[history.PDBObject]) bool {
		return b.at(at) == nil || !covers(b, pod)
	})
}

// pdbNoDeadlock asks every drain for an end in time.
func pdbNoDeadlock(b Budgets) Check {
	return Check{
		Slug:    slugNoDeadlock,
		Promise: "a drain always ends once replacements are Ready",
		Needs:   []Need{drained},
		New:     func(t *Timeline) Fold { return &deadlock{t: t, budgets: b} },
	}
}

type deadlock struct {
	t       *Timeline
	budgets Budgets
}

func (f *deadlock) Arm(*Arm) HitFold { return nil }

func (f *deadlock) Result() Promise {
	var p Promise
	r := ruling{t: f.t}
	var longest time.Duration
	var evicted uint64
	drains := f.t.drains()
	for _, d := range drains {
		evicted += f.judge(d, &r)
		if d.Landed != Never {
			longest = max(longest, d.Landed-d.Began)
			p.Figures = append(p.Figures, Figure{Name: "time of " + d.label(), Value: (d.Landed - d.Began).Seconds(), Unit: "s"})
		}
	}
	r.into(&p, fmt.Sprintf("%s of %s ended within %s, at most %s allowed", plural(uint64(len(drains)), "drain"), plural(evicted, "pod"),
		span(longest), span(f.budgets.Drain)))
	return p
}

// judge rules on one drain, and counts the pods that it evicted.
func (f *deadlock) judge(d *drain, r *ruling) uint64 {
	at := Finding{At: d.Began, Until: d.end(f.t)}
	note := func(rule func(Finding), evidence []string, format string, args ...any) {
		finding := at
		finding.Text, finding.Evidence = d.label()+": "+fmt.Sprintf(format, args...), evidence
		rule(finding)
	}
	var evicted uint64
	var stuck []Eviction
	for _, last := range lastAnswers(d.evictions) {
		switch {
		case last.accepted():
			evicted++
		case last.Code != 404: // 404: it was gone already
			stuck = append(stuck, last)
		}
	}
	for _, e := range stuck {
		rule := r.missing
		if d.Failed != Never && e.refused() { // it was asked for until the drain gave up
			rule = r.broken
		}
		note(rule, f.blockers(&e), "pod %s was never evicted, the last answer is %s", e.Pod, answerText(&e))
	}
	switch {
	case d.Failed != Never:
		note(r.unsure, evidenceText(d.Left), "it failed after %s", span(d.Failed-d.Began))
	case d.Landed == Never:
		note(r.missing, nil, "it never ended")
	case d.Landed-d.Began > f.budgets.Drain:
		note(r.broken, nil, "it took %s, at most %s allowed", span(d.Landed-d.Began), span(f.budgets.Drain))
	case evicted == 0:
		note(r.unsure, nil, "it evicted no pod: nothing was tested")
	}
	return evicted
}

// answerText is an answer of the API server in words.
func answerText(e *Eviction) string {
	if e.refused() {
		return "429, refused by a disruption budget"
	}
	return fmt.Sprint(e.Code)
}

// blockers tells of what keeps a pod from being evicted: what the API server said, and the budgets that select the pod.
func (f *deadlock) blockers(e *Eviction) []string {
	evidence := []string{e.text()}
	for _, pod := range f.t.Cluster.Pods {
		if !e.of(pod) {
			continue
		}
		for _, b := range f.t.budgetsOf(pod, e.At) {
			evidence = append(evidence, budgetText(b, e.At))
		}
	}
	return evidence
}

func budgetText(b *Track[history.PDBObject], at time.Duration) string {
	o := b.at(at)
	if o == nil {
		return "PodDisruptionBudget " + b.Name + " is not there"
	}
	rule := "minAvailable " + o.MinAvailable
	if o.MinAvailable == "" {
		rule = "maxUnavailable " + cmp.Or(o.MaxUnavailable, "unset")
	}
	return fmt.Sprintf("PodDisruptionBudget %s (%s): %d of %d pods healthy, %d needed, %d disruptions allowed", b.Name, rule,
		o.CurrentHealthy, o.ExpectedPods, o.DesiredHealthy, o.DisruptionsAllowed)
}

// lastAnswers are the last answers for each pod, in the order of the pods' first evictions.
func lastAnswers(evictions []Eviction) []Eviction {
	var last []Eviction
	for _, e := range evictions {
		same := func(o Eviction) bool { return o.Namespace == e.Namespace && o.Pod == e.Pod && o.UID == e.UID }
		if i := slices.IndexFunc(last, same); i >= 0 {
			last[i] = e
			continue
		}
		last = append(last, e)
	}
	return last
}
