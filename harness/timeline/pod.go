package timeline

import (
	"cmp"
	"math"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

// Pod is what the watches saw of one pod. Another one that takes its name later, as in a StatefulSet, is another Pod.
type Pod struct {
	UID, Namespace, Name string
	Workload             history.Workload // that it belongs to; none where no watch tells
	Hash                 string           // pod template hash; empty where no watch tells
	Version              string
	Seen                 time.Duration // first
	Ready                []Span        // when it was ready and not terminating
	Stops                []Stop
	Node, IP             string           // the last that a watch told; empty where none did
	Statuses             []PodStatusSince // in the order of time, at least one
}

// in reports whether the pod may be one of a namespace; it may where one of the two is not told.
func (p *Pod) in(namespace string) bool {
	return namespace == "" || p.Namespace == "" || p.Namespace == namespace
}

// WasReady reports whether the pod was there before a moment, and Ready at it.
func (p *Pod) WasReady(at time.Duration) bool {
	return p.Seen < at && slices.ContainsFunc(p.Ready, func(s Span) bool { return s.From <= at && at < s.Until })
}

// Serves reports whether the pod may answer for a workload; it may where one of the two is not told.
func (p *Pod) Serves(w history.Workload) bool {
	return p.in(w.Namespace) && (w.IsZero() || p.Workload.IsZero() || p.Workload == w)
}

// PodsNamed are the pods of a name in a namespace, in the order they were first seen in. An empty namespace is any.
func (t *Timeline) PodsNamed(namespace, name string) []*Pod {
	var pods []*Pod
	for _, pod := range t.named[name] {
		if pod.in(namespace) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Stop is the end of a pod; a moment that was not seen is never.
type Stop struct {
	Terminating time.Duration // deletion was asked for: SIGTERM follows preStop
	Signalled   time.Duration // the process itself told of its SIGTERM
	Gone        time.Duration
}

// tellsLate is how much later than it happened a watch may tell of a deletion.
const tellsLate = time.Second

type podChange struct {
	at              time.Duration
	gone            bool
	namespace, name string
	uid             string
	signalled       time.Duration
	history.PodState
}

// podReader follows pods through their changes, given in the order of time.
type podReader struct {
	pods    []*Pod
	current map[podName]*Pod // that has the name now, or had it last
}

type podName struct{ namespace, name string }

// changed takes the next change. A pod that is ready when its name is first seen was so before the watch began.
func (r *podReader) changed(c *podChange) {
	key := podName{c.namespace, c.name}
	pod, known := r.current[key]
	if known && c.uid != "" && pod.UID != "" && c.uid != pod.UID {
		pod.end(c.at) // nobody saw the one before go
		pod = nil
	}
	if pod == nil {
		pod = &Pod{Namespace: c.namespace, Name: c.name, Seen: c.at}
		r.current[key] = pod
		r.pods = append(r.pods, pod)
	}
	pod.UID, pod.Version = cmp.Or(c.uid, pod.UID), cmp.Or(c.Version, pod.Version)
	ready := c.Ready && !c.Terminating && !c.gone
	switch {
	case ready && !known:
		pod.Ready = append(pod.Ready, Span{From: math.MinInt64, Until: Never})
	case ready && !pod.isReady():
		pod.Ready = append(pod.Ready, Span{From: c.at, Until: Never})
	case !ready && pod.isReady():
		pod.Ready[len(pod.Ready)-1].Until = c.at
	}
	pod.stopping(c)
	pod.follow(c)
}

func (p *Pod) isReady() bool { return len(p.Ready) > 0 && p.Ready[len(p.Ready)-1].Until == Never }

func (p *Pod) stopping(c *podChange) {
	last := len(p.Stops) - 1
	open := last >= 0 && p.Stops[last].Gone == Never
	if !c.Terminating && c.signalled == Never {
		if open {
			p.Stops[last].Gone = c.at // gone, or another one by now
		}
		return
	}
	if !open {
		p.Stops = append(p.Stops, Stop{Terminating: Never, Signalled: Never, Gone: Never})
		last++
	}
	s := &p.Stops[last]
	if c.Terminating {
		s.Terminating = min(s.Terminating, c.at)
	}
	// A word that cannot be true is that of a clock which does not agree with ours: preStop and SIGTERM come after the deletion.
	if c.signalled <= c.at && (s.Terminating == Never || c.signalled >= s.Terminating-tellsLate) {
		s.Signalled = min(s.Signalled, c.signalled)
	}
	if c.gone {
		s.Gone = c.at
	}
}

// end closes what is open of a pod.
func (p *Pod) end(at time.Duration) {
	if p.isReady() {
		p.Ready[len(p.Ready)-1].Until = at
	}
	if last := len(p.Stops) - 1; last >= 0 && p.Stops[last].Gone == Never {
		p.Stops[last].Gone = at
	}
	p.become(at, PodGone)
}

// readPods follows every pod through its changes, and finds out what it belongs to.
func (t *Timeline) readPods(changes []podChange) {
	r := podReader{current: map[podName]*Pod{}}
	for i := range changes {
		r.changed(&changes[i])
	}
	owners := t.owners()
	for _, pod := range r.pods {
		if o, told := owners[cmp.Or(pod.UID, pod.Namespace+"/"+pod.Name)]; told {
			pod.Workload, pod.Hash = t.workloadOf(pod.Namespace, o)
		}
		t.Pods[cmp.Or(pod.UID, pod.Namespace+"/"+pod.Name)] = pod
		t.named[pod.Name] = append(t.named[pod.Name], pod)
	}
}

// owners are the controllers of the pods that a cluster told of, by UID or else by namespace/name.
func (t *Timeline) owners() map[string]*resource.Owner {
	all := map[string]*resource.Owner{}
	for _, pod := range t.Cluster.Pods {
		if owner := pod.Last().Owner; owner != nil {
			all[cmp.Or(pod.UID, pod.Namespace+"/"+pod.Name)] = owner
		}
	}
	return all
}

// workloadOf is what keeps a pod, and by which pod template: the owner of its ReplicaSet, where it has one that a watch saw.
func (t *Timeline) workloadOf(namespace string, owner *resource.Owner) (w history.Workload, hash string) {
	if owner.Kind != "ReplicaSet" {
		return history.Workload{Namespace: namespace, Kind: owner.Kind, Name: owner.Name}, ""
	}
	for _, rs := range t.Cluster.ReplicaSets {
		if o := rs.Last(); rs.Namespace == namespace && rs.Name == owner.Name && o.Owner != nil {
			return history.Workload{Namespace: namespace, Kind: o.Owner.Kind, Name: o.Owner.Name}, o.Hash
		}
	}
	return history.Workload{}, ""
}

// IsReady reports whether a pod was ready at a moment, and not on its way out.
func IsReady(pod *Track[PodView], at time.Duration) bool {
	o := pod.At(at)
	return o != nil && o.Ready && !o.Terminating
}
