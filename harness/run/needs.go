package run

import (
	"fmt"
	"slices"
	"strings"

	"bitvault.dev/rollproof/harness/words"
)

// Capability is something that not every cluster can do, or lets be done.
type Capability string

// What scenarios ask of a cluster.
const (
	// Metrics says that the kubelets tell what containers use, and that it may be read: an analysis of CPU or memory has data.
	Metrics Capability = "metrics"
	// NodeShell says that commands run on nodes as root: processes of pods can be stopped, killed and signalled.
	NodeShell Capability = "node-shell"
	// NodePower says that nodes can be stopped and started as a whole.
	NodePower Capability = "node-power"
)

// Capabilities are all that there are.
func Capabilities() []Capability { return []Capability{Metrics, NodeShell, NodePower} }

// Needs is what a scenario asks of the cluster.
type Needs struct {
	Workers      int // nodes that run pods, at least
	Capabilities []Capability
}

// String lists the needs for people; it is empty where there are none.
func (n Needs) String() string {
	var all []string
	if n.Workers > 0 {
		all = append(all, workers(n.Workers))
	}
	for _, c := range n.Capabilities {
		all = append(all, string(c))
	}
	return strings.Join(all, ", ")
}

// known refuses a capability that there is not.
func (n Needs) known() error {
	for _, c := range n.Capabilities {
		if all := Capabilities(); !slices.Contains(all, c) {
			return fmt.Errorf("there is no capability %q: a cluster can have %s", c, Needs{Capabilities: all})
		}
	}
	return nil
}

// Unmet says what of the needs a cluster lacks, or "".
func (n Needs) Unmet(c Cluster) string {
	var lacks []string
	if c.Workers < n.Workers {
		lacks = append(lacks, workers(n.Workers)+" needed, the cluster has "+workers(c.Workers))
	}
	for _, wanted := range n.Capabilities {
		if !slices.Contains(c.Capabilities, wanted) {
			lacks = append(lacks, string(wanted)+" needed, the cluster does not have it")
		}
	}
	return strings.Join(lacks, "; ")
}

func workers(n int) string { return words.Plural(uint64(n), "worker") }
