package timeline

import (
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/words"
)

// Cluster is what the watches saw of Kubernetes objects, in the order they were first seen in. It is empty for a run without
// a cluster, also for one that tells of plain processes as if they were pods. Objects of further kinds are had by TracksOf.
type Cluster struct {
	Pods            []*Track[PodView]
	Nodes           []*Track[resource.Node]
	ReplicaSets     []*Track[resource.ReplicaSet]
	Budgets         []*Track[resource.PDB]
	Rollouts        []*Track[resource.Rollout]
	AnalysisRuns    []*Track[resource.AnalysisRun]
	TraefikServices []*Track[resource.TraefikService]
	Events          []*Track[resource.Event] // what components of Kubernetes said
}

// PodView is all that is recorded of a pod.
type PodView struct {
	history.PodState
	resource.Pod
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

// isGone reports whether the object went away.
func (c *Change) isGone() bool { return c.Type == "deleted" }

// isClustered reports whether the change is of a Kubernetes object; a process of the demo is told of without an object.
func (c *Change) isClustered() bool { return c.Resource != "pods" || c.Object != nil }

// readCluster sorts changes, given in the order of time, by object. What cannot be read is damage.
func (t *Timeline) readCluster() {
	t.Damage = append(t.Damage, unreadable(t.Changes)...)
	t.Cluster = Cluster{
		Pods:            tracks(t.Changes, resource.Pods.Kind, readPod),
		Nodes:           TracksOf(t, resource.Nodes),
		ReplicaSets:     TracksOf(t, resource.ReplicaSets),
		Budgets:         TracksOf(t, resource.PDBs),
		Rollouts:        TracksOf(t, resource.Rollouts),
		AnalysisRuns:    TracksOf(t, resource.AnalysisRuns),
		TraefikServices: TracksOf(t, resource.TraefikServices),
		Events:          TracksOf(t, resource.Events),
	}
}

// unreadable are the changes of observed kinds whose content cannot be read. One that goes away may hold none.
func unreadable(changes []Change) []history.Damage {
	var damage []history.Damage
	for i := range changes {
		c := &changes[i]
		kind, known := resource.Named(c.Resource)
		if !known || !c.isClustered() || c.isGone() && c.Object == nil {
			continue
		}
		if err := kind.Readable(&c.Change); err != nil {
			text := fmt.Sprintf("the change of %s %s at %s cannot be read: %v", c.Resource, c.Name, words.Span(c.At), err)
			damage = append(damage, history.Damage{File: "events.jsonl", Text: text})
		}
	}
	return damage
}

func readPod(c *history.Change) (PodView, error) {
	if err := resource.Pods.Readable(c); err != nil {
		return PodView{}, err
	}
	content, err := resource.Pods.Read(c)
	return PodView{PodState: *c.Pod, Pod: content}, err
}

// TracksOf follows every object of a kind, in the order they were first seen in.
func TracksOf[T any](t *Timeline, kind resource.Of[T]) []*Track[T] {
	return tracks(t.Changes, kind.Kind, kind.Read)
}

// tracks follows every object of a kind. A change that cannot be read says nothing but that the object was there, or is gone.
func tracks[T any](changes []Change, kind resource.Kind, read func(*history.Change) (T, error)) []*Track[T] {
	type name struct{ namespace, name string }
	var all []*Track[T]
	current := map[name]*Track[T]{}
	for i := range changes {
		c := &changes[i]
		if c.Resource != kind.Name || !c.isClustered() {
			continue
		}
		object, err := read(&c.Change)
		key := name{c.Namespace, c.Name}
		track := current[key]
		if track != nil && c.UID != "" && track.UID != "" && c.UID != track.UID {
			track.Gone = min(track.Gone, c.At) // nobody saw it go
			track = nil
		}
		if err == nil && (track == nil || !track.Here() && !c.isGone()) {
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
		if c.isGone() {
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
