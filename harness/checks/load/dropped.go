package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugDropped is the name of the check.
const SlugDropped = "load.zero-dropped"

// DroppedBudgets are the limits of load.zero-dropped.
type DroppedBudgets struct {
	Fewest      uint64        `json:"fewest"`              // hits that must be left to judge, at least: a zero in 300 says that at most 1 % is lost, and every scenario sends thousands
	FewestOfArm uint64        `json:"fewestOfArm"`         // of each arm, at least, for each is there for what the others hide: a zero in 30 says 10 %. A route with fewer tells nothing by itself
	Unplanned   time.Duration `json:"unplanned,omitempty"` // from the beginning of a fault that nobody plans, such as the loss of a node, until no hit may be lost of it any more, or propagation after it was healed where that is earlier; 0: none may
}

// DefaultDroppedBudgets asks that a zero shows at most 1 % lost, and at most 10 % of each arm: each arm is there for what the others hide. Every
// scenario sends thousands of hits, and hundreds in its rarest arm.
func DefaultDroppedBudgets() DroppedBudgets {
	return DroppedBudgets{Fewest: judge.Enough, FewestOfArm: 30}
}

// ZeroDropped is the promise this project is about. A drop is an intended hit without one complete, correct answer in its
// deadline. Some kinds of failed hits are no drops of the product, and none of them is green:
//   - injected ones, excepted and counted apart: a whole bad answer that came from the version that was made bad on purpose,
//     while it was;
//   - those on the harness's own account, and intents never sent: inconclusive;
//   - those lost to a fault that nobody plans, in the time that the scenario declares for it, and no more than it explains: counted apart;
//   - those that brought nothing of an answer while the arm that ends at a node, before the stack, failed too, or an answer that was late
//     by no longer than that: the path to the cluster is the harness's account, inconclusive;
//   - those of the control arm, which nothing disturbs: the harness or the ingress is at fault, inconclusive.
func ZeroDropped(b DroppedBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugDropped,
		Always:  true,
		Promise: "no request is dropped: every intended hit got one complete, correct answer in its deadline",
		Doc: judge.Doc{
			Proves: "Every intended hit of every arm but the control arm got one complete, correct answer in its deadline, as package load " +
				"checked it (status, length, content coding, digest, and the hit's id where the answer repeats one). The deadline is checked again here. " +
				"Once answers carry a version, a pod, a digest or the hit's id, each must: all of a route, in whichever arm, all of an arm whose answers one " +
				"workload gives, and, of version and pod, all that one workload gives. Nor came bytes beyond the end of an answer. The power counts the hits that were left to judge, without those excepted.",
			Cannot: "See an outage of an arm shorter than `power.outageSeen`, or a share of losses below `power.maxLossShare`. Hits that Go's " +
				"transport sent again by itself count as answered; `masked` counts them, the reason names their arms, and the arms that are never " +
				"sent again are there to catch the same failure. A wrong answer that carries all of that, and matches its own digest; what a route, an arm of a workload and, of version and " +
				"pod, a whole workload never carries; and where nobody said whose answers an arm gets, what its routes beyond 1 024 carry. Which hits a lost pod " +
				"cost, and which failed just so by something else: as many as the loss explains are excused, where each Ready pod of the workload gets as many hits as any " +
				"other. A client that stays with one pod, or weights of a release, may stray from that.",
			Excepts: "A failed hit of the kind that was injected, by the very release that was made bad, between the beginning of the disturbance " +
				"and one deadline after its end; it is counted as `injected`. It is of that kind when it has the status that the disturbance " +
				"says (`fault`) and nothing else is wrong with it: another status, a body unlike its length or digest, an answer past its " +
				"deadline are drops. Slowness that was injected excuses no failure. A record that does not say the kind excuses a status " +
				"of 500 or more. It is by that release when the arm gets its answers " +
				"from the workload, the answer tells its version (`injects`), and its pod, where a watch saw it, " +
				"is one of the release, by pod template hash; where no watch tells, watches must have seen that the version is of this release only. " +
				"A torn answer, one made by the ingress, or one without a version is a drop, whatever was injected. " +
				"And where the scenario declares `unplanned`: a failed hit of an arm whose workload had a Ready pod that a disturbance `node-loss`, `killed` or `force-deleted` took, " +
				"once that landed, and watches saw that such a node was not Ready; it is counted as lost. It was under way between the beginning of the disturbance and `unplanned` after it, or `propagation` after it was healed where that is " +
				"earlier. It got no complete answer (a deadline, or a connection that was refused or broken off), or 502, 503 or 504 by the ingress, and no part of an answer from another pod. " +
				"In each second, each two, each four and so on up to all of the time, no more of an arm are excused than the loss explains: the share of the workload's Ready pods that it took, by the exact binomial distribution " +
				"(more come once in a million by chance); where the control arm lost some too, that share of what is left besides. What is beyond that is dropped.",
			Fails: "On one dropped hit: on the account of the ingress or of the application, ambiguous, of an unknown class, answered " +
				"past the deadline, or without what tells who answered where its like carry it; or on bytes after the end of an answer.",
			Inconclusive: "When hits brought no part of an answer while the path to the cluster was dead, or one that was late by no longer than it was dead: the `path` arm, which ends at a node before " +
				"anything of the stack, failed too, and nobody was answered; not while that node is itself what is disturbed. " +
				"When only the harness failed: its own errors, intents never sent, and hits that ended by their deadline alone while the " +
				"generator's own process did not run for as long as that. When only the control arm failed, or answered past its deadline: it goes through " +
				"the same ingress to a responder that nothing disturbs, so the harness or the ingress is at fault, and which of them nobody can tell. " +
				"When hits were lost to a fault that nobody plans and changes of pods may be missing of the moment it began. When fewer than `fewest` hits are left to judge, or than `fewestOfArm` of an arm: a zero says too little then; and when injected failures " +
				"have no end because their disturbance never healed.",
			Budgets: []any{b},
		},
		Needs: []judge.Need{Carried},
		New: func(t *timeline.Timeline) judge.Fold {
			return &drops{t: t, budgets: b, propagation: tolerance.Propagation}
		},
	}
}

