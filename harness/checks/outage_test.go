package checks_test

import (
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// A full outage of ten milliseconds at 300 hits/s is found, with its time, and the power says that it would have been.
func TestShortOutageIsFound(t *testing.T) {
	r := &recording{clock: history.NewClock(), run: history.Run{ID: "r"}, hits: map[string][]history.Hit{}, sent: map[string]uint64{}, noEnd: map[string]bool{}, outcome: history.EndFinished}
	r.addArm("get", 300, testLength)
	clean := promise(t, r.judged(t), load.SlugDropped)
	if clean.Power == nil || clean.Power.OutageSeen > 9*time.Millisecond || clean.Power.OutageSeen < 8*time.Millisecond || clean.Power.Rate != 300 {
		t.Fatalf("the power of a clean run is %+v, want 3.3 ms between hits and 5 ms of one at 300/s", clean.Power)
	}
	for _, h := range r.between("get", 5*time.Second, 5010*time.Millisecond) {
		reset(h)
	}
	p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Fail)
	i := slices.IndexFunc(p.Findings, func(f judge.Finding) bool { return f.Class == "outage" })
	if i < 0 {
		t.Fatalf("no outage among %+v", p.Findings)
	}
	if f := p.Findings[i]; f.At != 5001*time.Millisecond || f.Until-f.At != 10*time.Millisecond || p.Dropped != 3 || p.Power != nil {
		t.Errorf("the outage is from %v to %v with %d drops, want 10 ms from 5.001s with 3", f.At, f.Until, p.Dropped)
	}
}
