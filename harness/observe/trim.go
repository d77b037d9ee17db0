package observe

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
)

// Labels and annotations of Argo Rollouts 1.10, pkg/apis/rollouts/v1alpha1/types.go.
const (
	argoStepLabel       = "step-index"
	argoScaleDownAt     = "scale-down-deadline"
	argoQueryOfMetadata = "ResolvedPrometheusQuery"
)

// only makes a trim function of one that knows nothing of pods.
func only[T any](trim func(*unstructured.Unstructured) (T, error)) func(*unstructured.Unstructured) (*history.PodState, any, error) {
	return func(u *unstructured.Unstructured) (*history.PodState, any, error) {
		o, err := trim(u)
		return nil, o, err
	}
}

func decode[T any](u *unstructured.Unstructured) (T, error) {
	var v T
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &v)
	return v, err
}

func trimPod(u *unstructured.Unstructured) (*history.PodState, any, error) {
	pod, err := decode[corev1.Pod](u)
	if err != nil {
		return nil, nil, err
	}
	state := &history.PodState{
		Version:     versionOf(pod.ObjectMeta, pod.Spec),
		Node:        pod.Spec.NodeName,
		IP:          pod.Status.PodIP,
		Phase:       string(pod.Status.Phase),
		Terminating: pod.DeletionTimestamp != nil,
	}
	object := history.PodObject{Labels: pod.Labels, Owner: controllerOf(pod.ObjectMeta)}
	state.Ready, object.Disruption = kube.PodReady(&pod), kube.Disruption(&pod)
	for _, c := range pod.Status.ContainerStatuses {
		object.Containers = append(object.Containers, containerState(c))
		if at := signalledAt(c); state.Terminating && !at.IsZero() {
			state.SignalledAt = at
		}
	}
	return state, object, nil
}

func containerState(c corev1.ContainerStatus) history.ContainerState {
	s := history.ContainerState{Name: c.Name, ImageID: c.ImageID, ContainerID: c.ContainerID, Restarts: c.RestartCount, Ready: c.Ready}
	if c.State.Waiting != nil {
		s.Waiting = c.State.Waiting.Reason
	}
	if end := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated); end != nil {
		s.Terminated, s.ExitCode = end.Reason, end.ExitCode
	}
	return s
}

// SignalMessage begins the line of a container's termination message that tells when its process got SIGTERM: an RFC 3339 time follows.
// Kubernetes says when a pod is to end, and when it is gone; how long preStop took in between nobody else tells.
const SignalMessage = "rollproof.dev/sigterm="

// signalledAt is when a container that ended got its SIGTERM by its own word; zero when it did not tell.
func signalledAt(c corev1.ContainerStatus) time.Time {
	if c.State.Terminated == nil {
		return time.Time{}
	}
	for line := range strings.Lines(c.State.Terminated.Message) {
		text, told := strings.CutPrefix(strings.TrimSpace(line), SignalMessage)
		if at, err := time.Parse(time.RFC3339Nano, text); told && err == nil {
			return at
		}
	}
	return time.Time{}
}

// versionOf is the version of a pod, or of a pod template: its label, its annotation, or the value of a container's argument
// -version; empty where none says.
func versionOf(meta metav1.ObjectMeta, spec corev1.PodSpec) string {
	if v := cmp.Or(meta.Labels[kube.VersionLabel], meta.Annotations[kube.VersionLabel]); v != "" {
		return v
	}
	for _, c := range spec.Containers {
		for i, arg := range c.Args {
			name, value, joined := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
			switch {
			case name != "-version" && name != "version" || !strings.HasPrefix(arg, "-"):
			case joined:
				return value
			case i+1 < len(c.Args):
				return c.Args[i+1]
			}
		}
	}
	return ""
}

func controllerOf(meta metav1.ObjectMeta) *history.Owner {
	ref := metav1.GetControllerOfNoCopy(&meta)
	if ref == nil {
		return nil
	}
	return &history.Owner{Kind: ref.Kind, Name: ref.Name, UID: string(ref.UID)}
}

func trimNode(u *unstructured.Unstructured) (history.NodeObject, error) {
	node, err := decode[corev1.Node](u)
	o := history.NodeObject{Unschedulable: node.Spec.Unschedulable, KubeletVersion: node.Status.NodeInfo.KubeletVersion}
	o.Ready, _ = kube.NodeReady(&node)
	return o, err
}

func trimEvent(u *unstructured.Unstructured) (history.EventObject, error) {
	e, err := decode[corev1.Event](u)
	o := history.EventObject{
		Type: e.Type, Reason: e.Reason, Message: e.Message, Count: e.Count,
		Source:   cmp.Or(e.Source.Component, e.ReportingController),
		Involved: history.Owner{Kind: e.InvolvedObject.Kind, Name: e.InvolvedObject.Name, UID: string(e.InvolvedObject.UID)},
	}
	if e.Series != nil {
		o.Count = e.Series.Count
	}
	return o, err
}

