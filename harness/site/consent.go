package site

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConsentAnnotation, set to "true" on a namespace or a node by its owner, lets it be disturbed on a cluster that rollproof did not make.
// rollproof never sets it.
const ConsentAnnotation = "rollproof.dev/allow-disruption"

// Consent guards a cluster that rollproof did not make. It lets through what the owners agreed to, and only while the cluster that answers is the
// one that the command named: a name, or an address, may lead to another cluster tomorrow.
type Consent struct {
	Cluster Handle
	UID     string // of the cluster when the command began
}

// Allow wants the annotation on the namespace.
func (c Consent) Allow(ctx context.Context, namespace string) error {
	if err := c.same(ctx); err != nil {
		return err
	}
	agreed, err := c.agreed(ctx, namespace)
	if err != nil || agreed {
		return err
	}
	return fmt.Errorf("refuse to disturb namespace %s of cluster %s: rollproof did not make this cluster, and the namespace does not carry %s. "+
		"Its owner may agree: %s", namespace, c.Cluster.Name, wanted, c.command("namespace", namespace))
}

// AllowNode wants the annotation on the node, or else on every namespace that would lose a pod: one owner's consent is not the neighbour's.
func (c Consent) AllowNode(ctx context.Context, node string, evictable []string) error {
	if err := c.same(ctx); err != nil {
		return err
	}
	n, err := c.Cluster.Client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("refuse to disturb node %s of cluster %s: read its annotations: %w", node, c.Cluster.Name, err)
	}
	if isConsent(n.Annotations) {
		return nil
	}
	var against []string
	for _, namespace := range evictable {
		agreed, err := c.agreed(ctx, namespace)
		if err != nil {
			return err
		}
		if !agreed {
			against = append(against, namespace)
		}
	}
	if len(evictable) > 0 && len(against) == 0 {
		return nil
	}
	whose := "no namespace with a pod on it agrees either"
	if len(against) > 0 {
		whose = "neither do all namespaces with pods on it, which a drain would evict: " + strings.Join(against, ", ")
	}
	return fmt.Errorf("refuse to disturb node %s of cluster %s: rollproof did not make this cluster, the node does not carry %s, and %s. "+
		"The node's owner may agree: %s", node, c.Cluster.Name, wanted, whose, c.command("node", node))
}

// wanted is the annotation as a manifest has it.
const wanted = ConsentAnnotation + `: "true"`

func isConsent(annotations map[string]string) bool { return annotations[ConsentAnnotation] == "true" }

func (c Consent) agreed(ctx context.Context, namespace string) (bool, error) {
	if namespace == "" {
		return false, fmt.Errorf("refuse to disturb cluster %s: no namespace is named", c.Cluster.Name)
	}
	ns, err := c.Cluster.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("refuse to disturb namespace %s of cluster %s: read its annotations: %w", namespace, c.Cluster.Name, err)
	}
	return isConsent(ns.Annotations), nil
}

// same wants the cluster that answers to be the one from the beginning.
func (c Consent) same(ctx context.Context) error {
	uid, err := c.Cluster.UID(ctx)
	if err != nil {
		return fmt.Errorf("refuse to disturb cluster %s: whether it is still the one that was named cannot be told: %w", c.Cluster.Name, err)
	}
	if c.UID == "" || uid != c.UID {
		return fmt.Errorf("refuse to disturb cluster %s: another cluster answers by now than the one that was named when the command began "+
			"(kube-system has the UID %q, before %q)", c.Cluster.Name, uid, c.UID)
	}
	return nil
}

// command is what an owner types to agree.
func (c Consent) command(kind, name string) string {
	return fmt.Sprintf("kubectl --kubeconfig %s --context %s annotate %s %s %s=true", c.Cluster.Kubeconfig, c.Cluster.Context, kind, name, ConsentAnnotation)
}
