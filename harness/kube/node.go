package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// NodeReady reports whether a node says that it is Ready, and if not, why.
func NodeReady(node *corev1.Node) (ready bool, why string) {
	for _, c := range node.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if c.Status == corev1.ConditionTrue {
			return true, ""
		}
		return false, fmt.Sprintf("Ready is %s (%s: %s)", c.Status, c.Reason, c.Message)
	}
	return false, "no Ready condition yet"
}

// Roles of nodes.
const (
	ControlPlane = "control-plane"
	Worker       = "worker"
)

// Role is what a node is for: ControlPlane or Worker.
func Role(node *corev1.Node) string {
	if _, marked := node.Labels[ControlPlaneLabel]; marked {
		return ControlPlane
	}
	return Worker
}
