package history

import "strings"

// Workload names a workload of Kubernetes, such as a Rollout or a StatefulSet. Nothing is known by its bare name or by a version alone: a
// version of one workload says nothing about another.
type Workload struct {
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind"` // as Kubernetes writes it, e.g. Rollout
	Name      string `json:"name"`
}

// IsZero reports whether it names none.
func (w Workload) IsZero() bool { return w == Workload{} }

// String is the workload in words: rollout shop/api.
func (w Workload) String() string {
	if w.Namespace == "" {
		return strings.ToLower(w.Kind) + " " + w.Name
	}
	return strings.ToLower(w.Kind) + " " + w.Namespace + "/" + w.Name
}
