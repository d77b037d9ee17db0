package canary

import (
	"fmt"
	"slices"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugPromotes is the name of the check.
const SlugPromotes = "canary.promotes-good"

// PromotesGood asks two things of every release that is not bad on purpose: that it became the stable one, and that meanwhile
// no request was dropped, which is judged as load.zero-dropped does.
func PromotesGood(b load.DroppedBudgets, tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugPromotes,
		Promise: "a good version reaches 100 % with no dropped request",
		Doc: judge.Doc{
			Proves: "Each release that no disturbance made bad became the stable one (phase Healthy, status of the latest generation, " +
				"stable and current hash the new one) and still is when it was last seen, and nothing was dropped in the run, judged as " +
				"in `load.zero-dropped`.",
			Fails:        "When one was aborted at any time, is Degraded, was taken back before, or was not promoted and Healthy, or on a dropped request.",
			Inconclusive: "As `load.zero-dropped`, or when the run was interrupted before the promotion.",
		},
		Needs: []judge.Need{load.Carried,
			{What: "release of a Rollout that is not bad on purpose", Met: func(t *timeline.Timeline) bool { return len(goodReleases(t)) > 0 }}},
		Rests:  canaryRests,
		During: duringReleases,
		Late:   tolerance.Propagation,
		New: func(t *timeline.Timeline) judge.Fold {
			drops := load.ZeroDropped(b, tolerance).New(t)
			return &promotes{t: t, drops: drops, HitFolder: drops.(judge.HitFolder)}
		},
	}
}

type promotes struct {
	judge.HitFolder            // of load.zero-dropped
	drops           judge.Fold // load.zero-dropped itself
	t               *timeline.Timeline
}

func (f *promotes) Result() judge.Promise {
	p := f.drops.Result()
	dropVerdict, dropReason, dropFindings, dropFound := p.Verdict, p.Reason, p.Findings, p.Found
	r := judge.Ruling{Timeline: f.t}
	good := goodReleases(f.t)
	for _, release := range good {
		f.judge(release, &r, &p)
	}
	r.Into(&p, fmt.Sprintf("%s Healthy and stable; %s", words.Plural(uint64(len(good)), "release"), dropReason))
	p.Findings = append(p.Findings, dropFindings...)
	slices.SortFunc(p.Findings, judge.CompareFindings)
	p.Found += dropFound
	if dropVerdict.Rank() > p.Verdict.Rank() {
		p.Verdict, p.Reason = dropVerdict, dropReason
	}
	return p
}

func (f *promotes) judge(release *timeline.Release, r *judge.Ruling, p *judge.Promise) {
	at := judge.Finding{At: release.Began, Until: release.End(f.t), Evidence: append([]string{timeline.StateText(release.Last())}, release.RunTexts()...)}
	last := release.Last()
	switch healthy := release.Healthy(); {
	case release.Aborted() != timeline.Never && !last.Abort:
		at.Text = release.Label() + " was aborted, though nothing is wrong with it; whoever had it go on later did what the strategy did not"
		r.Broken(at)
	case healthy != timeline.Never && last.StableRS == release.Hash && !last.Abort && last.Phase != "Degraded":
		p.Figures = append(p.Figures, judge.Figure{Name: "time to the promotion of " + release.Label(), Value: (release.Promoted() - release.Began).Seconds(), Unit: "s"},
			judge.Figure{Name: "time until Healthy of " + release.Label(), Value: (healthy - release.Began).Seconds(), Unit: "s"})
	case last.Abort:
		at.Text = release.Label() + " was aborted, though nothing is wrong with it"
		r.Broken(at)
	case last.Phase == "Degraded":
		at.Text = release.Label() + " is Degraded: " + last.Message
		r.Broken(at)
	case release.Until != timeline.Never:
		at.Text = release.Label() + " was replaced before it was promoted and Healthy"
		r.Broken(at)
	case release.Promoted() != timeline.Never:
		at.Text = release.Label() + " was promoted and did not become Healthy"
		r.Missing(at)
	default:
		at.Text = release.Label() + " was not promoted"
		r.Missing(at)
	}
}
