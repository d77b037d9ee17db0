package resource

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"bitvault.dev/rollproof/harness/kube"
)

// StatefulSets are observed where somebody asks for them.
var StatefulSets = kind(Kind{Name: "statefulsets", Group: apps, OnDemand: true, Authored: true}, trimStatefulSet)

// StatefulSet is Change.Object of statefulsets.
type StatefulSet struct {
	Generation         int64  `json:"generation"`
	ObservedGeneration int64  `json:"observedGeneration,omitempty"`
	Owner              *Owner `json:"owner,omitempty"` // an operator's object, where one keeps it
	Desired            int32  `json:"desired"`
	Replicas           int32  `json:"replicas"`
	Ready              int32  `json:"ready"`
	Updated            int32  `json:"updated"` // pods of UpdateRevision
	CurrentRevision    string `json:"currentRevision,omitempty"`
	UpdateRevision     string `json:"updateRevision,omitempty"` // of its template
	Strategy           string `json:"strategy,omitempty"`       // RollingUpdate or OnDelete
	Partition          int32  `json:"partition,omitempty"`      // pods of a lower ordinal keep their revision
	MaxUnavailable     int32  `json:"maxUnavailable,omitempty"` // pods that an update may take at once; 0: one
}

func trimStatefulSet(u *unstructured.Unstructured) (StatefulSet, error) {
	set, err := decode[appsv1.StatefulSet](u)
	o := StatefulSet{
		Generation: set.Generation, ObservedGeneration: set.Status.ObservedGeneration, Owner: controllerOf(set.ObjectMeta),
		Desired: kube.Replicas(set.Spec.Replicas), Replicas: set.Status.Replicas, Ready: set.Status.ReadyReplicas, Updated: set.Status.UpdatedReplicas,
		CurrentRevision: set.Status.CurrentRevision, UpdateRevision: set.Status.UpdateRevision,
		Strategy: string(set.Spec.UpdateStrategy.Type), Partition: kube.Partition(&set), MaxUnavailable: kube.MaxUnavailable(&set),
	}
	return o, err
}