type drops struct {
	t           *timeline.Timeline
	budgets     DroppedBudgets
	propagation time.Duration // until routers follow
	arms        []*armDrops
	control     []*controlDrops
	path        []*pathHits
}

// tally counts hits by what became of them.
type tally struct {
	hits, dropped, injected, masked uint64
	maskedBy                        []string // the arms of masked
	anonymous                       uint64   // of dropped: whole, and without what tells who answered

	harness   uint64 // failed on the harness's own account
	unsent    uint64
	unhealed  uint64 // injected under an injection without an end
	undecided uint64 // failed when no event is left to say whether it was injected
	path      uint64 // failed while the path to the cluster was dead
	lost      uint64 // to a fault that nobody plans, in the time declared for it
	unseen    bool   // of lost some, and nobody saw for certain which pods the fault took
	control   uint64 // failures of the control arm; it is in no other number
}

// judged is how many hits were left to judge.
func (t *tally) judged() uint64 {
	return t.hits - t.unsent - t.harness - t.injected - t.undecided - t.path - t.lost
}

func (t *tally) add(o tally) {
	t.hits += o.hits
	t.dropped += o.dropped
	t.injected += o.injected
	t.masked += o.masked
	t.anonymous += o.anonymous
	t.maskedBy = append(t.maskedBy, o.maskedBy...)
	t.harness += o.harness
	t.unsent += o.unsent
	t.unhealed += o.unhealed
	t.undecided += o.undecided
	t.path += o.path
	t.lost += o.lost
	t.unseen = t.unseen || o.unseen
	t.control += o.control
}

