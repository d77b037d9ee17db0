package conformance

import (
	"flag"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/scenarios"
	"bitvault.dev/rollproof/suites/stage"
)

var (
	listed = scenarios.All(bitvault.World{}) // before any cluster is
	suite  = stage.NewSuite("conformance", "go test ./suites/conformance -all -count=1 -timeout 60m", listed...)
	all    = flag.Bool("all", false, "run every scenario, and not just those labelled smoke")
)

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: scenarios need a cluster and minutes")
	}
	suite.Run(t, *all)
}

// The specs are there before any cluster is: which scenario is meant is looked up when it runs.
var _ = ginkgo.Describe("scenario", ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
	for _, s := range listed {
		ginkgo.It(s.Name+": "+s.Proves, ginkgo.Label(s.Labels...), func(ctx ginkgo.SpecContext) {
			perform(ctx, s.Name)
		})
	}
})

func perform(ctx ginkgo.SpecContext, name string) {
	chosen, err := scenarios.Select(scenarios.All(suite.World()), "", name)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	outcome, err := suite.Perform(ctx, chosen[0])
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	if outcome.Result.Verdict != judge.Pass {
		ginkgo.Fail(said(outcome))
	}
}

// said is what the failure of a spec tells: the verdict, each promise that is not kept, and where to look.
func said(o run.Outcome) string {
	text := string(o.Result.Verdict) + "; the run is in " + o.Dir
	for _, p := range o.Result.Promises {
		if p.Verdict == judge.Fail || p.Verdict == judge.Inconclusive {
			text += "\n" + string(p.Verdict) + " " + p.Slug + ": " + p.Reason
		}
	}
	return text
}
