package store

import (
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// Handovers is the check that many planned hand-overs in one run lose nothing that was acknowledged.
type Handovers struct {
	Loss
	Fewest     uint64        // hand-overs, at least
	Settles    time.Duration // how long after a disturbance landed a hand-over may come
	DocBudgets []any         // the values that hold Fewest
}

// Check makes it.
func (c Handovers) Check() judge.Check {
	check := c.Loss.Check()
	check.Doc.Proves = "As `postgres.no-acked-loss`, over at least `fewestHandovers` hand-overs from one primary to another that the store named while the ledger was written, each from the " +
		"beginning of a disturbance that reached it until `promotedWithin` after that had landed. With none of n hand-overs losing a write, at most 3/n of them do at 95 %."
	check.Doc.Inconclusive = "As there; and when the store named another primary less often."
	check.Doc.Budgets = c.DocBudgets
	check.New = func(t *timeline.Timeline) judge.Fold { return handoverFold{c, t} }
	return check
}

type handoverFold struct {
	Handovers
	t *timeline.Timeline
}

func (f handoverFold) Result() judge.Promise {
	p := lossFold{f.Loss, f.t}.Result()
	var n uint64
	for _, l := range f.t.LedgersOf(f.Store) {
		n += uint64(len(elected(f.t, l, f.Settles)))
	}
	p.Figures = append(p.Figures, judge.Figure{Name: "hand-overs", Value: float64(n), Unit: "hand-overs"})
	if p.Verdict != judge.Pass {
		return p
	}
	p.Reason = fmt.Sprintf("%s; %s", words.Plural(n, "hand-over"), p.Reason)
	p.Power = judge.ZeroPower(n, "hand-overs lost an acknowledged write")
	if n < f.Fewest {
		p.Verdict, p.Power = judge.Inconclusive, nil
		p.Reason = fmt.Sprintf("%s seen, at least %s are needed", words.Plural(n, "hand-over"), words.Count(f.Fewest))
		p.Findings = append(p.Findings, judge.Finding{Until: f.t.Last, Class: string(judge.Inconclusive), Text: p.Reason})
	}
	return p
}
