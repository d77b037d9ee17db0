package reports

import (
	"math/bits"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const (
	firstWidth   = 50 * time.Millisecond // of a bucket, before the first doubling
	maxBuckets   = 2048
	maxVersions  = 8 // told apart in one arm; later ones share the last slot
	otherVersion = "other versions"

	// Latencies fall into bins with 16 steps to each doubling: a quantile is off by 3 % at most.
	stepBits = 4
	minBits  = 13 // everything below 2^13 ns, 8 us, shares the first bin
	maxBits  = 37 // everything above 2^37 ns, 137 s, shares the last
	bins     = (maxBits - minBits) << stepBits
)

// fold gathers the hits of one arm into a bounded number of time buckets, in one pass and in any order. Its memory does not
// grow with the hits: when they outlast the buckets, neighbours are merged and the width doubles. Every failed hit is kept,
// up to maxFailures. A fold is not safe for concurrent use; use one for each arm.
type fold struct {
	arm string
	series[bucket]

	versions    []string
	lastVersion int
	disturbed   disturbed
	injected    func(*history.Hit) bool // whether a failed hit failed by plan
	// latencies are those of good answers, by version and phase; answers that name no version have the last slot.
	latencies [maxVersions + 1][phases]latencies

	hits, failed, masked uint64
	bytesIn, bytesOut    uint64
	unsent               uint64        // intended and never started
	end                  time.Duration // of the hit that ended last
	failures             failureLog
}

// bucket counts the hits that were started in one span of time. Latencies are those of good answers only: what a failure
// took says nothing of how fast the answers were.
type bucket struct {
	hits, failed, masked uint32
	versions             [maxVersions]uint32
	max                  time.Duration
	latencies            [bins]uint32
}

// newFold starts the fold of an arm; when says what time counts as disturbed.
func newFold(arm string, when disturbed) *fold {
	return &fold{arm: arm, series: newSeries((*bucket).merge), disturbed: when, failures: newFailureLog(), injected: func(*history.Hit) bool { return false }}
}

// add counts one hit. The hit may be reused when Add returns.
func (f *fold) add(h *history.Hit) {
	f.hits++
	f.end = max(f.end, h.End())
	if h.Unsent { // it has no place in a rate: the moment it has is that of giving it up
		f.unsent++
		f.failed++
		f.failures.add(h, false)
		return
	}
	f.bytesIn += h.BytesIn
	f.bytesOut += h.BytesOut
	b := f.bucket(max(h.At, 0))
	b.hits++
	if h.Masked > 0 {
		f.masked++
		b.masked++
	}
	version := maxVersions
	if h.Version != "" {
		version = f.version(h.Version)
		b.versions[version]++
	}
	if h.Failed() {
		f.failed++
		b.failed++
		f.failures.add(h, f.injected(h))
		return
	}
	f.latencies[version][f.disturbed.phase(h.At)].add(h.Latency)
	b.max = max(b.max, h.Latency)
	b.latencies[bin(h.Latency)]++
}

func (b *bucket) merge(o *bucket) {
	b.hits += o.hits
	b.failed += o.failed
	b.masked += o.masked
	b.max = max(b.max, o.max)
	for i, n := range o.versions {
		b.versions[i] += n
	}
	for i, n := range o.latencies {
		b.latencies[i] += n
	}
}

// version is the slot of a version: the one of the hit before, mostly.
func (f *fold) version(name string) int {
	if f.lastVersion < len(f.versions) && f.versions[f.lastVersion] == name {
		return f.lastVersion
	}
	for i, v := range f.versions {
		if v == name {
			f.lastVersion = i
			return i
		}
	}
	if len(f.versions) == maxVersions-1 {
		name = otherVersion
	}
	if len(f.versions) < maxVersions {
		f.versions = append(f.versions, name)
	}
	f.lastVersion = len(f.versions) - 1
	return f.lastVersion
}

// quantile is the latency below which a share q of the good answers stayed, at most 3 % off.
func (b *bucket) quantile(q float64) (time.Duration, bool) {
	good := b.hits - b.failed
	if good == 0 {
		return 0, false
	}
	rank, seen := uint32(q*float64(good-1))+1, uint32(0)
	for i, n := range b.latencies {
		if seen += n; seen >= rank {
			return min(binMiddle(i), b.max), true
		}
	}
	return b.max, true
}

func bin(d time.Duration) int {
	v := uint64(max(d, 0))
	exp := bits.Len64(v) - 1
	switch {
	case exp < minBits:
		return 0
	case exp >= maxBits:
		return bins - 1
	}
	step := v >> (exp - stepBits) & (1<<stepBits - 1)
	return (exp-minBits)<<stepBits + int(step)
}

func binMiddle(i int) time.Duration {
	exp, step := i>>stepBits+minBits, i&(1<<stepBits-1)
	low := 1<<exp + step<<(exp-stepBits)
	return time.Duration(low + 1<<(exp-stepBits)/2)
}
