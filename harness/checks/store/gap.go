package store

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// Election is the check that a store elects another leader, and that nobody waits for it for too long.
type Election struct {
	Slug, Promise string
	Store         string
	Gap           time.Duration // without an acknowledged write, at the most
	Settles       time.Duration // how long after a disturbance the election may come
	Budgets       LedgerBudgets
	DocBudgets    []any // the values that hold Gap and Settles
}

// Check makes it.
func (c Election) Check() judge.Check {
	return judge.Check{
		Slug:    c.Slug,
		Promise: c.Promise,
		Doc: judge.Doc{
			Proves: "While the ledger's writer wrote, the store named another leader than before, from the beginning of a disturbance that reached it until shortly after it had " +
				"landed, where the one before was among the pods that it tells of, and named one at the end. No time without an acknowledged write was longer than the budget, from one acknowledgement to the next, for writes that did " +
				"not wait for one another.",
			Cannot: "See a leader that was there between two looks of the writer, which it takes several times a second.",
			Fails:  "When writes were not acknowledged for longer than the budget, or no leader was named at the end.",
			Inconclusive: "When no other leader was named then: whoever went was not the leader, and nothing was elected. When the writer's own process did not run, or " +
				"no write was under way, for so much of a time without an acknowledged write that the rest is within the budget; and when the ledger is not whole, as above.",
			Budgets: c.DocBudgets,
		},
		Needs: []judge.Need{Written(c.Store), disturbed},
		New:   func(t *timeline.Timeline) judge.Fold { return electionFold{c, t} },
	}
}

type electionFold struct {
	Election
	t *timeline.Timeline
}

func (f electionFold) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var acked uint64
	var elected int
	var longest timeline.Span
	for _, l := range f.t.LedgersOf(f.Store) {
		f.gaps(l, &r)
		f.leaders(l, &r)
		f.Budgets.sound(f.t, l, &r)
		acked += l.Acked
		elected += len(l.Elections())
		if g := l.Longest(); g.Length() > longest.Length() {
			longest = g
		}
	}
	r.Into(&p, fmt.Sprintf("%s; %s at the most without an acknowledged write, of %s", words.Plural(uint64(elected), "new leader"), words.Span(longest.Length()),
		words.Plural(acked, "acknowledged write")))
	p.Hits = acked
	p.Figures = append(p.Figures, judge.Figure{Name: "new leaders", Value: float64(elected), Unit: "leaders"},
		judge.Figure{Name: "longest time without an acknowledged write", Value: longest.Length().Seconds(), Unit: "s"})
	return p
}

// gaps finds the times without an acknowledged write that are longer than the budget.
func (f electionFold) gaps(l *timeline.Ledger, r *judge.Ruling) {
	for _, g := range l.Gaps {
		if g.Length() <= f.Gap {
			continue
		}
		finding := judge.Finding{At: g.From, Until: g.Until, Text: fmt.Sprintf("ledger %s: no write was acknowledged for %s (budget %s)", l.Name,
			words.Span(g.Length()), words.Span(f.Gap))}
		if g.Length()-l.Unasked(g.From, g.Until) > f.Gap {
			r.Broken(finding)
			continue
		}
		if still := l.Stalled(g.From, g.Until); still > 0 {
			finding.Text += "; its writer's own process did not run for " + words.Span(still) + " of it"
		}
		if idle := l.Unsent(g.From, g.Until); idle > 0 {
			finding.Text += "; no write was under way for " + words.Span(idle) + " of it"
		}
		r.Unsure(finding)
	}
}

// leaders asks for an election that a disturbance brought about, and for a leader at the end.
func (f electionFold) leaders(l *timeline.Ledger, r *judge.Ruling) {
	if n := len(l.Views); everLed(l) && l.Views[n-1].Leader == "" {
		r.Missing(judge.Finding{At: l.Views[n-1].At, Until: l.Until, Text: fmt.Sprintf("ledger %s: no leader was named at the end", l.Name),
			Evidence: []string{"it said last: " + cmp.Or(l.Views[n-1].Error, "nothing")}})
	}
	if len(elected(f.t, l, f.Settles)) == 0 {
		r.Unsure(judge.Finding{At: l.Begin, Until: l.Until, Text: fmt.Sprintf("ledger %s: no other leader was named during a disturbance of %s: nothing was elected", l.Name, l.Workload)})
	}
}

// everLed reports whether any look at the store told of a leader: where none did, that the last one did not says nothing.
func everLed(l *timeline.Ledger) bool {
	return slices.ContainsFunc(l.Views, func(v timeline.LedgerView) bool { return v.Leader != "" })
}

// elected are the elections that disturbances of the ledger's store may have brought about: from the beginning of one until so long after it had landed,
// where who led before was among those that it reached.
func elected(t *timeline.Timeline, l *timeline.Ledger, settles time.Duration) []timeline.LedgerView {
	return slices.DeleteFunc(l.Elections(), func(v timeline.LedgerView) bool {
		return !slices.ContainsFunc(reaching(t, l), func(d *timeline.Disturbance) bool {
			return t.ReachedPod(d, l.Workload, v.Before) && v.At >= d.Began-l.Clock.Within && v.At-l.Clock.Within <= d.Landed+settles
		})
	})
}

// reaching are the disturbances that reached the store of a ledger, or a workload that its writes go through.
func reaching(t *timeline.Timeline, l *timeline.Ledger) []*timeline.Disturbance {
	return slices.DeleteFunc(slices.Clone(t.Disturbances), func(d *timeline.Disturbance) bool {
		return !t.Reached(d, l.Workload) && !slices.ContainsFunc(l.Through, func(w history.Workload) bool { return t.Reached(d, w) })
	})
}
