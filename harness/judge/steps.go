package judge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const slugSteps = "canary.steps"

// canaryRests is what every check on releases of Rollouts takes for complete.
var canaryRests = []string{"rollouts", "analysisruns", "replicasets"}

// duringReleases is from the first release to the end: what comes of a release shows until then.
func duringReleases(t *Timeline) Span {
	s := wholeRun(t)
	if releases := t.releases(); len(releases) > 0 {
		s.From = releases[0].Began
	}
	return s
}

// canarySteps holds the way of each release against the one that was asked for, as the Rollout and its AnalysisRuns tell it. A
// release that stopped on the way shows the beginning of it only.
func canarySteps(b Budgets) Check {
	return Check{
		Slug:    slugSteps,
		Promise: stepsPromise(b.Weights),
		Needs:   []Need{{What: "release of a Rollout", Met: func(t *Timeline) bool { return len(t.releases()) > 0 }}},
		Rests:   canaryRests,
		During:  duringReleases,
		Late:    b.Propagation,
		New:     func(t *Timeline) Fold { return &stepsTaken{t: t, budgets: b} },
	}
}

func stepsPromise(weights []int32) string {
	var words []string
	for i, w := range weights {
		analysis := "analysis"
		if i > 0 {
			analysis = "a longer analysis"
		}
		words = append(words, fmt.Sprintf("%d %%, %s", w, analysis))
	}
	return "a release goes by " + strings.Join(append(words, "100 %"), ", ") + ", in that order"
}

type stepsTaken struct {
	t       *Timeline
	budgets Budgets
}

func (f *stepsTaken) Arm(*Arm) HitFold { return nil }

func (f *stepsTaken) Result() Promise {
	var p Promise
	r := ruling{t: f.t}
	var whole uint64
	for _, release := range f.t.releases() {
		if release.Midway {
			r.unsure(f.t.since(release.Began, release.label()+" had begun before anybody watched"))
			continue
		}
		f.judge(release, &r, &p)
		if release.promoted() != Never {
			whole++
		}
	}
	if whole == 0 {
		r.unsure(f.t.since(0, "no release went the whole way: only the beginning of it was seen"))
	}
	r.into(&p, fmt.Sprintf("%s went by %s, each after its analysis", plural(whole, "release"), weightsText(f.budgets.Weights)))
	return p
}

// taken is one share that a release was given.
type taken struct {
	percent int32
	at      time.Duration
	until   time.Duration // the next share, or the promotion, or the abort, or the end
}

// sharesOf are the shares of a release up to its promotion or abort, without the 0 before the first and the 100 that is the
// promotion's own.
func sharesOf(r *Release) []taken {
	end := min(r.promoted(), r.aborted(), r.Until)
	var all []taken
	for _, s := range r.States {
		w, told := r.weight(&s.Object)
		if !told || s.At >= end || len(all) == 0 && w == 0 || len(all) > 0 && all[len(all)-1].percent == w {
			continue
		}
		if len(all) > 0 {
			all[len(all)-1].until = s.At
		}
		all = append(all, taken{percent: w, at: s.At, until: end})
	}
	if last := len(all) - 1; last >= 0 && all[last].percent == 100 {
		all = all[:last]
	}
	return all
}

