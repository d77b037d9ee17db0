package timeline

import (
	"slices"
	"strings"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

// Reached reports whether a disturbance that landed was one of a workload: it says that it is, changed the workload, did something to a pod of it, had one
// evicted, or is of a node that had one. What is not known to be of the workload is not.
func (t *Timeline) Reached(d *Disturbance, w history.Workload) bool {
	if d.Began == Never || d.Landed == Never || w.IsZero() {
		return false
	}
	return d.Workload == w || slices.ContainsFunc(d.Touched, func(touch history.Touch) bool { return isWorkload(&touch, w) }) || len(t.podsHit(d, w)) > 0
}

// ReachedPod reports whether a disturbance reached a workload, and the pod of a name in it as far as anybody can tell: the workload has none of that
// name, or the disturbance tells of no pod, or that one is among those that it tells of.
func (t *Timeline) ReachedPod(d *Disturbance, w history.Workload, name string) bool {
	if !t.Reached(d, w) {
		return false
	}
	hit := t.podsHit(d, w)
	isNamed := func(pod *Pod) bool { return pod.Name == name }
	return len(hit) == 0 || slices.ContainsFunc(hit, isNamed) || !slices.ContainsFunc(t.named[name], func(pod *Pod) bool { return pod.Workload == w })
}

// isWorkload reports whether an object is a workload itself.
func isWorkload(touch *history.Touch, w history.Workload) bool {
	plural, _, _ := strings.Cut(touch.Resource, ".")
	return plural == strings.ToLower(w.Kind)+"s" && touch.Namespace == w.Namespace && touch.Name == w.Name
}

// podsHit are the pods of a workload that a disturbance did something to or had evicted, and those on a node that it is of.
func (t *Timeline) podsHit(d *Disturbance, w history.Workload) []*Pod {
	var hit []*Pod
	for _, touch := range d.Touched {
		if touch.Resource == resource.Pods.Name {
			hit = append(hit, t.podsOf(w, touch.Namespace, touch.Name, touch.UID)...)
		}
	}
	for _, e := range t.Evictions {
		if e.Disturbance == d.ID && e.Accepted() && !e.DryRun {
			hit = append(hit, t.podsOf(w, e.Namespace, e.Pod, e.UID)...)
		}
	}
	for _, pod := range t.Pods {
		if pod.Workload == w && pod.Seen <= d.Until() && slices.Contains(d.Nodes, pod.Node) {
			hit = append(hit, pod)
		}
	}
	return hit
}

// podsOf are the pods of a workload that have a name, and a UID where both tell one.
func (t *Timeline) podsOf(w history.Workload, namespace, name, uid string) []*Pod {
	return slices.DeleteFunc(slices.Clone(t.named[name]), func(pod *Pod) bool {
		return pod.Workload != w || pod.Namespace != namespace || uid != "" && pod.UID != "" && pod.UID != uid
	})
}
