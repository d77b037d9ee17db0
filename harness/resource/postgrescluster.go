package resource

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// PostgresClusters are those of CloudNativePG 1.30, observed where somebody asks for them. Other operators have clusters too, so the group is in
// the name.
var PostgresClusters = kind(Kind{
	Name: "clusters.postgresql.cnpg.io", Group: schema.GroupVersion{Group: "postgresql.cnpg.io", Version: "v1"}, Optional: true, OnDemand: true, Authored: true,
}, trimPostgresCluster)

// PostgresCluster is Change.Object of clusters.postgresql.cnpg.io. The operator hands the lead over while the two primaries differ.
type PostgresCluster struct {
	Generation     int64  `json:"generation"`
	Instances      int32  `json:"instances"` // wanted
	Ready          int32  `json:"ready"`
	CurrentPrimary string `json:"currentPrimary,omitempty"` // pod
	TargetPrimary  string `json:"targetPrimary,omitempty"`  // pod
	Phase          string `json:"phase,omitempty"`          // in the operator's words
	PhaseReason    string `json:"phaseReason,omitempty"`
}

func trimPostgresCluster(u *unstructured.Unstructured) (PostgresCluster, error) {
	c, err := decode[struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Instances int32 `json:"instances"`
		} `json:"spec"`
		Status struct {
			ReadyInstances int32  `json:"readyInstances"`
			CurrentPrimary string `json:"currentPrimary"`
			TargetPrimary  string `json:"targetPrimary"`
			Phase          string `json:"phase"`
			PhaseReason    string `json:"phaseReason"`
		} `json:"status"`
	}](u)
	s := c.Status
	return PostgresCluster{
		Generation: c.Generation, Instances: c.Spec.Instances, Ready: s.ReadyInstances,
		CurrentPrimary: s.CurrentPrimary, TargetPrimary: s.TargetPrimary, Phase: s.Phase, PhaseReason: s.PhaseReason,
	}, err
}
