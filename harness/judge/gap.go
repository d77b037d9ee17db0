package judge

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// admitGaps takes the word from a promise that rests on watches which had a gap: a pass may have missed the failure, and a
// failure in the time of a gap may be a change that was recorded late. A failure clear of the gaps stands.
//
// Changes of a gap that lost none were recorded at most as late as it is long; up to late that takes no pass.
func (p *Promise) admitGaps(gaps []history.Gap, late time.Duration) {
	long := slices.DeleteFunc(slices.Clone(gaps), func(g history.Gap) bool { return !g.Lost && g.To-g.From <= late })
	if p.Verdict == Pass {
		gaps = long
	}
	if len(gaps) == 0 || p.Verdict == Skipped {
		return
	}
	apart := slices.ContainsFunc(p.Findings, func(f Finding) bool {
		seen := timeline.Span{From: f.At, Until: max(f.At, f.Until)}
		return f.Class != string(Inconclusive) && !slices.ContainsFunc(gaps, func(g history.Gap) bool { return timeline.Touches(seen, g) })
	})
	for _, g := range gaps {
		p.Findings = append(p.Findings, gapFinding(g))
		p.Found++
	}
	slices.SortFunc(p.Findings, CompareFindings)
	first := gapFinding(gaps[0]).Text
	switch {
	case p.Verdict == Pass:
		p.Reason = fmt.Sprintf("%s; what was seen shows no failure: %s", first, p.Reason)
	case p.Verdict == Fail && !apart:
		p.Reason = fmt.Sprintf("%s, and all that speaks against the promise is of that time: %s", first, p.Reason)
	default:
		return
	}
	p.Verdict, p.Power = Inconclusive, nil
}

func gapFinding(g history.Gap) Finding {
	what := "changes of " + cmp.Or(g.Resource, "*")
	if g.Resource == "*" {
		what = "changes of all resources"
	}
	how := "were recorded late"
	if g.Lost {
		how = "may be missing"
	}
	return Finding{At: g.From, Until: g.To, Class: "gap", Text: fmt.Sprintf("%s from %s to %s %s", what, words.Span(g.From), words.Span(g.To), how),
		Evidence: []string{"why: " + cmp.Or(g.Why, "not recorded")}}
}
