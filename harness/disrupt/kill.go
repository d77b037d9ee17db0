package disrupt

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
)

// How a pod is made to end. They are different faults: outages differ tenfold.
type How string

const (
	Deleted      How = "deleted"                // by the API: preStop, SIGTERM, its grace period
	ForceDeleted How = history.ForceDeletedName // by the API with grace 0: gone from it at once, the process may live on for a moment
	Killed       How = history.KilledName       // SIGKILL to the process from its node; the pod stays, its container starts anew
)

// KillPod ends one pod: the one named, or the one that Choose finds, or else the first by name of the Ready ones that Selector selects.
type KillPod struct {
	Namespace string
	Pod       string
	Selector  string // of labels, e.g. app=bitvaultd,role=stable
	Choose    Choose
	Role      string // with Choose: what that pod is, for people, e.g. leader
	How       How
	Container string        // for Killed; default the first
	Wipe      Wipe          // for Killed: what is removed from the container's files right before
	Bound     time.Duration // to be seen ended; default 2 min
}

// Wipe says which files of a container are removed, from its node: the loss of a volume.
type Wipe struct {
	Dir  string // in the container, e.g. /data
	Path string // of the files below it, as find -path takes it, e.g. */msgs/*
}

// Name is the fault's own name.
func (k KillPod) Name() string { return string(k.How) }

// Target names the pod or how it is selected.
func (k KillPod) Target() string { return k.which().String() }

func (k KillPod) which() which { return which{k.Namespace, k.Pod, k.Selector, k.Role, k.Choose} }

// Namespaces is the pod's.
func (k KillPod) Namespaces(context.Context, *Env) ([]string, error) {
	if err := k.which().valid(); err != nil {
		return nil, err
	}
	if !slices.Contains([]How{Deleted, ForceDeleted, Killed}, k.How) {
		return nil, fmt.Errorf("unknown way to end a pod %q: want %s, %s or %s", k.How, Deleted, ForceDeleted, Killed)
	}
	if k.Wipe != (Wipe{}) && (k.How != Killed || !path.IsAbs(k.Wipe.Dir) || path.Clean(k.Wipe.Dir) == "/" || k.Wipe.Path == "") {
		return nil, fmt.Errorf("wipe %q below %q: want a pod that is %s, a folder of its container and the files below it", k.Wipe.Path, k.Wipe.Dir, Killed)
	}
	return []string{k.Namespace}, nil
}

// Do ends the pod and waits until it, or its container, is seen to be gone.
func (k KillPod) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	pod, err := k.which().find(ctx, a.Env)
	if err != nil {
		return nil, err
	}
	if err := a.healWorkload(ctx, pod); err != nil {
		return nil, err
	}
	if k.How == Killed {
		return k.kill(ctx, a, pod)
	}
	options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
	if k.How == ForceDeleted {
		options.GracePeriodSeconds = new(int64)
	}
	a.touchPod(pod, history.Ends)
	asked := time.Now()
	if err := a.Kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options); err != nil {
		return nil, fmt.Errorf("delete pod %s: %w", pod.Name, err)
	}
	if err := a.await(ctx, "the end of pod "+pod.Name, k.bound(), func(ctx context.Context) (bool, string, error) {
		return a.gone(ctx, pod)
	}); err != nil {
		return nil, err
	}
	return []history.Evidence{{What: "pod " + pod.Name, Saw: fmt.Sprintf("uid %s is gone, %s after it was %s",
		pod.UID, time.Since(asked).Round(time.Millisecond), k.How)}}, nil
}

func (k KillPod) bound() time.Duration { return cmp.Or(k.Bound, 2*time.Minute) }

// pick is the pod of a name, or else the first by name of the Ready ones that a selector selects.
func (e *Env) pick(ctx context.Context, namespace, name, selector string) (*corev1.Pod, error) {
	if name != "" {
		pod, err := e.Kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("get pod %s: %w", name, err)
		}
		return pod, nil
	}
	list, err := e.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("list pods %s: %w", selector, err)
	}
	slices.SortFunc(list.Items, func(x, y corev1.Pod) int { return cmp.Compare(x.Name, y.Name) })
	i := slices.IndexFunc(list.Items, func(p corev1.Pod) bool { return ready(&p) })
	if i < 0 {
		return nil, fmt.Errorf("no Ready pod in %s is selected by %s (%d are not Ready)", namespace, selector, len(list.Items))
	}
	return &list.Items[i], nil
}

// kill sends SIGKILL to the first process of the container.
func (k KillPod) kill(ctx context.Context, a *Act, pod *corev1.Pod) ([]history.Evidence, error) {
	p, err := a.process(ctx, pod, k.Container)
	if err != nil {
		return nil, err
	}
	a.touchPod(pod, history.Restarts)
	evidence, err := k.Wipe.of(ctx, p)
	if err != nil {
		return evidence, err
	}
	if err := p.signal(ctx, "-9"); err != nil {
		return evidence, err
	}
	var saw string
	if err := a.await(ctx, "the end of container "+p.container+" of pod "+pod.Name, k.bound(), func(ctx context.Context) (done bool, _ string, err error) {
		done, saw, err = a.ended(ctx, pod, p.container, p.containerID)
		return done, saw, err
	}); err != nil {
		return nil, err
	}
	return append(evidence, history.Evidence{What: p.String(), Saw: saw}), nil
}

