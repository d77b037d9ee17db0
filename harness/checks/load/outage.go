package load

import (
	"cmp"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/timeline"
)

// outcome is what became of a hit, as an outage sees it.
type outcome uint8

const (
	answered outcome = iota + 1 // correctly: an outage is over
	dropped                     // an outage goes on
	aside                       // excepted, or the harness's own: says nothing either way
	unsent                      // as aside
	granted                     // answered correctly, by one that may take its time
)

// sequence brings the hits of an arm, recorded in the order they ended in, back into the order they were intended in. What
// it holds back is bounded by what was in flight at once.
type sequence struct {
	next    uint64 // number of the next hit
	ring    []slot // pending hits, by their number
	pending int
	visit   func(slot)
	// broken: hits were missing or doubled, and the order is not exact. record.complete is not green then.
	broken bool
}

type slot struct {
	at, end time.Duration
	due     time.Duration // when it was intended, for who asks for it
	seq     uint64
	window  int32
	outcome outcome // 0: empty
}

// maxPending bounds the memory of a sequence with holes: 48 MB an arm.
const maxPending = 1 << 20

func (s *sequence) add(hit slot) {
	if hit.seq == s.next && s.pending == 0 {
		s.next++
		s.visit(hit)
		return
	}
	if hit.seq < s.next {
		s.broken = true
		s.visit(hit)
		return
	}
	for hit.seq-s.next >= uint64(len(s.ring)) {
		if len(s.ring) < maxPending {
			s.grow()
			continue
		}
		s.skip(hit.seq)
	}
	cell := &s.ring[hit.seq&uint64(len(s.ring)-1)]
	if cell.outcome != 0 {
		s.broken = true
		s.visit(hit)
		return
	}
	*cell = hit
	s.pending++
	s.drain()
}

// drain visits what has no gap before it any more.
func (s *sequence) drain() {
	for s.pending > 0 {
		cell := &s.ring[s.next&uint64(len(s.ring)-1)]
		if cell.outcome == 0 {
			return
		}
		s.visit(*cell)
		cell.outcome = 0
		s.pending--
		s.next++
	}
}

// skip gives up waiting for missing hits, up to the next one that is there or the one given.
func (s *sequence) skip(to uint64) {
	s.broken = true
	if s.pending == 0 {
		s.next = to
		return
	}
	for s.ring[s.next&uint64(len(s.ring)-1)].outcome == 0 {
		s.next++
	}
	s.drain()
}

func (s *sequence) grow() {
	bigger := make([]slot, max(2*len(s.ring), 1024))
	for _, cell := range s.ring {
		if cell.outcome != 0 {
			bigger[cell.seq&uint64(len(bigger)-1)] = cell
		}
	}
	s.ring = bigger
}

// finish visits everything that is still pending.
func (s *sequence) finish() {
	for s.pending > 0 {
		s.skip(s.next)
	}
}

// outages finds the longest run of failures in time, and the longest time in which nothing looked, from hits in the order
// they were intended in.
type outages struct {
	arm *timeline.Arm

	current outage   // the run of failures that is going on
	closed  []outage // the longest that are over
	worst   outage   // of closed, once finished

	index  int32
	window *timeline.Window
	blind  blindness
	gaps   map[*timeline.Window]time.Duration // of each window the longest time in which no hit that was judged both began and ended
}

// outage is a run of failures without a correct answer in between.
type outage struct {
	from, until time.Duration // from the first start to the next start that was answered correctly, or the last failure's end
	lastEnd     time.Duration
	hits        uint64
	first       uint64 // its number
}

func (o *outages) visit(s slot) {
	if s.window != o.index || o.gaps == nil {
		o.enter(s.window)
	}
	if judged := s.outcome == answered || s.outcome == dropped; judged && o.window != nil {
		o.blind.saw(s.at, s.end) // what was excepted, or failed in the harness, does not see whether others are answered
	}
	switch s.outcome {
	case answered:
		if o.current.hits > 0 {
			o.close(s.at)
		}
	case dropped:
		o.failed(s)
	}
}

func (o *outages) failed(s slot) {
	if o.current.hits == 0 {
		o.current = outage{from: s.at, first: s.seq}
	}
	o.current.hits++
	o.current.from = min(o.current.from, s.at)
	o.current.lastEnd = max(o.current.lastEnd, s.end)
}

func (o *outages) close(until time.Duration) {
	o.current.until = max(until, o.current.from)
	if o.closed = append(o.closed, o.current); len(o.closed) >= 2*maxOutages {
		slices.SortStableFunc(o.closed, longerFirst)
		o.closed = o.closed[:maxOutages]
	}
	o.current = outage{}
}

// maxOutages is how many outages of an arm are kept, of more the longest.
const maxOutages = 500

func longerFirst(a, b outage) int { return cmp.Compare(b.until-b.from, a.until-a.from) }

// leaveOut takes those that overlap one of the spans.
func (o *outages) leaveOut(spans []timeline.Span) {
	o.closed = slices.DeleteFunc(o.closed, func(c outage) bool { return overlaps(spans, c.from, c.until) })
	o.pick()
}

// pick finds the worst one, the first of those that are as long.
func (o *outages) pick() {
	o.worst = outage{}
	slices.SortStableFunc(o.closed, longerFirst)
	if len(o.closed) > 0 {
		o.worst = o.closed[0]
	}
}

// enter starts a window: the time from the end of its predecessor is no gap, the time to its first hit is.
func (o *outages) enter(index int32) {
	o.leave()
	if o.gaps == nil {
		o.gaps = map[*timeline.Window]time.Duration{}
	}
	o.index, o.window = index, o.arm.Window(int(index))
	if o.window != nil {
		o.blind = blindness{waiting: o.blind.waiting}
		o.blind.begin(o.window.Begin)
	}
}

// leave closes a window: the time from its last hit to its end is a gap too.
func (o *outages) leave() {
	if o.window != nil {
		o.gaps[o.window] = max(o.gaps[o.window], o.blind.until(o.window.Until()))
	}
}

// finish closes what is open when there are no more hits. A window without any hit is a gap from end to end.
func (o *outages) finish() {
	o.leave()
	if o.current.hits > 0 {
		o.close(o.current.lastEnd)
	}
	o.pick()
	if o.gaps == nil {
		o.gaps = map[*timeline.Window]time.Duration{}
	}
	for _, w := range o.arm.Windows {
		if _, ok := o.gaps[w]; !ok {
			o.gaps[w] = w.Length
		}
	}
}
