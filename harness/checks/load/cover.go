package load

import (
	"time"

	"bitvault.dev/rollproof/harness/timeline"
)

// cover is when hits were started in a time, in steps.
type cover struct {
	timeline.Span
	step  time.Duration
	steps []bool
}

// coverStep is how exactly a cover is kept, up to maxCover steps: of longer times the steps are longer too.
const (
	coverStep = 100 * time.Millisecond
	maxCover  = 1 << 16
)

// newCover is empty for a time without a length, also for one that is too long to be counted: only a damaged record tells of such.
func newCover(s timeline.Span) cover {
	length := s.Until - s.From
	if s.Until <= s.From || length < 0 {
		return cover{step: coverStep}
	}
	c := cover{Span: s, step: max(coverStep, length/maxCover+1)}
	c.steps = make([]bool, (length-1)/c.step+1)
	return c
}

// add takes a hit that was started at a moment.
func (c *cover) add(at time.Duration) {
	if at >= c.From && at < c.Until {
		c.steps[(at-c.From)/c.step] = true
	}
}

// merge adds another cover of the same time.
func (c *cover) merge(other *cover) {
	for i, hit := range other.steps {
		c.steps[i] = c.steps[i] || hit
	}
}

// quiet is the longest time in which no hit was started, in whole steps.
func (c *cover) quiet() timeline.Span {
	longest, from := timeline.Span{}, c.From
	for i, hit := range c.steps {
		until := c.From + min(time.Duration(i+1)*c.step, c.Until-c.From)
		if hit {
			from = until
		} else if until-from > longest.Until-longest.From {
			longest = timeline.Span{From: from, Until: until}
		}
	}
	return longest
}
