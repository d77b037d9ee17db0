package load

import (
	"time"

	"bitvault.dev/rollproof/harness/timeline"
)

// waits finds the times in which no good answer came to a hit that was due, from hits in the order they were intended in. Such a time
// begins when a hit is due and ends with the first good answer to it or to a hit that was due later. Times in which nothing is due are
// none, and one answer that is late beside others that are in time is none either.
type waits struct {
	// open holds times whose end is not known for certain yet. Beginnings and ends grow strictly.
	open []waited
	over time.Duration // only longer ones are told
	tell func(waited)
}

// waited is a time without a good answer.
type waited struct {
	due  time.Duration // when the first hit of it should have been started
	sent time.Duration // when the first hit of it was started
	end  time.Duration // never while no answer came
}

// begin takes a hit that was due.
func (w *waits) begin(due, sent time.Duration) {
	certain := 0
	for certain < len(w.open) && w.open[certain].end <= due { // no later answer comes before it is due
		w.told(w.open[certain])
		certain++
	}
	if certain > 0 {
		w.open = w.open[:copy(w.open, w.open[certain:])]
	}
	if last := len(w.open) - 1; last >= 0 && w.open[last].end == timeline.Never {
		w.open[last].sent = min(w.open[last].sent, sent)
		return
	}
	w.open = append(w.open, waited{due: due, sent: sent, end: timeline.Never})
}

// answered takes a good answer to the hit that was due last.
func (w *waits) answered(end time.Duration) {
	first := len(w.open)
	for first > 0 && w.open[first-1].end > end {
		first--
	}
	if first == len(w.open) {
		return
	}
	over := w.open[first:] // what this answer ends, now one
	over[0].end = end
	for _, o := range over[1:] {
		over[0].sent = min(over[0].sent, o.sent)
	}
	w.open = w.open[:first+1]
}

// finish ends what is open: nothing is due after until.
func (w *waits) finish(until time.Duration) {
	for _, o := range w.open {
		o.end = min(o.end, until)
		w.told(o)
	}
	w.open = w.open[:0]
}

func (w *waits) told(o waited) {
	if o.end-o.due > w.over {
		w.tell(o)
	}
}

// quickOf is how many answers in a row are looked at at once, and slowOf how many of them may be slow: 1 %, so that the 99th percentile
// is within the limit.
const (
	quickOf = 1000
	slowOf  = quickOf / 100
)

// quickness finds those answers in a row of which most were slow, from answers in the order they came in.
type quickness struct {
	limit time.Duration
	ring  []reply // the last quickOf, by number
	n     uint64
	slow  slowness // in ring
	worst slowness
	slows []reply // of worst, where it has more than slowOf
}

// slowness counts slow answers: those from when they were started, and those from when they were intended.
type slowness struct{ sent, due int }

// reply is when a hit was intended, started and answered.
type reply struct{ due, sent, end time.Duration }

func (q *quickness) add(r reply) {
	if q.ring == nil {
		q.ring = make([]reply, quickOf)
	}
	cell := &q.ring[q.n%quickOf]
	if q.n >= quickOf {
		q.count(*cell, -1)
	}
	*cell = r
	q.count(r, 1)
	q.n++
	if q.n < quickOf || q.slow.sent < q.worst.sent || q.slow.sent == q.worst.sent && q.slow.due <= q.worst.due {
		return
	}
	if q.worst = q.slow; q.slow.due > slowOf {
		q.slows = q.slows[:0]
		for _, r := range q.ring {
			if r.end-r.due > q.limit {
				q.slows = append(q.slows, r)
			}
		}
	}
}

func (q *quickness) count(r reply, by int) {
	if r.end-r.sent > q.limit {
		q.slow.sent += by
	}
	if r.end-r.due > q.limit {
		q.slow.due += by
	}
}
