package resource

import (
	"cmp"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
)

// Pods have their state in history.Change.Pod, besides what is in a Pod.
var Pods = pods()

func pods() Of[Pod] {
	of := kind(Kind{Name: "pods", Group: core}, func(u *unstructured.Unstructured) (Pod, error) {
		pod, err := decode[corev1.Pod](u)
		return contentOf(&pod), err
	})
	of.trim = trimPod
	of.read = func(c *history.Change) error {
		if c.Pod == nil {
			return errors.New("it holds no state")
		}
		_, err := of.Read(c)
		return err
	}
	return of
}

// Pod is Change.Object of pods; what most judges need is in PodState.
type Pod struct {
	Labels     map[string]string `json:"labels,omitempty"`
	Owner      *Owner            `json:"owner,omitempty"`
	Containers []ContainerState  `json:"containers,omitempty"`
	// Disruption is the reason of the condition DisruptionTarget, e.g. EvictionByEvictionAPI; empty without it.
	Disruption string `json:"disruption,omitempty"`
}

// ContainerState is one container of a pod.
type ContainerState struct {
	Name        string `json:"name"`
	ImageID     string `json:"imageID,omitempty"`
	ContainerID string `json:"containerID,omitempty"`
	Restarts    int32  `json:"restarts,omitempty"`
	Ready       bool   `json:"ready,omitempty"`
	Waiting     string `json:"waiting,omitempty"`    // reason, e.g. CrashLoopBackOff
	Terminated  string `json:"terminated,omitempty"` // reason of this or else the last end, e.g. OOMKilled
	ExitCode    int32  `json:"exitCode,omitempty"`   // with Terminated
}

func trimPod(u *unstructured.Unstructured) (*history.PodState, any, error) {
	pod, err := decode[corev1.Pod](u)
	if err != nil {
		return nil, nil, err
	}
	return stateOf(&pod), contentOf(&pod), nil
}

func stateOf(pod *corev1.Pod) *history.PodState {
	state := &history.PodState{
		Version:     versionOf(pod.ObjectMeta, pod.Spec),
		Node:        pod.Spec.NodeName,
		IP:          pod.Status.PodIP,
		Phase:       string(pod.Status.Phase),
		Ready:       kube.PodReady(pod),
		Terminating: pod.DeletionTimestamp != nil,
	}
	for _, c := range pod.Status.ContainerStatuses {
		if at := signalledAt(c); state.Terminating && !at.IsZero() {
			state.SignalledAt = at
		}
	}
	return state
}

func contentOf(pod *corev1.Pod) Pod {
	content := Pod{Labels: pod.Labels, Owner: controllerOf(pod.ObjectMeta), Disruption: kube.Disruption(pod)}
	for _, c := range pod.Status.ContainerStatuses {
		content.Containers = append(content.Containers, containerState(c))
	}
	return content
}

func containerState(c corev1.ContainerStatus) ContainerState {
	s := ContainerState{Name: c.Name, ImageID: c.ImageID, ContainerID: c.ContainerID, Restarts: c.RestartCount, Ready: c.Ready}
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
