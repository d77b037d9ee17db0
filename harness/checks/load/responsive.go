package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugResponsive is the name of the check.
const SlugResponsive = "load.responsive"

// ResponsiveBudgets are the limits of load.responsive.
type ResponsiveBudgets struct {
	Unanswered time.Duration `json:"unanswered"`     // time without a good answer to a hit that was due, at most
	P99        time.Duration `json:"p99,omitempty"`  // of any 1 000 answers of an arm in a row, 990 take no longer; where unsaid, what the strategy calls slow
	Long       []string      `json:"long,omitempty"` // routes whose answers take long by themselves, like GET /v1/export: none of them is judged
}

// DefaultResponsiveBudgets holds for planned changes, and for scenarios that say nothing else.
func DefaultResponsiveBudgets() ResponsiveBudgets {
	return ResponsiveBudgets{Unanswered: 500 * time.Millisecond}
}

// Responsive judges that nobody waits. Times count from when a hit was intended: a generator that waits with its clients for a slow answer
// would measure itself. slow is from when on an answer is slow by the strategy; 0 where nobody said.
func Responsive(b ResponsiveBudgets, slow time.Duration) judge.Check {
	return judge.Check{
		Slug:    SlugResponsive,
		Promise: "nobody waits: no stall, and the strategy's own latency holds through the disturbance",
		Doc: judge.Doc{
			Proves: "In no arm a time longer than `unanswered` passed in which hits were due and neither they nor later ones got a good answer; and of " +
				"any 1 000 answers in a row of an arm 990 came within `p99`, or else within what the strategy calls slow. Both count from when " +
				"a hit was intended, so that an answer which comes late is as bad as one that was asked for late.",
			Cannot: "See that few wait: one answer of a hundred may take as long as its deadline allows, while others are answered meanwhile. " +
				"An arm with fewer than 1 000 answers, or a strategy that does not say what is slow, leaves the second half " +
				"unjudged, and the reason says so.",
			Excepts: "Answers of the very release that the disturbance made slow, by workload and release as in `load.zero-dropped`, and never by a " +
				"time; where errors were injected its good answers are judged as any other. Answers of the routes that the scenario calls `long`. Failed hits are for `load.zero-dropped`; here they only do not end a stall.",
			Fails: "On one longer time, or on 11 slow ones of 1 000 answers.",
			Inconclusive: "When it was long, or slow, only because the generator started hits late or did not run itself; when the arm that ends at a node, " +
				"before the stack, stalled at that moment too; when the control arm waited as long then, or more than 1 % of its answers were slow; when no hit is left to judge; when answers are excepted for a disturbance that never healed.",
			Budgets: []any{b},
		},
		Always: true,
		Needs:  []judge.Need{Carried, {What: "limit of how long one may wait", Met: func(*timeline.Timeline) bool { return b.Unanswered > 0 }}},
		New: func(t *timeline.Timeline) judge.Fold {
			return &responsive{t: t, budgets: b, limit: cmp.Or(b.P99, slow), slow: slow}
		},
	}
}

type responsive struct {
	t       *timeline.Timeline
	budgets ResponsiveBudgets
	limit   time.Duration // of slow answers; 0 where nobody said
	slow    time.Duration // from when on an answer is slow by the strategy; 0 where nobody said
	arms    []*armWaits
	path    []*pathWaits
	control []*controlWaits
}

// armWaits folds the hits of an arm that goes to what is disturbed.
type armWaits struct {
	*responsive
	arm       *timeline.Arm
	excuses   *timeline.Excuses
	sequence  sequence
	waits     waits
	stalls    []waited // longer than the budget, that do not overlap: as many as fit into the time
	longest   time.Duration
	quick     quickness
	latencies *hdrhistogram.Histogram // from when a hit was intended, in microseconds
	long      longRoutes

	judged, excepted, unhealed, lasting uint64

	window   int // of the hit before; -1 before the first
	deadline time.Duration
	visited  int32 // window of the slot before
}

func (f *responsive) Arm(arm *timeline.Arm) judge.HitFold {
	switch {
	case arm.Path:
		p := newPathWaits(arm)
		f.path = append(f.path, p)
		return p
	case arm.Control:
		c := newControlWaits(arm, f.limit)
		f.control = append(f.control, c)
		return c
	}
	a := &armWaits{responsive: f, arm: arm, excuses: f.t.ExcusesOf(arm), quick: quickness{limit: f.limit}, latencies: newLatencies(), long: longRoutes{routes: f.budgets.Long}, window: -1}
	a.waits = waits{tell: a.waited}
	a.sequence.visit = a.visit
	f.arms = append(f.arms, a)
	return judge.WhileKnown(f.t, a)
}

