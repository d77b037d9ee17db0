package judge

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const slugDropped = "load.zero-dropped"

// zeroDropped is the promise this project is about. A drop is an intended hit without one complete, correct answer in its
// deadline. Three kinds of failed hits are no drops of the product, and none of them is green:
//   - injected ones, excepted and counted apart: a whole bad answer that came from the version that was made bad on purpose,
//     while it was;
//   - those on the harness's own account, and intents never sent: inconclusive;
//   - those of the control arm, which nothing disturbs: the harness or the ingress is at fault, inconclusive.
func zeroDropped() Check {
	return Check{
		Slug:    slugDropped,
		Promise: "no request is dropped: every intended hit got one complete, correct answer in its deadline",
		Needs:   []Need{carriesLoad},
		New:     func(t *Timeline) Fold { return &drops{t: t, injections: injectionsOf(t)} },
	}
}

// injection is a version that gives bad answers on purpose for a time.
type injection struct {
	version     string
	from, until time.Duration // Began, Healed or Failed; never when it was not healed
}

func injectionsOf(t *Timeline) []injection {
	var all []injection
	for _, d := range t.Disturbances {
		if d.Injects == "" || d.Began == Never {
			continue
		}
		until := d.Healed
		if until == Never {
			until = d.Failed
		}
		all = append(all, injection{version: d.Injects, from: d.Began, until: until})
	}
	return all
}

// excepts reports whether a failed hit is one that was injected: the version itself gave a whole answer, bad on purpose,
// between the beginning and one deadline after the end. A torn answer is a drop, whoever tore it.
func (i *injection) excepts(h *history.Hit, deadline time.Duration) bool {
	return h.Class == history.ClassApplication && h.Code != 0 && !h.Unsent && h.Version == i.version &&
		h.End() >= i.from && (i.until == Never || h.End() <= i.until+deadline)
}

type drops struct {
	t          *Timeline
	injections []injection
	arms       []*armDrops
	control    []*controlDrops
}

// tally counts hits by what became of them.
type tally struct {
	hits, dropped, injected, masked uint64

	harness   uint64 // failed on the harness's own account
	unsent    uint64
	unhealed  uint64 // injected under an injection without an end
	undecided uint64 // failed when no event is left to say whether it was injected
	control   uint64 // failures of the control arm; it is in no other number
}

func (t *tally) add(o tally) {
	t.hits += o.hits
	t.dropped += o.dropped
	t.injected += o.injected
	t.masked += o.masked
	t.harness += o.harness
	t.unsent += o.unsent
	t.unhealed += o.unhealed
	t.undecided += o.undecided
	t.control += o.control
}

// armDrops folds the hits of an arm that goes to what is disturbed.
type armDrops struct {
	arm        *Arm
	injections []injection
	known      time.Duration // Timeline.Known

	tally
	found    findings
	sequence sequence
	outages  outages
	routes   armRoutes

	window   int // index of the window that deadline is of; -1 before the first hit
	deadline time.Duration
}

func (f *drops) Arm(arm *Arm) HitFold {
	if arm.Control {
		c := &controlDrops{arm: arm, seconds: map[int64]bool{}}
		f.control = append(f.control, c)
		return c
	}
	a := &armDrops{arm: arm, injections: f.injections, known: f.t.Known, window: -1}
	a.outages.arm = arm
	a.routes = newArmRoutes(arm, f.t.Arms)
	a.sequence.visit = a.outages.visit
	f.arms = append(f.arms, a)
	return a
}

func (a *armDrops) Hit(h *history.Hit) {
	if h.Window != a.window {
		a.enter(h.Window)
	}
	a.hits++
	if h.Masked > 0 {
		a.masked++
	}
	what, injected := answered, a.injected
	if h.Class != history.ClassOK || h.Unsent || h.Code == 0 || h.Latency > a.deadline {
		what = a.failed(h)
	}
	a.routes.add(h, what, a.injected > injected)
	a.sequence.add(slot{at: h.At, end: h.End(), seq: h.Seq, window: int32(h.Window), outcome: what})
}

