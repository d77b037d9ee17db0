package load

import (
	"cmp"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// end is the end of a pod that somebody brought about.
type end struct {
	pod *timeline.Track[timeline.PodView]
	at  time.Duration
	how *timeline.PodView
}

// endOf is when somebody began to end a pod, and how it was then; never while nobody does. One that was ending when it was first seen, or that
// ends by itself when its work is done, is no end.
func endOf(pod *timeline.Track[timeline.PodView]) (e end, counts bool) {
	for i := range pod.Seen {
		o := &pod.Seen[i].Object
		switch {
		case o.Owner != nil && o.Owner.Kind == "Job":
			return e, false
		case pod.Seen[i].At >= pod.Gone: // what is told with its deletion is of no earlier moment
		case o.Terminating:
			return end{pod, pod.Seen[i].At, o}, i > 0
		case o.Phase == "Failed":
			return end{pod, pod.Seen[i].At, o}, i > 0
		case o.Phase == "Succeeded":
			return e, false
		}
	}
	return end{pod, pod.Gone, pod.Last()}, true
}

// ends accounts for the end of each pod.
func (f *undisturbed) ends() {
	var all []end
	for _, pod := range f.Timeline.Cluster.Pods {
		if e, counts := endOf(pod); counts {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b end) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.pod.Name, b.pod.Name)) })
	for i, e := range all {
		if e.at == timeline.Never {
			break
		}
		accounted := f.isDone(e) || f.isSurplus(e, all[i+1:])
		f.happened(e.at, accounted, e.pod.UID, "pod "+e.pod.Namespace+"/"+e.pod.Name+" was ended", append(endText(e.how), f.turnText(e)...)...)
	}
}

func endText(o *timeline.PodView) []string {
	var all []string
	if o.Owner != nil {
		all = append(all, "it is of "+o.Owner.Kind+" "+o.Owner.Name)
	}
	if o.Disruption != "" {
		all = append(all, "its condition DisruptionTarget says "+o.Disruption)
	}
	return all
}

// Reasons of DisruptionTarget of a pod that went with its node (KEP-3329).
const (
	taintManager = "DeletionByTaintManager" // its node has a taint that it does not tolerate
	podGC        = "DeletionByPodGC"        // its node is gone, or out of service
	nodeShutdown = "TerminationByKubelet"   // its node is switched off in order; also evicted by a node that is short of something
)

// isDone reports whether a disturbance ended a pod: it deleted or evicted it, or is aimed at its node, or has it replaced by whoever keeps it.
func (f *undisturbed) isDone(e end) bool {
	pod, o := e.pod, e.how
	if f.touched(history.Ends, "pods", pod.Namespace, pod.Name, pod.UID, e.at) > 0 || f.isEvicted(e) {
		return true
	}
	switch o.Disruption {
	case taintManager, podGC: // by the control plane, once it has missed the node
		return slices.ContainsFunc(f.stops(o.Node, e.at), func(d *timeline.Disturbance) bool { return f.isMissed(d, o.Node, e.at) })
	case nodeShutdown:
		return len(f.stops(o.Node, e.at)) > 0
	}
	return o.Owner != nil && o.Owner.Kind != "ReplicaSet" && f.isReplaced(e)
}

// stops are the disturbances that had stopped a node as a whole at a moment, or were starting it again.
func (f *undisturbed) stops(node string, at time.Duration) []*timeline.Disturbance {
	return slices.DeleteFunc(slices.Clone(f.Timeline.Disturbances), func(d *timeline.Disturbance) bool {
		return !d.Stops(node) || !d.GoesOn(at, f.tolerance.Propagation)
	})
}

// isMissed reports whether watches had seen by a moment that a node was away which a disturbance stopped.
func (f *undisturbed) isMissed(d *timeline.Disturbance, node string, at time.Duration) bool {
	return f.Timeline.Missed(d, node) <= at+f.tolerance.Watch
}

// isEvicted reports whether the eviction of a pod was allowed that a disturbance asked for before its end.
func (f *undisturbed) isEvicted(e end) bool {
	return slices.ContainsFunc(f.Timeline.Evictions, func(v timeline.Eviction) bool {
		return v.Accepted() && !v.DryRun && v.Disturbance != "" && v.Of(e.pod) && v.At-v.Latency <= e.at+f.tolerance.Watch
	})
}

// isSurplus reports whether a pod ended while its ReplicaSet had more than it asked for, or was about to be seen asking for fewer. later are
// the pods that end after it, or not at all.
func (f *undisturbed) isSurplus(e end, later []end) bool {
	owner := e.how.Owner
	if owner == nil || owner.Kind != "ReplicaSet" {
		return false
	}
	desired, told := f.fewest(e.pod.Namespace, owner, e.at)
	live := int32(1)
	for _, other := range later {
		if o := other.pod.At(e.at); o != nil && o.Owner != nil && *o.Owner == *owner && other.pod.Namespace == e.pod.Namespace {
			live++
		}
	}
	return told && live > desired
}

