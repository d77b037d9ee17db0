package teeth

import (
	"flag"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/scenarios/teeth"
	"bitvault.dev/rollproof/suites/stage"
)

var (
	asked = flag.Bool("teeth", false, "plant a fault under each check; takes half an hour")
	pace  = flag.String("pace", "fast", "fast, or spec for the strategy's own windows")
)

var (
	theatre *stage.Stage
	ending  time.Time
)

func TestTeeth(t *testing.T) {
	if !*asked || testing.Short() {
		t.Skip("teeth takes half an hour and runs only when asked: go test ./suites/teeth -teeth -count=1 -timeout 90m")
	}
	ending, _ = t.Deadline()
	gomega.RegisterFailHandler(ginkgo.Fail)
	ginkgo.RunSpecs(t, "teeth")
}

var _ = ginkgo.BeforeSuite(func(ctx ginkgo.SpecContext) {
	var err error
	theatre, err = stage.Open(ctx, "suites/teeth", *pace, ending)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
})

var _ = ginkgo.AfterSuite(func(ctx ginkgo.SpecContext) {
	gomega.Expect(theatre.Close(ctx)).To(gomega.Succeed())
})

var _ = ginkgo.Describe("planted fault", ginkgo.Ordered, ginkgo.ContinueOnFailure, func() {
	for i, listed := range teeth.All(bitvault.World{}) {
		ginkgo.It(listed.Check+" sees "+listed.Planted, ginkgo.Label(listed.Scenario.Labels...), func(ctx ginkgo.SpecContext) {
			fault := teeth.All(theatre.World())[i]
			if why := theatre.NoTimeFor(fault.Scenario); why != "" {
				ginkgo.Skip(why)
			}
			outcome, err := theatre.Perform(ctx, fault.Scenario)
			if outcome.Skipped != "" {
				ginkgo.Skip(outcome.Skipped)
			}
			// An error of the run may be the fault itself; what was recorded until then is judged.
			if outcome.History == nil {
				gomega.Expect(err).NotTo(gomega.HaveOccurred())
			}
			seen, said := fault.Seen(outcome.Result)
			gomega.Expect(seen).To(gomega.BeTrue(), "want %s, but it said %s; the run is in %s", fault.Verdict, said, outcome.Dir)
		})
	}
})
