package judge

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const slugPromotes = "canary.promotes-good"

// promotesGood asks two things of every release that is not bad on purpose: that it became the stable one, and that meanwhile
// no request was dropped, which is judged as load.zero-dropped does.
func promotesGood(b Budgets) Check {
	return Check{
		Slug:    slugPromotes,
		Promise: "a good version reaches 100 % with no dropped request",
		Needs: []Need{carriesLoad,
			{What: "release of a Rollout that is not bad on purpose", Met: func(t *Timeline) bool { return len(goodReleases(t)) > 0 }}},
		Rests:  canaryRests,
		During: duringReleases,
		Late:   b.Propagation,
		New:    func(t *Timeline) Fold { return &promotes{t: t, Fold: zeroDropped().New(t)} },
	}
}

func goodReleases(t *Timeline) []*Release {
	return slices.DeleteFunc(t.releases(), func(r *Release) bool { return r.injected(t) })
}

type promotes struct {
	Fold // of load.zero-dropped
	t    *Timeline
}

func (f *promotes) Result() Promise {
	p := f.Fold.Result()
	dropVerdict, dropReason, dropFindings, dropFound := p.Verdict, p.Reason, p.Findings, p.Found
	r := ruling{t: f.t}
	good := goodReleases(f.t)
	for _, release := range good {
		f.judge(release, &r, &p)
	}
	r.into(&p, fmt.Sprintf("%s Healthy and stable; %s", plural(uint64(len(good)), "release"), dropReason))
	p.Findings = append(p.Findings, dropFindings...)
	slices.SortFunc(p.Findings, compareFindings)
	p.Found += dropFound
	if dropVerdict.rank() > p.Verdict.rank() {
		p.Verdict, p.Reason = dropVerdict, dropReason
	}
	return p
}

func (f *promotes) judge(release *Release, r *ruling, p *Promise) {
	at := Finding{At: release.Began, Until: release.end(f.t), Evidence: append([]string{stateText(release.last())}, release.runTexts()...)}
	last := release.last()
	switch healthy := release.healthy(); {
	case healthy != Never && last.StableRS == release.Hash && !last.Abort && last.Phase != "Degraded":
		p.Figures = append(p.Figures, Figure{Name: "time to the promotion of " + release.label(), Value: (release.promoted() - release.Began).Seconds(), Unit: "s"},
			Figure{Name: "time until Healthy of " + release.label(), Value: (healthy - release.Began).Seconds(), Unit: "s"})
	case last.Abort:
		at.Text = release.label() + " was aborted, though nothing is wrong with it"
		r.broken(at)
	case last.Phase == "Degraded":
		at.Text = release.label() + " is Degraded: " + last.Message
		r.broken(at)
	case release.Until != Never:
		at.Text = release.label() + " was replaced before it was promoted and Healthy"
		r.broken(at)
	case release.promoted() != Never:
		at.Text = release.label() + " was promoted and did not become Healthy"
		r.missing(at)
	default:
		at.Text = release.label() + " was not promoted"
		r.missing(at)
	}
}

// healthy is when the controller, having seen the latest generation, told that the release is all there is; never when it did
// not.
func (r *Release) healthy() time.Duration {
	for _, s := range r.States {
		if o := &s.Object; o.Phase == "Healthy" && isObserved(o) && o.StableRS == r.Hash && o.CurrentPodHash == r.Hash && !o.Abort {
			return s.At
		}
	}
	return Never
}

// isObserved reports whether a Rollout's status is about its latest generation.
func isObserved(o *history.RolloutObject) bool {
	return o.ObservedGeneration == strconv.FormatInt(o.Generation, 10)
}
