package load

import (
	"time"

	"bitvault.dev/rollproof/harness/timeline"
)

// blindness finds the longest time in which no hit both began and ended, from hits in the order of their starts. Only a full outage that is no
// longer than this can stay unseen: a longer one contains a whole hit, which fails. The time between two starts would not do, for a hit that
// started in an outage may connect after it (seen: 8.9 ms between starts, 10.15 ms of outage, and nothing failed).
type blindness struct {
	// waiting holds starts whose earliest later end is not known for certain yet. Of those that share one, the first start counts, so
	// both times grow strictly. The last has none yet.
	waiting []glimpse
	longest time.Duration
}

// glimpse is a start, and the earliest end so far of the hits that started later.
type glimpse struct{ at, end time.Duration }

// begin starts to look: the time to the first end counts too.
func (b *blindness) begin(at time.Duration) {
	b.waiting = append(b.waiting[:0], glimpse{at: at, end: timeline.Never})
}

// saw takes the next hit. One that started before an earlier one counts from then on.
func (b *blindness) saw(at, end time.Duration) {
	last := len(b.waiting) - 1
	at = max(at, b.waiting[last].at)
	first := b.waiting[last].at
	for last >= 0 && b.waiting[last].end >= end {
		first = b.waiting[last].at
		last--
	}
	b.waiting = append(b.waiting[:last+1], glimpse{at: first, end: end}, glimpse{at: at, end: timeline.Never})
	// No later hit ends before it starts: what ends by now is certain.
	certain := 0
	for certain < len(b.waiting)-1 && b.waiting[certain].end <= at { // the last has no end yet, however late the hit says it is
		b.longest = max(b.longest, b.waiting[certain].end-b.waiting[certain].at)
		certain++
	}
	if certain > 0 {
		b.waiting = b.waiting[:copy(b.waiting, b.waiting[certain:])]
	}
}

// until ends the looking and returns the longest blind time.
func (b *blindness) until(end time.Duration) time.Duration {
	for _, g := range b.waiting {
		b.longest = max(b.longest, min(g.end, max(end, g.at))-g.at)
	}
	return b.longest
}
