package canary

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugSteps is the name of the check.
const SlugSteps = "canary.steps"

// Steps holds the way of each release against the one that was asked for, as the Rollout and its AnalysisRuns tell it. A
// release that stopped on the way shows the beginning of it only.
func Steps(s Strategy, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugSteps,
		Promise: stepsPromise(s.Weights),
		Doc: judge.Doc{
			Proves: "Each release of a Rollout was given the shares of `weights`, one after another, and then everything; in each share one " +
				"AnalysisRun began, measured every metric and was Successful before the next; and each analysis took at least 1.2 times " +
				"as long as the one before. It goes by the status of the Rollout and by the AnalysisRuns that are steps; background " +
				"analyses do not count.",
			Cannot: "See whether the router followed; `canary.traffic-share` does. Where two watches tell in another order within `watch` " +
				"it is no fault.",
			Fails: "On a share that is skipped, added or another, an analysis that is missing, did not pass, came too early or too late, " +
				"or is no longer than the one before.",
			Inconclusive: "When no release went the whole way, or one had begun before anybody watched; and when the scenario does not say the " +
				"weights.",
		},
		Needs:  []judge.Need{{What: "release of a Rollout", Met: func(t *timeline.Timeline) bool { return len(t.Releases()) > 0 }}},
		Unsaid: unsaid(s.weights()),
		Rests:  canaryRests,
		During: duringReleases,
		Late:   tolerance.Propagation,
		New: func(t *timeline.Timeline) judge.Fold {
			return &stepsTaken{t: t, weights: s.Weights, tolerance: tolerance}
		},
	}
}

func stepsPromise(weights []int32) string {
	if len(weights) == 0 {
		return "a release goes by the shares of the strategy, an analysis after each, longer than the one before, in that order"
	}
	var parts []string
	for i, w := range weights {
		analysis := "analysis"
		if i > 0 {
			analysis = "a longer analysis"
		}
		parts = append(parts, fmt.Sprintf("%d %%, %s", w, analysis))
	}
	return "a release goes by " + strings.Join(append(parts, "100 %"), ", ") + ", in that order"
}

type stepsTaken struct {
	t         *timeline.Timeline
	weights   []int32
	tolerance judge.Tolerance
}

func (f *stepsTaken) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var whole uint64
	for _, release := range f.t.Releases() {
		if release.Midway {
			r.Unsure(judge.FindingSince(f.t, release.Began, release.Label()+" had begun before anybody watched"))
			continue
		}
		f.judge(release, &r, &p)
		if release.Promoted() != timeline.Never {
			whole++
		}
	}
	if whole == 0 {
		r.Unsure(judge.FindingSince(f.t, 0, "no release went the whole way: only the beginning of it was seen"))
	}
	r.Into(&p, fmt.Sprintf("%s went by %s, each after its analysis", words.Plural(whole, "release"), weightsText(f.weights)))
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
func sharesOf(r *timeline.Release) []taken {
	end := min(r.Promoted(), r.Aborted(), r.Until)
	var all []taken
	for _, s := range r.States {
		w, told := r.Weight(&s.Object)
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

func (f *stepsTaken) judge(release *timeline.Release, r *judge.Ruling, p *judge.Promise) {
	shares, want := sharesOf(release), f.weights
	var got []int32
	for _, s := range shares {
		got = append(got, s.percent)
	}
	at := judge.Finding{At: release.Began, Until: release.End(f.t), Evidence: append(release.RunTexts(), timeline.StateText(release.Last()))}
	promoted := release.Promoted() != timeline.Never
	if promoted && !slices.Equal(got, want) || len(got) > len(want) || !slices.Equal(got, want[:min(len(got), len(want))]) {
		at.Text = fmt.Sprintf("%s went by %s, want %s", release.Label(), weightsText(got), weightsText(want))
		r.Broken(at)
		return
	}
	runs := release.StepRuns()
	if promoted && len(runs) != len(want) {
		at.Text = fmt.Sprintf("%s was promoted after %s, want one after each of %s", release.Label(), words.Plurals(uint64(len(runs)), "analysis", "analyses"), weightsText(want))
		r.Broken(at)
		return
	}
	var windows []time.Duration
	for i, share := range shares {
		left := promoted || i+1 < len(shares)
		if i >= len(runs) {
			if left {
				at.Text = fmt.Sprintf("%s went on from %d %% without an analysis", release.Label(), share.percent)
				r.Broken(at)
			}
			break
		}
		if window, ok := f.judgeRun(release, share, runs[i], left, r); ok {
			windows = append(windows, window)
		}
	}
	for i, window := range windows {
		p.Figures = append(p.Figures, judge.Figure{Name: fmt.Sprintf("analysis at %d %% of %s", want[i], release.Label()), Value: window.Seconds(), Unit: "s"})
		if i > 0 && float64(window) < longer*float64(windows[i-1]) {
			at.Text = fmt.Sprintf("%s: the analysis at %d %% took %s, the one before it %s: it must be longer (by %s at least)", release.Label(),
				want[i], words.Span(window), words.Span(windows[i-1]), words.Percent(longer-1))
			r.Broken(at)
		}
	}
}

// longer is by how much an extended window must exceed the one before it: less may be chance.
const longer = 1.2

// judgeRun holds one analysis against the share it belongs to: it begins under it, and passes before the next. left says that
// the release went on from there. It returns the window of an analysis that passed.
func (f *stepsTaken) judgeRun(release *timeline.Release, share taken, run *timeline.Track[resource.AnalysisRun], left bool, r *judge.Ruling) (time.Duration, bool) {
	began, ended, o := run.Seen[0].At, timeline.RunEnd(run), run.Last()
	at := judge.Finding{At: share.at, Until: f.t.Clamp(share.until), Evidence: []string{timeline.RunText(run)}}
	passed := ended != timeline.Never && o.Phase == "Successful"
	switch {
	case began < share.at-f.tolerance.Watch || began >= share.until:
		at.Text = fmt.Sprintf("%s: analysis %s did not begin while the release had its %d %%", release.Label(), run.Name, share.percent)
		r.Broken(at)
	case left && ended == timeline.Never:
		at.Text = fmt.Sprintf("%s went on from %d %% though its analysis was %s", release.Label(), share.percent, phaseText(o.Phase))
		r.Missing(at)
	case left && !passed:
		at.Text = fmt.Sprintf("%s went on from %d %% though its analysis was %s", release.Label(), share.percent, o.Phase)
		r.Broken(at)
	case left && ended > share.until+f.tolerance.Watch:
		at.Text = fmt.Sprintf("%s went on from %d %% before its analysis was over", release.Label(), share.percent)
		r.Broken(at)
	case passed && !measured(o):
		at.Text = fmt.Sprintf("%s: analysis %s passed without a measurement of each metric", release.Label(), run.Name)
		r.Broken(at)
	default:
		return ended - began, passed
	}
	return 0, false
}

// measured reports whether every metric of an analysis was measured: one that was ended early passes without (Argo Rollouts,
// assessMetricStatus).
func measured(o *resource.AnalysisRun) bool {
	return len(o.Metrics) > 0 && !slices.ContainsFunc(o.Metrics, func(m resource.MetricResult) bool { return m.Count < 1 })
}

func weightsText(weights []int32) string {
	var parts []string
	for _, w := range weights {
		parts = append(parts, fmt.Sprintf("%d %%", w))
	}
	return strings.Join(append(parts, "100 %"), ", ")
}

func phaseText(phase string) string {
	if phase == "" {
		return "not begun"
	}
	return phase
}
