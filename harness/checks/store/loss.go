// Package store holds what the checks of all data stores have in common: ledgers of acknowledged writes, held against what each member has.
package store

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// LedgerBudgets are what a ledger must hold before anything is said by it.
type LedgerBudgets struct {
	// FewestWrites must have been acknowledged: with fewer, none lost says nothing.
	FewestWrites uint64 `json:"fewestWrites"`
	// ClockWithin is what the clock of a ledger's writer may be uncertain by, in nanoseconds: with more, nobody can tell which writes a disturbance met.
	ClockWithin time.Duration `json:"clockWithin"`
}

// DefaultLedgerBudgets asks for as many writes as show a loss of 1 % at 95 %.
func DefaultLedgerBudgets() LedgerBudgets {
	return LedgerBudgets{FewestWrites: judge.Enough, ClockWithin: 500 * time.Millisecond}
}

// Written is the need of every check of a store: a ledger of it.
func Written(kind string) judge.Need {
	return judge.Need{What: "ledger of writes to " + kind, Met: func(t *timeline.Timeline) bool { return len(t.LedgersOf(kind)) > 0 }}
}

// Loss is the check that nothing a store acknowledged is lost.
type Loss struct {
	Slug, Promise string
	Store         string // kind of store, as ledgers say it
	Position      string // what the store calls the place of a write, e.g. stream sequence; empty where it has none
	Copies        bool   // a member is a copy of all that was written, wherever its parts are: what looks at the store name are nodes, and no members
	Allowed       uint64 // how many each member may lack
	Least         int    // members that each write should be on, at the least; 0: two
	Budgets       LedgerBudgets
}

// Check makes it.
func (c Loss) Check() judge.Check {
	where, placed := "", ""
	if c.Position != "" {
		where = ", at the " + c.Position + " that was acknowledged"
		placed = "; and when a write or an entry tells no " + c.Position + ", or one of another"
	}
	return judge.Check{
		Slug:    c.Slug,
		Promise: c.Promise,
		Doc: judge.Doc{
			Proves: "A writer in the cluster wrote under keys of its own, at a rate that does not wait for answers, before, during and after each " +
				"disturbance. After the last write every member of the store was read back: each has every write that was acknowledged" + where + ". A " +
				"write whose answer was lost is unknown and may be either.",
			Cannot: "Tell what a loss of power would do: the page cache of the machine outlives each of these faults. Nor see a write that came back " +
				"before the members were read.",
			Fails: "When a member does not have a write that was acknowledged.",
			Inconclusive: "When the ledger is not whole: its writer was lost or started anew, it was cut or changed, a write is missing or twice, it did not " +
				"go on through every disturbance, or for half of one its writer's own process stood still or no write was under way, or writes were not intended at the ledger's rate. When nothing that was " +
				"performed is known to have reached the store; when the store took too little before the first disturbance of it to lose, or nothing after the last. When a member was not read to its end, once, after the last write, or " +
				"fewer were read than there are, than the store ever named, or than each write should be on; when that is on fewer than two" + placed + ". With fewer writes than `fewestWrites` acknowledged, and when the writer's clock " +
				"is uncertain by more than `clockWithin`.",
			Budgets: []any{c.Budgets},
		},
		Needs: []judge.Need{Written(c.Store)},
		New:   func(t *timeline.Timeline) judge.Fold { return lossFold{c, t} },
	}
}

type lossFold struct {
	Loss
	t *timeline.Timeline
}

func (f lossFold) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var acked, unknown, members uint64
	ledgers := f.t.LedgersOf(f.Store)
	for _, l := range ledgers {
		acked, unknown, members = acked+l.Acked, unknown+l.Unknown, members+uint64(len(l.Members))
		f.Lost(l, &r)
		f.Trusted(f.t, l, &r)
		p.Figures = append(p.Figures, figures(l)...)
	}
	r.Into(&p, fmt.Sprintf("0 of %s acknowledged lost, on each of %s; %s unknown", words.Plural(acked, "write"), words.Plural(members, "member"), words.Count(unknown)))
	p.Hits = acked
	for _, l := range ledgers {
		p.Dropped = max(p.Dropped, mostMissing(l))
	}
	if p.Verdict == judge.Pass {
		p.Power = judge.ZeroPower(acked, "acknowledged writes lost")
	}
	return p
}

