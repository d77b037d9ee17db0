package conformance

import (
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/scenarios"
	"bitvault.dev/rollproof/suites/stage"
)

var suite = stage.NewSuite("conformance")

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: scenarios need a cluster and minutes")
	}
	suite.Run(t)
}

// The specs are there before any cluster is: which scenario is meant is looked up when it runs.
var _ = ginkgo.Describe("scenario", ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
	for _, listed := range scenarios.All(bitvault.World{}) {
		ginkgo.It(listed.Name+": "+listed.Proves, ginkgo.Label(listed.Labels...), func(ctx ginkgo.SpecContext) {
			perform(ctx, listed.Name)
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
