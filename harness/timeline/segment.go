package timeline

import (
	"slices"
	"time"
)

// between is the stretches of time between moments.
func between(cuts []time.Duration) []Span {
	cuts = slices.Clone(cuts)
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var spans []Span
	for i := 1; i < len(cuts); i++ {
		spans = append(spans, Span{From: cuts[i-1], Until: cuts[i]})
	}
	return spans
}

// LoadedTime is how long at least one arm that counts was under load.
func LoadedTime(windows []*Window) time.Duration {
	var total time.Duration
	for _, s := range Segments(windows) {
		total += s.Until - s.From
	}
	return total
}

// Segments cuts the time under load at every beginning and end of a window.
func Segments(windows []*Window) []Span {
	var cuts []time.Duration
	for _, w := range windows {
		cuts = append(cuts, w.Begin, w.Until())
	}
	var spans []Span
	for _, s := range between(cuts) {
		for _, w := range windows {
			if w.Begin <= s.From && s.Until <= w.Until() {
				spans = append(spans, s)
				break
			}
		}
	}
	return spans
}
