package cluster

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AllowAnnotation on a namespace, set to "true", allows its disruption on a cluster that rollproof did not make.
const AllowAnnotation = "rollproof.dev/allow-disruption"

// Intent is everything the guard decides by.
type Intent struct {
	Cluster     string            // name of the cluster to disturb
	CreatedByUs bool              // proven by record and identity, see Cluster.CreatedByUs
	Named       string            // the cluster as the command named it, "" when it named none
	Namespace   string            // namespace to disturb
	Annotations map[string]string // of that namespace
}

// Guard refuses to disturb a cluster that rollproof did not make, unless its namespace is annotated and the command names that very
// cluster. Both are needed: the annotation is the owner's consent, the name shows that the caller means this cluster.
func Guard(i Intent) error {
	switch {
	case i.CreatedByUs:
		return nil
	case i.Cluster == "" || i.Namespace == "":
		return fmt.Errorf("refuse to disturb: no cluster or no namespace is given")
	case i.Named == "":
		return fmt.Errorf("refuse to disturb cluster %s: rollproof did not make it, and the command does not name it (--cluster %s)", i.Cluster, i.Cluster)
	case i.Named != i.Cluster:
		return fmt.Errorf("refuse to disturb cluster %s: rollproof did not make it, and the command names %s", i.Cluster, i.Named)
	case i.Annotations[AllowAnnotation] != "true":
		return fmt.Errorf(`refuse to disturb namespace %s of cluster %s: rollproof did not make it, and the namespace does not carry %s: "true"`,
			i.Namespace, i.Cluster, AllowAnnotation)
	}
	return nil
}

// Guard decides by the live cluster whether namespace may be disturbed. named is the cluster as the command named it.
func (c *Cluster) Guard(ctx context.Context, namespace, named string) error {
	ours, err := c.CreatedByUs(ctx)
	if err != nil {
		return fmt.Errorf("refuse to disturb cluster %s: whose it is cannot be told: %w", c.Name, err)
	}
	intent := Intent{Cluster: c.Name, CreatedByUs: ours, Named: named, Namespace: namespace}
	if !ours {
		ns, err := c.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("refuse to disturb namespace %s of cluster %s: read its annotations: %w", namespace, c.Name, err)
		}
		intent.Annotations = ns.Annotations
	}
	return Guard(intent)
}

// CreatedByUs reports whether this live cluster is one that rollproof made and finished: its kube-system namespace must be the one that
// was recorded then. A name proves nothing, since anybody can make a cluster of the same name.
func (c *Cluster) CreatedByUs(ctx context.Context) (bool, error) {
	if c.uid == "" {
		return false, nil
	}
	uid, err := clusterUID(ctx, c.Client)
	if err != nil {
		return false, err
	}
	return uid == c.uid, nil
}
