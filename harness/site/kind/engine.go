package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// engine is what this package needs of a container engine; *moby gives it, tests have one of their own.
type engine interface {
	// containers lists those, running or not, that carry all labels ("key" or "key=value").
	containers(ctx context.Context, labels ...string) ([]runningContainer, error)
	// remove ends a container at once and removes it with its anonymous volumes. One that is gone already is no error.
	remove(ctx context.Context, id string) error
	// start creates and starts a container and returns the address its port answers at on this machine.
	start(ctx context.Context, spec containerSpec) (address string, err error)
	// yield gives a container this share of the CPU where others want it too; 1024 is what each has by default.
	yield(ctx context.Context, id string, shares int64) error
	// kill ends a container at once and leaves it; resume lets one that ended run again.
	kill(ctx context.Context, id string) error
	resume(ctx context.Context, id string) error
	// logs returns all that a container wrote.
	logs(ctx context.Context, id string) ([]byte, error)
	// ensureNetwork makes a bridge network unless one of that name exists, and reports whether it did.
	ensureNetwork(ctx context.Context, name string, labels map[string]string) (made bool, err error)
	// dropNetwork removes a network of that name if it carries label and nothing is attached to it, and reports whether it did.
	dropNetwork(ctx context.Context, name, label string) (dropped bool, err error)
	// dataRoot is the folder the engine keeps images and containers in, as the engine's machine names it.
	dataRoot(ctx context.Context) (string, error)
	// memory is that of the engine's machine, all of it, in bytes.
	memory(ctx context.Context) (uint64, error)
}

type runningContainer struct {
	ID      string
	Name    string
	Running bool
	Labels  map[string]string
	Sources []string // host folders bound into it
	Address string   // where its first published port answers on this machine, "" without one
	Ports   []uint16 // all it publishes on this machine
}

func (c runningContainer) publishes(port uint16) bool { return slices.Contains(c.Ports, port) }

type containerSpec struct {
	Name    string
	Image   string
	Labels  map[string]string
	Network string
	Binds   []string // "host folder:container folder:ro"
	Port    uint16   // published on a free port of the loopback address
}

type moby struct{ api *client.Client }

func (m moby) containers(ctx context.Context, labels ...string) ([]runningContainer, error) {
	filters := make(client.Filters).Add("label", labels...)
	found, err := m.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("list containers labelled %s: %w", strings.Join(labels, ", "), err)
	}
	var out []runningContainer
	for _, c := range found.Items {
		out = append(out, summarise(c))
	}
	return out, nil
}

func summarise(c container.Summary) runningContainer {
	out := runningContainer{ID: c.ID, Labels: c.Labels, Running: c.State == container.StateRunning}
	if len(c.Names) > 0 {
		out.Name = strings.TrimPrefix(c.Names[0], "/")
	}
	for _, mount := range c.Mounts {
		if mount.Type == "bind" {
			out.Sources = append(out.Sources, mount.Source)
		}
	}
	for _, port := range c.Ports {
		if port.PublicPort == 0 || !port.IP.IsValid() {
			continue
		}
		out.Ports = append(out.Ports, port.PublicPort)
		if out.Address == "" {
			out.Address = netip.AddrPortFrom(port.IP, port.PublicPort).String()
		}
	}
	return out
}

func (m moby) remove(ctx context.Context, id string) error {
	_, err := m.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	// A conflict means that its removal is under way already: kind may be cleaning up at the same time.
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		thaw(freezer, id) // for the next try
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	return nil
}

// freezer is where cgroup v1 has its freezer. Under v2, where a frozen process can be killed, it does not exist.
const freezer = "/sys/fs/cgroup/freezer"

// thaw lets what is frozen below the cgroup of a container go on, so that it can die. Under cgroup v1 runc freezes a container while it
// changes the rules for its devices; a node that is killed at such a moment keeps a frozen process, which no signal ends, and can never be
// removed ("tried to kill container, but did not receive an exit event"). Where the engine is on another machine nothing is found.
func thaw(freezer, id string) {
	_ = filepath.WalkDir(freezer, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "freezer.state" || !strings.Contains(path, id) {
			return nil // groups come and go while one looks
		}
		if state, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(state)) == "FROZEN" {
			_ = os.WriteFile(path, []byte("THAWED"), 0o644) // without the right to, the next try says what is wrong
		}
		return nil
	})
}