// of removes the files of a process's container. None to remove is an error: nothing would be lost.
func (w Wipe) of(ctx context.Context, p process) ([]history.Evidence, error) {
	if w == (Wipe{}) {
		return nil, nil
	}
	root := path.Join("/proc", strconv.Itoa(p.pid), "root")
	out, err := p.nodes.NodeExec(ctx, p.node, "find", path.Join(root, w.Dir)+"/", "-path", w.Path, "-type", "f", "-print", "-delete")
	if err != nil {
		return nil, fmt.Errorf("wipe %s below %s of %s: %w", w.Path, w.Dir, p, err)
	}
	removed := len(strings.Fields(string(out)))
	if removed == 0 {
		return nil, fmt.Errorf("wipe %s below %s of %s: no file is there", w.Path, w.Dir, p)
	}
	return []history.Evidence{{What: "files " + w.Path + " below " + w.Dir + " of " + p.String(), Saw: fmt.Sprintf("%d removed", removed)}}, nil
}

// ended reports whether a container has ended by SIGKILL. A container that is another one by now, but did not end so, is
// no evidence of this kill.
func (e *Env) ended(ctx context.Context, pod *corev1.Pod, container, id string) (bool, string, error) {
	now, err := e.Kube.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if err != nil {
		return false, "", err
	}
	c, _ := kube.Container(now, container)
	for _, end := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
		if end != nil && end.ContainerID == id {
			saw := fmt.Sprintf("it ended with exit code %d (%s), %d restarts", end.ExitCode, end.Reason, c.RestartCount)
			return end.ExitCode == 128+9, saw, nil
		}
	}
	return false, fmt.Sprintf("container %s, %d restarts", c.ContainerID, c.RestartCount), nil
}

// gone reports whether a pod of this uid is gone; another of its name may be there.
func (e *Env) gone(ctx context.Context, pod *corev1.Pod) (bool, string, error) {
	now, err := e.Kube.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, "", nil
	case err != nil:
		return false, "", err
	}
	return now.UID != pod.UID, fmt.Sprintf("uid %s is there, %s, terminating: %v", now.UID, now.Status.Phase, now.DeletionTimestamp != nil), nil
}

// ready reports whether a pod is Ready and not about to go.
func ready(pod *corev1.Pod) bool { return kube.PodServes(pod) }

// workloadBound is how long a workload may take to replace a pod.
const workloadBound = 5 * time.Minute

// healWorkload makes healing wait until the workload that a pod belongs to has as many Ready pods as it wants. A pod of no workload
// would not come back, so it is not touched.
func (a *Act) healWorkload(ctx context.Context, pod *corev1.Pod) error {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return fmt.Errorf("pod %s belongs to no workload and would not come back", pod.Name)
	}
	k, err := a.keeper(ctx, pod.Namespace, owner)
	if err != nil {
		return fmt.Errorf("the workload of pod %s: %w", pod.Name, err)
	}
	what := k.String()
	a.OnHeal(what+" is whole again", workloadBound, func(ctx context.Context) ([]history.Evidence, error) {
		var saw string
		err := a.await(ctx, what, workloadBound, func(ctx context.Context) (done bool, _ string, err error) {
			done, saw, err = a.whole(ctx, k)
			return done, saw, err
		})
		return []history.Evidence{{What: what, Saw: cmp.Or(saw, "nothing")}}, err
	})
	return nil
}

// keeper is what keeps pods.
type keeper struct {
	namespace string
	ref       *metav1.OwnerReference
	had       int // Ready pods before it was disturbed
}

func (k keeper) String() string { return strings.ToLower(k.ref.Kind) + " " + k.ref.Name }

// keeper is the one that an owner reference names, with the pods that it has now.
func (e *Env) keeper(ctx context.Context, namespace string, ref *metav1.OwnerReference) (keeper, error) {
	k := keeper{namespace: namespace, ref: ref}
	var err error
	if k.had, err = e.has(ctx, k); err == nil {
		_, err = e.wanted(ctx, k)
	}
	return k, err
}

// wanted is how many Ready pods a workload is to have now. One that is gone wants none. What an operator's object wants only the operator knows:
// it is to have as many as it had.
func (e *Env) wanted(ctx context.Context, k keeper) (int, error) {
	var replicas *int32
	var err error
	switch k.ref.Kind {
	case "ReplicaSet":
		rs, e := e.Kube.AppsV1().ReplicaSets(k.namespace).Get(ctx, k.ref.Name, metav1.GetOptions{})
		replicas, err = rs.Spec.Replicas, e
	case "StatefulSet":
		set, e := e.Kube.AppsV1().StatefulSets(k.namespace).Get(ctx, k.ref.Name, metav1.GetOptions{})
		replicas, err = set.Spec.Replicas, e
	default:
		return max(k.had, 1), nil
	}
	switch {
	case apierrors.IsNotFound(err):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return int(kube.Replicas(replicas)), nil
}

// has is how many Ready pods a workload has now.
func (e *Env) has(ctx context.Context, k keeper) (int, error) {
	list, err := e.Kube.CoreV1().Pods(k.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	n := 0
	for i := range list.Items {
		if ref := metav1.GetControllerOfNoCopy(&list.Items[i]); ref != nil && ref.UID == k.ref.UID && ready(&list.Items[i]) {
			n++
		}
	}
	return n, nil
}

func (e *Env) whole(ctx context.Context, k keeper) (bool, string, error) {
	want, err := e.wanted(ctx, k)
	if err != nil {
		return false, "", err
	}
	have, err := e.has(ctx, k)
	return err == nil && have >= want, fmt.Sprintf("%d of %d pods Ready", have, want), err
}
