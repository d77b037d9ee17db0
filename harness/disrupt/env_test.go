package disrupt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/observe/apitest"
	"bitvault.dev/rollproof/harness/wait"
)

// tape is a record in memory.
type tape struct {
	mu     sync.Mutex
	events []history.Event
	fail   error
}

func (r *tape) Append(e history.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail == nil {
		r.events = append(r.events, e)
	}
	return r.fail
}

// phases is the recorded phases as words: "drain-1 began, drain-1 landed".
func (r *tape) phases() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var words []string
	for _, e := range r.events {
		if e.Disturbance != nil {
			words = append(words, e.Disturbance.ID+" "+string(e.Disturbance.Phase))
		}
	}
	return strings.Join(words, ", ")
}

// evidence is all the evidence of a phase as text.
func (r *tape) evidence(phase history.Phase) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := ""
	for _, e := range r.events {
		if e.Disturbance != nil && e.Disturbance.Phase == phase {
			for _, ev := range e.Disturbance.Evidence {
				text += ev.What + ": " + ev.Saw + "\n"
			}
		}
	}
	return text
}

func (r *tape) evictions() []history.Eviction {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []history.Eviction
	for _, e := range r.events {
		if e.Eviction != nil {
			all = append(all, *e.Eviction)
		}
	}
	return all
}

// bench is a cluster to disturb.
type bench struct {
	*testing.T
	api  *apitest.Server
	tape *tape
	env  *Env
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, api: apitest.New(), tape: &tape{}}
	t.Cleanup(b.api.Close)
	var err error
	if b.env, err = NewEnv(b.api.Config(), b.tape, allowed, nil); err != nil {
		t.Fatal(err)
	}
	b.env.Poll = time.Millisecond
	return b
}

var allowed = GuardFunc(func(context.Context, string) error { return nil })

// put stores objects written as YAML, one a document.
func (b *bench) put(resource, objects string, args ...any) {
	b.Helper()
	for doc := range strings.SplitSeq(fmt.Sprintf(objects, args...), "---") {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
			b.Fatal(err)
		}
		b.api.Put(resource, object)
	}
}

// play runs a controller's part of the cluster until the test ends.
func (b *bench) play(step func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for wait.Pause(ctx, time.Millisecond) == nil {
			step()
		}
	})
	b.Cleanup(func() { cancel(); done.Wait() })
}

// kubelet removes pods that are terminating.
func (b *bench) kubelet(names ...string) {
	b.play(func() {
		for _, name := range names {
			if u := b.api.Get("pods", "shop", name); u != nil && u.GetDeletionTimestamp() != nil {
				b.api.Delete("pods", "shop", name)
			}
		}
	})
}

func (b *bench) heal() {
	b.Helper()
	if err := b.env.Heal(context.Background()); err != nil {
		b.Error(err)
	}
}

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error lacks %q: %v", w, err)
		}
	}
}

// trick is a disturbance that does what a test wants.
type trick struct {
	do func(context.Context, *Act) ([]history.Evidence, error)
}

func (trick) Name() string                                                 { return "trick" }
func (trick) Target() string                                               { return "nothing" }
func (trick) Namespaces(context.Context, *Env) ([]string, error)           { return []string{"shop"}, nil }
func (d trick) Do(ctx context.Context, a *Act) ([]history.Evidence, error) { return d.do(ctx, a) }

var proof = []history.Evidence{{What: "it", Saw: "happened"}}

func TestPhases(t *testing.T) {
	cases := []struct {
		name string
		do   func(context.Context, *Act) ([]history.Evidence, error)
		want string
		err  string
	}{
		{"with evidence", func(context.Context, *Act) ([]history.Evidence, error) { return proof, nil },
			"trick-1 began, trick-1 landed", ""},
		{"without evidence", func(context.Context, *Act) ([]history.Evidence, error) { return nil, nil },
			"trick-1 began, trick-1 failed", "nothing shows that it happened"},
		{"with evidence that says nothing", func(context.Context, *Act) ([]history.Evidence, error) { return []history.Evidence{{What: "it"}}, nil },
			"trick-1 began, trick-1 failed", "nothing shows that it happened"},
		{"with an error and evidence", func(context.Context, *Act) ([]history.Evidence, error) { return proof, errors.New("broken") },
			"trick-1 began, trick-1 failed", "trick of nothing: broken"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			err := b.env.Perform(t.Context(), trick{c.do})
			if got := b.tape.phases(); got != c.want {
				t.Errorf("phases %q, want %q", got, c.want)
			}
			if c.err == "" && err != nil {
				t.Error(err)
			} else if c.err != "" {
				says(t, err, c.err)
			}
		})
	}
}

