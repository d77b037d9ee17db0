// Package existing runs on a cluster that somebody else made and the command names. It makes nothing there and removes nothing. Runs may disturb
// what the owners agreed to. A cluster that was left broken is left to its owner, and the error says what is left.
package existing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bitvault.dev/rollproof/harness/site"
)

// Provider is what Status calls this kind of site.
const Provider = "existing"

// Site is an existing cluster. Open makes one.
type Site struct {
	cluster site.Cluster
	left    []string // by the runs that broke it
}

var _ site.Site = (*Site)(nil)

// Open connects to the cluster of a context in a kubeconfig file, and changes nothing. Both must be named.
func Open(ctx context.Context, kubeconfig, kubeContext string) (*Site, error) {
	handle, err := site.Handle{Name: kubeContext, Provider: Provider, Kubeconfig: kubeconfig, Context: kubeContext}.Connect()
	if err != nil {
		return nil, fmt.Errorf("use an existing cluster: %w", err)
	}
	uid, err := handle.UID(ctx)
	if err == nil && uid == "" {
		err = errors.New("its namespace kube-system has no UID, so it cannot be told from another cluster")
	}
	if err != nil {
		return nil, fmt.Errorf("use the existing cluster %s: %w", kubeContext, err)
	}
	return &Site{cluster: site.Cluster{Handle: handle, UID: uid, Guard: site.Consent{Cluster: handle, UID: uid}}}, nil
}

// UID is the identity of the cluster.
func (s *Site) UID() string { return s.cluster.UID }

// Status describes the cluster. Others may have cordoned a node: then it is not ready, and may be used all the same.
func (s *Site) Status(ctx context.Context) (site.Status, error) { return s.cluster.Status(ctx, 0) }

// Ready is the cluster as it is. Once a run left it broken nothing further runs on it.
func (s *Site) Ready(ctx context.Context) (site.Cluster, error) {
	if len(s.left) > 0 {
		return site.Cluster{}, fmt.Errorf("nothing further is run on cluster %s, which rollproof did not make and does not mend: it is left as %s",
			s.cluster.Name, strings.Join(s.left, "; and as "))
	}
	status, err := s.Status(ctx)
	if err != nil {
		return site.Cluster{}, fmt.Errorf("use the existing cluster %s: %w", s.cluster.Name, err)
	}
	cluster := s.cluster
	cluster.Workers, cluster.Versions = status.Workers(), status.Versions()
	return cluster, nil
}

// Break notes what a run left. The cluster is neither removed nor made anew.
func (s *Site) Break(left string) { s.left = append(s.left, left) }

// Close leaves the cluster as it is.
func (s *Site) Close(context.Context) error { return nil }
