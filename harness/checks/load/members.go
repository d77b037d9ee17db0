package load

import (
	"strconv"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// isReplaced reports whether whoever keeps a pod ended it in its turn, as a disturbance asked for. One that does not say which pods it has replaced
// stands for all of its workload.
func (f *undisturbed) isReplaced(e end) bool {
	pod := e.pod
	keeper := history.Workload{Namespace: pod.Namespace, Kind: e.how.Owner.Kind, Name: e.how.Owner.Name}
	if f.during(e.at, func(d *timeline.Disturbance) bool { return d.Workload == keeper && !replaces(d) }) {
		return true
	}
	return f.touched(history.Replaces, "pods", pod.Namespace, pod.Name, pod.UID, e.at) > 0 && f.isItsTurn(e, keeper)
}

// replaces reports whether a disturbance says which pods it has replaced.
func replaces(d *timeline.Disturbance) bool {
	for _, t := range d.Touched {
		if t.Effect == history.Replaces {
			return true
		}
	}
	return false
}

// isItsTurn reports whether a pod ended when the controller of its workload ends it in an update. What is not known of the controller is no reason
// against it: where nobody watches a StatefulSet, or another hand than its controller's deletes its pods.
func (f *undisturbed) isItsTurn(e end, keeper history.Workload) bool {
	if keeper.Kind != "StatefulSet" {
		return f.isOnlyOne(e, keeper)
	}
	set := f.statefulSet(keeper, e.at)
	return set == nil || set.Strategy == onDelete || f.isLastOfOld(e, keeper, set.UpdateRevision)
}

// onDelete is the update strategy of a StatefulSet whose controller deletes no pod in an update.
const onDelete = "OnDelete"

// statefulSet is a StatefulSet as it was seen about a moment; its controller may act before another watch tells of what it acts on.
func (f *undisturbed) statefulSet(w history.Workload, at time.Duration) *resource.StatefulSet {
	for _, set := range timeline.TracksOf(f.Timeline, resource.StatefulSets) {
		if set.Namespace == w.Namespace && set.Name == w.Name {
			if o := set.At(at + f.tolerance.Watch); o != nil {
				return o
			}
		}
	}
	return nil
}

// revisionLabel has the revision of a StatefulSet that a pod is of (Kubernetes' apps/v1).
const revisionLabel = "controller-revision-hash"

// isLastOfOld reports whether a pod was of an older revision, and each of a higher ordinal Ready and of the new one: the controller of
// a StatefulSet updates from the highest ordinal down, and waits for each (stateful_set_control.go of Kubernetes). It saw so by the same watch.
func (f *undisturbed) isLastOfOld(e end, keeper history.Workload, revision string) bool {
	ordinal, known := ordinalOf(e.pod.Name, keeper.Name)
	if !known || e.how.Labels[revisionLabel] == revision {
		return false
	}
	for _, o := range f.others(e, keeper) {
		if n, known := ordinalOf(o.name, keeper.Name); known && n > ordinal && (!o.serves() || o.Labels[revisionLabel] != revision) {
			return false
		}
	}
	return true
}

// ordinalOf is the number of a StatefulSet's pod.
func ordinalOf(pod, set string) (n int, known bool) {
	text, ours := strings.CutPrefix(pod, set+"-")
	n, err := strconv.Atoi(text)
	return n, ours && err == nil
}

// isOnlyOne reports whether as many others of a workload were Ready when a pod ended as there were beside it when the update began: operators
// replace one at a time (CloudNativePG: no update goes on while an instance is not Ready).
func (f *undisturbed) isOnlyOne(e end, keeper history.Workload) bool {
	able := 0
	for _, o := range f.others(e, keeper) {
		if o.serves() {
			able++
		}
	}
	return able >= f.fewestAtBeginning(keeper, e.at)-1
}

// fewestAtBeginning is how many pods a workload had when one of the disturbances of it began that go on at a moment.
func (f *undisturbed) fewestAtBeginning(keeper history.Workload, at time.Duration) int {
	fewest := -1
	for _, d := range f.Timeline.Disturbances {
		if d.Workload != keeper || !d.GoesOn(at, f.tolerance.Propagation) {
			continue
		}
		n := 0
		for _, pod := range f.Timeline.Cluster.Pods {
			if o := pod.At(d.Began); o != nil && keeps(keeper, pod.Namespace, o) {
				n++
			}
		}
		if fewest < 0 || n < fewest {
			fewest = n
		}
	}
	return fewest
}

// member is a pod of a workload as it was at a moment.
type member struct {
	name string
	*timeline.PodView
}

func (m member) serves() bool { return m.Ready && !m.Terminating }

// others are the other pods of a workload when one of them ended.
func (f *undisturbed) others(e end, keeper history.Workload) []member {
	var all []member
	for _, pod := range f.Timeline.Cluster.Pods {
		if o := pod.At(e.at); o != nil && pod != e.pod && keeps(keeper, pod.Namespace, o) {
			all = append(all, member{pod.Name, o})
		}
	}
	return all
}

func keeps(keeper history.Workload, namespace string, o *timeline.PodView) bool {
	return o.Owner != nil && namespace == keeper.Namespace && o.Owner.Kind == keeper.Kind && o.Owner.Name == keeper.Name
}
