package checks_test

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
)

// takenBack is a canary at 10 % that the harness puts back, in the middle of its first analysis, which the controller then ends.
func takenBack(t testing.TB, r *recording) {
	goodCanary(t, r)
	r.forgetAbout("rollouts", "bitvaultd", 3*time.Second)
	r.forgetAbout("analysisruns", "first", 3*time.Second)
	r.forgetAbout("analysisruns", "second", 0)
	ended := resource.AnalysisRun{Owner: &resource.Owner{Kind: "Rollout", Name: "bitvaultd"}, Hash: "h2", Step: "1", Phase: "Successful", Message: "Run Terminated"}
	r.change(3300*ms, "modified", "analysisruns", "first", nil, ended)
	r.rollout(3300*ms, "h1", "h1", 0, isHealthy)
}

// What the harness takes back after a run was broken off is its own doing, and breaks no promise. Taken back by anybody else, or before,
// it does.
func TestARunThatWasBrokenOffBreaksNoPromise(t *testing.T) {
	for name, c := range map[string]struct {
		at      time.Duration // of the milestone; 0: none
		outcome history.Outcome
		want    judge.Verdict
	}{
		"broken off before":       {3200 * ms, history.EndFailed, judge.Inconclusive},
		"interrupted before":      {3200 * ms, history.EndInterrupted, judge.Inconclusive},
		"broken off later":        {4 * time.Second, history.EndFailed, judge.Fail},
		"not broken off":          {0, history.EndFinished, judge.Fail},
		"said to have gone right": {3200 * ms, history.EndFinished, judge.Inconclusive},
	} {
		for _, slug := range []string{canary.SlugPromotes, canary.SlugSteps} {
			r := cleanRun()
			takenBack(t, r)
			r.outcome = c.outcome
			if c.at > 0 {
				r.events = append(r.events, history.Event{At: c.at, Kind: history.KindMilestone, Milestone: &history.Milestone{Name: history.BrokenOff}})
			}
			if p := promise(t, r.judged(t, slug), slug); p.Verdict != c.want {
				t.Errorf("%s: %s is %s, want %s: %s", name, slug, p.Verdict, c.want, p.Reason)
			}
		}
	}
}