func trimEndpointSlice(u *unstructured.Unstructured) (history.EndpointSliceObject, error) {
	slice, err := decode[discoveryv1.EndpointSlice](u)
	o := history.EndpointSliceObject{Service: slice.Labels[discoveryv1.LabelServiceName], Endpoints: []history.Endpoint{}}
	for _, e := range slice.Endpoints {
		end := history.Endpoint{
			Addresses:   e.Addresses,
			Ready:       e.Conditions.Ready == nil || *e.Conditions.Ready,
			Serving:     e.Conditions.Serving == nil || *e.Conditions.Serving,
			Terminating: e.Conditions.Terminating != nil && *e.Conditions.Terminating,
		}
		if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
			end.Pod = e.TargetRef.Name
		}
		o.Endpoints = append(o.Endpoints, end)
	}
	return o, err
}

func trimReplicaSet(u *unstructured.Unstructured) (history.ReplicaSetObject, error) {
	rs, err := decode[appsv1.ReplicaSet](u)
	o := history.ReplicaSetObject{
		Owner:       controllerOf(rs.ObjectMeta),
		Hash:        cmp.Or(rs.Labels[kube.ArgoHashLabel], rs.Labels[appsv1.DefaultDeploymentUniqueLabelKey]),
		Version:     versionOf(rs.Spec.Template.ObjectMeta, rs.Spec.Template.Spec),
		Replicas:    rs.Status.Replicas,
		Ready:       rs.Status.ReadyReplicas,
		ScaleDownAt: rs.Annotations[argoScaleDownAt],
	}
	if rs.Spec.Replicas != nil {
		o.Desired = *rs.Spec.Replicas
	}
	return o, err
}

func trimPDB(u *unstructured.Unstructured) (history.PDBObject, error) {
	pdb, err := decode[policyv1.PodDisruptionBudget](u)
	selector, selectorErr := selectorText(pdb.Spec.Selector)
	return history.PDBObject{
		Selector:   selector,
		Generation: pdb.Generation, ObservedGeneration: pdb.Status.ObservedGeneration,
		MinAvailable: amount(pdb.Spec.MinAvailable), MaxUnavailable: amount(pdb.Spec.MaxUnavailable),
		DesiredHealthy: pdb.Status.DesiredHealthy, CurrentHealthy: pdb.Status.CurrentHealthy,
		DisruptionsAllowed: pdb.Status.DisruptionsAllowed, ExpectedPods: pdb.Status.ExpectedPods,
	}, cmp.Or(err, selectorErr)
}

// selectorText writes a label selector. Kubernetes takes a missing one for none of the pods and an empty one for all.
func selectorText(s *metav1.LabelSelector) (string, error) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	switch {
	case err != nil:
		return "", err
	case s != nil && selector.Empty():
		return "*", nil
	}
	return selector.String(), nil
}

func amount(v *intstr.IntOrString) string {
	if v == nil {
		return ""
	}
	return v.String()
}

// rollout is the part of a Rollout that is read; the whole type would bring its module along.
type rollout struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Replicas *int32 `json:"replicas"`
	} `json:"spec"`
	Status struct {
		history.RolloutObject `json:",inline"`
		Canary                struct {
			Weights *history.Weights `json:"weights"`
		} `json:"canary"`
	} `json:"status"`
}

func trimRollout(u *unstructured.Unstructured) (history.RolloutObject, error) {
	r, err := decode[rollout](u)
	o := r.Status.RolloutObject
	o.Generation, o.Replicas, o.Weights = r.Generation, r.Spec.Replicas, r.Status.Canary.Weights
	return o, err
}

// analysisRun is the part of an AnalysisRun that is read.
type analysisRun struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Args []history.AnalysisArg `json:"args"`
	} `json:"spec"`
	Status struct {
		Phase   string `json:"phase"`
		Message string `json:"message"`
		Results []struct {
			history.MetricResult `json:",inline"`
			Metadata             map[string]string `json:"metadata"`
		} `json:"metricResults"`
	} `json:"status"`
}

func trimAnalysisRun(u *unstructured.Unstructured) (history.AnalysisRunObject, error) {
	run, err := decode[analysisRun](u)
	o := history.AnalysisRunObject{
		Owner: controllerOf(run.ObjectMeta), Hash: run.Labels[kube.ArgoHashLabel], Step: run.Labels[argoStepLabel],
		Args: run.Spec.Args, Phase: run.Status.Phase, Message: run.Status.Message,
	}
	for _, r := range run.Status.Results {
		m := r.MetricResult
		m.Query = r.Metadata[argoQueryOfMetadata]
		o.Metrics = append(o.Metrics, m)
	}
	return o, err
}

func trimTraefikService(u *unstructured.Unstructured) (history.TraefikServiceObject, error) {
	s, err := decode[struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Weighted struct {
				Services []history.WeightedService `json:"services"`
			} `json:"weighted"`
		} `json:"spec"`
	}](u)
	return history.TraefikServiceObject{Generation: s.Generation, Services: s.Spec.Weighted.Services}, err
}

// describe names an object in a sentence.
func describe(r resource, u *unstructured.Unstructured) string {
	if u.GetNamespace() == "" {
		return fmt.Sprintf("%s %s", r.name, u.GetName())
	}
	return fmt.Sprintf("%s %s/%s", r.name, u.GetNamespace(), u.GetName())
}
