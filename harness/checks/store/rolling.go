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

// Rolling is the check that an update replaces the members of a store one after another: those that follow first, and the one that leads last, once
// it has handed the lead over.
type Rolling struct {
	Loss
	Gap       time.Duration // without an acknowledged write, at the most
	Tolerance judge.Tolerance
	Leads     Leads
	// Rests are the resources that Leads looks at.
	Rests      []string
	DocBudgets []any // the values that hold Gap
}

// Leads names the pod that leads a workload at a moment, as whoever keeps it says; empty where nobody tells.
type Leads func(t *timeline.Timeline, w history.Workload, at time.Duration) string

// Check makes it.
func (c Rolling) Check() judge.Check {
	return judge.Check{
		Slug:    c.Slug,
		Promise: c.Promise,
		Doc: judge.Doc{
			Proves: "In each rolling update, and where healing took it back in that one too, every member was replaced by another pod. When one was ended all others were " +
				"ready. The one that led at the beginning was ended last, and another one led by then. Members acknowledged writes in turn, and no time without an " +
				"acknowledged write was longer than the budget.",
			Cannot: "See a server that is started anew within its container: an update that replaces no pod says nothing. Nor by itself whether a write was lost: " +
				"`postgres.no-acked-loss` does.",
			Fails:        "On any of these but a member that was not seen to be replaced.",
			Inconclusive: "When a member was not seen to be replaced, or nobody tells which one led. When the ledger is not whole, as for `postgres.no-acked-loss`.",
			Budgets:      c.DocBudgets,
		},
		Needs: []judge.Need{Written(c.Store), {What: "rolling update that landed", Met: func(t *timeline.Timeline) bool { return len(rolls(t)) > 0 }}},
		Rests: append([]string{"pods"}, c.Rests...),
		New:   func(t *timeline.Timeline) judge.Fold { return rollingFold{c, t} },
	}
}

// rolls are the rolling updates that landed.
func rolls(t *timeline.Timeline) []*timeline.Disturbance {
	return slices.DeleteFunc(t.Performed(history.RollName), func(d *timeline.Disturbance) bool { return d.Landed == timeline.Never })
}

type rollingFold struct {
	Rolling
	t *timeline.Timeline
}

func (f rollingFold) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	election := electionFold{Election{Store: f.Store, Gap: f.Gap, Budgets: f.Budgets}, f.t}
	var acked uint64
	var longest time.Duration
	replaced := 0
	for _, l := range f.t.LedgersOf(f.Store) {
		election.gaps(l, &r)
		failoverFold{Failover{Loss: f.Loss}, f.t}.oneMaster(l, &r)
		f.Budgets.sound(f.t, l, &r)
		replaced += f.rolled(l.Workload, &r)
		acked, longest = acked+l.Acked, max(longest, l.Longest().Length())
	}
	r.Into(&p, fmt.Sprintf("%s one after another, the leader last and after it had handed over; %s at the most without an acknowledged write, of %s",
		words.Plurals(uint64(replaced), "member was replaced", "members were replaced"), words.Span(longest), words.Plural(acked, "acknowledged write")))
	p.Hits = acked
	p.Figures = append(p.Figures, judge.Figure{Name: "members replaced", Value: float64(replaced), Unit: "members"},
		judge.Figure{Name: "longest time without an acknowledged write", Value: longest.Seconds(), Unit: "s"})
	return p
}

// rolled judges the updates of a workload, and counts the members that they replaced.
func (f rollingFold) rolled(w history.Workload, r *judge.Ruling) (replaced int) {
	updates := 0
	for _, d := range rolls(f.t) {
		if d.Workload != w {
			continue
		}
		updates++
		turn := rollingTurn{rollingFold: f, Ruling: r, store: w, from: d.Began, until: d.Landed}
		replaced += turn.judge()
		back := rollingTurn{rollingFold: f, Ruling: r, store: w, from: d.Landed, until: f.t.Clamp(d.Until())}
		if len(back.stops()) > 0 { // healing took the update back
			replaced += back.judge()
		}
	}
	if updates == 0 {
		r.Unsure(judge.Finding{Until: f.t.Last, Text: fmt.Sprintf("no rolling update of %s landed: nothing was tested", w)})
	}
	return replaced
}

