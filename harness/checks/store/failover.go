package store

import (
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// Failover is the check that a store brings another master, that there is one at any time as its clients see it, and that what was acknowledged is
// kept as far as was declared.
type Failover struct {
	Loss
	Gap        time.Duration // without an acknowledged write, at the most
	Settles    time.Duration // how long after a disturbance another master may be named
	DocBudgets []any         // the values that hold Allowed, Gap and Settles
}

// Check makes it.
func (c Failover) Check() judge.Check {
	return judge.Check{
		Slug:    c.Slug,
		Promise: c.Promise,
		Doc: judge.Doc{
			Proves: "In the time of a disturbance or shortly after it another master was named. Each acknowledged write tells which master took it: they took turns no more often " +
				"than the store named another one. No time without an acknowledged write was longer than the budget. After the last write each member had every write that " +
				"was acknowledged, but for as many as were declared.",
			Cannot: "See a master that took writes of other clients, and none of the ledger's. Nor tell what a loss of power would do.",
			Fails:  "On any of these but the missing election.",
			Inconclusive: "When no other master was named: whoever went was none, and nothing was handed over. When the ledger is not whole, or not all members were read, as for " +
				"`nats.no-acked-loss`; and when the writer's own process did not run for so much of the time that the rest is within the budget.",
			Budgets: c.DocBudgets,
		},
		Needs: []judge.Need{Written(c.Store), disturbed},
		New:   func(t *timeline.Timeline) judge.Fold { return failoverFold{c, t} },
	}
}

type failoverFold struct {
	Failover
	t *timeline.Timeline
}

func (f failoverFold) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	loss := lossFold{f.Loss, f.t}
	election := electionFold{Election{Store: f.Store, Gap: f.Gap, Settles: f.Settles, Budgets: f.Budgets}, f.t}
	var acked, missing uint64
	var longest time.Duration
	turns := 0
	for _, l := range f.t.LedgersOf(f.Store) {
		loss.lost(l, &r)
		election.gaps(l, &r)
		f.oneMaster(l, &r)
		election.leaders(l, &r)
		f.Budgets.sound(f.t, l, &r)
		readBack(l, &r)
		acked, missing, longest, turns = acked+l.Acked, max(missing, mostMissing(l)), max(longest, l.Longest().Length()), turns+len(l.Elections())
		p.Figures = append(p.Figures, figures(l)...)
	}
	r.Into(&p, fmt.Sprintf("%s; %s of %s acknowledged lost, %s declared; %s at the most without one", words.Plural(uint64(turns), "new master"), words.Count(missing),
		words.Plural(acked, "write"), words.Count(f.Allowed), words.Span(longest)))
	p.Hits, p.Dropped = acked, missing
	if p.Verdict == judge.Pass && missing == 0 {
		p.Power = judge.ZeroPower(acked, "acknowledged writes lost")
	}
	return p
}

// oneMaster asks that masters took turns only when the store named another one. The last turn may have come after the last look at the store.
func (f failoverFold) oneMaster(l *timeline.Ledger, r *judge.Ruling) {
	tenures := l.Tenures
	if n := len(tenures); n > 0 && tenures[n-1].From > l.Until-lastLook {
		tenures = tenures[:n-1]
	}
	named := len(l.Elections())
	if len(tenures) <= named+1 {
		return
	}
	first := tenures[named+1]
	finding := judge.Finding{At: first.From, Until: l.Until, Text: fmt.Sprintf("ledger %s: masters took turns %s, and another one was named %s: there were two at once", l.Name,
		words.Plural(uint64(len(tenures)-1), "time"), words.Plural(uint64(named), "time"))}
	for _, t := range tenures {
		finding.Evidence = append(finding.Evidence, fmt.Sprintf("%s from %s to %s", t.By, words.Span(t.From), words.Span(t.Until)))
		if len(finding.Evidence) == maxTurns {
			break
		}
	}
	r.Broken(finding)
}

// lastLook is how long before its end the writer may have looked at the store for the last time: it looks every 200 ms, and waits a second for an answer.
const lastLook = 1500 * time.Millisecond

// maxTurns is how many turns of masters are told of.
const maxTurns = 20

// disturbed is the need of what asks for an election.
var disturbed = judge.Need{What: "disturbance that began", Met: func(t *timeline.Timeline) bool { return len(t.Disturbances) > 0 }}
