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
