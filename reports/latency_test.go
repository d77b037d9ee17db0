package reports

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
)

// The quantiles are those of the answers, by version and by phase, to three digits; one that too few answers tell of is not made up.
func TestLatenciesByVersionAndPhase(t *testing.T) {
	when := disturbed{from: 10 * time.Second, until: 20 * time.Second}
	f := newFold("get", when)
	for i := range 3000 {
		at := time.Duration(i) * 10 * time.Millisecond // ten seconds before, ten during, ten after
		h := history.Hit{Seq: uint64(i), Code: 200, At: at, Version: "v1", Latency: time.Duration(i%1000+1) * time.Millisecond}
		if at >= when.from {
			h.Version = "v2"
		}
		f.add(&h)
	}
	slow := history.Hit{Seq: 3000, At: 15 * time.Second, Class: history.ClassAmbiguous, Latency: time.Minute} // a failure says nothing of answers
	f.add(&slow)
	shown := told(timeline.Timeline{}, f)
	shown.disturbed = when

	table := shown.latenciesByArm()
	if len(table) != 4 || table[0].Phase != "" || table[1].Phase != "before" || table[3].Phase != "after" {
		t.Fatalf("rows %+v", table)
	}
	r := table[0]
	for name, c := range map[string]struct{ got, want time.Duration }{
		"min": {r.Min, time.Millisecond}, "avg": {r.Avg, 500500 * time.Microsecond}, "p50": {r.P50, 500 * time.Millisecond}, "p90": {r.P90, 900 * time.Millisecond},
		"p95": {r.P95, 950 * time.Millisecond}, "p99": {r.P99, 990 * time.Millisecond}, "p99.9": {r.P999, 999 * time.Millisecond}, "max": {r.Max, time.Second},
	} {
		if off := c.got - c.want; off < -c.want/1000 || off > c.want/1000+time.Microsecond {
			t.Errorf("%s is %v, want %v to three digits", name, c.got, c.want)
		}
	}
	if r.Good != 3000 || table[2].Good != 1000 {
		t.Errorf("%d good answers, %d of them during; want 3000 and 1000", r.Good, table[2].Good)
	}
	if versions := shown.latenciesByVersion(); len(versions) != 5 || versions[0].Of != "v1" || versions[2].Of != "v2" || versions[2].Good != 2000 {
		t.Errorf("by version %+v", versions)
	}
	if few := func() latencyRow { var l latencies; l.add(time.Second); return l.row("", "") }(); few.P50 != time.Second || few.P90 != unknownQuantile || few.P999 != unknownQuantile {
		t.Errorf("of one answer p50 is %v, p90 %v, p99.9 %v", few.P50, few.P90, few.P999)
	}
}

func TestLengthsHaveThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 999 * time.Microsecond: "999 µs", 1234 * time.Microsecond: "1.23 ms", 91320500: "91.3 ms", 999 * time.Millisecond: "999 ms",
		999600 * time.Microsecond: "1 s", 84 * time.Second: "1 min 24 s", 125 * time.Second: "2 min 5 s", -1: "–",
	} {
		if got := length(d); got != want {
			t.Errorf("%d ns is written %q, want %q", d, got, want)
		}
	}
}

// A hit that was never started failed, and has no part in a rate or in what was sent: all such hits have the one moment of giving up.
func TestUnsentHitsFailWithoutARate(t *testing.T) {
	f := hits("get", 10, 0, "", time.Second)
	for i := range 1000 {
		h := history.Hit{Seq: uint64(10 + i), At: 9 * time.Second, Class: history.ClassHarness, Reason: "unsent", Unsent: true, BytesOut: 5}
		f.add(&h)
	}
	get := &timeline.Arm{Name: "get", Windows: []*timeline.Window{{Window: history.Window{Arm: "get", Length: 10 * time.Second}}}}
	if sum := told(timeline.Timeline{Arms: []*timeline.Arm{get}}, f).total(); sum.Intended != 1010 || sum.Sent != 10 || sum.Failed != 1000 || sum.PerSecond() != 1 || sum.BytesOut != 0 || sum.FailedShare() > 1 {
		t.Errorf("of 1010 hits, 10 of them sent in ten seconds, the total is %+v, %v/s, share failed %v", sum, sum.PerSecond(), sum.FailedShare())
	}
	var inBuckets uint32
	for i := range f.buckets {
		inBuckets += f.buckets[i].hits
	}
	if inBuckets != 10 || f.failures.kept != 1000 {
		t.Errorf("%d hits have a rate, %d failures are kept; want 10 and 1000", inBuckets, f.failures.kept)
	}
}
