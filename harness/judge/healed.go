package judge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// releaseName is the name of a disturbance that releases a good version.
const releaseName = "release"

const slugHealed = "stack.healed"

// stackHealed compares how the cluster was left with how it was found. What is still on its way is left broken: the run waits for
// it before it ends.
func stackHealed(b Budgets) Check {
	return Check{
		Slug:    slugHealed,
		Promise: "nothing is left broken: pods Ready, nodes schedulable, Rollouts Healthy, as many replicas as before, every disturbance healed",
		Needs:   []Need{{What: "node of a cluster", Met: func(t *Timeline) bool { return len(t.Cluster.Nodes) > 0 }}},
		Rests:   []string{"pods", "nodes", "rollouts", "replicasets"},
		During:  func(t *Timeline) Span { return Span{From: t.Last - b.Watch, Until: t.Last} },
		Late:    b.Propagation,
		New:     func(t *Timeline) Fold { return &healed{budgets: b, ruling: ruling{t: t}} },
	}
}

type healed struct {
	ruling
	budgets Budgets
}

func (f *healed) Arm(*Arm) HitFold { return nil }

func (f *healed) Result() Promise {
	var p Promise
	if f.t.End == nil {
		f.unsure(f.t.since(0, "the record was cut short: how the stack was left is not known"))
		f.into(&p, "")
		return p
	}
	f.disturbances()
	f.nodes()
	f.rollouts()
	pods := f.pods()
	f.replicas()
	f.into(&p, fmt.Sprintf("%s Ready, %s schedulable as before, nothing left behind", plural(pods, "pod"), plural(uint64(len(f.t.Cluster.Nodes)), "node")))
	return p
}

// left notes what was still so at the end.
func (f *healed) left(since time.Duration, text string, evidence ...string) {
	f.broken(f.t.since(since, text, evidence...))
}

func (f *healed) disturbances() {
	for _, d := range f.t.Disturbances {
		switch {
		case d.Unhealed != Never && d.Healed == Never:
			f.left(d.Unhealed, d.label()+" could not be healed", evidenceText(d.Left)...)
		case d.Name == releaseName:
			// It leaves the new version, which is no damage; whether that one is whole the Rollout tells.
		case d.Healed == Never && d.Failed == Never:
			f.left(min(d.Began, d.Landed), d.label()+" was never healed")
		}
	}
}

func (f *healed) nodes() {
	for _, node := range f.t.Cluster.Nodes {
		o, since := node.last(), node.Seen[len(node.Seen)-1].At
		switch {
		case !node.here():
			f.left(node.Gone, "node "+node.Name+" is gone")
		case !o.Ready:
			f.left(since, "node "+node.Name+" is not Ready")
		case o.Unschedulable && !node.Seen[0].Object.Unschedulable:
			f.left(since, "node "+node.Name+" is left cordoned")
		}
	}
}

func (f *healed) rollouts() {
	for _, rollout := range f.t.Cluster.Rollouts {
		o, since := rollout.last(), rollout.Seen[len(rollout.Seen)-1].At
		switch {
		case !rollout.here():
			f.left(rollout.Gone, "rollout "+rollout.Name+" is gone")
		case o.Abort:
			f.left(since, "rollout "+rollout.Name+" is left aborted", stateText(o))
		case o.Phase != "Healthy" || !isObserved(o):
			f.left(since, fmt.Sprintf("rollout %s is left %s", rollout.Name, cmp.Or(o.Phase, "without a phase")), stateText(o),
				fmt.Sprintf("generation %d, observed %s", o.Generation, o.ObservedGeneration))
		}
	}
}

// pods looks at each pod that is there at the end, and counts the good ones. One that was deleted a moment ago may still be ending.
func (f *healed) pods() uint64 {
	var good uint64
	for _, pod := range f.t.Cluster.Pods {
		o, since := pod.last(), pod.Seen[len(pod.Seen)-1].At
		switch {
		case !pod.here() || o.Phase == "Succeeded":
		case o.Terminating:
			if at := ended(pod); f.t.Last-at > f.budgets.Ending {
				f.left(at, fmt.Sprintf("pod %s is still ending, %s after its deletion", pod.Name, span(f.t.Last-at)), podText(o))
			}
		case o.Phase == "Pending":
			f.left(since, "pod "+pod.Name+" is Pending", podText(o))
		case !o.Ready:
			f.left(since, "pod "+pod.Name+" is not Ready", podText(o))
		default:
			good++
		}
	}
	return good
}

func podText(o *PodView) string {
	text := fmt.Sprintf("phase %s, node %s", cmp.Or(o.Phase, "unknown"), cmp.Or(o.Node, "none"))
	for _, c := range o.Containers {
		state := cmp.Or(c.Waiting, c.Terminated)
		if state != "" || c.Restarts > 0 {
			text += fmt.Sprintf("; container %s: %s, %d restarts", c.Name, cmp.Or(state, "running"), c.Restarts)
		}
	}
	return text
}

// replicas compares how many pods of each workload were ready before the first disturbance with the end.
func (f *healed) replicas() {
	before, after := f.ready(f.start()), f.ready(f.t.Last)
	for _, workload := range slices.Sorted(maps.Keys(before)) {
		if before[workload] != after[workload] {
			f.left(f.start(), fmt.Sprintf("%s has %d ready pods, %d before", workload, after[workload], before[workload]))
		}
	}
	for _, rollout := range f.t.Cluster.Rollouts {
		first, last := rollout.at(f.start()), rollout.last()
		if first != nil && first.Replicas != nil && last.Replicas != nil && *first.Replicas != *last.Replicas {
			f.left(f.start(), fmt.Sprintf("rollout %s asks for %d replicas, %d before", rollout.Name, *last.Replicas, *first.Replicas))
		}
	}
}

// start is the moment of the first disturbance, or else of the first load, or else of the first list.
func (f *healed) start() time.Duration {
	start := f.t.LoadBegin()
	for _, d := range f.t.Disturbances {
		start = min(start, d.Began)
	}
	return f.t.clamp(max(start, f.t.Cluster.Nodes[0].Seen[0].At)) // nothing was seen before
}

// ready counts the ready pods of each workload at a moment. Those of a ReplicaSet that its Rollout is about to scale down are
// left over from a release, and do not count.
func (f *healed) ready(at time.Duration) map[string]int {
	counts := map[string]int{}
	for _, pod := range f.t.Cluster.Pods {
		o := pod.at(at)
		if o == nil || o.Owner == nil || o.Phase == "Succeeded" {
			continue
		}
		workload, leaving := f.workload(pod.Namespace, o.Owner, at)
		if _, known := counts[workload]; !known {
			counts[workload] = 0
		}
		if o.Ready && !o.Terminating && !leaving {
			counts[workload]++
		}
	}
	return counts
}

// workload names what keeps a pod: the owner of its ReplicaSet where it has one.
func (f *healed) workload(namespace string, owner *history.Owner, at time.Duration) (name string, leaving bool) {
	if owner.Kind == "ReplicaSet" {
		for _, rs := range f.t.Cluster.ReplicaSets {
			if rs.Namespace != namespace || rs.Name != owner.Name {
				continue
			}
			if o := rs.at(at); o != nil && o.Owner != nil {
				return strings.ToLower(o.Owner.Kind) + " " + namespace + "/" + o.Owner.Name, o.ScaleDownAt != "" || o.Desired == 0
			}
		}
	}
	return strings.ToLower(owner.Kind) + " " + namespace + "/" + owner.Name, false
}
