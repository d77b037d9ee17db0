package disrupt

import (
	"cmp"
	"context"
	"fmt"
	"go/constant"
	"go/types"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"golang.org/x/tools/go/packages"

	"bitvault.dev/rollproof/harness/history"
)

// noop is a disturbance whose injection is taken away: everybody it asks says yes, and nobody does anything.
type noop struct {
	name  string
	of    func(bound time.Duration) Disturbance // bound is how long it may take to be seen
	stage func(*bench)                          // what makes it land
	spoil func(*bench)                          // what takes the injection away
	// touches is what it says that it changes itself: what happens to anything else, somebody else did.
	touches string
}

// pretend answers a request of a method with yes, and does nothing.
func pretend(method string, code int, suffixes ...string) func(*bench) {
	return func(b *bench) {
		for _, suffix := range suffixes {
			b.api.Handle(method, suffix, func(w http.ResponseWriter, r *http.Request) bool {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return false
				}
				if method != http.MethodPut { // an update is answered with the object
					body = []byte(`{"kind":"Status","apiVersion":"v1","status":"Success"}`)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(code)
				_, _ = w.Write(body)
				return true
			})
		}
	}
}

// pretendPatched answers a patch with an object, and changes nothing.
func pretendPatched(suffix, object string) func(*bench) {
	return func(b *bench) {
		b.api.Handle(http.MethodPatch, suffix, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, object)
			return true
		})
	}
}

// deaf is a node that says that it sent every signal and sends none.
type deaf struct{ node NodeExec }

func (d deaf) NodeExec(ctx context.Context, node string, cmd ...string) ([]byte, error) {
	if cmd[0] == "kill" {
		return nil, nil
	}
	return d.node.NodeExec(ctx, node, cmd...)
}

func deafen(b *bench) { b.env.Nodes = deaf{b.env.Nodes} }

// short is as long as a no-op is given: nothing would show however long it was waited for.
const short = 300 * time.Millisecond

func onePod(b *bench) {
	b.replicaSet(1)
	b.put("pods", podYAML, "a", "ReplicaSet")
}

func kill(how How) func(time.Duration) Disturbance {
	return func(bound time.Duration) Disturbance {
		return KillPod{Namespace: "shop", Selector: "app=vault", How: how, Bound: bound}
	}
}

func release(bound time.Duration) Release {
	return Release{Namespace: "shop", Workload: "vault", Version: "v2", Image: digest, Args: []string{"-version=v2"}, Bound: bound}
}

func rolling(b *bench) { b.play(b.workload("Rollout").step) }

func drained(bound time.Duration) Disturbance {
	return Drain{Node: "n1", Retry: time.Millisecond, Budget: bound}
}

func emptied(b *bench) { b.node(); b.kubelet("a", "b") }

func switchedOff(bound time.Duration) Disturbance { return StopNode{Node: "n1", Notice: bound} }

