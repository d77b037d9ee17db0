package timeline

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestStretchesOfTime(t *testing.T) {
	c := NewCursor([]time.Duration{20, 10, 20, Never})
	if want := []time.Duration{math.MinInt64, 10, 20, Never}; !slices.Equal(c.Bounds, want) || c.Len() != 3 {
		t.Fatalf("%d stretches between %v, want 3 between %v", c.Len(), c.Bounds, want)
	}
	// The moments go forth and back: the cursor has to follow.
	for _, m := range []struct {
		at   time.Duration
		want int
	}{{9, 0}, {10, 1}, {19, 1}, {20, 2}, {Never - 1, 2}, {Never, 2}, {20, 2}, {19, 1}, {9, 0}, {math.MinInt64, 0}, {Never, 2}, {5, 0}} {
		if got := c.Find(m.at); got != m.want {
			t.Errorf("%d lies in stretch %d, want %d", m.at, got, m.want)
		}
	}
	counts := []uint64{1, 10, 100}
	for _, s := range []struct {
		from, until time.Duration
		want        uint64
	}{{10, 20, 10}, {10, Never, 110}, {math.MinInt64, 10, 1}, {math.MinInt64, 20, 11}, {20, Never, 100}, {20, 20, 0}, {math.MinInt64, Never, 111}} {
		if got := c.Sum(counts, s.from, s.until); got != s.want {
			t.Errorf("from %d until %d there are %d, want %d", s.from, s.until, got, s.want)
		}
	}
}
