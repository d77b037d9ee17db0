package kind

import (
	"context"
	"fmt"

	"bitvault.dev/rollproof/harness/site"
	"bitvault.dev/rollproof/harness/words"
)

// Status describes a cluster of ours, also a broken one. A name that rollproof has no cluster of is an error.
func (m *Manager) Status(ctx context.Context, name string) (site.Status, error) {
	if name == "" {
		name = DefaultName
	}
	if err := checkName(name); err != nil {
		return site.Status{}, err
	}
	record, found, err := m.records.get(name)
	if err != nil {
		return site.Status{}, err
	}
	if !found {
		return site.Status{}, fmt.Errorf("no cluster of ours is called %s: `rollproof cluster up --name %s` makes one", name, name)
	}
	status := site.Status{Name: name, Provider: provider, Nodes: []site.NodeStatus{}, Kubeconfig: m.records.kubeconfig(name)}
	if record.Phase != Ready {
		status.Note = fmt.Sprintf("%s by process %d", record.Phase, record.Owner.PID)
		return status, nil
	}
	c, err := m.handle(ctx, record)
	if err != nil {
		status.Note = words.OneLine(err.Error())
		return status, nil
	}
	if status, err = c.Status(ctx); err != nil {
		status.Note = words.OneLine(err.Error())
	}
	if err := c.CheckPath(ctx); err != nil && status.Ready {
		status.Ready, status.Note = false, words.OneLine(err.Error())
	}
	return status, nil
}

// Status describes this cluster as its API server knows it.
func (c *Cluster) Status(ctx context.Context) (site.Status, error) {
	return c.Handle.Status(ctx, c.nodes)
}
