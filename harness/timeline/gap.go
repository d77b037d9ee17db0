package timeline

import (
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// GapsOver are the times, within the given one, in which changes of any of the resources went unseen or were recorded late.
func (t *Timeline) GapsOver(resources []string, during Span) []history.Gap {
	var gaps []history.Gap
	for _, g := range t.Gaps {
		if (g.Resource == "*" || slices.Contains(resources, g.Resource)) && len(resources) > 0 && Touches(during, g) {
			gaps = append(gaps, g)
		}
	}
	return gaps
}

// Touches reports whether a gap and a time have a moment in common.
func Touches(s Span, g history.Gap) bool { return s.From <= g.To && g.From <= s.Until }

// UnderLoad is the time in which a check that compares hits with what watches saw rests on the watches. Without load it is all the time.
func UnderLoad(t *Timeline) Span {
	if begin := t.LoadBegin(); begin != Never {
		return Span{From: begin, Until: t.LoadEnd()}
	}
	return WholeRun(t)
}

// UnderProbes is the time in which the stack was asked for anything: from the first hit or write of a ledger to the last. Without either it is all
// the time.
func UnderProbes(t *Timeline) Span {
	begin := t.LoadBegin()
	for _, l := range t.Ledgers {
		begin = min(begin, l.Begin)
	}
	if begin == Never {
		return WholeRun(t)
	}
	return Span{From: begin, Until: t.ProbesEnd()}
}

// WholeRun is all the time there is.
func WholeRun(t *Timeline) Span { return Span{From: 0, Until: t.Last} }

// Clamp keeps a moment that never came out of a report: it is the end of what was recorded.
func (t *Timeline) Clamp(at time.Duration) time.Duration { return min(at, t.Last) }
