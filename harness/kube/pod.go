package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodReady reports whether a pod says that it is Ready. One that is about to end may still say so.
func PodReady(pod *corev1.Pod) bool {
	return podCondition(pod, corev1.PodReady).Status == corev1.ConditionTrue
}

// PodServes reports whether a pod is Ready and not about to end.
func PodServes(pod *corev1.Pod) bool { return pod.DeletionTimestamp == nil && PodReady(pod) }

// Disruption is the reason of a pod's condition DisruptionTarget, e.g. EvictionByEvictionAPI (KEP-3329); "" where nobody disrupts it.
func Disruption(pod *corev1.Pod) string {
	if c := podCondition(pod, corev1.DisruptionTarget); c.Status == corev1.ConditionTrue {
		return c.Reason
	}
	return ""
}

// Unscheduled says why a pod has no node; "" when it has one, or nobody looked for one yet.
func Unscheduled(pod *corev1.Pod) string {
	c := podCondition(pod, corev1.PodScheduled)
	if c.Type == "" || c.Status == corev1.ConditionTrue {
		return ""
	}
	return words(c.Reason, c.Message)
}

// podCondition is a condition of a pod, without a type when the pod says nothing of it.
func podCondition(pod *corev1.Pod, of corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == of {
			return c
		}
	}
	return corev1.PodCondition{}
}

// PodState says in one line why a pod is not Ready: what a container waits for or ended with, why it has no node, or its phase.
func PodState(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			return pod.Name + ": " + Waiting(c)
		case c.State.Terminated != nil:
			return fmt.Sprintf("%s: ended with code %d", pod.Name, c.State.Terminated.ExitCode)
		}
	}
	if why := Unscheduled(pod); why != "" {
		return pod.Name + ": " + why
	}
	return fmt.Sprintf("%s: %s", pod.Name, pod.Status.Phase)
}

// Waiting says what a container waits for; "" when it does not.
func Waiting(c corev1.ContainerStatus) string {
	if c.State.Waiting == nil {
		return ""
	}
	return words(c.State.Waiting.Reason, c.State.Waiting.Message)
}

// Container is what a pod says of a container of it.
func Container(pod *corev1.Pod, name string) (status corev1.ContainerStatus, found bool) {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == name {
			return c, true
		}
	}
	return corev1.ContainerStatus{}, false
}

// Restarts counts how often the containers of a pod were started again.
func Restarts(pod *corev1.Pod) (times int32) {
	for _, c := range pod.Status.ContainerStatuses {
		times += c.RestartCount
	}
	return times
}

// Evictable reports whether a drain evicts a pod. Static pods and those of DaemonSets stay: they would be back at once.
func Evictable(pod *corev1.Pod) bool {
	if _, static := pod.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return false
	}
	owner := metav1.GetControllerOfNoCopy(pod)
	return owner == nil || owner.Kind != "DaemonSet"
}

// words joins a reason and a message, either of which may be missing.
func words(reason, message string) string {
	if reason == "" || message == "" {
		return reason + message
	}
	return reason + " " + message
}
