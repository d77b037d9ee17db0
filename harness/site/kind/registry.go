package kind

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"bitvault.dev/rollproof/harness/words"
)

const (
	registryPort    = 5000
	registryTimeout = 30 * time.Second
)

// The registry beside a cluster is a container on the kind network, made of an image that we build, started by the engine's client:
// it outlives the process that started it, nodes reach it by name, and testcontainers-go would add nothing but a reaper that cannot be had
// offline. It reads the image store's OCI layout through a read-only mount, so starting it copies nothing.

func registryName(cluster string) string { return cluster + "-rollproof-registry" }

// hostsFile makes containerd ask our registry first for every upstream name (`_default`) and, since it names no `server`, the
// upstream itself afterwards. See containerd's docs/hosts.md.
func hostsFile(cluster string) string {
	return fmt.Sprintf("# written by rollproof: the registry beside cluster %s is asked first, then the upstream\n"+
		"[host.\"http://%s:%d\"]\n  capabilities = [\"pull\", \"resolve\"]\n", cluster, registryName(cluster), registryPort)
}

// writeHosts puts the hosts file where every node mounts it from.
func (m *Manager) writeHosts(cluster string) error {
	if err := writeFile(filepath.Join(m.records.hostsFolder(cluster), "_default", "hosts.toml"), []byte(hostsFile(cluster))); err != nil {
		return fmt.Errorf("write containerd's hosts file for cluster %s: %w", cluster, err)
	}
	return nil
}

// startRegistry starts the registry, waits until it answers, and returns its address on this machine.
func (m *Manager) startRegistry(ctx context.Context, cluster, image string) (string, error) {
	address, err := m.engine.start(ctx, containerSpec{
		Name: registryName(cluster), Image: image, Labels: m.labels(cluster), Network: networkName, Port: registryPort,
		Binds: []string{m.images.LayoutDir() + ":/layout:ro"},
	})
	if err != nil {
		return "", err
	}
	err = poll(ctx, "registry answers", registryTimeout, func(ctx context.Context) (bool, string) {
		return answersOK(ctx, "http://"+address+"/healthz")
	})
	return address, err
}

func answersOK(ctx context.Context, url string) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, words.OneLine(err.Error())
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK, response.Status
}

// registryOf finds the running registry of a cluster.
func (m *Manager) registryOf(ctx context.Context, cluster string) (string, error) {
	found, err := m.engine.containers(ctx, LabelCluster+"="+cluster, LabelState+"="+m.records.dir)
	if err != nil {
		return "", err
	}
	for _, c := range found {
		if c.Name == registryName(cluster) && c.Running && c.Address != "" {
			return c.Address, nil
		}
	}
	return "", errors.New("the registry beside cluster " + cluster + " does not run")
}