// noops has every disturbance, with each of the ways it acts by.
func noops() []noop {
	return []noop{
		{"release", func(d time.Duration) Disturbance { return release(d) }, rolling, pretend(http.MethodPut, http.StatusOK, "/vault"),
			"changes rollouts shop/vault"},
		{"regression", func(d time.Duration) Disturbance { return Regression{release(d), history.Fault{Status: 500}} }, rolling, pretend(http.MethodPut, http.StatusOK, "/vault"),
			"changes rollouts shop/vault"},
		{"scale-in", func(bound time.Duration) Disturbance {
			return ScaleIn{Workload: history.Workload{Namespace: "shop", Kind: "Rollout", Name: "vault"}, To: 2, Bound: bound}
		}, func(b *bench) { fourPods(b, "Rollout").control("Rollout") }, pretendPatched("/vault", `{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout"}`), "changes rollouts shop/vault"},
		{"rolling update of a StatefulSet", func(bound time.Duration) Disturbance {
			return Roll{Workload: db, Annotations: map[string]string{"rolled": "1"}, Bound: bound}
		}, func(b *bench) { b.play(b.statefulSet("{type: RollingUpdate}").step) }, pretend(http.MethodPut, http.StatusOK, "/statefulsets/db"),
			"changes statefulsets shop/db, replaces pods shop/db-0, replaces pods shop/db-1, replaces pods shop/db-2"},
		{"rolling update of a Deployment", func(d time.Duration) Disturbance { return rollVault(d) }, func(b *bench) { b.play(b.deployment().step) },
			pretend(http.MethodPut, http.StatusOK, "/vault"), "replaces pods shop/vault-eef9f252-x, changes deployments shop/vault"},
		{"rolling update by an operator", func(bound time.Duration) Disturbance { return parameter("8", bound) },
			func(b *bench) { b.play(b.operated().step) }, pretendPatched("/clusters/db", `{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","metadata":{"generation":2}}`),
			"changes clusters.postgresql.cnpg.io shop/db, replaces pods shop/db-0, restarts pods shop/db-0, replaces pods shop/db-1, restarts pods shop/db-1, " +
				"replaces pods shop/db-2, restarts pods shop/db-2"},
		{"switchover", func(bound time.Duration) Disturbance {
			// Who leads is what the operator took last: the object's own word.
			s := (&operator{}).switchover(bound)
			s.Leader = func(ctx context.Context, e *Env) (*corev1.Pod, error) {
				u, err := s.get(ctx, e)
				if err != nil {
					return nil, err
				}
				name, _, _ := unstructured.NestedString(u.Object, "status", "targetPrimary")
				return e.Kube.CoreV1().Pods("shop").Get(ctx, cmp.Or(name, "db-0"), metav1.GetOptions{})
			}
			return s
		}, func(b *bench) { b.operated() }, pretendPatched("/clusters/db/status", `{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster"}`),
			"changes clusters.postgresql.cnpg.io shop/db, restarts pods shop/db-0"},
		{"node-loss without a stop", switchedOff, func(b *bench) { walled(b) }, func(b *bench) { b.env.Power.(*wall).deaf = true }, ""},
		{"node-loss that the node survives", switchedOff, func(b *bench) { walled(b) }, func(b *bench) { b.env.Power.(*wall).blind = true }, ""},
		{"drain without a cordon", drained, emptied, pretendPatched("/n1", `{"apiVersion":"v1","kind":"Node"}`), "changes nodes /n1"},
		{"drain without an eviction", drained, emptied, pretend(http.MethodPost, http.StatusCreated, "/a/eviction", "/b/eviction"), "changes nodes /n1"},
		{"evict-each", func(bound time.Duration) Disturbance {
			return EvictEach{Workload: db, Selector: "app=vault", Budget: bound, Retry: time.Millisecond}
		}, func(b *bench) { b.replicaSet(2); b.node(); b.kubelet("a", "b", "daemon") }, pretend(http.MethodPost, http.StatusCreated, "/a/eviction", "/b/eviction"), ""},
		{"deleted", kill(Deleted), func(b *bench) { onePod(b); b.kubelet("a") }, pretend(http.MethodDelete, http.StatusOK, "/pods/a"), "ends pods shop/a"},
		{"force-deleted", kill(ForceDeleted), onePod, pretend(http.MethodDelete, http.StatusOK, "/pods/a"), "ends pods shop/a"},
		{"killed", kill(Killed), func(b *bench) {
			onePod(b)
			b.env.Nodes = &shell{pid: "4711", kill: func() { b.put("pods", "%s", strings.ReplaceAll(endedYAML, "%d", "137")) }}
		}, deafen, "restarts pods shop/a"},
		{"freeze", func(time.Duration) Disturbance {
			return Freeze{Namespace: "shop", Selector: "app=vault", For: time.Millisecond}
		}, func(b *bench) { onePod(b); b.env.Nodes = &kernel{state: "S"} }, deafen, "restarts pods shop/a"},
		{"readiness-lost", func(bound time.Duration) Disturbance {
			u := lose
			u.Notice = bound
			return u
		}, func(b *bench) {
			s := &turning{}
			b.api.Handle(http.MethodGet, "/proxy/readyz", func(w http.ResponseWriter, _ *http.Request) bool {
				if s.isOff() {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return true
			})
			onePod(b)
			b.env.Nodes = s
			b.play(func() {
				if s.isOff() {
					b.api.Put("pods", unready(b.api.Get("pods", "shop", "a")))
				} else {
					b.put("pods", podYAML, "a", "ReplicaSet")
				}
			})
		}, deafen, ""},
	}
}

// Without its injection a disturbance does not land, although everybody said yes; with it the same one lands.
func TestANoOpDoesNotLand(t *testing.T) {
	for _, n := range noops() {
		t.Run(n.name, func(t *testing.T) {
			t.Run("injected", func(t *testing.T) {
				b := newBench(t)
				n.stage(b)
				if err := b.env.Perform(t.Context(), n.of(time.Minute)); err != nil {
					t.Fatal(err)
				}
				if got := b.tape.last(); got != history.Landed {
					t.Errorf("its last phase is %s: what its no-op shows would be for nothing", got)
				}
				if got := b.tape.touched(); got != n.touches {
					t.Errorf("it says that it %s, want %s", got, n.touches)
				}
			})
			t.Run("no-op", func(t *testing.T) {
				b := newBench(t)
				n.stage(b)
				n.spoil(b)
				ctx, cancel := context.WithTimeout(t.Context(), 3*short) // for what has a bound of its own
				defer cancel()
				err := b.env.Perform(ctx, n.of(short))
				if got := b.tape.last(); err == nil || got != history.Failed || strings.Contains(b.tape.phases(), string(history.Landed)) {
					t.Errorf("nothing was done, and it says %q: error %v, evidence %q", b.tape.phases(), err, b.tape.evidence(history.Landed))
				}
			})
		})
	}
}

// touched is what the last phase says was changed, as words.
func (r *tape) touched() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, touch := range r.events[len(r.events)-1].Disturbance.Touched {
		if touch.UID == "" && touch.Resource != "nodes" { // a node has no other of its name
			touch.Name += " of no uid"
		}
		all = append(all, fmt.Sprintf("%s %s %s/%s", touch.Effect, touch.Resource, touch.Namespace, touch.Name))
	}
	return strings.Join(all, ", ")
}

