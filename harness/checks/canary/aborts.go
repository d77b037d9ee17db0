package canary

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// The names of the checks.
const (
	SlugAbortsErrors  = "canary.aborts-on-errors"
	SlugAbortsLatency = "canary.aborts-on-latency"
	SlugAbortsCPU     = "canary.aborts-on-cpu"
	SlugAbortsLate    = "canary.aborts-late"
)

// AbortBudgets are the limits of the checks on aborts.
type AbortBudgets struct {
	Measurements int32         `json:"measurements"` // of the metric in question in an analysis that passed, at least
	Notice       time.Duration `json:"notice"`       // from the first bad answer of a release to its abort, at most
}

// DefaultAbortBudgets holds for scenarios that say nothing else.
func DefaultAbortBudgets() AbortBudgets {
	return AbortBudgets{Measurements: 2, Notice: 5 * time.Minute}
}

// regression is a way in which a release is bad on purpose, and how it must be found out.
type regression struct {
	slug, promise string
	proves        string // for the documentation: what a bad answer is, and what is proved besides
	metric, of    string // the metric that must fail, and what it measures
	bad           func(*history.Hit) bool
	what          string // of the answers that bad is true of, e.g. "failed answer"
	late          bool   // the fault shows after the first analysis only
}

// AbortsOnErrors takes a failed answer of the release for a bad one.
func AbortsOnErrors(s Strategy, b AbortBudgets, tolerance judge.Tolerance) judge.Check {
	return aborts(s, b, tolerance, regression{slug: SlugAbortsErrors, promise: "a release with too many errors is aborted by the error metric",
		metric: s.Metrics.Errors, of: "errors", bad: failedAnswer, what: "failed answer",
		proves: "A bad answer is a failed hit of the bad version."})
}

// AbortsOnLatency takes an answer for a bad one that takes as long as the strategy calls slow.
func AbortsOnLatency(s Strategy, b AbortBudgets, tolerance judge.Tolerance) judge.Check {
	return aborts(s, b, tolerance, regression{slug: SlugAbortsLatency, promise: "a release that is too slow is aborted by the latency metric",
		metric: s.Metrics.Latency, of: "latency", bad: func(h *history.Hit) bool { return h.Latency >= s.Slow }, what: "slow answer",
		proves: "A bad answer is one of the bad version that took `slow` or longer."}, s.slow())
}

// AbortsOnCPU takes the first answer of the release for the first bad one: burning CPU does not show in answers.
func AbortsOnCPU(s Strategy, b AbortBudgets, tolerance judge.Tolerance) judge.Check {
	return aborts(s, b, tolerance, regression{slug: SlugAbortsCPU, promise: "a release that burns too much CPU is aborted by the CPU metric",
		metric: s.Metrics.CPU, of: "CPU", bad: func(*history.Hit) bool { return true }, what: "answer",
		proves: "Burning CPU does not show in answers: the first one of the bad version is taken for the first bad one."})
}

// AbortsLate asks besides that the first analysis passed, and that the second one failed.
func AbortsLate(s Strategy, b AbortBudgets, tolerance judge.Tolerance) judge.Check {
	return aborts(s, b, tolerance, regression{slug: SlugAbortsLate, promise: "a fault that shows only later is caught by the second, longer analysis",
		metric: s.Metrics.Late, of: "errors that show only later", bad: failedAnswer, what: "failed answer", late: true,
		proves: "A bad answer is a failed hit of the bad version. The first analysis was Successful with at least `measurements` of the metric, " +
			"the second one failed by it, and the release had the second of `weights` until then."}, s.weights())
}

func failedAnswer(h *history.Hit) bool { return h.Class != history.ClassOK }

