package judge

import (
	"context"
	"testing"

	"bitvault.dev/rollproof/harness/history"
)

// counting is a check from elsewhere: it takes the events too, and looks at one arm only.
type counting struct{ events, hits, early int }

func (c *counting) Event(*history.Event) {
	c.events++
	c.early = c.hits
}

func (c *counting) Arm(arm *Arm) HitFold {
	if arm.Name != "get" {
		return nil
	}
	return c
}

func (c *counting) Hit(*history.Hit) { c.hits++ }

func (c *counting) Result() Promise { return Promise{Verdict: Fail, Reason: "as an example"} }

func TestACheckFromElsewhere(t *testing.T) {
	h, err := history.Open(cleanRun().record(t))
	must(t, err)
	fold := &counting{}
	result, err := Run(context.Background(), h, []Check{{Slug: "example.counting", Promise: "counted", New: func(*Timeline) Fold { return fold }}})
	must(t, err)
	events := 0
	for _, err := range h.Events() {
		must(t, err)
		events++
	}
	if fold.events != events || fold.hits != 1000 || fold.early != 0 {
		t.Errorf("it saw %d events and %d hits, %d of them before an event; want %d, 1000 and 0", fold.events, fold.hits, fold.early, events)
	}
	p := assertVerdict(t, result, "example.counting", Fail)
	if result.Verdict != Fail || p.Text != "counted" || len(result.Promises) != 1+len(alwaysJudged) {
		t.Errorf("the run is %s by %d promises", result.Verdict, len(result.Promises))
	}
}
