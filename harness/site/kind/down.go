package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kind/pkg/log"

	"bitvault.dev/rollproof/harness/words"
)

// Down removes a cluster of ours with everything that belongs to it, and reports whether there was one. It refuses clusters that
// rollproof did not make.
func (m *Manager) Down(ctx context.Context, name string, say func(string, ...any)) (bool, error) {
	if name == "" {
		name = DefaultName
	}
	if err := checkName(name); err != nil {
		return false, err
	}
	unlock, err := m.records.lock(ctx, name, say)
	if err != nil {
		return false, err
	}
	defer unlock()
	record, found, err := m.ownedRecord(ctx, name)
	if err != nil || !found {
		return false, err
	}
	return true, m.tearDown(ctx, record)
}

// tearDown removes what a record names, the record last. The caller holds the cluster's lock. It is safe to call again after it failed.
func (m *Manager) tearDown(ctx context.Context, r Record) error {
	r.Phase, r.Owner, r.Retain = Removing, m.owner, false
	if err := m.records.put(r); err != nil {
		return err
	}
	if r.ExportedTo != "" {
		// before the nodes go: kind only edits the file, the nodes are removed below
		if err := m.unexport(r); err != nil {
			return err
		}
	}
	// A docker command that kind had started outlives a killed harness and may still be making a node.
	busy := func() bool { return clientsOf(m.proc, r.Name) > 0 }
	if err := m.removeUntilGone(ctx, "nodes of cluster "+r.Name, busy, labelKind+"="+r.Name); err != nil {
		return err
	}
	idle := func() bool { return false }
	err := m.removeUntilGone(ctx, "registry of cluster "+r.Name, idle, LabelCluster+"="+r.Name, LabelState+"="+m.records.dir)
	if err != nil {
		return err
	}
	if err := m.dropNetwork(ctx); err != nil {
		return err
	}
	return m.records.remove(r.Name)
}

// removeUntilGone removes the containers that carry all labels until none is left and nobody makes more. Once is not enough: an engine
// that is just starting a container accepts its removal and keeps it all the same (seen with Docker 20.10).
func (m *Manager) removeUntilGone(ctx context.Context, what string, busy func() bool, labels ...string) error {
	return poll(ctx, what+" gone", removeTimeout, func(ctx context.Context) (bool, string) {
		makers := busy() // asked before the list: what a maker that ends in between made is in it
		left, err := m.engine.containers(ctx, labels...)
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		if len(left) == 0 {
			return !makers, "a docker command that is making one"
		}
		if err := m.removeAll(ctx, left); err != nil {
			return false, words.OneLine(err.Error())
		}
		return false, fmt.Sprintf("%d left, %s among them", len(left), left[0].Name)
	})
}

// removeNodes removes the nodes of a cluster that exist now.
func (m *Manager) removeNodes(ctx context.Context, name string) error {
	nodes, err := m.engine.containers(ctx, labelKind+"="+name)
	if err != nil {
		return err
	}
	return m.removeAll(ctx, nodes)
}

func (m *Manager) removeAll(ctx context.Context, containers []runningContainer) error {
	results := make(chan error, len(containers))
	for _, c := range containers {
		go func() { results <- m.engine.remove(ctx, c.ID) }()
	}
	var failed []error
	for range containers {
		failed = append(failed, <-results)
	}
	return errors.Join(failed...)
}

// removeContainer removes one container and waits until it is gone.
func (m *Manager) removeContainer(ctx context.Context, c runningContainer) error {
	return poll(ctx, "container "+c.Name+" gone", removeTimeout, func(ctx context.Context) (bool, string) {
		if err := m.engine.remove(ctx, c.ID); err != nil {
			return false, words.OneLine(err.Error())
		}
		left, err := m.engine.containers(ctx, labelOf(c))
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		return !slices.ContainsFunc(left, func(l runningContainer) bool { return l.ID == c.ID }), "it is still there"
	})
}

// labelOf is a label that finds a container of ours or a node again.
func labelOf(c runningContainer) string {
	if _, node := c.Labels[labelKind]; node {
		return labelKind
	}
	return LabelOwner
}

// clientsOf counts the `docker run` commands that are making a node of a cluster, known by kind's label among their arguments.
func clientsOf(proc, cluster string) int {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return 0
	}
	clients := 0
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(proc, entry.Name(), "cmdline"))
		if err != nil {
			continue
		}
		argv := strings.Split(string(raw), "\x00")
		if filepath.Base(argv[0]) == "docker" && slices.Contains(argv, "run") && slices.Contains(argv, labelKind+"="+cluster) {
			clients++
		}
	}
	return clients
}

