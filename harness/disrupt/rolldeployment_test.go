package disrupt

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/history"
)

// deployer is a Deployment of one pod, and its controller.
type deployer struct {
	*controller
	mu    sync.Mutex
	stays bool // a pod of before is never taken away
}

func (b *bench) deployment() *deployer {
	d := &deployer{controller: b.workload("Deployment")}
	d.step()
	b.api.Handle(http.MethodGet, "/deployments/vault", func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(d.told()) == nil
	})
	return d
}

func (d *deployer) stay(stays bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stays = stays
}

// newest is the UID of the ReplicaSet of the highest number.
func (d *deployer) newest() string {
	sets := d.sets()
	return string(slices.MaxFunc(sets, func(a, b *unstructured.Unstructured) int {
		return strings.Compare(a.GetAnnotations()[d.revision], b.GetAnnotations()[d.revision])
	}).GetUID())
}

// step makes the pods of the newest ReplicaSet Ready, and takes the others away.
func (d *deployer) step() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.controller.step()
	newest := d.newest()
	for _, pod := range d.api.All("pods") {
		if string(pod.GetOwnerReferences()[0].UID) == newest {
			if conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions"); len(conditions) == 0 && d.waiting == "" {
				pod = pod.DeepCopy()
				if err := unstructured.SetNestedSlice(pod.Object, []any{map[string]any{"type": "Ready", "status": "True"}}, "status", "conditions"); err == nil {
					d.api.Put("pods", pod.Object)
				}
			}
		} else if !d.stays {
			d.api.Delete("pods", "shop", pod.GetName())
		}
	}
}

// told is the Deployment with what its controller says of it.
func (d *deployer) told() map[string]any {
	u := d.api.Get("deployments", "shop", "vault")
	all := d.api.All("pods")
	updated := 0
	for _, pod := range all {
		if string(pod.GetOwnerReferences()[0].UID) == d.newest() {
			updated++
		}
	}
	u.Object["status"] = map[string]any{"observedGeneration": u.GetGeneration(), "replicas": len(all), "updatedReplicas": updated, "availableReplicas": updated}
	return u.Object
}

func rollVault(bound time.Duration) RollDeployment {
	return RollDeployment{Release{Namespace: "shop", Workload: "vault", Version: "v2", Image: digest, Args: []string{"-version=v2"}, Bound: bound}}
}

func TestARollingUpdateOfADeploymentLandsWhenAllOfItIsNew(t *testing.T) {
	for name, revert := range map[string]bool{"it stays": false, "it is taken back": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			d := b.deployment()
			old := b.uids()
			before := d.args()
			b.play(d.step)
			r := rollVault(time.Minute)
			r.Revert = revert
			if err := b.env.Perform(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if got, want := d.args(), digest+"[-version=v2 -entries=5 -verbose]"; got != want {
				t.Errorf("the Deployment has %s, want %s", got, want)
			}
			saw := b.tape.evidence(history.Landed)
			for _, uid := range b.uids() {
				if slices.Contains(old, uid) || !strings.Contains(saw, "uid "+uid+", Ready true") {
					t.Errorf("pod %s is an old one, or no evidence: %s", uid, saw)
				}
			}
			if e := b.tape.events[0].Disturbance; e.Name != RollName || e.Workload != (history.Workload{Namespace: "shop", Kind: "Deployment", Name: "vault"}) || e.Target != "deployment shop/vault to v2" {
				t.Errorf("recorded as %s of %s, %s", e.Name, e.Workload, e.Target)
			}
			b.heal()
			if got := d.args(); (got == before) != revert {
				t.Errorf("healed, the Deployment has %s", got)
			}
			if saw := b.tape.evidence(history.Healed); !strings.Contains(saw, "1 of 1 available, 1 of the newest template, 1 in all") {
				t.Errorf("healed: %q", saw)
			}
		})
	}
}

func TestRollingUpdatesOfADeploymentThatDoNotLand(t *testing.T) {
	cases := map[string]struct {
		roll  func(*RollDeployment)
		stage func(*deployer)
		want  string // of the error; "" where it was waited for in vain
	}{
		"a pod of before stays":          {nil, func(d *deployer) { d.stay(true) }, ""},
		"the new pod does not start":     {nil, func(d *deployer) { d.waiting = "CrashLoopBackOff" }, ""},
		"the pods run another image":     {nil, func(d *deployer) { d.image = "registry/vault@sha256:3333" }, ""},
		"nobody does anything":           {nil, func(d *deployer) { d.idle = true }, ""},
		"the template is so already":     {func(r *RollDeployment) { r.Image, r.Version, r.Args = "", "v1", []string{"-version=v1"} }, nil, "has this template already"},
		"no such Deployment":             {func(r *RollDeployment) { r.Workload = "other" }, nil, "get Deployment other"},
		"no such container":              {func(r *RollDeployment) { r.Container = "none" }, nil, "has no container none"},
		"somebody else releases as well": {nil, func(d *deployer) { d.version = "v9" }, "somebody else releases too"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			d := b.deployment()
			before := d.args()
			r := rollVault(short)
			if c.roll != nil {
				c.roll(&r)
			}
			if c.stage != nil {
				c.stage(d)
			}
			b.play(d.step)
			refusedOrVain(t, b.env.Perform(t.Context(), r), c.want)
			if got := b.tape.last(); got != history.Failed {
				t.Errorf("its last phase is %s", got)
			}
			if c.want == "" && !d.idle {
				d.mu.Lock()
				d.stays, d.waiting, d.image = false, "", ""
				d.mu.Unlock()
				b.heal() // what did not land is taken back
				if got := d.args(); got != before {
					t.Errorf("healed, the Deployment has %s, before %s", got, before)
				}
			}
		})
	}
}

func TestBadRollingUpdatesOfADeployment(t *testing.T) {
	for want, change := range map[string]func(*RollDeployment){
		"want Deployment":                      func(r *RollDeployment) { r.Kind = "StatefulSet" },
		"nothing would be updated":             func(r *RollDeployment) { r.Image, r.Args = "", nil },
		"has no digest":                        func(r *RollDeployment) { r.Image = "registry/vault:v2" },
		"name a namespace, a workload and a v": func(r *RollDeployment) { r.Version = "" },
	} {
		r := rollVault(0)
		change(&r)
		if _, err := r.Namespaces(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
}
