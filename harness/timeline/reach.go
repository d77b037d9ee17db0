package timeline

import (
	"slices"
	"strings"

	"bitvault.dev/rollproof/harness/history"
)

// Reached reports whether a disturbance that landed was one of a workload: it says that it is, changed the workload, did something to a pod of it, had one
// evicted, or is of a node that had one. What is not known to be of the workload is not.
func (t *Timeline) Reached(d *Disturbance, w history.Workload) bool {
	if d.Began == Never || d.Landed == Never || w.IsZero() {
		return false
	}
	return d.Workload == w || slices.ContainsFunc(d.Touched, func(touch history.Touch) bool { return t.touches(&touch, w) }) || t.evictedFrom(d, w) || t.nodesOf(d, w)
}

// touches reports whether an object is a workload or a pod of it.
func (t *Timeline) touches(touch *history.Touch, w history.Workload) bool {
	plural, _, _ := strings.Cut(touch.Resource, ".")
	switch plural {
	case "pods":
		return t.isPodOf(w, touch.Namespace, touch.Name, touch.UID)
	case strings.ToLower(w.Kind) + "s":
		return touch.Namespace == w.Namespace && touch.Name == w.Name
	}
	return false
}

// evictedFrom reports whether the API server took an eviction of a workload's pod that a disturbance asked for.
func (t *Timeline) evictedFrom(d *Disturbance, w history.Workload) bool {
	return slices.ContainsFunc(t.Evictions, func(e Eviction) bool {
		return e.Disturbance == d.ID && e.Accepted() && !e.DryRun && t.isPodOf(w, e.Namespace, e.Pod, e.UID)
	})
}

// nodesOf reports whether a disturbance is of a node that had a pod of a workload by the end of it.
func (t *Timeline) nodesOf(d *Disturbance, w history.Workload) bool {
	for _, pod := range t.Pods {
		if pod.Workload == w && pod.Seen <= d.Until() && slices.Contains(d.Nodes, pod.Node) {
			return true
		}
	}
	return false
}

func (t *Timeline) isPodOf(w history.Workload, namespace, name, uid string) bool {
	return slices.ContainsFunc(t.named[name], func(pod *Pod) bool {
		return pod.Workload == w && pod.Namespace == namespace && (uid == "" || pod.UID == "" || pod.UID == uid)
	})
}
