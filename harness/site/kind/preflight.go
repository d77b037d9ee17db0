package kind

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/shirou/gopsutil/v4/mem"
	psnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"

	"bitvault.dev/rollproof/harness/docker"
)

// What a cluster takes on the engine's disk: measured 1.2 GB for the node image and 0.4 GB per idle node, the rest is room for what
// is installed on it.
const (
	diskBase    = 4 << 30
	diskPerNode = 1 << 30
	diskCache   = 2 << 30 // in the cache of images: all components of the node with their layers take 0.6 GB
)

// What an empty cluster takes of the memory: measured 670 MiB for the control plane and 170 to 215 MiB for a worker.
const (
	memoryBase    = 500 << 20
	memoryPerNode = 220 << 20
)

// machine is what the checks ask of this machine before a cluster is made. Tests have one that lies.
type machine struct {
	inotify  func() (raised bool, err error)
	listen   func(network, address string) (net.Listener, error)
	listener func(ctx context.Context, address string) (string, error) // who listens there
	free     func(path string) (bytes uint64, err error)
	memory   func(ctx context.Context) (available, total uint64, err error) // in bytes
}

func thisMachine() machine {
	return machine{inotify: docker.EnsureInotify, listen: net.Listen, listener: listeningProcess, free: freeBytes, memory: memoryOf}
}

// preflight finds what would make the creation of a cluster fail half-way, before anything is made. Each error is one line.
func (m *Manager) preflight(ctx context.Context, cfg *Config, memory uint64) error {
	if _, err := m.machine.inotify(); err != nil {
		return err
	}
	if err := m.checkPorts(ctx, cfg); err != nil {
		return err
	}
	if err := m.checkMemory(ctx, cfg, memory); err != nil {
		return err
	}
	return m.checkDisk(ctx, cfg)
}

// checkMemory asks for room for the nodes and for what will be installed on them. Of an engine on another machine (a VM, DOCKER_HOST) only all of its
// memory is known. It lets a machine pass that cannot be asked.
func (m *Manager) checkMemory(ctx context.Context, cfg *Config, installed uint64) error {
	total, err := m.engine.memory(ctx)
	if err != nil {
		return nil
	}
	available := total
	if here, all, err := m.machine.memory(ctx); err == nil && all == total {
		available = here
	}
	nodes := len(cfg.Kind.Nodes)
	need := uint64(memoryBase+memoryPerNode*nodes) + installed
	if available >= need {
		return nil
	}
	return fmt.Errorf("the engine's machine has %s of memory to give (of %s), a cluster of %d nodes with what will be installed on it needs %s: stop something, or run fewer scenarios at once",
		gib(available), gib(total), nodes, gib(need))
}

func memoryOf(ctx context.Context) (available, total uint64, err error) {
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the memory of this machine: %w", err)
	}
	return memory.Available, memory.Total, nil
}

func (m *Manager) checkPorts(ctx context.Context, cfg *Config) error {
	for _, port := range cfg.hostPorts() {
		if strings.EqualFold(string(port.Protocol), "udp") || strings.EqualFold(string(port.Protocol), "sctp") {
			continue
		}
		address := hostAddress(port)
		listener, err := m.machine.listen("tcp", address)
		if err == nil {
			listener.Close()
			continue
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s: port %d of this machine cannot be used: %w", cfg.Path, port.HostPort, err)
		}
		return fmt.Errorf("%s: port %d of this machine is in use by %s: stop it, or change hostPort",
			cfg.Path, port.HostPort, m.portHolder(ctx, address, uint16(port.HostPort)))
	}
	return nil
}

// portHolder names who listens: a container where one publishes the port, else the process.
func (m *Manager) portHolder(ctx context.Context, address string, port uint16) string {
	if found, err := m.engine.containers(ctx, labelKind); err == nil {
		for _, c := range found {
			if c.publishes(port) {
				return fmt.Sprintf("cluster %s (container %s)", c.Labels[labelKind], c.Name)
			}
		}
	}
	who, err := m.machine.listener(ctx, address)
	if err != nil {
		return fmt.Sprintf("a process that cannot be named (%v)", err)
	}
	return who
}

// listeningProcess names the process that keeps an address from being listened on: one that listens there, else one whose connection has
// that port at this end, which happens to ports of the range that outgoing connections take theirs from.
func listeningProcess(ctx context.Context, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	sockets, err := psnet.ConnectionsWithContext(ctx, "tcp")
	if err != nil {
		return "", fmt.Errorf("list sockets: %w", err)
	}
	var connection *psnet.ConnectionStat
	for i, socket := range sockets {
		if fmt.Sprint(socket.Laddr.Port) != port || !overlaps(host, socket.Laddr.IP) {
			continue
		}
		if socket.Status == "LISTEN" {
			return processName(ctx, socket.Pid)
		}
		connection = &sockets[i]
	}
	if connection == nil {
		return "", errors.New("it is gone already: try again")
	}
	return fmt.Sprintf("an outgoing connection (%s to %s:%d), which may last a minute", connection.Status, connection.Raddr.IP, connection.Raddr.Port), nil
}

func processName(ctx context.Context, pid int32) (string, error) {
	if pid == 0 {
		return "", errors.New("it belongs to another user; `sudo ss -ltnp` shows it")
	}
	name := "?"
	if p, err := process.NewProcessWithContext(ctx, pid); err == nil {
		name, _ = p.NameWithContext(ctx)
	}
	return fmt.Sprintf("process %s (pid %d)", name, pid), nil
}

// overlaps reports whether two listening addresses exclude each other.
func overlaps(a, b string) bool {
	anyAddress := func(s string) bool { return s == "0.0.0.0" || s == "::" || s == "*" || s == "" }
	return a == b || anyAddress(a) || anyAddress(b)
}

func (m *Manager) checkDisk(ctx context.Context, cfg *Config) error {
	root, err := m.engine.dataRoot(ctx)
	if err != nil {
		return err
	}
	cluster := fmt.Sprintf("a cluster of %d nodes", len(cfg.Kind.Nodes))
	err = m.checkFree(root, uint64(diskBase+diskPerNode*len(cfg.Kind.Nodes)), cluster, "`docker system df` shows what the engine holds")
	if err != nil {
		return err
	}
	return m.checkFree(m.images.LayoutDir(), diskCache, "the cache of images", "`rollproof images prune` drops what is not used")
}

// checkFree lets a folder pass that cannot be looked at: an engine may run on another machine (a VM, DOCKER_HOST).
func (m *Manager) checkFree(dir string, need uint64, who, hint string) error {
	free, err := m.freeBelow(dir)
	if err != nil || free >= need {
		return nil
	}
	return fmt.Errorf("%s has %s free, %s needs %s: free some space (%s)", dir, gib(free), who, gib(need), hint)
}

// freeBelow looks at path itself, or where it does not exist yet at the nearest folder above it.
func (m *Manager) freeBelow(path string) (uint64, error) {
	for {
		free, err := m.machine.free(path)
		if err == nil || !errors.Is(err, syscall.ENOENT) || path == filepath.Dir(path) {
			return free, err
		}
		path = filepath.Dir(path)
	}
}

func freeBytes(path string) (uint64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", path, err)
	}
	return stat.Bavail * uint64(stat.Bsize), nil
}

func gib(bytes uint64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
