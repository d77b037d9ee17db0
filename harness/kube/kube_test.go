package kube

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func pod(conditions ...corev1.PodCondition) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: conditions}}
}

func condition(of corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) corev1.PodCondition {
	return corev1.PodCondition{Type: of, Status: status, Reason: reason, Message: message}
}

func TestWhatAPodSaysOfItself(t *testing.T) {
	ready := condition(corev1.PodReady, corev1.ConditionTrue, "", "")
	ending := pod(ready)
	ending.DeletionTimestamp = &metav1.Time{}
	waiting := pod()
	waiting.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "not found"}}}}
	ended := pod()
	ended.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 7}}}}
	for name, c := range map[string]struct {
		pod                *corev1.Pod
		ready, serves      bool
		disruption, states string
	}{
		"ready":                 {pod(ready), true, true, "", "p: Pending"},
		"ready and ending":      {ending, true, false, "", "p: Pending"},
		"not ready":             {pod(condition(corev1.PodReady, corev1.ConditionFalse, "", "")), false, false, "", "p: Pending"},
		"says nothing":          {pod(), false, false, "", "p: Pending"},
		"evicted":               {pod(condition(corev1.DisruptionTarget, corev1.ConditionTrue, "EvictionByEvictionAPI", "")), false, false, "EvictionByEvictionAPI", "p: Pending"},
		"not evicted after all": {pod(condition(corev1.DisruptionTarget, corev1.ConditionFalse, "EvictionByEvictionAPI", "")), false, false, "", "p: Pending"},
		"without a node":        {pod(condition(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", "0/3 nodes")), false, false, "", "p: Unschedulable 0/3 nodes"},
		"without an image":      {waiting, false, false, "", "p: ErrImagePull not found"},
		"ended":                 {ended, false, false, "", "p: ended with code 7"},
	} {
		if got := PodReady(c.pod); got != c.ready {
			t.Errorf("%s: ready %v", name, got)
		}
		if got := PodServes(c.pod); got != c.serves {
			t.Errorf("%s: serves %v", name, got)
		}
		if got := Disruption(c.pod); got != c.disruption {
			t.Errorf("%s: disruption %q", name, got)
		}
		if got := PodState(c.pod); got != c.states {
			t.Errorf("%s: state %q, want %q", name, got, c.states)
		}
	}
	if got := Unscheduled(pod(condition(corev1.PodScheduled, corev1.ConditionTrue, "x", "y"))); got != "" {
		t.Errorf("a pod with a node is unscheduled: %q", got)
	}
}

func TestContainersOfAPod(t *testing.T) {
	p := pod()
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "a", RestartCount: 2}, {Name: "b", RestartCount: 1, ImageID: "i"}}
	if c, found := Container(p, "b"); !found || c.ImageID != "i" {
		t.Errorf("container b: %+v %v", c, found)
	}
	if c, found := Container(p, "c"); found || c.Name != "" {
		t.Errorf("container c: %+v %v", c, found)
	}
	if got := Restarts(p); got != 3 {
		t.Errorf("%d restarts, want 3", got)
	}
}

func TestADrainEvictsWhatWouldNotBeBackAtOnce(t *testing.T) {
	for kind, want := range map[string]bool{"ReplicaSet": true, "StatefulSet": true, "DaemonSet": false} {
		p := pod()
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Controller: new(true)}}
		if got := Evictable(p); got != want {
			t.Errorf("a pod of a %s: %v, want %v", kind, got, want)
		}
	}
	if !Evictable(pod()) {
		t.Error("a pod that belongs to nothing stays")
	}
	static := pod()
	static.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	if Evictable(static) {
		t.Error("a static pod goes")
	}
}

func TestWhatANodeSaysOfItself(t *testing.T) {
	said := func(status corev1.ConditionStatus) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionTrue}, {Type: corev1.NodeReady, Status: status, Reason: "R", Message: "M"}}}}
	}
	for name, c := range map[string]struct {
		node  *corev1.Node
		ready bool
		why   string
	}{
		"ready":        {said(corev1.ConditionTrue), true, ""},
		"not ready":    {said(corev1.ConditionFalse), false, "Ready is False (R: M)"},
		"unknown":      {said(corev1.ConditionUnknown), false, "Ready is Unknown (R: M)"},
		"says nothing": {&corev1.Node{}, false, "no Ready condition yet"},
	} {
		if ready, why := NodeReady(c.node); ready != c.ready || why != c.why {
			t.Errorf("%s: %v %q", name, ready, why)
		}
	}
	if got := Role(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{ControlPlaneLabel: ""}}}); got != ControlPlane {
		t.Errorf("role %q", got)
	}
	if got := Role(&corev1.Node{}); got != Worker {
		t.Errorf("role %q", got)
	}
}

func TestARolloutIsDoneWhenItIsHealthyWithWhatItAsksFor(t *testing.T) {
	done := func() map[string]any {
		return map[string]any{
			"metadata": map[string]any{"name": "r", "namespace": "n", "generation": int64(3)},
			"spec":     map[string]any{"replicas": int64(4)},
			"status": map[string]any{"phase": "Healthy", "stableRS": "a", "currentPodHash": "a", "observedGeneration": "3", "availableReplicas": int64(4),
				"canary": map[string]any{"weights": map[string]any{"canary": map[string]any{"weight": int64(10)}}}, "currentStepIndex": int64(2), "abort": true},
		}
	}
	for name, c := range map[string]struct {
		path  string
		value any
		want  bool
	}{
		"done":                    {"message", "", true},
		"of an older generation":  {"observedGeneration", "2", false},
		"Progressing":             {"phase", "Progressing", false},
		"another one is current":  {"currentPodHash", "b", false},
		"a pod is missing":        {"availableReplicas", int64(3), false},
		"it says what is no text": {"phase", int64(1), false},
	} {
		u := &unstructured.Unstructured{Object: done()}
		if err := unstructured.SetNestedField(u.Object, c.value, "status", c.path); err != nil {
			t.Fatal(err)
		}
		if got, saw := RolloutDone(u); got != c.want {
			t.Errorf("%s: %v (%s)", name, got, saw)
		}
	}
	r, err := ReadRollout(&unstructured.Unstructured{Object: done()})
	want := Rollout{Phase: "Healthy", Stable: "a", Current: "a", Abort: true, Step: 2, Available: 4, Wants: 4, Canary: 10, Fresh: true}
	if err != nil || r != want {
		t.Errorf("%+v, %v; want %+v", r, err, want)
	}
}

// How many pods of a StatefulSet may be away at once is a number, or a percentage of those it wants, rounded down, and one at least.
func TestHowManyPodsAnUpdateMayTake(t *testing.T) {
	four := int32(4)
	number, half, little, odd := intstr.FromInt32(2), intstr.FromString("60%"), intstr.FromString("10%"), intstr.FromString("some")
	for name, c := range map[string]struct {
		said *intstr.IntOrString
		want int32
	}{"it does not say": {nil, 0}, "two": {&number, 2}, "60 % of four": {&half, 2}, "10 % of four": {&little, 1}, "what is no number": {&odd, 0}} {
		set := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: &four, UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
			RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: c.said}}}}
		if got := MaxUnavailable(set); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := MaxUnavailable(&appsv1.StatefulSet{}); got != 0 {
		t.Errorf("without a rolling update: %d", got)
	}
}
