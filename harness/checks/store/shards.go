package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// HealthBudgets are what is asked of the looks at a store of shards.
type HealthBudgets struct {
	// Unseen is for how long nobody may be able to tell how the store is, in nanoseconds. With more, that it was never red says nothing. Another
	// cluster manager is elected in it.
	Unseen time.Duration `json:"unseen"`
}

// NeverRed judges how a store of shards was, as it said itself to the writer of a ledger: of no shard was every copy away. In the end it was whole.
func (b HealthBudgets) NeverRed(t *timeline.Timeline, l *timeline.Ledger, r *judge.Ruling) {
	h := shardsOver{Ledger: l, Ruling: r, t: t}
	h.neverRed()
	h.seen(b.Unseen)
	h.wholeAtTheEnd()
}

// shardsOver is a store of shards over the time of a ledger, being judged.
type shardsOver struct {
	*timeline.Ledger
	*judge.Ruling
	t *timeline.Timeline
}

func (h shardsOver) text(format string, args ...any) string {
	return "ledger " + h.Name + ": " + fmt.Sprintf(format, args...)
}

// tells reports whether a look told how the store was.
func tells(v *timeline.LedgerView) bool { return v.Error == "" && v.Leader != "" && v.Health != "" }

func (h shardsOver) neverRed() {
	for i := range h.Views {
		if v := &h.Views[i]; v.Health == history.Red {
			h.Broken(judge.Finding{At: v.At, Until: over(h.Ledger, i), Text: h.text("the store was red: some shard had no copy that could be read or written"), Evidence: []string{lookText(v)}})
		}
	}
}

// lookText is what a look told.
func lookText(v *timeline.LedgerView) string {
	if !tells(v) {
		return "it said: " + v.Error
	}
	var nodes []string
	for _, name := range slices.Sorted(maps.Keys(v.Shards)) {
		nodes = append(nodes, fmt.Sprintf("%s has %s", name, words.Plural(uint64(max(v.Shards[name], 0)), "shard")))
	}
	text := fmt.Sprintf("%s, managed by %s; %s", v.Health, v.Leader, strings.Join(nodes, ", "))
	if len(v.Excluded) > 0 {
		text += "; excluded: " + strings.Join(v.Excluded, ", ")
	}
	return text
}

// seen asks that the store told how it was from before the first disturbance of it until the ledger was stopped, but for as long as it may keep silent.
func (h shardsOver) seen(silence time.Duration) {
	from := h.Begin
	unseen := func(until time.Duration) {
		if until-from > silence {
			h.Unsure(judge.Finding{At: from, Until: until, Text: h.text("nobody could tell for %s how the store was (budget %s)", words.Span(until-from), words.Span(silence))})
		}
	}
	for i := range h.Views {
		if v := &h.Views[i]; tells(v) {
			unseen(v.At)
			from = over(h.Ledger, i)
		}
	}
	unseen(h.Until)
	first := slices.IndexFunc(h.Views, func(v timeline.LedgerView) bool { return tells(&v) })
	for _, d := range reaching(h.t, h.Ledger) {
		if first >= 0 && h.Views[first].At > d.Began-h.Clock.Within {
			h.Unsure(judge.Finding{At: d.Began, Until: h.Views[first].At, Text: h.text("nobody told how the store was before %s", d.Label())})
		}
	}
}

// wholeAtTheEnd asks that the last look found every node that there ever was, every copy of every shard, and no node excluded.
func (h shardsOver) wholeAtTheEnd() {
	nodes := map[string]bool{}
	for i := range h.Views {
		for name := range h.Views[i].Shards {
			nodes[name] = true
		}
	}
	n := len(h.Views)
	if n == 0 || !tells(&h.Views[n-1]) {
		h.Unsure(judge.Finding{At: h.Until, Until: h.Until, Text: h.text("the last look did not tell how the store was")})
		return
	}
	last := &h.Views[n-1]
	finding := judge.Finding{At: last.At, Until: max(h.Until, last.At), Evidence: []string{lookText(last)}}
	for name := range last.Shards {
		delete(nodes, name)
	}
	switch declared := (quorumFold{t: h.t}).declared(h.Ledger); {
	case last.Health != history.Green:
		finding.Text = h.text("the store was %s in the end", last.Health)
	case len(last.Excluded) > 0:
		finding.Text = h.text("in the end shards were kept off %s: the exclusion was not undone", strings.Join(last.Excluded, ", "))
	case len(nodes) > 0:
		finding.Text = h.text("%s came not back into the cluster", strings.Join(slices.Sorted(maps.Keys(nodes)), ", "))
	case len(last.Shards) < declared:
		finding.Text = h.text("%d of %s were in the cluster in the end", len(last.Shards), words.Plural(uint64(declared), "node"))
	default:
		return
	}
	h.Missing(finding)
}

// greenWithin reports whether the store was green, with every node that it had had by then, at some moment of a time, and what the last look in it saw.
func (h shardsOver) greenWithin(from, until time.Duration) (green, told bool, saw *timeline.LedgerView) {
	most := 0
	for i := range h.Views {
		v := &h.Views[i]
		if v.At > until {
			break
		}
		most = max(most, len(v.Shards))
		if !tells(v) || over(h.Ledger, i) < from {
			continue
		}
		told, saw = true, v
		green = green || v.Health == history.Green && len(v.Shards) == most
	}
	return green, told, saw
}

// GreenBeforeEviction asks that no member of the store was let go unless all its nodes were there and it was green.
func (b HealthBudgets) GreenBeforeEviction(t *timeline.Timeline, l *timeline.Ledger, near time.Duration, r *judge.Ruling) {
	h := shardsOver{Ledger: l, Ruling: r, t: t}
	members := quorumFold{t: t}.members(l.Workload)
	for _, e := range t.Evictions {
		if e.DryRun || !e.Accepted() || !slices.ContainsFunc(members, e.Of) {
			continue
		}
		asked := e.At - e.Latency
		finding := judge.Finding{At: asked, Until: e.At, Evidence: []string{e.Text()}}
		green, told, saw := h.greenWithin(asked-near-l.Clock.Within, asked+l.Clock.Within)
		switch {
		case green:
			continue
		case !told:
			finding.Text = h.text("nobody told how the store was when the eviction of %s was accepted", e.Pod)
			r.Unsure(finding)
		default:
			finding.Text = h.text("the eviction of %s was accepted while the store was not green with all its nodes", e.Pod)
			finding.Evidence = append(finding.Evidence, lookText(saw))
			r.Broken(finding)
		}
	}
}
