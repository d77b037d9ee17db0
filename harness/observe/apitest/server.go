// Package apitest is a Kubernetes API server for tests, small enough to misbehave on purpose: it drops watches, forgets old
// versions, stays silent, and lets a test answer in its place. It stores any object of any resource, knows versions, generations,
// graceful deletion and selectors, and runs no controller.
package apitest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Server is the API server. The zero value is of no use; New starts one.
type Server struct {
	http *httptest.Server

	mu        sync.Mutex
	version   int64
	resources map[string]*collection
	watches   map[*stream]bool
	hidden    map[string]bool
	down      bool
	silent    chan struct{} // closed when it speaks again; nil when it speaks
	hooks     []hook
	requests  map[string]int
}

// collection is the objects of one resource and every change since forgotten.
type collection struct {
	objects   map[string]*unstructured.Unstructured // by namespace/name
	log       []change
	forgotten int64
}

type change struct {
	typ     string
	version int64
	object  *unstructured.Unstructured
}

type stream struct {
	resource string
	wake     chan struct{}
	end      chan struct{} // closed to end it in order
	cut      chan struct{} // closed to break it off
	bookmark bool
}

type hook struct {
	method, suffix string
	serve          func(w http.ResponseWriter, r *http.Request) (handled bool)
}

// New starts a server; Close ends it.
func New() *Server {
	s := &Server{version: 100, resources: map[string]*collection{}, watches: map[*stream]bool{}, hidden: map[string]bool{},
		requests: map[string]int{}}
	s.http = httptest.NewServer(s)
	return s
}

// Close ends every watch and the server.
func (s *Server) Close() {
	s.Silence(false)
	s.EndWatches()
	s.http.CloseClientConnections()
	s.http.Close()
}

// Config is how to reach it.
func (s *Server) Config() *rest.Config {
	return &rest.Config{Host: s.http.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json", AcceptContentTypes: "application/json"}}
}

// Put creates or replaces an object of a resource (pods, rollouts, …) and returns its version. It gets a uid where it has
// none, and a new generation when its spec changed. What changes nothing is not written, as by an API server: the version stays.
func (s *Server) Put(resource string, object map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := (&unstructured.Unstructured{Object: object}).DeepCopy()
	return s.put(resource, u).GetResourceVersion()
}

func (s *Server) put(resource string, u *unstructured.Unstructured) *unstructured.Unstructured {
	c := s.collection(resource)
	k := u.GetNamespace() + "/" + u.GetName()
	typ := "ADDED"
	u.SetGeneration(1)
	if old := c.objects[k]; old != nil {
		typ = "MODIFIED"
		if u.GetUID() == "" {
			u.SetUID(old.GetUID())
		}
		u.SetGeneration(old.GetGeneration())
		if u.SetResourceVersion(old.GetResourceVersion()); reflect.DeepEqual(old.Object, u.Object) {
			return old
		}
		if fmt.Sprint(old.Object["spec"]) != fmt.Sprint(u.Object["spec"]) {
			u.SetGeneration(old.GetGeneration() + 1)
		}
	}
	s.version++
	if u.GetUID() == "" {
		u.SetUID(types.UID("uid-" + strconv.FormatInt(s.version, 10)))
	}
	u.SetResourceVersion(strconv.FormatInt(s.version, 10))
	c.objects[k] = u
	s.log(resource, typ, u)
	return u
}

// Delete removes an object at once.
func (s *Server) Delete(resource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(resource, namespace+"/"+name)
}

func (s *Server) remove(resource, k string) {
	c := s.collection(resource)
	old := c.objects[k]
	if old == nil {
		return
	}
	delete(c.objects, k)
	s.version++
	gone := old.DeepCopy()
	gone.SetResourceVersion(strconv.FormatInt(s.version, 10))
	s.log(resource, "DELETED", gone)
}

// Get is a copy of an object, or nil.
func (s *Server) Get(resource, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.collection(resource).objects[namespace+"/"+name]
	if u == nil {
		return nil
	}
	return u.DeepCopy()
}

// All is a copy of every object of a resource, by name.
func (s *Server) All(resource string) []*unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*unstructured.Unstructured
	c := s.collection(resource)
	for _, k := range slices.Sorted(maps.Keys(c.objects)) {
		all = append(all, c.objects[k].DeepCopy())
	}
	return all
}