// fewest is how many pods a ReplicaSet asked for at the least, about a moment. Its controller may act late, and its watch tell late, in a gap as
// late as that lasted.
func (f *undisturbed) fewest(namespace string, owner *resource.Owner, at time.Duration) (desired int32, told bool) {
	late := at + f.tolerance.Watch
	for _, g := range f.Timeline.GapsOver([]string{"replicasets"}, timeline.Span{From: at, Until: late}) {
		late = max(late, g.To+f.tolerance.Watch)
	}
	for _, set := range f.Timeline.Cluster.ReplicaSets {
		if set.Namespace != namespace || set.Name != owner.Name || set.UID != owner.UID && set.UID != "" && owner.UID != "" {
			continue
		}
		for i, s := range set.Seen {
			over := set.Gone
			if i+1 < len(set.Seen) {
				over = set.Seen[i+1].At
			}
			if s.At > late || over < at-f.tolerance.Propagation {
				continue
			}
			if !told || s.Object.Desired < desired {
				desired, told = s.Object.Desired, true
			}
		}
	}
	return desired, told
}

// restarts accounts for each container that started anew before its pod was ended.
func (f *undisturbed) restarts() {
	clusters := timeline.TracksOf(f.Timeline, resource.PostgresClusters)
	for _, pod := range f.Timeline.Cluster.Pods {
		e, _ := endOf(pod)
		until, spent, followed := cmp.Or(e.at, timeline.Never), map[*timeline.Disturbance]int{}, map[time.Duration]bool{}
		for i := 1; i < len(pod.Seen) && pod.Seen[i].At < until; i++ {
			was, now := &pod.Seen[i-1].Object, &pod.Seen[i].Object
			for _, c := range now.Containers {
				n := int(c.Restarts - restartsOf(was, c.Name))
				if n <= 0 {
					continue
				}
				at := pod.Seen[i].At
				accounted := f.isBad(pod, at) || f.isStartedWithNode(pod, now.Node, c, at) || f.spend(spent, n, pod, at) || n == 1 && f.isDemoted(clusters, followed, pod, at)
				f.happened(at, accounted, pod.UID, "container "+c.Name+" of pod "+pod.Namespace+"/"+pod.Name+" started anew, "+words.Plural(uint64(n), "time"),
					"it had ended: "+cmp.Or(c.Terminated, "why is not told"))
			}
		}
	}
}

// spend reports whether containers of a pod started anew n times by the hands of disturbances that go on at a moment. Each touch explains one time, which
// is spent then: with what another disturbance did to the same pod earlier or later it has nothing to do.
func (f *undisturbed) spend(spent map[*timeline.Disturbance]int, n int, pod *timeline.Track[timeline.PodView], at time.Duration) bool {
	for _, d := range f.touching(history.Restarts, "pods", pod.Namespace, pod.Name, pod.UID, at) {
		left := touches(d, history.Restarts, "pods", pod.Namespace, pod.Name, pod.UID) - spent[d]
		spent[d] += min(n, left)
		n -= min(n, left)
	}
	return n == 0
}

// isDemoted reports whether a container started anew to follow: its pod was to be the primary of a PostgreSQL cluster, and while a disturbance of that cluster
// or of one of its pods went on the operator decided for another (status.targetPrimary). The server that led ends once it finds out, and the kubelet starts
// it again when its back-off allows. Each decision explains one time.
func (f *undisturbed) isDemoted(clusters []*timeline.Track[resource.PostgresCluster], followed map[time.Duration]bool, pod *timeline.Track[timeline.PodView], at time.Duration) bool {
	for _, cluster := range clusters {
		for i := 1; i < len(cluster.Seen); i++ {
			was, is, decided := cluster.Seen[i-1].Object.TargetPrimary, cluster.Seen[i].Object.TargetPrimary, cluster.Seen[i].At
			if cluster.Namespace != pod.Namespace || was != pod.Name || is == was || is == "" || decided > at+f.tolerance.Watch || followed[decided] {
				continue
			}
			if f.during(decided, func(d *timeline.Disturbance) bool {
				return slices.ContainsFunc(d.Touched, func(t history.Touch) bool { return t.Namespace == pod.Namespace })
			}) {
				followed[decided] = true
				return true
			}
		}
	}
	return false
}

// isStartedWithNode reports whether a container started anew because its node did: a disturbance stopped it, the control plane missed it, and the
// container had not started anew since. A node that is off starts nothing, and one that is back starts each container once.
func (f *undisturbed) isStartedWithNode(pod *timeline.Track[timeline.PodView], node string, c resource.ContainerState, at time.Duration) bool {
	return slices.ContainsFunc(f.stops(node, at), func(d *timeline.Disturbance) bool {
		before := cmp.Or(pod.At(d.Began), &pod.Seen[0].Object)
		return f.isMissed(d, node, at) && c.Restarts-restartsOf(before, c.Name) <= 1
	})
}

func restartsOf(o *timeline.PodView, container string) int32 {
	for _, c := range o.Containers {
		if c.Name == container {
			return c.Restarts
		}
	}
	return 0
}

// isBad reports whether a pod is of a release that is bad on purpose at a moment.
func (f *undisturbed) isBad(pod *timeline.Track[timeline.PodView], at time.Duration) bool {
	p := f.Timeline.Pods[cmp.Or(pod.UID, pod.Namespace+"/"+pod.Name)]
	return p != nil && f.during(at, func(d *timeline.Disturbance) bool {
		return d.Injects != "" && d.Hash != "" && d.Hash == p.Hash && d.Workload == p.Workload
	})
}
