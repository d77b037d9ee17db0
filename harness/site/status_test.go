package site

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func node(name string, ready corev1.ConditionStatus, cordoned bool) corev1.Node {
	return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{Unschedulable: cordoned},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, Reason: "KubeletNotReady", Message: "cni plugin not initialized"}}}}
}

func TestNodesUsable(t *testing.T) {
	good := []corev1.Node{node("a", corev1.ConditionTrue, false), node("b", corev1.ConditionTrue, false)}
	cases := map[string]struct {
		nodes []corev1.Node
		want  int
		ok    bool
		seen  string
	}{
		"all ready":        {good, 2, true, "2 nodes Ready"},
		"number unknown":   {good, 0, true, "2 nodes Ready"},
		"one missing":      {good, 3, false, "2 nodes, want 3"},
		"none":             {nil, 0, false, "no nodes"},
		"not ready":        {[]corev1.Node{good[0], node("b", corev1.ConditionFalse, false)}, 2, false, "b: Ready is False (KubeletNotReady: cni plugin not initialized)"},
		"unknown":          {[]corev1.Node{good[0], node("b", corev1.ConditionUnknown, false)}, 2, false, "b: Ready is Unknown"},
		"cordoned":         {[]corev1.Node{good[0], node("b", corev1.ConditionTrue, true)}, 2, false, "b: cordoned"},
		"says nothing yet": {[]corev1.Node{good[0], {ObjectMeta: metav1.ObjectMeta{Name: "b"}}}, 2, false, "b: no Ready condition"},
	}
	for name, c := range cases {
		if ok, seen := NodesUsable(c.nodes, c.want); ok != c.ok || !strings.Contains(seen, c.seen) {
			t.Errorf("%s: %v %q, want %v %q", name, ok, seen, c.ok, c.seen)
		}
	}
}

func TestStatusTellsRolesAndWhatIsNotReady(t *testing.T) {
	control, worker := node("a", corev1.ConditionTrue, false), node("b", corev1.ConditionTrue, true)
	control.Labels = map[string]string{"node-role.kubernetes.io/control-plane": ""}
	worker.Status.NodeInfo.KubeletVersion = "v1.36.3"
	h := Handle{Name: "c", Provider: "existing", Kubeconfig: "/k", Client: fake.NewClientset(&worker, &control)}
	status, err := h.Status(t.Context(), 0)
	if err != nil || status.Ready || status.Note != "b: cordoned" || status.Name != "c" || status.Provider != "existing" || status.Kubeconfig != "/k" {
		t.Errorf("status %+v, error %v", status, err)
	}
	if len(status.Nodes) != 2 || status.Nodes[0] != (NodeStatus{Name: "a", Role: "control-plane", Ready: true}) ||
		status.Nodes[1] != (NodeStatus{Name: "b", Role: "worker", Ready: true, Version: "v1.36.3"}) {
		t.Errorf("nodes %+v", status.Nodes)
	}
	if got := strings.Join(status.Workers(), " "); got != "b" {
		t.Errorf("workers %q", got)
	}
	if got := status.Versions()["node b"]; got != "v1.36.3" {
		t.Errorf("version of b %q", got)
	}
}
