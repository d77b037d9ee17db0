package teeth

import (
	"flag"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/scenarios/teeth"
	"bitvault.dev/rollproof/suites/stage"
)

var (
	suite = stage.NewSuite("teeth")
	asked = flag.Bool("teeth", false, "plant a fault under each check; takes half an hour")
)

func TestTeeth(t *testing.T) {
	if !*asked || testing.Short() {
		t.Skip("teeth takes half an hour and runs only when asked: go test ./suites/teeth -teeth -count=1 -timeout 90m")
	}
	suite.Run(t)
}

var _ = ginkgo.Describe("planted fault", ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
	for i, listed := range teeth.All(bitvault.World{}) {
		ginkgo.It(listed.Check+" sees "+listed.Planted, ginkgo.Label(listed.Scenario.Labels...), func(ctx ginkgo.SpecContext) {
			fault := teeth.All(suite.World())[i]
			outcome, err := suite.Perform(ctx, fault.Scenario)
			// An error of the run may be the fault itself; what was recorded until then is judged.
			if outcome.History == nil {
				gomega.Expect(err).NotTo(gomega.HaveOccurred())
			}
			seen, said := fault.Seen(outcome.Result)
			gomega.Expect(seen).To(gomega.BeTrue(), "want %s, but it said %s; the run is in %s", fault.Verdict, said, outcome.Dir)
		})
	}
})
