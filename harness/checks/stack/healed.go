package stack

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// releaseName is the name of a disturbance that releases a good version.
const releaseName = "release"

// SlugHealed is the name of the check.
const SlugHealed = "stack.healed"

// HealedBudgets are the limits of stack.healed.
type HealedBudgets struct {
	Ending time.Duration `json:"ending"` // from the deletion of a pod to its end, at most
}

// DefaultHealedBudgets holds for scenarios that say nothing else.
func DefaultHealedBudgets() HealedBudgets { return HealedBudgets{Ending: time.Minute} }

// Healed compares how the cluster was left with how it was found. What is still on its way is left broken: the run waits for
// it before it ends.
func Healed(b HealedBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugHealed,
		Always:  true,
		Promise: "nothing is left broken: pods Ready, nodes schedulable, Rollouts Healthy, as many replicas as before, every disturbance healed",
		Doc: judge.Doc{
			Proves: "At the end every node is there, Ready unless it was not at first, and cordoned only if it was at first; every Rollout is Healthy, not aborted and " +
				"asks for as many replicas as before the first disturbance; every pod is Ready or done, and one that was deleted is no " +
				"longer there for more than `ending`; each workload has as many ready pods as before the first disturbance (ReplicaSets " +
				"that a Rollout is about to scale down do not count); and each disturbance was healed, but for a good release, which " +
				"leaves nothing to heal.",
			Cannot:       "See namespaces that are not watched.",
			Fails:        "On any of these.",
			Inconclusive: "When the record was cut short, or says of a disturbance both that it was healed and that it was not. It is skipped without a cluster: the record holds no node.",
			Budgets:      []any{b},
		},
		Needs: []judge.Need{{What: "node of a cluster", Met: func(t *timeline.Timeline) bool { return len(t.Cluster.Nodes) > 0 }}},
		Rests: []string{"pods", "nodes", "rollouts", "replicasets"},
		During: func(t *timeline.Timeline) timeline.Span {
			return timeline.Span{From: t.Last - tolerance.Watch, Until: t.Last}
		},
		Late: tolerance.Propagation,
		New:  func(t *timeline.Timeline) judge.Fold { return &healed{budgets: b, Ruling: judge.Ruling{Timeline: t}} },
	}
}

type healed struct {
	judge.Ruling
	budgets HealedBudgets
}

func (f *healed) Result() judge.Promise {
	var p judge.Promise
	if f.Timeline.End == nil {
		f.Unsure(judge.FindingSince(f.Timeline, 0, "the record was cut short: how the stack was left is not known"))
		f.Into(&p, "")
		return p
	}
	f.disturbances()
	f.nodes()
	f.rollouts()
	pods := f.pods()
	f.replicas()
	f.Into(&p, fmt.Sprintf("%s Ready, %s schedulable as before, nothing left behind", words.Plural(pods, "pod"), words.Plural(uint64(len(f.Timeline.Cluster.Nodes)), "node")))
	return p
}

// left notes what was still so at the end.
func (f *healed) left(since time.Duration, text string, evidence ...string) {
	f.Broken(judge.FindingSince(f.Timeline, since, text, evidence...))
}

func (f *healed) disturbances() {
	for _, d := range f.Timeline.Disturbances {
		switch {
		case d.Unhealed != timeline.Never && d.Healed == timeline.Never:
			f.left(d.Unhealed, d.Label()+" could not be healed", judge.EvidenceText(d.Left)...)
		case d.Unhealed != timeline.Never:
			f.Unsure(judge.Finding{At: min(d.Unhealed, d.Healed), Until: max(d.Unhealed, d.Healed),
				Text: d.Label() + " was recorded as healed, and as not healed", Evidence: judge.EvidenceText(d.Left)})
		case d.Name == releaseName:
			// It leaves the new version, which is no damage; whether that one is whole the Rollout tells.
		case d.Healed == timeline.Never && d.Failed == timeline.Never:
			f.left(min(d.Began, d.Landed), d.Label()+" was never healed")
		}
	}
}

