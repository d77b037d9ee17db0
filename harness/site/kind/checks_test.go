package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"bitvault.dev/rollproof/harness/site"
)

// rig is a cluster of two nodes with a probe pod on each, whose probes answer as exec says.
type rig struct {
	*proving
	mu   sync.Mutex
	gone bool // the pod "gone" was removed
}

// newRig answers every check the way a healthy cluster does, unless answer returns something else than "".
func newRig(t *testing.T, answer func(r *rig, caller corev1.Pod, args []string) string) *rig {
	t.Helper()
	pods := []corev1.Pod{readyPod("probe-a", "n1", "10.244.0.2"), readyPod("probe-b", "n2", "10.244.1.2")}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1"}}
	n1, n2 := node("n1", corev1.ConditionTrue, false), node("n2", corev1.ConditionTrue, false)
	client := fake.NewClientset(service, &n1, &n2)
	client.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		pod := action.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
		ready := readyPod(pod.Name, "n1", "10.244.0.9")
		pod.Spec.NodeName, pod.Status = ready.Spec.NodeName, ready.Status
		return false, nil, nil
	})
	client.PrependReactor("create", "persistentvolumeclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
		action.(clienttesting.CreateAction).GetObject().(*corev1.PersistentVolumeClaim).Status.Phase = corev1.ClaimBound
		return false, nil, nil
	})
	r := &rig{}
	client.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.gone = true
		return false, nil, nil
	})
	short := 600 * time.Millisecond
	r.proving = &proving{
		cluster: &Cluster{Handle: site.Handle{Client: client}, nodes: 2}, namespace: "ns", image: "probe",
		limits: limits{nodes: short, pods: short, check: short, gone: short, clean: short, exec: short},
		pods:   func() ([]corev1.Pod, error) { return pods, nil },
		exec: func(_ context.Context, name string, args ...string) (measurement, error) {
			caller := readyPod(name, "n1", "10.244.0.9")
			for _, pod := range pods {
				if pod.Name == name {
					caller = pod
				}
			}
			line := answer(r, caller, args)
			if line == "" {
				line = r.healthy(caller, pods, args)
			}
			return parseMeasurement(line)
		},
	}
	return r
}

func (r *rig) removed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

func (r *rig) healthy(caller corev1.Pod, pods []corev1.Pod, args []string) string {
	switch args[0] {
	case "dns":
		return `{"check":"dns","outcome":"ok","data":["10.96.0.1"]}`
	case "get":
		for _, pod := range pods {
			if args[1] == "http://"+podAddress(pod)+"/" {
				return fmt.Sprintf(`{"check":"get","outcome":"ok","data":{"pod":%q,"node":%q,"remoteAddr":%q}}`, pod.Name, pod.Spec.NodeName, caller.Status.PodIP)
			}
		}
	case "dial":
		if r.removed() {
			return `{"check":"dial","outcome":"unreachable","durationMs":0.3}`
		}
		return `{"check":"dial","outcome":"ok","durationMs":0.3}`
	case "write":
		return `{"check":"write","outcome":"ok"}`
	}
	return `{"outcome":"error","detail":"asked for something unknown"}`
}

func on(command, line string) func(*rig, corev1.Pod, []string) string {
	return func(_ *rig, _ corev1.Pod, args []string) string {
		if args[0] == command {
			return line
		}
		return ""
	}
}

// masqueraded answers from the right pod, which saw a node's address.
func masqueraded(_ *rig, caller corev1.Pod, args []string) string {
	if args[0] != "get" {
		return ""
	}
	target := map[string]string{"probe-a": "probe-b", "probe-b": "probe-a"}[caller.Name]
	return fmt.Sprintf(`{"check":"get","outcome":"ok","data":{"pod":%q,"remoteAddr":"172.18.0.2"}}`, target)
}