func (m moby) start(ctx context.Context, spec containerSpec) (string, error) {
	port, _ := network.PortFrom(spec.Port, network.TCP)
	created, err := m.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:   spec.Name,
		Config: &container.Config{Image: spec.Image, Labels: spec.Labels, ExposedPorts: network.PortSet{port: struct{}{}}},
		HostConfig: &container.HostConfig{
			Binds: spec.Binds, NetworkMode: container.NetworkMode(spec.Network),
			PortBindings: network.PortMap{port: {{HostIP: netip.MustParseAddr("127.0.0.1")}}},
			// Like kind's nodes: back after the engine restarts, but not for ever when broken.
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 1},
		},
	})
	if err != nil {
		return "", fmt.Errorf("create container %s: %w", spec.Name, err)
	}
	if _, err := m.api.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return "", fmt.Errorf("start container %s: %w", spec.Name, err)
	}
	seen, err := m.api.ContainerInspect(ctx, created.ID, client.ContainerInspectOptions{})
	if err != nil {
		return "", fmt.Errorf("inspect container %s: %w", spec.Name, err)
	}
	for _, binding := range seen.Container.NetworkSettings.Ports[port] {
		return binding.HostIP.String() + ":" + binding.HostPort, nil
	}
	return "", fmt.Errorf("start container %s: it ended at once, or published no port (state %s)", spec.Name, seen.Container.State.Status)
}

func (m moby) kill(ctx context.Context, id string) error {
	// The engine starts no container anew that it was told to kill, whatever its restart policy.
	if _, err := m.api.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		thaw(freezer, id) // for the next try
		return fmt.Errorf("kill container %s: %w", id, err)
	}
	return nil
}

func (m moby) resume(ctx context.Context, id string) error {
	if _, err := m.api.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start container %s: %w", id, err)
	}
	return nil
}

func (m moby) yield(ctx context.Context, id string, shares int64) error {
	_, err := m.api.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{Resources: &container.Resources{CPUShares: shares}})
	if err != nil {
		return fmt.Errorf("set the CPU shares of container %s: %w", id, err)
	}
	return nil
}

func (m moby) logs(ctx context.Context, id string) ([]byte, error) {
	stream, err := m.api.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true})
	if err != nil {
		return nil, fmt.Errorf("read logs of container %s: %w", id, err)
	}
	defer stream.Close()
	var out bytes.Buffer
	_, err = stdcopy.StdCopy(&out, &out, stream)
	return out.Bytes(), err
}

func (m moby) network(ctx context.Context, name string) (network.Summary, bool, error) {
	found, err := m.api.NetworkList(ctx, client.NetworkListOptions{Filters: make(client.Filters).Add("name", name)})
	if err != nil {
		return network.Summary{}, false, fmt.Errorf("look for network %s: %w", name, err)
	}
	for _, n := range found.Items { // the filter matches parts of names too
		if n.Name == name {
			return n, true, nil
		}
	}
	return network.Summary{}, false, nil
}

func (m moby) ensureNetwork(ctx context.Context, name string, labels map[string]string) (bool, error) {
	if _, found, err := m.network(ctx, name); err != nil || found {
		return false, err
	}
	options := map[string]string{"com.docker.network.bridge.enable_ip_masquerade": "true"}
	const mtu = "com.docker.network.driver.mtu"
	if bridge, found, err := m.network(ctx, "bridge"); err == nil && found && bridge.Options[mtu] != "" {
		options[mtu] = bridge.Options[mtu] // a tunnelled machine has a smaller one
	}
	_, err := m.api.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Options: options, Labels: labels})
	if err != nil && !errdefs.IsConflict(err) {
		return false, fmt.Errorf("create network %s: %w", name, err)
	}
	return err == nil, nil
}

func (m moby) dropNetwork(ctx context.Context, name, label string) (bool, error) {
	found, ok, err := m.network(ctx, name)
	if err != nil || !ok {
		return false, err
	}
	if _, ours := found.Labels[label]; !ours {
		return false, nil
	}
	seen, err := m.api.NetworkInspect(ctx, found.ID, client.NetworkInspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("inspect network %s: %w", name, err)
	}
	if len(seen.Network.Containers) > 0 {
		return false, nil
	}
	_, err = m.api.NetworkRemove(ctx, found.ID, client.NetworkRemoveOptions{})
	switch {
	case err == nil:
		return true, nil
	case errdefs.IsNotFound(err), strings.Contains(err.Error(), "active endpoints"): // somebody was quicker, or began to use it
		return false, nil
	}
	return false, fmt.Errorf("remove network %s: %w", name, err)
}

func (m moby) dataRoot(ctx context.Context) (string, error) {
	info, err := m.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", fmt.Errorf("ask the engine for its data folder: %w", err)
	}
	if info.Info.DockerRootDir == "" {
		return "", errors.New("ask the engine for its data folder: it names none")
	}
	return info.Info.DockerRootDir, nil
}

func (m moby) memory(ctx context.Context) (uint64, error) {
	info, err := m.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return 0, fmt.Errorf("ask the engine for the memory of its machine: %w", err)
	}
	if info.Info.MemTotal <= 0 {
		return 0, errors.New("ask the engine for the memory of its machine: it names none")
	}
	return uint64(info.Info.MemTotal), nil
}