func (f *healed) nodes() {
	for _, node := range f.Timeline.Cluster.Nodes {
		o, since := node.Last(), node.Seen[len(node.Seen)-1].At
		switch {
		case !node.Here():
			f.left(node.Gone, "node "+node.Name+" is gone")
		case !o.Ready && node.Seen[0].Object.Ready:
			f.left(since, "node "+node.Name+" is not Ready")
		case o.Unschedulable && !node.Seen[0].Object.Unschedulable:
			f.left(since, "node "+node.Name+" is left cordoned")
		}
	}
}

func (f *healed) rollouts() {
	for _, rollout := range f.Timeline.Cluster.Rollouts {
		o, since := rollout.Last(), rollout.Seen[len(rollout.Seen)-1].At
		switch {
		case !rollout.Here():
			f.left(rollout.Gone, "rollout "+rollout.Name+" is gone")
		case o.Abort:
			f.left(since, "rollout "+rollout.Name+" is left aborted", timeline.StateText(o))
		case o.Phase != "Healthy" || !timeline.IsObserved(o):
			f.left(since, fmt.Sprintf("rollout %s is left %s", rollout.Name, cmp.Or(o.Phase, "without a phase")), timeline.StateText(o),
				fmt.Sprintf("generation %d, observed %s", o.Generation, o.ObservedGeneration))
		}
	}
}

// pods looks at each pod that is there at the end, and counts the good ones. One that was deleted a moment ago may still be ending.
func (f *healed) pods() uint64 {
	var good uint64
	for _, pod := range f.Timeline.Cluster.Pods {
		o, since := pod.Last(), pod.Seen[len(pod.Seen)-1].At
		switch {
		case !pod.Here() || o.Phase == "Succeeded":
		case o.Terminating:
			if at := timeline.Ended(pod); f.Timeline.Last-at > f.budgets.Ending {
				f.left(at, fmt.Sprintf("pod %s is still ending, %s after its deletion", pod.Name, words.Span(f.Timeline.Last-at)), podText(o))
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

func podText(o *timeline.PodView) string {
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
	before, after := f.ready(f.start()), f.ready(f.Timeline.Last)
	for _, workload := range slices.SortedFunc(maps.Keys(before), byName) {
		if before[workload] != after[workload] {
			f.left(f.start(), fmt.Sprintf("%s has %d ready pods, %d before", workload, after[workload], before[workload]))
		}
	}
	for _, rollout := range f.Timeline.Cluster.Rollouts {
		first, last := rollout.At(f.start()), rollout.Last()
		if first != nil && first.Replicas != nil && last.Replicas != nil && *first.Replicas != *last.Replicas {
			f.left(f.start(), fmt.Sprintf("rollout %s asks for %d replicas, %d before", rollout.Name, *last.Replicas, *first.Replicas))
		}
	}
}

func byName(a, b history.Workload) int { return cmp.Compare(a.String(), b.String()) }

// start is the moment of the first disturbance, or else of the first load, or else of the first list.
func (f *healed) start() time.Duration {
	start := f.Timeline.LoadBegin()
	for _, d := range f.Timeline.Disturbances {
		start = min(start, d.Began)
	}
	return f.Timeline.Clamp(max(start, f.Timeline.Cluster.Nodes[0].Seen[0].At)) // nothing was seen before
}

// ready counts the ready pods of each workload at a moment. Those of a ReplicaSet that its Rollout is about to scale down are
// left over from a release, and do not count.
func (f *healed) ready(at time.Duration) map[history.Workload]int {
	counts := map[history.Workload]int{}
	for _, pod := range f.Timeline.Cluster.Pods {
		o := pod.At(at)
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

// workload is what keeps a pod: the owner of its ReplicaSet where it has one.
func (f *healed) workload(namespace string, owner *resource.Owner, at time.Duration) (w history.Workload, leaving bool) {
	if owner.Kind == "ReplicaSet" {
		for _, rs := range f.Timeline.Cluster.ReplicaSets {
			if rs.Namespace != namespace || rs.Name != owner.Name {
				continue
			}
			if o := rs.At(at); o != nil && o.Owner != nil {
				return history.Workload{Namespace: namespace, Kind: o.Owner.Kind, Name: o.Owner.Name}, o.ScaleDownAt != "" || o.Desired == 0
			}
		}
	}
	return history.Workload{Namespace: namespace, Kind: owner.Kind, Name: owner.Name}, false
}