// docOfAborts is what all checks on aborts are worth.
func docOfAborts() judge.Doc {
	return judge.Doc{
		Proves: "Each release that is bad on purpose was aborted for the right reason: an AnalysisRun of it is Failed with the metric " +
			"in question Failed and measured; the Rollout, its status of the latest generation, is aborted since a moment, " +
			"Degraded, kept its stable ReplicaSet and gives the canary 0; the TraefikService that splits its traffic gives it 0 " +
			"too, where one is recorded; later than `propagation` after it no answer carries the bad version; and it came within " +
			"`notice` of the first bad answer. Figures: seconds from the release, and from the first bad answer, to the abort.",
		Cannot: "See traffic of the bad version in answers that carry no version.",
		Fails: "On any of these, also when an analysis ended in Error or Inconclusive: that aborts or pauses too, and finds nothing " +
			"about the release.",
		Inconclusive: "When another metric of that analysis failed too, or had no result: that tells nothing of the one in question, with fewer than 300 answers " +
			"after the abort, when no bad answer was seen, when the stable release has the same " +
			"version, or when the scenario does not say what the check needs to know.",
	}
}

// aborts asks for the whole of an abort, for the right reason: that the Rollout is Degraded alone is no evidence, for it also is
// when it is late or invalid, and an analysis that had no data aborts too.
func aborts(s Strategy, b AbortBudgets, tolerance judge.Tolerance, kind regression, needed ...said) judge.Check {
	doc := docOfAborts()
	doc.Proves += " " + kind.proves
	doc.Budgets = []any{b}
	return judge.Check{
		Slug:    kind.slug,
		Promise: kind.promise + ", in time, and gets no more traffic",
		Doc:     doc,
		Needs: []judge.Need{load.Carried,
			{What: "release of a Rollout that is bad on purpose", Met: func(t *timeline.Timeline) bool { return len(badReleases(t)) > 0 }}},
		Unsaid: unsaid(append(needed, metricSaid(kind.metric, kind.of))...),
		Rests:  append([]string{"traefikservices"}, canaryRests...),
		During: duringReleases,
		Late:   tolerance.Propagation,
		New: func(t *timeline.Timeline) judge.Fold {
			f := &abortion{t: t, strategy: s, budgets: b, tolerance: tolerance, kind: kind}
			all := t.Releases()
			for _, r := range badReleases(t) {
				f.trials = append(f.trials, trialOf(r, all, tolerance))
			}
			return f
		},
	}
}

// trial is a bad release, and from when to when its version must get no traffic.
type trial struct {
	*timeline.Release
	over, until time.Duration // the abort and the time until routers follow, and the next release; never without
}

func trialOf(r *timeline.Release, all []*timeline.Release, tolerance judge.Tolerance) trial {
	t := trial{Release: r, over: timeline.Never, until: timeline.Never}
	if at := r.Aborted(); at != timeline.Never {
		t.over = at + tolerance.Propagation
	}
	for _, next := range all {
		if next.Workload == r.Workload && next.Began > r.Began {
			t.until = min(t.until, next.Began)
		}
	}
	return t
}

type abortion struct {
	t         *timeline.Timeline
	strategy  Strategy
	budgets   AbortBudgets
	tolerance judge.Tolerance
	kind      regression
	trials    []trial
	arms      []*armAbort
}

type armAbort struct {
	t      *timeline.Timeline
	arm    *timeline.Arm
	trials []trial
	kind   *regression
	counts []abortCount // by trial
	found  judge.Findings
}

type abortCount struct {
	bad          time.Duration // end of the first bad answer; never without one
	evidence     string        // of it
	leaked, rest uint64        // answers after the abort: of the version, and of others
}

func (f *abortion) Arm(arm *timeline.Arm) judge.HitFold {
	if arm.Control {
		return nil
	}
	a := &armAbort{t: f.t, arm: arm, trials: f.trials, kind: &f.kind, counts: make([]abortCount, len(f.trials))}
	for i := range a.counts {
		a.counts[i].bad = timeline.Never
	}
	f.arms = append(f.arms, a)
	return judge.WhileKnown(f.t, a)
}