// armDrops folds the hits of an arm that goes to what is disturbed.
type armDrops struct {
	t         *timeline.Timeline
	arm       *timeline.Arm
	excuses   *timeline.Excuses
	losses    []loss
	lossTimes lossTimes

	tally
	unreached unreached // of dropped
	answered  moments
	found     judge.Findings
	sequence  sequence
	outages   outages
	routes    armRoutes
	further   *identity // of the answers of routes beyond those that have their own; nil where nobody said that one workload gives them all

	window   int // index of the window that deadline is of; -1 before the first hit
	deadline time.Duration
}

func (f *drops) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Path {
		p := &pathHits{arm: arm}
		f.path = append(f.path, p)
		return p
	}
	if arm.Control {
		c := &controlDrops{arm: arm, seconds: map[int64]bool{}, steps: map[int64]lossCount{}, answered: moments{}, identities: map[string]*identity{}}
		f.control = append(f.control, c)
		return c
	}
	a := &armDrops{t: f.t, arm: arm, excuses: f.t.ExcusesOf(arm), losses: lossesOf(f.t, arm, f.budgets.Unplanned, f.propagation), lossTimes: lossTimes{}, window: -1,
		unreached: unreached{}, answered: moments{}}
	a.outages.arm = arm
	a.routes = newArmRoutes(arm, f.t.Arms)
	if !arm.Workload.IsZero() {
		a.further = &identity{}
	}
	a.sequence.visit = a.outages.visit
	f.arms = append(f.arms, a)
	return a
}

func (a *armDrops) Hit(h *history.Hit) {
	if h.Window != a.window {
		a.enter(h.Window)
	}
	a.hits++
	a.answered.add(h)
	if h.Masked > 0 {
		a.masked++
	}
	route := a.routes.of(h)
	what, injected, lost := answered, a.injected, a.lost
	correct := h.Class == history.ClassOK && !h.Unsent && h.Code != 0 && h.Latency <= a.deadline
	if !correct {
		what = a.failed(h)
	}
	if !h.Unsent && h.Code != 0 {
		a.identityOf(route).see(h, correct, route.routeCounts)
	}
	if what == answered || what == dropped || a.lost > lost {
		a.lossTimes.see(a.losses, h, a.lost > lost, a.deadline)
	}
	route.add(h, a.deadline, what, a.injected > injected)
	a.sequence.add(slot{at: h.At, end: h.End(), seq: h.Seq, window: int32(h.Window), outcome: what})
}

func (a *armDrops) identityOf(route routed) *identity {
	if route.identity != nil {
		return route.identity
	}
	return a.further
}

// identities are all that the answers of the arm were noted in, with the name of their route; it is empty where there are too many.
func (a *armDrops) identities(yield func(string, *identity) bool) {
	if a.further != nil && !yield("", a.further) {
		return
	}
	for name, i := range a.routes.identities {
		if !yield(name, i) {
			return
		}
	}
}

// carried is what any answer of the arm carried.
func (a *armDrops) carried() (all marks) {
	for _, i := range a.identities {
		all |= i.carried
	}
	return all
}

// likeness is what answers have in common that are held to one another, in whichever arm they came: a route of a workload, or of nobody knows
// which.
type likeness struct {
	workload history.Workload
	route    string
}

// shareIdentity holds the answers of a route to what those of other arms carried, and all of a workload to its version and its pod: whoever
// answers new connections only is seen by no other arm. Digest and echo belong to what is asked for: of a workload, all answers of an arm are held
// to them.
func (f *drops) shareIdentity() {
	likes, workloads, arms := map[likeness]marks{}, map[history.Workload]marks{}, map[*armDrops]marks{}
	for _, a := range f.arms {
		workload := a.arm.Workload
		for name, i := range a.identities {
			likes[likeness{workload, name}] |= i.carried
		}
		if !workload.IsZero() {
			arms[a] = a.carried()
			workloads[workload] |= arms[a] & (markVersion | markPod)
		}
	}
	for _, a := range f.arms {
		workload := a.arm.Workload
		for name, i := range a.identities {
			i.carried |= arms[a] | workloads[workload]
			if name != "" {
				i.carried |= likes[likeness{workload, name}]
			}
		}
	}
}

