package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
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
			Proves: "From the beginning of a disturbance that reached the store until shortly after it had landed another master was named. Each acknowledged write tells which master took it: " +
				"it was one that the store named then, and one by its own word, they took turns no more often than the store named another one, and never did two servers take writes " +
				"at once that were tried on each that called itself master. No time without an acknowledged write was longer than the budget. After the last write each member had every write that " +
				"was acknowledged, but for as many as were declared, of those that were acknowledged " +
				"from a second before such a disturbance until shortly after it was healed.",
			Cannot: "See two masters between two looks of the writer, which it takes several times a second, nor one that the sentinels and the writer cannot reach. Nor tell what a loss of power would do.",
			Fails:  "On any of these but the missing election.",
			Inconclusive: "When no other master was named then: whoever went was none, and nothing was handed over; when nobody looked, or an answer does not tell who gave it. When the ledger is not whole, or not all members were read, as for " +
				"`nats.no-acked-loss`; and when the writer's own process did not run, or no write was under way, for so much of a time that the rest is within the budget.",
			Budgets: c.DocBudgets,
		},
		Needs: []judge.Need{Written(c.Store)},
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
	election := electionFold{Election{Store: f.Store, Gap: f.Gap, Settles: f.Settles, Budgets: f.Budgets}, f.t}
	var acked, missing uint64
	var longest time.Duration
	turns := 0
	for _, l := range f.t.LedgersOf(f.Store) {
		f.Lost(l, &r)
		f.unexcused(l, &r)
		election.gaps(l, &r)
		f.oneMaster(l, &r)
		election.leaders(l, &r)
		f.Trusted(f.t, l, &r)
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

// behind is how long before a disturbance a write may be acknowledged that it costs: what a replica is behind its master.
const behind = time.Second

// unexcused finds what was lost, of as many as were declared, that no disturbance of the store explains.
func (f failoverFold) unexcused(l *timeline.Ledger, r *judge.Ruling) {
	for _, m := range l.Members {
		if m.Missing == 0 || m.Missing > f.Allowed || !m.Read {
			continue // the others are judged by their number
		}
		excused := uint64(0)
		finding := judge.Finding{At: l.Begin, Until: l.Until}
		for i, at := range m.LostAt {
			if f.explained(l, at) {
				excused++
			} else if i < len(m.Lost) {
				finding.Evidence = append(finding.Evidence, fmt.Sprintf("%s, at %s", f.text(l, m.Lost[i]), words.Span(at)))
			}
		}
		if excused < m.Missing {
			finding.Text = fmt.Sprintf("member %s does not have %s of %s that were acknowledged at a time that no disturbance of %s explains, of %s that it lacks", m.Name,
				words.Count(m.Missing-excused), words.Plural(l.Acked, "write"), l.Workload, words.Count(m.Missing))
			r.Broken(finding)
		}
	}
}

// explained reports whether a disturbance may cost a write that was acknowledged at a moment.
func (f failoverFold) explained(l *timeline.Ledger, at time.Duration) bool {
	return slices.ContainsFunc(reaching(f.t, l), func(d *timeline.Disturbance) bool {
		return at >= d.Began-behind-l.Clock.Within && at-l.Clock.Within <= timeline.Later(d.Until(), f.Settles)
	})
}

// oneMaster asks that only masters took writes that the store named, in turns as it named them, and never two at once. The last turn may have come
// after the last look at the store.
func (f failoverFold) oneMaster(l *timeline.Ledger, r *judge.Ruling) {
	unsure := func(format string, args ...any) {
		r.Unsure(judge.Finding{At: l.Begin, Until: l.Until, Text: "ledger " + l.Name + ": " + fmt.Sprintf(format, args...)})
	}
	if l.Nameless > 0 {
		unsure("%s acknowledged by an answer that does not tell who gave it", wasWere(l.Nameless))
	}
	twoAtOnce(l, r)
	if !everLed(l) {
		unsure("no look at the store told of a master: nobody knows whether there were two")
		return
	}
	tenures := l.Tenures
	if n := len(tenures); n > 0 && tenures[n-1].From > l.Until-lastLook {
		tenures = tenures[:n-1]
	}
	for _, t := range tenures {
		f.rightful(l, t, r)
	}
	f.turns(l, tenures, r)
}

// twoAtOnce finds looks at which more than one server took writes.
func twoAtOnce(l *timeline.Ledger, r *judge.Ruling) {
	for i, v := range l.Views {
		if len(v.Writable) > 1 {
			r.Broken(judge.Finding{At: v.At, Until: over(l, i), Text: fmt.Sprintf("ledger %s: %s took writes at once", l.Name, strings.Join(v.Writable, " and ")),
				Evidence: []string{"master by the store's word: " + cmp.Or(v.Leader, "none"), "masters by their own: " + strings.Join(v.Masters, ", ")}})
		}
	}
}

// over is when the store first said something else than in a view.
func over(l *timeline.Ledger, i int) time.Duration {
	if i+1 < len(l.Views) {
		return l.Views[i+1].At
	}
	return max(l.Until, l.Views[i].At)
}

// rightful asks that whoever took writes for a time was named by the store, and called itself master. The writer keeps to whom it heard of last.
func (f failoverFold) rightful(l *timeline.Ledger, t timeline.Tenure, r *judge.Ruling) {
	was, last, another := false, "", ""
	told, itself := false, false
	for i, v := range l.Views {
		last = cmp.Or(v.Leader, last)
		if v.At <= t.Until+lastLook && over(l, i) >= t.From-lastLook {
			was = was || last == t.By
		}
		if v.Leader != "" && v.Leader != t.By && min(over(l, i), t.Until)-max(v.At, t.From) > 2*lastLook {
			another = v.Leader // each look for so long said so
		}
		if len(v.Masters) > 0 && v.At < t.Until-lastLook && over(l, i) > t.From+lastLook {
			told, itself = true, itself || slices.Contains(v.Masters, t.By)
		}
	}
	why := ""
	switch {
	case !was:
		why = "the store did not name it"
	case another != "":
		why = "the store named " + another
	case told && !itself:
		why = "it did not call itself master"
	default:
		return
	}
	r.Broken(judge.Finding{At: t.From, Until: t.Until, Text: fmt.Sprintf("ledger %s: %s took writes from %s to %s, and %s then", l.Name, t.By, words.Span(t.From), words.Span(t.Until), why)})
}

// turns asks that masters took turns only when the store named another one.
func (f failoverFold) turns(l *timeline.Ledger, tenures []timeline.Tenure, r *judge.Ruling) {
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