func mostMissing(l *timeline.Ledger) (most uint64) {
	for _, m := range l.Members {
		most = max(most, m.Missing)
	}
	return most
}

// figures are what is worth telling of a ledger, and no verdict hangs on.
func figures(l *timeline.Ledger) []judge.Figure {
	all := []judge.Figure{
		{Name: "writes acknowledged in ledger " + l.Name, Value: float64(l.Acked), Unit: "writes"},
		{Name: "writes failed in ledger " + l.Name, Value: float64(l.Failed), Unit: "writes"},
		{Name: "writes unknown in ledger " + l.Name, Value: float64(l.Unknown), Unit: "writes"},
		{Name: "writes that ledger " + l.Name + " tried again", Value: float64(l.Tries - min(l.Tries, l.Written())), Unit: "tries"},
		{Name: "most that a write of ledger " + l.Name + " was started late by", Value: l.LagMax.Seconds(), Unit: "s"},
		{Name: "longest time without an acknowledged write in ledger " + l.Name, Value: l.Longest().Length().Seconds(), Unit: "s"},
	}
	for _, m := range l.Members {
		all = append(all, judge.Figure{Name: "writes that member " + m.Name + " has twice", Value: float64(m.Twice), Unit: "writes"},
			judge.Figure{Name: "writes that member " + m.Name + " has and had refused", Value: float64(m.Refused), Unit: "writes"})
	}
	return all
}

// Lost finds the members that do not have what was acknowledged. A member that was not read to its end may have it after all.
func (c Loss) Lost(l *timeline.Ledger, r *judge.Ruling) {
	for _, m := range l.Members {
		if m.Missing <= c.Allowed || !m.Read {
			continue
		}
		finding := judge.Finding{At: l.Begin, Until: l.Until, Text: fmt.Sprintf("member %s does not have %s of %s that were acknowledged", m.Name,
			words.Count(m.Missing), words.Plural(l.Acked, "write"))}
		for _, loss := range m.Lost {
			finding.Evidence = append(finding.Evidence, c.text(l, loss))
		}
		r.Broken(finding)
	}
}

func (c Loss) text(l *timeline.Ledger, loss timeline.Loss) string {
	text := l.Key(loss.Op)
	if loss.Position > 0 {
		text += fmt.Sprintf(", acknowledged at %s %d", c.Position, loss.Position)
	}
	if loss.Elsewhere > 0 {
		text += fmt.Sprintf(", is at %d instead", loss.Elsewhere)
	}
	return text
}

// Trusted finds what takes the worth from a ledger, or from what was read back.
func (c Loss) Trusted(t *timeline.Timeline, l *timeline.Ledger, r *judge.Ruling) {
	c.Budgets.sound(t, l, r)
	c.readBack(l, r)
}

// sound finds what takes the worth from a ledger.
func (b LedgerBudgets) sound(t *timeline.Timeline, l *timeline.Ledger, r *judge.Ruling) {
	unsure := func(format string, args ...any) {
		r.Unsure(judge.Finding{At: l.Begin, Until: max(l.Begin, l.Until), Text: "ledger " + l.Name + ": " + fmt.Sprintf(format, args...)})
	}
	switch {
	case l.Begins != 1 || l.Ends > 1:
		unsure("it began %d times and ended %d times", l.Begins, l.Ends)
	case l.Ends == 0:
		unsure("nobody saw its end")
	case l.Lost != "":
		unsure("it is not whole: %s", l.Lost)
	case l.Opened == nil || l.Closed == nil:
		unsure("its writer did not close it")
	case l.Opened.Ledger != l.Name || l.Opened.Store != l.Store || l.Opened.Writer != l.Writer:
		unsure("its lines are those of ledger %s, of store %s and writer %s", l.Opened.Ledger, l.Opened.Store, l.Opened.Writer)
	case l.Impossible != "":
		unsure("a write cannot be: it %s", l.Impossible)
	case !l.Whole():
		unsure("%s were intended, it tells of %s, or of one twice", words.Plural(l.Closed.Planned, "write"), words.Count(l.Written()))
	}
	b.atRate(l, unsure)
	if l.Clock.Looks == 0 || l.Clock.Apart > 0 || l.Clock.Within > b.ClockWithin {
		unsure("the clock of its writer is uncertain by %s, after %s", words.Span(l.Clock.Within+l.Clock.Apart), words.Plural(l.Clock.Looks, "look"))
	}
	if l.Acked < b.FewestWrites {
		unsure("%s acknowledged, at least %s are needed", wasWere(l.Acked), words.Count(b.FewestWrites))
	}
	for _, d := range t.Disturbances {
		b.covers(t, l, d, r)
	}
	if reached := reaching(t, l); len(reached) > 0 {
		atRisk(t, l, reached, r)
	} else {
		unsure("nothing that was performed is known to have reached %s: nothing was tested", cmp.Or(l.Workload.String(), "its store"))
	}
}

