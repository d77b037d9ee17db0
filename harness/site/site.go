// Package site is what runs happen on: a cluster, the way to it, and what on it may be disturbed. Each kind of site is a folder below:
//
//	kind      clusters of our own, made when they are missing and made anew when a run broke them
//	existing  a cluster that somebody else made and the command names
//
// Another kind of cluster is another such folder, with a Site in it, and nothing else.
package site

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"bitvault.dev/rollproof/harness/words"
)

// Site gives runs their cluster. It is used by one run at a time.
type Site interface {
	// Ready is the cluster as it is, when it can be used. After Break it is a new one, or an error that says what was left.
	Ready(ctx context.Context) (Cluster, error)
	// Break notes that a run left the cluster broken, and what it left.
	Break(left string)
	// Close gives the cluster back: one that was made for this site alone goes, any other stays.
	Close(ctx context.Context) error
}

// Cluster is a running cluster, and what a run may do on it.
type Cluster struct {
	Handle
	UID string // that no other cluster has, also not one of the same name
	// Ours is whether rollproof made it: stacks are installed on such a cluster alone.
	Ours bool
	// Registry is where images for it are published, as host:port of this machine; "" where there is none.
	Registry string
	Workers  []string // nodes that run pods, by name
	Versions map[string]string
	Path     Path
	Guard    Guard
	Nodes    NodeExec  // nil where nodes are out of reach
	Power    NodePower // nil where nodes cannot be stopped
}

// Guard decides what may be disturbed. An error says why not, and what to do about it.
type Guard interface {
	// Allow decides over the pods and workloads of a namespace.
	Allow(ctx context.Context, namespace string) error
	// AllowNode decides over a node. evictable are the namespaces that have pods on it which a drain would evict.
	AllowNode(ctx context.Context, node string, evictable []string) error
}

// NodeExec runs a command as root on a node and returns its standard output.
type NodeExec interface {
	NodeExec(ctx context.Context, node string, command ...string) ([]byte, error)
}

// NodePower stops and starts whole nodes, as a switch on the wall does.
type NodePower interface {
	// StopNode ends everything on a node at once.
	StopNode(ctx context.Context, node string) error
	StartNode(ctx context.Context, node string) error
	// NodeRuns reports whether the node is switched on. It says nothing of how it is.
	NodeRuns(ctx context.Context, node string) (bool, error)
}

// Path is the way that load takes from this machine to a cluster.
type Path struct {
	URL  string // of the responder at its end, as this machine reaches it; "" when there is none
	Node string // that the responder runs on
	// Doors are the addresses of this machine, as host:port, at which a program of the engine takes connections for the cluster, one for each
	// port. There is none where the kernel leads to the node by itself.
	Doors []string
}

// Handle is a connection to a cluster by a context of a kubeconfig file.
type Handle struct {
	Name       string // what people call it
	Provider   string // the kind of site: "kind" or "existing"
	Kubeconfig string // file
	Context    string // in that file; the current one has no say
	Config     *rest.Config
	Client     kubernetes.Interface
}

// requestTimeout bounds one request to an API server.
const requestTimeout = 15 * time.Second

// Connect makes the clients of a cluster. Kubeconfig and Context must be set: none is assumed, since a slip would lead to another cluster.
func (h Handle) Connect() (Handle, error) {
	if h.Kubeconfig == "" || h.Context == "" {
		return h, fmt.Errorf("connect to a cluster: name both the kubeconfig file and the context, none is assumed")
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: h.Kubeconfig}
	file, err := rules.Load()
	if err != nil {
		return h, fmt.Errorf("read kubeconfig %s for context %s: %s", h.Kubeconfig, h.Context, words.OneLine(err.Error()))
	}
	if file.Contexts[h.Context] == nil {
		known := strings.Join(slices.Sorted(maps.Keys(file.Contexts)), ", ")
		return h, fmt.Errorf("kubeconfig %s has no context %q: it has %s", h.Kubeconfig, h.Context, cmp.Or(known, "none"))
	}
	// Not client-go's deferred loading: inside of a pod that falls back to the cluster the pod runs in.
	config, err := clientcmd.NewNonInteractiveClientConfig(*file, h.Context, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return h, fmt.Errorf("read context %s of kubeconfig %s: %s", h.Context, h.Kubeconfig, words.OneLine(err.Error()))
	}
	// Checks run side by side; the default of 5 requests a second would be what they wait for.
	config.QPS, config.Burst = 100, 200
	config.Timeout = requestTimeout
	if h.Client, err = kubernetes.NewForConfig(config); err != nil {
		return h, fmt.Errorf("make a client of cluster %s: %w", h.Name, err)
	}
	h.Config = config
	return h, nil
}

// UID is the identity of a cluster: the UID of its kube-system namespace, which lives exactly as long as the cluster does.
func (h Handle) UID(ctx context.Context) (string, error) {
	ns, err := h.Client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read the cluster's identity: %w", err)
	}
	return string(ns.UID), nil
}
