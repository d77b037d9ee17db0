package site

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bitvault.dev/rollproof/harness/kube"
)

// Status is what `cluster status --output json` prints. Its fields are a stable contract: scripts depend on them.
type Status struct {
	Name       string       `json:"name"`
	Provider   string       `json:"provider"`
	Ready      bool         `json:"ready"` // every node is Ready; for a cluster of ours, the registry beside it runs and load gets there
	Nodes      []NodeStatus `json:"nodes"`
	Kubeconfig string       `json:"kubeconfig"`
	Note       string       `json:"-"` // why it is not ready, for people
}

// NodeStatus is one node of a Status.
type NodeStatus struct {
	Name    string `json:"name"`
	Role    string `json:"role"` // control-plane or worker
	Ready   bool   `json:"ready"`
	Version string `json:"version"` // of its kubelet
}

// Workers are the names of the nodes that run pods.
func (s Status) Workers() []string {
	var names []string
	for _, node := range s.Nodes {
		if node.Role == kube.Worker {
			names = append(names, node.Name)
		}
	}
	return names
}

// Versions are the versions of the nodes, as a record tells them.
func (s Status) Versions() map[string]string {
	versions := map[string]string{}
	for _, node := range s.Nodes {
		versions["node "+node.Name] = node.Version
	}
	return versions
}

// Status describes the cluster as its API server knows it. want is how many nodes it must have; 0 when nobody knows. Where the server does
// not answer there is an error, and what is known without it.
func (h Handle) Status(ctx context.Context, want int) (Status, error) {
	status := Status{Name: h.Name, Provider: h.Provider, Nodes: []NodeStatus{}, Kubeconfig: h.Kubeconfig}
	nodes, err := h.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return status, fmt.Errorf("the API server does not answer: %w", err)
	}
	for i := range nodes.Items {
		node := &nodes.Items[i]
		ready, _ := kube.NodeReady(node)
		status.Nodes = append(status.Nodes, NodeStatus{Name: node.Name, Role: kube.Role(node), Ready: ready, Version: node.Status.NodeInfo.KubeletVersion})
	}
	slices.SortFunc(status.Nodes, func(a, b NodeStatus) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Name, b.Name)) })
	saw := ""
	if status.Ready, saw = NodesUsable(nodes.Items, want); !status.Ready {
		status.Note = saw
	}
	return status, nil
}

// NodesUsable wants exactly want nodes, all Ready and none kept from scheduling, and says what it saw. want 0 accepts any number above zero.
func NodesUsable(nodes []corev1.Node, want int) (usable bool, saw string) {
	var unusable []string
	for i := range nodes {
		ready, why := kube.NodeReady(&nodes[i])
		if ready && nodes[i].Spec.Unschedulable {
			ready, why = false, "cordoned"
		}
		if !ready {
			unusable = append(unusable, nodes[i].Name+": "+why)
		}
	}
	switch {
	case len(nodes) == 0:
		return false, "no nodes"
	case want > 0 && len(nodes) != want:
		return false, fmt.Sprintf("%d nodes, want %d", len(nodes), want)
	case len(unusable) > 0:
		return false, strings.Join(unusable, "; ")
	}
	return true, fmt.Sprintf("%d nodes Ready", len(nodes))
}
