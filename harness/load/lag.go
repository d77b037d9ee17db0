package load

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of start lags in microseconds, and their precision: a quantile is at most a thousandth too large. The size of a histogram, some
// 190 kB for each window of an arm, hangs on these alone.
const (
	leastLag   = 1
	mostLag    = 60 * 60 * 1000 * 1000
	lagFigures = 3 // significant decimal digits
)

// lagHistogram counts start lags. Workers add side by side.
type lagHistogram struct {
	mu   sync.Mutex
	hist *hdrhistogram.Histogram // nil before the first
	most time.Duration
}

func (l *lagHistogram) add(lag time.Duration) {
	lag = max(lag, 0)
	whole := int64((lag + time.Microsecond - 1) / time.Microsecond)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hist == nil {
		l.hist = hdrhistogram.New(leastLag, mostLag, lagFigures)
	}
	l.most = max(l.most, lag)
	_ = l.hist.RecordValue(min(max(whole, leastLag), mostLag)) // a value within the range is never refused
}

// quantile is the lag that this share of the hits did not exceed, rounded up.
func (l *lagHistogram) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hist == nil {
		return 0
	}
	all := float64(l.hist.TotalCount())
	percent := 100 * math.Ceil(q*all) / all // HdrHistogram rounds the rank, down too
	return min(time.Duration(l.hist.ValueAtQuantile(percent))*time.Microsecond, l.most)
}

// worst is the largest lag, exactly.
func (l *lagHistogram) worst() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
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
