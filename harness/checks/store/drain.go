package store

import (
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// Drain is the check that the shards of a store move away before a node goes, and that nothing of what it has is out of reach or lost meanwhile.
type Drain struct {
	Loss
	Gap        time.Duration // without an acknowledged write, at the most
	Tolerance  judge.Tolerance
	Health     HealthBudgets
	DocBudgets []any // the values that hold Gap and Health
}

// Check makes it.
func (c Drain) Check() judge.Check {
	return judge.Check{
		Slug:    c.Slug,
		Promise: c.Promise,
		Doc: judge.Doc{
			Proves: "Every node that left the cluster had no shard left: the last look that saw it found none on it, or the very next one, without it, found every copy of every shard elsewhere. " +
				"Each pod that was ended was seen to leave the cluster as a node after that, and some had shards when its end began. No look found the store red. In the end every node was back, the " +
				"store green, and no node excluded from shards. No time without an acknowledged write was longer than the budget. After the last write every copy of the " +
				"ledger's index was read, each shard from the node that had it, and had each document that was acknowledged by as many copies as took part.",
			Cannot: "See what comes and goes between two looks of the writer, which it takes several times a second. Nor tell what a loss of power would do.",
			Fails: "When a node left with shards on it and the store was not green after that, when the store was red once, when it was not whole in the end, when writes were not acknowledged for longer than " +
				"the budget, or when a copy does not have a document that was acknowledged.",
			Inconclusive: "When no pod was ended, none of those that were had a shard, one was not seen to leave the cluster, or nobody could look just when it left. When nobody could tell for longer than " +
				"`unseen` how the store was, before the first disturbance, or in the end. When the ledger is not whole, or not all copies were read, as for `nats.no-acked-loss`; and when the writer's own process did not run, or no write was " +
				"under way, for so much of a time that the rest is within the budget.",
			Budgets: c.DocBudgets,
		},
		Needs: []judge.Need{Written(c.Store)},
		Rests: []string{"pods"},
		New:   func(t *timeline.Timeline) judge.Fold { return drainFold{c, t} },
	}
}

type drainFold struct {
	Drain
	t *timeline.Timeline
}

func (f drainFold) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	election := electionFold{Election{Store: f.Store, Gap: f.Gap, Budgets: f.Budgets}, f.t}
	var acked, missing, left, moved uint64
	var longest, notGreen time.Duration
	for _, l := range f.t.LedgersOf(f.Store) {
		f.Lost(l, &r)
		d := departures{shardsOver: shardsOver{Ledger: l, Ruling: &r, t: f.t}, near: f.Tolerance.Watch}
		d.judge()
		f.Health.NeverRed(f.t, l, &r)
		election.gaps(l, &r)
		f.Trusted(f.t, l, &r)
		acked, missing, longest = acked+l.Acked, max(missing, mostMissing(l)), max(longest, l.Longest().Length())
		left, moved, notGreen = left+uint64(len(d.nodes)), moved+d.moved, notGreen+d.notGreen()
		p.Figures = append(p.Figures, figures(l)...)
	}
	r.Into(&p, fmt.Sprintf("%s without a shard on it, after %s had moved away; never red, not green for %s; 0 of %s lost; %s at the most without one",
		words.Plurals(left, "node left", "nodes left"), words.Plural(moved, "shard"), words.Span(notGreen), words.Plural(acked, "acknowledged document"), words.Span(longest)))
	p.Hits, p.Dropped = acked, missing
	p.Figures = append(p.Figures, judge.Figure{Name: "nodes that left the cluster", Value: float64(left), Unit: "nodes"},
		judge.Figure{Name: "shards that moved away from them", Value: float64(moved), Unit: "shards"},
		judge.Figure{Name: "time in which the store was seen and not green", Value: notGreen.Seconds(), Unit: "s"})
	if p.Verdict == judge.Pass {
		p.Power = judge.ZeroPower(acked, "acknowledged documents lost")
	}
	return p
}

// departures are how the nodes of a store left its cluster.
type departures struct {
	shardsOver
	near  time.Duration // what a watch may be late by
	nodes []departure
	moved uint64 // shards that were on nodes when their ends began
}