func (a *armAbort) Hit(h *history.Hit) {
	if h.Unsent || h.Version == "" {
		return
	}
	for i := range a.trials {
		r, n := &a.trials[i], &a.counts[i]
		if !a.t.Serves(a.arm, r.Workload) {
			continue
		}
		ours := a.t.Claims(&r.Identity, a.arm, h)
		if ours && h.End() >= r.Began && h.End() < n.bad && h.End() < r.until && a.kind.bad(h) {
			n.bad = h.End()
			n.evidence = fmt.Sprintf("first %s of version %s: hit %s/%d, status %d, %s", a.kind.what, h.Version, h.Arm, h.Seq, h.Code, words.Span(h.Latency))
		}
		switch {
		case h.At <= r.over || h.At >= r.until:
		case !ours:
			n.rest++
		default:
			n.leaked++
			a.leak(r, h)
		}
	}
}

func (a *armAbort) leak(r *trial, h *history.Hit) {
	if a.found.Wants(h.At) {
		f := judge.HitFinding(h, fmt.Sprintf("version %s still got traffic %s after its abort", h.Version, words.Span(h.At-r.Aborted())))
		f.Class = string(judge.Fail)
		a.found.Keep(f)
	}
}

func (f *abortion) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var texts []string
	for i := range f.trials {
		texts = append(texts, f.judge(i, &r, &p))
	}
	r.Into(&p, strings.Join(texts, "; "))
	return p
}

// sum adds up what the arms saw of one trial.
func (f *abortion) sum(i int) abortCount {
	n := abortCount{bad: timeline.Never}
	for _, a := range f.arms {
		c := &a.counts[i]
		n.leaked += c.leaked
		n.rest += c.rest
		if c.bad < n.bad {
			n.bad, n.evidence = c.bad, c.evidence
		}
	}
	return n
}

// judge rules on one release, and says in words what it did where nothing speaks against it.
func (f *abortion) judge(i int, r *judge.Ruling, p *judge.Promise) string {
	trial, n := &f.trials[i], f.sum(i)
	p.Hits += n.rest + n.leaked
	p.Dropped += n.leaked
	at := judge.Finding{At: trial.Began, Until: trial.End(f.t), Evidence: append([]string{timeline.StateText(trial.Last())}, trial.RunTexts()...)}
	if n.evidence != "" {
		at.Evidence = append(at.Evidence, n.evidence)
	}
	note := func(rule func(judge.Finding), format string, args ...any) {
		finding := at
		finding.Text = trial.Label() + ": " + fmt.Sprintf(format, args...)
		rule(finding)
	}
	if trial.Version == trial.StableVersion {
		note(r.Unsure, "the stable release has the same version: answers do not tell them apart")
		return ""
	}
	if promoted := trial.Promoted(); promoted != timeline.Never {
		note(r.Broken, "it is bad on purpose and was promoted %s after its beginning", words.Span(promoted-trial.Began))
		return ""
	}
	aborted := trial.Aborted()
	if aborted == timeline.Never {
		note(r.Missing, "it was not aborted")
		return ""
	}
	f.judgeCause(trial, r, note)
	f.judgeState(trial, r, note)
	f.judgeTraffic(trial, n, r, note)
	return f.judgeTime(trial, n, r, p, note)
}

// noteFunc rules on a trial in words.
type noteFunc func(rule func(judge.Finding), format string, args ...any)

