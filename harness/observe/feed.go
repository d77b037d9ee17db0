package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/wait"
)

// feed follows one resource in one namespace, or in all.
type feed struct {
	resource.Kind
	namespace string
	o         *Observer
	api       dynamic.ResourceInterface
	first     chan error // one value, when the first list is in the record, or why it never will be

	known  map[key]known // of the goroutine that runs it
	listed bool          // once is enough: what a later list shows happened during the run

	mu       sync.Mutex
	position string    // resource version up to which everything is in the record
	heard    time.Time // when the watch, or the list before it, last said something
	absent   bool      // the resource is not served
	last     error
}

// known is what of an object is in the record.
type known struct {
	uid, version string
	content      []byte
	wrote        []history.Author
}

func newFeed(o *Observer, k resource.Kind, namespace string) *feed {
	f := &feed{Kind: k, namespace: namespace, o: o, first: make(chan error, 1), known: map[key]known{}, heard: time.Now()}
	f.api = o.client.Resource(k.GVR())
	if namespace != "" {
		f.api = o.client.Resource(k.GVR()).Namespace(namespace)
	}
	return f
}

// run lists, follows, and lists again when the place to go on from is lost.
func (f *feed) run(ctx context.Context) {
	blind, why := time.Time{}, ""
	for ctx.Err() == nil {
		list, err := f.list(ctx)
		if err != nil {
			f.listFailed(ctx, err)
			continue
		}
		if !blind.IsZero() {
			f.o.gap(history.Gap{Resource: f.Name, Namespace: f.namespace, From: f.o.rec.Clock().At(blind), Why: why, Lost: true})
		}
		f.merge(list)
		f.ready(nil)
		blind, why = f.follow(ctx)
	}
}

func (f *feed) list(ctx context.Context) (*unstructured.UnstructuredList, error) {
	ctx, cancel := context.WithTimeout(ctx, f.o.cfg.Start)
	defer cancel()
	return f.api.List(ctx, metav1.ListOptions{})
}

// listFailed decides what becomes of a feed that cannot list: give up at the start, or try again.
func (f *feed) listFailed(ctx context.Context, err error) {
	f.mu.Lock()
	f.last = err
	f.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case apierrors.IsNotFound(err) && f.Optional && !f.listed: // later it is an API server that has not loaded its CRDs yet
		f.missing()
		f.ready(nil)
		_ = wait.Pause(ctx, f.o.cfg.Recheck) // the loop looks at ctx itself
		return
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		f.ready(fmt.Errorf("list %s: %w", f, err))
	}
	_ = wait.Pause(ctx, f.o.cfg.Retry) // the loop looks at ctx itself
}

// missing says, once, that the resource is not served yet.
func (f *feed) missing() {
	if !f.isAbsent() {
		f.o.note("%s is not served by this cluster: it is observed from when it is", f)
	}
	f.setAbsent(true)
}

// ready tells Start the outcome of the first list; later outcomes interest nobody.
func (f *feed) ready(err error) {
	select {
	case f.first <- err:
	default:
	}
}

// merge records how a list differs from what is known.
func (f *feed) merge(list *unstructured.UnstructuredList) {
	there := map[key]bool{}
	for i := range list.Items {
		u := &list.Items[i]
		there[f.key(u)] = true
		f.keep(u, f.Past && !f.listed)
	}
	for k, was := range f.known {
		if !there[k] {
			f.drop(k, was, f.latest(k))
		}
	}
	f.listed = true
	f.hear()
	f.setAbsent(false)
	f.moveTo(list.GetResourceVersion())
}