func (a *armWaits) Hit(h *history.Hit) {
	if h.Window != a.window {
		a.window, a.deadline = h.Window, a.arm.Deadline(h.Window)
	}
	what := a.outcome(h)
	if what == answered {
		took := h.End() - h.Intended
		_ = a.latencies.RecordValue(min(max(took.Microseconds(), 0), a.latencies.HighestTrackableValue())) // so it is in range
		a.quick.add(reply{due: h.Intended, sent: h.At, end: h.End()})
	}
	a.sequence.add(slot{at: h.At, due: h.Intended, end: h.End(), seq: h.Seq, window: int32(h.Window), outcome: what})
}

// outcome is what a hit says of how long one waits.
func (a *armWaits) outcome(h *history.Hit) outcome {
	good := h.Class == history.ClassOK && !h.Unsent && h.Code != 0 && h.Latency <= a.deadline
	switch {
	case h.Unsent || h.Class == history.ClassHarness || !good && a.arm.Starved(h):
		return aside
	case a.onPurpose(h, good):
		a.excepted++
		if good {
			return granted
		}
		return aside
	case good && a.long.has(h):
		a.lasting++
		return granted
	case !good:
		a.judged++
		return dropped
	}
	a.judged++
	return answered
}

// onPurpose reports whether the answer is slow, or failed, because that was injected.
func (a *armWaits) onPurpose(h *history.Hit, good bool) bool {
	excuse := a.excuses.Failure
	if good {
		excuse = a.excuses.Slowness
	}
	i := excuse(h)
	if i != nil && i.Until == timeline.Never {
		a.unhealed++
	}
	return i != nil
}

// visit takes hits in the order they were intended in.
func (a *armWaits) visit(s slot) {
	if s.window != a.visited {
		a.leave()
		a.visited = s.window
	}
	if s.outcome == answered || s.outcome == dropped {
		a.waits.begin(s.due, s.at)
	}
	if s.outcome == answered || s.outcome == granted {
		a.waits.answered(s.end)
	}
}

// leave closes a window: nothing is due after its end.
func (a *armWaits) leave() {
	until := a.t.Last
	if w := a.arm.Window(int(a.visited)); w != nil && w.Length > 0 {
		until = w.Until()
	}
	a.waits.finish(until)
}

// waited keeps a time that is over the budget. Of those that overlap it keeps the one that was longest without the generator's own lag.
func (a *armWaits) waited(w waited) {
	a.longest = max(a.longest, w.end-w.due)
	if w.end-w.due <= a.budgets.Unanswered {
		return
	}
	last := len(a.stalls) - 1
	if last < 0 || w.due >= a.stalls[last].end {
		a.stalls = append(a.stalls, w)
		return
	}
	if old := a.stalls[last]; w.end-w.sent > old.end-old.sent {
		a.stalls[last] = w
	}
}

func (f *responsive) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var path []timeline.Span
	for _, arm := range f.path {
		path = append(path, arm.stalled(f.t)...)
	}
	var control []timeline.Span
	for _, arm := range f.control {
		control = append(control, arm.stalled(f.t)...)
	}
	var excepted, unhealed, lasting uint64
	for _, a := range f.arms {
		a.sequence.finish()
		a.leave()
		a.judge(path, control, &r)
		p.Hits += a.judged
		excepted += a.excepted
		unhealed += a.unhealed
		lasting += a.lasting
		p.Figures = append(p.Figures, a.figures()...)
	}
	switch {
	case p.Hits == 0:
		r.Unsure(judge.Finding{Text: "no hit is left to judge"})
	case unhealed > 0:
		r.Unsure(judge.Finding{Text: fmt.Sprintf("%s excepted for a disturbance that never healed", words.Plural(unhealed, "answer"))})
	}
	r.Into(&p, f.basis())
	if p.Verdict == judge.Pass {
		p.Reserve(f.reservations(excepted, lasting))
	}
	return p
}

