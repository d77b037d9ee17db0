package reports

import "time"

// series is a bounded number of buckets of time, all of one width, filled in any order. Bucket i spans (base+i)*width to (base+i+1)*width since the
// run's start. When moments outlast the buckets, neighbours are merged and the width doubles.
type series[B any] struct {
	width   time.Duration
	base    int64 // number of the first bucket
	buckets []B
	merge   func(into, from *B)
}

func newSeries[B any](merge func(into, from *B)) series[B] {
	return series[B]{width: firstWidth, merge: merge}
}

// bucket finds the bucket of a moment, widening all of them until it has room.
func (s *series[B]) bucket(at time.Duration) *B {
	n := int64(at / s.width)
	if len(s.buckets) == 0 {
		s.base = n
	}
	for max(n, s.base+int64(len(s.buckets))-1)-min(n, s.base) >= maxBuckets {
		s.widen()
		n = int64(at / s.width)
	}
	if n < s.base {
		s.buckets = append(make([]B, s.base-n), s.buckets...)
		s.base = n
	}
	if missing := n - s.base - int64(len(s.buckets)) + 1; missing > 0 {
		s.buckets = append(s.buckets, make([]B, missing)...)
	}
	return &s.buckets[n-s.base]
}

// widen doubles the width of the buckets. Bucket n always starts at n*width, so that arms widened apart can be laid side by side.
func (s *series[B]) widen() {
	base := s.base >> 1
	size := 0
	for i := range s.buckets {
		to := int((s.base+int64(i))>>1 - base)
		if to == size {
			size++
			if to != i {
				s.buckets[to] = s.buckets[i]
			}
			continue
		}
		s.merge(&s.buckets[to], &s.buckets[i])
	}
	s.width, s.base, s.buckets = s.width*2, base, s.buckets[:size]
}

// smooth reports whether buckets of this width would hold enough of n hits or writes each for a rate that does not flicker, or have become too few
// to be widened further.
func (s *series[B]) smooth(n uint64, width time.Duration) bool {
	const enough, fewBuckets = 16, 120
	buckets := len(s.buckets) / int(width/s.width)
	return buckets <= fewBuckets || n/uint64(buckets) >= enough
}
