package reports

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// maxLosses is how many lost writes of a member are listed; the rest is counted.
const maxLosses = 20

// written is one ledger boiled down to what can be shown: what the judges know of it, and its writes in buckets.
type written struct {
	*timeline.Ledger
	rate   series[writeBucket]
	losses map[*timeline.LedgerMember][]loss // the first of each member that lost any, in the order of their numbers
}

// writeBucket counts the writes that ended in one span of time.
type writeBucket struct{ acked, other uint32 }

func (b *writeBucket) merge(o *writeBucket) {
	b.acked += o.acked
	b.other += o.other
}

// loss is an acknowledged write that a member does not have.
type loss struct {
	timeline.Loss
	Key string        // that it was written under
	At  time.Duration // when it was acknowledged; never where no line tells
	By  string        // who acknowledged it; empty where its answer does not tell
}

// newWritten begins what is shown of a ledger, with the writes that are to be looked up in its lines.
func newWritten(l *timeline.Ledger) *written {
	w := &written{Ledger: l, rate: newSeries((*writeBucket).merge), losses: map[*timeline.LedgerMember][]loss{}}
	for _, m := range l.Members {
		if !m.Read {
			continue // it may have them all
		}
		for _, lost := range m.Lost[:min(len(m.Lost), maxLosses)] {
			w.losses[m] = append(w.losses[m], loss{Loss: lost, Key: l.Key(lost.Op), At: timeline.Never})
		}
	}
	return w
}

// read takes each write of the ledger. Damage is what the timeline met already, unless the file has suffered since.
func (w *written) read(ctx context.Context, h *history.History) (damage, err error) {
	wanted := map[uint64][]*loss{}
	for _, lost := range w.losses {
		for i := range lost {
			wanted[lost[i].Op] = append(wanted[lost[i].Op], &lost[i])
		}
	}
	var lines uint64
	for line, damage := range h.Ledger(w.Name) {
		if damage != nil {
			return damage, nil
		}
		if lines++; lines%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if line.Write != nil {
			w.add(line.Write, wanted[line.Write.Op])
		}
	}
	for !w.rate.smooth(w.Acked, w.rate.width) {
		w.rate.widen()
	}
	return nil, ctx.Err()
}

func (w *written) add(write *history.Write, lost []*loss) {
	at := write.Ended + w.Clock.Offset
	b := w.rate.bucket(max(at, 0))
	if write.Outcome != history.WriteAcked {
		b.other++
		return
	}
	b.acked++
	for _, l := range lost {
		l.At, l.By = at, write.By
	}
}

// Intended is how many writes there were to be, as far as anybody knows.
func (w *written) Intended() uint64 {
	if w.Closed == nil {
		return w.Written()
	}
	return w.Closed.Planned
}

// PointWidth is how much time one point of the chart of its writes stands for.
func (w *written) PointWidth() time.Duration { return w.rate.width }

// Pause is how long the longest time without an acknowledged write was.
func (w *written) Pause() time.Duration {
	longest := w.Longest()
	return longest.Until - longest.From
}

// Handovers is how often the store named another leader than before.
func (w *written) Handovers() uint64 { return uint64(len(w.Elections())) }

// Holes are what the ledger cannot tell because it is not whole, a sentence each; none where it is.
func (w *written) Holes() []string {
	var all []string
	if w.Lost != "" {
		all = append(all, w.Lost)
	}
	switch {
	case w.Begins != 1 || w.Ends > 1:
		all = append(all, fmt.Sprintf("it began %s and ended %s", words.Plural(uint64(w.Begins), "time"), words.Plural(uint64(w.Ends), "time")))
	case w.Opened == nil || w.Closed == nil || w.Ends == 0:
		all = append(all, "its writer did not close it")
	case !w.Whole():
		all = append(all, fmt.Sprintf("%s intended, it tells of %s, or of one twice", words.Plural(w.Closed.Planned, "write"), count(w.Written())))
	}
	if w.Impossible != "" {
		all = append(all, "a write "+w.Impossible)
	}
	return all
}

