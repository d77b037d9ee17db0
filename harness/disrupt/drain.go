package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
	"bitvault.dev/rollproof/harness/words"
)

// Drain cordons a node and evicts its pods, all at the same time, as kubectl drain does; pods of DaemonSets and static pods stay.
// An eviction that a budget refuses is asked for again until Budget is used up. Healing uncordons the node.
type Drain struct {
	Node   string
	Budget time.Duration // for everything; default 5 min
	// Retry is the pause after a refusal; default what the API server asks for, or else 5 s as kubectl.
	Retry time.Duration
	// Force evicts pods that belong to no workload too. They do not come back.
	Force bool
}

// Name is drain.
func (d Drain) Name() string { return history.DrainName }

// Target names the node.
func (d Drain) Target() string { return "node " + d.Node }

// Nodes is the one that is drained.
func (d Drain) Nodes() []string { return []string{d.Node} }

// Namespaces are those of the pods that would be evicted.
func (d Drain) Namespaces(ctx context.Context, e *Env) ([]string, error) {
	pods, _, err := d.pods(ctx, e)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, p := range pods {
		if !slices.Contains(all, p.Namespace) {
			all = append(all, p.Namespace)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no pod is there to be evicted")
	}
	return all, nil
}

// Do drains the node. It is done when the pods that were evicted are gone and each was seen to go by eviction.
func (d Drain) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	budget := cmp.Or(d.Budget, 5*time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, budget, fmt.Errorf("not within %s", words.Span(budget)))
	defer cancel()
	if err := a.allow(ctx, d); err != nil { // who picked this node may have asked for another one before
		return nil, err
	}
	cordoned, err := d.cordon(ctx, a)
	if err != nil {
		return nil, err
	}
	evidence := []history.Evidence{cordoned}
	pods, version, err := d.pods(ctx, a.Env)
	if err != nil {
		return evidence, err
	}
	if err := a.allow(ctx, d); err != nil { // the cordon took a moment: pods may have come
		return evidence, err
	}
	sight, err := a.watchPods(ctx, d.Node, version)
	if err != nil {
		return evidence, err
	}
	defer sight.stop()
	ends, err := d.evictAll(ctx, a, pods, sight)
	return append(evidence, ends...), err
}

func (d Drain) evictAll(ctx context.Context, a *Act, pods []corev1.Pod, sight *sight) ([]history.Evidence, error) {
	evidence, errs := make([]history.Evidence, len(pods)), make([]error, len(pods))
	var all sync.WaitGroup
	for i := range pods {
		all.Go(func() { evidence[i], errs[i] = d.remove(ctx, a, &pods[i], sight) })
	}
	all.Wait()
	seen := slices.DeleteFunc(evidence, func(e history.Evidence) bool { return e.Saw == "" })
	if err := errors.Join(errs...); err != nil {
		return seen, err
	}
	if len(seen) == 0 {
		return nil, errors.New("no pod went by eviction: this was no drain")
	}
	return seen, nil
}

// remove evicts one pod and waits until it is gone. Evidence is empty where it went by other hands.
func (d Drain) remove(ctx context.Context, a *Act, pod *corev1.Pod, sight *sight) (history.Evidence, error) {
	name := pod.Namespace + "/" + pod.Name
	refusals, granted, err := a.evictUntilGranted(ctx, pod, d.Retry)
	if err != nil {
		return history.Evidence{}, err
	}
	if !granted {
		_, err := sight.await(ctx, pod.UID, func(s seen) bool { return s.gone })
		return history.Evidence{}, err
	}
	saw, err := sight.await(ctx, pod.UID, func(s seen) bool { return s.gone })
	switch {
	case err != nil:
		return history.Evidence{}, fmt.Errorf("evicted pod %s: wait for its end: %w: saw last: terminating: %v", name, err, saw.terminating)
	case saw.reason != evictionReason:
		return history.Evidence{}, fmt.Errorf("pod %s is gone, but its condition DisruptionTarget said %q, want %s", name, saw.reason, evictionReason)
	}
	return history.Evidence{What: "pod " + name, Saw: fmt.Sprintf("uid %s is gone, %s, after %d refusals", pod.UID, saw.reason, refusals)}, nil
}

// evictionReason is the reason that the eviction API writes into a pod's condition DisruptionTarget (KEP-3329).
const evictionReason = "EvictionByEvictionAPI"

// pods lists what is to be evicted from the node, and the version of that list.
func (d Drain) pods(ctx context.Context, e *Env) ([]corev1.Pod, string, error) {
	if d.Node == "" {
		return nil, "", errors.New("name a node")
	}
	list, err := e.podsOn(ctx, d.Node)
	if err != nil {
		return nil, "", err
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return !kube.Evictable(&p) })
	if bare := slices.IndexFunc(pods, func(p corev1.Pod) bool { return metav1.GetControllerOf(&p) == nil }); bare >= 0 && !d.Force {
		return nil, "", fmt.Errorf("pod %s/%s belongs to no workload and would not come back: move it, or drain with Force",
			pods[bare].Namespace, pods[bare].Name)
	}
	return pods, list.ResourceVersion, nil
}

// cordon makes the node unschedulable and looks that it is. One that was so before is left so by the healing.
func (d Drain) cordon(ctx context.Context, a *Act) (history.Evidence, error) {
	node, err := a.Kube.CoreV1().Nodes().Get(ctx, d.Node, metav1.GetOptions{})
	if err != nil {
		return history.Evidence{}, fmt.Errorf("get node %s: %w", d.Node, err)
	}
	a.touchNode(d.Node)
	if !node.Spec.Unschedulable {
		a.OnHeal("uncordon the node", time.Minute, func(ctx context.Context) ([]history.Evidence, error) {
			e, err := a.setUnschedulable(ctx, d.Node, false)
			return []history.Evidence{e}, err
		})
	}
	return a.setUnschedulable(ctx, d.Node, true)
}

func (e *Env) setUnschedulable(ctx context.Context, node string, to bool) (history.Evidence, error) {
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%v}}`, to)
	var saw string
	err := e.await(ctx, fmt.Sprintf("node %s to have unschedulable %v", node, to), time.Minute, func(ctx context.Context) (bool, string, error) {
		if _, err := e.Kube.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: Manager}); err != nil {
			return false, "", fmt.Errorf("patch node %s: %w", node, err)
		}
		now, err := e.Kube.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		saw = fmt.Sprintf("unschedulable %v", now.Spec.Unschedulable)
		return now.Spec.Unschedulable == to, saw, nil
	})
	return history.Evidence{What: "node " + node, Saw: strings.TrimSpace(saw)}, err
}
