package run

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/checks/stack"
)

// Site is what scenarios are performed on. It remembers that one of them left it broken.
type Site interface {
	// Ready is the cluster as it is, or a new one where the last scenario left it broken.
	Ready(ctx context.Context) (Cluster, error)
	// Break remembers that the cluster was left broken: by which scenario, and how.
	Break(left string)
}

// Performer performs scenarios one after another on a site, for the command line and for suites alike. Its functions may be nil.
type Performer struct {
	Site   Site   // nil where no scenario needs a cluster
	Runner Runner // on whichever cluster the site has at the time
	// Begin is told of the scenario that is performed next, the nth of how many, counted from 1.
	Begin func(s Scenario, nth, of int)
	// Report shows what was recorded and judged. It gets a context that an interrupt does not cancel.
	Report func(ctx context.Context, o Outcome) error
	// Done is told what became of each scenario, also of those that were not begun.
	Done func(Performed) error
}

// Performed is what became of a scenario that was to be performed.
type Performed struct {
	Outcome
	Took     time.Duration
	Err      error // it could not be run as planned, or what became of it not be reported
	NotBegun bool  // an interrupt, an invalid scenario or a missing cluster kept it from it
}

// Perform performs scenarios until none is left, the context ends, or the site has no cluster for the next. It returns what became of each, in
// their order. The error says why some were not begun, and holds what Done returned; the end of the context alone is no error. When one of the
// scenarios is not valid, none is begun.
func (p Performer) Perform(ctx context.Context, scenarios ...Scenario) ([]Performed, error) {
	var all []Performed
	errs := invalid(scenarios)
	for i, s := range scenarios {
		next := Performed{Outcome: Outcome{Scenario: s.Name}, NotBegun: true}
		if len(errs) == 0 && ctx.Err() == nil {
			var err error
			if p.Runner.Cluster, err = p.cluster(ctx, s); err != nil {
				errs = append(errs, err)
			} else {
				next = p.one(ctx, s, i+1, len(scenarios))
			}
		}
		all = append(all, next)
		if p.Done != nil {
			if err := p.Done(next); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return all, errors.Join(errs...)
}

// invalid says what is wrong with scenarios that cannot be performed.
func invalid(scenarios []Scenario) []error {
	var errs []error
	for _, s := range scenarios {
		if err := s.Valid(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// cluster is what a scenario is performed on. The site is not asked where it needs none.
func (p Performer) cluster(ctx context.Context, s Scenario) (Cluster, error) {
	if s.NoCluster {
		return Cluster{}, nil
	}
	return p.Site.Ready(ctx)
}

// one performs a scenario on the cluster that there is.
func (p Performer) one(ctx context.Context, s Scenario, nth, of int) Performed {
	if p.Begin != nil {
		p.Begin(s, nth, of)
	}
	began := time.Now()
	outcome, err := p.Runner.Run(ctx, s)
	if !s.NoCluster && !outcome.Healed() {
		p.Site.Break(outcome.left())
	}
	if outcome.History != nil && p.Report != nil {
		err = errors.Join(err, p.Report(context.WithoutCancel(ctx), outcome))
	}
	return Performed{Outcome: outcome, Took: time.Since(began), Err: err}
}

// left says which scenario left the cluster broken, and what it left.
func (o Outcome) left() string {
	var findings []string
	for _, p := range o.Result.Promises {
		if p.Slug != stack.SlugHealed {
			continue
		}
		for _, f := range p.Findings {
			findings = append(findings, f.Text)
		}
	}
	text := o.Scenario + " left it"
	switch {
	case len(findings) > 0:
		return text + ": " + strings.Join(findings, "; ")
	case o.Early != nil:
		return text + ": " + o.Early.Error()
	}
	return text + ": nobody saw whether all is healed"
}

// together merges maps. A later one wins.
func together(all ...map[string]string) map[string]string {
	union := map[string]string{}
	for _, m := range all {
		maps.Copy(union, m)
	}
	return union
}