// dropAnonymous drops the correct answers that lack what others carried, now that all were seen.
func (a *armDrops) dropAnonymous() {
	drop := func(l *lacking) {
		for route, n := range l.routes {
			route.Dropped += n
			a.dropped += n
			a.anonymous += n
		}
		for i := range l.found.Kept {
			l.found.Kept[i].Text = "dropped: " + l.found.Kept[i].Text
		}
		a.found.Merge(&l.found)
	}
	for _, i := range a.identities {
		i.wrong(drop)
	}
}

// dropLate drops an answer for each connection over which bytes came after it was whole: which it was is not recorded.
func (a *armDrops) dropLate() {
	for _, w := range a.arm.Windows {
		if w.Late == 0 {
			continue
		}
		a.dropped += w.Late
		a.found.Note(judge.Finding{At: w.Begin, Until: w.Until(), Arm: a.arm.Name, Class: history.ClassAmbiguous.String(), Text: "dropped: " + lateText(w)})
	}
}

// lateText says what is wrong with bytes after the end of an answer.
func lateText(w *timeline.Window) string {
	return fmt.Sprintf("bytes that nobody asked for came over %s after an answer was whole: it is longer than it said, or another request's",
		words.Plural(w.Late, "connection"))
}

func (a *armDrops) enter(index int) {
	a.window, a.deadline = index, a.arm.Deadline(index)
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
		a.note(h, "the harness failed: "+judge.WhyFailed(h))
		return aside
	case a.arm.Starved(h):
		a.harness++
		a.note(h, "the generator's own process did not run for as long as the deadline: "+judge.WhyFailed(h))
		return aside
	case a.excepted(h):
		a.injected++
		return aside
	case a.isLost(h):
		a.lost++
		return aside
	case h.End() > a.t.Known && h.Class == history.ClassApplication && h.Code != 0:
		a.undecided++
		a.note(h, "failed, and no event is left to say whether it was injected: "+judge.WhyFailed(h))
		return aside
	}
	a.dropped++
	a.unreached.add(h, a.deadline)
	a.note(h, "dropped: "+judge.WhyFailed(h))
	return dropped
}

func (a *armDrops) excepted(h *history.Hit) bool {
	i := a.excuses.Failure(h)
	if i != nil && i.Until == timeline.Never {
		a.unhealed++
	}
	return i != nil
}

func (a *armDrops) note(h *history.Hit, text string) {
	if a.found.Wants(h.At) {
		f := judge.HitFinding(h, text)
		f.Late, _ = explicable(h, a.deadline)
		a.found.Keep(f)
	}
}

// controlDrops folds the hits of an arm that nothing disturbs.
type controlDrops struct {
	arm          *timeline.Arm
	hits, failed uint64
	starved      uint64 // failed on the harness's own account; in no other number
	found        judge.Findings
	seconds      map[int64]bool      // of the run, in which a hit failed
	steps        map[int64]lossCount // by ingressStep of the run
	answered     moments
	identities   map[string]*identity // of its answers, by URL: it has few
}

func (c *controlDrops) Hit(h *history.Hit) {
	c.hits++
	c.answered.add(h)
	correct := !h.Failed() && !h.Unsent && h.Code != 0 && h.Latency <= c.arm.Deadline(h.Window)
	if !h.Unsent && h.Code != 0 {
		c.identityOf(h.URL).see(h, correct, nil)
	}
	starved := !correct && c.arm.Starved(h)
	if !starved {
		c.step(h, !correct && broughtNoAnswer(h))
	}
	switch {
	case correct:
		return
	case starved:
		c.starved++
		return
	}
	c.failed++
	c.seconds[int64(h.At/time.Second)] = true
	if c.found.Wants(h.At) {
		c.found.Keep(judge.HitFinding(h, controlToo+judge.WhyFailed(h)+pointsAtHarness))
	}
}

