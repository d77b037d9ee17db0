package resource

import (
	"cmp"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PDBs are the budgets of disruption.
var PDBs = kind(Kind{Name: "poddisruptionbudgets", Group: schema.GroupVersion{Group: "policy", Version: "v1"}, Authored: true}, trimPDB)

// PDB is Change.Object of poddisruptionbudgets.
type PDB struct {
	Generation         int64  `json:"generation"`
	ObservedGeneration int64  `json:"observedGeneration"`
	MinAvailable       string `json:"minAvailable,omitempty"`
	MaxUnavailable     string `json:"maxUnavailable,omitempty"`
	DesiredHealthy     int32  `json:"desiredHealthy"`
	CurrentHealthy     int32  `json:"currentHealthy"`
	DisruptionsAllowed int32  `json:"disruptionsAllowed"`
	ExpectedPods       int32  `json:"expectedPods"`
	// Selector says which pods of its namespace it protects, as kubectl writes it: "app=api,tier in (a,b)". "*" is all of them,
	// empty none.
	Selector string `json:"selector,omitempty"`
}

func trimPDB(u *unstructured.Unstructured) (PDB, error) {
	pdb, err := decode[policyv1.PodDisruptionBudget](u)
	selector, selectorErr := selectorText(pdb.Spec.Selector)
	return PDB{
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
