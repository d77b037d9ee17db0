package judge

import (
	"cmp"
	"fmt"
	"slices"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
)

// Catalogue is every check there is, in the order they are reported in. One of them is Whole.
type Catalogue []Check

// UnknownCheckError is a slug that the catalogue does not hold.
type UnknownCheckError struct{ Slug string }

func (e *UnknownCheckError) Error() string { return fmt.Sprintf("there is no check %q", e.Slug) }

// Find returns the checks of the given slugs, as asked for: missing evidence is inconclusive. The error is *UnknownCheckError.
func (c Catalogue) Find(slugs ...string) ([]Check, error) {
	var found []Check
	for _, slug := range slugs {
		i := c.place(slug)
		if i == len(c) {
			return nil, &UnknownCheckError{Slug: slug}
		}
		found = append(found, c[i])
	}
	return found, nil
}

// For returns the checks that a recorded run was made for: those that run.json names, besides those that are always judged. A name
// from another version of rollproof is a check that is inconclusive, never left out.
func (c Catalogue) For(run history.Run) []Check {
	var checks []Check
	for _, slug := range run.Checks {
		found, err := c.Find(slug)
		if err != nil {
			found = []Check{unknown(slug)}
		}
		checks = append(checks, found...)
	}
	return c.withAlways(checks)
}

// withAlways adds the checks that nobody may leave out, and leaves out what is named twice.
func (c Catalogue) withAlways(given []Check) []Check {
	var checks []Check
	for _, check := range given {
		i := slices.IndexFunc(checks, func(c Check) bool { return c.Slug == check.Slug })
		if i < 0 {
			checks = append(checks, check)
			continue
		}
		checks[i].Optional = checks[i].Optional && check.Optional
	}
	for _, check := range c {
		if !check.Always || slices.ContainsFunc(checks, func(c Check) bool { return c.Slug == check.Slug }) {
			continue
		}
		check.Optional = true
		checks = append(checks, check)
	}
	slices.SortStableFunc(checks, func(x, y Check) int { return cmp.Compare(c.place(x.Slug), c.place(y.Slug)) })
	return checks
}

// place is where a check stands in the catalogue; behind it when it is in none.
func (c Catalogue) place(slug string) int {
	if i := slices.IndexFunc(c, func(c Check) bool { return c.Slug == slug }); i >= 0 {
		return i
	}
	return len(c)
}

func unknown(slug string) Check {
	return Check{Slug: slug, Promise: "a promise that this rollproof does not know", New: func(*timeline.Timeline) Fold { return unknownFold{} }}
}

type unknownFold struct{}

func (unknownFold) Result() Promise {
	return Promise{Verdict: Inconclusive, Reason: "the run was recorded for a check that this rollproof does not know: use the version that recorded it"}
}
