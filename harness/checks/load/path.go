package load

import (
	"fmt"
	"maps"
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
	lastGood     time.Duration // start of the last hit that was answered
	dead         []deadTime    // ascending
	first        judge.Finding // the first failure
}

// deadTime is from the last answered hit before failures to the first one after them.
type deadTime struct {
	timeline.Span
	failed int
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
		p.dead = append(p.dead, deadTime{Span: timeline.Span{From: p.lastGood, Until: timeline.Never}})
	}
	p.dead[len(p.dead)-1].failed++
}

// dark is when the path was dead: its hits failed and nobody else was answered. Times in which the node at its end was itself what was
// disturbed are left out.
func (p *pathHits) dark(t *timeline.Timeline, answered moments) []timeline.Span {
	var dark []timeline.Span
	for _, s := range p.dead {
		if s.failed >= leastFailed && !nodeDisturbed(t, p.arm, s.Span) {
			s.Until = t.Clamp(s.Until)
			dark = append(dark, answered.gaps(s.Span)...)
		}
	}
	return dark
}

// nodeDisturbed reports whether the node at the end of an arm was itself what was disturbed in a time.
func nodeDisturbed(t *timeline.Timeline, arm *timeline.Arm, s timeline.Span) bool {
	return slices.ContainsFunc(t.Disturbances, func(d *timeline.Disturbance) bool {
		return slices.Contains(d.Nodes, arm.Node()) && d.Began <= s.Until && (d.Until() == timeline.Never || s.From <= d.Until())
	})
}

// moments are when answers came, with whatever status, in steps of step.
type moments map[int64]struct{}

// add notes when a hit was answered.
func (m moments) add(h *history.Hit) {
	if h.Code != 0 {
		m[int64(h.End()/step)] = struct{}{}
	}
}

func (m moments) merge(other moments) { maps.Copy(m, other) }

// leastDark is how long nobody was answered at least for a path to be called dead: what the generator takes to notice it.
const leastDark = 200 * time.Millisecond

// leastFailed is how many hits of the path arm begin within leastDark. Fewer failures are no dead path, however long nobody was answered:
// before the load begins and after it ends nobody asks.
const leastFailed = int(leastDark/step) - 1

// gaps are the parts of a span in which no answer came, and that are long enough. The steps of the answers before and after a part belong to it:
// a path dies and comes back in the middle of one.
func (m moments) gaps(s timeline.Span) []timeline.Span {
	var gaps []timeline.Span
	from := s.From
	flush := func(until time.Duration) {
		if until-from >= leastDark {
			gaps = append(gaps, timeline.Span{From: max(from-step, s.From), Until: min(until+step, s.Until)})
		}
	}
	for n := int64(s.From / step); time.Duration(n)*step < s.Until; n++ {
		if _, ok := m[n]; ok {
			flush(time.Duration(n) * step)
			from = time.Duration(n+1) * step
		}
	}
	flush(s.Until)
	return gaps
}

// finding says in one line that the path was dead, and when.
func (p *pathHits) finding(dark []timeline.Span) judge.Finding {
	f := p.first
	f.At, f.Until = dark[0].From, dark[len(dark)-1].Until
	f.Class = history.ClassHarness.String()
	f.Text = fmt.Sprintf("the path to the cluster was dead from %s to %s: %s of %s to node %s, before anything of the stack, failed",
		words.Span(f.At), words.Span(f.Until), words.Count(p.failed), words.Plural(p.hits, "hit"), p.arm.Node())
	return f
}

// underway is when a failed hit was under way that a dead path may explain, in steps. late is how long after its deadline an answer came, at
// most; 0 where nothing of an answer came.
type underway struct{ from, until, late int64 }

func underwayIn(from, until, late time.Duration) underway {
	u := underway{from: int64(from / step), until: int64(until / step)}
	if late > 0 {
		u.late = int64((late+step-1)/step) + 2 // the steps at both ends are counted whole
	}
	return u
}

// explainedBy reports whether a path that was dead explains that the hit failed: nothing came of who was asked, or what came was late by no
// longer than the path was dead.
func (u underway) explainedBy(dark []timeline.Span) bool {
	from, until := time.Duration(u.from)*step, time.Duration(u.until+1)*step
	return overlaps(dark, from, until) && within(dark, from, until) >= time.Duration(u.late)*step
}

// explicable reports whether a dead path may explain that a hit failed, and if so how long after its deadline an answer came.
func explicable(h *history.Hit, deadline time.Duration) (late time.Duration, may bool) {
	if h.Class == history.ClassOK && h.Code != 0 {
		late = h.Latency - deadline
		return late, late > 0
	}
	return 0, judge.IsBare(h)
}

// unreached counts failed hits that a dead path may explain, by when they were under way. Hits of one moment share an entry, so its size is
// that of the time in which something failed.
type unreached map[underway]uint64

// step is how exactly moments are kept here: the time between two hits of the path arm.
const step = 50 * time.Millisecond

func (u unreached) add(h *history.Hit, deadline time.Duration) {
	if late, may := explicable(h, deadline); may {
		u[underwayIn(h.At, h.End(), late)]++
	}
}

func (u unreached) merge(other unreached) {
	for when, hits := range other {
		u[when] += hits
	}
}

// explainedBy counts those that a path that was dead explains.
func (u unreached) explainedBy(dark []timeline.Span) (n uint64) {
	for when, hits := range u {
		if when.explainedBy(dark) {
			n += hits
		}
	}
	return n
}

func overlaps(spans []timeline.Span, from, until time.Duration) bool {
	return slices.ContainsFunc(spans, func(s timeline.Span) bool { return from < s.Until && until > s.From })
}
