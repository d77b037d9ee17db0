package disrupt

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/observe/apitest"
)

const podYAML = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: shop, labels: {app: vault}, ownerReferences: [{apiVersion: apps/v1, kind: %[2]s, name: rs, uid: rs-uid, controller: true}]}
spec: {nodeName: n1, containers: [{name: app}]}
status:
  phase: Running
  conditions: [{type: Ready, status: "True"}]
  containerStatuses: [{name: app, containerID: "containerd://c1", imageID: i, state: {running: {}}}]
`

// node is a node with two pods that can be evicted, one of a DaemonSet and a static one.
func (b *bench) node() {
	b.put("nodes", "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {}}")
	b.put("pods", podYAML, "a", "ReplicaSet")
	b.put("pods", podYAML, "b", "ReplicaSet")
	b.put("pods", podYAML, "daemon", "DaemonSet")
	b.put("pods", "{apiVersion: v1, kind: Pod, metadata: {name: static, namespace: kube-system, annotations: {kubernetes.io/config.mirror: x}}, spec: {nodeName: n1}}")
	b.put("pods", "{apiVersion: v1, kind: Pod, metadata: {name: elsewhere, namespace: shop}, spec: {nodeName: n2}}")
}

func (b *bench) cordoned() bool {
	spec, _ := b.api.Get("nodes", "", "n1").Object["spec"].(map[string]any)
	return spec["unschedulable"] == true
}

// budget refuses the evictions of a pod, as a budget does, the number of times given; forever when negative.
func (b *bench) budget(pod string, times int) {
	b.put("poddisruptionbudgets", `
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: vault, namespace: shop}, spec: {selector: {matchLabels: {app: vault}}},
  status: {disruptionsAllowed: 0, currentHealthy: 3, desiredHealthy: 3, expectedPods: 3}}`)
	b.api.Handle(http.MethodPost, "/"+pod+"/eviction", func(w http.ResponseWriter, r *http.Request) bool {
		if times == 0 {
			return false
		}
		times--
		w.Header().Set("Retry-After", "1") // client-go alone would sleep and ask again, and tell nobody
		apitest.Refuse(w, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "Cannot evict pod as it would violate the pod's disruption budget.",
			map[string]any{"causes": []any{map[string]any{"reason": "DisruptionBudget", "message": "The disruption budget vault needs 3 healthy pods and has 3 currently"}}})
		return true
	})
}

func TestADrainEvictsWaitsAndIsUndone(t *testing.T) {
	b := newBench(t)
	b.node()
	b.budget("a", 2)
	b.kubelet("a", "b")
	if err := b.env.Perform(t.Context(), Drain{Node: "n1", Retry: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if got := b.tape.phases(); got != "drain-1 began, drain-1 landed" {
		t.Errorf("phases %q", got)
	}
	saw := b.tape.evidence(history.Landed)
	for _, want := range []string{"node n1: unschedulable true", "pod shop/a: uid ", "is gone, EvictionByEvictionAPI, after 2 refusals", "pod shop/b: uid "} {
		if !strings.Contains(saw, want) {
			t.Errorf("the evidence lacks %q: %s", want, saw)
		}
	}
	codes := map[string][]string{}
	for _, e := range b.tape.evictions() {
		codes[e.Pod] = append(codes[e.Pod], fmt.Sprint(e.Code, e.Cause))
		if e.Disturbance != "drain-1" || e.Node != "n1" || e.Namespace != "shop" || e.UID == "" || e.Latency <= 0 || e.DryRun {
			t.Errorf("eviction %+v", e)
		}
		if e.Code == 429 && !strings.Contains(e.Message, "vault needs 3 healthy pods") {
			t.Errorf("the refusal says %q", e.Message)
		}
	}
	if got := fmt.Sprint(codes); got != "map[a:[429DisruptionBudget 429DisruptionBudget 201] b:[201]]" {
		t.Errorf("answers %s: each must be in the record, and no other pod evicted", got)
	}
	if !b.cordoned() {
		t.Error("the node is not cordoned")
	}
	b.heal()
	if b.cordoned() || !strings.Contains(b.tape.evidence(history.Healed), "unschedulable false") {
		t.Errorf("after healing: cordoned %v, evidence %q", b.cordoned(), b.tape.evidence(history.Healed))
	}
}

func TestADrainThatDidNotLand(t *testing.T) {
	cases := map[string]struct {
		drain Drain
		spoil func(*bench)
		want  []string
	}{
		"refused for ever": {Drain{Node: "n1", Retry: time.Millisecond, Budget: 500 * time.Millisecond},
			func(b *bench) { b.budget("a", -1); b.kubelet("b") },
			[]string{"evict pod shop/a: refused", "not within 500 ms", "The disruption budget vault needs 3", "PDB vault allows 0: 3 of 3 pods healthy, 3 needed"}},
		"two budgets": {Drain{Node: "n1"}, func(b *bench) {
			b.kubelet("b")
			b.api.Handle(http.MethodPost, "/a/eviction", func(w http.ResponseWriter, r *http.Request) bool {
				apitest.Refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, "This pod has more than one PodDisruptionBudget", nil)
				return true
			})
		}, []string{"evict pod shop/a: 500: This pod has more than one"}},
		"the pods never end": {Drain{Node: "n1", Budget: 500 * time.Millisecond}, func(*bench) {},
			[]string{"evicted pod shop/a: wait for its end: not within 500 ms", "terminating: true"}},
		"the cordon does not hold": {Drain{Node: "n1", Budget: 200 * time.Millisecond}, func(b *bench) {
			b.api.Handle(http.MethodPatch, "/n1", func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"Node"}`)
				return true
			})
		}, []string{"wait for node n1 to have unschedulable true: not within 200 ms: saw last: unschedulable false"}},
		"others deleted every pod": {Drain{Node: "n1", Retry: time.Millisecond}, func(b *bench) {
			for _, name := range []string{"a", "b"} {
				b.api.Handle(http.MethodPost, "/"+name+"/eviction", func(http.ResponseWriter, *http.Request) bool {
					b.api.Delete("pods", "shop", name)
					return false
				})
			}
		}, []string{"no pod went by eviction"}},
		"a pod ends by another hand after the eviction": {Drain{Node: "n1"}, func(b *bench) {
			b.kubelet("b")
			b.api.Handle(http.MethodPost, "/a/eviction", func(w http.ResponseWriter, r *http.Request) bool {
				b.api.Delete("pods", "shop", "a")
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"Status","status":"Success"}`)
				return true
			})
		}, []string{`pod shop/a is gone, but its condition DisruptionTarget said ""`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.node()
			c.spoil(b)
			says(t, b.env.Perform(t.Context(), c.drain), c.want...)
			if got := b.tape.phases(); got != "drain-1 began, drain-1 failed" {
				t.Errorf("phases %q", got)
			}
			b.api.Handle(http.MethodPatch, "/n1", func(http.ResponseWriter, *http.Request) bool { return false })
			if b.cordoned() {
				b.heal()
				if b.cordoned() {
					t.Error("the node is still cordoned")
				}
			}
		})
	}
}

func TestADrainRefusesWhatWouldNotComeBack(t *testing.T) {
	b := newBench(t)
	b.node()
	b.put("pods", "{apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: shop}, spec: {nodeName: n1}}")
	says(t, b.env.Perform(t.Context(), Drain{Node: "n1"}), "pod shop/bare belongs to no workload", "drain with Force")
	if b.cordoned() {
		t.Error("the node is cordoned")
	}
	b.kubelet("a", "b", "bare")
	if err := b.env.Perform(t.Context(), Drain{Node: "n1", Force: true}); err != nil {
		t.Error(err)
	}
	b.heal()
}

func TestANodeCordonedBeforeStaysSo(t *testing.T) {
	b := newBench(t)
	b.node()
	b.put("nodes", "{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {unschedulable: true}}")
	b.kubelet("a", "b")
	if err := b.env.Perform(t.Context(), Drain{Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	b.heal()
	if !b.cordoned() {
		t.Error("the node was cordoned before the drain and is not after it")
	}
}

func TestProbingAnEvictionEvictsNothing(t *testing.T) {
	b := newBench(t)
	b.node()
	b.budget("a", -1)
	var asked []string
	for _, name := range []string{"a", "b"} {
		b.api.Handle(http.MethodPost, "/"+name+"/eviction", func(w http.ResponseWriter, r *http.Request) bool {
			var body struct {
				Kind, APIVersion string
				DeleteOptions    metav1.DeleteOptions
			}
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			asked = append(asked, fmt.Sprint(body.APIVersion, " ", body.Kind, " ", body.DeleteOptions.DryRun, " ", *body.DeleteOptions.Preconditions.UID != ""))
			if name == "b" {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"Status","status":"Success"}`)
			}
			return name == "b"
		})
	}
	if e, err := b.env.ProbeEviction(t.Context(), "shop", "a"); err != nil || e.Code != 429 || e.Cause != "DisruptionBudget" || !e.DryRun {
		t.Errorf("probe of a: %+v, %v", e, err)
	}
	if e, err := b.env.ProbeEviction(t.Context(), "shop", "b"); err != nil || e.Code != 201 || !e.DryRun {
		t.Errorf("probe of b: %+v, %v", e, err)
	}
	if got := strings.Join(asked, ", "); got != "policy/v1 Eviction [All] true, policy/v1 Eviction [All] true" {
		t.Errorf("asked %s", got)
	}
	if n := len(b.tape.evictions()); n != 2 {
		t.Errorf("%d answers recorded, want 2", n)
	}
	b.api.Down(true)
	if _, err := b.env.ProbeEviction(t.Context(), "shop", "a"); err == nil {
		t.Error("a probe without an answer is no answer")
	}
	b.env.Guard = nil
	_, err := b.env.ProbeEviction(t.Context(), "shop", "a")
	says(t, err, "no guard")
}