// Requests counts the requests of a method for paths that end so.
func (s *Server) Requests(method, suffix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for key, times := range s.requests {
		if m, path, _ := strings.Cut(key, " "); m == method && strings.HasSuffix(path, suffix) {
			n += times
		}
	}
	return n
}

// Handle answers requests of a method for paths that end so, instead of the server, where serve returns true. The latest is asked first.
func (s *Server) Handle(method, suffix string, serve func(w http.ResponseWriter, r *http.Request) (handled bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = slices.Insert(s.hooks, 0, hook{method, suffix, serve})
}

// EndWatches closes every watch in order, as an API server does after its time-out.
func (s *Server) EndWatches() { s.endWatches(func(w *stream) { close(w.end) }) }

// CutWatches breaks every watch off in the middle.
func (s *Server) CutWatches() { s.endWatches(func(w *stream) { close(w.cut) }) }

func (s *Server) endWatches(end func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watches {
		end(w)
		delete(s.watches, w)
	}
}

// Watches counts the open watches of a resource.
func (s *Server) Watches(resource string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for w := range s.watches {
		if w.resource == resource {
			n++
		}
	}
	return n
}

// Forget makes every version up to now too old to watch from.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++ // so that a position at the latest change is too old as well
	for _, c := range s.resources {
		c.log, c.forgotten = nil, s.version
	}
}

// Bookmark tells the open watches of a resource the version of now.
func (s *Server) Bookmark(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watches {
		if w.resource == resource {
			w.bookmark = true
			w.poke()
		}
	}
}

// Replay sends a change of the past to every open watch once more.
func (s *Server) Replay(resource, typ string, object *unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.collection(resource)
	c.log = append(c.log, change{typ, s.version + 1, object})
	s.version++
	s.pokeAll(resource)
}

// Down refuses everything, as an API server that is away does, until it is called with false.
func (s *Server) Down(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	if down {
		s.CutWatches()
	}
}

// Silence holds every answer and every watch back, until it is called with false.
func (s *Server) Silence(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case silent && s.silent == nil:
		s.silent = make(chan struct{})
	case !silent && s.silent != nil:
		close(s.silent)
		s.silent = nil
		for resource := range s.resources {
			s.pokeAll(resource)
		}
	}
}

// Hide makes a resource one that is not served, or served again.
func (s *Server) Hide(resource string, hidden bool) {
	s.mu.Lock()
	s.hidden[resource] = hidden
	s.mu.Unlock()
}

func (s *Server) collection(resource string) *collection {
	c := s.resources[resource]
	if c == nil {
		c = &collection{objects: map[string]*unstructured.Unstructured{}}
		s.resources[resource] = c
	}
	return c
}

func (s *Server) log(resource, typ string, u *unstructured.Unstructured) {
	c := s.collection(resource)
	c.log = append(c.log, change{typ, s.version, u.DeepCopy()})
	s.pokeAll(resource)
}

func (s *Server) pokeAll(resource string) {
	for w := range s.watches {
		if w.resource == resource {
			w.poke()
		}
	}
}

func (w *stream) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// target is what a path names.
type target struct{ namespace, resource, name, sub string }

// parse reads /api/v1/… and /apis/group/version/….
func parse(path string) (target, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return target{}, false
	}
	var t target
	if parts[0] == "namespaces" && len(parts) > 2 {
		t.namespace, parts = parts[1], parts[2:]
	}
	parts = append(parts, "", "")
	t.resource, t.name, t.sub = parts[0], parts[1], parts[2]
	return t, true
}

