package history

import (
	"slices"
	"testing"
	"time"
)

// Of many stalls the longest are kept, in the order of time.
func TestTheLongestStallsAreKept(t *testing.T) {
	var kept Stalls
	if got := kept.Longest(); len(got) != 0 {
		t.Errorf("none are kept as %v", got)
	}
	const all = 10 * maxStalls
	for i := range time.Duration(all) {
		kept.Add(Stall{At: i * time.Second, Length: StallLeast + (i*7919)%all})
	}
	got := kept.Longest()
	if len(got) != maxStalls || !slices.IsSortedFunc(got, func(a, b Stall) int { return int(a.At - b.At) }) {
		t.Fatalf("%d stalls are kept, want %d in order", len(got), maxStalls)
	}
	for _, s := range got {
		if s.Length < StallLeast+all-maxStalls {
			t.Errorf("%+v is kept, and longer ones are not", s)
		}
	}
}

func TestTheLongestOfManyStalls(t *testing.T) {
	var s Stalls
	for i := range 2*maxStalls - 1 {
		s.Add(Stall{At: time.Duration(i), Length: time.Duration(i)})
	}
	if len(s) != 2*maxStalls-1 || len(s.Longest()) != maxStalls {
		t.Fatalf("%d stalls are kept, and %d told", len(s), len(s.Longest()))
	}
	s.Add(Stall{At: 2*maxStalls - 1})
	if len(s) != maxStalls || s[0].At != maxStalls-1 || s[maxStalls-1].At != 2*maxStalls-2 {
		t.Errorf("%d stalls are left, from %d to %d", len(s), s[0].At, s[len(s)-1].At)
	}
}