// step counts a hit by when it began.
func (c *controlDrops) step(h *history.Hit, lost bool) {
	n := c.steps[int64(h.At/ingressStep)]
	n.hits++
	if lost {
		n.lost++
	}
	c.steps[int64(h.At/ingressStep)] = n
}

const (
	controlToo      = "the control arm, which nothing disturbs, failed too: "
	pointsAtHarness = ": this points at the harness or the ingress"
)

func (c *controlDrops) identityOf(url string) *identity {
	of := c.identities[url]
	if of == nil {
		of = &identity{}
		c.identities[url] = of
	}
	return of
}

// failAnonymous fails the correct answers that lack what others carried, now that all were seen.
func (c *controlDrops) failAnonymous() {
	for _, of := range c.identities {
		of.wrong(func(l *lacking) {
			c.failed += l.found.Found
			for i := range l.found.Kept {
				f := &l.found.Kept[i]
				c.seconds[int64(f.At/time.Second)] = true
				f.Text = controlToo + f.Text + pointsAtHarness
			}
			c.found.Merge(&l.found)
		})
	}
}

func (c *controlDrops) failLate() {
	for _, w := range c.arm.Windows {
		if w.Late > 0 {
			c.failed += w.Late
			c.found.Note(judge.Finding{At: w.Begin, Until: w.Until(), Arm: c.arm.Name, Text: controlToo + lateText(w) + pointsAtHarness})
		}
	}
}

func (f *drops) Result() judge.Promise {
	var (
		p       judge.Promise
		sum     tally
		found   judge.Findings
		windows []*timeline.Window
	)
	gaps := map[*timeline.Window]time.Duration{}
	dark, ingress := f.dark(), f.ingressLost()
	f.shareIdentity()
	for _, a := range f.arms {
		a.sequence.finish()
		a.outages.finish()
		a.dropAnonymous()
		a.dropLate()
		a.blamePath(dark)
		a.limitLosses(dark, ingress)
		if a.masked > 0 {
			a.maskedBy = []string{fmt.Sprintf("arm %s: %s", a.arm.Name, words.Count(a.masked))}
		}
		sum.add(a.tally)
		found.Merge(&a.found)
		windows = append(windows, a.arm.Windows...)
		maps.Copy(gaps, a.outages.gaps)
		p.Figures = append(p.Figures, a.figures()...)
	}
	for _, c := range f.control {
		c.failAnonymous()
		c.failLate()
		sum.control += c.failed
		sum.harness += c.starved
		found.Merge(&c.found)
	}
	if sum.path > 0 {
		for _, path := range f.path {
			found.Note(path.finding(dark))
		}
	}
	f.blame(found.Kept)
	found.Into(&p)
	outages := f.outageFindings()
	p.Findings = append(p.Findings, outages...)
	slices.SortFunc(p.Findings, judge.CompareFindings)
	p.Found += uint64(len(outages))
	p.Hits, p.Dropped, p.Injected, p.Masked = sum.hits, sum.dropped, sum.injected, sum.masked
	if p.Dropped == 0 {
		p.Power = loadPower(sum.judged(), p.Hits-sum.unsent, timeline.LoadedTime(windows), outageSeen(gaps))
	}
	p.Verdict, p.Reason = sum.verdict(p.Power)
	if p.Verdict == judge.Pass {
		p.Reserve(sum.reservations())
		f.enough(&sum, &p)
	}
	p.Routes = routesOf(f.arms, f.budgets.FewestOfArm)
	return p
}

