package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/log"

	"bitvault.dev/rollproof/harness/site"
)

// Site is a cluster of ours as runs use it: found or made, made anew after a run that left it broken, and removed at the end when it was made
// for this site.
type Site struct {
	manager clusters
	use     func(context.Context, *Cluster) (site.Cluster, error) // says what a run may do on a cluster
	options UpOptions
	say     func(string, ...any)

	cluster *site.Cluster // nil while there is none
	made    bool          // for this site, and not found
	keep    bool          // also when it was made for this site
	left    string        // by the run that broke it; "" while it is whole
}

var _ site.Site = (*Site)(nil)

// clusters makes and removes clusters; a Manager does.
type clusters interface {
	Up(ctx context.Context, o UpOptions) (*Cluster, UpReport, error)
	Down(ctx context.Context, name string, say func(string, ...any)) (bool, error)
	Close() error
}

// Site gives runs the cluster that the options want. It is made by the first Ready.
func (m *Manager) Site(o UpOptions, say func(string, ...any)) *Site {
	return &Site{manager: m, use: m.forRuns, options: o, say: say}
}

// Keep leaves the cluster running when the site is closed.
func (s *Site) Keep() { s.keep = true }

// Ready is the cluster, proven healthy when it was found or made. One that is not healthy any more, and one that a run left broken, is thrown
// away first, and a new one made.
func (s *Site) Ready(ctx context.Context) (site.Cluster, error) {
	if s.left != "" {
		s.say("%s: the cluster is thrown away, and a new one made", s.left)
		if err := s.drop(ctx); err != nil {
			return site.Cluster{}, err
		}
		s.left = ""
	}
	if s.cluster == nil {
		if err := s.up(ctx); err != nil {
			return site.Cluster{}, err
		}
	}
	return *s.cluster, nil
}

func (s *Site) up(ctx context.Context) error {
	c, report, err := s.manager.Up(ctx, s.options)
	if errors.Is(err, ErrUnhealthy) {
		s.say("%v: it is thrown away, and a new one made", err)
		if err := s.drop(ctx); err != nil {
			return err
		}
		c, report, err = s.manager.Up(ctx, s.options)
	}
	if err != nil {
		return err
	}
	s.made = s.made || !report.Existing // it is removed also where what follows fails
	cluster, err := s.use(ctx, c)
	if err != nil {
		return err
	}
	s.cluster = &cluster
	return nil
}

func (s *Site) drop(ctx context.Context) error {
	if _, err := s.manager.Down(ctx, s.options.Name, s.say); err != nil {
		return err
	}
	s.cluster = nil
	return nil
}

// Break notes what a run left.
func (s *Site) Break(left string) { s.left = left }

// Close removes the cluster if it was made for this site and is not to be kept, and lets go of the engine.
func (s *Site) Close(ctx context.Context) error {
	var removed error
	if s.made && !s.keep {
		removed = s.drop(ctx)
	}
	return errors.Join(removed, s.manager.Close())
}

// forRuns is a cluster with what a run may do on it.
func (m *Manager) forRuns(ctx context.Context, c *Cluster) (site.Cluster, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return site.Cluster{}, fmt.Errorf("use cluster %s: %w", c.Name, err)
	}
	all, err := m.kind(log.NoopLogger{}).ListNodes(c.Name)
	if err != nil {
		return site.Cluster{}, fmt.Errorf("use cluster %s: list its nodes: %w", c.Name, err)
	}
	versions := status.Versions()
	if c.NodeShares > 0 {
		versions["CPU shares of each node, of 1024"] = strconv.FormatInt(c.NodeShares, 10)
	}
	return site.Cluster{
		Handle: c.Handle, UID: c.uid, Ours: true, Registry: c.Registry, Workers: status.Workers(), Versions: versions,
		Path: c.Path(), Guard: owned{c}, Nodes: shell{c.Name, all}, Power: power{c.Name, m.engine},
	}, nil
}

// owned guards a cluster of ours: that it is ours is the consent, for all that is on it.
type owned struct{ cluster *Cluster }

// Allow wants the cluster that answers to be the one that rollproof made.
func (o owned) Allow(ctx context.Context, _ string) error {
	ours, err := o.cluster.CreatedByUs(ctx)
	if err != nil {
		return fmt.Errorf("refuse to disturb cluster %s: whose it is cannot be told: %w", o.cluster.Name, err)
	}
	if !ours {
		return fmt.Errorf("refuse to disturb cluster %s: the cluster that answers is not the one that rollproof made under this name; "+
			"name an existing cluster by --kubeconfig and --context", o.cluster.Name)
	}
	return nil
}

// AllowNode wants the same.
func (o owned) AllowNode(ctx context.Context, _ string, _ []string) error { return o.Allow(ctx, "") }

// shell runs commands on the nodes of one cluster, and in no other container of such a name.
type shell struct {
	cluster string
	nodes   []nodes.Node
}

// NodeExec runs a command as root on a node and returns its standard output.
func (s shell) NodeExec(ctx context.Context, node string, command ...string) ([]byte, error) {
	i := slices.IndexFunc(s.nodes, func(n nodes.Node) bool { return n.String() == node })
	if i < 0 || len(command) == 0 {
		return nil, fmt.Errorf("run %q on node %s: cluster %s has no such node, or there is no command", command, node, s.cluster)
	}
	var stdout, stderr bytes.Buffer
	err := s.nodes[i].CommandContext(ctx, command[0], command[1:]...).SetStdout(&stdout).SetStderr(&stderr).Run()
	if err != nil {
		err = fmt.Errorf("run %s on node %s: %w: %s", command[0], node, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), err
}