// rollingTurn is one update of a store, from the beginning until all members are new.
type rollingTurn struct {
	rollingFold
	*judge.Ruling
	store       history.Workload
	from, until time.Duration
}

// stopped is a member that was ended, and when.
type stopped struct {
	*member
	at time.Duration
}

// all are the pods of the store, also those that came in another's place.
func (u rollingTurn) all() []*member { return quorumFold{t: u.t}.members(u.store) }

// members are those that were there when the update began.
func (u rollingTurn) members() []*member {
	return slices.DeleteFunc(u.all(), func(pod *member) bool { return pod.At(u.from) == nil })
}

// stops are the members that were there at the beginning and were ended meanwhile, in the order of time.
func (u rollingTurn) stops() []stopped {
	var all []stopped
	for _, pod := range u.members() {
		if at := ending(pod, u.from); at <= u.until {
			all = append(all, stopped{pod, at})
		}
	}
	slices.SortStableFunc(all, func(a, b stopped) int { return cmp.Compare(a.at, b.at) })
	return all
}

// ending is when a pod was first seen to be on its way out after a moment; never where it was not.
func ending(pod *member, after time.Duration) time.Duration {
	for _, s := range pod.Seen {
		if s.At > after && s.Object.Terminating {
			return s.At
		}
	}
	return pod.Gone
}

// judge returns how many members the update replaced.
func (u rollingTurn) judge() (replaced int) {
	members, stops := u.members(), u.stops()
	for _, pod := range members {
		if !slices.ContainsFunc(stops, func(s stopped) bool { return s.member == pod }) {
			u.Unsure(judge.Finding{At: u.from, Until: u.until, Text: pod.Name + " was not seen to be replaced in the update"})
		}
	}
	for i, s := range stops {
		u.oneAtATime(s, len(members))
		u.leaderLast(s, i == len(stops)-1)
	}
	return len(stops)
}

// oneAtATime asks that all others were ready when a member was ended, as far as watches tell.
func (u rollingTurn) oneAtATime(s stopped, size int) {
	ready := 0
	for _, at := range u.about(s.at) {
		n := 0
		for _, pod := range u.all() {
			if pod != s.member && timeline.IsReady(pod, at) {
				n++
			}
		}
		ready = max(ready, n)
	}
	if ready < size-1 {
		u.Broken(judge.Finding{At: s.at, Until: s.at, Text: fmt.Sprintf("%s was ended while %d of the %d others were ready", s.Name, ready, size-1)})
	}
}

// leaderLast asks that the member that led at the beginning is ended after all others, and that another one leads by then.
func (u rollingTurn) leaderLast(s stopped, last bool) {
	led := u.Leads(u.t, u.store, u.from)
	switch {
	case led == "":
		u.Unsure(judge.Finding{At: u.from, Until: u.until, Text: fmt.Sprintf("nobody tells which member of %s led when the update began", u.store)})
	case s.Name != led:
	case !last:
		u.Broken(judge.Finding{At: s.at, Until: s.at, Text: s.Name + " led when the update began, and was ended before the others"})
	default:
		if now := u.Leads(u.t, u.store, s.at+u.Tolerance.Watch); now != "" && now != led {
			return
		}
		u.Broken(judge.Finding{At: s.at, Until: s.at, Text: s.Name + " was ended while it led: it had handed over to nobody"})
	}
}

// about are a moment, and those near it at which a watch told of a member.
func (u rollingTurn) about(at time.Duration) []time.Duration {
	all := []time.Duration{at}
	for _, pod := range u.all() {
		for _, seen := range timesOf(pod) {
			if (seen - at).Abs() <= u.Tolerance.Watch {
				all = append(all, seen)
			}
		}
	}
	return all
}
