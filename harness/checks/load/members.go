package load

import (
	"strconv"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// keeper is what keeps the pod that ended; none where nothing does.
func (e end) keeper() history.Workload {
	if e.how.Owner == nil {
		return history.Workload{}
	}
	return history.Workload{Namespace: e.pod.Namespace, Kind: e.how.Owner.Kind, Name: e.how.Owner.Name}
}

// isReplaced reports whether whoever keeps a pod ended it in its turn, as an update asked for that a disturbance made. Any other disturbance stands
// for the pods alone that it touched or evicted, whatever workload it is of. Older records tell of an update only that it was.
func (f *undisturbed) isReplaced(e end) bool {
	keeper := e.keeper()
	if f.during(e.at, func(d *timeline.Disturbance) bool {
		return d.Name == history.RollName && d.Workload == keeper && d.Landed != timeline.Never && len(d.Touched) == 0
	}) {
		return true
	}
	return len(f.updates(e)) > 0 && f.isItsTurn(e, keeper)
}

// updates are the disturbances that have a pod replaced by whoever keeps it, and go on when it ended.
func (f *undisturbed) updates(e end) []*timeline.Disturbance {
	return f.touching(history.Replaces, "pods", e.pod.Namespace, e.pod.Name, e.pod.UID, e.at)
}

// isItsTurn reports whether a pod ended when the controller of its workload ends it in an update. What is not known of the controller is no reason
// against it: where nobody watches a StatefulSet, or another hand than its controller's deletes its pods.
func (f *undisturbed) isItsTurn(e end, keeper history.Workload) bool {
	if keeper.Kind != statefulSetKind {
		return f.isOnlyOne(e, keeper)
	}
	set := f.statefulSet(keeper, e.at)
	return set == nil || set.Strategy == onDelete || f.isNextOfOld(e, keeper, set)
}

const statefulSetKind = "StatefulSet"

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

// isNextOfOld reports whether a pod was of an older revision, each of a higher ordinal was updated before it, and no more of them were away than may
// be at once: the controller of a StatefulSet updates from the highest ordinal down, and waits for each, or for its maxUnavailable
// (stateful_set_control.go of Kubernetes). It saw so by the same watch.
func (f *undisturbed) isNextOfOld(e end, keeper history.Workload, set *resource.StatefulSet) bool {
	if n, known := ordinalOf(e.pod.Name, keeper.Name); !known || n < int(set.Partition) || e.how.Labels[revisionLabel] == set.UpdateRevision {
		return false
	}
	away, old := f.ahead(e, keeper, set)
	return len(old) == 0 && len(away) < int(max(set.MaxUnavailable, 1))
}

// ahead are the pods of a StatefulSet of higher ordinals than one that ended: those that were away, and those of an older revision whose turn came before.
func (f *undisturbed) ahead(e end, keeper history.Workload, set *resource.StatefulSet) (away, old []string) {
	ordinal, _ := ordinalOf(e.pod.Name, keeper.Name)
	highest, there := int(set.Desired)-1, map[int]member{}
	for _, o := range f.others(e, keeper) {
		if n, known := ordinalOf(o.name, keeper.Name); known {
			there[n], highest = o, max(highest, n)
		}
	}
	for n := ordinal + 1; n <= highest; n++ {
		name := keeper.Name + "-" + strconv.Itoa(n)
		switch o, is := there[n]; {
		case !is:
			away = append(away, name+" was not there")
		case o.Terminating:
			away = append(away, name+" was ending")
		case o.Labels[revisionLabel] != set.UpdateRevision:
			old = append(old, name+" was still of an older revision")
		case !o.Ready:
			away = append(away, name+" was not Ready")
		}
	}
	return away, old
}

// turnText says of a pod of a StatefulSet that an update replaces why its turn had not come.
func (f *undisturbed) turnText(e end) []string {
	keeper := e.keeper()
	if keeper.Kind != statefulSetKind || len(f.updates(e)) == 0 {
		return nil
	}
	set := f.statefulSet(keeper, e.at)
	if set == nil {
		return nil
	}
	away, old := f.ahead(e, keeper, set)
	return append(away, old...)
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
	fewest := f.fewestAtBeginning(e, keeper)
	return fewest > 0 && able >= fewest-1
}

// fewestAtBeginning is how many pods a workload had at the least when one of the updates began that have a pod of it replaced; 0 where it had none.
func (f *undisturbed) fewestAtBeginning(e end, keeper history.Workload) int {
	fewest := -1
	for _, d := range f.updates(e) {
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
	return max(fewest, 0)
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