// enough takes the pass from a zero in too few hits.
func (f *drops) enough(sum *tally, p *judge.Promise) {
	if judged := sum.judged(); judged < f.budgets.Fewest {
		p.Verdict = judge.Inconclusive
		p.Reason = fmt.Sprintf("%s left to judge without a drop, %s needed for a zero to say something", words.Plural(judged, "hit"), words.Count(f.budgets.Fewest))
		return
	}
	for _, a := range f.arms {
		if judged := a.judged(); judged < f.budgets.FewestOfArm {
			p.Verdict = judge.Inconclusive
			p.Reason = fmt.Sprintf("arm %s: %s left to judge without a drop, %s needed for a zero to say something", a.arm.Name, words.Plural(judged, "hit"),
				words.Count(f.budgets.FewestOfArm))
			return
		}
	}
}

// verdict weighs the numbers; power is set when there are hits and none was dropped.
func (t *tally) verdict(power *judge.Power) (judge.Verdict, string) {
	switch {
	case t.dropped > 0 && t.control > 0:
		return judge.Fail, fmt.Sprintf("%s of %s dropped; the control arm failed %s, so look at the harness and the ingress first",
			words.Count(t.dropped), words.Plural(t.hits, "hit"), words.Plural(t.control, "time"))
	case t.dropped > 0:
		return judge.Fail, fmt.Sprintf("%s of %s dropped", words.Count(t.dropped), words.Plural(t.hits, "hit"))
	case t.hits == 0:
		return judge.Inconclusive, "no hit was recorded"
	case t.harness+t.unsent > 0:
		return judge.Inconclusive, fmt.Sprintf("%s failed in the harness itself, %s never sent", words.Plural(t.harness, "hit"), words.Count(t.unsent))
	case t.path > 0:
		return judge.Inconclusive, fmt.Sprintf("the path to the cluster was dead, before anything of the stack: %s without any answer meanwhile, or late by no longer than that, "+
			"go on the harness's account", words.Plural(t.path, "hit"))
	case t.control > 0:
		return judge.Inconclusive, fmt.Sprintf("the control arm, which nothing disturbs, failed %s: the harness or the ingress is at fault",
			words.Plural(t.control, "time"))
	case t.undecided > 0:
		return judge.Inconclusive, fmt.Sprintf("%s when no event is left to say whether it was injected", words.Plural(t.undecided, "failed hit"))
	case t.unseen:
		return judge.Inconclusive, fmt.Sprintf("%s to a fault that nobody plans, and changes of pods may be missing of the moment it began: what it took is not known",
			words.Plurals(t.lost, "hit was lost", "hits were lost"))
	case t.unhealed > 0:
		return judge.Inconclusive, fmt.Sprintf("%s excepted as injected by a disturbance that never healed", words.Plural(t.unhealed, "failed hit"))
	case t.injected == t.hits:
		return judge.Inconclusive, "every hit failed as injected: none is left to judge"
	case power == nil:
		return judge.Inconclusive, "every hit is excepted: none is left to judge"
	}
	return judge.Pass, power.Text
}

// reservations are the failures that a pass leaves out: those that Go's transport hid, those that a fault cost which nobody plans, and those that were injected.
func (t *tally) reservations() []string {
	var all []string
	if t.masked > 0 {
		all = append(all, fmt.Sprintf("%s only because Go's transport sent them again (%s)", words.Plurals(t.masked, "hit was answered", "hits were answered"), strings.Join(t.maskedBy, ", ")))
	}
	if t.lost > 0 {
		all = append(all, fmt.Sprintf("%s to a fault that nobody plans, as declared, counted apart", words.Plurals(t.lost, "hit was lost", "hits were lost")))
	}
	if t.injected > 0 {
		all = append(all, fmt.Sprintf("%s injected on purpose, counted apart", words.Plural(t.injected, "failure")))
	}
	return all
}

