package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/observe/apitest"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/wait"
)

// bench is an API server, a record and what a test does with them.
type bench struct {
	*testing.T
	api *apitest.Server
	rec *history.Recorder
	dir string
	o   *Observer
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, api: apitest.New(), dir: filepath.Join(t.TempDir(), "run")}
	t.Cleanup(b.api.Close)
	var err error
	if b.rec, err = history.Create(b.dir, history.Run{ID: "test"}, history.NewClock()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) config() Config {
	return Config{REST: b.api.Config(), Retry: time.Millisecond, Recheck: time.Millisecond, Tolerance: time.Minute, Beat: time.Hour, Drain: time.Minute}
}

func (b *bench) start(cfg Config) {
	b.Helper()
	o, err := Start(b.Context(), b.rec, cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.o = o
}

// watched starts and waits until every watch is open.
func (b *bench) watched(cfg Config) {
	b.Helper()
	b.start(cfg)
	for _, name := range resource.Names(b.config().kinds()) {
		for b.api.Watches(name) == 0 {
			if b.Context().Err() != nil {
				b.Fatalf("no watch of %s", name)
			}
			_ = wait.Pause(b.Context(), time.Millisecond)
		}
	}
}

// stop ends the observation and returns what was recorded.
func (b *bench) stop() []history.Event {
	b.Helper()
	if err := b.o.Stop(); err != nil {
		b.Errorf("stop: %v", err)
	}
	return b.events()
}

func (b *bench) events() []history.Event {
	b.Helper()
	h, err := history.Open(b.dir)
	if err != nil {
		b.Fatal(err)
	}
	var all []history.Event
	for e, err := range h.Events() {
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func (b *bench) pod(name string, ready bool) {
	b.api.Put("pods", pod(name, ready))
}

func pod(name string, ready bool) map[string]any {
	status := "False"
	if ready {
		status = "True"
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": "shop", "labels": map[string]any{kube.VersionLabel: "v1"},
			"managedFields": []any{map[string]any{"manager": "secret"}}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": status}}},
	}
}

func (b *bench) await(what string, cond func(State) bool) {
	b.Helper()
	err := b.o.Await(b.Context(), what, 10*time.Second, func(s State) (bool, string) { return cond(s), "it was not so" })
	if err != nil {
		b.Fatal(err)
	}
}

func ready(s State, name string) bool {
	u := s.Get("pods", "shop", name)
	if u == nil {
		return false
	}
	p, _, err := resource.Pods.Trim(u)
	return err == nil && p.Ready
}

// pods is the recorded changes of pods as short words: "+a" ready, "+a!" not ready, "~a" modified, "-a" deleted.
func pods(events []history.Event) string {
	var words []string
	for _, e := range events {
		if e.Change == nil || e.Change.Resource != "pods" {
			continue
		}
		word := map[string]string{"added": "+", "modified": "~", "deleted": "-"}[e.Change.Type] + e.Change.Name
		if e.Change.Pod == nil {
			word += "?"
		} else if !e.Change.Pod.Ready {
			word += "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func gaps(events []history.Event) []history.Gap {
	var all []history.Gap
	for _, e := range events {
		if e.Gap != nil {
			all = append(all, *e.Gap)
		}
	}
	return all
}

func TestEveryChangeIsRecordedOnce(t *testing.T) {
	b := newBench(t)
	b.pod("a", false)
	b.start(b.config())
	if got := pods(b.events()); got != "+a!" {
		t.Errorf("when Start returns the record has pods %q, want the first list", got)
	}
	b.pod("a", true)
	b.pod("a", true) // a new version, but nothing of what is recorded has changed
	b.pod("b", false)
	b.api.Delete("pods", "shop", "a")
	events := b.stop()
	if got, want := pods(events), "+a! ~a +b! -a"; got != want {
		t.Errorf("recorded pods %q, want %q", got, want)
	}
	if g := gaps(events); len(g) > 0 {
		t.Errorf("gaps %v, want none", g)
	}
	for _, e := range events {
		if e.Change != nil && (bytes.Contains(e.Change.Object, []byte("secret")) || e.Change.Pod != nil && e.Change.Pod.Version != "v1") {
			t.Errorf("recorded %s with pod %+v", e.Change.Object, e.Change.Pod)
		}
	}
}

func TestStopWaitsForWhatIsOnItsWay(t *testing.T) {
	b := newBench(t)
	b.start(b.config())
	var want []string
	for i := range 500 {
		b.pod(fmt.Sprint(i), true)
		want = append(want, fmt.Sprint("+", i))
	}
	for i := range 250 {
		b.api.Delete("pods", "shop", fmt.Sprint(i))
		want = append(want, fmt.Sprint("-", i))
	}
	if got := pods(b.stop()); got != strings.Join(want, " ") {
		t.Errorf("recorded %q", got)
	}
}

func TestADroppedWatchGoesOnWhereItWas(t *testing.T) {
	drops := map[string]func(*apitest.Server){
		"closed in order": (*apitest.Server).EndWatches,
		"broken off":      (*apitest.Server).CutWatches,
		"away for a while": func(s *apitest.Server) {
			s.Down(true)
			s.Put("pods", pod("c", true))
			s.Delete("pods", "shop", "c")
			s.Down(false)
		},
		"after a bookmark": func(s *apitest.Server) { s.Bookmark("pods"); s.CutWatches() },
		"replayed": func(s *apitest.Server) {
			old := s.Get("pods", "shop", "a")
			s.CutWatches()
			s.Replay("pods", "ADDED", old)
			s.Replay("pods", "DELETED", old)
		},
	}
	for name, drop := range drops {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.pod("a", true)
			b.watched(b.config())
			drop(b.api)
			b.pod("b", true)
			b.await("b", func(s State) bool { return ready(s, "b") })
			want := "+a +b"
			if name == "away for a while" {
				want = "+a +c -c +b"
			}
			events := b.stop()
			if got := pods(events); got != want {
				t.Errorf("recorded %q, want %q", got, want)
			}
			if g := gaps(events); len(g) > 0 {
				t.Errorf("gaps %v: nothing was missed, nothing was late", g)
			}
		})
	}
}

func TestAForgottenVersionIsAGapAndWhatChangedIsFound(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"gone", "changed", "replaced", "same"} {
		b.pod(name, true)
	}
	b.watched(b.config())
	b.api.Down(true)
	b.api.Delete("pods", "shop", "gone")
	b.api.Delete("pods", "shop", "replaced")
	b.pod("changed", false)
	b.pod("replaced", true) // with another uid
	b.pod("never seen", true)
	b.api.Delete("pods", "shop", "never seen")
	b.api.Forget()
	back := b.rec.Clock().Now()
	b.api.Down(false)
	b.await("the relist", func(s State) bool { return s.Get("pods", "shop", "gone") == nil })
	events := b.stop()
	if got, want := pods(events), "+changed +gone +replaced +same ~changed! -replaced +replaced -gone"; got != want {
		t.Errorf("recorded %q, want %q", got, want)
	}
	found := slices.IndexFunc(gaps(events), func(g history.Gap) bool { return g.Resource == "pods" })
	if found < 0 {
		t.Fatalf("gaps %v, want one of pods", gaps(events))
	}
	if g := gaps(events)[found]; !g.Lost || g.From > back || g.To < back || !strings.Contains(g.Why, "too old resource version") {
		t.Errorf("gap %+v, want one around %s that lost changes because the version was too old", g, back)
	}
}

// An API server that has just started answers 404 for CRDs it has not loaded, and 403 before it knows its roles (seen on a real one).
func TestAnAPIServerThatComesBackInPiecesDeletesNothing(t *testing.T) {
	b := newBench(t)
	rollout := map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": map[string]any{"name": "vault", "namespace": "shop"}}
	b.api.Put("rollouts", rollout)
	b.watched(b.config())
	b.api.Hide("rollouts", true)
	asked := b.api.Requests(http.MethodGet, "/rollouts")
	b.api.EndWatches()
	for b.api.Requests(http.MethodGet, "/rollouts") < asked+3 { // it was watched, listed and listed again in vain
		if t.Context().Err() != nil {
			t.Fatal("it was not asked for")
		}
		_ = wait.Pause(t.Context(), time.Millisecond)
	}
	b.api.Hide("rollouts", false)
	rollout["status"] = map[string]any{"phase": "Healthy"}
	b.api.Put("rollouts", rollout)
	b.await("the rollout's phase", func(s State) bool {
		u := s.Get("rollouts", "shop", "vault")
		o, err := resource.Rollouts.Typed(u)
		return err == nil && o.Phase == "Healthy"
	})
	var got []string
	events := b.stop()
	for _, e := range events {
		if e.Change != nil && e.Change.Resource == "rollouts" {
			got = append(got, e.Change.Type)
		}
	}
	if strings.Join(got, " ") != "added modified" {
		t.Errorf("recorded %q of the rollout", got)
	}
	if g := gaps(events); len(g) != 1 || g[0].Resource != "rollouts" || !g[0].Lost {
		t.Errorf("gaps %+v, want one of rollouts", g)
	}
}

func TestABlindTimeIsAGapOfLateChanges(t *testing.T) {
	b := newBench(t)
	cfg := b.config()
	cfg.Tolerance = time.Nanosecond
	b.watched(cfg)
	b.api.Down(true)
	b.pod("late", true)
	b.api.Down(false)
	b.await("the late pod", func(s State) bool { return ready(s, "late") })
	events := b.stop()
	if got := pods(events); got != "+late" {
		t.Errorf("recorded %q", got)
	}
	if !slices.ContainsFunc(gaps(events), func(g history.Gap) bool { return g.Resource == "pods" && !g.Lost && g.To > g.From && g.Why != "" }) {
		t.Errorf("gaps %+v, want one of pods in which nothing was lost", gaps(events))
	}
}

func TestASilentAPIServerIsAGapOfEverything(t *testing.T) {
	b := newBench(t)
	cfg := b.config()
	cfg.Beat, cfg.Tolerance = time.Millisecond, time.Nanosecond
	b.watched(cfg)
	b.api.Silence(true)
	b.pod("held back", true)
	asked := b.api.Requests(http.MethodGet, "/version")
	for b.api.Requests(http.MethodGet, "/version") == asked { // a question that gets no answer
		_ = wait.Pause(t.Context(), time.Millisecond)
	}
	b.api.Silence(false)
	b.await("the pod", func(s State) bool { return ready(s, "held back") })
	for !slices.ContainsFunc(gaps(b.events()), func(g history.Gap) bool { return g.Resource == "*" && !g.Lost }) {
		if t.Context().Err() != nil {
			t.Fatal("no gap of everything was recorded")
		}
		_ = wait.Pause(t.Context(), time.Millisecond)
	}
	b.stop()
}

func TestAnAPIServerThatIsGoneIsTold(t *testing.T) {
	b := newBench(t)
	cfg := b.config()
	cfg.Beat, cfg.Lost = time.Millisecond, time.Second
	b.watched(cfg)
	select {
	case <-b.o.Lost():
		t.Error("an API server that answers is told to be lost")
	default:
	}
	b.api.Down(true)
	select {
	case <-b.o.Lost():
	case <-time.After(10 * time.Second):
		t.Error("an API server that was gone for 10 s is not told to be lost after 1 s")
	}
	b.api.Down(false)
	b.pod("after it", true)
	b.await("the pod", func(s State) bool { return ready(s, "after it") })
	b.stop()
}

func TestAWatchThatStaysBehindIsAGapAtTheEnd(t *testing.T) {
	b := newBench(t)
	hold := make(chan struct{})
	b.api.Handle(http.MethodGet, "/pods", func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("watch") != "true" {
			return false
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
		return true
	})
	cfg := b.config()
	cfg.Drain = time.Second
	b.start(cfg)
	b.pod("unseen", true)
	events := b.stop()
	close(hold)
	g := gaps(events)
	if len(g) != 1 || g[0].Resource != "pods" || !g[0].Lost || !strings.Contains(g[0].Why, "pods shop/unseen") {
		t.Errorf("gaps %+v, want one that names the pod", g)
	}
}

func TestACancelledObservationIsAGapToTheEnd(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	o, err := Start(ctx, b.rec, b.config())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-o.ended
	for o.mu.RLock(); o.cancelled == 0; o.mu.RLock() { // noted by a goroutine of the context's
		o.mu.RUnlock()
		_ = wait.Pause(t.Context(), time.Millisecond)
	}
	o.mu.RUnlock()
	b.o = o
	if g := gaps(b.stop()); len(g) != 1 || g[0].Resource != "*" || !g[0].Lost {
		t.Errorf("gaps %+v, want one of everything", g)
	}
	if err := o.Await(t.Context(), "anything", time.Minute, func(State) (bool, string) { return false, "nothing" }); err == nil ||
		!strings.Contains(err.Error(), "has ended: saw last: nothing") {
		t.Errorf("a wait after the end gave %v", err)
	}
}

func TestResourcesThatAreNotServed(t *testing.T) {
	t.Run("appear later", func(t *testing.T) {
		b := newBench(t)
		b.api.Hide("rollouts", true)
		b.start(b.config())
		if got := b.o.Absent(); !slices.Equal(got, []string{"rollouts"}) {
			t.Errorf("absent are %q", got)
		}
		b.api.Put("rollouts", map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
			"metadata": map[string]any{"name": "vault", "namespace": "shop"}})
		b.api.Hide("rollouts", false)
		b.await("the rollout", func(s State) bool { return s.Get("rollouts", "shop", "vault") != nil })
		events := b.stop()
		if !slices.ContainsFunc(events, func(e history.Event) bool {
			return e.Note != nil && strings.Contains(e.Note.Text, "rollouts is not served")
		}) ||
			!slices.ContainsFunc(events, func(e history.Event) bool { return e.Change != nil && e.Change.Resource == "rollouts" }) {
			t.Error("the record lacks the note or the rollout")
		}
	})
	refusals := map[string]struct {
		cfg  func(*Config)
		api  func(*apitest.Server)
		want string
	}{
		"required":    {func(c *Config) { c.Require = []string{"rollouts"} }, func(s *apitest.Server) { s.Hide("rollouts", true) }, "list rollouts: the server could not find"},
		"built in":    {func(*Config) {}, func(s *apitest.Server) { s.Hide("pods", true) }, "list pods: the server could not find"},
		"unknown":     {func(c *Config) { c.Require = []string{"rollout"} }, func(*apitest.Server) {}, `unknown resource "rollout"`},
		"no cluster":  {func(c *Config) { c.REST = nil }, func(*apitest.Server) {}, "Config.REST is nil"},
		"unreachable": {func(c *Config) { c.Start = 20 * time.Millisecond }, func(s *apitest.Server) { s.Down(true) }, "list pods: not within 20 ms: saw last: "},
		"forbidden": {func(*Config) {}, func(s *apitest.Server) {
			s.Handle(http.MethodGet, "/nodes", func(w http.ResponseWriter, r *http.Request) bool {
				apitest.Refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, "nodes is forbidden: not for you", nil)
				return true
			})
		}, "list nodes: nodes is forbidden"},
	}
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			cfg := b.config()
			c.cfg(&cfg)
			c.api(b.api)
			o, err := Start(t.Context(), b.rec, cfg)
			if o != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Start gave %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestOnlyTheNamespacesAskedFor(t *testing.T) {
	b := newBench(t)
	other := pod("other", true)
	other["metadata"].(map[string]any)["namespace"] = "elsewhere"
	b.api.Put("pods", other)
	b.pod("mine", true)
	b.api.Put("nodes", map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n1"}})
	cfg := b.config()
	cfg.Namespaces = []string{"shop"}
	b.start(cfg)
	b.await("the node", func(s State) bool { return s.Get("nodes", "", "n1") != nil })
	if got := pods(b.stop()); got != "+mine" {
		t.Errorf("recorded %q", got)
	}
}

func TestEventsOfBeforeTheRunAreNotRecorded(t *testing.T) {
	b := newBench(t)
	event := func(name, reason string) {
		b.api.Put("events", map[string]any{"apiVersion": "v1", "kind": "Event", "reason": reason,
			"metadata": map[string]any{"name": name, "namespace": "shop"}, "involvedObject": map[string]any{"kind": "Pod", "name": "a"}})
	}
	event("old", "Scheduled")
	b.start(b.config())
	event("new", "Killing")
	b.api.Delete("events", "shop", "old")
	var got []string
	for _, e := range b.stop() {
		if e.Change != nil && e.Change.Resource == "events" {
			got = append(got, e.Change.Type+" "+string(e.Change.Object))
		}
	}
	if want := `added {"reason":"Killing","involved":{"kind":"Pod","name":"a","uid":""}}`; len(got) != 1 || got[0] != want {
		t.Errorf("recorded events %q, want %q", got, want)
	}
}

func TestAwaitSaysWhatItSawLast(t *testing.T) {
	b := newBench(t)
	b.start(b.config())
	never := func(State) (bool, string) { return false, "2 of 3 pods Ready" }
	err := b.o.Await(t.Context(), "three pods", time.Millisecond, never)
	if want := "wait for three pods: not within 1 ms: saw last: 2 of 3 pods Ready"; err == nil || err.Error() != want {
		t.Errorf("Await gave %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted"))
	if err := b.o.Await(ctx, "three pods", time.Minute, never); err == nil || !strings.Contains(err.Error(), "interrupted: saw last: 2 of 3") {
		t.Errorf("a cancelled Await gave %v", err)
	}
	n := 0
	for i := range 3 {
		b.pod(fmt.Sprint(i), true)
	}
	if err := b.o.Await(t.Context(), "three pods", 10*time.Second, func(s State) (bool, string) {
		n = 0
		for range s.All("pods", "shop") {
			n++
		}
		return n == 3, fmt.Sprint(n)
	}); err != nil {
		t.Error(err)
	}
	b.stop()
}

func TestARecordThatFailsIsSaid(t *testing.T) {
	b := newBench(t)
	b.start(b.config())
	if err := b.rec.Abandon(); err != nil {
		t.Fatal(err)
	}
	b.pod("a", true)
	if err := b.o.Stop(); err == nil || !strings.Contains(err.Error(), "the record is closed") {
		t.Errorf("Stop gave %v, want the record's error", err)
	}
}

func TestAnObjectThatCannotBeReadIsSaid(t *testing.T) {
	b := newBench(t)
	b.start(b.config())
	odd := pod("odd", true)
	odd["spec"] = "a string"
	b.api.Put("pods", odd)
	events := b.stop()
	if !slices.ContainsFunc(events, func(e history.Event) bool {
		return e.Note != nil && strings.Contains(e.Note.Text, "pods shop/odd at version")
	}) ||
		pods(events) != "+odd?" {
		t.Errorf("recorded %q and no note of it", pods(events))
	}
}

func TestEveryGoroutineEnds(t *testing.T) {
	b := newBench(t)
	b.pod("a", true)
	b.start(b.config())
	b.stop()
	b.stop() // once more changes nothing
	var stacks bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
		t.Fatal(err)
	}
	for _, g := range strings.Split(stacks.String(), "\n\n") {
		if strings.Contains(g, "observe.(*feed)") || strings.Contains(g, "observe.(*Observer)") {
			t.Errorf("left behind: %s", g)
		}
	}
}

// A kind on demand is asked of no cluster that nobody named it for: most do not serve it, or do not let it be listed.
func TestAKindOnDemandIsObservedWhereItIsNamed(t *testing.T) {
	for _, required := range []bool{false, true} {
		t.Run(fmt.Sprint("named: ", required), func(t *testing.T) {
			b := newBench(t)
			b.api.Put("statefulsets", map[string]any{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": map[string]any{"name": "db", "namespace": "shop"}})
			b.api.Put("clusters", map[string]any{"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": map[string]any{"name": "db", "namespace": "shop"}})
			cfg := b.config()
			if required {
				cfg.Require = []string{resource.StatefulSets.Name, resource.PostgresClusters.Name}
			}
			b.start(cfg)
			var got []string
			for _, e := range b.stop() {
				if e.Change != nil {
					got = append(got, e.Change.Resource)
				}
			}
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(cfg.Require)); !slices.Equal(got, want) {
				t.Errorf("observed %q, want %q", got, want)
			}
			if asked := b.api.Requests(http.MethodGet, "/statefulsets") > 0; asked != required {
				t.Errorf("asked for statefulsets: %v", asked)
			}
		})
	}
}

// One that is named and not served is no observation.
func TestAKindOnDemandMustBeServedWhereItIsNamed(t *testing.T) {
	b := newBench(t)
	b.api.Hide("clusters", true)
	cfg := b.config()
	cfg.Require = []string{resource.PostgresClusters.Name}
	if o, err := Start(t.Context(), b.rec, cfg); err == nil {
		_ = o.Stop()
		t.Error("a cluster without the CRD was observed all the same")
	}
}
