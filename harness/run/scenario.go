package run

import (
	"context"
	"slices"
	"time"

	"k8s.io/client-go/rest"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/load"
)

// Scenario is a value: reading it tells what is set up, what load runs, what is done and which promises are judged.
type Scenario struct {
	Name   string   // area/what, e.g. canary/aborts-on-errors
	Proves string   // one sentence
	Labels []string // to select by, e.g. smoke
	Needs  Needs
	Stack  Stack
	// Before is how long load runs before the first act, After how long it goes on after the last one.
	Before, After time.Duration
	Acts          []Act
	// Checks are the promises judged, by slug, besides those that are always judged.
	Checks []string
	// Budgets changes the limits that verdicts hang on; nil keeps the defaults, and what a Strategist says of its strategy.
	Budgets func(*checks.Budgets)
}

// Labelled reports whether the scenario carries a label.
func (s Scenario) Labelled(label string) bool { return slices.Contains(s.Labels, label) }

// Disturbances names what the acts do to the stack: each must land, or the run proves nothing.
func (s Scenario) Disturbances() []string {
	var names []string
	for _, act := range s.Acts {
		for _, d := range act.Disturbances() {
			names = append(names, d.Name())
		}
	}
	return names
}

// nodes are those that the acts disturb themselves, and not just what runs on them.
func (s Scenario) nodes() []string {
	var all []string
	for _, act := range s.Acts {
		for _, d := range act.Disturbances() {
			all = append(all, disrupt.Nodes(d)...)
		}
	}
	return all
}

// budgets are the limits that its record is judged by.
func (s Scenario) budgets() checks.Budgets {
	b := checks.DefaultBudgets()
	if stack, ok := s.Stack.(Strategist); ok {
		b.Strategy = stack.Strategy()
	}
	if s.Budgets != nil {
		s.Budgets(&b)
	}
	return b
}

// Usually is about how long the scenario takes on a stack that is ready.
func (s Scenario) Usually() time.Duration {
	usually := s.Before + s.After
	for _, act := range s.Acts {
		usually += act.Lasts()
	}
	return usually
}

// Needs is what a scenario asks of the cluster.
type Needs struct {
	Workers int // nodes that run pods, at least
}

// Unmet says what of the needs a cluster lacks, or "".
func (n Needs) Unmet(c Cluster) string {
	if c.Workers < n.Workers {
		return plural(n.Workers, "worker") + " needed, the cluster has " + plural(c.Workers, "worker")
	}
	return ""
}

// Unmet says what keeps the scenario off a cluster, or "".
func (s Scenario) Unmet(c Cluster) string {
	if lacks := s.Needs.Unmet(c); lacks != "" {
		return lacks
	}
	parts := []any{s.Stack}
	for _, act := range s.Acts {
		for _, d := range act.Disturbances() {
			parts = append(parts, d)
		}
	}
	for _, part := range parts {
		if particular, ok := part.(Particular); ok {
			if why := particular.Unfit(c); why != "" {
				return why
			}
		}
	}
	return ""
}

// Particular is a Stack, or a disturbance, that does not fit every cluster.
type Particular interface {
	// Unfit says why it does not fit a cluster, or "".
	Unfit(c Cluster) string
}

// Cluster is what a scenario runs on.
type Cluster struct {
	Name    string
	REST    *rest.Config
	Ours    bool // rollproof made it: stacks may be installed on it
	Workers int
	Guard   disrupt.Guard
	Nodes   disrupt.NodeExec
	// Path watches the way from this machine to the cluster, beside every load; nil where nothing on a node answers for it.
	Path *load.Arm
	// Versions names what the cluster is made of, for the record.
	Versions map[string]string
}

// Stack is what a scenario runs against. The fixtures provide it.
type Stack interface {
	// Ready installs what is missing, waits until everything is ready and says where load goes. On a ready stack it is quick.
	Ready(ctx context.Context, c Cluster, say Say) (Aim, error)
	// Settle waits until nothing moves any more after the disturbances were healed, and says what it saw last if that takes
	// too long.
	Settle(ctx context.Context, c Cluster) error
}

// Strategist is a Stack that says what its releases go out by, as its manifests have it. A check that needs to know a part of it and is
// not told is inconclusive.
type Strategist interface {
	Strategy() canary.Strategy
}

// Aim is where load goes, and what of the cluster is observed meanwhile.
type Aim struct {
	Arms       []load.Arm
	Plan       load.Plan // its length is left open: load runs until the acts are done
	Namespaces []string
	Resources  []string // that must be observed, as in observe.Config.Require
}

// Say receives one line on what is happening now.
type Say func(format string, args ...any)
