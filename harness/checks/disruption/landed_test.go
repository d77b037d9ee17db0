package disruption

import (
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
)

var shown = []history.Evidence{{What: "the process", Saw: "it is gone"}}

func disturbance(change func(*timeline.Disturbance)) *timeline.Disturbance {
	d := &timeline.Disturbance{ID: "d1", Name: "kill", Begins: 1, Began: 100, Landed: 200, Healed: timeline.Never, Failed: timeline.Never, Unhealed: timeline.Never, Evidence: shown}
	if change != nil {
		change(d)
	}
	return d
}

// A disturbance landed when it began once, was not given up, and shows what was looked at and what was seen.
func TestWhatLandingTakes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*timeline.Disturbance)
		landed bool
	}{
		"landed":            {nil, true},
		"as it began":       {func(d *timeline.Disturbance) { d.Landed = 100 }, true},
		"before it began":   {func(d *timeline.Disturbance) { d.Landed = 99 }, false},
		"never":             {func(d *timeline.Disturbance) { d.Landed = timeline.Never }, false},
		"given up":          {func(d *timeline.Disturbance) { d.Failed = 300 }, false},
		"no beginning":      {func(d *timeline.Disturbance) { d.Begins = 0 }, false},
		"two beginnings":    {func(d *timeline.Disturbance) { d.Begins = 2 }, false},
		"no evidence":       {func(d *timeline.Disturbance) { d.Evidence = nil }, false},
		"nothing seen":      {func(d *timeline.Disturbance) { d.Evidence = []history.Evidence{{What: "the process"}} }, false},
		"nothing looked at": {func(d *timeline.Disturbance) { d.Evidence = []history.Evidence{{Saw: "it is gone"}} }, false},
		"one of two says little": {func(d *timeline.Disturbance) {
			d.Evidence = append(slices.Clone(shown), history.Evidence{What: "the node"})
		}, false},
	} {
		if got := problem(disturbance(c.change)); (got == "") != c.landed {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// As many as were planned must land, each by its name; and what went wrong is told when it did.
func TestWhatWasPlannedLands(t *testing.T) {
	failed := disturbance(func(d *timeline.Disturbance) { d.Failed = 300 })
	second := disturbance(func(d *timeline.Disturbance) { d.ID = "d2" })
	for name, c := range map[string]struct {
		planned []string
		all     []*timeline.Disturbance
		want    judge.Verdict
		found   uint64
	}{
		"unplanned":            {nil, []*timeline.Disturbance{disturbance(nil)}, judge.Pass, 0},
		"planned":              {[]string{"kill"}, []*timeline.Disturbance{disturbance(nil)}, judge.Pass, 0},
		"more than planned":    {[]string{"kill"}, []*timeline.Disturbance{disturbance(nil), second}, judge.Pass, 0},
		"planned twice":        {[]string{"kill", "kill"}, []*timeline.Disturbance{disturbance(nil), second}, judge.Pass, 0},
		"one of two":           {[]string{"kill", "kill"}, []*timeline.Disturbance{disturbance(nil)}, judge.Inconclusive, 1},
		"one of two failed":    {[]string{"kill", "kill"}, []*timeline.Disturbance{disturbance(nil), failed}, judge.Inconclusive, 2},
		"another is planned":   {[]string{"drain", "kill", "drain"}, []*timeline.Disturbance{disturbance(nil)}, judge.Inconclusive, 1},
		"unplanned, and fails": {nil, []*timeline.Disturbance{failed}, judge.Inconclusive, 1},
	} {
		tl := &timeline.Timeline{Disturbances: c.all}
		tl.Run.Disturbances = c.planned
		if p := (landed{tl}).Result(); p.Verdict != c.want || p.Found != c.found || len(p.Findings) != int(c.found) {
			t.Errorf("%s: %s with %d findings, want %s with %d: %s", name, p.Verdict, p.Found, c.want, c.found, p.Reason)
		}
	}
	for first, change := range map[time.Duration]func(*timeline.Disturbance){
		100: func(d *timeline.Disturbance) { d.Failed = 300 }, 50: func(d *timeline.Disturbance) { d.Landed = 50 }, 60: func(d *timeline.Disturbance) { d.Failed = 60 },
		70: func(d *timeline.Disturbance) { d.Healed, d.Begins = 70, 2 },
	} {
		if p := (landed{&timeline.Timeline{Disturbances: []*timeline.Disturbance{disturbance(change)}}}).Result(); p.Findings[0].At != first || len(p.Findings[0].Evidence) != 1 {
			t.Errorf("the finding %+v, want it at %d with the evidence", p.Findings[0], first)
		}
	}
}
