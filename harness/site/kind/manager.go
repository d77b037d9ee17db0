package kind

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/moby/moby/client"
	kind "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/log"

	"bitvault.dev/rollproof/harness/docker"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/site"
)

// DefaultName is the cluster that commands mean when none is named.
const DefaultName = "rollproof"

// networkName is fixed by kind. We make it before kind does, so that the registry can start at the same time as the nodes and so that
// it carries our labels.
const networkName = "kind"

// Images is where a cluster's images come from.
type Images interface {
	// Load puts the image of a component into the engine and returns its local tag and the key of what it is made of.
	Load(ctx context.Context, component string) (tag, key string, err error)
	// Publish offers the image of a component at a registry and returns the reference by which nodes pull it.
	Publish(ctx context.Context, registry, component string) (ref string, err error)
	// LayoutDir is the OCI layout that the registry serves.
	LayoutDir() string
}

// Components that every cluster needs, by their names in fixtures/images.
const (
	nodeComponent     = "node"
	registryComponent = "registry"
	probeComponent    = "probe"
)

// kindProvider is what is used of kind; *kind.Provider gives it.
type kindProvider interface {
	Create(name string, options ...kind.CreateOption) error
	Delete(name, kubeconfig string) error
	CollectLogs(name, dir string) error
	ExportKubeConfig(name, kubeconfig string, internal bool) error
	ListNodes(name string) ([]nodes.Node, error)
}

// Manager makes, describes and removes clusters of ours. It is safe for concurrent use, also by several processes: each cluster has a lock.
type Manager struct {
	records  records
	engine   engine
	kind     func(log.Logger) kindProvider
	images   Images
	machine  machine
	display  *progress.Display
	owner    Owner
	proc     string
	checkAll func(ctx context.Context, c *Cluster, image string, display *progress.Display) ([]Result, error)
	close    func() error
}

// ManagerOptions are what a Manager is opened with.
type ManagerOptions struct {
	StateDir string            // "" is DefaultStateDir
	Images   Images            // needed by Up alone
	Progress *progress.Display // nil shows nothing
}

// NewManager connects to the engine that answers. The caller closes the manager.
func NewManager(ctx context.Context, o ManagerOptions) (*Manager, error) {
	state := o.StateDir
	if state == "" {
		var err error
		if state, err = DefaultStateDir(); err != nil {
			return nil, err
		}
	}
	api, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return newManager(o, state, moby{api}, api), nil
}

func newManager(o ManagerOptions, state string, engine engine, api *client.Client) *Manager {
	m := &Manager{
		records: records{dir: state}, engine: engine, images: o.Images, machine: thisMachine(), display: o.Progress,
		owner: thisProcess("/proc", newRunID()), proc: "/proc", checkAll: checkReadiness,
		kind: func(l log.Logger) kindProvider {
			return kind.NewProvider(kind.ProviderWithDocker(), kind.ProviderWithLogger(l))
		},
		close: func() error { return nil },
	}
	if m.display == nil {
		m.display = progress.Discard()
	}
	if api != nil {
		m.close = api.Close
	}
	return m
}

// Close lets go of the engine. Clusters are not touched.
func (m *Manager) Close() error { return m.close() }

func newRunID() string {
	raw := make([]byte, 6)
	rand.Read(raw) // never fails (crypto/rand)
	return hex.EncodeToString(raw)
}

// labels are what everything made for a cluster carries.
func (m *Manager) labels(cluster string) map[string]string {
	labels := m.owner.labels()
	labels[LabelState] = m.records.dir
	if cluster != "" {
		labels[LabelCluster] = cluster
	}
	return labels
}

// handle returns a connected handle on a recorded cluster.
func (m *Manager) handle(ctx context.Context, r Record) (*Cluster, error) {
	kubeconfig := m.records.kubeconfig(r.Name)
	if _, err := os.Stat(kubeconfig); err != nil {
		return nil, fmt.Errorf("cluster %s has no kubeconfig: %w", r.Name, err)
	}
	connected, err := site.Handle{Name: r.Name, Provider: provider, Kubeconfig: kubeconfig, Context: "kind-" + r.Name}.Connect()
	if err != nil {
		return nil, err
	}
	registry, err := m.registryOf(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	return &Cluster{
		Handle: connected, Registry: registry,
		uid: r.UID, nodes: r.Workers + 1, probeAddr: r.ProbeAddr,
		pathNode: r.PathNode, doors: r.Doors, NodeShares: r.NodeShares,
	}, nil
}

// Get returns a handle on a cluster of ours that `cluster up` finished.
func (m *Manager) Get(ctx context.Context, name string) (*Cluster, error) {
	r, ok, err := m.records.get(name)
	if err != nil {
		return nil, err
	}
	if !ok || r.Phase != Ready {
		return nil, fmt.Errorf("no finished cluster is called %s: `rollproof cluster up --name %s` makes one", name, name)
	}
	return m.handle(ctx, r)
}