func TestEachCheckPassesOnAHealthyClusterAndFailsOnItsPlantedFault(t *testing.T) {
	healthy := func(*rig, corev1.Pod, []string) string { return "" }
	cases := map[string]struct {
		run   func(context.Context, *proving) (string, error)
		plant func(*rig, corev1.Pod, []string) string
		fault string
	}{
		"dns":         {dnsAnswers, on("dns", `{"check":"dns","target":"kubernetes.default","outcome":"timeout"}`), "dns kubernetes.default: timeout"},
		"pod to pod":  {podToPod, masqueraded, "masqueraded"},
		"volume":      {volumeBinds, on("write", `{"check":"write","outcome":"error","detail":"permission denied"}`), "permission denied"},
		"never there": {gonePodRefuses, on("dial", `{"check":"dial","outcome":"unreachable","durationMs":0.3}`), "dial before the end of the pod"},
		"hangs": {gonePodRefuses, func(r *rig, _ corev1.Pod, args []string) string {
			if args[0] == "dial" && r.removed() {
				return `{"check":"dial","outcome":"timeout","durationMs":5000}`
			}
			return ""
		}, "nobody refused it"},
		"hangs from one node only": {gonePodRefuses, func(r *rig, caller corev1.Pod, args []string) string {
			if args[0] == "dial" && r.removed() && caller.Spec.NodeName == "n2" {
				return `{"check":"dial","outcome":"timeout","durationMs":5000}`
			}
			return ""
		}, "dial of a gone pod from n2"},
		"still answers": {gonePodRefuses, on("dial", `{"check":"dial","outcome":"ok","durationMs":0.2}`), "still answers"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			good := newRig(t, healthy)
			if evidence, err := c.run(context.Background(), good.proving); err != nil || evidence == "" {
				t.Errorf("healthy: %q %v", evidence, err)
			}
			bad := newRig(t, c.plant)
			if _, err := c.run(context.Background(), bad.proving); err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("planted fault: got %v, want %q", err, c.fault)
			}
		})
	}
}

func TestNodesReadyNeedsEveryNode(t *testing.T) {
	r := newRig(t, func(*rig, corev1.Pod, []string) string { return "" })
	if _, err := nodesReady(context.Background(), r.proving); err != nil {
		t.Error(err)
	}
	r.cluster.nodes = 3
	if _, err := nodesReady(context.Background(), r.proving); err == nil || !strings.Contains(err.Error(), "saw last: 2 nodes, want 3") {
		t.Errorf("got %v", err)
	}
}

func TestNodePortMustBeAnsweredByOurPods(t *testing.T) {
	for pod, ok := range map[string]bool{"probe-a": true, "a-pod-of-somebody-else": false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(identity{Pod: pod})
		}))
		r := newRig(t, func(*rig, corev1.Pod, []string) string { return "" })
		r.cluster.probeAddr = strings.TrimPrefix(server.URL, "http://")
		if _, err := nodePortAnswers(context.Background(), r.proving); (err == nil) != ok {
			t.Errorf("answered by %s: %v", pod, err)
		}
		server.Close()
	}
	r := newRig(t, func(*rig, corev1.Pod, []string) string { return "" })
	if _, err := nodePortAnswers(context.Background(), r.proving); err == nil {
		t.Error("passed without a mapped port")
	}
}

func TestAllChecksRunAndEveryFailureIsTold(t *testing.T) {
	fail := func(text string) func(context.Context, *proving) (string, error) {
		return func(context.Context, *proving) (string, error) { return "", fmt.Errorf("%s", text) }
	}
	pass := func(context.Context, *proving) (string, error) { return "seen", nil }
	results, err := runAll(context.Background(), nil, []check{{"a", fail("no a")}, {"b", pass}, {"c", fail("no c")}}, func(string, ...any) {})
	if err == nil || err.Error() != `2 readiness checks failed: check "a": no a; check "c": no c` {
		t.Errorf("got %v", err)
	}
	if len(results) != 3 || results[0].Passed || !results[1].Passed || results[1].Evidence != "seen" || results[2].Error == "" {
		t.Errorf("results %+v", results)
	}
	if _, err := runAll(context.Background(), nil, []check{{"b", pass}}, func(string, ...any) {}); err != nil {
		t.Error(err)
	}
}

func TestEveryPromisedCheckIsRun(t *testing.T) {
	var names []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	want := "nodes ready, dns answers, pod to pod, volume binds, node port answers, gone pod refuses"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestPollSaysWhatItSawLast(t *testing.T) {
	asked := 0
	err := poll(context.Background(), "the thing", 300*time.Millisecond, func(context.Context) (bool, string) {
		asked++
		return false, fmt.Sprintf("answer %d", min(asked, 1))
	})
	if err == nil || err.Error() != "wait for the thing: not within 300 ms: saw last: answer 1" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = poll(ctx, "the thing", time.Hour, func(context.Context) (bool, string) { cancel(); return false, "half" })
	if err == nil || !strings.Contains(err.Error(), "canceled: saw last: half") {
		t.Errorf("cancelled: %v", err)
	}
}