func (a *armDrops) enter(index int) {
	a.window, a.deadline = index, Never
	if w := a.arm.window(index); w != nil && w.Deadline > 0 {
		a.deadline = w.Deadline
	}
}

// failed decides on whose account a hit without a correct answer in time goes.
func (a *armDrops) failed(h *history.Hit) outcome {
	switch {
	case h.Unsent:
		a.unsent++
		a.note(h, "never sent")
		return unsent
	case h.Class == history.ClassHarness:
		a.harness++
		a.note(h, "the harness failed: "+reason(h))
		return aside
	case a.excepted(h):
		a.injected++
		return aside
	case h.End() > a.known && h.Class == history.ClassApplication && h.Code != 0:
		a.undecided++
		a.note(h, "failed, and no event is left to say whether it was injected: "+reason(h))
		return aside
	}
	a.dropped++
	a.note(h, "dropped: "+reason(h))
	return dropped
}

func (a *armDrops) excepted(h *history.Hit) bool {
	deadline := a.deadline
	if deadline == Never {
		deadline = 0
	}
	for i := range a.injections {
		if a.injections[i].excepts(h, deadline) {
			if a.injections[i].until == Never {
				a.unhealed++
			}
			return true
		}
	}
	return false
}

// reason says in words why a hit counts as failed.
func reason(h *history.Hit) string {
	switch {
	case h.Class == history.ClassOK && h.Code != 0:
		return "the answer was complete after " + span(h.Latency) + " only, past its deadline"
	case h.Class == history.ClassOK:
		return "no status was received"
	}
	return cmp.Or(h.Reason, h.Error, "no reason recorded") + " after " + span(h.Latency)
}

func (a *armDrops) note(h *history.Hit, text string) {
	if a.found.wants(h.At) {
		a.found.keep(hitFinding(h, text))
	}
}

// controlDrops folds the hits of an arm that nothing disturbs.
type controlDrops struct {
	arm          *Arm
	hits, failed uint64
	found        findings
	seconds      map[int64]bool // of the run, in which a hit failed
}

func (c *controlDrops) Hit(h *history.Hit) {
	c.hits++
	if !h.Failed() && !h.Unsent && h.Code != 0 {
		return
	}
	c.failed++
	c.seconds[int64(h.At/time.Second)] = true
	if c.found.wants(h.At) {
		c.found.keep(hitFinding(h, "the control arm, which nothing disturbs, failed too: "+reason(h)+": this points at the harness or the ingress"))
	}
}

func (f *drops) Result() Promise {
	var (
		p       Promise
		sum     tally
		found   findings
		windows []*Window
	)
	gaps := map[*Window]time.Duration{}
	for _, a := range f.arms {
		a.sequence.finish()
		a.outages.finish()
		sum.add(a.tally)
		found.merge(&a.found)
		windows = append(windows, a.arm.Windows...)
		maps.Copy(gaps, a.outages.gaps)
		p.Figures = append(p.Figures, a.figures()...)
	}
	for _, c := range f.control {
		sum.control += c.failed
		found.merge(&c.found)
	}
	f.blame(found.kept)
	found.into(&p)
	outages := f.outageFindings()
	p.Findings = append(p.Findings, outages...)
	slices.SortFunc(p.Findings, compareFindings)
	p.Found += uint64(len(outages))
	p.Hits, p.Dropped, p.Injected, p.Masked = sum.hits, sum.dropped, sum.injected, sum.masked
	if p.Dropped == 0 {
		p.Power = loadPower(p.Hits-sum.unsent-sum.harness, loadedTime(windows), outageSeen(windows, gaps))
	}
	p.Verdict, p.Reason = sum.verdict(p.Power)
	p.Routes = routesOf(f.arms)
	return p
}

