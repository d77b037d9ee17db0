package teeth

import (
	"flag"
	"fmt"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/scenarios/teeth"
	"bitvault.dev/rollproof/suites/stage"
)

const whole = "go test ./suites/teeth -teeth -count=1 -timeout 90m"

var (
	listed = teeth.All(bitvault.World{}) // before any cluster is
	suite  = stage.NewSuite("teeth", whole, teeth.Scenarios(listed)...)
	asked  = flag.Bool("teeth", false, "plant a fault under each check; takes half an hour")
)

func TestTeeth(t *testing.T) {
	if !*asked || testing.Short() {
		stage.Tell(fmt.Sprintf("teeth: ran none of %d planted faults: they take half an hour and are planted only when asked: %s\n", len(listed), whole))
		t.Skip("not asked for")
	}
	suite.Run(t, true)
}

var _ = ginkgo.Describe("planted fault", ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
	for i, f := range listed {
		ginkgo.It(f.Check+" sees "+f.Planted, ginkgo.Label(f.Scenario.Labels...), func(ctx ginkgo.SpecContext) {
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
