package timeline

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// PodStatus is how far a pod is in its life.
type PodStatus string

// The statuses of a pod. A pod is unready only after it was ready once; until then it is starting.
const (
	PodStarting    PodStatus = "starting"
	PodReady       PodStatus = "ready"
	PodUnready     PodStatus = "unready"
	PodTerminating PodStatus = "terminating"
	PodGone        PodStatus = "gone"
)

// PodStatusSince is a status that a pod had from a moment on.
type PodStatusSince struct {
	At     time.Duration
	Status PodStatus
}

// follow takes the status, the node and the address from a change.
func (p *Pod) follow(c *podChange) {
	p.Node, p.IP = cmp.Or(c.Node, p.Node), cmp.Or(c.IP, p.IP)
	switch {
	case c.gone:
		p.become(c.at, PodGone)
	case c.Terminating || c.Signalled:
		p.become(c.at, PodTerminating)
	case c.Ready:
		p.become(c.at, PodReady)
	case p.wasReady():
		p.become(c.at, PodUnready)
	default:
		p.become(c.at, PodStarting)
	}
}

func (p *Pod) become(at time.Duration, status PodStatus) {
	if last := len(p.Statuses) - 1; last < 0 || p.Statuses[last].Status != status {
		p.Statuses = append(p.Statuses, PodStatusSince{At: at, Status: status})
	}
}

// wasReady reports whether the pod was ready since it came up. A process that was started again under its name comes up anew.
func (p *Pod) wasReady() bool {
	for _, s := range slices.Backward(p.Statuses) {
		switch s.Status {
		case PodReady:
			return true
		case PodGone:
			return false
		}
	}
	return false
}

// PodsInOrder are all pods, in the order they were first seen in; those of one moment by namespace, name and UID.
func (t *Timeline) PodsInOrder() []*Pod {
	return slices.SortedFunc(maps.Values(t.Pods), func(a, b *Pod) int {
		return cmp.Or(cmp.Compare(a.Seen, b.Seen), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
}
