package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"bitvault.dev/rollproof/harness/site"
	"bitvault.dev/rollproof/harness/words"
)

// The path is the way that load takes from this machine to a node: a mapped port of the engine. A responder on that node, in the node's
// own network, answers where nothing of a stack has a say. When it does not answer, the harness has lost its way to the cluster.
const (
	pathNamespace = "rollproof-path"
	pathName      = "path"
	// pathTimeout bounds one look at the path. The answer takes a millisecond.
	pathTimeout = 2 * time.Second
)

// nodeShares is how much of the CPU a node gets where it is wanted by others, of the 1024 that everything has by default: the generator that
// measures a cluster on its own machine must come before it. It helps where both are siblings, as a CI runner's service and the containers
// are under systemd; elsewhere the generator's own priority does.
const nodeShares = 256

// yieldNodes lets the nodes come after the generator. Where the engine cannot, the cluster is as good, and its record says so.
func (m *Manager) yieldNodes(ctx context.Context, name string) (shares int64) {
	nodes, err := m.engine.containers(ctx, labelKind+"="+name)
	if err != nil {
		return 0
	}
	for _, node := range nodes {
		if err := m.engine.yield(ctx, node.ID, nodeShares); err != nil {
			return 0
		}
	}
	return nodeShares
}

// Path is the way from this machine to the cluster.
func (c *Cluster) Path() site.Path {
	if c.pathNode == "" {
		return site.Path{}
	}
	return site.Path{URL: c.ProbeURL() + "/", Node: c.pathNode, Doors: c.doors}
}

// CheckPath reports whether load gets from this machine to the cluster: the responder answers, and every door opens. A cluster without a
// responder has nothing to check.
func (c *Cluster) CheckPath(ctx context.Context) error {
	if c.pathNode == "" {
		return nil
	}
	for _, door := range c.doors {
		if err := knock(ctx, door); err != nil {
			return fmt.Errorf("the path to it is dead: the engine no longer takes connections at %s: %w", door, err)
		}
	}
	if err := c.askPath(ctx); err != nil {
		return fmt.Errorf("the path to it is dead: %w", err)
	}
	return nil
}

func knock(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{Timeout: pathTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// askPath wants an answer of the responder on the right node, and of nothing else that may listen there.
func (c *Cluster) askPath(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pathTimeout)
	defer cancel()
	status, body, err := fetch(ctx, c.ProbeURL())
	if err != nil {
		return err
	}
	var answer identity
	if err := json.Unmarshal(body, &answer); status != http.StatusOK || err != nil || answer.Node != c.pathNode {
		return fmt.Errorf("%s answered %d %q, want the responder on node %s", c.ProbeURL(), status, strings.TrimSpace(string(body)), c.pathNode)
	}
	return nil
}

// makePath puts the responder on the node that the probe's port leads to, and waits until it answers.
func (c *Cluster) makePath(ctx context.Context, image, node string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: pathNamespace, Labels: map[string]string{LabelOwner: pathName}}}
	if _, err := c.Client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make namespace %s: %w", pathNamespace, err)
	}
	sets := c.Client.AppsV1().DaemonSets(pathNamespace)
	if _, err := sets.Create(ctx, pathResponder(image, node), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the responder at the end of the path: %w", err)
	}
	c.pathNode = node
	return poll(ctx, "the responder at the end of the path answers", defaultLimits.pods, func(ctx context.Context) (bool, string) {
		err := c.askPath(ctx)
		if err != nil {
			return false, words.OneLine(err.Error())
		}
		return true, ""
	})
}

// pathResponder is the probe image in the network of one node. It must run whatever happens to other pods.
func pathResponder(image, node string) *appsv1.DaemonSet {
	labels := map[string]string{"app": pathName}
	spec := probeSpec(image)
	container := &spec.Containers[0]
	container.Env = append(container.Env, corev1.EnvVar{Name: "PROBE_ADDR", Value: ":" + strconv.Itoa(ProbeNodePort)})
	container.Ports = []corev1.ContainerPort{{ContainerPort: ProbeNodePort}}
	container.ReadinessProbe.TCPSocket.Port = intstr.FromInt32(ProbeNodePort)
	spec.HostNetwork, spec.PriorityClassName = true, "system-node-critical"
	spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: pathName},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}

// findDoors tells whether a program of the engine takes the connections of mapped ports on this machine. Such a port accepts connections even while
// nothing listens behind it. So findDoors must be called before anything listens at the probe's node port. Where the kernel leads to the node
// instead, there are no doors.
func (c *Config) findDoors(ctx context.Context) []string {
	if knock(ctx, loopback(c.probeAddress())) != nil {
		return nil
	}
	var doors []string
	for _, port := range c.hostPorts() {
		if isTCP(port) {
			doors = append(doors, loopback(hostAddress(port)))
		}
	}
	return doors
}

// loopback is how this machine reaches an address that listens on all of its addresses.
func loopback(address string) string {
	if host, port, err := net.SplitHostPort(address); err == nil && host == "0.0.0.0" {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

func isTCP(port v1alpha4.PortMapping) bool {
	return port.Protocol == "" || strings.EqualFold(string(port.Protocol), string(v1alpha4.PortMappingProtocolTCP))
}

// pathEnd is the name that kind gives to the node which the probe's port is mapped to: its role, counted from the second one of a role.
func (c *Config) pathEnd(cluster string) string {
	seen := map[v1alpha4.NodeRole]int{}
	for _, node := range c.Kind.Nodes {
		seen[node.Role]++
		for _, port := range node.ExtraPortMappings {
			if port.ContainerPort != ProbeNodePort || !isTCP(port) {
				continue
			}
			name := cluster + "-" + string(node.Role)
			if n := seen[node.Role]; n > 1 {
				name += strconv.Itoa(n)
			}
			return name
		}
	}
	return ""
}
