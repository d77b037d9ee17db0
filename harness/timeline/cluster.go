package timeline

import (
	"encoding/json"
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/words"
)

// Cluster is what the watches saw of Kubernetes objects, in the order they were first seen in. It is empty for a run without
// a cluster, also for one that tells of plain processes as if they were pods.
type Cluster struct {
	Pods            []*Track[PodView]
	Nodes           []*Track[history.NodeObject]
	ReplicaSets     []*Track[history.ReplicaSetObject]
	Budgets         []*Track[history.PDBObject]
	Rollouts        []*Track[history.RolloutObject]
	AnalysisRuns    []*Track[history.AnalysisRunObject]
	TraefikServices []*Track[history.TraefikServiceObject]
	Events          []*Track[history.EventObject] // what components of Kubernetes said
}

// PodView is all that is recorded of a pod.
type PodView struct {
	history.PodState
	history.PodObject
}

// Track is the life of one object: another one that takes its name later has another track.
type Track[T any] struct {
	Namespace, Name, UID string
	Seen                 []Seen[T]     // in the order of time, at least one
	Gone                 time.Duration // never while it is there
}

// Seen is an object as it was from a moment on.
type Seen[T any] struct {
	At     time.Duration
	Object T
	By     []history.Author // who wrote it since it was seen before; none where the record does not tell
}

// At is the object as it was at a moment; nil when it was not there.
func (t *Track[T]) At(moment time.Duration) *T {
	if moment >= t.Gone {
		return nil
	}
	for i := len(t.Seen) - 1; i >= 0; i-- {
		if t.Seen[i].At <= moment {
			return &t.Seen[i].Object
		}
	}
	return nil
}

// Last is the object as it was seen last, whether it is there or not.
func (t *Track[T]) Last() *T { return &t.Seen[len(t.Seen)-1].Object }

// until is the track as far as it was seen by a moment; of one that was never seen by then nothing is left.
func (t *Track[T]) until(moment time.Duration) *Track[T] {
	n := len(t.Seen)
	for n > 0 && t.Seen[n-1].At > moment {
		n--
	}
	cut := *t
	cut.Seen = t.Seen[:n]
	return &cut
}

// Here reports whether the object was there when the record ended.
func (t *Track[T]) Here() bool { return t.Gone == Never }

// Change is a change of a Kubernetes object with its moment.
type Change struct {
	At time.Duration
	history.Change
}

// isClustered reports whether the change is of a Kubernetes object; a process of the demo is told of without an object.
func (c *Change) isClustered() bool { return c.Resource != "pods" || c.Object != nil }

// readCluster sorts changes, given in the order of time, by object. What cannot be read is damage.
func readCluster(changes []Change, damage *[]history.Damage) Cluster {
	r := clusterReader{changes: changes, damage: damage}
	return Cluster{
		Pods:            tracks(&r, "pods", readPod),
		Nodes:           tracks(&r, "nodes", readObject[history.NodeObject]),
		ReplicaSets:     tracks(&r, "replicasets", readObject[history.ReplicaSetObject]),
		Budgets:         tracks(&r, "poddisruptionbudgets", readObject[history.PDBObject]),
		Rollouts:        tracks(&r, "rollouts", readObject[history.RolloutObject]),
		AnalysisRuns:    tracks(&r, "analysisruns", readObject[history.AnalysisRunObject]),
		TraefikServices: tracks(&r, "traefikservices", readObject[history.TraefikServiceObject]),
		Events:          tracks(&r, "events", readObject[history.EventObject]),
	}
}

type clusterReader struct {
	changes []Change
	damage  *[]history.Damage
}

func readPod(c *Change) (PodView, error) {
	object, err := readObject[history.PodObject](c)
	if c.Pod == nil {
		return PodView{}, fmt.Errorf("it holds no state")
	}
	return PodView{PodState: *c.Pod, PodObject: object}, err
}

func readObject[T any](c *Change) (T, error) {
	var object T
	err := json.Unmarshal(c.Object, &object) // no content is none of JSON either
	return object, err
}

// tracks follows every object of a resource.
func tracks[T any](r *clusterReader, resource string, read func(*Change) (T, error)) []*Track[T] {
	type name struct{ namespace, name string }
	var all []*Track[T]
	current := map[name]*Track[T]{}
	for i := range r.changes {
		c := &r.changes[i]
		if c.Resource != resource || !c.isClustered() {
			continue
		}
		deleted := c.Type == "deleted"
		object, err := read(c)
		if err != nil && (!deleted || c.Object != nil) {
			text := fmt.Sprintf("the change of %s %s at %s cannot be read: %v", resource, c.Name, words.Span(c.At), err)
			*r.damage = append(*r.damage, history.Damage{File: "events.jsonl", Text: text})
		}
		key := name{c.Namespace, c.Name}
		track := current[key]
		if track != nil && c.UID != "" && track.UID != "" && c.UID != track.UID {
			track.Gone = min(track.Gone, c.At) // nobody saw it go
			track = nil
		}
		if err == nil && (track == nil || !track.Here() && !deleted) {
			track = &Track[T]{Namespace: c.Namespace, Name: c.Name, UID: c.UID, Gone: Never}
			current[key] = track
			all = append(all, track)
		}
		if track == nil {
			continue
		}
		if err == nil {
			track.Seen = append(track.Seen, Seen[T]{At: c.At, Object: object, By: c.By})
		}
		if deleted {
			track.Gone = min(track.Gone, c.At)
		}
	}
	return all
}

// Ended is when a pod's end began; never when it did not.
func Ended(pod *Track[PodView]) time.Duration {
	for _, s := range pod.Seen {
		if s.Object.Terminating {
			return s.At
		}
	}
	return pod.Gone
}
