package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	kind "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/log"

	"bitvault.dev/rollproof/harness/progress"
)

// fakeEngine keeps containers in memory.
type fakeEngine struct {
	mu       sync.Mutex
	running  map[string]runningContainer
	networks map[string]map[string]string
	root     string
	startErr error
	yieldErr error
	shares   map[string]int64
	onRemove func(id string)
	stubborn int // how many removals are accepted without effect
	frozen   int // how many kills are
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{running: map[string]runningContainer{}, networks: map[string]map[string]string{}, root: "/"}
}

func (e *fakeEngine) add(c runningContainer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.ID, c.Running = "id-"+c.Name, true
	e.running[c.ID] = c
}

func (e *fakeEngine) names() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, c := range e.running {
		out = append(out, c.Name)
	}
	slices.Sort(out)
	return out
}

func (e *fakeEngine) containers(ctx context.Context, labels ...string) ([]runningContainer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []runningContainer
	for _, id := range slices.Sorted(maps.Keys(e.running)) {
		c := e.running[id]
		if !slices.ContainsFunc(labels, func(want string) bool { return !carries(c.Labels, want) }) {
			out = append(out, c)
		}
	}
	return out, nil
}

func carries(labels map[string]string, want string) bool {
	key, value, exact := strings.Cut(want, "=")
	got, ok := labels[key]
	return ok && (!exact || got == value)
}

func (e *fakeEngine) remove(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	if e.stubborn > 0 {
		e.stubborn--
	} else {
		delete(e.running, id)
	}
	hook := e.onRemove
	e.mu.Unlock()
	if hook != nil {
		hook(id)
	}
	return nil
}

func (e *fakeEngine) start(_ context.Context, spec containerSpec) (string, error) {
	if e.startErr != nil {
		return "", e.startErr
	}
	e.add(runningContainer{Name: spec.Name, Labels: spec.Labels, Address: e.root})
	return e.root, nil
}

func (e *fakeEngine) yield(_ context.Context, id string, shares int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.yieldErr != nil {
		return e.yieldErr
	}
	if e.shares == nil {
		e.shares = map[string]int64{}
	}
	e.shares[id] = shares
	return nil
}

func (e *fakeEngine) kill(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.frozen > 0 {
		e.frozen--
		return nil
	}
	return e.runs(id, false)
}

func (e *fakeEngine) resume(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runs(id, true)
}

func (e *fakeEngine) runs(id string, on bool) error {
	c, found := e.running[id]
	if !found {
		return fmt.Errorf("no container %s", id)
	}
	c.Running = on
	e.running[id] = c
	return nil
}

func (e *fakeEngine) logs(context.Context, string) ([]byte, error) { return []byte("log\n"), nil }

func (e *fakeEngine) ensureNetwork(_ context.Context, name string, labels map[string]string) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.networks[name]; ok {
		return false, nil
	}
	e.networks[name] = labels
	return true, nil
}

func (e *fakeEngine) dropNetwork(_ context.Context, name, label string) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	labels, ok := e.networks[name]
	if _, ours := labels[label]; !ok || !ours || len(e.running) > 0 {
		return false, nil
	}
	delete(e.networks, name)
	return true, nil
}

func (e *fakeEngine) memory(context.Context) (uint64, error) { return engineMemory, nil }

// engineMemory is that of the engine's machine, and of this one where nothing else is planted.
const engineMemory = 8 << 30

func (e *fakeEngine) dataRoot(context.Context) (string, error) { return "/", nil }

// fakeKind makes three containers as kind does, then behaves as create says.
type fakeKind struct {
	engine  *fakeEngine
	state   string
	create  func() error
	cluster string // what it was last asked to make
}

func (k *fakeKind) Create(name string, _ ...kind.CreateOption) error {
	k.cluster = name
	for _, role := range []string{"control-plane", "worker", "worker2"} {
		k.engine.add(runningContainer{Name: name + "-" + role, Labels: map[string]string{labelKind: name},
			Sources: []string{filepath.Join(k.state, "clusters", name, "certs.d")}})
	}
	if k.create != nil {
		return k.create()
	}
	return os.WriteFile(filepath.Join(k.state, "clusters", name, "kubeconfig"), []byte(kubeconfig(name)), 0o600)
}

func (k *fakeKind) Delete(string, string) error                 { return nil }
func (k *fakeKind) ExportKubeConfig(string, string, bool) error { return nil }
func (k *fakeKind) ListNodes(string) ([]nodes.Node, error)      { return nil, nil }
func (k *fakeKind) CollectLogs(_ string, dir string) error      { return os.MkdirAll(dir, 0o755) }

// kubeconfig names an address where nothing listens.
func kubeconfig(name string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: kind-%[1]s, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: kind-%[1]s, context: {cluster: kind-%[1]s, user: u}}]
users: [{name: u, user: {}}]
`, name)
}

type fakeImages struct {
	key string
	err error
}

func (i fakeImages) Load(_ context.Context, component string) (string, string, error) {
	return "local/" + component, i.key, i.err
}
func (i fakeImages) Publish(context.Context, string, string) (string, error) { return "ref", nil }
func (i fakeImages) LayoutDir() string                                       { return "/layout" }

var errPlanted = errors.New("planted fault")

// fixture is a manager on fakes, with a live HTTP server standing in for the registry.
type fixture struct {
	*Manager
	engine *fakeEngine
	kind   *fakeKind
	state  string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	state := t.TempDir()
	engine := newFakeEngine()
	engine.root = healthyServer(t)
	provider := &fakeKind{engine: engine, state: state}
	m := newManager(ManagerOptions{Images: fakeImages{key: "key-1"}}, state, engine, nil)
	m.kind = func(log.Logger) kindProvider { return provider }
	m.machine = machine{
		inotify: func() (bool, error) { return false, nil },
		listen:  func(string, string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		free:    func(string) (uint64, error) { return 1 << 40, nil },
		memory:  func(context.Context) (uint64, uint64, error) { return 6 << 30, engineMemory, nil },
	}
	// No API server runs: what follows the checks is tested by the e2e test, which has one.
	m.checkAll = func(context.Context, *Cluster, string, *progress.Display) ([]Result, error) {
		return []Result{{Name: "planted"}}, errPlanted
	}
	return &fixture{Manager: m, engine: engine, kind: provider, state: state}
}

func (f *fixture) options(t *testing.T) UpOptions {
	return UpOptions{Name: "x", Config: mustParse(t, goodConfig), LogsDir: t.TempDir()}
}
