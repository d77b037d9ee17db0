package load

import (
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// pathHits folds the hits of the arm that watches the path to the cluster: it ends at a node, before anything of the stack. Where it fails,
// the way there is at fault and not what is judged.
type pathHits struct {
	arm          *timeline.Arm
	hits, failed uint64
	lastGood     time.Duration   // start of the last hit that was answered
	dead         []timeline.Span // from the last answered hit before failures to the first one after them; ascending
	first        judge.Finding   // the first failure
}

func (p *pathHits) Hit(h *history.Hit) {
	p.hits++
	if !h.Failed() && !h.Unsent {
		if n := len(p.dead); n > 0 && p.dead[n-1].Until == timeline.Never && h.At > p.dead[n-1].From {
			p.dead[n-1].Until = h.At
		}
		p.lastGood = max(p.lastGood, h.At)
		return
	}
	if h.Unsent || h.Class == history.ClassHarness {
		return // the generator's own trouble tells nothing of the path
	}
	if p.failed == 0 {
		p.first = judge.HitFinding(h, "")
	}
	p.failed++
	if n := len(p.dead); n == 0 || p.dead[n-1].Until != timeline.Never {
		p.dead = append(p.dead, timeline.Span{From: p.lastGood, Until: timeline.Never})
	}
}

// dark is when the path was dead, without the times in which the node at its end was itself what was disturbed.
func (p *pathHits) dark(t *timeline.Timeline) []timeline.Span {
	var dark []timeline.Span
	for _, s := range p.dead {
		excused := slices.ContainsFunc(t.Disturbances, func(d *timeline.Disturbance) bool {
			return slices.Contains(d.Nodes, p.arm.Node()) && d.Began <= s.Until && (d.Until() == timeline.Never || s.From <= d.Until())
		})
		if !excused {
			dark = append(dark, s)
		}
	}
	return dark
}

// finding says in one line that the path was dead, and when.
func (p *pathHits) finding(t *timeline.Timeline, dark []timeline.Span) judge.Finding {
	f := p.first
	f.At, f.Until = dark[0].From, t.Clamp(dark[len(dark)-1].Until)
	f.Class = history.ClassHarness.String()
	f.Text = fmt.Sprintf("the path to the cluster was dead from %s to %s: %s of %s to node %s, before anything of the stack, failed",
		words.Span(f.At), words.Span(f.Until), words.Count(p.failed), words.Plural(p.hits, "hit"), p.arm.Node())
	return f
}

// bare counts failed hits that brought nothing of an answer, by when they began and ended. Hits of one moment share an entry, so its size
// is that of the time in which something failed.
type bare map[[2]int64]uint64

// bareStep is how exactly the moments of such a hit are kept: the time between two hits of the path arm.
const bareStep = 50 * time.Millisecond

func (b bare) add(h *history.Hit) {
	b[[2]int64{int64(h.At / bareStep), int64(h.End() / bareStep)}]++
}

// within counts those that were under way in one of the spans.
func (b bare) within(spans []timeline.Span) (n uint64) {
	for when, hits := range b {
		if overlaps(spans, time.Duration(when[0])*bareStep, time.Duration(when[1]+1)*bareStep) {
			n += hits
		}
	}
	return n
}

func overlaps(spans []timeline.Span, from, until time.Duration) bool {
	return slices.ContainsFunc(spans, func(s timeline.Span) bool { return from < s.Until && until > s.From })
}
