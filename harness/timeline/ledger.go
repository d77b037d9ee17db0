package timeline

import (
	"cmp"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Ledger is what became of the writes of one ledger. Its moments are on the run's clock. It holds runs of operations and no single write: it is
// small unless the store gave many writes in flight positions in another order than they were begun in.
type Ledger struct {
	history.Ledger // as it ended, else as it began
	Begins, Ends   int
	Opened         *history.LedgerOpened
	Closed         *history.LedgerClosed // nil: its writer did not close it
	Lines          uint64

	Begin, Until time.Duration // from the first intended write to when it was stopped, or to the last that is known of it

	Acked, Failed, Unknown uint64
	Duplicates             uint64        // of Acked, those that the store had already
	Tries                  uint64        // of all writes together
	LagMax                 time.Duration // by how much a write was started later than intended, at the most
	OffRate                time.Duration // by how much a write was intended at another moment than the rate asks for, at the most
	Nameless               uint64        // of Acked, those whose answer does not tell who took them
	Unplaced               uint64        // of Acked, those without a position
	Shared                 uint64        // positions at which more than one operation was acknowledged
	Gaps                   []Span        // times without an acknowledged write, in order; of more than 500 the longest
	Idle                   []Span        // times of 50 ms and more in which no write was under way, in order; of more than 500 the longest
	Views                  []LedgerView  // in order
	Tenures                []Tenure      // who acknowledged, in turn, where answers tell
	Members                []*LedgerMember
	Impossible             string // what is told of a write that cannot be; "" where all of it can

	all, acked, failed []opRun
	last               time.Duration // when the last write was acknowledged, by the writer's clock
	seen               time.Duration // the last moment that it tells of, by the writer's clock
	ended              time.Duration // when the last write ended, whatever became of it, by the writer's clock
	busy               []Span        // in which writes were under way, by the writer's clock; all before are in Idle already
}

// LedgerView is what the store said of itself from a moment on.
type LedgerView struct {
	history.View
	At     time.Duration
	Before string // of an election: who led before
}

// Tenure is a time in which one member acknowledged writes, and no other.
type Tenure struct {
	By          string
	From, Until time.Duration // of the first and the last write that it acknowledged, when they ended
}

// LedgerMember is what was read back of one member of the store.
type LedgerMember struct {
	history.MemberRead
	Read     bool            // it was read to its end
	Reads    int             // how often it was read
	Early    bool            // it was read before the last write had ended
	Has      uint64          // operations of this ledger
	Twice    uint64          // of what was read, what it has already
	Doubled  []uint64        // the first operations of Twice
	Refused  uint64          // of Has, those that certainly failed, as their answers said
	Unplaced uint64          // of what was read, what has no position
	Shared   uint64          // positions at which it has more than one operation
	Missing  uint64          // acknowledged operations that it does not have, or not where they were acknowledged
	Lost     []Loss          // the first of Missing
	LostAt   []time.Duration // when the first 10 000 of Missing were acknowledged

	found     []opRun
	elsewhere map[uint64]uint64
	missing   []uint64 // the first 10 000 operations of Missing
}

// Loss is an acknowledged operation that a member does not have.
type Loss struct {
	Op, Position uint64 // Position: where it was acknowledged; 0 where the store has none
	Elsewhere    uint64 // where the member has it instead; 0: nowhere
}

// opRun is Count operations from Op on. Where the store has positions, they stand one behind the other from Position on.
type opRun struct{ op, position, count uint64 }

func (r opRun) until() uint64 { return r.op + r.count }

func (r opRun) at(op uint64) uint64 {
	if r.position == 0 {
		return 0
	}
	return r.position + op - r.op
}

// Ledger finds the ledger of a name; nil when there is none.
func (t *Timeline) Ledger(name string) *Ledger {
	for _, l := range t.Ledgers {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// LedgersOf are the ledgers of a kind of store.
func (t *Timeline) LedgersOf(store string) []*Ledger {
	return slices.DeleteFunc(slices.Clone(t.Ledgers), func(l *Ledger) bool { return l.Store != store })
}

// Written is how many writes the ledger tells of.
func (l *Ledger) Written() uint64 { return l.Acked + l.Failed + l.Unknown }

// Key is what an operation of the ledger was written under.
func (l *Ledger) Key(op uint64) string {
	keys := ""
	if l.Opened != nil {
		keys = l.Opened.Keys
	}
	return keys + strconv.FormatUint(op, 10)
}

// Longest is the longest time without an acknowledged write.
func (l *Ledger) Longest() Span {
	var longest Span
	for _, g := range l.Gaps {
		if g.Length() > longest.Length() {
			longest = g
		}
	}
	return longest
}

// Stalled is how much of a time the writer's own process did not run.
func (l *Ledger) Stalled(from, until time.Duration) time.Duration {
	if l.Closed == nil {
		return 0
	}
	return stalled(l.Closed.Stalls, from-l.Clock.Offset, until-l.Clock.Offset)
}

// Unasked is how much of a time nobody waited for the store, as far as the writer knows of itself: its own process did not run, or no write was under
// way.
func (l *Ledger) Unasked(from, until time.Duration) (sum time.Duration) {
	spans := slices.Clone(l.Idle)
	if l.Closed != nil {
		for _, s := range l.Closed.Stalls {
			spans = append(spans, Span{s.At + l.Clock.Offset, s.At + s.Length + l.Clock.Offset})
		}
	}
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	for _, s := range spans {
		begin, end := max(s.From, from), min(s.Until, until)
		if end > begin {
			sum += end - begin
			from = end
		}
	}
	return sum
}

// Unsent is how much of a time no write was under way, whatever the reason.
func (l *Ledger) Unsent(from, until time.Duration) (sum time.Duration) {
	for _, s := range l.Idle {
		sum += max(0, min(s.Until, until)-max(s.From, from))
	}
	return sum
}

// IntendedBefore is how many writes were to be started before a moment, at the rate of the ledger, and how many of them were acknowledged at any time.
func (l *Ledger) IntendedBefore(moment time.Duration) (intended, acked uint64) {
	due := math.Ceil((moment - l.Begin).Seconds() * l.Rate)
	if !(due > 0) {
		return 0, 0
	}
	intended = uint64(min(due, math.MaxInt32))
	for _, r := range l.acked {
		if r.op < intended {
			acked += min(r.until(), intended) - r.op
		}
	}
	return intended, acked
}

// Whole reports whether there is one line for each write that was intended: numbers without a hole, none of them twice.
func (l *Ledger) Whole() bool {
	return l.Closed != nil && l.Written() == l.Closed.Planned && (l.Closed.Planned == 0 || len(l.all) == 1 && l.all[0] == opRun{count: l.Closed.Planned})
}

// Elections are the moments from which the store named another leader than the one before.
func (l *Ledger) Elections() []LedgerView {
	var all []LedgerView
	last := ""
	for _, v := range l.Views {
		if v.Leader != "" && last != "" && v.Leader != last {
			v.Before = last
			all = append(all, v)
		}
		last = cmp.Or(v.Leader, last)
	}
	return all
}

func (b *timelineBuilder) ledger(name string) *Ledger {
	l, ok := b.ledgers[name]
	if !ok {
		l = &Ledger{Ledger: history.Ledger{Name: name}}
		b.ledgers[name] = l
	}
	return l
}

func (b *timelineBuilder) ledgerEvent(e *history.Ledger) {
	l := b.ledger(e.Name)
	if e.Ended || l.Begins == 0 {
		l.Ledger = *e
	}
	if e.Ended {
		l.Ends++
	} else {
		l.Begins++
	}
}

// readLedgers reads the lines of each ledger, once all that events say of them is known.
func (b *timelineBuilder) readLedgers(h *history.History) {
	for _, name := range slices.Sorted(maps.Keys(b.ledgers)) {
		l := b.ledgers[name]
		for line, err := range h.Ledger(name) {
			if err != nil {
				b.damage(err)
				break
			}
			l.add(line)
		}
		l.finish()
		if at := l.missing(); len(at) > 0 {
			l.date(h, at)
		}
		b.t.Ledgers = append(b.t.Ledgers, l)
	}
}

// missing are the operations that some member does not have.
func (l *Ledger) missing() map[uint64]time.Duration {
	at := map[uint64]time.Duration{}
	for _, m := range l.Members {
		for _, op := range m.missing {
			at[op] = 0
		}
	}
	return at
}

// date finds out when operations that members do not have were acknowledged. The lines are read once more for it: most ledgers lack none, and the
// moments of all writes would take memory.
func (l *Ledger) date(h *history.History, at map[uint64]time.Duration) {
	for line, err := range h.Ledger(l.Name) {
		if err != nil {
			break // it is told of already
		}
		if w := line.Write; w != nil && w.Outcome == history.WriteAcked {
			if _, missing := at[w.Op]; missing {
				at[w.Op] = w.Ended + l.Clock.Offset
			}
		}
	}
	for _, m := range l.Members {
		for _, op := range m.missing {
			m.LostAt = append(m.LostAt, at[op])
		}
	}
}

// add takes one line.
func (l *Ledger) add(line *history.LedgerLine) {
	l.Lines++
	switch {
	case line.Opened != nil:
		l.Opened = line.Opened
	case line.Write != nil:
		l.write(line.Write)
	case line.View != nil:
		l.seen = max(l.seen, line.View.At)
		l.Views = append(l.Views, LedgerView{View: *line.View, At: line.View.At + l.Clock.Offset})
	case line.Found != nil:
		m := l.member(line.Found.Member)
		m.found = append(m.found, opRun{line.Found.Op, line.Found.Position, line.Found.Count})
	case line.Member != nil:
		m := l.member(line.Member.Name)
		m.MemberRead, m.Read = *line.Member, line.Member.Error == ""
		m.Reads++
	case line.Closed != nil:
		l.Closed = line.Closed
	}
}

func (l *Ledger) member(name string) *LedgerMember {
	for _, m := range l.Members {
		if m.Name == name {
			return m
		}
	}
	m := &LedgerMember{MemberRead: history.MemberRead{Name: name}, elsewhere: map[uint64]uint64{}}
	l.Members = append(l.Members, m)
	return m
}

func (l *Ledger) write(w *history.Write) {
	if why := impossibleWrite(w); why != "" && l.Impossible == "" {
		l.Impossible = why
	}
	l.seen, l.ended = max(l.seen, w.Ended), max(l.ended, w.Ended)
	for _, m := range l.Members {
		m.Early = true // a write comes after what was read of it
	}
	l.underWay(w)
	l.OffRate = max(l.OffRate, (w.Intended - l.due(w.Op)).Abs())
	l.Tries += uint64(max(w.Tries, 0))
	l.LagMax = max(l.LagMax, w.Started-w.Intended)
	l.all = extend(l.all, opRun{op: w.Op, count: 1})
	switch w.Outcome {
	case history.WriteAcked:
		l.Acked++
		if w.Duplicate {
			l.Duplicates++
		}
		if w.By == "" {
			l.Nameless++
		}
		if w.Position == 0 {
			l.Unplaced++
		}
		l.gap(w.Ended)
		l.answered(w)
		l.acked = extend(l.acked, opRun{w.Op, w.Position, 1})
	case history.WriteFailed:
		l.Failed++
		l.failed = extend(l.failed, opRun{op: w.Op, count: 1})
	default:
		l.Unknown++
	}
}

// answered notes who acknowledged a write. One that was started before another member acknowledged its first may be of the time before.
func (l *Ledger) answered(w *history.Write) {
	n := len(l.Tenures)
	switch {
	case w.By == "":
	case n > 0 && l.Tenures[n-1].By == w.By:
		l.Tenures[n-1].Until = max(l.Tenures[n-1].Until, w.Ended)
	case n == 0 || w.Started >= l.Tenures[n-1].From:
		l.Tenures = append(l.Tenures, Tenure{w.By, w.Ended, w.Ended})
	}
}

func impossibleWrite(w *history.Write) string {
	switch {
	case w.Outcome != history.WriteAcked && w.Outcome != history.WriteFailed && w.Outcome != history.WriteUnknown:
		return "has the outcome " + string(w.Outcome)
	case w.Started < w.Intended, w.Ended < w.Started, w.Intended < 0:
		return "ended before it was started, or was started before it was intended"
	case w.Tries < 1 && w.Outcome != history.WriteFailed: // it was never sent
		return "was never tried"
	}
	return ""
}

// leastGap is how long no write must have been acknowledged for the time to be told of.
const leastGap = 50 * time.Millisecond

// maxGaps is how many gaps of a ledger are kept, of more the longest.
const maxGaps = 500

// gap ends the time since the last acknowledged write.
func (l *Ledger) gap(until time.Duration) {
	if until-l.last >= leastGap {
		l.Gaps = append(l.Gaps, Span{l.last, until})
	}
	l.last = max(l.last, until)
	if len(l.Gaps) >= 2*maxGaps {
		l.Gaps = longest(l.Gaps)
	}
}

// longest are the longest of some times, as many as are kept, in order.
func longest(spans []Span) []Span {
	slices.SortStableFunc(spans, func(a, b Span) int { return cmp.Compare(b.Length(), a.Length()) })
	spans = spans[:min(len(spans), maxGaps)]
	slices.SortStableFunc(spans, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	return spans
}

// due is when an operation is to be started at the rate of the ledger, by the writer's clock.
func (l *Ledger) due(op uint64) time.Duration {
	if !(l.Rate > 0) {
		return 0
	}
	return time.Duration(min(float64(op)/l.Rate, maxDue) * float64(time.Second))
}

// maxDue is a number of seconds that no run lasts for.
const maxDue = 1e9

// underWay notes when a write was. Writes are told of in the order of their ends, but one may have begun before others that are told of already.
func (l *Ledger) underWay(w *history.Write) {
	if len(l.busy) == 0 {
		l.busy = []Span{{}} // the ledger begins
	}
	if w.Tries == 0 {
		return // it was never sent
	}
	s := Span{w.Started, w.Ended}
	for n := len(l.busy); n > 0 && s.From-l.busy[n-1].Until < leastGap; n-- {
		s = Span{min(s.From, l.busy[n-1].From), max(s.Until, l.busy[n-1].Until)}
		l.busy = l.busy[:n-1]
	}
	l.busy = append(l.busy, s)
	if len(l.busy) >= 2*maxGaps {
		l.rest(maxGaps)
	}
}

// rest notes the times between the first so many in which writes were under way, and forgets those but the last. No write lasts as long as they do.
func (l *Ledger) rest(n int) {
	for i := 1; i < n; i++ {
		if s := (Span{l.busy[i-1].Until, l.busy[i].From}); s.Length() >= leastGap {
			l.Idle = append(l.Idle, s)
		}
	}
	l.busy = l.busy[n-1:]
	if len(l.Idle) >= 2*maxGaps {
		l.Idle = longest(l.Idle)
	}
}

// extend adds a run to others, to the last one where it goes on there.
func extend(runs []opRun, r opRun) []opRun {
	if n := len(runs); n > 0 {
		if last := &runs[n-1]; last.until() == r.op && (last.position == 0) == (r.position == 0) && last.at(r.op) == r.position {
			last.count += r.count
			return runs
		}
	}
	return append(runs, r)
}

// joined is runs in the order of their operations, those that go on in one another made one.
func joined(runs []opRun) []opRun {
	slices.SortFunc(runs, func(a, b opRun) int { return cmp.Or(cmp.Compare(a.op, b.op), cmp.Compare(a.position, b.position)) })
	var all []opRun
	for _, r := range runs {
		all = extend(all, r)
	}
	return all
}

// finish brings all moments onto the run's clock, and holds each member against what was acknowledged.
func (l *Ledger) finish() {
	stopped := l.seen
	if l.Closed != nil {
		stopped = l.Closed.Stopped
	}
	l.gap(stopped)
	if len(l.busy) == 0 {
		l.busy = []Span{{}} // nothing was ever written
	}
	l.busy = append(l.busy, Span{stopped, stopped})
	l.rest(len(l.busy))
	offset := l.Clock.Offset
	l.Gaps, l.Idle = shifted(longest(l.Gaps), offset), shifted(longest(l.Idle), offset)
	for i := range l.Tenures {
		l.Tenures[i].From += offset
		l.Tenures[i].Until += offset
	}
	l.Begin, l.Until = offset, stopped+offset
	l.all, l.acked, l.failed = joined(l.all), joined(l.acked), joined(l.failed)
	l.Shared = shared(l.acked)
	size := l.size()
	slices.SortFunc(l.Members, func(a, b *LedgerMember) int { return cmp.Compare(a.Name, b.Name) })
	for _, m := range l.Members {
		m.Early = m.Early || m.At < max(stopped, l.ended)
		m.compare(l.acked, l.failed, size)
	}
}

func shifted(spans []Span, by time.Duration) []Span {
	for i := range spans {
		spans[i] = Span{spans[i].From + by, spans[i].Until + by}
	}
	return spans
}

// shared counts the positions that more than one operation has.
func shared(runs []opRun) (n uint64) {
	placed := slices.DeleteFunc(slices.Clone(runs), func(r opRun) bool { return r.position == 0 })
	slices.SortFunc(placed, func(a, b opRun) int { return cmp.Compare(a.position, b.position) })
	var end uint64
	for _, r := range placed {
		until := r.position + r.count
		if until < r.position {
			until = math.MaxUint64 // only a damaged record tells of such
		}
		if r.position < end {
			n += min(end, until) - r.position
		}
		end = max(end, until)
	}
	return n
}

// mostHoles is how many operations may be missing between those that are there. A number far above the others is damage, and no memory is spent on it.
const mostHoles = 1 << 20

// size is the number behind the last operation that was intended.
func (l *Ledger) size() uint64 {
	var size uint64
	for _, r := range l.all {
		if r.until() > l.Written()+mostHoles || r.until() < r.op {
			l.Impossible = cmp.Or(l.Impossible, "has a number far above how many there are")
			continue
		}
		size = max(size, r.until())
	}
	return size
}

// opSet is a set of operations.
type opSet []uint64

func (s opSet) has(op uint64) bool { return op/64 < uint64(len(s)) && s[op/64]>>(op%64)&1 == 1 }

// add reports whether the operation is new.
func (s opSet) add(op uint64) bool {
	if s.has(op) {
		return false
	}
	s[op/64] |= 1 << (op % 64)
	return true
}

func (s opSet) len() uint64 {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return uint64(n)
}

const (
	maxLost  = 20     // losses, or doubles, of a member that are kept
	maxDated = 10_000 // and of which it is found out when they were acknowledged
)

// compare holds what a member has against what was acknowledged, of so many operations. What it has that was never intended is foreign.
func (m *LedgerMember) compare(acked, failed []opRun, size uint64) {
	has, right := make(opSet, size/64+1), make(opSet, size/64+1)
	m.found = joined(m.found)
	m.Shared = shared(m.found)
	for _, run := range m.found {
		if run.position == 0 {
			m.Unplaced += run.count
		}
		if run.until() > size {
			m.Foreign += run.until() - max(run.op, size)
		}
		for op := run.op; op < min(run.until(), size); op++ {
			if !has.add(op) {
				m.Twice++
				if len(m.Doubled) < maxLost {
					m.Doubled = append(m.Doubled, op)
				}
			}
			if want, ok := positionOf(acked, op); !ok || want == 0 || run.position == 0 || want == run.at(op) {
				right.add(op)
			} else {
				m.elsewhere[op] = run.at(op)
			}
		}
	}
	m.Has = has.len()
	for _, run := range failed {
		for op := run.op; op < min(run.until(), size); op++ {
			if has.has(op) {
				m.Refused++
			}
		}
	}
	for _, run := range acked {
		for op := run.op; op < min(run.until(), size); op++ {
			if right.has(op) {
				continue
			}
			m.Missing++
			if m.Missing <= maxDated {
				m.missing = append(m.missing, op)
			}
			if m.Missing <= maxLost {
				m.Lost = append(m.Lost, Loss{Op: op, Position: run.at(op), Elsewhere: m.elsewhere[op]})
			}
		}
	}
}

// positionOf is where an operation was acknowledged; ok is false when it was not.
func positionOf(acked []opRun, op uint64) (position uint64, ok bool) {
	i, found := slices.BinarySearchFunc(acked, op, func(r opRun, op uint64) int { return cmp.Compare(r.op, op) })
	if !found {
		i--
	}
	if i < 0 || op >= acked[i].until() {
		return 0, false
	}
	return acked[i].at(op), true
}
