package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/e2e-framework/klient"
	"sigs.k8s.io/e2e-framework/support"
	"sigs.k8s.io/kind/pkg/log"
)

// Provider lets sigs.k8s.io/e2e-framework use our clusters: envfuncs.CreateClusterWithOpts(cluster.NewProvider(manager, config), name).
// Create returns only after our own readiness checks.
type Provider struct {
	manager *Manager
	config  *Config
	name    string
	cluster *Cluster
}

var (
	_ support.E2EClusterProvider = (*Provider)(nil)
	_ support.E2EClusterProvider = (*ExistingProvider)(nil)
)

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
		return fmt.Errorf("save logs of cluster %s: %s", p.name, oneLine(err))
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

// ExistingProvider lets the framework use a cluster that somebody else made. It never creates nor destroys.
type ExistingProvider struct{ cluster *Cluster }

// NewExistingProvider returns a provider of a cluster that Existing connected to.
func NewExistingProvider(c *Cluster) *ExistingProvider { return &ExistingProvider{cluster: c} }

// SetDefaults does nothing.
func (p *ExistingProvider) SetDefaults() support.E2EClusterProvider { return p }

// WithName does nothing: the cluster is the one that was connected to.
func (p *ExistingProvider) WithName(string) support.E2EClusterProvider { return p }

// WithVersion does nothing.
func (p *ExistingProvider) WithVersion(string) support.E2EClusterProvider { return p }

// WithPath does nothing.
func (p *ExistingProvider) WithPath(string) support.E2EClusterProvider { return p }

// WithOpts applies the framework's options.
func (p *ExistingProvider) WithOpts(opts ...support.ClusterOpts) support.E2EClusterProvider {
	for _, option := range opts {
		option(p)
	}
	return p
}

// Create makes nothing and returns the kubeconfig file that was named.
func (p *ExistingProvider) Create(context.Context, ...string) (string, error) {
	return p.cluster.Kubeconfig, nil
}

// CreateWithConfig refuses: an existing cluster has its configuration.
func (p *ExistingProvider) CreateWithConfig(context.Context, string) (string, error) {
	return "", errors.New("an existing cluster cannot be created from a configuration")
}

// GetKubeconfig returns the kubeconfig file that was named.
func (p *ExistingProvider) GetKubeconfig() string { return p.cluster.Kubeconfig }

// GenerateKubeconfig returns the kubeconfig file that was named.
func (p *ExistingProvider) GenerateKubeconfig(...string) (string, error) {
	return p.cluster.Kubeconfig, nil
}

// GetKubectlContext returns the context that was named.
func (p *ExistingProvider) GetKubectlContext() string { return p.cluster.Context }

// ExportLogs saves events, pods, nodes and claims as the API server has them: the nodes themselves are out of reach.
func (p *ExistingProvider) ExportLogs(ctx context.Context, dest string) error {
	for name, dump := range p.cluster.dumps() {
		raw, err := dump(ctx)
		if err != nil {
			return fmt.Errorf("save %s of cluster %s: %w", name, p.cluster.Name, err)
		}
		if err := writeFile(dest+string(os.PathSeparator)+name, raw); err != nil {
			return fmt.Errorf("save %s of cluster %s: %w", name, p.cluster.Name, err)
		}
	}
	return nil
}

// Destroy does nothing: what rollproof did not make it does not remove.
func (p *ExistingProvider) Destroy(context.Context) error { return nil }

// WaitForControlPlane waits until every node is Ready.
func (p *ExistingProvider) WaitForControlPlane(ctx context.Context, _ klient.Client) error {
	return p.cluster.waitNodesReady(ctx, defaultLimits.nodes)
}

// KubernetesRestConfig returns the client configuration.
func (p *ExistingProvider) KubernetesRestConfig() *rest.Config {
	return rest.CopyConfig(p.cluster.Config)
}
