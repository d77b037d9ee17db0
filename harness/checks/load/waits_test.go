package load

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bitvault.dev/rollproof/harness/timeline"
)

// By brute force: a hit that was due waits for the earliest good answer to it or to a later one.
func TestWaitsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dues := rapid.SliceOfN(rapid.IntRange(0, 100), 0, 30).Draw(t, "dues")
		slices.Sort(dues)
		const until = 120
		type hit struct {
			due, end time.Duration
			what     outcome
		}
		var hits []hit
		for _, due := range dues {
			end := due + rapid.IntRange(0, 60).Draw(t, "latency")
			hits = append(hits, hit{time.Duration(due), time.Duration(end), rapid.SampledFrom([]outcome{answered, dropped, granted}).Draw(t, "what")})
		}
		longest, want := time.Duration(0), time.Duration(0)
		w := waits{tell: func(o waited) { longest = max(longest, o.end-o.due) }}
		for i, h := range hits {
			if h.what != granted {
				w.begin(h.due, h.due)
				earliest := timeline.Never
				for _, later := range hits[i:] {
					if later.what != dropped {
						earliest = min(earliest, later.end)
					}
				}
				want = max(want, min(earliest, until)-h.due)
			}
			if h.what != dropped {
				w.answered(h.end)
			}
		}
		w.finish(until)
		if longest != want {
			t.Fatalf("waited for %d, want %d, by %v", longest, want, hits)
		}
	})
}

// A time's zero is a time like any other.
func TestAnAnswerAtTimeZeroEndsItsWait(t *testing.T) {
	var told []waited
	w := waits{tell: func(o waited) { told = append(told, o) }}
	w.begin(0, 0)
	w.answered(0)
	w.finish(120)
	if len(told) != 0 {
		t.Errorf("told of %v, want nothing: the answer came at once", told)
	}
}

func TestWaitsHoldLittle(t *testing.T) {
	w := waits{tell: func(waited) {}}
	most := 0
	for i := range time.Duration(100_000) {
		w.begin(i, i)
		w.answered(i + 40)
		most = max(most, len(w.open))
	}
	if most > 41 {
		t.Errorf("%d times are held at once, want at most those in flight", most)
	}
}

func TestQuickness(t *testing.T) {
	for name, c := range map[string]struct {
		slowEvery, hits, late int
		want                  slowness
	}{
		"none slow":           {0, 3000, 0, slowness{}},
		"one of a hundred":    {100, 3000, 0, slowness{10, 10}},
		"two of a hundred":    {50, 3000, 0, slowness{20, 20}},
		"slow by the lag":     {50, 3000, 2, slowness{0, 20}},
		"too few to be asked": {2, 999, 0, slowness{}},
	} {
		t.Run(name, func(t *testing.T) {
			q := quickness{limit: 5}
			for i := range c.hits {
				r := reply{due: time.Duration(i), sent: time.Duration(i), end: time.Duration(i + 1)}
				if c.slowEvery > 0 && i%c.slowEvery == 0 {
					r.end += 5
					r.sent += time.Duration(c.late)
				}
				q.add(r)
			}
			if q.worst != c.want {
				t.Errorf("worst %+v, want %+v", q.worst, c.want)
			}
		})
	}
}

// An answer that takes as long as the limit is in time; one that takes longer is not. What was counted is taken back alike.
func TestTheLimitOfQuickness(t *testing.T) {
	for r, want := range map[reply]slowness{
		{0, 0, 5}: {}, {0, 0, 6}: {1, 1}, {0, 1, 6}: {0, 1}, {0, 1, 7}: {1, 1}, {1, 1, 6}: {},
	} {
		q := quickness{limit: 5}
		if q.count(r, 1); q.slow != want {
			t.Errorf("%+v counts as %+v, want %+v", r, q.slow, want)
		}
		if q.count(r, -1); q.slow != (slowness{}) {
			t.Errorf("%+v taken back leaves %+v", r, q.slow)
		}
	}
}

// Hits that are due while the same wait goes on begin no other one.
func TestAWaitThatGoesOnIsOne(t *testing.T) {
	var told []waited
	w := waits{tell: func(o waited) { told = append(told, o) }}
	for due := range time.Duration(3) {
		w.begin(due, due+1)
	}
	if w.finish(120); len(told) != 1 || told[0] != (waited{due: 0, sent: 1, end: 120}) {
		t.Errorf("told of %v, want one wait from 0 to 120", told)
	}
}
