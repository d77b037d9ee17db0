package load

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// lagHistogram counts start lags in buckets that are 1/16 of their value wide, from a microsecond to an hour. Its size is fixed and
// adding is one atomic increment.
type lagHistogram struct {
	buckets [36 * lagSteps]atomic.Uint64
	max     atomic.Int64
}

const lagSteps = 16

func (l *lagHistogram) add(lag time.Duration) {
	lag = max(lag, 0)
	l.buckets[lagBucket(lag)].Add(1)
	raise(&l.max, int64(lag))
}

func lagBucket(lag time.Duration) int {
	us := uint64(lag / time.Microsecond)
	if us < lagSteps {
		return int(us)
	}
	shift := bits.Len64(us) - 5 // leaves 16 to 31
	return min((shift+1)*lagSteps+int(us>>shift)-lagSteps, 36*lagSteps-1)
}

// lagUpper is the upper end of a bucket.
func lagUpper(bucket int) time.Duration {
	if bucket < lagSteps {
		return time.Duration(bucket+1) * time.Microsecond
	}
	shift := bucket/lagSteps - 1
	return time.Duration(uint64(bucket%lagSteps+lagSteps+1)<<shift) * time.Microsecond
}

// quantile is the lag that at least this share of the hits did not exceed, rounded up to its bucket's end.
func (l *lagHistogram) quantile(q float64) time.Duration {
	var total, seen uint64
	for i := range l.buckets {
		total += l.buckets[i].Load()
	}
	for i := range l.buckets {
		seen += l.buckets[i].Load()
		if seen > 0 && float64(seen) >= q*float64(total) {
			return min(lagUpper(i), time.Duration(l.max.Load()))
		}
	}
	return 0
}

// raise sets v to x when x is larger.
func raise(v *atomic.Int64, x int64) {
	for {
		old := v.Load()
		if x <= old || v.CompareAndSwap(old, x) {
			return
		}
	}
}
