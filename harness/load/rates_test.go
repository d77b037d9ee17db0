package load

import (
	"testing"
	"time"
)

func TestThePeakRateOfAPlan(t *testing.T) {
	file := func(entries uint64, period time.Duration) *Traffic { return &Traffic{Entries: entries, Period: period} }
	for name, c := range map[string]struct {
		plan Plan
		want float64
	}{
		"constant":                   {Plan{Pacing: Constant{300}}, 300},
		"a ramp up":                  {Plan{Pacing: Ramp{From: 100, To: 300, Over: time.Second}}, 300},
		"a ramp down":                {Plan{Pacing: Ramp{From: 300, To: 100, Over: time.Second}}, 300},
		"recorded":                   {Plan{Pacing: Recorded{}, Traffic: file(200, 4*time.Second)}, 50},
		"recorded, twice as fast":    {Plan{Pacing: Recorded{Speed: 2}, Traffic: file(200, 4*time.Second)}, 100},
		"recorded, of one moment":    {Plan{Pacing: Recorded{}, Traffic: file(200, 0)}, 0}, // not known
		"recorded, without its file": {Plan{Pacing: Recorded{}}, 0},
		"saturating":                 {Plan{Pacing: Saturate{}}, 0},
	} {
		if got := c.plan.PeakRate(); got != c.want {
			t.Errorf("%s: %v hits/s, want %v", name, got, c.want)
		}
	}
}

func TestRatesAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]float64{"300/s": 300, "20/m": 20.0 / 60, "7200/h": 2, "5": 5, "0.5/s": 0.5, "10000000": 1e7} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("%q is %v hits/s (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1/s", "x/s", "3/d", "10000001", "NaN", "1e999", "/s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q is taken for %v hits/s", text, got)
		}
	}
}