// verdict weighs the numbers; power is set when there are hits and none was dropped.
func (t *tally) verdict(power *Power) (Verdict, string) {
	switch {
	case t.dropped > 0 && t.control > 0:
		return Fail, fmt.Sprintf("%s of %s dropped; the control arm failed %s, so look at the harness and the ingress first",
			count(t.dropped), plural(t.hits, "hit"), plural(t.control, "time"))
	case t.dropped > 0:
		return Fail, fmt.Sprintf("%s of %s dropped", count(t.dropped), plural(t.hits, "hit"))
	case t.hits == 0:
		return Inconclusive, "no hit was recorded"
	case t.harness+t.unsent > 0:
		return Inconclusive, fmt.Sprintf("%s failed in the harness itself, %s never sent", plural(t.harness, "hit"), count(t.unsent))
	case t.control > 0:
		return Inconclusive, fmt.Sprintf("the control arm, which nothing disturbs, failed %s: the harness or the ingress is at fault",
			plural(t.control, "time"))
	case t.undecided > 0:
		return Inconclusive, fmt.Sprintf("%s when no event is left to say whether it was injected", plural(t.undecided, "failed hit"))
	case t.unhealed > 0:
		return Inconclusive, fmt.Sprintf("%s excepted as injected by a disturbance that never healed", plural(t.unhealed, "failed hit"))
	case t.injected == t.hits:
		return Inconclusive, "every hit failed as injected: none is left to judge"
	}
	text := power.Text
	if t.injected > 0 {
		text += fmt.Sprintf("; %s injected on purpose, counted apart", plural(t.injected, "failure"))
	}
	return Pass, text
}

// blame adds to a drop what else happened then: the disturbance that was on, and failures of the control arm.
func (f *drops) blame(found []Finding) {
	for i := range found {
		finding := &found[i]
		for _, d := range f.t.Disturbances {
			if d.Began <= finding.Until && (d.Until() == Never || finding.At <= d.Until()) {
				finding.Evidence = append(finding.Evidence, fmt.Sprintf("during %s, which began at %s", d.label(), span(d.Began)))
			}
		}
		if f.controlFailed(finding.Arm, finding.At) {
			finding.Evidence = append(finding.Evidence, "the control arm failed within a second of it: look at the harness and the ingress first")
		}
	}
}

func (f *drops) controlFailed(arm string, at time.Duration) bool {
	second := int64(at / time.Second)
	for _, c := range f.control {
		if c.arm.Name != arm && (c.seconds[second-1] || c.seconds[second] || c.seconds[second+1]) {
			return true
		}
	}
	return false
}

// outageFindings is the longest run of drops of each arm. A single hit is no run: it is a finding already.
func (f *drops) outageFindings() []Finding {
	var all []Finding
	for _, a := range f.arms {
		o := a.outages.worst
		if o.hits < 2 {
			continue
		}
		text := fmt.Sprintf("arm %s: longest outage %s, %s in a row without a correct answer", a.arm.Name, span(o.until-o.from), plural(o.hits, "hit"))
		all = append(all, Finding{At: o.from, Until: o.until, Arm: a.arm.Name, Hit: fmt.Sprintf("%s/%d", a.arm.Name, o.first), Class: "outage", Text: text})
	}
	return all
}

func (a *armDrops) figures() []Figure {
	var gap time.Duration
	for _, g := range a.outages.gaps {
		gap = max(gap, g)
	}
	o := a.outages.worst
	return []Figure{
		{Name: "hits, arm " + a.arm.Name, Value: float64(a.hits), Unit: "hits"},
		{Name: "dropped, arm " + a.arm.Name, Value: float64(a.dropped), Unit: "hits"},
		{Name: "injected, arm " + a.arm.Name, Value: float64(a.injected), Unit: "hits"},
		{Name: "masked by a silent retry, arm " + a.arm.Name, Value: float64(a.masked), Unit: "hits"},
		{Name: "longest outage, arm " + a.arm.Name, Value: (o.until - o.from).Seconds() * 1000, Unit: "ms"},
		{Name: "longest time without a whole hit, arm " + a.arm.Name, Value: gap.Seconds() * 1000, Unit: "ms"},
	}
}