func TestNothingIsTouchedWithoutLeave(t *testing.T) {
	cases := map[string]struct {
		guard Guard
		fail  error
		d     Disturbance
		want  string
	}{
		"no guard":         {nil, nil, nil, "there is no guard"},
		"the guard":        {GuardFunc(func(_ context.Context, ns string) error { return errors.New(ns + " is not annotated") }), nil, nil, `refuses namespace "shop": shop is not annotated`},
		"a dead record":    {allowed, errors.New("disk full"), nil, "not begun: record that trick-1 began: disk full"},
		"no pod on a node": {allowed, nil, Drain{Node: "n1"}, "no pod is there to be evicted"},
		"no node":          {allowed, nil, Drain{}, "name a node"},
		"no pod":           {allowed, nil, KillPod{Namespace: "shop", How: Deleted}, "either a pod or a selector"},
		"no way to end":    {allowed, nil, KillPod{Namespace: "shop", Pod: "a", How: "hugged"}, `unknown way to end a pod "hugged"`},
		"no version":       {allowed, nil, Release{Namespace: "shop", Workload: "vault"}, "a workload and a version"},
		"a tag":            {allowed, nil, Release{Namespace: "shop", Workload: "vault", Version: "v2", Image: "vault:v2"}, "has no digest"},
		"a strange kind":   {allowed, nil, Release{Namespace: "shop", Workload: "vault", Version: "v2", Kind: "Pod"}, `unknown kind of workload "Pod"`},
		"no fault":         {allowed, nil, Regression{Release: Release{Namespace: "shop", Workload: "vault", Version: "v2"}}, "switches no fault on"},
		"no kind of fault": {allowed, nil, Regression{Release: Release{Namespace: "shop", Workload: "vault", Version: "v2", Args: []string{"-x"}}}, "say which status"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.env.Guard, b.tape.fail = c.guard, c.fail
			done := false
			if c.d == nil {
				c.d = trick{func(context.Context, *Act) ([]history.Evidence, error) { done = true; return proof, nil }}
			}
			says(t, b.env.Perform(t.Context(), c.d), c.want)
			if done || b.tape.phases() != "" {
				t.Errorf("it was done: %v, phases %q", done, b.tape.phases())
			}
			for _, method := range []string{"PUT", "PATCH", "POST", "DELETE"} {
				if n := b.api.Requests(method, ""); n > 0 {
					t.Errorf("%d %s requests", n, method)
				}
			}
		})
	}
}

func TestHealingRunsAfterAPanicAndAfterCtrlC(t *testing.T) {
	b := newBench(t)
	var healed []string
	leave := func(a *Act, what string, err error) {
		a.OnHeal(what, time.Minute, func(ctx context.Context) ([]history.Evidence, error) {
			healed = append(healed, what)
			if ctx.Err() != nil {
				t.Errorf("%s is healed with a context that has ended", what)
			}
			if err == nil && what == "third" {
				panic("a healer that panics")
			}
			return proof, err
		})
	}
	func() {
		defer func() {
			if p := recover(); p != "in the middle" {
				t.Errorf("recovered %v, want the panic to go on", p)
			}
		}()
		_ = b.env.Perform(t.Context(), trick{func(_ context.Context, a *Act) ([]history.Evidence, error) {
			leave(a, "first", nil)
			panic("in the middle")
		}})
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err := b.env.Perform(ctx, trick{func(ctx context.Context, a *Act) ([]history.Evidence, error) {
		leave(a, "second", errors.New("stuck"))
		leave(a, "third", nil)
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	says(t, err, "context canceled")
	if due := b.env.Due(); len(due) != 3 || due[0] != "trick of nothing: third" {
		t.Errorf("due are %q", due)
	}

	err = b.env.Heal(context.Background())
	says(t, err, "second: stuck", "third: panic: a healer that panics")
	if !slices.Equal(healed, []string{"third", "second", "first"}) {
		t.Errorf("healed %q, want all, the latest first", healed)
	}
	if got, want := b.tape.phases(), "trick-1 began, trick-1 failed, trick-2 began, trick-2 failed, trick-2 unhealed, trick-2 unhealed, trick-1 healed"; got != want {
		t.Errorf("phases %q, want %q", got, want)
	}
	if !strings.Contains(b.tape.evidence(history.Failed), "panic: in the middle") {
		t.Errorf("the panic is not in the record: %s", b.tape.evidence(history.Failed))
	}
	b.heal()
	if len(healed) != 3 || len(b.env.Due()) != 0 {
		t.Errorf("healing once more healed again: %q", healed)
	}
}

func TestAHealerThatHangsIsBoundAndTheOthersRun(t *testing.T) {
	b := newBench(t)
	healed := false
	err := b.env.Perform(t.Context(), trick{func(_ context.Context, a *Act) ([]history.Evidence, error) {
		a.OnHeal("quick", time.Minute, func(context.Context) ([]history.Evidence, error) { healed = true; return proof, nil })
		a.OnHeal("hangs", time.Millisecond, func(ctx context.Context) ([]history.Evidence, error) { <-ctx.Done(); return nil, ctx.Err() })
		return proof, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	says(t, b.env.Heal(t.Context()), "hangs: context deadline exceeded")
	if !healed {
		t.Error("the healer below the one that hung did not run")
	}
}

func TestHealingGivenUpSaysWhatIsLeft(t *testing.T) {
	b := newBench(t)
	if err := b.env.Perform(t.Context(), trick{func(_ context.Context, a *Act) ([]history.Evidence, error) {
		a.OnHeal("uncordon the node", time.Minute, func(context.Context) ([]history.Evidence, error) { t.Error("it was tried"); return nil, nil })
		return proof, nil
	}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted twice"))
	says(t, b.env.Heal(ctx), "uncordon the node: not tried: interrupted twice")
	if !strings.Contains(b.tape.phases(), "unhealed") {
		t.Errorf("phases %q", b.tape.phases())
	}
}

func unready(u *unstructured.Unstructured) map[string]any {
	unstructured.RemoveNestedField(u.Object, "status", "conditions")
	return u.Object
}