// follow watches from the position until that is impossible, and says since when nothing was seen and why. Where nothing is lost
// the blind time begins when the watch is seen to end; where something may be, at the last thing that the watch or the list before it said.
func (f *feed) follow(ctx context.Context) (blind time.Time, because string) {
	noticed, seen, why := time.Now(), time.Now(), "the watch did not open"
	for {
		opened, delivered := false, false
		w, err := f.api.Watch(ctx, metav1.ListOptions{ResourceVersion: f.at(), AllowWatchBookmarks: true})
		if err == nil {
			opened = true
			delivered, err = f.read(ctx, w, noticed, why)
		}
		if ctx.Err() != nil {
			return seen, why
		}
		// An open watch that delivered nothing, not even a bookmark, does not show that nothing was lost before it.
		if delivered {
			seen = f.lastHeard()
		}
		if opened && !lost(err) {
			noticed, why = time.Now(), "the watch ended"
			if err != nil {
				noticed, why = f.lastSign(), err.Error()
			}
		}
		if lost(err) {
			return seen, why + ": " + err.Error()
		}
		if err != nil || !delivered {
			_ = wait.Pause(ctx, f.o.cfg.Retry) // the loop looks at ctx itself
		}
	}
}

// lost reports whether a watch cannot go on from where it was: its version is forgotten, or from a future that a restored
// API server does not know, or the resource itself is gone.
func lost(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.IsNotFound(err) ||
		apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

// read records what a watch delivers until it ends; nil means that the API server closed it in order. The time since blind is
// over as soon as the watch is open; it is a gap when it was long.
func (f *feed) read(ctx context.Context, w watch.Interface, blind time.Time, why string) (delivered bool, err error) {
	defer w.Stop()
	if time.Since(blind) > f.o.cfg.Tolerance {
		f.o.gap(history.Gap{Resource: f.Name, Namespace: f.namespace, From: f.o.rec.Clock().At(blind), Why: why})
	}
	for {
		select {
		case <-ctx.Done():
			return delivered, ctx.Err()
		case e, open := <-w.ResultChan():
			if !open {
				return delivered, nil
			}
			if e.Type == watch.Error {
				return delivered, apierrors.FromObject(e.Object)
			}
			f.hear()
			u, ok := e.Object.(*unstructured.Unstructured)
			if !ok {
				return delivered, fmt.Errorf("the watch delivered a %T", e.Object)
			}
			f.event(e.Type, u)
			delivered = true
		}
	}
}

// event records one change. In a watch versions only grow: one that is not beyond the position was recorded before.
func (f *feed) event(typ watch.EventType, u *unstructured.Unstructured) {
	version := u.GetResourceVersion()
	if order, err := resourceversion.CompareResourceVersion(version, f.at()); err == nil && order <= 0 {
		return
	}
	k := f.key(u)
	switch typ {
	case watch.Added, watch.Modified:
		f.keep(u, false)
	case watch.Deleted:
		if was, ok := f.known[k]; ok {
			f.drop(k, was, u)
		}
	}
	f.moveTo(version)
}

// keep records an object that is there, unless nothing changed of what is recorded.
func (f *feed) keep(u *unstructured.Unstructured, silent bool) {
	k, now := f.key(u), known{uid: string(u.GetUID()), version: u.GetResourceVersion()}
	if f.Authored {
		now.wrote = authors(u)
	}
	unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
	was, seen := f.known[k]
	if seen && was.uid == now.uid && was.version == now.version {
		return
	}
	if seen && was.uid != now.uid { // replaced under its name while nobody looked
		f.drop(k, was, f.latest(k))
		seen = false
	}
	change := f.change(u)
	change.Type, change.By = "modified", since(was.wrote, now.wrote)
	if !seen {
		change.Type, change.By = "added", now.wrote
	}
	now.content = content(change)
	f.known[k] = now
	if !silent && (!seen || !bytes.Equal(was.content, now.content)) {
		f.o.append(history.Event{Kind: history.KindChange, Change: &change})
		f.fold(u, change)
	}
	f.o.set(k, u)
}

// drop records that an object is gone.
func (f *feed) drop(k key, was known, u *unstructured.Unstructured) {
	delete(f.known, k)
	change := history.Change{Resource: f.Name, Namespace: k.namespace, Name: k.name}
	if u != nil {
		change = f.change(u)
	}
	change.Type, change.UID = "deleted", was.uid
	if !f.Past {
		f.o.append(history.Event{Kind: history.KindChange, Change: &change})
	}
	f.o.set(k, nil)
}

// change is what is recorded of an object. One that cannot be read is recorded without its content, and that is said.
func (f *feed) change(u *unstructured.Unstructured) history.Change {
	c := history.Change{Resource: f.Name, Namespace: u.GetNamespace(), Name: u.GetName(), UID: string(u.GetUID())}
	pod, object, err := f.Trim(u)
	if err == nil {
		c.Pod = pod
		c.Object, err = json.Marshal(object)
	}
	if err != nil {
		f.o.note("%s at version %s cannot be read: %v", f.describe(u), u.GetResourceVersion(), err)
	}
	return c
}

// content is what makes two changes of one object differ.
func content(c history.Change) []byte {
	data, _ := json.Marshal(struct { // of what was JSON before
		Pod    *history.PodState
		Object json.RawMessage
	}{c.Pod, c.Object})
	return data
}

// fold passes on what steps are made of.
func (f *feed) fold(u *unstructured.Unstructured, c history.Change) {
	switch f.Name {
	case resource.ReplicaSets.Name:
		if o, err := resource.ReplicaSets.Typed(u); err == nil {
			f.o.steps.replicaSet(c.Namespace, o)
		}
	case resource.Rollouts.Name:
		if o, err := resource.Rollouts.Typed(u); err == nil {
			f.o.steps.rollout(c.Namespace, c.Name, o)
		}
	}
}

// catchUp waits until the watch has delivered what a list made now contains.
func (f *feed) catchUp(ctx context.Context) error {
	if f.isAbsent() {
		return nil
	}
	list, err := f.list(ctx)
	if err != nil {
		return fmt.Errorf("list %s: %w", f, err)
	}
	bound := f.o.cfg.Drain
	if deadline, ok := ctx.Deadline(); ok {
		bound = time.Until(deadline)
	}
	return f.o.Await(ctx, "the last changes of "+f.String(), bound, func(s State) (bool, string) {
		missing := f.behind(s, list)
		return missing == "", missing + " is not there yet"
	})
}

// behind names an object in which the live state is behind a list; empty when there is none.
func (f *feed) behind(s State, list *unstructured.UnstructuredList) string {
	if beyond(f.at(), list.GetResourceVersion()) {
		return ""
	}
	there := map[key]bool{}
	for i := range list.Items {
		u := &list.Items[i]
		k := f.key(u)
		there[k] = true
		if have := s.latest[k]; have == nil || !beyond(have.GetResourceVersion(), u.GetResourceVersion()) {
			return "a change of " + f.describe(u)
		}
	}
	for k, u := range s.latest {
		if k.resource == f.Name && (f.namespace == "" || k.namespace == f.namespace) && !there[k] {
			return "the end of " + f.describe(u)
		}
	}
	return ""
}

// beyond reports whether a version is another one or newer. Versions that cannot be compared count when they are the same.
func beyond(version, other string) bool {
	order, err := resourceversion.CompareResourceVersion(version, other)
	return err == nil && order >= 0 || err != nil && version == other
}

func (f *feed) key(u *unstructured.Unstructured) key {
	return key{f.Name, u.GetNamespace(), u.GetName()}
}

// describe names an object in a sentence.
func (f *feed) describe(u *unstructured.Unstructured) string {
	if u.GetNamespace() == "" {
		return fmt.Sprintf("%s %s", f.Name, u.GetName())
	}
	return fmt.Sprintf("%s %s/%s", f.Name, u.GetNamespace(), u.GetName())
}

func (f *feed) latest(k key) *unstructured.Unstructured {
	f.o.mu.RLock()
	defer f.o.mu.RUnlock()
	return f.o.latest[k]
}

func (f *feed) at() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.position
}

func (f *feed) moveTo(version string) {
	f.mu.Lock()
	f.position = version
	f.mu.Unlock()
	f.o.wake()
}

func (f *feed) isAbsent() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.absent
}

func (f *feed) setAbsent(absent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.absent = absent
}

func (f *feed) lastError() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		return "no answer"
	}
	return f.last.Error()
}

func (f *feed) hear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = time.Now()
}

// lastSign is when the API server last gave a sign of life, here or elsewhere.
func (f *feed) lastSign() time.Time {
	alive, heard := f.o.lastAlive(), f.lastHeard()
	if heard.After(alive) {
		return heard
	}
	return alive
}

func (f *feed) lastHeard() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard
}
