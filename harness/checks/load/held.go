package load

import (
	"fmt"
	"math"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugHeld is the name of the check.
const SlugHeld = "load.held"

// HeldBudgets are the limits of load.held.
type HeldBudgets struct {
	Lag    time.Duration `json:"lag"`    // start lag of a hit, at most
	Stall  time.Duration `json:"stall"`  // time the generator's process did not run, at most
	Files  float64       `json:"files"`  // share of the limit of open files in use, 0 to 1, at most
	Around uint64        `json:"around"` // hits before and after each disturbance, at least
	Quiet  time.Duration `json:"quiet"`  // time during a disturbance in which no hit was started, at most
}

// DefaultHeldBudgets holds for scenarios that say nothing else.
func DefaultHeldBudgets() HeldBudgets {
	return HeldBudgets{Lag: 200 * time.Millisecond, Stall: 200 * time.Millisecond, Files: 0.9, Around: 10, Quiet: time.Second}
}

// Held judges the generator, not the product. A load that did not run as planned proves nothing about the product,
// neither good nor bad: this check is inconclusive, never a failure, and so no run with a broken load is green.
func Held(b HeldBudgets) judge.Check {
	return judge.Check{
		Slug:    SlugHeld,
		Always:  true,
		Promise: "the load really ran: every planned hit was sent in time, before, during and after each disturbance",
		Doc: judge.Doc{
			Proves: "The load ran as planned: as many hits as planned were sent, none started later than `lag`, there were at least " +
				"`around` hits before and after each disturbance and one during it, no time of it longer than `quiet` passed without a hit that was " +
				"started, and the generator was healthy: it never stalled " +
				"longer than `stall`, nor than the deadline of a hit, and used at most `files` of its open files. How busy the machine was is a figure only.",
			Cannot: "Tell whether the plan itself was enough; the power of `load.zero-dropped` says what the load could have missed.",
			Inconclusive: "On any of these, where a dead path to the cluster cost hits, or when the generator's health was not recorded. It never fails: a load that did not run says nothing " +
				"about the product. It is no pass either, so a run with a broken load is never green.",
			Budgets: []any{b},
		},
		Needs: []judge.Need{Carried},
		New: func(t *timeline.Timeline) judge.Fold {
			f := &held{t: t, budgets: b}
			for _, d := range t.Disturbances {
				f.cuts = append(f.cuts, d.Began, d.Until())
			}
			return f
		},
	}
}

// Carried is the need of a check that looks at hits. A load that was planned and is not there does not excuse it.
var Carried = judge.Need{What: "load", Met: func(t *timeline.Timeline) bool {
	return len(t.Arms) > 0 || slices.Contains(t.Run.Probes, history.ProbeLoad)
}}

type held struct {
	t       *timeline.Timeline
	budgets HeldBudgets
	cuts    []time.Duration
	arms    []*armHeld
}

type armHeld struct {
	arm       *timeline.Arm
	starts    timeline.Cursor
	counts    []uint64 // hits sent, by stretch of starts
	hits      uint64
	unsent    uint64
	lagMax    time.Duration
	late      uint64 // hits over the budget of start lag
	latest    judge.Finding
	lagOver   time.Duration
	path      *pathHits // of the arm that watches the path to the cluster
	others    moments   // when any other arm was answered
	covers    []cover   // of an arm that counts: when it started hits, by disturbance
	unreached unreached // of other arms
}

func (f *held) Arm(arm *timeline.Arm) judge.HitFold {
	a := &armHeld{arm: arm, starts: timeline.NewCursor(f.cuts), lagMax: -1, lagOver: f.budgets.Lag}
	a.counts = make([]uint64, a.starts.Len())
	if arm.Path {
		a.path = &pathHits{arm: arm}
	} else {
		a.others, a.unreached = moments{}, unreached{}
	}
	if !arm.Control {
		for _, d := range f.t.Disturbances {
			a.covers = append(a.covers, f.coverOf(d))
		}
	}
	f.arms = append(f.arms, a)
	return a
}

func (a *armHeld) Hit(h *history.Hit) {
	a.hits++
	if a.path != nil {
		a.path.Hit(h)
	} else {
		a.others.add(h)
		if !h.Unsent && h.Class != history.ClassHarness {
			a.unreached.add(h, a.arm.Deadline(h.Window))
		}
	}
	if h.Unsent {
		a.unsent++
		return
	}
	a.counts[a.starts.Find(h.At)]++
	for i := range a.covers {
		a.covers[i].add(h.At)
	}
	if lag := h.Lag(); lag > a.lagMax {
		a.worse(h, lag)
	}
	if h.Lag() > a.lagOver {
		a.late++
	}
}

// worse keeps the hit that started latest; it is called for ever fewer hits as the run goes on.
func (a *armHeld) worse(h *history.Hit, lag time.Duration) {
	a.lagMax = lag
	if lag > a.lagOver {
		a.latest = judge.Finding{At: h.Intended, Until: h.At, Arm: a.arm.Name, Hit: fmt.Sprintf("%s/%d", a.arm.Name, h.Seq), Class: history.ClassHarness.String()}
	}
}

func (f *held) Result() judge.Promise {
	p := judge.Promise{Verdict: judge.Pass}
	var (
		found   judge.Findings
		planned uint64
		worst   time.Duration
	)
	f.pathFindings(&found) // first: what else is wrong may come of it
	for _, a := range f.arms {
		p.Hits += a.hits - a.unsent
		worst = max(worst, a.lagMax)
		for _, w := range a.arm.Windows {
			planned += w.Planned
			f.window(a.arm, w, &found)
		}
		a.judge(f.budgets, &found)
	}
	if f.loaded() == 0 {
		found.Note(judge.Finding{Text: "no arm but the control arm sent a hit"})
	}
	for i, d := range f.t.Disturbances {
		p.Figures = append(p.Figures, f.around(d, &found)...)
		f.throughout(i, d, &found)
	}
	p.Reason = fmt.Sprintf("%s of %s planned hits were sent; the worst start lag was %s (budget %s)", words.Count(p.Hits), words.Count(planned),
		words.Span(worst), words.Span(f.budgets.Lag))
	p.Figures = append(p.Figures, judge.Figure{Name: "worst start lag", Value: worst.Seconds() * 1000, Unit: "ms"})
	p.Figures = append(p.Figures, f.healthFigures()...)
	if found.Found > 0 {
		p.Verdict, p.Reason = judge.Inconclusive, judge.FirstOf(found.Kept, found.Found)
	}
	found.Into(&p)
	return p
}

// pathFindings tells of a dead path that cost hits. Where no hit was lost, a path that did not answer was slow at most, as everything is on a
// machine that stands still.
func (f *held) pathFindings(found *judge.Findings) {
	answered, lost := moments{}, unreached{}
	for _, a := range f.arms {
		answered.merge(a.others)
		lost.merge(a.unreached)
	}
	for _, a := range f.arms {
		if a.path == nil {
			continue
		}
		if dark := a.path.dark(f.t, answered); lost.explainedBy(dark) > 0 {
			found.Note(a.path.finding(dark))
		}
	}
}

// loaded is the hits sent by the arms that go to what is disturbed.
func (f *held) loaded() uint64 {
	var n uint64
	for _, a := range f.arms {
		if !a.arm.Control {
			n += a.hits - a.unsent
		}
	}
	return n
}

func (a *armHeld) judge(b HeldBudgets, f *judge.Findings) {
	if len(a.arm.Windows) == 0 {
		f.Note(judge.Finding{Arm: a.arm.Name, Text: fmt.Sprintf("arm %s: no load window was recorded", a.arm.Name)})
	}
	if a.late > 0 {
		a.latest.Text = fmt.Sprintf("arm %s: %s started more than %s late, this one worst: %s", a.arm.Name, words.Plural(a.late, "hit"), words.Span(b.Lag), words.Span(a.lagMax))
		f.Note(a.latest)
	}
	if a.unsent > 0 {
		f.Note(judge.Finding{Arm: a.arm.Name, Class: history.ClassHarness.String(),
			Text: fmt.Sprintf("arm %s: %s never sent", a.arm.Name, words.Plural(a.unsent, "intended hit"))})
	}
}

// window judges what the generator says of one window of an arm. How busy the machine was is reported as a figure only: a
// cluster keeps a small machine busy by itself, and a generator that suffers from it shows in start lag, stalls and unsent hits.
func (f *held) window(arm *timeline.Arm, w *timeline.Window, found *judge.Findings) {
	note := func(format string, args ...any) {
		found.Note(judge.Finding{At: w.Begin, Until: w.Until(), Arm: arm.Name, Class: history.ClassHarness.String(),
			Text: fmt.Sprintf("arm %s, load window %d: ", arm.Name, w.Index) + fmt.Sprintf(format, args...)})
	}
	if !w.Ended {
		note("it never ended")
		return
	}
	if w.Planned == 0 {
		note("no hit was planned")
	}
	if w.Sent != w.Planned {
		note("%s of %s planned hits were sent", words.Count(w.Sent), words.Count(w.Planned))
	}
	h := w.Health
	if h == nil {
		note("the generator's health was not recorded")
		return
	}
	if h.LagMax > f.budgets.Lag {
		note("the generator saw a start lag of %s (budget %s)", words.Span(h.LagMax), words.Span(f.budgets.Lag))
	}
	stall := f.budgets.Stall
	if w.Deadline > 0 {
		stall = min(stall, w.Deadline)
	}
	if h.StallMax > stall {
		note("the generator's process did not run for %s (budget %s)", words.Span(h.StallMax), words.Span(stall))
	}
	if h.FilesLimit > 0 && float64(h.FilesMax) > f.budgets.Files*float64(h.FilesLimit) {
		note("%d of %d open files in use (budget %s)", h.FilesMax, h.FilesLimit, words.Percent(f.budgets.Files))
	}
}

// around asks for load before, during and after a disturbance, and reports how much there was.
func (f *held) around(d *timeline.Disturbance, found *judge.Findings) []judge.Figure {
	if d.Began == timeline.Never {
		return nil // its beginning was not recorded: disruption.landed says so
	}
	parts := []struct {
		name string
		span timeline.Span
		want uint64
	}{
		{"before", timeline.Span{From: math.MinInt64, Until: d.Began}, f.budgets.Around},
		{"during", timeline.Span{From: d.Began, Until: d.Until()}, 1},
		{"after", timeline.Span{From: d.Until(), Until: timeline.Never}, f.budgets.Around},
	}
	var figures []judge.Figure
	for _, part := range parts {
		hits, loaded := f.load(part.span)
		if hits < part.want {
			found.Note(judge.Finding{At: d.Began, Text: fmt.Sprintf("%s sent %s %s, want at least %d", words.Plural(hits, "hit"), part.name, d.Label(), part.want)})
		}
		figures = append(figures, judge.Figure{Name: "hits " + part.name + " " + d.Label(), Value: float64(hits), Unit: "hits"})
		if loaded > 0 {
			figures = append(figures, judge.Figure{Name: "rate " + part.name + " " + d.Label(), Value: float64(hits) / loaded.Seconds(), Unit: "hits/s"})
		}
	}
	return figures
}

// throughout asks that hits were started through the whole of a disturbance.
func (f *held) throughout(i int, d *timeline.Disturbance, found *judge.Findings) {
	all := f.coverOf(d)
	for _, a := range f.arms {
		if !a.arm.Control {
			all.merge(&a.covers[i])
		}
	}
	if quiet := all.quiet(); quiet.Until-quiet.From > f.budgets.Quiet {
		found.Note(judge.Finding{At: quiet.From, Until: quiet.Until, Text: fmt.Sprintf("no hit was started for %s of the %s that %s lasted (budget %s)",
			words.Span(quiet.Until-quiet.From), words.Span(all.Until-all.From), d.Label(), words.Span(f.budgets.Quiet))})
	}
}

// coverOf is an empty cover of the time of a disturbance. One whose beginning was not recorded has none.
func (f *held) coverOf(d *timeline.Disturbance) cover {
	return newCover(timeline.Span{From: d.Began, Until: f.t.Clamp(d.Until())})
}

// load is how many hits the arms that count sent in a span, and how much of it was under load.
func (f *held) load(s timeline.Span) (hits uint64, loaded time.Duration) {
	var windows []*timeline.Window
	for _, a := range f.arms {
		if !a.arm.Control {
			hits += a.starts.Sum(a.counts, s.From, s.Until)
			windows = append(windows, a.arm.Windows...)
		}
	}
	for _, under := range timeline.Segments(windows) {
		loaded += max(0, min(under.Until, s.Until)-max(under.From, s.From))
	}
	return hits, loaded
}

// healthFigures are the worst values of all windows.
func (f *held) healthFigures() []judge.Figure {
	var stall time.Duration
	var busy float64
	var nice int
	for _, a := range f.arms {
		for _, w := range a.arm.Windows {
			if w.Health != nil {
				stall, busy = max(stall, w.Health.StallMax), max(busy, w.Health.CPUBusy)
				nice = w.Health.Nice
			}
		}
	}
	figures := []judge.Figure{
		{Name: "longest stall of the generator", Value: stall.Seconds() * 1000, Unit: "ms"},
		{Name: "machine busy", Value: busy * 100, Unit: "%"},
	}
	if nice != 0 {
		figures = append(figures, judge.Figure{Name: "priority of the generator", Value: float64(nice), Unit: "nice"})
	}
	return figures
}
