package timeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/words"
	"k8s.io/apimachinery/pkg/labels"
)

// Drain is a node being emptied.
type Drain struct {
	*Disturbance
	Evictions []Eviction // without dry runs
	Probes    []Eviction // dry runs
	Nodes     map[string]bool
}

// Drains are the drains that began, in order.
func (t *Timeline) Drains() []*Drain {
	var all []*Drain
	for _, d := range t.Performed(history.DrainName) {
		all = append(all, t.drain(d))
	}
	return all
}

func (t *Timeline) drain(d *Disturbance) *Drain {
	all := &Drain{Disturbance: d, Nodes: map[string]bool{}}
	for _, e := range t.Evictions {
		if e.Disturbance != d.ID && (e.Disturbance != "" || e.At < d.Began || e.At > d.Until()) {
			continue
		}
		if e.DryRun {
			all.Probes = append(all.Probes, e)
			continue
		}
		all.Evictions = append(all.Evictions, e)
		if e.Node != "" {
			all.Nodes[e.Node] = true
		}
	}
	target := d.Target[strings.LastIndexAny(d.Target, "/ ")+1:]
	for _, node := range t.Cluster.Nodes {
		if node.Name == target {
			all.Nodes[target] = true
		}
	}
	return all
}

// DuringDrains is from the first drain's beginning to the last one's end.
func DuringDrains(t *Timeline) Span {
	s := Span{From: Never, Until: -Never}
	for _, d := range t.Drains() {
		s.From, s.Until = min(s.From, d.Began), max(s.Until, d.End(t))
	}
	return s
}

// End is when the drain was over and healed, or when the record ended.
func (d *Drain) End(t *Timeline) time.Duration { return t.Clamp(d.Until()) }

// Accepted reports whether the API server took the eviction.
func (e *Eviction) Accepted() bool { return e.Code == 200 || e.Code == 201 }

// Refused reports whether a budget was the reason of a refusal.
func (e *Eviction) Refused() bool { return e.Code == 429 && e.Cause == "DisruptionBudget" }

// Of reports whether the eviction is of a pod: by UID where both tell it, else by namespace and name.
func (e *Eviction) Of(pod *Track[PodView]) bool {
	if e.UID != "" && pod.UID != "" {
		return e.UID == pod.UID
	}
	return e.Pod == pod.Name && e.Namespace == pod.Namespace
}

// Text is the eviction and its answer in one line.
func (e *Eviction) Text() string {
	text := fmt.Sprintf("eviction of %s at %s: %d", e.Pod, words.Span(e.At), e.Code)
	return strings.TrimSuffix(text+" "+e.Cause+": "+e.Message, " : ")
}

// Covers reports whether a budget selects a pod. A selector that cannot be read selects none.
func Covers(b *Track[resource.PDB], pod *Track[PodView]) bool {
	o := b.Last()
	if b.Namespace != pod.Namespace || o.Selector == "" {
		return false
	}
	if o.Selector == "*" {
		return true
	}
	selector, err := labels.Parse(o.Selector)
	return err == nil && selector.Matches(labels.Set(pod.Last().Labels))
}

// BudgetsOf are the budgets that protect a pod at a moment.
func (t *Timeline) BudgetsOf(pod *Track[PodView], at time.Duration) []*Track[resource.PDB] {
	return slices.DeleteFunc(slices.Clone(t.Cluster.Budgets), func(b *Track[resource.PDB]) bool {
		return b.At(at) == nil || !Covers(b, pod)
	})
}
