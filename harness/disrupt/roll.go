package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/resource"
)

// RollName is the name of a rolling update of what has members: a StatefulSet, or what an operator keeps.
const RollName = history.RollName

// rollBound is how long a rolling update may take where nobody says.
const rollBound = 10 * time.Minute

// Roll gives a StatefulSet another pod template, and leaves the update of its pods to its controller, or to the operator that deletes them. It
// has landed when every pod is another one than before, of the new revision, and Ready. Healing puts the old template back where it has not
// landed, or where Revert says so, and waits until every pod is of the current template.
type Roll struct {
	Workload    history.Workload  // a StatefulSet
	Container   string            // default the first
	Image       string            // by digest, name@sha256:…; default unchanged
	Annotations map[string]string // of the template
	Bound       time.Duration     // to land; default 10 min
	Revert      bool
}

// Name is rolling-update.
func (Roll) Name() string { return RollName }

// Target names the StatefulSet.
func (r Roll) Target() string { return r.Workload.String() }

// Disturbs is the StatefulSet.
func (r Roll) Disturbs() history.Workload { return r.Workload }

// Namespaces is that of the StatefulSet.
func (r Roll) Namespaces(context.Context, *Env) ([]string, error) {
	switch {
	case r.Workload.Namespace == "" || r.Workload.Name == "":
		return nil, errors.New("name a StatefulSet with its namespace")
	case r.Workload.Kind != "StatefulSet":
		return nil, fmt.Errorf("unknown kind of workload %q: want StatefulSet", r.Workload.Kind)
	case r.Image == "" && len(r.Annotations) == 0:
		return nil, errors.New("name an image or an annotation: nothing would be updated")
	case r.Image != "" && !strings.Contains(r.Image, "@sha256:"):
		return nil, fmt.Errorf("image %s has no digest: want name@sha256:…, a tag may mean another image tomorrow", r.Image)
	}
	return []string{r.Workload.Namespace}, nil
}

func (r Roll) api(e *Env) dynamic.ResourceInterface {
	return e.Dynamic.Resource(resource.StatefulSets.GVR()).Namespace(r.Workload.Namespace)
}

// Do changes the template, and waits until no pod of before is left and all are of the new one.
func (r Roll) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	was, err := r.get(ctx, a.Env)
	if err != nil {
		return nil, err
	}
	if held := kube.Partition(was); held > 0 {
		return nil, fmt.Errorf("the partition of %s holds the pods below ordinal %d back: it would never be updated whole", r.Workload, held)
	}
	before, err := a.ownedBy(ctx, was.Namespace, was.UID)
	if err != nil {
		return nil, err
	}
	if len(before) == 0 {
		return nil, fmt.Errorf("%s has no pods: there is nothing to update", r.Workload)
	}
	a.Touch(history.Touch{Effect: history.Changes, Resource: resource.StatefulSets.Name, Namespace: was.Namespace, Name: was.Name, UID: string(was.UID)})
	a.touchPods(before, history.Replaces)
	landed := false
	if err := r.onHeal(ctx, a, &landed); err != nil {
		return nil, err
	}
	if err := r.apply(ctx, a.Env); err != nil {
		return nil, err
	}
	bound := cmp.Or(r.Bound, rollBound)
	if err := a.await(ctx, "the new pods of "+r.Workload.String(), bound, func(ctx context.Context) (bool, string, error) {
		return r.rolled(ctx, a.Env, was, before)
	}); err != nil {
		return nil, err
	}
	landed = true
	return r.evidence(ctx, a.Env, was, before)
}

func (r Roll) get(ctx context.Context, e *Env) (*appsv1.StatefulSet, error) {
	set, err := e.Kube.AppsV1().StatefulSets(r.Workload.Namespace).Get(ctx, r.Workload.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", r.Workload, err)
	}
	return set, nil
}

// apply changes the template. One that is so already is no update.
func (r Roll) apply(ctx context.Context, e *Env) error {
	return e.update(ctx, r.Workload.String(), r.api(e), r.Workload.Name, func(u *unstructured.Unstructured) error {
		old := u.DeepCopy()
		if r.Image != "" {
			if err := editContainer(u, r.Container, func(container map[string]any) error { container["image"] = r.Image; return nil }); err != nil {
				return err
			}
		}
		for k, v := range r.Annotations {
			if err := unstructured.SetNestedField(u.Object, v, "spec", "template", "metadata", "annotations", k); err != nil {
				return fmt.Errorf("annotate the template of %s: %w", r.Workload, err)
			}
		}
		if reflect.DeepEqual(old.Object, u.Object) {
			return fmt.Errorf("%s has this template already: nothing would be updated", r.Workload)
		}
		return nil
	})
}

