package checks_test

import (
	"context"
	"testing"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
)

// counting is a check from elsewhere: it takes the events too, and looks at one arm only.
type counting struct{ events, hits, early int }

func (c *counting) Event(*history.Event) {
	c.events++
	c.early = c.hits
}

func (c *counting) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Name != "get" {
		return nil
	}
	return c
}

func (c *counting) Hit(*history.Hit) { c.hits++ }

func (c *counting) Result() judge.Promise {
	return judge.Promise{Verdict: judge.Fail, Reason: "as an example"}
}

// always is the number of checks that are in every result.
func always() int {
	n := 0
	for _, c := range checks.All(checks.DefaultBudgets()) {
		if c.Always {
			n++
		}
	}
	return n
}

func TestACheckFromElsewhere(t *testing.T) {
	h, err := history.Open(cleanRun().record(t))
	must(t, err)
	fold := &counting{}
	result, err := judge.Run(context.Background(), h, checks.All(checks.DefaultBudgets()), []judge.Check{{Slug: "example.counting", Promise: "counted", New: func(*timeline.Timeline) judge.Fold { return fold }}})
	must(t, err)
	events := 0
	for _, err := range h.Events() {
		must(t, err)
		events++
	}
	if fold.events != events || fold.hits != 1000 || fold.early != 0 {
		t.Errorf("it saw %d events and %d hits, %d of them before an event; want %d, 1000 and 0", fold.events, fold.hits, fold.early, events)
	}
	p := assertVerdict(t, result, "example.counting", judge.Fail)
	if result.Verdict != judge.Fail || p.Text != "counted" || len(result.Promises) != 1+always() {
		t.Errorf("the run is %s by %d promises", result.Verdict, len(result.Promises))
	}
}
