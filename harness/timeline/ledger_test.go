package timeline

import (
	"math"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// ledgerOf is a ledger of writes that are under way in the given times, in the order of their ends, and are acknowledged.
func ledgerOf(stopped time.Duration, writes ...Span) *Ledger {
	l := &Ledger{Ledger: history.Ledger{Rate: 1}}
	for i, s := range writes {
		l.add(&history.LedgerLine{Write: &history.Write{Op: uint64(i), Started: s.From, Ended: s.Until, Outcome: history.WriteAcked, Tries: 1}})
	}
	l.add(&history.LedgerLine{Closed: &history.LedgerClosed{Stopped: stopped, Planned: uint64(len(writes))}})
	l.finish()
	return l
}

// When no write was under way is known to a millisecond, also of writes that end in another order than they began in.
func TestIdle(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		writes []Span
		want   []Span
	}{
		"none":                        {nil, []Span{{0, 1000 * ms}}},
		"one all the time":            {[]Span{{0, 1000 * ms}}, nil},
		"one in the middle":           {[]Span{{300 * ms, 600 * ms}}, []Span{{0, 300 * ms}, {600 * ms, 1000 * ms}}},
		"too short to tell":           {[]Span{{49 * ms, 500 * ms}, {549 * ms, 960 * ms}}, nil},
		"just long enough":            {[]Span{{50 * ms, 500 * ms}, {550 * ms, 950 * ms}}, []Span{{0, 50 * ms}, {500 * ms, 550 * ms}, {950 * ms, 1000 * ms}}},
		"one that was under way":      {[]Span{{0, 100 * ms}, {400 * ms, 500 * ms}, {50 * ms, 1000 * ms}}, nil},
		"one that was, for a part":    {[]Span{{0, 100 * ms}, {600 * ms, 700 * ms}, {400 * ms, 1000 * ms}}, []Span{{100 * ms, 400 * ms}}},
		"the last ends after it does": {[]Span{{500 * ms, 1200 * ms}}, []Span{{0, 500 * ms}}},
	} {
		if got := ledgerOf(1000*ms, c.writes...).Idle; !slices.Equal(got, c.want) {
			t.Errorf("%s: idle %v, want %v", name, got, c.want)
		}
	}
}

// Of a ledger that is long and slow the longest such times are kept, and none of them is counted twice.
func TestIdleOfALongLedger(t *testing.T) {
	var writes []Span
	for i := range 5000 {
		at := time.Duration(i) * time.Second
		writes = append(writes, Span{at, at + time.Millisecond})
	}
	l := ledgerOf(5000*time.Second, writes...)
	if len(l.Idle) != maxGaps || len(l.busy) > 2*maxGaps {
		t.Fatalf("%d times are kept, and %d writes", len(l.Idle), len(l.busy))
	}
	for i := 1; i < len(l.Idle); i++ {
		if l.Idle[i].From < l.Idle[i-1].Until || l.Idle[i].Length() != 999*time.Millisecond {
			t.Fatalf("the times %v and %v", l.Idle[i-1], l.Idle[i])
		}
	}
}

// What the process itself did not run for counts once, also where no write was under way meanwhile.
func TestUnasked(t *testing.T) {
	l := &Ledger{Idle: []Span{{10, 20}, {40, 50}}, Closed: &history.LedgerClosed{Stalls: []history.Stall{{At: 15, Length: 10}, {At: 42, Length: 3}, {At: 90, Length: 5}}}}
	for _, c := range []struct{ from, until, want time.Duration }{{0, 100, 30}, {0, 10, 0}, {12, 22, 10}, {18, 45, 12}, {25, 40, 0}, {92, 93, 1}} {
		if got := l.Unasked(c.from, c.until); got != c.want {
			t.Errorf("from %d to %d: %d, want %d", c.from, c.until, got, c.want)
		}
	}
}

// Positions of more than one operation are counted, whatever the order, and no damage makes them wrap around.
func TestSharedPositions(t *testing.T) {
	for name, c := range map[string]struct {
		runs []opRun
		want uint64
	}{
		"none":                {nil, 0},
		"no positions":        {[]opRun{{0, 0, 9}, {9, 0, 9}}, 0},
		"one behind another":  {[]opRun{{0, 1, 9}, {9, 10, 9}}, 0},
		"in another order":    {[]opRun{{9, 10, 9}, {0, 1, 9}}, 0},
		"one of them":         {[]opRun{{0, 1, 9}, {9, 9, 9}}, 1},
		"one within another":  {[]opRun{{0, 1, 9}, {20, 3, 2}}, 2},
		"behind one within":   {[]opRun{{0, 1, 9}, {20, 3, 2}, {30, 9, 1}}, 3},
		"the end of all time": {[]opRun{{0, math.MaxUint64 - 1, 9}, {20, math.MaxUint64 - 1, 1}}, 1},
	} {
		if got := shared(c.runs); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// The writes that were due before a moment are those that the rate asks for by then.
func TestIntendedBefore(t *testing.T) {
	l := &Ledger{Ledger: history.Ledger{Rate: 10}, Begin: time.Second, acked: []opRun{{op: 0, count: 5}, {op: 8, count: 10}}}
	for _, c := range []struct {
		moment          time.Duration
		intended, acked uint64
	}{{0, 0, 0}, {time.Second, 0, 0}, {time.Second + 1, 1, 1}, {1500 * time.Millisecond, 5, 5}, {2 * time.Second, 10, 7}, {9 * time.Second, 80, 15}, {Never, math.MaxInt32, 15}} {
		if intended, acked := l.IntendedBefore(c.moment); intended != c.intended || acked != c.acked {
			t.Errorf("before %s: %d of %d, want %d of %d", c.moment, acked, intended, c.acked, c.intended)
		}
	}
	if intended, acked := (&Ledger{acked: l.acked}).IntendedBefore(time.Hour); intended != 0 || acked != 0 {
		t.Errorf("without a rate: %d of %d", acked, intended)
	}
}
