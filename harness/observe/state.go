package observe

import (
	"context"
	"fmt"
	"iter"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// key names an object of the live state.
type key struct{ resource, namespace, name string }

// State is what the watches have delivered so far: the latest of every object, whole but for its managed fields. Everything in
// it is in the record already. It is valid only while the function it was given to runs; its objects are valid for ever and
// must not be changed.
type State struct {
	latest map[key]*unstructured.Unstructured
}

// Get is the latest of an object, or nil. A resource is named as in history.Change; namespace is empty for nodes.
func (s State) Get(resource, namespace, name string) *unstructured.Unstructured {
	return s.latest[key{resource, namespace, name}]
}

// All yields the latest objects of a resource in a namespace, or in all with "", in no particular order.
func (s State) All(resource, namespace string) iter.Seq[*unstructured.Unstructured] {
	return func(yield func(*unstructured.Unstructured) bool) {
		for k, u := range s.latest {
			if k.resource == resource && (namespace == "" || k.namespace == namespace) && !yield(u) {
				return
			}
		}
	}
}

// TimeoutError says that something did not come, although it was waited for as long as was planned.
type TimeoutError struct {
	What  string
	Bound time.Duration
	Saw   string // last
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("wait for %s: not within %s: saw last: %s", e.What, e.Bound, e.Saw)
}

// Await waits until cond holds of the live state, at most for bound. cond is called for every change, must be quick, and says
// what it saw, which ends up in the *TimeoutError when the time is over.
func (o *Observer) Await(ctx context.Context, name string, bound time.Duration, cond func(State) (done bool, saw string)) error {
	late := time.NewTimer(bound)
	defer late.Stop()
	for {
		done, saw, changed := o.try(cond)
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-late.C:
			return &TimeoutError{What: name, Bound: bound, Saw: saw}
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: saw last: %s", name, context.Cause(ctx), saw)
		case <-o.ended:
			return fmt.Errorf("wait for %s: the observation has ended: saw last: %s", name, saw)
		}
	}
}

func (o *Observer) try(cond func(State) (bool, string)) (done bool, saw string, changed <-chan struct{}) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	done, saw = cond(State{o.latest})
	return done, saw, o.changed
}

// set puts an object into the live state, or removes it where u is nil, and wakes who waits.
func (o *Observer) set(k key, u *unstructured.Unstructured) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if u == nil {
		delete(o.latest, k)
	} else {
		o.latest[k] = u
	}
	o.wakeLocked()
}

// wake makes those who wait look again; wakeLocked is for callers that hold o.mu.
func (o *Observer) wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wakeLocked()
}

func (o *Observer) wakeLocked() {
	close(o.changed)
	o.changed = make(chan struct{})
}
