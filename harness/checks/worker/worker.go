// Package worker holds the promises of a consumer of messages: each has an effect, and one only, whichever version of the consumer takes it.
package worker

import (
	"fmt"
	"strings"

	"bitvault.dev/rollproof/harness/checks/store"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// Store is the kind of store that ledgers name: what is written are messages, what is read back are effects.
const Store = "worker"

// The names of the checks.
const (
	SlugNoLostMessage = "worker.no-lost-message"
	SlugIdempotent    = "worker.idempotent"
	SlugTwoVersions   = "worker.two-versions"
)

// Budgets are the limits of the checks of this area.
type Budgets struct{ VersionBudgets }

// VersionBudgets say when two versions were at work at once.
type VersionBudgets struct {
	// FewestTogether is how many effects each version must have made in tenths of a second in which another version made some too: with fewer, that they may is not seen.
	FewestTogether uint64 `json:"fewestTogether"`
}

// Defaults holds for scenarios that say nothing else.
func Defaults() Budgets { return Budgets{DefaultVersionBudgets()} }

// DefaultVersionBudgets asks for more than a message that was in hand when the other version began.
func DefaultVersionBudgets() VersionBudgets { return VersionBudgets{FewestTogether: 20} }

// Checks are the promises of this area, in the order they are reported in.
func Checks(b Budgets, ledger store.LedgerBudgets) []judge.Check {
	// A worker has no members that keep copies: its effects are in one table, whose copies are the promise of the database.
	loss := store.Loss{
		Slug: SlugNoLostMessage, Promise: "every message that was acknowledged has an effect: it is delivered at least once", Store: Store, Least: 1, Budgets: ledger,
	}
	noLoss := loss.Check()
	noLoss.Doc.Proves = "A writer in the cluster published messages of its own, at a rate that does not wait for answers, before, during and after each disturbance. After the " +
		"last one it waited until the consumer had delivered everything and everything was acknowledged, for a bounded time, and read the effects: each message that JetStream " +
		"acknowledged has one. A disturbance of the worker counts, and one of a store that the ledger says messages go through."
	noLoss.Doc.Fails = "When a message that was acknowledged has no effect, also where it is still in the backlog after that time."
	noLoss.Doc.Cannot = "Tell a message that never has an effect from one that has it later than that."
	return []judge.Check{noLoss, idempotent(loss), twoVersions(loss, b.VersionBudgets)}
}

// each judges every ledger of a worker: judge is told the effects of those that tell.
func each(t *timeline.Timeline, loss store.Loss, r *judge.Ruling, judged func(l *timeline.Ledger, m *timeline.LedgerMember, e *history.Effects)) (effects uint64) {
	for _, l := range t.LedgersOf(Store) {
		told := false
		for _, m := range l.Members {
			if m.Read && m.Effects != nil {
				told = true
				effects += m.Entries
				judged(l, m, m.Effects)
			}
		}
		if !told {
			r.Unsure(about(l, "it does not tell how effects came about"))
		}
		loss.Trusted(t, l, r)
	}
	return effects
}

func about(l *timeline.Ledger, format string, args ...any) judge.Finding {
	return judge.Finding{At: l.Begin, Until: max(l.Begin, l.Until), Text: "ledger " + l.Name + ": " + fmt.Sprintf(format, args...)}
}

func idempotent(loss store.Loss) judge.Check {
	return judge.Check{
		Slug:    SlugIdempotent,
		Promise: "a message that is delivered again has one effect",
		Doc: judge.Doc{
			Proves: "Messages were delivered again to where their effects were, and no message of the ledger had more than one effect, acknowledged or not. Deliveries are " +
				"counted where the effects are: one whose worker died before its effect is no test, and does not count.",
			Cannot:       "See an effect outside of the table of effects, as in the index. Nor tell a second delivery from a worker's own second try at the row: both find it there.",
			Fails:        "When a message has more than one effect.",
			Inconclusive: "When no message was delivered again to where its effect was: nothing was tested. When the backlog was not empty in the end, or effects came in while they were read. When the ledger is not whole, or was not read to its end, as for `" + SlugNoLostMessage + "`.",
		},
		Needs: []judge.Need{store.Written(Store)},
		New:   func(t *timeline.Timeline) judge.Fold { return idempotentFold{loss, t} },
	}
}

type idempotentFold struct {
	loss store.Loss
	t    *timeline.Timeline
}

func (f idempotentFold) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var again, twice, counted uint64
	effects := each(f.t, f.loss, &r, func(l *timeline.Ledger, m *timeline.LedgerMember, e *history.Effects) {
		n := e.Deliveries - min(e.Deliveries, e.Messages)
		again, twice, counted = again+n, twice+m.Twice, counted+e.Redelivered
		if m.Twice > 0 {
			finding := about(l, "%s too many: messages had more than one", words.Plural(m.Twice, "effect"))
			for _, op := range m.Doubled {
				finding.Evidence = append(finding.Evidence, "message "+l.Key(op))
			}
			r.Broken(finding)
		}
		if e.Deliveries < m.Entries || e.Messages != m.Has {
			r.Unsure(about(l, "%s of %s are told of, and %s of %s were read", words.Plurals(e.Deliveries, "delivery", "deliveries"),
				words.Plural(e.Messages, "message"), words.Plural(m.Entries, "effect"), words.Plural(m.Has, "message")))
		}
		if made := madeBy(e); made != m.Entries {
			r.Unsure(about(l, "versions are told to have made %s, and %s were read: one came in between", words.Plural(made, "effect"), words.Count(m.Entries)))
		}
		if e.Backlog > 0 {
			r.Unsure(about(l, "%s left in the backlog: they may be delivered again still", isAre(e.Backlog)))
		}
		if n == 0 {
			r.Unsure(about(l, "no message was delivered again to where its effect was: nothing was tested"))
		}
	})
	r.Into(&p, fmt.Sprintf("%s, of one message each; %s came to where the effect was already", words.Plural(effects, "effect"), words.Plurals(again, "delivery", "deliveries")))
	p.Figures = append(p.Figures, judge.Figure{Name: "deliveries to where the effect was already", Value: float64(again), Unit: "deliveries"},
		judge.Figure{Name: "deliveries again by the broker's own count, whoever published", Value: float64(counted), Unit: "deliveries"},
		judge.Figure{Name: "effects too many", Value: float64(twice), Unit: "effects"})
	return p
}

