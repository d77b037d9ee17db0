package kind

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/e2e-framework/klient"
	"sigs.k8s.io/e2e-framework/support"
	"sigs.k8s.io/kind/pkg/log"

	"bitvault.dev/rollproof/harness/words"
)

// Provider lets sigs.k8s.io/e2e-framework use our clusters: envfuncs.CreateClusterWithOpts(kind.NewProvider(manager, config), name).
// Create returns only after our own readiness checks.
type Provider struct {
	manager *Manager
	config  *Config
	name    string
	cluster *Cluster
}

var _ support.E2EClusterProvider = (*Provider)(nil)

// NewProvider returns a provider of kind clusters made by manager from config.
func NewProvider(manager *Manager, config *Config) *Provider {
	return &Provider{manager: manager, config: config, name: DefaultName}
}

// SetDefaults does nothing: NewProvider gives every default.
func (p *Provider) SetDefaults() support.E2EClusterProvider { return p }

// WithName sets the cluster's name.
func (p *Provider) WithName(name string) support.E2EClusterProvider { p.name = name; return p }

// WithVersion does nothing: the Kubernetes version is pinned by the node image's component.
func (p *Provider) WithVersion(string) support.E2EClusterProvider { return p }

// WithPath does nothing: kind is used as a library.
func (p *Provider) WithPath(string) support.E2EClusterProvider { return p }

// WithOpts applies the framework's options.
func (p *Provider) WithOpts(opts ...support.ClusterOpts) support.E2EClusterProvider {
	for _, option := range opts {
		option(p)
	}
	return p
}

// Create makes the cluster, or finds the same one healthy, and returns its kubeconfig file.
func (p *Provider) Create(ctx context.Context, args ...string) (string, error) {
	if len(args) > 0 {
		return "", fmt.Errorf("create cluster %s: arguments %q are for kind's command line, which is not used", p.name, args)
	}
	c, _, err := p.manager.Up(ctx, UpOptions{Name: p.name, Config: p.config})
	if err != nil {
		return "", err
	}
	p.cluster = c
	return c.Kubeconfig, nil
}

// CreateWithConfig is Create with another kind configuration file.
func (p *Provider) CreateWithConfig(ctx context.Context, configFile string) (string, error) {
	config, err := LoadConfig(configFile)
	if err != nil {
		return "", err
	}
	p.config = config
	return p.Create(ctx)
}

// GetKubeconfig returns the kubeconfig file, "" before Create.
func (p *Provider) GetKubeconfig() string {
	if p.cluster == nil {
		return ""
	}
	return p.cluster.Kubeconfig
}

// GenerateKubeconfig returns the same file as GetKubeconfig, and an error before Create.
func (p *Provider) GenerateKubeconfig(...string) (string, error) {
	if p.cluster == nil {
		return "", fmt.Errorf("kubeconfig of cluster %s: it was not created yet", p.name)
	}
	return p.cluster.Kubeconfig, nil
}

// GetKubectlContext returns the name of the context in that file.
func (p *Provider) GetKubectlContext() string { return "kind-" + p.name }

// ExportLogs saves the nodes' logs below dest.
func (p *Provider) ExportLogs(_ context.Context, dest string) error {
	if err := p.manager.kind(log.NoopLogger{}).CollectLogs(p.name, dest); err != nil {
		return fmt.Errorf("save logs of cluster %s: %s", p.name, words.OneLine(err.Error()))
	}
	return nil
}

// Destroy removes the cluster.
func (p *Provider) Destroy(ctx context.Context) error {
	_, err := p.manager.Down(ctx, p.name, func(string, ...any) {})
	p.cluster = nil
	return err
}

// WaitForControlPlane waits until every node is Ready; Create has checked more than that already.
func (p *Provider) WaitForControlPlane(ctx context.Context, _ klient.Client) error {
	if p.cluster == nil {
		return fmt.Errorf("wait for cluster %s: it was not created yet", p.name)
	}
	return p.cluster.waitNodesReady(ctx, defaultLimits.nodes)
}

// KubernetesRestConfig returns the client configuration, nil before Create.
func (p *Provider) KubernetesRestConfig() *rest.Config {
	if p.cluster == nil {
		return nil
	}
	return rest.CopyConfig(p.cluster.Config)
}