// judgeCause asks for the analysis that failed, by the metric in question and by nothing else.
func (f *abortion) judgeCause(trial *trial, r *judge.Ruling, note noteFunc) {
	metric, caught := f.kind.metric, -1
	for i, run := range trial.Runs {
		o := run.Last()
		if o.Phase == "Error" || o.Phase == "Inconclusive" {
			note(r.Broken, "analysis %s is %s: that is no finding about the release (%s)", run.Name, o.Phase, o.Message)
		}
		if m := timeline.MetricOf(o, metric); o.Phase == "Failed" && m != nil && m.Phase == "Failed" && m.Count >= 1 {
			caught = i
			if others := failedToo(o, metric); len(others) > 0 {
				note(r.Unsure, "analysis %s failed by %s, and by %s too: it does not tell what was wrong", run.Name, metric, strings.Join(others, ", "))
			}
		}
	}
	if caught < 0 {
		note(r.Missing, "no analysis failed by the metric %s with a measurement", metric)
	}
	if f.kind.late {
		f.judgeLate(trial, r, note)
	}
}

// failedToo names the other metrics that an analysis did not pass: a release is bad in one way, and an analysis without data fails by
// several metrics at once.
func failedToo(o *resource.AnalysisRun, metric string) []string {
	var others []string
	for _, m := range o.Metrics {
		if m.Name != metric && slices.Contains([]string{"Failed", "Error", "Inconclusive"}, m.Phase) {
			others = append(others, m.Name)
		}
	}
	return others
}

// judgeLate asks that the first analysis passed, on enough measurements, and that it was the next one that failed.
func (f *abortion) judgeLate(trial *trial, r *judge.Ruling, note noteFunc) {
	runs, metric := trial.Release.StepRuns(), f.kind.metric
	if len(runs) < 2 {
		note(r.Missing, "it had %s, the second one must catch it", words.Plurals(uint64(len(runs)), "analysis", "analyses"))
		return
	}
	if first := runs[0].Last(); first.Phase != "Successful" {
		note(r.Missing, "the first analysis was %s, want Successful: the fault showed too early, or was none of the release", phaseText(first.Phase))
	} else if m := timeline.MetricOf(first, metric); m == nil || m.Count < f.budgets.Measurements {
		note(r.Broken, "the first analysis passed with fewer than %s of %s: it proves nothing", words.Plural(uint64(f.budgets.Measurements), "measurement"), metric)
	}
	if m := timeline.MetricOf(runs[1].Last(), metric); m == nil || m.Phase != "Failed" {
		note(r.Missing, "the second analysis did not fail by %s", metric)
	}
	want := f.strategy.Weights[min(1, len(f.strategy.Weights)-1)]
	if got := trial.WeightAt(trial.Aborted() - 1); got != want {
		note(r.Broken, "it was aborted at %d %%, want %d %%", got, want)
	}
}

// judgeState asks for one moment after the abort at which the Rollout tells of all of it.
func (f *abortion) judgeState(trial *trial, r *judge.Ruling, note noteFunc) {
	for _, s := range trial.States {
		if s.Object.StableRS != trial.Stable {
			note(r.Broken, "the stable ReplicaSet changed from %s to %s", trial.Stable, s.Object.StableRS)
			return
		}
		if w, _ := trial.Weight(&s.Object); w > 0 && s.At >= trial.over {
			note(r.Broken, "the Rollout gives it %d %% again %s after its abort", w, words.Span(s.At-trial.Aborted()))
			return
		}
	}
	if least := f.leastLacking(trial); len(least) > 0 {
		note(r.Missing, "it never was wholly aborted: %s", strings.Join(least, ", "))
	}
	f.judgeRouter(trial, r, note)
}

// leastLacking is what the state nearest to that of an aborted release lacks, the later one of two; nothing when one lacks nothing.
func (f *abortion) leastLacking(trial *trial) []string {
	var least []string
	for _, s := range trial.States {
		if !s.Object.Abort {
			continue
		}
		lacks := f.lacks(trial, &s.Object)
		if len(lacks) == 0 {
			return nil
		}
		if least == nil || len(lacks) <= len(least) {
			least = lacks
		}
	}
	return least
}

