package reports

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
)

const (
	maxGapsDrawn  = 30  // of a ledger, the longest
	maxViewsDrawn = 300 // stretches of time in which a store said the same of itself
)

// ledgerData is one ledger as the page draws it.
type ledgerData struct {
	Name       string       `json:"name"`
	Workload   string       `json:"workload,omitempty"`
	Begin      us           `json:"begin"`
	Until      us           `json:"until"`
	Width      us           `json:"width"` // of a bucket
	Base       int64        `json:"base"`  // bucket i begins at (base+i)*width
	Acked      []uint32     `json:"acked"`
	Other      []uint32     `json:"other"` // failed or unknown
	Gaps       []stretch    `json:"gaps"`
	GapsBeyond int          `json:"gapsBeyond,omitempty"`
	Leads      []lead       `json:"leads"`
	Health     []health     `json:"health"`
	Beyond     int          `json:"beyond,omitempty"` // stretches of Leads or of Health that are not drawn
	Members    []memberData `json:"members"`
}

// stretch is a span of time.
type stretch struct {
	From  us `json:"from"`
	Until us `json:"until"`
}

// lead is a span of time in which the store named one leader, or none.
type lead struct {
	stretch
	Leader string `json:"leader,omitempty"`
	Short  string `json:"short,omitempty"`
	After  string `json:"after,omitempty"` // whom it took over from
	Error  string `json:"error,omitempty"`
}

// health is a span of time in which as many members were up to date, as the store said.
type health struct {
	stretch
	UpToDate int    `json:"upToDate"`
	Of       int    `json:"of"`
	Shards   string `json:"shards,omitempty"` // green, yellow or red, of a store of shards
	Error    string `json:"error,omitempty"`  // it did not answer
}

// memberData is one member over time: its pods, one after the other, when it led, and what it lost.
type memberData struct {
	Name       string     `json:"name"`
	Pods       []pod      `json:"pods"`
	Led        []stretch  `json:"led"`
	Lost       []lostMark `json:"lost"`
	LostBeyond uint64     `json:"lostBeyond,omitempty"`
}

// lostMark is a lost write at the moment it was acknowledged.
type lostMark struct {
	At  us     `json:"at"`
	Key string `json:"key"`
}

func (t *Timeline) drawnLedgers() []ledgerData {
	all := make([]ledgerData, len(t.ledgers))
	for i, w := range t.ledgers {
		all[i] = w.data(t.podsOf(w.Workload))
	}
	return all
}

// podsOf are the pods of a workload, in the order they were first seen in.
func (t *Timeline) podsOf(w history.Workload) []*timeline.Pod {
	return slices.DeleteFunc(t.record.PodsInOrder(), func(p *timeline.Pod) bool { return w.IsZero() || p.Workload != w })
}

func (w *written) data(pods []*timeline.Pod) ledgerData {
	d := ledgerData{
		Name: w.Name, Begin: inUs(w.Begin), Until: inUs(w.Until), Width: inUs(w.rate.width), Base: w.rate.base,
		Acked: make([]uint32, len(w.rate.buckets)), Other: make([]uint32, len(w.rate.buckets)),
	}
	if !w.Workload.IsZero() {
		d.Workload = w.Workload.String()
	}
	for i, b := range w.rate.buckets {
		d.Acked[i], d.Other[i] = b.acked, b.other
	}
	d.Gaps, d.GapsBeyond = w.drawnGaps()
	leads, healths := w.leads(), w.healths()
	d.Members = w.drawnMembers(pods, leads)
	d.Leads, d.Health = leads[:min(len(leads), maxViewsDrawn)], healths[:min(len(healths), maxViewsDrawn)]
	d.Beyond = len(leads) - len(d.Leads) + len(healths) - len(d.Health)
	return d
}

