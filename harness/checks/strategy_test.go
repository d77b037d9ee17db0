package checks_test

import (
	"slices"
	"testing"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// A check that needs a part of the strategy which the scenario does not say assumes nothing.
func TestWhatTheScenarioDoesNotSayIsNotAssumed(t *testing.T) {
	cases := []struct {
		slug   string
		build  func(testing.TB, *recording)
		forget func(*canary.Strategy)
		says   string
	}{
		{canary.SlugSteps, goodCanary, func(s *canary.Strategy) { s.Weights = nil }, "by which shares of the traffic a release goes out"},
		{canary.SlugAbortsErrors, errorsCanary, func(s *canary.Strategy) { s.Metrics.Errors = "" }, "which metric is that of errors"},
		{canary.SlugAbortsLatency, errorsCanary, func(s *canary.Strategy) { s.Metrics.Latency = "" }, "which metric is that of latency"},
		{canary.SlugAbortsLatency, errorsCanary, func(s *canary.Strategy) { s.Slow = 0 }, "from when on an answer is slow"},
		{canary.SlugAbortsCPU, errorsCanary, func(s *canary.Strategy) { s.Metrics.CPU = "" }, "which metric is that of CPU"},
		{canary.SlugAbortsLate, lateCanary, func(s *canary.Strategy) { s.Metrics.Late = "" }, "which metric is that of errors that show only later"},
		{canary.SlugAbortsLate, lateCanary, func(s *canary.Strategy) { s.Weights = nil }, "by which shares of the traffic a release goes out"},
		{canary.SlugNoData, blindCanary, func(s *canary.Strategy) { s.Metrics = canary.Metrics{} }, "which metric is that of errors, nor which metric is that of latency"},
	}
	for _, c := range cases {
		t.Run(c.slug+"/"+c.says, func(t *testing.T) {
			r := cleanRun()
			c.build(t, r)
			r.budgets(t, func(b *checks.Budgets) { c.forget(&b.Strategy) })
			p := assertVerdict(t, r.judged(t, c.slug), c.slug, judge.Inconclusive)
			if want := "the scenario does not say " + c.says; p.Reason != want {
				t.Errorf("reason %q, want %q", p.Reason, want)
			}
		})
	}
}

func errorsCanary(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") }

// run.json holds all budgets in one object, whoever owns them: a record that was made before is read by the same names.
func TestBudgetsAreFieldsOfOneObject(t *testing.T) {
	data := []byte(`{"lag":1,"stall":2,"files":0.5,"around":4,"settle":5,"propagation":6,"watch":7,"abort":8,"straddling":9,"weights":[20],
		"metrics":{"errors":"e","latency":"l","cpu":"c","late":"x"},"measurements":10,"slow":11,"notice":12,"drain":13,"ending":14}`)
	b, err := checks.BudgetsOf(history.Run{Format: 1, Budgets: data})
	must(t, err)
	if b.Lag != 1 || b.Stall != 2 || b.Files != .5 || b.Around != 4 || b.Settle != 5 || b.Propagation != 6 || b.Watch != 7 || b.Abort != 8 ||
		b.Straddling != 9 || !slices.Equal(b.Weights, []int32{20}) || b.Metrics != (canary.Metrics{Errors: "e", Latency: "l", CPU: "c", Late: "x"}) ||
		b.Measurements != 10 || b.Slow != 11 || b.Notice != 12 || b.Drain != 13 || b.Ending != 14 {
		t.Errorf("read %+v", b)
	}
	r := cleanRun()
	r.budgets(t, func(other *checks.Budgets) { *other = b })
	if again, err := checks.BudgetsOf(history.Run{Format: 2, Budgets: r.run.Budgets}); err != nil || !slices.Equal(again.Weights, b.Weights) || again.Ending != 14 {
		t.Errorf("written and read again they are %+v, error %v", again, err)
	}
}

// What a release was promised and did not get is a failure where the run waited for it as long as planned, and only there.
func TestWhatDidNotComeIsAFailureWhereItWasWaitedFor(t *testing.T) {
	for outcome, want := range map[history.Outcome]judge.Verdict{
		history.EndFinished: judge.Fail, history.EndTimedOut: judge.Fail,
		history.EndInterrupted: judge.Inconclusive, history.EndFailed: judge.Inconclusive, "": judge.Inconclusive, "another": judge.Inconclusive,
	} {
		r := cleanRun()
		goodCanary(t, r)
		r.forgetAbout("rollouts", "bitvaultd", 5900*ms)
		r.outcome = outcome
		assertVerdict(t, r.judged(t, canary.SlugPromotes), canary.SlugPromotes, want)
	}
}