func (a *armWaits) judge(path, control []timeline.Span, r *judge.Ruling) {
	for _, s := range a.stalls {
		f := judge.Finding{At: s.due, Until: s.end, Arm: a.arm.Name, Evidence: duringOf(a.t, s.due, s.end),
			Text: fmt.Sprintf("arm %s: no good answer for %s to hits that were due (budget %s)", a.arm.Name, words.Span(s.end-s.due), words.Span(a.budgets.Unanswered))}
		took := s.end - s.sent
		switch own := max(a.paused(s), within(path, s.sent, s.end)); {
		case took-own <= a.budgets.Unanswered:
			a.unsure(f, beforeTheStack, r)
		case took-within(control, s.sent, s.end) <= a.budgets.Unanswered:
			a.unsure(f, controlWaited, r)
		default:
			r.Broken(f)
		}
	}
	if a.limit == 0 || a.quick.worst.due <= slowOf {
		return
	}
	slows, own := a.quick.slows, 0
	f := judge.Finding{At: timeline.Never, Arm: a.arm.Name,
		Text: fmt.Sprintf("arm %s: of 1 000 answers in a row %d took longer than %s, at most %d may", a.arm.Name, a.quick.worst.due, words.Span(a.limit), slowOf)}
	for _, s := range slows {
		f.At, f.Until = min(f.At, s.due), max(f.Until, s.end)
		if s.end-s.sent-max(a.paused(waited(s)), within(path, s.sent, s.end)) <= a.limit {
			own++
		}
	}
	f.Evidence = duringOf(a.t, f.At, f.Until)
	switch {
	case len(slows)-own <= slowOf:
		a.unsure(f, beforeTheStack, r)
	case slices.ContainsFunc(a.control, func(c *controlWaits) bool { return c.slowIn(f.At, f.Until) }):
		a.unsure(f, controlWaited, r)
	default:
		r.Broken(f)
	}
}

// Why a long wait, or slow answers, may have nothing to do with what the scenario did to the stack.
const (
	beforeTheStack = "without what the generator was late and the path to the cluster stalled by itself it is within the budget"
	controlWaited  = "the control arm, which nothing disturbs, waited as well: this points at the machine, the harness or the ingress"
)

// unsure says that it cannot be told whether the promise is broken.
func (a *armWaits) unsure(f judge.Finding, why string, r *judge.Ruling) {
	f.Text += "; " + why
	r.Unsure(f)
}

// paused is how long the generator's process did not run at most while somebody waited.
func (a *armWaits) paused(s waited) time.Duration {
	var longest time.Duration
	for _, w := range a.arm.Windows {
		if w.Begin <= s.end && s.due <= w.Until() {
			longest = max(longest, w.StalledAtMost(s.sent, s.end))
		}
	}
	return longest
}

// basis says what a pass rests on.
func (f *responsive) basis() string {
	worst, judged := 0, false
	for _, a := range f.arms {
		if a.quick.n >= quickOf {
			judged, worst = true, max(worst, a.quick.worst.due)
		}
	}
	text := fmt.Sprintf("the longest time without a good answer to a hit that was due was %s (budget %s)", words.Span(f.longest()), words.Span(f.budgets.Unanswered))
	if f.limit > 0 && judged {
		text += fmt.Sprintf("; of 1 000 answers in a row at most %d took longer than %s", worst, words.Span(f.limit))
	}
	return text
}

// longest is the longest time in which no arm's hits that were due got a good answer.
func (f *responsive) longest() (longest time.Duration) {
	for _, a := range f.arms {
		longest = max(longest, a.longest)
	}
	return longest
}

// reservations are what a person could have noticed although the promise holds: what was not judged, and what the budgets of the scenario allow
// beyond the usual ones. excepted and lasting are answers that were slow on purpose, and of routes that take long by themselves.
func (f *responsive) reservations(excepted, lasting uint64) []string {
	var all []string
	if usual := DefaultResponsiveBudgets().Unanswered; f.longest() > usual {
		all = append(all, fmt.Sprintf("the scenario allows a longer time without an answer than the usual %s", words.Span(usual)))
	}
	if f.slow > 0 && f.limit > f.slow {
		all = append(all, fmt.Sprintf("the scenario allows slower answers than the strategy's %s", words.Span(f.slow)))
	}
	if f.limit == 0 {
		all = append(all, "nobody said what is slow, so the 99th percentile is not judged")
	} else if few := f.seldom(); len(few) > 0 {
		all = append(all, fmt.Sprintf("fewer than 1 000 answers in arm %s, so its 99th percentile is not judged", strings.Join(few, ", ")))
	}
	if excepted > 0 {
		all = append(all, fmt.Sprintf("%s of a release that is bad on purpose, not judged", words.Plural(excepted, "answer")))
	}
	if lasting > 0 {
		all = append(all, fmt.Sprintf("%s of routes that take long by themselves, whose time is not judged", words.Plural(lasting, "answer")))
	}
	return all
}

// seldom names the arms that have too few answers for a 99th percentile.
func (f *responsive) seldom() (names []string) {
	for _, a := range f.arms {
		if a.quick.n < quickOf {
			names = append(names, a.arm.Name)
		}
	}
	return names
}

