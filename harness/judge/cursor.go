package judge

import (
	"math"
	"slices"
	"time"
)

// cursor counts hits by the stretch of time they started in. Hits come nearly in the order of time, so the stretch of the
// last one is mostly the right one.
type cursor struct {
	bounds []time.Duration // ascending; stretch i is from bounds[i] up to bounds[i+1]
	cur    int
}

// newCursor cuts all of time at the given moments.
func newCursor(cuts []time.Duration) cursor {
	bounds := append([]time.Duration{math.MinInt64}, cuts...)
	bounds = append(bounds, Never)
	slices.Sort(bounds)
	return cursor{bounds: slices.Compact(bounds)}
}

// len is the number of stretches.
func (c *cursor) len() int { return len(c.bounds) - 1 }

// find is the stretch that a moment lies in.
func (c *cursor) find(at time.Duration) int {
	for at < c.bounds[c.cur] {
		c.cur--
	}
	for c.cur+2 < len(c.bounds) && at >= c.bounds[c.cur+1] {
		c.cur++
	}
	return c.cur
}

// sum adds the counts of the stretches that lie within from and until, both of which are cuts.
func (c *cursor) sum(counts []uint64, from, until time.Duration) uint64 {
	var n uint64
	for i := range counts {
		if c.bounds[i] >= from && c.bounds[i+1] <= until {
			n += counts[i]
		}
	}
	return n
}

// between is the stretches of time between moments.
func between(cuts []time.Duration) []Span {
	cuts = slices.Clone(cuts)
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var spans []Span
	for i := 1; i < len(cuts); i++ {
		spans = append(spans, Span{From: cuts[i-1], Until: cuts[i]})
	}
	return spans
}
