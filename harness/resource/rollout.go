package resource

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Rollouts are those of Argo Rollouts.
var Rollouts = kind(Kind{Name: "rollouts", Group: argo, Optional: true, Authored: true}, trimRollout)

// Rollout is Change.Object of rollouts (argoproj.io).
type Rollout struct {
	Generation         int64       `json:"generation"`
	ObservedGeneration string      `json:"observedGeneration,omitempty"` // a string in Argo Rollouts too
	Replicas           *int32      `json:"replicas,omitempty"`           // spec.replicas
	Phase              string      `json:"phase,omitempty"`
	Message            string      `json:"message,omitempty"`
	Abort              bool        `json:"abort,omitempty"`
	AbortedAt          string      `json:"abortedAt,omitempty"`
	PromoteFull        bool        `json:"promoteFull,omitempty"` // somebody ordered the release to skip what is left of its steps
	CurrentStepIndex   *int32      `json:"currentStepIndex,omitempty"`
	CurrentPodHash     string      `json:"currentPodHash,omitempty"`
	StableRS           string      `json:"stableRS,omitempty"` // a pod template hash, for all its name
	ReadyReplicas      int32       `json:"readyReplicas,omitempty"`
	AvailableReplicas  int32       `json:"availableReplicas,omitempty"`
	Weights            *Weights    `json:"weights,omitempty"`
	Conditions         []Condition `json:"conditions,omitempty"`
}

// Weights are the shares of traffic a Rollout's controller says it has set, in percent.
type Weights struct {
	Canary Weight `json:"canary"`
	Stable Weight `json:"stable"`
}

// Weight is the share of one ReplicaSet.
type Weight struct {
	Weight          int32  `json:"weight"`
	PodTemplateHash string `json:"podTemplateHash,omitempty"`
	ServiceName     string `json:"serviceName,omitempty"`
}

// Condition is a condition of an object's status.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// rollout is the part of a Rollout that is read; the whole type would bring its module along.
type rollout struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Replicas *int32 `json:"replicas"`
	} `json:"spec"`
	Status struct {
		Rollout `json:",inline"`
		Canary  struct {
			Weights *Weights `json:"weights"`
		} `json:"canary"`
	} `json:"status"`
}

func trimRollout(u *unstructured.Unstructured) (Rollout, error) {
	r, err := decode[rollout](u)
	o := r.Status.Rollout
	o.Generation, o.Replicas, o.Weights = r.Generation, r.Spec.Replicas, r.Status.Canary.Weights
	return o, err
}
