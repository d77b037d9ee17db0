package judge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Check is one promise and the way a record is judged by it.
type Check struct {
	Slug    string // as in requirements: area.promise
	Promise string // what is promised, in words
	// Optional makes a check whose needs are unmet skipped, with the reason. Without it the promise was asked for, and missing
	// evidence is inconclusive.
	Optional bool
	Needs    []Need
	// Rests names the resources, as in history.Change, whose watches the check takes for complete. A gap in one of them makes
	// it inconclusive; During is the time that counts, that of the load when nil.
	Rests  []string
	During func(*Timeline) Span
	Late   time.Duration // by how much changes may be recorded late all the same, when none was lost
	// New starts judging one record. It is called when every event was read and no hit yet.
	New func(*Timeline) Fold
}

func (c *Check) during(t *Timeline) Span {
	if c.During == nil {
		return underLoad(t)
	}
	return c.During(t)
}

// Need is something a record must hold before a check can say anything.
type Need struct {
	What string // e.g. "a disturbance that began"
	Met  func(*Timeline) bool
}

// Fold judges one promise in one pass over the hits.
type Fold interface {
	// Arm starts folding the hits of one arm, or returns nil when the check does not look at them. Arms are folded side by
	// side: what Arm returns must share nothing that changes with that of another arm.
	Arm(*Arm) HitFold
	// Result is called once, when all hits of all arms were folded. Slug, Text and, with Findings, order and bounds are filled
	// in by Run.
	Result() Promise
}

// EventFold is a Fold that needs more of the events than the Timeline holds, such as the objects of changes, or evictions. It takes
// all of them, in the order they were recorded, before the first hit. An event is valid during the call only.
type EventFold interface {
	Event(*history.Event)
}

// HitFold takes the hits of one arm in the order they ended in. A hit is valid during the call only.
type HitFold interface {
	Hit(*history.Hit)
}

// All is the catalogue of checks with the given budgets, in the order they are reported in.
func All(b Budgets) []Check {
	return []Check{
		recordComplete(),
		loadHeld(b),
		zeroDropped(),
		disruptionLanded(),
		trafficShare(b),
		blastRadius(b),
		canarySteps(b),
		promotesGood(b),
		abortsOnErrors(b),
		abortsOnLatency(b),
		abortsOnCPU(b),
		abortsLate(b),
		noDataNoPromote(b),
		readiness(b),
		graceful(b),
		pdbHonoured(b),
		pdbNoDeadlock(b),
		stackHealed(b),
	}
}

// alwaysJudged are in every result, asked for or not. All but the first are skipped where they do not apply: the run carries no
// load, or disturbs nothing and never meant to, or has no cluster.
var alwaysJudged = []string{slugComplete, slugHeld, slugDropped, slugLanded, slugHealed}

// UnknownCheckError is a slug that the catalogue does not hold.
type UnknownCheckError struct{ Slug string }

func (e *UnknownCheckError) Error() string { return fmt.Sprintf("there is no check %q", e.Slug) }

// Find returns the checks of the given slugs, as asked for: missing evidence is inconclusive. The error is *UnknownCheckError.
func Find(all []Check, slugs ...string) ([]Check, error) {
	var found []Check
	for _, slug := range slugs {
		i := slices.IndexFunc(all, func(c Check) bool { return c.Slug == slug })
		if i < 0 {
			return nil, &UnknownCheckError{Slug: slug}
		}
		found = append(found, all[i])
	}
	return found, nil
}

// Recorded judges a record by the checks that it was made for.
func Recorded(ctx context.Context, h *history.History) (Result, error) {
	checks, err := For(h.Run())
	if err != nil {
		return Result{}, err
	}
	return Run(ctx, h, checks)
}

// For returns the checks that a recorded run was made for, with its own budgets: those that run.json names, besides those
// that are always judged. A name from another version of rollproof is a check that is inconclusive, never left out.
func For(run history.Run) ([]Check, error) {
	budgets, err := BudgetsOf(run)
	if err != nil {
		return nil, err
	}
	all := All(budgets)
	var checks []Check
	for _, slug := range run.Checks {
		found, err := Find(all, slug)
		if err != nil {
			found = []Check{unknown(slug)}
		}
		checks = append(checks, found...)
	}
	return withAlways(checks, all), nil
}

// withAlways adds the checks that nobody may leave out, and leaves out what is named twice.
func withAlways(given, all []Check) []Check {
	var checks []Check
	for _, check := range given {
		i := slices.IndexFunc(checks, func(c Check) bool { return c.Slug == check.Slug })
		if i < 0 {
			checks = append(checks, check)
			continue
		}
		checks[i].Optional = checks[i].Optional && check.Optional
	}
	for _, slug := range alwaysJudged {
		if slices.ContainsFunc(checks, func(c Check) bool { return c.Slug == slug }) {
			continue
		}
		i := slices.IndexFunc(all, func(c Check) bool { return c.Slug == slug })
		check := all[i]
		check.Optional = true
		checks = append(checks, check)
	}
	slices.SortStableFunc(checks, func(a, b Check) int { return cmp.Compare(place(all, a), place(all, b)) })
	return checks
}

// place is where a check stands in the catalogue; behind it when it is in none.
func place(all []Check, check Check) int {
	if i := slices.IndexFunc(all, func(c Check) bool { return c.Slug == check.Slug }); i >= 0 {
		return i
	}
	return len(all)
}

func unknown(slug string) Check {
	return Check{Slug: slug, Promise: "a promise that this rollproof does not know", New: func(*Timeline) Fold { return unknownFold{} }}
}

type unknownFold struct{}

func (unknownFold) Arm(*Arm) HitFold { return nil }

func (unknownFold) Result() Promise {
	return Promise{Verdict: Inconclusive, Reason: "the run was recorded for a check that this rollproof does not know: use the version that recorded it"}
}
