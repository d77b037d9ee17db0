package reports

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bitvault.dev/rollproof/harness/history"
)

func TestBinsHoldTheirLatencies(t *testing.T) {
	for d := time.Duration(1 << minBits); d < 1<<maxBits; d += d/37 + 1 {
		if middle := binMiddle(bin(d)); math.Abs(float64(middle-d)) > 0.032*float64(d) {
			t.Fatalf("%v falls into the bin around %v: more than 3.2 %% off", d, middle)
		}
	}
	for d, want := range map[time.Duration]int{-1: 0, 0: 0, 1: 0, 1<<minBits - 1: 0, 1 << minBits: 0, 1<<maxBits - 1: bins - 1, 1 << maxBits: bins - 1, math.MaxInt64: bins - 1} {
		if got := bin(d); got != want {
			t.Errorf("bin(%d) = %d, want %d", d, got, want)
		}
	}
}

func anyFoldHit() *rapid.Generator[history.Hit] {
	return rapid.Custom(func(t *rapid.T) history.Hit {
		h := history.Hit{
			Seq: rapid.Uint64Range(0, 1<<40).Draw(t, "seq"), Code: 200,
			At:      time.Duration(rapid.Int64Range(-1e9, 1e14).Draw(t, "at")),
			Latency: time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "latency")),
			Version: rapid.SampledFrom([]string{"", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10"}).Draw(t, "version"),
			Masked:  rapid.IntRange(0, 1).Draw(t, "masked"),
		}
		h.Intended = h.At - time.Duration(rapid.Int64Range(-1e6, 1e9).Draw(t, "lag"))
		if rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
			h.Class = history.Class(rapid.IntRange(1, 4).Draw(t, "class"))
			h.Error = rapid.SampledFrom([]string{"EOF", "reset", ""}).Draw(t, "error")
		}
		return h
	})
}

// Whatever the order and the spread in time: no hit is lost from the counts, every hit is in the bucket of its moment, the
// buckets stay few, and every failure comes back as it was.
func TestFoldLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hits := rapid.SliceOfN(anyFoldHit(), 1, 60).Draw(t, "hits")
		f := newFold("get", disturbed{})
		for i := range hits {
			f.add(&hits[i])
		}
		if len(f.buckets) > maxBuckets {
			t.Fatalf("%d buckets", len(f.buckets))
		}
		want := map[int64][4]uint32{} // by bucket: hits, failed, masked, with a version
		var failed []history.Hit
		for _, h := range hits {
			n := int64(max(h.At, 0) / f.width)
			w := want[n]
			w[0]++
			if h.Failed() {
				w[1]++
				failed = append(failed, h)
			}
			w[2] += uint32(h.Masked)
			if h.Version != "" {
				w[3]++
			}
			want[n] = w
		}
		for i := range f.buckets {
			b, versions := &f.buckets[i], uint32(0)
			for _, n := range b.versions {
				versions += n
			}
			if got := [4]uint32{b.hits, b.failed, b.masked, versions}; got != want[f.base+int64(i)] {
				t.Fatalf("bucket %d holds %v, want %v", i, got, want[f.base+int64(i)])
			}
			if q, ok := b.quantile(0.99); ok != (b.hits > b.failed) || q > b.max {
				t.Fatalf("bucket %d: p99 %v of %d good hits, max %v", i, q, b.hits-b.failed, b.max)
			}
		}
		assertFailures(t, &f.failures, failed)
	})
}

func assertFailures(t *rapid.T, l *failureLog, want []history.Hit) {
	if l.kept != len(want) {
		t.Fatalf("%d failures are kept, want %d", l.kept, len(want))
	}
	column, at, seq, spans := l.column, int64(0), int64(0), uint64(0)
	next := func() int64 {
		v, n := binary.Varint(column)
		if n <= 0 {
			t.Fatal("the column ends early")
		}
		column = column[n:]
		return v
	}
	for i, h := range want {
		at += next()
		seq += next()
		latency, lag, kind := next(), next(), l.kinds[next()]
		if at != h.At.Microseconds() || seq != int64(h.Seq) || latency != h.Latency.Microseconds() || lag != h.Lag().Microseconds() ||
			kind.Class != h.Class.String() || kind.Error != h.Error || kind.Version != h.Version {
			t.Fatalf("failure %d is kept as %d %d %d %d %+v, was %+v", i, at, seq, latency, lag, kind, h)
		}
	}
	for _, s := range l.spans {
		spans += s.count
	}
	if len(column) != 0 || spans != uint64(len(want)) {
		t.Fatalf("%d bytes are left over, the kinds count %d failures of %d", len(column), spans, len(want))
	}
}

func TestFoldOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hits := rapid.SliceOfN(anyFoldHit(), 1, 40).Draw(t, "hits")
		for i := range hits {
			hits[i].Version = "" // their slots are numbered as they come
		}
		forth, back := newFold("get", disturbed{}), newFold("get", disturbed{})
		for i := range hits {
			forth.add(&hits[i])
			back.add(&hits[len(hits)-1-i])
		}
		if forth.width != back.width || forth.base != back.base || !slices.Equal(forth.buckets, back.buckets) {
			t.Fatalf("folded in another order: width %v and %v, base %d and %d", forth.width, back.width, forth.base, back.base)
		}
	})
}

// Quantiles of a bucket are within 3 % of the exact ones.
func TestQuantiles(t *testing.T) {
	f := newFold("get", disturbed{})
	for i := range 1000 {
		f.add(&history.Hit{Code: 200, At: time.Millisecond, Latency: time.Duration(i+1) * 10 * time.Microsecond})
	}
	for q, exact := range map[float64]time.Duration{0.5: 5 * time.Millisecond, 0.99: 9900 * time.Microsecond} {
		got, ok := f.buckets[0].quantile(q)
		if !ok || math.Abs(float64(got-exact)) > 0.035*float64(exact) {
			t.Errorf("quantile %v is %v, want about %v", q, got, exact)
		}
	}
	if f.buckets[0].max != 10*time.Millisecond {
		t.Errorf("max %v", f.buckets[0].max)
	}
}

// A million failures, each with a text of its own, stay within bounds, are all counted, and the report can say what it left out.
func TestFailuresAreBounded(t *testing.T) {
	f := newFold("get", disturbed{})
	const n = maxFailures + 1000
	for i := range n {
		f.add(&history.Hit{Seq: uint64(i), At: time.Duration(i) * time.Millisecond, Class: history.ClassIngress, Error: fmt.Sprint("port ", i), Reason: fmt.Sprint(i % 7)})
	}
	l := &f.failures
	if l.kept != maxFailures || l.beyond != 1000 || f.failed != n {
		t.Errorf("kept %d, beyond %d, counted %d", l.kept, l.beyond, f.failed)
	}
	if len(l.kinds) > 3*maxKinds || len(l.column) > 12*maxFailures {
		t.Errorf("%d kinds, %d bytes", len(l.kinds), len(l.column))
	}
	var cut, counted uint64
	for i, k := range l.kinds {
		counted += l.spans[i].count
		if k.Cut {
			cut += l.spans[i].count
			if k.Class != "ingress" || k.Reason == "" {
				t.Errorf("a kind lost more than its texts: %+v", k)
			}
		}
	}
	if counted != n || cut != n-maxKinds {
		t.Errorf("the kinds count %d failures, %d of them without texts; want %d and %d", counted, cut, n, n-maxKinds)
	}
}