// dropNetwork removes the kind network once nothing uses it, if it is one that we made.
func (m *Manager) dropNetwork(ctx context.Context) error {
	_, err := m.engine.dropNetwork(ctx, networkName, LabelOwner)
	return err
}

// unexport takes the cluster's entry out of the user's kubeconfig. Kind does so while deleting a cluster; asked for a cluster that has
// nodes it would delete these too, which is what follows anyway.
func (m *Manager) unexport(r Record) error {
	if err := m.kind(log.NoopLogger{}).Delete(r.Name, r.ExportedTo); err != nil {
		return fmt.Errorf("remove cluster %s from kubeconfig %s: %w", r.Name, r.ExportedTo, err)
	}
	return nil
}

// Sweep removes what killed runs of this user left: half-made and half-removed clusters, and containers whose maker died and whose
// cluster has no record. It never touches what a live run owns (its cluster's lock is held, or its process is alive), a finished cluster,
// or one kept by --retain. It returns what it removed.
func (m *Manager) Sweep(ctx context.Context, say func(string, ...any)) ([]string, error) {
	names, err := m.records.names()
	if err != nil {
		return nil, err
	}
	var cleaned []string
	for _, name := range names {
		removed, err := m.sweepCluster(ctx, name, say)
		if err != nil {
			return cleaned, fmt.Errorf("clean up after a killed run: %w", err)
		}
		if removed {
			cleaned = append(cleaned, "cluster "+name)
		}
	}
	orphans, err := m.orphans(ctx)
	if err != nil {
		return cleaned, fmt.Errorf("clean up after a killed run: %w", err)
	}
	for _, c := range orphans {
		say("removing container %s, whose maker is gone", c.Name)
		if err := m.removeContainer(ctx, c); err != nil {
			return cleaned, fmt.Errorf("clean up after a killed run: %w", err)
		}
		cleaned = append(cleaned, "container "+c.Name)
	}
	if len(cleaned) > 0 {
		if err := m.dropNetwork(ctx); err != nil {
			return cleaned, fmt.Errorf("clean up after a killed run: %w", err)
		}
	}
	return cleaned, nil
}

func (m *Manager) sweepCluster(ctx context.Context, name string, say func(string, ...any)) (bool, error) {
	unlock, err := m.records.tryLock(name)
	if errors.Is(err, errLocked) {
		return false, nil // somebody is at work on it right now
	}
	if err != nil {
		return false, err
	}
	defer unlock()
	record, found, err := m.records.get(name)
	if err != nil {
		return false, err
	}
	if found && !record.garbage() {
		return false, nil
	}
	if !found { // killed between making the folder and writing the record, or removing the record and the folder: no container
		return true, m.records.remove(name)
	}
	say("removing cluster %s, which a killed run left %s", name, record.Phase)
	return true, m.tearDown(ctx, record)
}

// orphans are containers of this state folder without a record: labelled ones whose maker is dead, and nodes.
func (m *Manager) orphans(ctx context.Context) ([]runningContainer, error) {
	labelled, err := m.engine.containers(ctx, LabelOwner, LabelState+"="+m.records.dir)
	if err != nil {
		return nil, err
	}
	nodes, err := m.engine.containers(ctx, labelKind)
	if err != nil {
		return nil, err
	}
	var out []runningContainer
	for _, c := range labelled {
		orphan, err := m.withoutRecord(c.Labels[LabelCluster])
		if err != nil {
			return nil, err
		}
		if orphan && !ownerFromLabels(c.Labels).alive(m.proc) {
			out = append(out, c)
		}
	}
	for _, c := range nodes {
		name := c.Labels[labelKind]
		if !slices.ContainsFunc(c.Sources, func(s string) bool { return within(s, m.records.folder(name)) }) {
			continue
		}
		orphan, err := m.withoutRecord(name)
		if err != nil {
			return nil, err
		}
		if orphan {
			out = append(out, c)
		}
	}
	return out, nil
}

// withoutRecord reports whether nobody can be at work on a cluster: it has no record, and the lock under which one is written is free.
func (m *Manager) withoutRecord(cluster string) (bool, error) {
	if cluster == "" {
		return true, nil
	}
	unlock, err := m.records.tryLock(cluster)
	if errors.Is(err, errLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unlock()
	_, found, err := m.records.get(cluster)
	return !found, err
}

// within reports whether path lies in dir.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