// offRate is by how much a write may be intended at another moment than the rate says: what is lost by rounding.
const offRate = time.Millisecond

// atRate asks that writes were intended at the rate of the ledger, from its beginning until it was stopped: fewer are no load.
func (b LedgerBudgets) atRate(l *timeline.Ledger, unsure func(string, ...any)) {
	if l.Opened == nil || l.Closed == nil {
		return // that is told of
	}
	due := l.Closed.Stopped.Seconds() * l.Rate
	switch {
	case !(l.Rate > 0) || l.Opened.Rate != l.Rate:
		unsure("its writer was told %v writes a second, and it tells of %v", l.Rate, l.Opened.Rate)
	case math.Abs(float64(l.Closed.Planned)-due) > 2+due/100:
		unsure("%s were intended, at %v a second until %s", words.Plural(l.Closed.Planned, "write"), l.Rate, words.Span(l.Closed.Stopped))
	case l.OffRate > offRate:
		unsure("a write was intended %s from when it was due at %v a second", words.Span(l.OffRate), l.Rate)
	}
}

// atRisk asks that the store took writes before it was disturbed, so that there was something to lose, and after it. Before, it took half of what was
// due, and not all of it in one half of the time.
func atRisk(t *timeline.Timeline, l *timeline.Ledger, reached []*timeline.Disturbance, r *judge.Ruling) {
	first, last := timeline.Never, time.Duration(0)
	for _, d := range reached {
		first, last = min(first, d.Began), max(last, t.Clamp(d.Until()))
	}
	unsure := func(from, until time.Duration, format string, args ...any) {
		r.Unsure(judge.Finding{At: from, Until: until, Text: "ledger " + l.Name + ": " + fmt.Sprintf(format, args...)})
	}
	if intended, acked := l.IntendedBefore(first); acked == 0 || 2*acked < intended {
		unsure(l.Begin, first, "of %s that were due before the first disturbance of %s, %s acknowledged: there was too little to lose", words.Plural(intended, "write"), l.Workload, wasWere(acked))
	}
	for _, g := range l.Gaps {
		if before := min(g.Until, first) - max(g.From, l.Begin); 2*before >= first-l.Begin {
			unsure(g.From, g.Until, "nothing was acknowledged for %s of the %s before the first disturbance of %s: there was too little to lose", words.Span(before), words.Span(first-l.Begin), l.Workload)
		}
		if g.From <= last+l.Clock.Within && g.Until >= l.Until {
			unsure(g.From, g.Until, "nothing was acknowledged after the last disturbance of %s", l.Workload)
		}
	}
}

func wasWere(n uint64) string {
	if n == 1 {
		return "1 write was"
	}
	return words.Count(n) + " writes were"
}

// covers asks that writes went on before, during and after a disturbance.
func (b LedgerBudgets) covers(t *timeline.Timeline, l *timeline.Ledger, d *timeline.Disturbance, r *judge.Ruling) {
	from, until := d.First(), t.Clamp(d.Until())
	if l.Begin >= from-l.Clock.Within || l.Until <= until+l.Clock.Within {
		r.Unsure(judge.Finding{At: from, Until: until, Text: fmt.Sprintf("ledger %s: it did not go on before, during and after %s", l.Name, d.Label())})
	}
	if still := l.Stalled(from, until); still > 0 && still >= (until-from)/2 {
		r.Unsure(judge.Finding{At: from, Until: until, Text: fmt.Sprintf("ledger %s: its writer's own process did not run for %s of %s that %s took", l.Name,
			words.Span(still), words.Span(until-from), d.Label())})
	}
	for _, s := range l.Idle { // at the ledger's rate two writes would have been under way in it
		if idle := min(s.Until, until) - max(s.From, from); idle > 0 && 2*idle >= until-from && s.Length().Seconds()*l.Rate > 2 {
			r.Unsure(judge.Finding{At: from, Until: until, Text: fmt.Sprintf("ledger %s: no write was under way for %s of %s that %s took", l.Name,
				words.Span(idle), words.Span(until-from), d.Label())})
		}
	}
}