// What a disturbance writes it writes as Manager, also what it puts back: somebody else who writes the same object meanwhile has another name.
func TestDisturbancesWriteAsThemselves(t *testing.T) {
	cases := map[string]struct {
		do     Disturbance
		stage  func(*bench)
		method string
		suffix string
	}{
		"release": {release(time.Minute), rolling, http.MethodPut, "/vault"},
		"drain":   {drained(time.Minute), emptied, http.MethodPatch, "/n1"},
		"scale-in": {ScaleIn{Workload: history.Workload{Namespace: "shop", Kind: "Rollout", Name: "vault"}, To: 2},
			func(b *bench) { fourPods(b, "Rollout").control("Rollout") }, http.MethodPatch, "/vault"},
		"rolling update of a StatefulSet": {Roll{Workload: db, Annotations: map[string]string{"rolled": "1"}, Revert: true},
			func(b *bench) { b.play(b.statefulSet("{type: RollingUpdate}").step) }, http.MethodPut, "/statefulsets/db"},
		"rolling update of a Deployment": {RollDeployment{Release{Namespace: "shop", Workload: "vault", Version: "v2", Image: digest, Args: []string{"-version=v2"}, Revert: true}},
			func(b *bench) { b.play(b.deployment().step) }, http.MethodPut, "/vault"},
		"rolling update by an operator": {RollOperated{Operated: keeps, Patch: parameter("8", 0).Patch, Revert: true},
			func(b *bench) { b.play(b.operated().step) }, http.MethodPatch, "/clusters/db"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c.stage(b)
			var managers []string
			b.api.Handle(c.method, c.suffix, func(_ http.ResponseWriter, r *http.Request) bool {
				managers = append(managers, r.URL.Query().Get("fieldManager"))
				return false
			})
			if err := b.env.Perform(t.Context(), c.do); err != nil {
				t.Fatal(err)
			}
			b.heal()
			if len(managers) < 2 || slices.ContainsFunc(managers, func(m string) bool { return m != Manager }) {
				t.Errorf("written as %q, want %s for what it did and what it undid", managers, Manager)
			}
		})
	}
}

// last is the last phase that was recorded.
func (r *tape) last() history.Phase {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range slices.Backward(r.events) {
		if e.Disturbance != nil {
			return e.Disturbance.Phase
		}
	}
	return ""
}

// Whatever can be performed has a no-op above: every type of this package that does something, and every way to end a pod.
func TestEveryDisturbanceHasANoOp(t *testing.T) {
	var types, ways []string
	for _, n := range noops() {
		d := n.of(short)
		types = append(types, reflect.TypeOf(d).Name())
		if k, ok := d.(KillPod); ok {
			ways = append(ways, string(k.How))
		}
	}
	doers, hows := declared(t)
	for _, name := range doers {
		if !slices.Contains(types, name) {
			t.Errorf("%s has no no-op: nobody has seen its evidence fail", name)
		}
	}
	for _, how := range hows {
		if !slices.Contains(ways, how) {
			t.Errorf("a pod that is %s has no no-op", how)
		}
	}
	if len(doers) < 6 || len(hows) < 3 {
		t.Errorf("found only %v and %v: this test looks in the wrong place", doers, hows)
	}
}

// declared is the types of this package that have a method Do, and the values of How.
func declared(t *testing.T) (doers, hows []string) {
	t.Helper()
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedTypes | packages.NeedImports}, ".")
	if err != nil || len(loaded) != 1 || len(loaded[0].Errors) > 0 {
		t.Fatalf("load this package: %v, %v", loaded, err)
	}
	scope := loaded[0].Types.Scope()
	for _, name := range scope.Names() {
		switch object := scope.Lookup(name).(type) {
		case *types.TypeName:
			if does, _, _ := types.LookupFieldOrMethod(object.Type(), true, loaded[0].Types, "Do"); does != nil && !types.IsInterface(object.Type()) {
				doers = append(doers, name)
			}
		case *types.Const:
			if kind, is := object.Type().(*types.Named); is && kind.Obj().Name() == "How" {
				hows = append(hows, constant.StringVal(object.Val()))
			}
		}
	}
	return doers, hows
}