// ServeHTTP answers as an API server does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests[r.Method+" "+r.URL.Path]++
	down, silent, hooks := s.down, s.silent, s.hooks
	s.mu.Unlock()
	if silent != nil {
		<-silent
	}
	if down {
		panic(http.ErrAbortHandler)
	}
	for _, h := range hooks {
		if h.method == r.Method && strings.HasSuffix(r.URL.Path, h.suffix) && h.serve(w, r) {
			return
		}
	}
	if r.URL.Path == "/version" {
		answer(w, http.StatusOK, map[string]any{"gitVersion": "v0.0.0-apitest"})
		return
	}
	t, ok := parse(r.URL.Path)
	s.mu.Lock()
	hidden := s.hidden[t.resource]
	s.mu.Unlock()
	if !ok || hidden {
		Refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource", nil)
		return
	}
	s.serve(w, r, t)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, t target) {
	switch {
	case r.Method == http.MethodGet && t.name == "" && r.URL.Query().Get("watch") == "true":
		s.serveWatch(w, r, t)
	case r.Method == http.MethodGet && t.name == "":
		s.serveList(w, r, t)
	case r.Method == http.MethodPost && t.sub == "eviction":
		s.serveEviction(w, r, t)
	case r.Method == http.MethodGet, r.Method == http.MethodPut, r.Method == http.MethodPatch, r.Method == http.MethodDelete:
		s.serveObject(w, r, t)
	default:
		Refuse(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, r.Method+" is not for "+r.URL.Path, nil)
	}
}

func (s *Server) serveList(w http.ResponseWriter, r *http.Request, t target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.collection(t.resource)
	items := []any{} // typed clients go by the kind of the list
	kind, group := "List", "v1"
	for _, k := range slices.Sorted(maps.Keys(c.objects)) {
		if u := c.objects[k]; matches(u, r, t) {
			items = append(items, u.Object)
			kind, group = u.GetKind()+"List", u.GetAPIVersion()
		}
	}
	answer(w, http.StatusOK, map[string]any{"kind": kind, "apiVersion": group,
		"metadata": map[string]any{"resourceVersion": strconv.FormatInt(s.version, 10)}, "items": items})
}

func matches(u *unstructured.Unstructured, r *http.Request, t target) bool {
	if t.namespace != "" && t.namespace != u.GetNamespace() {
		return false
	}
	label, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	field, err2 := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	node, _, _ := unstructured.NestedString(u.Object, "spec", "nodeName")
	return err == nil && err2 == nil && label.Matches(labels.Set(u.GetLabels())) &&
		field.Matches(fields.Set{"metadata.name": u.GetName(), "metadata.namespace": u.GetNamespace(), "spec.nodeName": node})
}

func (s *Server) serveObject(w http.ResponseWriter, r *http.Request, t target) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := t.namespace + "/" + t.name
	u := s.collection(t.resource).objects[k]
	switch {
	case err != nil:
		return
	case u == nil:
		Refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", t.resource, t.name), nil)
		return
	case r.Method == http.MethodPut:
		var next unstructured.Unstructured
		if err := json.Unmarshal(body, &next.Object); err != nil {
			Refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error(), nil)
			return
		}
		if v := next.GetResourceVersion(); v != "" && v != u.GetResourceVersion() {
			Refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified", nil)
			return
		}
		u = s.put(t.resource, &next)
	case r.Method == http.MethodPatch:
		next := u.DeepCopy()
		var patch map[string]any
		if err := json.Unmarshal(body, &patch); err != nil {
			Refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error(), nil)
			return
		}
		mergePatch(next.Object, patch)
		u = s.put(t.resource, next)
	case r.Method == http.MethodDelete:
		var options metav1.DeleteOptions
		if err := json.Unmarshal(body, &options); err != nil && len(body) > 0 {
			Refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error(), nil)
			return
		}
		if p := options.Preconditions; p != nil && p.UID != nil && *p.UID != u.GetUID() {
			Refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "the UID in the precondition does not match", nil)
			return
		}
		if graceful := options.GracePeriodSeconds == nil || *options.GracePeriodSeconds > 0; t.resource == "pods" && graceful {
			u = s.terminate(u)
		} else {
			s.remove(t.resource, k)
		}
	}
	answer(w, http.StatusOK, u.Object)
}