// departure is a node that one look saw in the cluster, and the next one that told of it did not.
type departure struct {
	name      string
	seen, not int // of the views: the last with it, the first without it
}

func (d *departures) judge() {
	d.find()
	for _, left := range d.nodes {
		d.empty(left)
	}
	ended, had := 0, false
	for _, pod := range (quorumFold{t: d.t}).members(d.Workload) {
		at := ending(pod, 0)
		if at == timeline.Never || at > d.Until {
			continue
		}
		ended++
		shards := d.shardsAt(pod.Name, at)
		d.moved += uint64(max(shards, 0))
		had = had || shards > 0
		d.left(pod, at)
	}
	switch {
	case ended == 0:
		d.Unsure(judge.Finding{At: d.Begin, Until: d.Until, Text: d.text("no pod of %s was ended while it was written: nothing was tested", d.Workload)})
	case !had:
		d.Unsure(judge.Finding{At: d.Begin, Until: d.Until, Text: d.text("no pod of %s that was ended had a shard when its end began: nothing was tested", d.Workload)})
	}
}

// find finds the nodes that left.
func (d *departures) find() {
	last := -1
	for i := range d.Views {
		if !tells(&d.Views[i]) {
			continue
		}
		if last >= 0 {
			for name := range d.Views[last].Shards {
				if _, there := d.Views[i].Shards[name]; !there {
					d.nodes = append(d.nodes, departure{name, last, i})
				}
			}
		}
		last = i
	}
	slices.SortStableFunc(d.nodes, func(a, b departure) int {
		if a.not != b.not {
			return a.not - b.not
		}
		return slices.Compare([]byte(a.name), []byte(b.name))
	})
}

// empty asks that a node that left had no shard. Between the last look with it and the first without it its last shard may have moved: then that one
// found every copy in its place, for a copy that went with its node is missed for longer than a look takes.
func (d *departures) empty(left departure) {
	before, after := &d.Views[left.seen], &d.Views[left.not]
	shards := before.Shards[left.name]
	if shards == 0 {
		return
	}
	finding := judge.Finding{At: before.At, Until: after.At, Evidence: []string{"before: " + lookText(before), "after: " + lookText(after)}}
	switch {
	case after.Health != history.Green:
		finding.Text = d.text("%s left the cluster with %s on it", left.name, words.Plural(uint64(max(shards, 0)), "shard"))
		d.Broken(finding)
	case left.not != left.seen+1 || sum(after) < sum(before):
		finding.Text = d.text("nobody could look when %s left the cluster, on which %s last seen", left.name, shardsWere(shards))
		d.Unsure(finding)
	}
}

func shardsWere(n int) string {
	if n == 1 {
		return "1 shard was"
	}
	return fmt.Sprintf("%d shards were", n)
}

// sum is how many copies of shards are on nodes.
func sum(v *timeline.LedgerView) (n int) {
	for _, shards := range v.Shards {
		n += shards
	}
	return n
}

// shardsAt is how many shards a node had at a moment, by the last look before it that told.
func (d *departures) shardsAt(name string, at time.Duration) (shards int) {
	for i := range d.Views {
		if v := &d.Views[i]; v.At <= at && tells(v) {
			shards = v.Shards[name]
		}
	}
	return shards
}

// left asks that a pod that was ended was seen to leave the cluster from when its end began until shortly after it was gone.
func (d *departures) left(pod *member, at time.Duration) {
	until := timeline.Later(pod.Gone, d.near+lastLook+d.Clock.Within)
	if slices.ContainsFunc(d.nodes, func(left departure) bool {
		gone := d.Views[left.not].At
		return left.name == pod.Name && gone >= at-d.near-d.Clock.Within && gone <= until
	}) {
		return
	}
	d.Unsure(judge.Finding{At: at, Until: d.t.Clamp(until), Text: d.text("%s was ended, and was not seen to leave the cluster", pod.Name)})
}

// notGreen is for how long looks told that the store was not green.
func (d *departures) notGreen() (long time.Duration) {
	for i := range d.Views {
		if v := &d.Views[i]; tells(v) && v.Health != history.Green {
			long += over(d.Ledger, i) - v.At
		}
	}
	return long
}
