package resource

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/kube"
)

// Deployments are observed where somebody asks for them.
var Deployments = kind(Kind{Name: "deployments", Group: apps, OnDemand: true, Authored: true}, trimDeployment)

// Deployment is Change.Object of deployments.
type Deployment struct {
	Generation         int64 `json:"generation"`
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	Desired            int32 `json:"desired"`
	Replicas           int32 `json:"replicas"`
	Updated            int32 `json:"updated"` // pods of its newest template
	Available          int32 `json:"available"`
}

func trimDeployment(u *unstructured.Unstructured) (Deployment, error) {
	d, err := decode[appsv1.Deployment](u)
	return Deployment{
		Generation: d.Generation, ObservedGeneration: d.Status.ObservedGeneration,
		Desired: kube.Replicas(d.Spec.Replicas), Replicas: d.Status.Replicas, Updated: d.Status.UpdatedReplicas, Available: d.Status.AvailableReplicas,
	}, err
}
