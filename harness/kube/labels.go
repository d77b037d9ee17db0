package kube

// Labels that are known beyond one tool.
const (
	// VersionLabel names the version of a pod, as a label or an annotation (Kubernetes' recommended labels).
	VersionLabel = "app.kubernetes.io/version"
	// ArgoHashLabel is the pod template hash on what an Argo Rollout makes (Argo Rollouts 1.10, pkg/apis/rollouts/v1alpha1/types.go).
	ArgoHashLabel = "rollouts-pod-template-hash"
	// ControlPlaneLabel marks the nodes of the control plane (kubeadm, kind).
	ControlPlaneLabel = "node-role.kubernetes.io/control-plane"
)