func (a *armWaits) figures() []judge.Figure {
	millis := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	figures := []judge.Figure{{Name: "longest time without a good answer, arm " + a.arm.Name, Value: millis(a.longest), Unit: "ms"}}
	if a.latencies.TotalCount() > 0 {
		p99 := time.Duration(a.latencies.ValueAtPercentile(99)) * time.Microsecond
		figures = append(figures, judge.Figure{Name: "99th percentile from intended times, arm " + a.arm.Name, Value: millis(p99), Unit: "ms"})
	}
	return figures
}

// longRoutes tells which hits are of the routes whose answers take long by themselves.
type longRoutes struct {
	routes []string
	url    string // of the hit before
	path   string
}

func (l *longRoutes) has(h *history.Hit) bool {
	if len(l.routes) == 0 {
		return false
	}
	if h.Route != "" {
		return slices.Contains(l.routes, h.Route)
	}
	if h.URL != l.url || l.path == "" {
		l.url, l.path = h.URL, pathOf(h.URL)
	}
	return slices.Contains(l.routes, h.Method+" "+l.path)
}

// pathWaits folds the hits of the arm that watches the path to the cluster: what stalls there too is not the stack's.
type pathWaits struct {
	arm      *timeline.Arm
	sequence sequence
	waits    waits
	spans    []timeline.Span // ascending, apart
	lastEnd  time.Duration
}

// leastStall is how long the path must have stalled to count: it is asked every 50 ms.
const leastStall = 100 * time.Millisecond

func newPathWaits(arm *timeline.Arm) *pathWaits {
	p := &pathWaits{arm: arm}
	p.waits = waits{over: leastStall, tell: func(w waited) {
		if last := len(p.spans) - 1; last >= 0 && w.due <= p.spans[last].Until {
			p.spans[last].Until = max(p.spans[last].Until, w.end)
			return
		}
		p.spans = append(p.spans, timeline.Span{From: w.due, Until: w.end})
	}}
	p.sequence.visit = func(s slot) {
		if s.outcome == aside {
			return
		}
		p.lastEnd = max(p.lastEnd, s.end)
		p.waits.begin(s.at, s.at) // its own lag is the generator's
		if s.outcome == answered {
			p.waits.answered(s.end)
		}
	}
	return p
}

func (p *pathWaits) Hit(h *history.Hit) {
	what := answered
	switch {
	case h.Unsent || h.Class == history.ClassHarness:
		what = aside
	case h.Failed():
		what = dropped
	}
	p.sequence.add(slot{at: h.At, due: h.Intended, end: h.End(), seq: h.Seq, window: int32(h.Window), outcome: what})
}

// stalled is when the path stalled, but for times in which the node at its end was itself what was disturbed.
func (p *pathWaits) stalled(t *timeline.Timeline) []timeline.Span {
	p.sequence.finish()
	p.waits.finish(p.lastEnd)
	return slices.DeleteFunc(p.spans, func(s timeline.Span) bool { return nodeDisturbed(t, p.arm, s) })
}

// controlWaits folds the hits of a control arm, which goes through the same ingress to a responder that nothing disturbs.
type controlWaits struct {
	*pathWaits
	limit   time.Duration
	seconds map[int64]*slowCount // by when they were due
}

// slowCount counts answers, and those of them that were slow.
type slowCount struct{ all, slow uint64 }

func newControlWaits(arm *timeline.Arm, limit time.Duration) *controlWaits {
	return &controlWaits{pathWaits: newPathWaits(arm), limit: limit, seconds: map[int64]*slowCount{}}
}

func (c *controlWaits) Hit(h *history.Hit) {
	c.pathWaits.Hit(h)
	if h.Unsent || h.Class == history.ClassHarness {
		return
	}
	n := c.seconds[int64(h.Intended/time.Second)]
	if n == nil {
		n = &slowCount{}
		c.seconds[int64(h.Intended/time.Second)] = n
	}
	if n.all++; h.Failed() || h.End()-h.Intended > c.limit {
		n.slow++
	}
}

// slowIn reports whether more than one answer of a hundred was slow, of those that were due in a time.
func (c *controlWaits) slowIn(from, until time.Duration) bool {
	var sum slowCount
	for second, n := range c.seconds {
		if second >= int64(from/time.Second) && second <= int64(until/time.Second) {
			sum.all += n.all
			sum.slow += n.slow
		}
	}
	return sum.slow*quickOf > sum.all*slowOf
}

// within is how much of a time the spans cover.
func within(spans []timeline.Span, from, until time.Duration) (sum time.Duration) {
	for _, s := range spans {
		sum += max(0, min(s.Until, until)-max(s.From, from))
	}
	return sum
}