func (f *stepsTaken) judge(release *Release, r *ruling, p *Promise) {
	shares, want := sharesOf(release), f.budgets.Weights
	var got []int32
	for _, s := range shares {
		got = append(got, s.percent)
	}
	at := Finding{At: release.Began, Until: release.end(f.t), Evidence: append(release.runTexts(), stateText(release.last()))}
	promoted := release.promoted() != Never
	if promoted && !slices.Equal(got, want) || len(got) > len(want) || !slices.Equal(got, want[:min(len(got), len(want))]) {
		at.Text = fmt.Sprintf("%s went by %s, want %s", release.label(), weightsText(got), weightsText(want))
		r.broken(at)
		return
	}
	runs := stepRuns(release)
	if promoted && len(runs) != len(want) {
		at.Text = fmt.Sprintf("%s was promoted after %s, want one after each of %s", release.label(), plurals(uint64(len(runs)), "analysis", "analyses"), weightsText(want))
		r.broken(at)
		return
	}
	var windows []time.Duration
	for i, share := range shares {
		left := promoted || i+1 < len(shares)
		if i >= len(runs) {
			if left {
				at.Text = fmt.Sprintf("%s went on from %d %% without an analysis", release.label(), share.percent)
				r.broken(at)
			}
			break
		}
		if window, ok := f.judgeRun(release, share, runs[i], left, r); ok {
			windows = append(windows, window)
		}
	}
	for i, window := range windows {
		p.Figures = append(p.Figures, Figure{Name: fmt.Sprintf("analysis at %d %% of %s", want[i], release.label()), Value: window.Seconds(), Unit: "s"})
		if i > 0 && float64(window) < longer*float64(windows[i-1]) {
			at.Text = fmt.Sprintf("%s: the analysis at %d %% took %s, the one before it %s: it must be longer (by %s at least)", release.label(),
				want[i], span(window), span(windows[i-1]), percent(longer-1))
			r.broken(at)
		}
	}
}

// longer is by how much an extended window must exceed the one before it: less may be chance.
const longer = 1.2

// judgeRun holds one analysis against the share it belongs to: it begins under it, and passes before the next. left says that
// the release went on from there. It returns the window of an analysis that passed.
func (f *stepsTaken) judgeRun(release *Release, share taken, run *Track[history.AnalysisRunObject], left bool, r *ruling) (time.Duration, bool) {
	began, ended, o := run.Seen[0].At, endOf(run), run.last()
	at := Finding{At: share.at, Until: f.t.clamp(share.until), Evidence: []string{runText(run)}}
	passed := ended != Never && o.Phase == "Successful"
	switch {
	case began < share.at-f.budgets.Watch || began >= share.until:
		at.Text = fmt.Sprintf("%s: analysis %s did not begin while the release had its %d %%", release.label(), run.Name, share.percent)
		r.broken(at)
	case left && ended == Never:
		at.Text = fmt.Sprintf("%s went on from %d %% though its analysis was %s", release.label(), share.percent, phaseText(o.Phase))
		r.missing(at)
	case left && !passed:
		at.Text = fmt.Sprintf("%s went on from %d %% though its analysis was %s", release.label(), share.percent, o.Phase)
		r.broken(at)
	case left && ended > share.until+f.budgets.Watch:
		at.Text = fmt.Sprintf("%s went on from %d %% before its analysis was over", release.label(), share.percent)
		r.broken(at)
	case passed && !measured(o):
		at.Text = fmt.Sprintf("%s: analysis %s passed without a measurement of each metric", release.label(), run.Name)
		r.broken(at)
	default:
		return ended - began, passed
	}
	return 0, false
}

// measured reports whether every metric of an analysis was measured: one that was ended early passes without (Argo Rollouts,
// assessMetricStatus).
func measured(o *history.AnalysisRunObject) bool {
	return len(o.Metrics) > 0 && !slices.ContainsFunc(o.Metrics, func(m history.MetricResult) bool { return m.Count < 1 })
}

// stepRuns are the analyses of a release that are steps of it, in order. Background analyses have no step.
func stepRuns(r *Release) []*Track[history.AnalysisRunObject] {
	return slices.DeleteFunc(slices.Clone(r.Runs), func(run *Track[history.AnalysisRunObject]) bool { return run.last().Step == "" })
}

func weightsText(weights []int32) string {
	var words []string
	for _, w := range weights {
		words = append(words, fmt.Sprintf("%d %%", w))
	}
	return strings.Join(append(words, "100 %"), ", ")
}

func phaseText(phase string) string {
	if phase == "" {
		return "not begun"
	}
	return phase
}

// plurals is plural for a noun that does not take an s.
func plurals(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
