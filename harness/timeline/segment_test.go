package timeline

import (
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// windows that lie over one another are one time under load, which counts once.
func TestTheTimeOfWindowsThatOverlap(t *testing.T) {
	for name, c := range map[string]struct {
		windows, want []Span
		loaded        time.Duration
	}{
		"none":               {nil, nil, 0},
		"one":                {[]Span{{10, 20}}, []Span{{10, 20}}, 10},
		"a hole":             {[]Span{{10, 20}, {30, 35}}, []Span{{10, 20}, {30, 35}}, 15},
		"one over another":   {[]Span{{10, 20}, {15, 30}}, []Span{{10, 15}, {15, 20}, {20, 30}}, 20},
		"one within another": {[]Span{{10, 40}, {20, 30}}, []Span{{10, 20}, {20, 30}, {30, 40}}, 30},
		"twice the same":     {[]Span{{10, 20}, {10, 20}}, []Span{{10, 20}}, 10},
	} {
		var windows []*Window
		for _, s := range c.windows {
			windows = append(windows, &Window{Window: history.Window{Begin: s.From, Length: s.Until - s.From}})
		}
		if got := Segments(windows); !slices.Equal(got, c.want) || LoadedTime(windows) != c.loaded {
			t.Errorf("%s: got %v, %d in all, want %v, %d", name, got, LoadedTime(windows), c.want, c.loaded)
		}
	}
}

func TestStallsOfTheGenerator(t *testing.T) {
	w := &Window{Window: history.Window{Health: &history.Health{StallMax: 50, Stalls: []history.Stall{{At: 10, Length: 5}, {At: 30, Length: 10}}}}}
	for _, c := range []struct{ from, until, want time.Duration }{
		{0, 100, 15}, {0, 10, 0}, {0, 11, 1}, {10, 15, 5}, {14, 31, 2}, {15, 30, 0}, {39, 50, 1}, {40, 50, 0}, {32, 35, 3},
	} {
		if got := w.Stalled(c.from, c.until); got != c.want || w.StalledAtMost(c.from, c.until) != c.want {
			t.Errorf("from %d until %d it stood still for %d, or at most %d, want %d", c.from, c.until, got, w.StalledAtMost(c.from, c.until), c.want)
		}
	}
	for name, c := range map[string]struct {
		health       *history.Health
		sure, atMost time.Duration
	}{"unknown": {nil, 0, 0}, "of no time": {&history.Health{StallMax: 7}, 0, 7}} {
		w.Health = c.health
		if w.Stalled(0, 100) != c.sure || w.StalledAtMost(0, 100) != c.atMost {
			t.Errorf("%s: %d, at most %d", name, w.Stalled(0, 100), w.StalledAtMost(0, 100))
		}
	}
}

// Only a hit that was late, or failed by its deadline alone, may be on the account of a generator that stood still, and only for a whole deadline.
func TestHitsOfAStarvedGenerator(t *testing.T) {
	arm := func(deadline, stall time.Duration) *Arm {
		return &Arm{Windows: []*Window{{Window: history.Window{Index: 1, Deadline: deadline, Health: &history.Health{Stalls: []history.Stall{{At: 10, Length: stall}}}}}}}
	}
	hit := history.Hit{Window: 1, At: 5, Latency: 100, Class: history.ClassAmbiguous, Reason: history.ReasonDeadline}
	for name, c := range map[string]struct {
		arm    *Arm
		change func(*history.Hit)
		want   bool
	}{
		"a whole deadline":       {arm(50, 50), func(*history.Hit) {}, true},
		"less than a deadline":   {arm(50, 49), func(*history.Hit) {}, false},
		"no deadline":            {arm(0, 50), func(*history.Hit) {}, false},
		"another window":         {arm(50, 50), func(h *history.Hit) { h.Window = 2 }, false},
		"over before":            {arm(50, 50), func(h *history.Hit) { h.At = 70 }, false},
		"refused":                {arm(50, 50), func(h *history.Hit) { h.Reason = history.ReasonRefused }, false},
		"a late answer":          {arm(50, 50), func(h *history.Hit) { h.Class, h.Reason, h.Code = history.ClassOK, "", 200 }, true},
		"good without an answer": {arm(50, 50), func(h *history.Hit) { h.Class, h.Reason = history.ClassOK, "" }, false},
		"an error with a status": {arm(50, 50), func(h *history.Hit) { h.Class, h.Reason, h.Code = history.ClassApplication, "status 500", 500 }, false},
	} {
		h := hit
		c.change(&h)
		if got := c.arm.Starved(&h); got != c.want {
			t.Errorf("%s: starved %v, want %v", name, got, c.want)
		}
	}
}
