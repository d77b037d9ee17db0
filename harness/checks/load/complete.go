package load

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugComplete is the name of the check.
const SlugComplete = "record.complete"

// Complete holds the record against what it says of itself. It never fails, for a record that is not whole breaks no
// promise: it is inconclusive, and takes the green from every other promise.
func Complete() judge.Check {
	return judge.Check{
		Slug:    SlugComplete,
		Always:  true,
		Whole:   true,
		Promise: "the record is whole: the run ended by itself, nothing is damaged, and every hit that was counted is there",
		Doc: judge.Doc{
			Proves: "What is judged is all that was recorded: the run ended by itself and as planned, every file is whole, every hit that " +
				"the end, the batches and the load windows count is there exactly once, and `run.json` belongs to the events. Every byte fits the " +
				"sums that the run recorded, and nothing is told that cannot be.",
			Cannot: "See a hit that the generator neither sent nor counted; `load.held` compares with the plan. Nor tell a record that somebody made " +
				"by hand, sums and all, from one that a run made.",
			Inconclusive: "A cut or changed file, a file of another run, a record without sums (`--accept-unprotected` lets it pass), a killed or interrupted " +
				"run, counts that disagree, or what cannot be: a hit or an event before the run began or after it ended, an end before its begin, an answer " +
				"that is both correct and an error, a stall longer than the longest or outside the run. It never fails, but takes the pass from " +
				"every other promise: what is missing may hold the failure. A failure in what is left stays one.",
		},
		New: func(t *timeline.Timeline) judge.Fold { return &complete{t: t} },
	}
}

type complete struct {
	t    *timeline.Timeline
	arms []*armCount
}

// armCount counts what is there of one arm.
type armCount struct {
	arm     *timeline.Arm
	hits    uint64
	last    uint64 // highest number of a hit
	seqs    uint64 // fingerprint of the numbers seen, whatever their order
	windows map[int]*windowCount
	end     time.Duration // of the run

	impossible uint64 // hits that tell something impossible
	first      history.Hit
	why        string // of the first

	// The window of the hit before this one, which is mostly this one's too.
	index   int
	current *windowCount
}

type windowCount struct{ sent, unsent uint64 }

func (c *complete) Arm(arm *timeline.Arm) judge.HitFold {
	a := &armCount{arm: arm, windows: map[int]*windowCount{}, end: c.t.Ended}
	c.arms = append(c.arms, a)
	return a
}

func (a *armCount) Hit(h *history.Hit) {
	if a.current == nil || h.Window != a.index {
		a.enter(h.Window)
	}
	if h.Unsent {
		a.current.unsent++
	} else {
		a.current.sent++
	}
	a.hits++
	a.last = max(a.last, h.Seq)
	a.seqs += mix(h.Seq)
	if why := impossible(h, a.end); why != "" {
		a.refuse(h, why)
	}
}

// refuse counts a hit that tells something impossible, and keeps the one of the lowest number: the order in the file says nothing.
func (a *armCount) refuse(h *history.Hit, why string) {
	a.impossible++
	if a.why == "" || h.Seq < a.first.Seq {
		a.first, a.why = *h, why
		a.first.Body = nil // it is the reader's
	}
}

// impossible says what is impossible of all that a hit tells; "" where nothing is. ended is when the run ended.
func impossible(h *history.Hit, ended time.Duration) string {
	good := h.Class == history.ClassOK
	switch {
	case h.At < 0 || h.Intended < 0:
		return "began before the run did"
	case h.Latency < 0 || h.End() < h.At:
		return "ended before it began"
	case h.End() > ended:
		return "ended after the run did"
	case h.Class > history.ClassAmbiguous:
		return "is of a class that does not exist"
	case good && h.Error != "":
		return "was answered correctly and has an error: " + h.Error
	case good && h.Code >= http.StatusInternalServerError && h.Reason != history.ReasonExpected:
		return fmt.Sprintf("was answered correctly with status %d", h.Code)
	case good && h.Unsent:
		return "was answered correctly and never sent"
	}
	return ""
}

func (a *armCount) enter(index int) {
	a.index, a.current = index, a.windows[index]
	if a.current == nil {
		a.current = &windowCount{}
		a.windows[index] = a.current
	}
}

// mix spreads a number over 64 bits (the finalizer of SplitMix64), so that a sum over many tells which they were.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (c *complete) Result() judge.Promise {
	var f judge.Findings
	wholeFiles(c.t, &f)
	var hits uint64
	for _, a := range c.arms {
		hits += a.hits
		a.check(c.t.End, &f)
	}
	p := judge.Promise{Verdict: judge.Pass, Hits: hits, Reason: fmt.Sprintf("%s of %s, all counted", words.Plural(hits, "hit"), words.Plural(uint64(len(c.arms)), "arm"))}
	if c.t.Unprotected {
		p.Reason += "; the record has no sums, and was accepted so by --accept-unprotected"
	}
	if f.Found > 0 {
		p.Verdict, p.Reason = judge.Inconclusive, judge.FirstOf(f.Kept, f.Found) // as noted: the weightiest first
	}
	f.Into(&p)
	return p
}

