package judge

import (
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// sight is what a check that compares hits with changes of one resource can go by. Hits of times that nobody saw are not held
// against what the record tells of other times.
type sight struct {
	known time.Duration // Timeline.Known
	gaps  []Span        // times without sight, by From
	lost  []history.Gap // those under load that a pass must not pass over
}

// sightOf reads the gaps in what was seen of a resource. Changes of a gap that is not lost were recorded, at most as late as it is
// long: up to tolerance that is no more than the check allows for anyway.
func sightOf(t *Timeline, resource string, tolerance time.Duration) sight {
	s := sight{known: t.Known}
	for _, gap := range t.Gaps {
		if gap.Resource != resource && gap.Resource != "*" {
			continue
		}
		s.gaps = append(s.gaps, Span{From: gap.From, Until: gap.To})
		underLoad := gap.To >= t.LoadBegin() && gap.From <= t.LoadEnd()
		if underLoad && (gap.Lost || gap.To-gap.From > tolerance) {
			s.lost = append(s.lost, gap)
		}
	}
	return s
}

// only lets a fold see the hits of times with sight alone.
func (s *sight) only(fold HitFold) HitFold {
	if s.known == Never && len(s.gaps) == 0 {
		return fold
	}
	return &seenFold{fold: fold, sight: s}
}

type seenFold struct {
	fold  HitFold
	sight *sight
}

func (f *seenFold) Hit(h *history.Hit) {
	if h.End() > f.sight.known {
		return
	}
	for _, gap := range f.sight.gaps {
		if h.At <= gap.Until && h.End() >= gap.From {
			return
		}
	}
	f.fold.Hit(h)
}

// limit takes the pass from a promise when changes under load may have gone unseen. A failure outside of the gaps stays one.
func (s *sight) limit(p Promise) Promise {
	if len(s.lost) == 0 || p.Verdict != Pass {
		return p
	}
	gap := s.lost[0]
	p.Verdict, p.Power = Inconclusive, nil
	for _, gap := range s.lost {
		p.Findings = append(p.Findings, gapFinding(gap))
		p.Found++
	}
	slices.SortFunc(p.Findings, compareFindings)
	p.Reason = fmt.Sprintf("nothing of %s was seen for %s from %s on (%s); otherwise: %s", gap.Resource, span(gap.To-gap.From), span(gap.From), gap.Why, p.Reason)
	return p
}
