package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Choose finds the pod to disturb when its moment has come, such as the leader of a store. It only reads.
type Choose func(ctx context.Context, e *Env) (*corev1.Pod, error)

// which says which pod of a namespace is disturbed: by exactly one of a name, labels, and what it is to its store.
type which struct {
	namespace, pod, selector, role string
	choose                         Choose
}

// valid asks for a namespace and one way to know the pod.
func (w which) valid() error {
	ways := 0
	for _, used := range []bool{w.pod != "", w.selector != "", w.choose != nil} {
		if used {
			ways++
		}
	}
	switch {
	case w.namespace == "" || ways != 1:
		return errors.New("name a namespace, and either a pod or a selector, or how it is chosen")
	case (w.choose == nil) != (w.role == ""):
		return errors.New("a pod that is chosen needs a Role, which says what it is, and only such a pod has one")
	}
	return nil
}

// String names the pod, or how it is known.
func (w which) String() string {
	return "pod " + w.namespace + "/" + cmp.Or(w.pod, w.selector, w.role)
}

// find is the pod: the one named, or chosen, or else the first by name of the Ready ones that the selector selects. What is chosen from another
// namespace is refused: the guard was not asked for that one.
func (w which) find(ctx context.Context, e *Env) (*corev1.Pod, error) {
	if w.choose == nil {
		return e.pick(ctx, w.namespace, w.pod, w.selector)
	}
	pod, err := w.choose(ctx, e)
	switch {
	case err != nil:
		return nil, fmt.Errorf("choose the %s of namespace %s: %w", w.role, w.namespace, err)
	case pod == nil:
		return nil, fmt.Errorf("choose the %s of namespace %s: there is none", w.role, w.namespace)
	case pod.Namespace != w.namespace:
		return nil, fmt.Errorf("choose the %s of namespace %s: pod %s is of namespace %s", w.role, w.namespace, pod.Name, pod.Namespace)
	}
	return pod, nil
}

// members are the pods of a namespace that labels select, by name, those among them that are ending too.
func (e *Env) members(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	list, err := e.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list pods %s of namespace %s: %w", selector, namespace, err)
	}
	return list.Items, nil
}