// rolled reports whether each pod is another one than before, and as the new revision wants it.
func (r Roll) rolled(ctx context.Context, e *Env, was *appsv1.StatefulSet, before []corev1.Pod) (bool, string, error) {
	set, err := r.get(ctx, e)
	if err != nil {
		return false, "", err
	}
	pods, err := e.ownedBy(ctx, set.Namespace, set.UID)
	if err != nil {
		return false, "", err
	}
	revision, fresh := set.Status.UpdateRevision, 0
	for i := range pods {
		pod := &pods[i]
		if pod.Labels[appsv1.ControllerRevisionHashLabelKey] == revision && !has(before, pod.UID) && ready(pod) && r.runs(pod) {
			fresh++
		}
	}
	want := int(kube.Replicas(set.Spec.Replicas))
	saw := fmt.Sprintf("revision %s, before %s; %d of %d pods are new and Ready, %d in all", revision, was.Status.UpdateRevision, fresh, want, len(pods))
	done := set.Status.ObservedGeneration >= set.Generation && revision != "" && revision != was.Status.UpdateRevision && fresh == want && len(pods) == want
	return done, saw, nil
}

// runs reports whether a pod runs the image that was asked for.
func (r Roll) runs(pod *corev1.Pod) bool {
	_, digest, _ := strings.Cut(r.Image, "@")
	c, found := kube.Container(pod, cmp.Or(r.Container, pod.Spec.Containers[0].Name))
	return r.Image == "" || found && strings.Contains(c.ImageID, digest)
}

// evidence tells of each pod that is new, and of the revisions.
func (r Roll) evidence(ctx context.Context, e *Env, was *appsv1.StatefulSet, before []corev1.Pod) ([]history.Evidence, error) {
	set, err := r.get(ctx, e)
	if err != nil {
		return nil, err
	}
	pods, err := e.ownedBy(ctx, set.Namespace, set.UID)
	if err != nil {
		return nil, err
	}
	all := []history.Evidence{{What: r.Workload.String(), Saw: fmt.Sprintf("revision %s, before %s", set.Status.UpdateRevision, was.Status.UpdateRevision)}}
	return append(all, replaced(before, pods)...), nil
}

// onHeal puts the old template back, where the new one is not there to stay, and waits for the pods.
func (r Roll) onHeal(ctx context.Context, a *Act, landed *bool) error {
	u, err := r.api(a.Env).Get(ctx, r.Workload.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get %s: %w", r.Workload, err)
	}
	template, _, err := unstructured.NestedMap(u.Object, "spec", "template")
	if err != nil {
		return fmt.Errorf("read the template of %s: %w", r.Workload, err)
	}
	bound := max(r.Bound, rollBound)
	a.onHealTemplate(r.Workload.String(), bound, func(ctx context.Context) error {
		if *landed && !r.Revert {
			return nil
		}
		return r.putBack(ctx, a, template)
	}, func(ctx context.Context) (bool, string, error) {
		set, err := r.get(ctx, a.Env)
		if err != nil {
			return false, "", err
		}
		done, saw := kube.StatefulSetDone(set)
		return done, saw, nil
	})
	return nil
}

// putBack gives the StatefulSet its old template. The pods that are there now will be replaced once more.
func (r Roll) putBack(ctx context.Context, a *Act, template map[string]any) error {
	set, err := r.get(ctx, a.Env)
	if err != nil {
		return err
	}
	pods, err := a.ownedBy(ctx, set.Namespace, set.UID)
	a.touchPods(pods, history.Replaces)
	if err != nil {
		return err
	}
	return a.update(ctx, r.Workload.String(), r.api(a.Env), r.Workload.Name, func(u *unstructured.Unstructured) error {
		return unstructured.SetNestedMap(u.Object, template, "spec", "template")
	})
}

// ownedBy are the pods of a namespace that an object controls itself, by name.
func (e *Env) ownedBy(ctx context.Context, namespace string, owner types.UID) ([]corev1.Pod, error) {
	pods, err := e.members(ctx, namespace, "")
	return slices.DeleteFunc(pods, func(pod corev1.Pod) bool {
		ref := metav1.GetControllerOfNoCopy(&pod)
		return ref == nil || ref.UID != owner
	}), err
}

// replaced tells of each pod that is not one of before.
func replaced(before, now []corev1.Pod) []history.Evidence {
	var all []history.Evidence
	for i := range now {
		pod := &now[i]
		was := slices.IndexFunc(before, func(p corev1.Pod) bool { return p.Name == pod.Name })
		saw := fmt.Sprintf("uid %s, Ready %v", pod.UID, ready(pod))
		if was >= 0 {
			saw += fmt.Sprintf(", before uid %s", before[was].UID)
		}
		all = append(all, history.Evidence{What: "pod " + pod.Name, Saw: saw})
	}
	return all
}