// wholeFiles finds what Open and the events say is missing.
func wholeFiles(t *timeline.Timeline, f *judge.Findings) {
	switch {
	case t.End == nil:
		f.Note(judge.Finding{Text: "the record has no end: the harness was killed, or its disk was full"})
	case t.Ends > 1:
		f.Note(judge.Finding{Text: fmt.Sprintf("the record ends %d times", t.Ends)})
	case t.Broken != timeline.Never && t.End.Outcome == history.EndFinished:
		f.Note(judge.Finding{At: t.Broken, Text: "the run was broken off, and ended as planned all the same: one of them is not true"})
	case t.End.Outcome != history.EndFinished:
		f.Note(judge.Finding{Text: "the run ended before its plan: " + t.End.Reason})
	}
	for _, d := range t.Damage {
		f.Note(judge.Finding{Text: d.Error()})
	}
	if t.Last > t.Ended {
		f.Note(judge.Finding{Text: fmt.Sprintf("the record tells of a moment %s after its end", words.Span(t.Last-t.Ended))})
	}
	disordered(t, f)
	if len(t.IDs) != 1 {
		f.Note(judge.Finding{Text: fmt.Sprintf("the events have %d opening lines, want 1", len(t.IDs))})
	}
	for _, id := range t.IDs {
		if id != t.Run.ID {
			f.Note(judge.Finding{Text: fmt.Sprintf("run.json is of run %q, the events are of run %q", t.Run.ID, id)})
		}
	}
}

// disordered finds what ended before it began. A moment that did not come is never, which is later than all others.
func disordered(t *timeline.Timeline, f *judge.Findings) {
	for _, d := range t.Disturbances {
		if first := min(d.Landed, d.Healed, d.Failed, d.Unhealed); first < d.Began && d.Began != timeline.Never {
			f.Note(judge.Finding{At: first, Text: fmt.Sprintf("disturbance %s came about before it began", d.Label())})
		}
	}
	for _, g := range t.Gaps {
		if g.To < g.From {
			f.Note(judge.Finding{At: g.From, Text: "a gap in what was seen of " + g.Resource + " ended before it began"})
		}
	}
}

// check holds the hits of one arm against what the events say of them.
func (a *armCount) check(end *history.End, f *judge.Findings) {
	note := func(at time.Duration, format string, args ...any) {
		f.Note(judge.Finding{At: at, Arm: a.arm.Name, Text: "arm " + a.arm.Name + ": " + fmt.Sprintf(format, args...)})
	}
	if end != nil {
		if want, ok := end.Hits[a.arm.Name]; !ok {
			note(0, "the end of the record does not name it")
		} else if want != a.hits {
			note(0, "the record ended with %s hits, %s are there", words.Count(want), words.Count(a.hits))
		}
	}
	if b := a.arm.Batch; b != nil && (b.Hits > a.hits || end != nil && b.Hits != a.hits) {
		note(0, "%s hits were on disk, %s are there", words.Count(b.Hits), words.Count(a.hits))
	}
	if a.impossible > 0 {
		note(a.first.At, "%s cannot be: hit %d %s", words.Plural(a.impossible, "hit"), a.first.Seq, a.why)
	}
	if a.seqs != fingerprint(a.hits) {
		note(0, "hits are missing or doubled: %s are there, the highest number is %d", words.Count(a.hits), a.last)
	}
	for _, w := range a.arm.Windows {
		a.checkWindow(w, note)
	}
	for _, index := range slices.Sorted(maps.Keys(a.windows)) {
		c := a.windows[index]
		if !slices.ContainsFunc(a.arm.Windows, func(w *timeline.Window) bool { return w.Index == index }) {
			note(0, "%s of load window %d, of which no event tells", words.Plural(c.sent+c.unsent, "hit"), index)
		}
	}
}

func (a *armCount) checkWindow(w *timeline.Window, note func(time.Duration, string, ...any)) {
	got := a.windows[w.Index]
	if got == nil {
		got = &windowCount{}
	}
	switch {
	case w.Begins > 1 || w.Ends > 1:
		note(w.Begin, "there are several load windows %d: it began %d times and ended %d times", w.Index, w.Begins, w.Ends)
	case w.Begin < 0 || w.Length < 0:
		note(w.Begin, "load window %d began before the run did, or ended before it began", w.Index)
	case !w.Announced:
		note(w.Begin, "the beginning of load window %d was not recorded", w.Index)
	case !w.Ended:
		note(w.Begin, "load window %d never ended", w.Index)
	case !a.possible(w.Health):
		note(w.Begin, "load window %d tells of times in which its generator did not run that cannot be", w.Index)
	case got.sent != w.Sent:
		note(w.Begin, "load window %d sent %s hits, %s are there", w.Index, words.Count(w.Sent), words.Count(got.sent))
	case w.Planned != w.Sent+got.unsent:
		note(w.Begin, "load window %d planned %s hits, but sent %s and gave up %s", w.Index,
			words.Count(w.Planned), words.Count(w.Sent), words.Count(got.unsent))
	}
}

// possible reports whether what is told of the stalls of a generator can be: each as long as is told of at least, none longer than the longest,
// in order, and in the run.
func (a *armCount) possible(h *history.Health) bool {
	if h == nil {
		return true
	}
	before := time.Duration(0)
	for _, s := range h.Stalls {
		if s.At < before || s.Length < history.StallLeast || s.Length > h.StallMax || s.At > a.end-s.Length {
			return false
		}
		before = s.At
	}
	return true
}

// fingerprint is what the numbers 0 to n-1 add up to.
func fingerprint(n uint64) uint64 {
	var sum uint64
	for i := range n {
		sum += mix(i)
	}
	return sum
}
