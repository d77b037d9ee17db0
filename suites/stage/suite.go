package stage

import (
	"cmp"
	"context"
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"

	"bitvault.dev/rollproof/harness/run"
)

// Suite is a Ginkgo suite whose specs share one cluster, held from before the first of them until after the last. Make it in a
// package variable: Ginkgo wants to know what comes before and after a suite when the specs are made.
type Suite struct {
	*Stage // while specs run

	name   string
	pace   *string
	filter string    // of labels, that Ginkgo chose the specs by
	whole  string    // the command that runs every spec
	ending time.Time // when go test kills this process; zero when it does not
	why    string    // the first spec was skipped
}

// smoke is the label of what a suite runs that was not told what to run.
const smoke = "smoke"

// NewSuite frames the suite of a package below suites, and gives its test binary the flag -pace. Of the listed scenarios only those that are
// going to be performed get their images. whole is the command that runs every spec.
func NewSuite(name, whole string, listed ...run.Scenario) *Suite {
	s := &Suite{name: name, whole: whole, pace: flag.String("pace", "fast", "fast, or spec for the strategy's own windows")}
	ginkgo.BeforeSuite(func(ctx ginkgo.SpecContext) {
		var err error
		s.Stage, err = Open(ctx, "suites/"+name, *s.pace, s.ending, chosen(listed, s.filter)...)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
	})
	ginkgo.AfterSuite(func(ctx ginkgo.SpecContext) {
		gomega.Expect(s.Close(ctx)).To(gomega.Succeed())
		if s.Idle() {
			ginkgo.Fail("every scenario was skipped, so nothing is proved: " + s.why)
		}
	})
	ginkgo.ReportAfterSuite("what was run", func(report ginkgo.Report) { Tell(summary(report, s.filter, s.whole)) })
	return s
}

// chosen are the scenarios that a label filter lets through.
func chosen(listed []run.Scenario, filter string) []run.Scenario {
	return slices.DeleteFunc(slices.Clone(listed), func(s run.Scenario) bool { return !ginkgo.Label(s.Labels...).MatchesLabelFilter(filter) })
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

// Run runs the specs that Ginkgo's own flags choose. Without such a flag it runs every spec, or only those labelled smoke.
func (s *Suite) Run(t *testing.T, every bool) {
	s.ending, _ = t.Deadline()
	gomega.RegisterFailHandler(ginkgo.Fail)
	config, reporter := ginkgo.GinkgoConfiguration()
	config.LabelFilter = filterOf(config, every)
	s.filter = config.LabelFilter
	ginkgo.RunSpecs(t, s.name, config, reporter)
}

// filterOf is the label filter that specs are chosen by.
func filterOf(config types.SuiteConfig, every bool) string {
	asked := config.LabelFilter != "" || len(config.FocusStrings)+len(config.FocusFiles)+len(config.SkipStrings)+len(config.SkipFiles) > 0
	if every || asked {
		return config.LabelFilter
	}
	return smoke
}