// drawnGaps are the longest gaps in the order of time, and how many there are besides. At a low rate each pause between two writes is as long as
// a gap: those are none.
func (w *written) drawnGaps() (drawn []stretch, beyond int) {
	gaps := slices.Clone(w.Gaps)
	if w.Rate > 0 {
		pause := time.Duration(2 / w.Rate * float64(time.Second))
		gaps = slices.DeleteFunc(gaps, func(g timeline.Span) bool { return g.Length() <= pause })
	}
	for _, g := range gaps {
		drawn = append(drawn, stretch{inUs(g.From), inUs(g.Until)})
	}
	slices.SortStableFunc(drawn, func(a, b stretch) int { return cmp.Compare(b.Until-b.From, a.Until-a.From) })
	beyond = max(0, len(drawn)-maxGapsDrawn)
	drawn = drawn[:len(drawn)-beyond]
	slices.SortFunc(drawn, func(a, b stretch) int { return cmp.Compare(a.From, b.From) })
	return drawn, beyond
}

// viewEnd is up to when the view of an index holds.
func (w *written) viewEnd(i int) time.Duration {
	if i+1 < len(w.Views) {
		return w.Views[i+1].At
	}
	return max(w.Until, w.Views[i].At)
}

// leads is who led in turn. Whoever comes after a time without a leader took over from the last one before it.
func (w *written) leads() []lead {
	var all []lead
	last := ""
	for i, v := range w.Views {
		until := inUs(w.viewEnd(i))
		if n := len(all); n > 0 && all[n-1].Leader == v.Leader && (v.Leader != "" || all[n-1].Error == v.Error) {
			all[n-1].Until = until
			continue
		}
		next := lead{stretch: stretch{inUs(v.At), until}, Leader: v.Leader, Short: shortMember(v.Leader), Error: shorten(v.Error)}
		if v.Leader != "" && last != v.Leader {
			next.After = last
		}
		last = cmp.Or(v.Leader, last)
		all = append(all, next)
	}
	return all
}

// healths is how many members were up to date, as the store said.
func (w *written) healths() []health {
	of := 0
	if w.Opened != nil {
		of = w.Opened.Replicas
	}
	if w.Closed != nil {
		of = max(of, len(w.Closed.Members))
	}
	for _, v := range w.Views {
		of = max(of, len(v.Shards)) // nodes of a store whose members are copies on them
	}
	var all []health
	for i, v := range w.Views {
		n := len(v.Members)
		if v.Leader != "" {
			n++
		}
		until := inUs(w.viewEnd(i))
		if last := len(all) - 1; last >= 0 && all[last].UpToDate == n && all[last].Shards == string(v.Health) && (all[last].Error == "") == (v.Error == "") {
			all[last].Until = until
			continue
		}
		all = append(all, health{stretch{inUs(v.At), until}, n, max(of, n), shorten(string(v.Health)), shorten(v.Error)})
	}
	return all
}

// drawnMembers are the members of a store: its pods by name, and those that led or lost writes under a name that is no pod's.
func (w *written) drawnMembers(pods []*timeline.Pod, leads []lead) []memberData {
	var all []memberData
	member := func(name string) *memberData {
		i := slices.IndexFunc(all, func(m memberData) bool { return m.Name == name })
		if i < 0 {
			i, all = len(all), append(all, memberData{Name: name, Pods: []pod{}, Led: []stretch{}, Lost: []lostMark{}})
		}
		return &all[i]
	}
	for _, p := range pods[:min(len(pods), maxPods)] {
		m := member(p.Name)
		m.Pods = append(m.Pods, drawnPod(p))
	}
	for _, l := range leads[:min(len(leads), maxViewsDrawn)] {
		if l.Leader != "" {
			m := member(l.Short)
			m.Led = append(m.Led, l.stretch)
		}
	}
	for _, row := range w.ReadBack() {
		if len(row.Losses) == 0 {
			continue
		}
		m := member(shortMember(row.Name))
		m.LostBeyond += row.Beyond()
		for _, lost := range row.Losses {
			if lost.At != timeline.Never {
				m.Lost = append(m.Lost, lostMark{inUs(lost.At), shorten(lost.Key)})
			}
		}
	}
	slices.SortFunc(all, func(a, b memberData) int { return strings.Compare(a.Name, b.Name) })
	return all
}
