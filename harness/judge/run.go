package judge

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
	"golang.org/x/sync/errgroup"
)

// Run judges a record by the given checks and by those of the catalogue that are always judged. Hits are read once, whatever the
// number of checks, with the arms side by side. A record that is damaged or cut short is no error: it is judged inconclusive.
func Run(ctx context.Context, h *history.History, catalogue Catalogue, checks []Check) (Result, error) {
	checks = catalogue.withAlways(checks)
	if !slices.ContainsFunc(checks, func(c Check) bool { return c.Whole }) {
		return Result{}, fmt.Errorf("judge the run in %s: no check asks whether the record is whole: nothing would be proved", h.Dir())
	}
	t, err := timeline.Read(h)
	if err != nil {
		return Result{}, err
	}
	var judged []*judging
	for _, check := range checks {
		judged = append(judged, begin(check, t))
	}
	foldEvents(h, judged)
	damage, err := foldHits(ctx, h, t, judged)
	if err != nil {
		return Result{}, fmt.Errorf("judge the run in %s: %w", h.Dir(), err)
	}
	t.Damage = append(t.Damage, damage...)
	return conclude(t, judged), nil
}

// judging is one check at work on one record. fold is nil when its needs are unmet.
type judging struct {
	check Check
	fold  Fold
	unmet string
}

func begin(check Check, t *timeline.Timeline) *judging {
	j := &judging{check: check}
	var unmet []string
	for _, need := range check.Needs {
		if !need.Met(t) {
			unmet = append(unmet, need.What)
		}
	}
	switch {
	case len(unmet) > 0:
		j.unmet = "the record holds no " + strings.Join(unmet, ", no ")
		return j
	case len(check.Unsaid) > 0:
		j.unmet = "the scenario does not say " + strings.Join(check.Unsaid, ", nor ")
		return j
	}
	j.fold = check.New(t)
	return j
}

// foldEvents streams the events through the checks that ask for them. What is damaged the Timeline has found already.
func foldEvents(h *history.History, judged []*judging) {
	var folds []EventFold
	for _, j := range judged {
		if fold, ok := j.fold.(EventFold); ok {
			folds = append(folds, fold)
		}
	}
	if len(folds) == 0 {
		return
	}
	for e, err := range h.Events() {
		if err != nil {
			return
		}
		for _, fold := range folds {
			fold.Event(&e)
		}
	}
}

// foldHits streams the hits of every arm through every check. What is damaged is returned in the order of the arms.
func foldHits(ctx context.Context, h *history.History, t *timeline.Timeline, judged []*judging) ([]history.Damage, error) {
	damage := make([][]history.Damage, len(t.Arms))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, arm := range t.Arms {
		var folds []HitFold
		for _, j := range judged {
			folder, ok := j.fold.(HitFolder)
			if !ok {
				continue
			}
			if fold := folder.Arm(arm); fold != nil {
				folds = append(folds, fold)
			}
		}
		group.Go(func() error {
			return foldArm(ctx, h, arm.Name, folds, &damage[i])
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(damage...), nil
}

func foldArm(ctx context.Context, h *history.History, arm string, folds []HitFold, damage *[]history.Damage) error {
	for hit, err := range h.Hits(arm) {
		if err != nil {
			*damage = append(*damage, timeline.AsDamage(err))
			return nil
		}
		for _, fold := range folds {
			fold.Hit(hit)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// conclude asks every check for its result and ranks them. A record that is whole says nothing by itself: without another promise
// that was judged, the run is inconclusive.
func conclude(t *timeline.Timeline, judged []*judging) Result {
	r := Result{Damage: t.Damage, Record: t.Sum, Unprotected: t.Unprotected}
	whole, worst := true, Skipped
	for _, j := range judged {
		p := j.result(t)
		r.Promises = append(r.Promises, p)
		whole = whole && (!j.check.Whole || p.Verdict == Pass)
		if !j.check.Whole || p.Verdict != Pass {
			worst = Worse(worst, p.Verdict)
		}
	}
	if !whole {
		spoil(r.Promises)
		worst = Worse(worst, Inconclusive)
	}
	if worst == Skipped {
		worst = Inconclusive
	}
	spoilRoutes(r.Promises, whole)
	r.Verdict = worst
	slices.SortStableFunc(r.Promises, func(a, b Promise) int { return cmp.Compare(b.Verdict.Rank(), a.Verdict.Rank()) })
	return r
}

func (j *judging) result(t *timeline.Timeline) Promise {
	var p Promise
	switch {
	case j.fold != nil:
		p = j.fold.Result()
		p.admitGaps(t.GapsOver(j.check.Rests, j.check.during(t)), j.check.Late)
	case j.check.Optional:
		p = Promise{Verdict: Skipped, Reason: j.unmet}
	default:
		p = Promise{Verdict: Inconclusive, Reason: j.unmet}
	}
	p.Slug, p.Text = j.check.Slug, j.check.Promise
	if p.Findings == nil {
		p.Findings = []Finding{}
	}
	p.Found = max(p.Found, uint64(len(p.Findings)))
	return p
}

// spoil takes the green from every promise when the record is not whole: what is missing may hold the failure.
func spoil(promises []Promise) {
	for i := range promises {
		if p := &promises[i]; p.Verdict == Pass {
			p.Verdict = Inconclusive
			p.Reason = "the record is not complete; what is left of it shows no failure: " + p.Reason
		}
	}
}

// Worse is the worse of two verdicts: several runs are as good as the worst of them.
func Worse(a, b Verdict) Verdict {
	if b.Rank() > a.Rank() {
		return b
	}
	return a
}

// Rank orders verdicts: a run is as good as its worst promise.
func (v Verdict) Rank() int {
	switch v {
	case Skipped:
		return 0
	case Pass:
		return 1
	case Inconclusive:
		return 2
	}
	return 3
}
