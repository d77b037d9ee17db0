package kube

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Replicas is how many pods a workload wants. One that does not say wants one.
func Replicas(said *int32) int32 {
	if said == nil {
		return 1
	}
	return *said
}

// DeploymentDone reports whether every pod of a Deployment is of its newest template and available, and says how far it is.
func DeploymentDone(d *appsv1.Deployment) (done bool, saw string) {
	want, s := Replicas(d.Spec.Replicas), d.Status
	done = s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want
	return done, fmt.Sprintf("%d of %d available, %d of the newest template, %d in all", s.AvailableReplicas, want, s.UpdatedReplicas, s.Replicas)
}

// MaxUnavailable is how many pods of a StatefulSet an update may take at once; 0 where it does not say, which is one.
func MaxUnavailable(set *appsv1.StatefulSet) int32 {
	rolling := set.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil || rolling.MaxUnavailable == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(rolling.MaxUnavailable, int(Replicas(set.Spec.Replicas)), false)
	if err != nil {
		return 0
	}
	return int32(max(n, 1)) // as the controller has it: a small percentage is one pod
}

// Partition is the ordinal below which the pods of a StatefulSet keep their revision; 0 where all of them are updated.
func Partition(set *appsv1.StatefulSet) int32 {
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Partition != nil {
		return *rolling.Partition
	}
	return 0
}

// StatefulSetDone reports whether every pod of a StatefulSet is of its newest template and Ready, and says how far it is.
func StatefulSetDone(set *appsv1.StatefulSet) (done bool, saw string) {
	want, s := Replicas(set.Spec.Replicas), set.Status
	done = s.ObservedGeneration >= set.Generation && s.UpdatedReplicas == want && s.ReadyReplicas == want && s.Replicas == want &&
		s.CurrentRevision == s.UpdateRevision
	return done, fmt.Sprintf("%d of %d Ready, %d of the newest template, %d in all", s.ReadyReplicas, want, s.UpdatedReplicas, s.Replicas)
}

// Rollout is what an Argo Rollout says of its release. The whole type would bring its module along.
type Rollout struct {
	Phase, Message   string
	Stable, Current  string // pod template hashes: of what is stable, and of what its template asks for
	Abort            bool
	Step             int64 // of its canary's steps, that is done
	Available, Wants int64 // pods
	Canary           int64 // percent of the traffic
	Fresh            bool  // said of the template as it is now, and not of an older one
}

// ReadRollout reads it. What the object does not say is zero.
func ReadRollout(u *unstructured.Unstructured) (Rollout, error) {
	var object struct {
		Spec struct {
			Replicas *int32 `json:"replicas"`
		} `json:"spec"`
		Status struct {
			Phase              string `json:"phase"`
			Message            string `json:"message"`
			StableRS           string `json:"stableRS"`
			CurrentPodHash     string `json:"currentPodHash"`
			ObservedGeneration string `json:"observedGeneration"` // a string in Argo Rollouts
			Abort              bool   `json:"abort"`
			CurrentStepIndex   int64  `json:"currentStepIndex"`
			AvailableReplicas  int64  `json:"availableReplicas"`
			Canary             struct {
				Weights struct {
					Canary struct {
						Weight int64 `json:"weight"`
					} `json:"canary"`
				} `json:"weights"`
			} `json:"canary"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &object); err != nil {
		return Rollout{}, fmt.Errorf("read Rollout %s/%s: %w", u.GetNamespace(), u.GetName(), err)
	}
	s := object.Status
	return Rollout{
		Phase: s.Phase, Message: s.Message, Stable: s.StableRS, Current: s.CurrentPodHash, Abort: s.Abort, Step: s.CurrentStepIndex,
		Available: s.AvailableReplicas, Wants: int64(Replicas(object.Spec.Replicas)), Canary: s.Canary.Weights.Canary.Weight,
		Fresh: s.ObservedGeneration == fmt.Sprint(u.GetGeneration()),
	}, nil
}

// RolloutDone reports whether an Argo Rollout is Healthy with what its template asks for and whole, and says how far it is.
func RolloutDone(u *unstructured.Unstructured) (done bool, saw string) {
	r, err := ReadRollout(u)
	if err != nil {
		return false, err.Error()
	}
	saw = fmt.Sprintf("phase %q %s, %d of %d available", r.Phase, r.Message, r.Available, r.Wants)
	if !r.Fresh {
		return false, saw + ", of an older generation"
	}
	return r.Phase == "Healthy" && r.Available == r.Wants && r.Current == r.Stable, saw
}
