package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// Quorum is the check that drains take one member of a store at a time, and the next once the one before is back.
type Quorum struct {
	Slug, Promise string
	Store         string
	Tolerance     judge.Tolerance
	Also          *Also // what a store promises besides while its members go
}

// Also is what is judged of each ledger of a store besides what all stores promise.
type Also struct {
	Proves, Fails, Inconclusive string // sentences for its documentation
	Budgets                     []any  // the values that it hangs on
	Judge                       func(*timeline.Timeline, *timeline.Ledger, *judge.Ruling)
}

// documented is a check's documentation with what is judged besides.
func (a *Also) documented(doc judge.Doc) judge.Doc {
	if a == nil {
		return doc
	}
	doc.Proves, doc.Fails, doc.Inconclusive = doc.Proves+" "+a.Proves, doc.Fails+" "+a.Fails, doc.Inconclusive+" "+a.Inconclusive
	doc.Budgets = a.Budgets
	return doc
}

// Check makes it.
func (c Quorum) Check() judge.Check {
	return judge.Check{
		Slug:    c.Slug,
		Promise: c.Promise,
		Doc: c.Also.documented(judge.Doc{
			Proves: "While one member of the store was not ready, the eviction of another one was refused (429, cause DisruptionBudget); that one was evicted later, " +
				"when all others were ready. No eviction of a ready member was accepted while another one was not ready, `watch` before and after, and from the " +
				"first eviction on never more than one member was not ready, of as many as the store's workload, or else the ledger, asked for at first, or as were ever ready at once by then.",
			Cannot: "See whether a member that is ready has caught up: what its readiness asks for is the store's to say.",
			Fails: "On any of these but the missing refusal: it is never more than that nothing was tested. A member that was never ready, as one that joined meanwhile, is " +
				"not taken for one that is away.",
			Inconclusive: "Without a ledger that names the store's workload, without an eviction of a member that was accepted, when none was refused while another " +
				"member was not ready, and when more than one was away before the first eviction.",
		}),
		Needs:  []judge.Need{Written(c.Store), {What: "eviction", Met: func(t *timeline.Timeline) bool { return len(t.Evictions) > 0 }}},
		Rests:  []string{"pods"},
		During: timeline.WholeRun,
		Late:   c.Tolerance.Propagation,
		New:    func(t *timeline.Timeline) judge.Fold { return quorumFold{c, t} },
	}
}

type quorumFold struct {
	Quorum
	t *timeline.Timeline
}

type member = timeline.Track[timeline.PodView]

func (f quorumFold) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var refused, accepted uint64
	for _, l := range f.t.LedgersOf(f.Store) {
		j := quorumOf{quorumFold: f, Ruling: &r, store: l.Workload, members: f.members(l.Workload), declared: f.declared(l)}
		j.judge()
		refused, accepted = refused+j.refused, accepted+j.accepted
		if f.Also != nil {
			f.Also.Judge(f.t, l, &r)
		}
	}
	r.Into(&p, fmt.Sprintf("%s of members, one at a time; %s while another was not ready, and allowed later", words.Plural(accepted, "eviction"), words.Plural(refused, "refusal")))
	return p
}

// members are the pods of a workload, also those that came in another's place.
func (f quorumFold) members(w history.Workload) []*member {
	return slices.DeleteFunc(slices.Clone(f.t.Cluster.Pods), func(pod *member) bool {
		owner := pod.Last().Owner
		return w.IsZero() || owner == nil || pod.Namespace != w.Namespace || owner.Kind != w.Kind || owner.Name != w.Name
	})
}

// declared is how many members a store was to have when it was first seen: as its workload asks for, or else as each write should be on. 0 where
// nobody tells.
func (f quorumFold) declared(l *timeline.Ledger) int {
	w := l.Workload
	for _, set := range timeline.TracksOf(f.t, resource.StatefulSets) {
		if w.Kind == "StatefulSet" && set.Namespace == w.Namespace && set.Name == w.Name {
			return int(set.Seen[0].Object.Desired)
		}
	}
	for _, cluster := range timeline.TracksOf(f.t, resource.PostgresClusters) {
		if w.Kind == "Cluster" && cluster.Namespace == w.Namespace && cluster.Name == w.Name {
			return int(cluster.Seen[0].Object.Instances)
		}
	}
	if l.Opened != nil {
		return l.Opened.Replicas
	}
	return 0
}

// quorumOf is one store being judged.
type quorumOf struct {
	quorumFold
	*judge.Ruling
	store             history.Workload
	members           []*member
	declared          int
	refused, accepted uint64
}

func (j *quorumOf) judge() {
	var protected []timeline.Eviction // refused while another member was not ready
	first := timeline.Never
	for _, e := range j.t.Evictions {
		i := slices.IndexFunc(j.members, e.Of)
		if i < 0 {
			continue
		}
		pod, asked := j.members[i], e.At-e.Latency
		switch {
		case e.DryRun: // nothing was asked for
		case e.Refused() && timeline.IsReady(pod, asked) && !j.othersReadyThroughout(pod, asked-j.Tolerance.Watch, e.At+j.Tolerance.Watch):
			protected = append(protected, e)
		case e.Accepted():
			first = min(first, asked)
			j.accepted++
			j.allowed(pod, &e)
		}
	}
	j.refused = uint64(len(protected))
	whole := judge.Finding{At: j.t.Clamp(first), Until: j.t.Last}
	switch {
	case len(j.members) == 0:
		whole.Text = fmt.Sprintf("no pod of %s was seen: nothing was tested", j.store)
		j.Unsure(whole)
		return
	case j.accepted == 0:
		whole.Text = fmt.Sprintf("no eviction of a member of %s was accepted: nothing was tested", j.store)
		j.Unsure(whole)
		return
	case j.refused == 0:
		whole.Text = fmt.Sprintf("no eviction of a member of %s was refused while another one was not ready: its budget was never put to the test", j.store)
		j.Unsure(whole)
	}
	j.allowedLater(protected)
	j.floor(first)
}

