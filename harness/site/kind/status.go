package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// Status describes a cluster of ours, also a broken one. A name that rollproof has no cluster of is an error.
func (m *Manager) Status(ctx context.Context, name string) (Status, error) {
	if name == "" {
		name = DefaultName
	}
	if err := checkName(name); err != nil {
		return Status{}, err
	}
	record, found, err := m.records.get(name)
	if err != nil {
		return Status{}, err
	}
	if !found {
		return Status{}, fmt.Errorf("no cluster of ours is called %s: `rollproof cluster up --name %s` makes one", name, name)
	}
	status := Status{Name: name, Provider: "kind", Nodes: []NodeStatus{}, Kubeconfig: m.records.kubeconfig(name)}
	if record.Phase != Ready {
		status.Note = fmt.Sprintf("%s by process %d", record.Phase, record.Owner.PID)
		return status, nil
	}
	c, err := m.handle(ctx, record)
	if err != nil {
		status.Note = oneLine(err)
		return status, nil
	}
	if err := c.status(ctx, &status); err != nil {
		status.Note = oneLine(err)
	}
	if err := c.CheckPath(ctx); err != nil && status.Ready {
		status.Ready, status.Note = false, oneLine(err)
	}
	return status, nil
}

// status fills in what the API server says.
func (c *Cluster) status(ctx context.Context, status *Status) error {
	nodes, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("the API server does not answer: %w", err)
	}
	for _, node := range nodes.Items {
		role := "worker"
		if _, ok := node.Labels["node-role.kubernetes.io/control-plane"]; ok {
			role = "control-plane"
		}
		status.Nodes = append(status.Nodes, NodeStatus{
			Name: node.Name, Role: role, Ready: notReadyBecause(node) == "", Version: node.Status.NodeInfo.KubeletVersion,
		})
	}
	slices.SortFunc(status.Nodes, func(a, b NodeStatus) int { return strings.Compare(a.Role+a.Name, b.Role+b.Name) })
	ready, seen := judgeNodes(nodes.Items, c.nodes)
	status.Ready = ready
	if !ready {
		status.Note = seen
	}
	return nil
}

// Status describes this cluster, an existing one too.
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	status := Status{Name: c.Name, Provider: c.Provider, Nodes: []NodeStatus{}, Kubeconfig: c.Kubeconfig}
	return status, c.status(ctx, &status)
}
