package timeline

import (
	"math"
	"slices"
	"time"
)

// Cursor counts hits by the stretch of time they started in. Hits come nearly in the order of time, so the stretch of the
// last one is mostly the right one.
type Cursor struct {
	Bounds []time.Duration // ascending; stretch i is from bounds[i] up to bounds[i+1]
	cur    int
}

// NewCursor cuts all of time at the given moments.
func NewCursor(cuts []time.Duration) Cursor {
	bounds := append([]time.Duration{math.MinInt64}, cuts...)
	bounds = append(bounds, Never)
	slices.Sort(bounds)
	return Cursor{Bounds: slices.Compact(bounds)}
}

// Len is the number of stretches.
func (c *Cursor) Len() int { return len(c.Bounds) - 1 }

// Find is the stretch that a moment lies in.
func (c *Cursor) Find(at time.Duration) int {
	for at < c.Bounds[c.cur] {
		c.cur--
	}
	for c.cur+2 < len(c.Bounds) && at >= c.Bounds[c.cur+1] {
		c.cur++
	}
	return c.cur
}

// Sum adds the counts of the stretches that lie within from and until, both of which are cuts.
func (c *Cursor) Sum(counts []uint64, from, until time.Duration) uint64 {
	var n uint64
	for i := range counts {
		if c.Bounds[i] >= from && c.Bounds[i+1] <= until {
			n += counts[i]
		}
	}
	return n
}
