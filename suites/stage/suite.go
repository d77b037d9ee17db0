package stage

import (
	"cmp"
	"context"
	"flag"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"bitvault.dev/rollproof/harness/run"
)

// Suite is a Ginkgo suite whose specs share one cluster, held from before the first of them until after the last. Make it in a
// package variable: Ginkgo wants to know what comes before and after a suite when the specs are made.
type Suite struct {
	*Stage // while specs run

	name   string
	pace   *string
	ending time.Time // when go test kills this process; zero when it does not
	why    string    // the first spec was skipped
}

// NewSuite frames the suite of a package below suites, and gives its test binary the flag -pace.
func NewSuite(name string) *Suite {
	s := &Suite{name: name, pace: flag.String("pace", "fast", "fast, or spec for the strategy's own windows")}
	ginkgo.BeforeSuite(func(ctx ginkgo.SpecContext) {
		var err error
		s.Stage, err = Open(ctx, "suites/"+name, *s.pace, s.ending)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
	})
	ginkgo.AfterSuite(func(ctx ginkgo.SpecContext) {
		gomega.Expect(s.Close(ctx)).To(gomega.Succeed())
		if s.Idle() {
			ginkgo.Fail("every scenario was skipped, so nothing is proved: " + s.why)
		}
	})
	return s
}

// Perform runs a scenario, and skips the spec where the time that is left or the cluster is not enough for it.
func (s *Suite) Perform(ctx context.Context, scenario run.Scenario) (run.Outcome, error) {
	if why := s.NoTimeFor(scenario); why != "" {
		s.skip(why)
	}
	outcome, err := s.Stage.Perform(ctx, scenario)
	if outcome.Skipped != "" {
		s.skip(outcome.Skipped)
	}
	return outcome, err
}

// skip ends a spec. The reason is said at once: ginkgo keeps it to itself unless it is verbose.
func (s *Suite) skip(why string) {
	s.display.Say("skipped: %s", why)
	s.why = cmp.Or(s.why, why)
	ginkgo.Skip(why, 2) // the place that is told is the spec's
}

// Run runs the specs.
func (s *Suite) Run(t *testing.T) {
	s.ending, _ = t.Deadline()
	gomega.RegisterFailHandler(ginkgo.Fail)
	ginkgo.RunSpecs(t, s.name)
}
