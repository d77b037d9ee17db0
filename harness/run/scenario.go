package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/probe"
	"bitvault.dev/rollproof/harness/words"
)

// Scenario is a value: reading it tells what is set up, what load runs, what is done and which promises are judged.
type Scenario struct {
	Name   string   // area/what, e.g. canary/aborts-on-errors
	Proves string   // one sentence
	Labels []string // to select by, e.g. smoke
	Needs  Needs
	// NoCluster says that the scenario needs no cluster. None is made or observed for it, and its stack, if it has one, gets the zero value.
	NoCluster bool
	Stack     Stack
	// Before is how long probes, such as load, are at work before the first act, After how long they go on after the last one. Without Before
	// the scenario has no probes: its stack must name none.
	Before, After time.Duration
	Acts          []Act
	// Checks are the promises judged, by slug, besides those that are always judged.
	Checks []string
	// Budgets changes the limits that verdicts hang on; nil keeps the defaults, and what a Strategist says of its strategy.
	Budgets func(*checks.Budgets)
}

// Valid says what is wrong with the scenario, as far as it tells by itself.
func (s Scenario) Valid() error {
	if err := s.flaw(); err != nil {
		return fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	return nil
}

func (s Scenario) flaw() error {
	found, err := checks.All(s.budgets()).Find(s.Checks...)
	own := slices.ContainsFunc(found, func(c judge.Check) bool { return !c.Always })
	switch {
	case err != nil:
		return err
	case s.Stack == nil && !s.NoCluster:
		return errors.New("it names no stack: say NoCluster where it needs none")
	case s.NoCluster && s.Needs.String() != "":
		return fmt.Errorf("it needs %s, and says NoCluster", s.Needs)
	case s.Before <= 0 && s.After > 0:
		return errors.New("its probes go on after the last act, and are not at work before the first one: say Before")
	case s.Before <= 0 && !own:
		return errors.New("it has no load, and names no check besides those that are always judged: it would prove nothing")
	}
	return s.Needs.known()
}

// NeedCluster reports whether any of the scenarios does.
func NeedCluster(scenarios []Scenario) bool {
	return slices.ContainsFunc(scenarios, func(s Scenario) bool { return !s.NoCluster })
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
	Name         string
	REST         *rest.Config
	Ours         bool // rollproof made it: stacks may be installed on it
	Workers      int
	Capabilities []Capability
	Guard        disrupt.Guard
	Nodes        disrupt.NodeExec
	Power        disrupt.NodePower
	// Path watches the way from this machine to the cluster, beside every load; nil where nothing on a node answers for it.
	Path *load.Arm
	// Versions names what the cluster is made of, for the record.
	Versions map[string]string
}

// Load is HTTP load on what runs on the cluster, as a probe. An arm of its own watches the path to the cluster, where it has one.
func (c Cluster) Load(arms []load.Arm, plan load.Plan) probe.Probe {
	arms = slices.Clone(arms)
	if c.Path != nil {
		arms, plan.Sources = append(arms, *c.Path), load.Sources
	}
	return load.Probe{Arms: arms, Plan: plan}
}

// disturbedAt returns the cluster for a scenario that disturbs some nodes themselves. Where the node at the end of the path is one of them, its
// silence says nothing of the path.
func (c Cluster) disturbedAt(nodes []string) Cluster {
	if c.Path != nil && c.Path.Path != nil && slices.Contains(nodes, c.Path.Path.Node) {
		arm, path := *c.Path, *c.Path.Path
		path.Disturbed, arm.Path = true, &path
		c.Path = &arm
	}
	return c
}

// Stack is what a scenario runs against. The fixtures provide it.
type Stack interface {
	// Ready installs what is missing, waits until everything is ready and says what is to be probed. On a ready stack it is quick. The cluster
	// is the zero value where the scenario needs none.
	Ready(ctx context.Context, c Cluster, say Say) (Aim, error)
	// Settle waits until nothing moves any more after the disturbances were healed, and says what it saw last if that takes
	// too long.
	Settle(ctx context.Context, c Cluster) error
}

// Strategist is a Stack that says by which strategy its releases go out, as its manifests have it. A check that needs a part of the strategy which
// is not said is inconclusive.
type Strategist interface {
	Strategy() canary.Strategy
}

// Aim says which probes ask the stack while the acts disturb it, and what of the cluster is observed meanwhile.
type Aim struct {
	Probes     []probe.Probe // at work from before the first act until after the last one is healed
	Namespaces []string
	Resources  []string // that must be observed, as in observe.Config.Require
}

// fits says what is wrong with the probes that a stack names, for a scenario.
func (a Aim) fits(s Scenario) error {
	names := a.names()
	switch slices.Sort(names); {
	case len(slices.Compact(slices.Clone(names))) < len(names):
		return fmt.Errorf("the stack names two probes alike: %s", strings.Join(names, ", "))
	case s.Before > 0 && len(names) == 0:
		return fmt.Errorf("the stack names no probe, and the scenario wants load for %s before its first act", words.Span(s.Before))
	case s.Before <= 0 && len(names) > 0:
		return fmt.Errorf("the stack names the probes %s, and the scenario says no time for them before its first act", strings.Join(names, ", "))
	}
	return nil
}

// names are those of the probes.
func (a Aim) names() []string {
	names := []string{} // none are planned, which is more than that nobody says
	for _, p := range a.Probes {
		names = append(names, p.Name())
	}
	return names
}

// Say receives one line on what is happening now.
type Say func(format string, args ...any)
