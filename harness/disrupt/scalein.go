package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"bitvault.dev/rollproof/harness/history"
)

// ScaleIn wants fewer pods of a workload, as an autoscaler or a hand does. Which of them go is for the workload's controller to choose.
// It has landed when as many of the pods that were there are gone and no other came in their place. Healing wants as many as before.
type ScaleIn struct {
	Workload history.Workload // a Rollout or a Deployment
	To       int              // pods
	Bound    time.Duration    // until they are gone; default 2 min
}

// Name is scale-in.
func (ScaleIn) Name() string { return history.ScaleInName }

// Target names the workload and how many pods it keeps.
func (s ScaleIn) Target() string { return fmt.Sprintf("%s to %d", s.Workload, s.To) }

// Disturbs is the workload.
func (s ScaleIn) Disturbs() history.Workload { return s.Workload }

// Namespaces is the workload's.
func (s ScaleIn) Namespaces(context.Context, *Env) ([]string, error) {
	switch {
	case s.Workload.Namespace == "" || s.Workload.Name == "":
		return nil, errors.New("name a workload with its namespace")
	case workloads[s.Workload.Kind].resource.Resource == "":
		return nil, fmt.Errorf("unknown kind of workload %q: want Rollout or Deployment", s.Workload.Kind)
	case s.To < 0:
		return nil, fmt.Errorf("scale to %d: want 0 or more", s.To)
	}
	return []string{s.Workload.Namespace}, nil
}

// Do wants fewer pods and waits until the others are gone.
func (s ScaleIn) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	u, err := a.Dynamic.Resource(workloads[s.Workload.Kind].resource).Namespace(s.Workload.Namespace).Get(ctx, s.Workload.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", s.Workload, err)
	}
	was, found, err := unstructured.NestedInt64(u.Object, "spec", "replicas")
	if err != nil || !found {
		return nil, fmt.Errorf("%s does not say how many replicas it wants (%v)", s.Workload, err)
	}
	before, err := a.podsOf(ctx, s.Workload.Namespace, u.GetUID())
	if err != nil {
		return nil, err
	}
	if int64(len(before)) != was || len(before) <= s.To {
		return nil, fmt.Errorf("%s wants %d replicas and has %d pods, %d of them are to stay: there is nothing to scale in", s.Workload, was, len(before), s.To)
	}
	a.OnHeal(fmt.Sprintf("want %d pods of %s again", was, s.Workload), workloadBound, func(ctx context.Context) ([]history.Evidence, error) {
		return s.undo(ctx, a, u.GetUID(), int(was))
	})
	// The pods that go are the controller's choice: its ReplicaSet has more of them than it asks for.
	a.Touch(history.Touch{Effect: history.Changes, Resource: workloads[s.Workload.Kind].resource.Resource, Namespace: s.Workload.Namespace,
		Name: s.Workload.Name, UID: string(u.GetUID())})
	if err := s.want(ctx, a.Env, s.To); err != nil {
		return nil, err
	}
	return s.gone(ctx, a, u.GetUID(), before)
}

// want writes how many pods are wanted, and nothing else: a controller that writes the workload meanwhile is no conflict.
func (s ScaleIn) want(ctx context.Context, e *Env, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	api := e.Dynamic.Resource(workloads[s.Workload.Kind].resource).Namespace(s.Workload.Namespace)
	if _, err := api.Patch(ctx, s.Workload.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: Manager}); err != nil {
		return fmt.Errorf("scale %s to %d: %w", s.Workload, replicas, err)
	}
	return nil
}

// gone waits until only as many of the pods from before are left as are wanted, and no others.
func (s ScaleIn) gone(ctx context.Context, a *Act, owner types.UID, before []corev1.Pod) ([]history.Evidence, error) {
	var now []corev1.Pod
	err := a.await(ctx, "pods of "+s.Workload.String()+" to go", cmp.Or(s.Bound, 2*time.Minute), func(ctx context.Context) (done bool, saw string, err error) {
		now, err = a.podsOf(ctx, s.Workload.Namespace, owner)
		return len(now) == s.To, fmt.Sprintf("%d pods, before %d, wanted %d", len(now), len(before), s.To), err
	})
	if err != nil {
		return nil, err
	}
	var evidence []history.Evidence
	for _, pod := range before {
		if !has(now, pod.UID) {
			evidence = append(evidence, history.Evidence{What: "pod " + pod.Name, Saw: fmt.Sprintf("uid %s is gone", pod.UID)})
		}
	}
	for _, pod := range now {
		if !has(before, pod.UID) {
			return evidence, fmt.Errorf("pod %s came while %s was scaled in: pods were replaced, and not taken away", pod.Name, s.Workload)
		}
	}
	return evidence, nil
}

// undo waits until the workload has as many Ready pods as before.
func (s ScaleIn) undo(ctx context.Context, a *Act, owner types.UID, was int) ([]history.Evidence, error) {
	if err := s.want(ctx, a.Env, was); err != nil {
		return nil, err
	}
	var saw string
	err := a.await(ctx, "pods of "+s.Workload.String()+" to come back", workloadBound, func(ctx context.Context) (bool, string, error) {
		now, err := a.podsOf(ctx, s.Workload.Namespace, owner)
		able := 0
		for i := range now {
			if ready(&now[i]) {
				able++
			}
		}
		saw = fmt.Sprintf("%d of %d pods Ready", able, was)
		return able == was && len(now) == was, saw, err
	})
	return []history.Evidence{{What: strings.ToLower(s.Workload.Kind) + " " + s.Workload.Name, Saw: cmp.Or(saw, "nothing")}}, err
}

// podsOf are the pods of the ReplicaSets that a workload owns, those among them that are ending too.
func (e *Env) podsOf(ctx context.Context, namespace string, workload types.UID) ([]corev1.Pod, error) {
	sets, err := e.Kube.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the ReplicaSets of namespace %s: %w", namespace, err)
	}
	owned := map[types.UID]bool{}
	for i := range sets.Items {
		if owner := metav1.GetControllerOfNoCopy(&sets.Items[i]); owner != nil && owner.UID == workload {
			owned[sets.Items[i].UID] = true
		}
	}
	pods, err := e.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the pods of namespace %s: %w", namespace, err)
	}
	return slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
		owner := metav1.GetControllerOfNoCopy(&pod)
		return owner == nil || !owned[owner.UID]
	}), nil
}

func has(pods []corev1.Pod, uid types.UID) bool {
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.UID == uid })
}
