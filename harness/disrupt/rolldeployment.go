package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
)

// RollDeployment is a Release of a Deployment that has landed when the whole rolling update is done: no pod of before is left, and each that there is
// is of the new template and Ready. Healing puts the old template back where it has not landed, or where Revert says so, and waits until every pod is of the
// current one.
type RollDeployment struct {
	Release // its kind is filled in; Bound: default 10 min
}

// Name is rolling-update.
func (RollDeployment) Name() string { return RollName }

// Target names the Deployment and the version.
func (r RollDeployment) Target() string { return r.of().Target() }

// Disturbs is the Deployment.
func (r RollDeployment) Disturbs() history.Workload { return r.of().Disturbs() }

// Namespaces is that of the Deployment.
func (r RollDeployment) Namespaces(ctx context.Context, e *Env) ([]string, error) {
	switch {
	case r.Kind != "" && r.Kind != "Deployment":
		return nil, fmt.Errorf("unknown kind of workload %q: want Deployment", r.Kind)
	case r.Image == "" && len(r.Args) == 0:
		return nil, errors.New("name an image or an argument: nothing would be updated")
	}
	return r.of().Namespaces(ctx, e)
}

// of is the release by itself. What it does to the Deployment is undone here.
func (r RollDeployment) of() Release {
	release := r.Release
	release.Kind, release.Revert, release.Bound = "Deployment", false, cmp.Or(r.Bound, rollBound)
	return release
}

// Do changes the template, and waits until no pod of before is left and all are of the new one.
func (r RollDeployment) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	release := r.of()
	was, err := release.get(ctx, a.Env)
	if err != nil {
		return nil, err
	}
	before, err := a.deployed(ctx, was.GetNamespace(), was.GetUID())
	if err != nil {
		return nil, err
	}
	if len(before) == 0 {
		return nil, fmt.Errorf("%s has no pods: there is nothing to update", r.Disturbs())
	}
	a.touchPods(before, history.Replaces)
	landed := false
	r.onHeal(a, was, &landed)
	evidence, err := release.Do(ctx, a)
	if err != nil {
		return evidence, err
	}
	var now []corev1.Pod
	if err := a.await(ctx, "the new pods of "+r.Disturbs().String(), release.Bound, func(ctx context.Context) (done bool, saw string, err error) {
		done, saw, now, err = r.rolled(ctx, a, was, before)
		return done, saw, err
	}); err != nil {
		return evidence, err
	}
	landed = true
	return append(evidence, replaced(before, now)...), nil
}

// deployed are the pods of the ReplicaSets that a Deployment controls, by name.
func (e *Env) deployed(ctx context.Context, namespace string, uid types.UID) ([]corev1.Pod, error) {
	sets, err := e.Kube.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the ReplicaSets of namespace %s: %w", namespace, err)
	}
	var ours []types.UID
	for i := range sets.Items {
		if ref := metav1.GetControllerOfNoCopy(&sets.Items[i]); ref != nil && ref.UID == uid {
			ours = append(ours, sets.Items[i].UID)
		}
	}
	pods, err := e.members(ctx, namespace, "")
	return slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		ref := metav1.GetControllerOfNoCopy(&pod)
		return ref == nil || !slices.Contains(ours, ref.UID)
	}), err
}

// rolled reports whether every pod is another one than before, of the newest ReplicaSet, Ready, and runs what was asked for.
func (r RollDeployment) rolled(ctx context.Context, a *Act, was *unstructured.Unstructured, before []corev1.Pod) (done bool, saw string, now []corev1.Pod, err error) {
	release := r.of()
	deployment, set, err := r.current(ctx, a, was)
	if err != nil {
		return false, "", nil, err
	}
	if now, err = a.deployed(ctx, r.Namespace, was.GetUID()); err != nil {
		return false, "", nil, err
	}
	fresh := 0
	for i := range now {
		pod := &now[i]
		started, _ := release.started(pod)
		if metav1.GetControllerOfNoCopy(pod).UID == set.UID && !has(before, pod.UID) && ready(pod) && started {
			fresh++
		}
	}
	done, saw = kube.DeploymentDone(deployment)
	want := int(kube.Replicas(deployment.Spec.Replicas))
	saw = fmt.Sprintf("%s; %d of %d pods are new and Ready, %d in all", saw, fresh, want, len(now))
	return done && fresh == want && len(now) == want, saw, now, nil
}

// current is the Deployment with its newest ReplicaSet.
func (r RollDeployment) current(ctx context.Context, a *Act, was *unstructured.Unstructured) (*appsv1.Deployment, *appsv1.ReplicaSet, error) {
	deployment, err := a.Kube.AppsV1().Deployments(r.Namespace).Get(ctx, r.Workload, metav1.GetOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("get %s: %w", r.Disturbs(), err)
	}
	set, err := r.of().newest(ctx, a.Env, was)
	if err == nil && set == nil {
		err = fmt.Errorf("%s has no ReplicaSet", r.Disturbs())
	}
	return deployment, set, err
}

// onHeal puts the old template back, where the new one is not there to stay, and waits for the pods.
func (r RollDeployment) onHeal(a *Act, was *unstructured.Unstructured, landed *bool) {
	template, _, _ := unstructured.NestedMap(was.Object, "spec", "template")
	bound := max(r.Bound, rollBound)
	a.onHealTemplate(r.Disturbs().String(), bound, func(ctx context.Context) error {
		if *landed && !r.Revert {
			return nil
		}
		return r.putBack(ctx, a, was, template)
	}, func(ctx context.Context) (bool, string, error) {
		deployment, set, err := r.current(ctx, a, was)
		if err != nil {
			return false, "", err
		}
		done, saw := kube.DeploymentDone(deployment)
		return done, saw + ", pod template hash " + r.of().hash(set), nil
	})
}

// putBack gives the Deployment its old template. The pods that are there now will be replaced once more.
func (r RollDeployment) putBack(ctx context.Context, a *Act, was *unstructured.Unstructured, template map[string]any) error {
	pods, err := a.deployed(ctx, r.Namespace, was.GetUID())
	if err != nil {
		return err
	}
	a.touchPods(pods, history.Replaces)
	return r.of().update(ctx, a.Env, func(u *unstructured.Unstructured) error {
		return unstructured.SetNestedMap(u.Object, template, "spec", "template")
	})
}