// lacks says what a state lacks to be that of an aborted release.
func (f *abortion) lacks(trial *trial, o *resource.Rollout) []string {
	var lacks []string
	ask := func(have bool, format string, args ...any) {
		if !have {
			lacks = append(lacks, fmt.Sprintf(format, args...))
		}
	}
	w, told := trial.Weight(o)
	ask(timeline.IsObserved(o), "its status is of generation %s, not %d", o.ObservedGeneration, o.Generation)
	ask(o.AbortedAt != "", "abortedAt is not set")
	ask(o.Phase == "Degraded", "its phase is %s, not Degraded", o.Phase)
	ask(told && w == 0, "its status does not tell of a canary weight of 0")
	return lacks
}

// judgeRouter asks the TraefikServices that split the traffic of the release, where there are any, for 0 and 100.
func (f *abortion) judgeRouter(trial *trial, r *judge.Ruling, note noteFunc) {
	w := trial.Last().Weights
	if w == nil || w.Canary.ServiceName == "" {
		return
	}
	for _, service := range f.t.Cluster.TraefikServices {
		o := service.At(trial.End(f.t))
		if o == nil || service.Namespace != trial.Workload.Namespace {
			continue
		}
		canary, found := weightIn(o, w.Canary.ServiceName)
		stable, _ := weightIn(o, w.Stable.ServiceName)
		if found && (canary != 0 || stable == 0) {
			note(r.Missing, "TraefikService %s gives it %d and the stable release %d, want 0 and 100", service.Name, canary, stable)
		}
	}
}

// weightIn is the weight of a child of a TraefikService. Traefik takes 1 where it is left out.
func weightIn(o *resource.TraefikService, name string) (weight int32, found bool) {
	for _, child := range o.Services {
		if child.Name == name {
			if child.Weight == nil {
				return 1, true
			}
			return *child.Weight, true
		}
	}
	return 0, false
}

// judgeTraffic asks who answered after the abort. The controller's word is no evidence: the router may not follow.
func (f *abortion) judgeTraffic(trial *trial, n abortCount, r *judge.Ruling, note noteFunc) {
	switch {
	case n.leaked > 0:
		note(r.Broken, "it answered %s later than %s after its abort", words.Plural(n.leaked, "hit"), words.Span(f.tolerance.Propagation))
		for _, a := range f.arms {
			r.Against.Merge(&a.found)
			a.found = judge.Findings{}
		}
	case n.rest < judge.Enough:
		note(r.Unsure, "%s later than %s after its abort, %d needed to see that it gets no traffic", words.Plural(n.rest, "answer"),
			words.Span(f.tolerance.Propagation), judge.Enough)
	}
}

func (f *abortion) judgeTime(trial *trial, n abortCount, r *judge.Ruling, p *judge.Promise, note noteFunc) string {
	aborted := trial.Aborted()
	p.Figures = append(p.Figures, judge.Figure{Name: "from the release of " + trial.Version + " to its abort", Value: (aborted - trial.Began).Seconds(), Unit: "s"})
	if n.bad == timeline.Never {
		note(r.Unsure, "no %s of it was seen: the injected fault did not show", f.kind.what)
		return ""
	}
	took := aborted - n.bad
	p.Figures = append(p.Figures, judge.Figure{Name: "from the first " + f.kind.what + " of " + trial.Version + " to its abort", Value: took.Seconds(), Unit: "s"})
	switch {
	case took < 0:
		note(r.Unsure, "it was aborted before its first %s was seen", f.kind.what)
	case took > f.budgets.Notice:
		note(r.Broken, "it was aborted %s after its first %s, at most %s allowed", words.Span(took), f.kind.what, words.Span(f.budgets.Notice))
	}
	p.Power = judge.ZeroPower(n.rest, "hits after the abort answered by version "+trial.Version)
	return fmt.Sprintf("%s was aborted by %s, %s after its first %s, and answered none of %s after it", trial.Label(), f.kind.metric,
		words.Span(took), f.kind.what, words.Plural(n.rest, "hit"))
}
