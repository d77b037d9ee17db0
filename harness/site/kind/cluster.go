// Package cluster gives the harness a Kubernetes cluster: a kind cluster of its own with a registry beside it, or an existing one that
// the user names.
//
// A cluster of ours is one only when our own checks passed (ready.go). What is made is recorded before it is made and removed by the
// next start when its maker died (record.go, sweep.go). Nothing disturbs a cluster without asking the guard (guard.go).
package cluster

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Cluster is a handle on a running cluster, ours or an existing one.
type Cluster struct {
	Name       string
	Provider   string // "kind" or "existing"
	Kubeconfig string // file; its only or its named context is used
	Context    string
	Registry   string // host:port of the registry beside it as this machine reaches it, "" for an existing cluster
	Config     *rest.Config
	Client     kubernetes.Interface

	uid       string // recorded identity, "" when rollproof did not make it
	nodes     int    // how many it must have, 0 when unknown
	probeAddr string // where this machine reaches ProbeNodePort
	pathNode  string // where the path ends, "" when nothing of ours answers there
	doors     []string

	// NodeShares is how much of the CPU each node gets where others want it too, of the 1024 that everything has by default; 0: as everything.
	NodeShares int64
}

// Existing connects to a cluster that somebody else made. Kubeconfig file and context must both be named: a current context is never
// assumed, since a slip there would disturb the wrong cluster.
func Existing(ctx context.Context, kubeconfig, kubeContext string) (*Cluster, error) {
	if kubeconfig == "" || kubeContext == "" {
		return nil, fmt.Errorf("connect to an existing cluster: name both the kubeconfig file and the context, none is assumed")
	}
	c := &Cluster{Name: kubeContext, Provider: "existing", Kubeconfig: kubeconfig, Context: kubeContext}
	if err := c.connect(); err != nil {
		return nil, err
	}
	if _, err := clusterUID(ctx, c.Client); err != nil {
		return nil, fmt.Errorf("connect to cluster %s: %w", kubeContext, err)
	}
	return c, nil
}

// connect builds the client from Kubeconfig and Context.
func (c *Cluster) connect() error {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}, &clientcmd.ConfigOverrides{CurrentContext: c.Context})
	cfg, err := loader.ClientConfig()
	if err != nil {
		return fmt.Errorf("read context %s of kubeconfig %s: %s", c.Context, c.Kubeconfig, oneLine(err))
	}
	// The checks run side by side; the default of 5 requests a second would be what they wait for.
	cfg.QPS, cfg.Burst = 100, 200
	cfg.Timeout = 15 * time.Second
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("make a client of cluster %s: %w", c.Name, err)
	}
	c.Config, c.Client = cfg, client
	return nil
}

// clusterUID is the identity of a cluster: the UID of its kube-system namespace, which lives exactly as long as the cluster does.
func clusterUID(ctx context.Context, client kubernetes.Interface) (string, error) {
	ns, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read the cluster's identity: %w", err)
	}
	return string(ns.UID), nil
}

// ProbeURL is where this machine reaches ProbeNodePort of the cluster.
func (c *Cluster) ProbeURL() string {
	if c.probeAddr == "" {
		return ""
	}
	return "http://" + loopback(c.probeAddr)
}