// known are the names of all members that the store has, and of those that were read besides.
func (w *written) known() []string {
	var all []string
	if w.Closed != nil {
		all = slices.Clone(w.Closed.Members)
	}
	for _, m := range w.Members {
		all = append(all, m.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ReadBack is each member with what was read back of it; one of which nothing was read is there with its name.
func (w *written) ReadBack() []memberRow {
	var all []memberRow
	for _, name := range w.known() {
		row := memberRow{LedgerMember: &timeline.LedgerMember{MemberRead: history.MemberRead{Name: name}}}
		if i := slices.IndexFunc(w.Members, func(m *timeline.LedgerMember) bool { return m.Name == name }); i >= 0 {
			row.LedgerMember, row.Losses = w.Members[i], w.losses[w.Members[i]]
		}
		all = append(all, row)
	}
	return all
}

// memberRow is one member as the tables show it.
type memberRow struct {
	*timeline.LedgerMember
	Losses []loss
}

// Again is how many deliveries came to where their effect was already, where the ledger tells.
func (m memberRow) Again() uint64 {
	if m.Effects == nil {
		return 0
	}
	return m.Effects.Deliveries - min(m.Effects.Deliveries, m.Effects.Messages)
}

// Beyond is how many losses are not listed.
func (m memberRow) Beyond() uint64 { return m.Missing - uint64(len(m.Losses)) }

// unread counts the members that were not read to their end.
func (w *written) unread() uint64 {
	var n uint64
	for _, m := range w.ReadBack() {
		if !m.Read {
			n++
		}
	}
	return n
}

// lossy are the members that were read, and do not have all that was acknowledged.
func (w *written) lossy() []*timeline.LedgerMember {
	return slices.DeleteFunc(slices.Clone(w.Members), func(m *timeline.LedgerMember) bool { return !m.Read || m.Missing == 0 })
}

// lost is how many acknowledged writes a member does not have, at the most. It is known where the ledger is whole and every member was read; a loss
// that was seen is one in any case.
func (w *written) lost() (most uint64, known bool) {
	for _, m := range w.lossy() {
		most = max(most, m.Missing)
	}
	return most, most > 0 || len(w.Members) > 0 && w.unread() == 0 && len(w.Holes()) == 0
}

// kept says what became of the writes to one store, as a part of a sentence. praise is for a pass alone.
func (w *written) kept(praise bool) string {
	lost, known := w.lost()
	writes := words.Plural(w.Acked, "acknowledged write") + " to " + w.Name
	switch lossy := w.lossy(); {
	case w.Written() == 0:
		return "no write to " + w.Name + " was recorded"
	case w.Acked == 0:
		return fmt.Sprintf("none of %s to %s was acknowledged", words.Plural(w.Written(), "write"), w.Name)
	case len(lossy) == 1:
		return fmt.Sprintf("%s of %s %s lost on %s", count(lost), writes, wasOrWere(lost), shortMember(lossy[0].Name)) + w.unreadText()
	case lost > 0:
		return fmt.Sprintf("up to %s of %s were lost on each of %s", count(lost), writes, words.Plural(uint64(len(lossy)), "member")) + w.unreadText()
	case !known && w.unread() == uint64(len(w.known())):
		return writes + " " + wasOrWere(w.Acked) + " read back from no member"
	case !known && w.unread() > 0:
		return fmt.Sprintf("no loss of %s was seen on %d of %s", writes, uint64(len(w.known()))-w.unread(), words.Plural(uint64(len(w.known())), "member"))
	case !known:
		return "no loss was seen among " + writes + ", of a ledger that is not whole"
	case praise:
		return fmt.Sprintf("0 of %s lost", writes) + w.pauseText()
	}
	return "no loss was seen among " + writes + w.pauseText()
}

// unreadText tells of members that were not read back, where there are any.
func (w *written) unreadText() string {
	if w.unread() == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d of %s not read back)", w.unread(), words.Plural(uint64(len(w.known())), "member"))
}

// pauseText tells of the longest time without an acknowledged write, where there was one worth telling.
func (w *written) pauseText() string {
	if w.Pause() == 0 {
		return ""
	}
	return " (longest gap " + length(w.Pause()) + ")"
}

// kept says what became of the writes to all stores; nothing without ledgers.
func (t *Timeline) kept(praise bool) string {
	var all []string
	for _, w := range t.ledgers {
		all = append(all, w.kept(praise))
	}
	return joined(all, 3, "more ledgers")
}

// ledgersSum is what the writes to all stores came to.
type ledgersSum struct {
	Intended, Acked, Handovers uint64
	Lost                       uint64 // that a member does not have, at the most
	LostKnown                  bool
	Longest                    time.Duration // without an acknowledged write to one of them
}

// LostText is the number of lost writes as far as it is known.
func (s ledgersSum) LostText() string {
	switch {
	case s.LostKnown:
		return count(s.Lost)
	case s.Lost > 0:
		return count(s.Lost) + " or more"
	}
	return "not known"
}

// sumOfLedgers adds the ledgers up; nil without any.
func (t *Timeline) sumOfLedgers() *ledgersSum {
	if len(t.ledgers) == 0 {
		return nil
	}
	sum := &ledgersSum{LostKnown: true}
	for _, w := range t.ledgers {
		lost, known := w.lost()
		sum.Lost, sum.LostKnown = sum.Lost+lost, sum.LostKnown && known
		sum.Longest = max(sum.Longest, w.Pause())
		sum.Intended, sum.Acked, sum.Handovers = sum.Intended+w.Intended(), sum.Acked+w.Acked, sum.Handovers+w.Handovers()
	}
	return sum
}

// countsWrites reports whether what a promise counts are writes, and no hits: it is one of a store of which there are ledgers. The area of a slug is
// the kind of store.
func (t *Timeline) countsWrites(p judge.Promise) bool {
	area, _, _ := strings.Cut(p.Slug, ".")
	return len(t.record.LedgersOf(area)) > 0
}

// shortMember is the name of a member without its port and its domain: the name of its pod, where it is known by that. An address stays whole.
func shortMember(name string) string {
	host, _, err := net.SplitHostPort(name)
	if err != nil {
		host = name
	}
	if net.ParseIP(host) != nil {
		return name
	}
	first, _, _ := strings.Cut(host, ".")
	return cmp.Or(first, name)
}

// written writes what was written to stores, and what each member has of it.
func (s *summary) written(t *Timeline) {
	if len(t.ledgers) == 0 {
		return
	}
	ledgers := [][]string{{"writes to", "intended", "acknowledged", "failed", "unknown", "longest gap", "hand-overs"}}
	members := [][]string{{"read back from", "has", "missing", "duplicates"}}
	for _, w := range t.ledgers {
		intended := "not known"
		if w.Closed != nil {
			intended = count(w.Intended())
		}
		ledgers = append(ledgers, []string{w.Name, intended, count(w.Acked), count(w.Failed), count(w.Unknown), length(w.Pause()), count(w.Handovers())})
		for _, m := range w.ReadBack() {
			row := []string{w.Name + " " + shortMember(m.Name), "not read", "–", "–"}
			if m.Read {
				row = []string{row[0], count(m.Has), count(m.Missing), count(m.Twice)}
			}
			members = append(members, row)
		}
	}
	s.line("")
	s.table(ledgers)
	for _, w := range t.ledgers {
		for _, hole := range w.Holes() {
			s.hang(2, "%s is not whole: %s", w.Name, hole)
		}
	}
	if len(members) > 1 {
		s.line("")
		s.table(members)
	}
	s.effects(t)
}

// effects writes how the effects of messages came about, where ledgers tell.
func (s *summary) effects(t *Timeline) {
	deliveries := [][]string{{"effects of messages to", "delivered again", "by the broker", "backlog"}}
	versions := [][]string{{"effects by", "effects", "with others at work"}}
	for _, w := range t.ledgers {
		for _, m := range w.ReadBack() {
			if m.Effects == nil {
				continue
			}
			deliveries = append(deliveries, []string{w.Name, count(m.Again()), count(m.Effects.Redelivered), count(m.Effects.Backlog)})
			for _, v := range m.Effects.Versions {
				versions = append(versions, []string{w.Name + " " + v.Version, count(v.Effects), count(v.Together)})
			}
		}
	}
	for _, table := range [][][]string{deliveries, versions} {
		if len(table) > 1 {
			s.line("")
			s.table(table)
		}
	}
}
