package disrupt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/kube"
)

// NodePower stops and starts whole nodes, as a switch on the wall does.
type NodePower interface {
	StopNode(ctx context.Context, node string) error
	StartNode(ctx context.Context, node string) error
	// NodeRuns reports whether the node is switched on. It says nothing of how it is.
	NodeRuns(ctx context.Context, node string) (bool, error)
}

// StopNode stops a worker at once, with everything on it. It has landed when the node is off, and the control plane has noticed. Healing starts it
// and waits until it is Ready, and so is what was on it, or what took its place.
type StopNode struct {
	Node   string
	Notice time.Duration // that the control plane has to take notice; default 3 min: Kubernetes waits for 50 s by default
}

// Name is node-loss.
func (StopNode) Name() string { return history.NodeLossName }

// Target names the node.
func (s StopNode) Target() string { return "node " + s.Node }

// Nodes is the one that is stopped.
func (s StopNode) Nodes() []string { return []string{s.Node} }

// Namespaces are those of the pods on the node that something keeps: each loses one.
func (s StopNode) Namespaces(ctx context.Context, e *Env) ([]string, error) {
	if s.Node == "" {
		return nil, errors.New("name a node")
	}
	list, err := e.podsOn(ctx, s.Node)
	if err != nil {
		return nil, err
	}
	var all []string
	for i := range list.Items {
		if pod := &list.Items[i]; kube.Evictable(pod) && !slices.Contains(all, pod.Namespace) {
			all = append(all, pod.Namespace)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no pod is on node %s but its own: nothing would be lost with it", s.Node)
	}
	return all, nil
}

// Do stops the node and waits until the control plane says that it is not Ready.
func (s StopNode) Do(ctx context.Context, a *Act) ([]history.Evidence, error) {
	if a.Power == nil {
		return nil, errors.New("the nodes of this cluster cannot be stopped")
	}
	if err := a.allow(ctx, s); err != nil { // who picked this node may have asked for another one before
		return nil, err
	}
	a.aim(s.Node)
	node, err := a.Kube.CoreV1().Nodes().Get(ctx, s.Node, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get node %s: %w", s.Node, err)
	}
	if kube.Role(node) == kube.ControlPlane {
		return nil, fmt.Errorf("node %s is of the control plane: nobody would be left to see what becomes of it", s.Node)
	}
	if up, why := kube.NodeReady(node); !up {
		return nil, fmt.Errorf("node %s is not Ready: %s: stopping it would show nothing", s.Node, why)
	}
	lost, err := s.onHeal(ctx, a)
	if err != nil {
		return nil, err
	}
	asked := time.Now()
	if err := a.Power.StopNode(ctx, s.Node); err != nil {
		return nil, fmt.Errorf("stop node %s: %w", s.Node, err)
	}
	var saw string
	if err := a.await(ctx, "node "+s.Node+" to be off, and missed", cmp.Or(s.Notice, 3*time.Minute), func(ctx context.Context) (done bool, _ string, err error) {
		done, saw, err = s.isLost(ctx, a.Env)
		return done, saw, err
	}); err != nil {
		return nil, err
	}
	return []history.Evidence{
		{What: "node " + s.Node, Saw: fmt.Sprintf("%s, %s after it was stopped", saw, time.Since(asked).Round(time.Millisecond))},
		{What: "pods on it", Saw: strings.Join(lost, ", ")},
	}, nil
}

// isLost reports whether the node is off and the control plane says so.
func (s StopNode) isLost(ctx context.Context, e *Env) (bool, string, error) {
	runs, err := e.Power.NodeRuns(ctx, s.Node)
	if err != nil {
		return false, "", err
	}
	node, err := e.Kube.CoreV1().Nodes().Get(ctx, s.Node, metav1.GetOptions{})
	if err != nil {
		return false, "", err
	}
	up, why := kube.NodeReady(node)
	return !runs && !up, fmt.Sprintf("switched on: %v, Ready: %v %s", runs, up, why), nil
}

// onHeal starts the node and waits for what was on it. It names the pods that are.
func (s StopNode) onHeal(ctx context.Context, a *Act) (lost []string, err error) {
	list, err := a.podsOn(ctx, s.Node)
	if err != nil {
		return nil, err
	}
	var owners []keeper
	for i := range list.Items {
		pod := &list.Items[i]
		ref := metav1.GetControllerOf(pod)
		if !kube.Evictable(pod) || ref == nil {
			continue
		}
		lost = append(lost, fmt.Sprintf("%s/%s, uid %s", pod.Namespace, pod.Name, pod.UID))
		if !slices.ContainsFunc(owners, func(k keeper) bool { return k.ref.UID == ref.UID }) {
			owner, err := a.keeper(ctx, pod.Namespace, ref)
			if err != nil {
				return nil, fmt.Errorf("the workload of pod %s: %w", pod.Name, err)
			}
			owners = append(owners, owner)
		}
	}
	what := "start node " + s.Node
	a.OnHeal(what, workloadBound, func(ctx context.Context) ([]history.Evidence, error) {
		if err := a.Power.StartNode(ctx, s.Node); err != nil {
			return nil, fmt.Errorf("start node %s: %w", s.Node, err)
		}
		var saw string
		err := a.await(ctx, "node "+s.Node+" and what was on it to be back", workloadBound, func(ctx context.Context) (done bool, _ string, err error) {
			done, saw, err = s.isBack(ctx, a.Env, owners)
			return done, saw, err
		})
		return []history.Evidence{{What: "node " + s.Node, Saw: cmp.Or(saw, "nothing")}}, err
	})
	return lost, nil
}

// isBack reports whether the node is Ready, and each of what lost a pod with it has as many Ready as it wants.
func (s StopNode) isBack(ctx context.Context, e *Env, owners []keeper) (bool, string, error) {
	runs, err := e.Power.NodeRuns(ctx, s.Node)
	if err != nil {
		return false, "", err
	}
	node, err := e.Kube.CoreV1().Nodes().Get(ctx, s.Node, metav1.GetOptions{})
	if err != nil {
		return false, "", err
	}
	up, why := kube.NodeReady(node)
	saw := fmt.Sprintf("switched on: %v, Ready: %v %s", runs, up, why)
	if !runs || !up {
		return false, saw, nil
	}
	for _, owner := range owners {
		done, pods, err := e.whole(ctx, owner)
		if err != nil || !done {
			return false, fmt.Sprintf("%s; %s: %s", saw, owner, pods), err
		}
	}
	return true, saw + ", and what was on it", nil
}
