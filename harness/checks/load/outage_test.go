package load

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
	"pgregory.net/rapid"
)

// The longest outage and the longest time without a whole hit are exact, though hits come in the order they ended in: they are
// held against a plain computation over all hits sorted by number.
func TestOutagesAreExactWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		arm := &timeline.Arm{Name: "get", Windows: []*timeline.Window{{Window: history.Window{Index: 1, Length: time.Second}}}}
		hits := make([]slot, rapid.IntRange(1, 60).Draw(t, "hits"))
		for i := range hits {
			at := time.Duration(i*10)*time.Millisecond + time.Duration(rapid.IntRange(0, 30).Draw(t, "lag"))*time.Millisecond
			hits[i] = slot{seq: uint64(i), at: at, end: at + time.Duration(rapid.IntRange(1, 500).Draw(t, "latency"))*time.Millisecond,
				window: 1, outcome: outcome(rapid.IntRange(1, 4).Draw(t, "outcome"))}
		}
		arm.Windows[0].Length = max(time.Second, hits[len(hits)-1].at)
		o := &outages{arm: arm}
		s := &sequence{visit: o.visit}
		ended := slices.Clone(hits)
		slices.SortStableFunc(ended, func(a, b slot) int { return cmp.Compare(a.end, b.end) })
		for _, hit := range ended {
			s.add(hit)
		}
		s.finish()
		o.finish()
		if s.broken {
			t.Fatal("the order is called broken, no hit is missing")
		}
		from, until, failed := longestOutage(hits)
		if o.worst.from != from || o.worst.until != until || o.worst.hits != failed {
			t.Fatalf("longest outage from %v to %v (%d hits), want from %v to %v (%d hits)", o.worst.from, o.worst.until, o.worst.hits, from, until, failed)
		}
		if got, want := o.gaps[arm.Windows[0]], longestGap(hits, arm.Windows[0]); got < want {
			t.Fatalf("longest time without a whole hit %v, really %v: it must not be understated", got, want)
		}
	})
}

func longestOutage(hits []slot) (from, until time.Duration, failed uint64) {
	for i := 0; i < len(hits); {
		if hits[i].outcome != dropped {
			i++
			continue
		}
		begin, end, lastEnd, n := hits[i].at, time.Duration(-1), time.Duration(0), uint64(0)
		for ; i < len(hits); i++ {
			if hits[i].outcome == answered {
				end = max(hits[i].at, begin)
				break
			}
			if hits[i].outcome == dropped {
				n++
				begin, lastEnd = min(begin, hits[i].at), max(lastEnd, hits[i].end)
			}
		}
		if end < 0 {
			end = max(lastEnd, begin)
		}
		if failed == 0 || end-begin > until-from {
			from, until, failed = begin, end, n
		}
	}
	return from, until, failed
}

func longestGap(hits []slot, w *timeline.Window) time.Duration {
	starts := []time.Duration{w.Begin, w.Until()}
	for _, h := range hits {
		if h.outcome == answered || h.outcome == dropped {
			starts = append(starts, h.at)
		}
	}
	slices.Sort(starts)
	var longest time.Duration
	for i := 1; i < len(starts); i++ {
		longest = max(longest, starts[i]-starts[i-1])
	}
	return longest
}

// Missing and doubled hits neither hang the sequence nor grow it without bounds, and every hit is visited once.
func TestSequenceSurvivesHoles(t *testing.T) {
	cases := map[string][]uint64{
		"the first is missing":   {5, 6, 7},
		"a hole":                 {0, 1, 3, 4},
		"a hole wider than all":  {0, 1, maxPending * 3, maxPending*3 + 1},
		"the end of all numbers": {0, 1<<64 - 1, 2},
		"doubled while pending":  {2, 2, 0, 1},
		"doubled when visited":   {0, 1, 0},
		"backwards":              {4, 3, 2, 1, 0},
	}
	for name, seqs := range cases {
		t.Run(name, func(t *testing.T) {
			visited := 0
			s := &sequence{visit: func(slot) { visited++ }}
			for _, seq := range seqs {
				s.add(slot{seq: seq, outcome: answered})
			}
			s.finish()
			if visited != len(seqs) {
				t.Errorf("visited %d of %d hits", visited, len(seqs))
			}
			if broken := name != "backwards"; s.broken != broken {
				t.Errorf("broken is %v, want %v", s.broken, broken)
			}
			if len(s.ring) > maxPending {
				t.Errorf("%d slots are kept, at most %d may be", len(s.ring), maxPending)
			}
		})
	}
}

// What is said to be seen always is so for the arm, and the window, that sees least.
func TestPowerCountsTheArmThatSeesLeast(t *testing.T) {
	window := func(index int, begin, length time.Duration) *timeline.Window {
		return &timeline.Window{Window: history.Window{Index: index, Begin: begin, Length: length}}
	}
	often, seldom, alone := window(1, 0, 10*time.Second), window(2, 0, 20*time.Second), window(3, 30*time.Second, 10*time.Second)
	gaps := map[*timeline.Window]time.Duration{often: time.Millisecond, seldom: 5 * time.Millisecond, alone: 3 * time.Millisecond}
	if got := outageSeen(gaps); got != 5*time.Millisecond {
		t.Errorf("outage seen is %v, want 5ms", got)
	}
	if got := outageSeen(nil); got != 0 {
		t.Errorf("without a window outage seen is %v, want 0", got)
	}
	empty := &outages{arm: &timeline.Arm{Windows: []*timeline.Window{seldom}}}
	if empty.finish(); empty.gaps[seldom] != 20*time.Second {
		t.Errorf("a window of 20s without a hit leaves a gap of %v", empty.gaps[seldom])
	}
	if got := timeline.LoadedTime([]*timeline.Window{often, seldom, alone}); got != 30*time.Second {
		t.Errorf("loaded for %v, want 30s", got)
	}
}