// allowed asks that all other members were ready when an eviction was accepted.
func (j *quorumOf) allowed(pod *member, e *timeline.Eviction) {
	asked := min(e.At-e.Latency, timeline.Ended(pod)-1) // the answer may be recorded later than its own effect
	if !timeline.IsReady(pod, asked) || j.othersReadyOnce(pod, asked-j.Tolerance.Watch, e.At+j.Tolerance.Watch) {
		return
	}
	j.Broken(judge.Finding{At: asked, Until: e.At, Text: fmt.Sprintf("the eviction of %s was accepted while another member of %s was not ready", pod.Name, j.store),
		Evidence: []string{e.Text(), "ready: " + j.ready(asked)}})
}

// allowedLater asks that each member whose eviction was refused was evicted in the end.
func (j *quorumOf) allowedLater(protected []timeline.Eviction) {
	told := map[string]bool{}
	for _, refusal := range protected {
		later := slices.ContainsFunc(j.t.Evictions, func(e timeline.Eviction) bool {
			return e.Accepted() && !e.DryRun && e.Namespace == refusal.Namespace && e.Pod == refusal.Pod && e.At > refusal.At
		})
		if later || told[refusal.Pod] {
			continue
		}
		told[refusal.Pod] = true
		j.Missing(judge.Finding{At: refusal.At, Until: j.t.Last, Text: fmt.Sprintf("the eviction of %s was refused, and never allowed later", refusal.Pod), Evidence: []string{refusal.Text()}})
	}
}

// floor asks that from the first eviction on no more than one member was not ready. A store that was shorter before is not held to it until it has
// been whole enough once: but nobody can tell then what the drains did.
func (j *quorumOf) floor(first time.Duration) {
	size, recovering := j.size(first), j.count(first)
	if recovering < size-1 {
		j.Unsure(judge.Finding{At: first, Until: first, Text: fmt.Sprintf("%d of %s of %s were ready before the first eviction", recovering, words.Plural(uint64(size), "member"), j.store),
			Evidence: []string{"ready: " + j.ready(first)}})
	}
	for _, at := range j.moments(first, j.t.Last) {
		n := j.count(at)
		size = max(size, n)
		recovering = max(recovering, n)
		if n < min(size-1, recovering) {
			j.Broken(judge.Finding{At: at, Until: at, Text: fmt.Sprintf("%d of %s of %s were ready", n, words.Plural(uint64(size), "member"), j.store),
				Evidence: []string{"ready: " + j.ready(at)}})
		}
	}
}

// size is how many members a store has by a moment: as many as were declared, or as were ever ready at once.
func (j *quorumOf) size(by time.Duration) int {
	size := j.declared
	for _, at := range j.moments(0, by) {
		size = max(size, j.count(at))
	}
	return size
}

func (j *quorumOf) count(at time.Duration) int {
	n := 0
	for _, pod := range j.members {
		if timeline.IsReady(pod, at) {
			n++
		}
	}
	return n
}

func (j *quorumOf) ready(at time.Duration) string {
	var names []string
	for _, pod := range j.members {
		if timeline.IsReady(pod, at) {
			names = append(names, pod.Name)
		}
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// moments are a time's begin, and when a member changed in it.
func (j *quorumOf) moments(from, until time.Duration) []time.Duration {
	all := []time.Duration{from}
	for _, pod := range j.members {
		for _, at := range append(timesOf(pod), pod.Gone) {
			if at > from && at <= until {
				all = append(all, at)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func timesOf(pod *member) []time.Duration {
	var all []time.Duration
	for _, s := range pod.Seen {
		all = append(all, s.At)
	}
	return all
}

// names are those of the store's members that were ready once by a moment, each once: a pod that comes in another's place has its name.
func (j *quorumOf) names(by time.Duration) []string {
	var all []string
	for _, pod := range j.members {
		if slices.ContainsFunc(pod.Seen, func(s timeline.Seen[timeline.PodView]) bool { return s.At <= by && s.Object.Ready }) {
			all = append(all, pod.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// othersReady reports whether every member but one was ready at a moment, of those that ever were.
func (j *quorumOf) othersReady(but *member, at time.Duration) bool {
	for _, name := range j.names(at) {
		if name != but.Name && !slices.ContainsFunc(j.members, func(pod *member) bool { return pod.Name == name && timeline.IsReady(pod, at) }) {
			return false
		}
	}
	return true
}

func (j *quorumOf) othersReadyOnce(but *member, from, until time.Duration) bool {
	return slices.ContainsFunc(j.moments(from, until), func(at time.Duration) bool { return j.othersReady(but, at) })
}

func (j *quorumOf) othersReadyThroughout(but *member, from, until time.Duration) bool {
	return !slices.ContainsFunc(j.moments(from, until), func(at time.Duration) bool { return !j.othersReady(but, at) })
}
