package load

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBlindness(t *testing.T) {
	cases := map[string]struct {
		hits [][2]time.Duration // start and end, in ms
		want time.Duration
	}{
		"no hit":                              {nil, 100},
		"instant hits":                        {[][2]time.Duration{{10, 10}, {40, 40}, {90, 90}}, 50},
		"a slow answer widens what is hidden": {[][2]time.Duration{{10, 10}, {20, 60}, {90, 90}}, 70},
		"a quick one beside it does not":      {[][2]time.Duration{{10, 10}, {20, 60}, {21, 22}, {50, 50}, {90, 90}}, 40},
		"the time to the end counts":          {[][2]time.Duration{{10, 10}}, 90},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var b blindness
			b.begin(0)
			for _, h := range c.hits {
				b.saw(h[0], h[1])
			}
			if got := b.until(100); got != c.want {
				t.Errorf("blind for %d, want %d", got, c.want)
			}
		})
	}
}

// By brute force: between each start and the earliest end of a later hit nothing began and ended.
func TestBlindnessIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		starts := rapid.SliceOfN(rapid.IntRange(0, 100), 0, 30).Draw(t, "starts")
		slices.Sort(starts)
		type hit struct{ at, end time.Duration }
		hits := []hit{}
		for _, at := range starts {
			hits = append(hits, hit{time.Duration(at), time.Duration(at + rapid.IntRange(0, 60).Draw(t, "latency"))})
		}
		var b blindness
		b.begin(0)
		for _, h := range hits {
			b.saw(h.at, h.end)
		}
		want := time.Duration(0)
		for i := -1; i < len(hits); i++ {
			from, earliest := time.Duration(0), time.Duration(200)
			if i >= 0 {
				from = hits[i].at
			}
			for _, later := range hits[i+1:] {
				earliest = min(earliest, later.end)
			}
			want = max(want, earliest-from)
		}
		if got := b.until(200); got != want {
			t.Fatalf("blind for %d, want %d, by %v", got, want, hits)
		}
	})
}