// terminate marks a pod as being deleted; a test plays the kubelet and deletes it.
func (s *Server) terminate(u *unstructured.Unstructured) *unstructured.Unstructured {
	next := u.DeepCopy()
	now := metav1.Now()
	next.SetDeletionTimestamp(&now)
	return s.put("pods", next)
}

// serveEviction grants every eviction: a test that wants a budget handles the path itself.
func (s *Server) serveEviction(w http.ResponseWriter, r *http.Request, t target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.collection("pods").objects[t.namespace+"/"+t.name]
	if u == nil {
		Refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("pods %q not found", t.name), nil)
		return
	}
	if r.URL.Query().Get("dryRun") == "" && !strings.Contains(r.Header.Get("X-Dry-Run"), "All") {
		next := u.DeepCopy()
		conditions, _, _ := unstructured.NestedSlice(next.Object, "status", "conditions")
		conditions = append(conditions, map[string]any{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"})
		if err := unstructured.SetNestedSlice(next.Object, conditions, "status", "conditions"); err != nil {
			Refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, err.Error(), nil)
			return
		}
		s.terminate(next)
	}
	answer(w, http.StatusCreated, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})
}

func mergePatch(into, patch map[string]any) {
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(into, k)
		case map[string]any:
			sub, ok := into[k].(map[string]any)
			if !ok {
				sub = map[string]any{}
				into[k] = sub
			}
			mergePatch(sub, v)
		default:
			into[k] = v
		}
	}
}

func (s *Server) serveWatch(w http.ResponseWriter, r *http.Request, t target) {
	from, err := strconv.ParseInt(r.URL.Query().Get("resourceVersion"), 10, 64)
	if err != nil {
		Refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "a watch needs a resourceVersion here", nil)
		return
	}
	st := &stream{resource: t.resource, wake: make(chan struct{}, 1), end: make(chan struct{}), cut: make(chan struct{})}
	s.mu.Lock()
	tooOld := from < s.collection(t.resource).forgotten
	if !tooOld {
		s.watches[st] = true
	}
	s.mu.Unlock()
	defer func() { s.mu.Lock(); delete(s.watches, st); s.mu.Unlock() }()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if tooOld { // as Kubernetes does: in the open stream
		emit(w, "ERROR", status(http.StatusGone, metav1.StatusReasonExpired, "too old resource version", nil))
		return
	}
	_ = http.NewResponseController(w).Flush() // a client that is gone is seen below
	for {
		from = s.deliver(w, r, t, st, from)
		select {
		case <-st.wake:
		case <-st.end:
			return
		case <-st.cut:
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}

// deliver sends every change after a version, and returns the version it is at then.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, t target, st *stream, from int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent != nil {
		return from
	}
	for _, c := range s.collection(t.resource).log {
		if c.version > from && matches(c.object, r, t) {
			emit(w, c.typ, c.object.Object)
			from = c.version
		}
	}
	if st.bookmark {
		st.bookmark, from = false, s.version
		emit(w, "BOOKMARK", map[string]any{"kind": "Bookmark", "apiVersion": "v1",
			"metadata": map[string]any{"resourceVersion": strconv.FormatInt(s.version, 10)}})
	}
	return from
}

func emit(w http.ResponseWriter, typ string, object map[string]any) {
	line, err := json.Marshal(map[string]any{"type": typ, "object": object})
	if err != nil {
		panic(err) // objects came as JSON
	}
	_, _ = w.Write(append(line, '\n')) // a client that is gone ends the request
	_ = http.NewResponseController(w).Flush()
}

// Refuse answers with a Status object, as an API server does. details may be nil.
func Refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string, details map[string]any) {
	answer(w, code, status(code, reason, message, details))
}

func status(code int, reason metav1.StatusReason, message string, details map[string]any) map[string]any {
	s := map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": string(reason), "message": message}
	if details != nil {
		s["details"] = details
	}
	return s
}

func answer(w http.ResponseWriter, code int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone is not our business
}