// readBack asks for every member that there is.
func (c Loss) readBack(l *timeline.Ledger, r *judge.Ruling) {
	if l.Closed == nil {
		return
	}
	unsure := func(format string, args ...any) {
		r.Unsure(judge.Finding{At: l.Until, Until: l.Until, Text: "ledger " + l.Name + ": " + fmt.Sprintf(format, args...)})
	}
	there := slices.Compact(slices.Sorted(slices.Values(l.Closed.Members)))
	if l.Closed.Error != "" || len(there) == 0 {
		unsure("its writer could not tell which members there are: %s", cmp.Or(l.Closed.Error, "it named none"))
	}
	if len(there) < len(l.Closed.Members) {
		unsure("its writer named a member twice: %s", strings.Join(l.Closed.Members, ", "))
	}
	if l.Opened != nil && l.Opened.Replicas < cmp.Or(c.Least, 2) {
		unsure("each write should be on %s: the loss of one is no test", words.Plural(uint64(max(l.Opened.Replicas, 0)), "member"))
	}
	if l.Opened != nil && len(there) < l.Opened.Replicas {
		unsure("each write should be on %s, the store has %d", words.Plural(uint64(l.Opened.Replicas), "member"), len(there))
	}
	if unread := slices.DeleteFunc(slices.Clone(there), func(name string) bool { return wasRead(l, name) }); len(unread) > 0 {
		unsure("of %s these were not read to the end: %s", words.Plural(uint64(len(there)), "member"), strings.Join(unread, ", "))
	}
	if strange := slices.DeleteFunc(named(l), func(name string) bool { return slices.Contains(there, name) }); len(strange) > 0 && !c.Copies {
		unsure("the store named members while it was written that were none at its end: %s", strings.Join(strange, ", "))
	}
	if c.Position != "" && l.Unplaced > 0 {
		unsure("%s acknowledged without a %s", wasWere(l.Unplaced), c.Position)
	}
	if c.Position != "" && l.Shared > 0 {
		unsure("more than one write was acknowledged at %s", words.Plural(l.Shared, c.Position))
	}
	for _, m := range l.Members {
		c.readOf(m, there, unsure)
	}
}

func wasRead(l *timeline.Ledger, name string) bool {
	return slices.ContainsFunc(l.Members, func(m *timeline.LedgerMember) bool { return m.Name == name && m.Read })
}

// named are the members that the store named while it was written.
func named(l *timeline.Ledger) []string {
	var all []string
	for _, v := range l.Views {
		all = append(append(append(all, v.Leader), v.Members...), v.Masters...)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(name string) bool { return name == "" })
}

// readOf finds what takes the worth from what was read of a member, of those that are there.
func (c Loss) readOf(m *timeline.LedgerMember, there []string, unsure func(string, ...any)) {
	if m.Error != "" {
		unsure("member %s: %s", m.Name, m.Error)
	}
	if !slices.Contains(there, m.Name) {
		unsure("member %s was read, and is none of the store", m.Name)
	}
	if m.Reads > 1 {
		unsure("member %s was read %d times", m.Name, m.Reads)
	}
	if m.Reads > 0 && m.Early {
		unsure("member %s was read before the last write had ended", m.Name)
	}
	if m.Read && m.Entries != m.Has+m.Twice {
		unsure("member %s has %s, and %s were told of", m.Name, words.Plurals(m.Entries, "entry", "entries"), words.Count(m.Has+m.Twice))
	}
	if m.Foreign > 0 {
		unsure("member %s has %s that nobody intended", m.Name, words.Plurals(m.Foreign, "entry", "entries"))
	}
	if c.Position != "" && m.Unplaced > 0 {
		unsure("member %s has %s without a %s", m.Name, words.Plurals(m.Unplaced, "entry", "entries"), c.Position)
	}
	if c.Position != "" && m.Shared > 0 {
		unsure("member %s has more than one entry at %s", m.Name, words.Plural(m.Shared, c.Position))
	}
}
