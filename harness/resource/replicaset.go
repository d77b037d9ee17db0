package resource

import (
	"cmp"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/kube"
)

// ReplicaSets are those of Deployments and of Rollouts.
var ReplicaSets = kind(Kind{Name: "replicasets", Group: apps, Authored: true}, trimReplicaSet)

// argoScaleDownAt is an annotation of Argo Rollouts 1.10, pkg/apis/rollouts/v1alpha1/types.go.
const argoScaleDownAt = "scale-down-deadline"

// ReplicaSet is Change.Object of replicasets.
type ReplicaSet struct {
	Owner    *Owner `json:"owner,omitempty"`
	Hash     string `json:"hash,omitempty"`    // pod template hash, of Rollouts or of Deployments
	Version  string `json:"version,omitempty"` // of the pod template
	Desired  int32  `json:"desired"`
	Replicas int32  `json:"replicas"`
	Ready    int32  `json:"ready"`
	// ScaleDownAt is when Argo Rollouts means to scale it down, as it wrote it; empty without that.
	ScaleDownAt string `json:"scaleDownAt,omitempty"`
}

func trimReplicaSet(u *unstructured.Unstructured) (ReplicaSet, error) {
	rs, err := decode[appsv1.ReplicaSet](u)
	o := ReplicaSet{
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