// dark is when the path to the cluster was dead.
func (f *drops) dark() []timeline.Span {
	answered := moments{}
	for _, a := range f.arms {
		answered.merge(a.answered)
	}
	for _, c := range f.control {
		answered.merge(c.answered)
	}
	var all []timeline.Span
	for _, p := range f.path {
		all = append(all, p.dark(f.t, answered)...)
	}
	return all
}

// blamePath puts what a dead path explains on the harness's account.
func (a *armDrops) blamePath(dark []timeline.Span) {
	a.path = a.unreached.explainedBy(dark)
	a.dropped -= a.path
	for i := range a.found.Kept {
		if f := &a.found.Kept[i]; (f.Bare || f.Late > 0) && underwayIn(f.At, f.Until, f.Late).explainedBy(dark) {
			f.Class = history.ClassHarness.String()
			f.Text = "the path to the cluster was dead, the harness's account: " + f.Text
		}
	}
	if a.path > 0 {
		a.outages.leaveOut(dark) // they are of the path, and no outages of the stack
	}
	a.routes.blamePath(dark)
}

// blame adds to a drop what else happened then: the disturbance that was on, and failures of the control arm.
func (f *drops) blame(found []judge.Finding) {
	for i := range found {
		finding := &found[i]
		finding.Evidence = append(finding.Evidence, duringOf(f.t, finding.At, finding.Until)...)
		if f.controlFailed(finding.Arm, finding.At) {
			finding.Evidence = append(finding.Evidence, "the control arm failed within a second of it: look at the harness and the ingress first")
		}
	}
}

// duringOf names the disturbances that were on in a time.
func duringOf(t *timeline.Timeline, from, until time.Duration) []string {
	var on []string
	for _, d := range t.Disturbances {
		if d.Began <= until && (d.Until() == timeline.Never || from <= d.Until()) {
			on = append(on, fmt.Sprintf("during %s, which began at %s", d.Label(), words.Span(d.Began)))
		}
	}
	return on
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
func (f *drops) outageFindings() []judge.Finding {
	var all []judge.Finding
	for _, a := range f.arms {
		o := a.outages.worst
		if o.hits < 2 {
			continue
		}
		text := fmt.Sprintf("arm %s: longest outage %s, %s in a row without a correct answer", a.arm.Name, words.Span(o.until-o.from), words.Plural(o.hits, "hit"))
		all = append(all, judge.Finding{At: o.from, Until: o.until, Arm: a.arm.Name, Hit: fmt.Sprintf("%s/%d", a.arm.Name, o.first), Class: "outage", Text: text})
	}
	return all
}

func (a *armDrops) figures() []judge.Figure {
	var gap time.Duration
	for _, g := range a.outages.gaps {
		gap = max(gap, g)
	}
	o := a.outages.worst
	figures := []judge.Figure{
		{Name: "hits, arm " + a.arm.Name, Value: float64(a.hits), Unit: "hits"},
		{Name: "dropped, arm " + a.arm.Name, Value: float64(a.dropped), Unit: "hits"},
		{Name: "injected, arm " + a.arm.Name, Value: float64(a.injected), Unit: "hits"},
		{Name: "masked by a silent retry, arm " + a.arm.Name, Value: float64(a.masked), Unit: "hits"},
		{Name: "longest outage, arm " + a.arm.Name, Value: (o.until - o.from).Seconds() * 1000, Unit: "ms"},
		{Name: "longest time without a whole hit, arm " + a.arm.Name, Value: gap.Seconds() * 1000, Unit: "ms"},
	}
	if len(a.losses) > 0 {
		figures = append(figures, judge.Figure{Name: "lost to a fault that nobody plans, arm " + a.arm.Name, Value: float64(a.lost), Unit: "hits"})
	}
	if a.anonymous > 0 {
		figures = append(figures, judge.Figure{Name: "answers without what others carry, arm " + a.arm.Name, Value: float64(a.anonymous), Unit: "hits"})
	}
	return figures
}
