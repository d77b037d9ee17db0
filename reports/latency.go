package reports

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range and precision of a histogram of latencies, in microseconds. Its size, some 170 kB, hangs on these alone.
const (
	leastLatency = 1
	mostLatency  = 10 * 60 * 1000 * 1000 // ten minutes; no deadline of a hit is near it
	figuresKept  = 3                     // significant decimal digits
)

// phase says where a hit was started: before anything was disturbed, meanwhile, or when all of it was over.
type phase int

const (
	before phase = iota
	during
	after
	phases
)

func (p phase) String() string { return [...]string{"before", "during", "after"}[p] }

// disturbed is the time from the first disturbance's beginning to the last one's end; empty when nothing was disturbed.
type disturbed struct{ from, until time.Duration }

func (d disturbed) any() bool { return d.until > d.from }

func (d disturbed) phase(at time.Duration) phase {
	switch {
	case !d.any() || at < d.from:
		return before
	case at < d.until:
		return during
	}
	return after
}

// latencies gathers how long good answers took.
type latencies struct {
	hist     *hdrhistogram.Histogram // nil before the first answer
	sum      time.Duration
	min, max time.Duration
}

func (l *latencies) add(d time.Duration) {
	if l.hist == nil {
		l.hist = hdrhistogram.New(leastLatency, mostLatency, figuresKept)
		l.min = d
	}
	l.sum += d
	l.min, l.max = min(l.min, d), max(l.max, d)
	// The value is clamped into the range, so it cannot be refused.
	_ = l.hist.RecordValue(min(max(d.Microseconds(), leastLatency), mostLatency))
}

func (l *latencies) merge(o *latencies) {
	if o.hist == nil {
		return
	}
	if l.hist == nil {
		l.hist = hdrhistogram.New(leastLatency, mostLatency, figuresKept)
		l.min = o.min
	}
	l.hist.Merge(o.hist)
	l.sum += o.sum
	l.min, l.max = min(l.min, o.min), max(l.max, o.max)
}

// latencyRow is one line of the table of latencies: those of the good answers of an arm or a version, in one phase or in all.
// A quantile is negative where there are too few answers to tell it from the maximum.
type latencyRow struct {
	Of      string // arm or version
	Control bool
	Phase   string // empty: the whole run
	Good    uint64 // answers that the row is about
	Avg     time.Duration
	Min     time.Duration
	P50     time.Duration
	P90     time.Duration
	P95     time.Duration
	P99     time.Duration
	P999    time.Duration
	Max     time.Duration
}

const unknownQuantile = time.Duration(-1)

func (l *latencies) row(of, phase string) latencyRow {
	r := latencyRow{Of: of, Phase: phase}
	if l.hist == nil {
		return r
	}
	n := l.hist.TotalCount()
	quantile := func(percent float64) time.Duration {
		if percent > 50 && float64(n)*(100-percent) < 100 { // less than one answer lies above it
			return unknownQuantile
		}
		return min(max(time.Duration(l.hist.ValueAtQuantile(percent))*time.Microsecond, l.min), l.max)
	}
	r.Good, r.Avg, r.Min, r.Max = uint64(n), l.sum/time.Duration(n), l.min, l.max
	r.P50, r.P90, r.P95, r.P99, r.P999 = quantile(50), quantile(90), quantile(95), quantile(99), quantile(99.9)
	return r
}

// latencyTable is every row worth showing of arms or of versions: of each one the whole run first and, where something was
// disturbed, then the phases.
type latencyTable []latencyRow

// add appends the rows of one arm or version.
func (t *latencyTable) add(of string, control, disturbed bool, byPhase *[phases]latencies) {
	var whole latencies
	for i := range byPhase {
		whole.merge(&byPhase[i])
	}
	rows := []latencyRow{whole.row(of, "")}
	for p := range phases {
		if l := &byPhase[p]; disturbed && l.hist != nil {
			rows = append(rows, l.row(of, p.String()))
		}
	}
	for i := range rows {
		rows[i].Control = control
	}
	*t = append(*t, rows...)
}

// latenciesByArm is the table of the arms, in the order they are shown in.
func (t *Timeline) latenciesByArm() latencyTable {
	var table latencyTable
	for _, f := range t.folds {
		var sum [phases]latencies
		for v := range f.latencies {
			for p := range f.latencies[v] {
				sum[p].merge(&f.latencies[v][p])
			}
		}
		table.add(f.arm, t.control(f.arm), t.disturbed.any(), &sum)
	}
	return table
}

// latenciesByVersion is the table of the versions that answered the arms under test; empty when fewer than two did.
func (t *Timeline) latenciesByVersion() latencyTable {
	sums := map[string]*[phases]latencies{}
	for _, f := range t.folds {
		if t.control(f.arm) {
			continue
		}
		for v := range f.latencies {
			if v >= len(f.versions) {
				continue // answers that name no version
			}
			sum := sums[f.versions[v]]
			if sum == nil {
				sum = &[phases]latencies{}
				sums[f.versions[v]] = sum
			}
			for p := range f.latencies[v] {
				sum[p].merge(&f.latencies[v][p])
			}
		}
	}
	if len(sums) < 2 {
		return nil
	}
	names := make([]string, 0, len(sums))
	for name := range sums {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(a, b) })
	var table latencyTable
	for _, name := range names {
		table.add(name, false, t.disturbed.any(), sums[name])
	}
	return table
}

// allLatencies are those of every arm under test.
func (t *Timeline) allLatencies() *latencies {
	var all latencies
	for _, f := range t.folds {
		if t.control(f.arm) {
			continue
		}
		for v := range f.latencies {
			for p := range f.latencies[v] {
				all.merge(&f.latencies[v][p])
			}
		}
	}
	return &all
}