// madeBy is how many effects all versions made together.
func madeBy(e *history.Effects) (sum uint64) {
	for _, v := range e.Versions {
		sum += v.Effects
	}
	return sum
}

func twoVersions(loss store.Loss, b VersionBudgets) judge.Check {
	return judge.Check{
		Slug:    SlugTwoVersions,
		Promise: "two versions of the worker may take messages at once",
		Doc: judge.Doc{
			Proves: "A rolling update of the worker landed, and two versions made effects at once, by the clock of the database that keeps them: each made " +
				"`fewestTogether` in tenths of a second in which the other made some too. In the end the backlog was empty, and each message that was acknowledged had an effect.",
			Cannot:       "See what a version makes of a message beyond that it has an effect.",
			Fails:        "When the backlog is not empty in the end, after a bounded wait, or a message that was acknowledged has no effect.",
			Inconclusive: "When no rolling update of the worker landed, one version alone made effects, or they were not at it at once, or made too few. When the ledger is not whole, or was not read to its end, as for `" + SlugNoLostMessage + "`.",
			Budgets:      []any{b},
		},
		Needs: []judge.Need{store.Written(Store)},
		New:   func(t *timeline.Timeline) judge.Fold { return versionsFold{loss, b, t} },
	}
}

type versionsFold struct {
	loss    store.Loss
	budgets VersionBudgets
	t       *timeline.Timeline
}

func (f versionsFold) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var told []string
	each(f.t, f.loss, &r, func(l *timeline.Ledger, m *timeline.LedgerMember, e *history.Effects) {
		if e.Backlog > 0 {
			r.Broken(about(l, "%s left in the backlog", isAre(e.Backlog)))
		}
		f.loss.Lost(l, &r)
		if !f.rolled(l) {
			r.Unsure(about(l, "no rolling update of %s landed: nothing was tested", l.Workload))
		}
		told = append(told, f.atOnce(l, e, &r))
		for _, v := range e.Versions {
			p.Figures = append(p.Figures, judge.Figure{Name: "effects of version " + v.Version + " in ledger " + l.Name, Value: float64(v.Effects), Unit: "effects"},
				judge.Figure{Name: "of them with another version at work", Value: float64(v.Together), Unit: "effects"})
		}
		if sum := madeBy(e); sum != m.Entries {
			r.Unsure(about(l, "versions are told to have made %s, and %s were read", words.Plural(sum, "effect"), words.Count(m.Entries)))
		}
	})
	r.Into(&p, strings.Join(told, "; ")+"; the backlog was empty in the end")
	return p
}

func isAre(n uint64) string {
	if n == 1 {
		return "1 message is"
	}
	return words.Count(n) + " messages are"
}

// rolled reports whether an update of the worker landed.
func (f versionsFold) rolled(l *timeline.Ledger) bool {
	for _, d := range f.t.Performed(history.RollName) {
		if d.Workload == l.Workload && !l.Workload.IsZero() && d.Landed != timeline.Never {
			return true
		}
	}
	return false
}

// atOnce asks that the versions that made effects were at it at once, and says how far they were.
func (f versionsFold) atOnce(l *timeline.Ledger, e *history.Effects, r *judge.Ruling) string {
	var all []string
	var together uint64
	for _, v := range e.Versions {
		together += v.Together
		all = append(all, fmt.Sprintf("%s of %s", words.Plural(v.Together, "effect"), v.Version))
	}
	switch {
	case len(e.Versions) == 0:
		r.Unsure(about(l, "no version made an effect"))
	case len(e.Versions) == 1:
		r.Unsure(about(l, "version %s alone made effects: no two were seen at once", e.Versions[0].Version))
	case together == 0:
		r.Unsure(about(l, "versions made effects one after the other, and were not seen at once"))
	default:
		f.enough(l, e, r)
	}
	return words.List(all) + " with the other at work"
}

// enough asks that each version made effects while another was at it, and not just what it had in hand.
func (f versionsFold) enough(l *timeline.Ledger, e *history.Effects, r *judge.Ruling) {
	for _, v := range e.Versions {
		if v.Together < f.budgets.FewestTogether {
			r.Unsure(about(l, "version %s made %s while another was at it, at least %s are needed", v.Version, words.Plural(v.Together, "effect"), words.Count(f.budgets.FewestTogether)))
		}
	}
}
