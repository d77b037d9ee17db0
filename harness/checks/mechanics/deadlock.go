package mechanics

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugNoDeadlock is the name of the check.
const SlugNoDeadlock = "mechanics.pdb-no-deadlock"

var drained = judge.Need{What: "drain that began", Met: func(t *timeline.Timeline) bool { return len(t.Drains()) > 0 }}

// DeadlockBudgets are the limits of mechanics.pdb-no-deadlock.
type DeadlockBudgets struct {
	Drain time.Duration `json:"drain"` // from the beginning of a drain to its end, at most
}

// DefaultDeadlockBudgets holds for scenarios that say nothing else.
func DefaultDeadlockBudgets() DeadlockBudgets { return DeadlockBudgets{Drain: 5 * time.Minute} }

// PDBNoDeadlock asks every drain for an end in time.
func PDBNoDeadlock(b DeadlockBudgets) judge.Check {
	return judge.Check{
		Slug:    SlugNoDeadlock,
		Promise: "a drain always ends once replacements are Ready",
		Doc: judge.Doc{
			Proves: "Each drain landed within `drain` of its beginning, and each of its evictions ended: accepted, or the pod was gone " +
				"already.",
			Fails: "When a drain gave up on a pod that a budget refused (the findings name the budget, what it allows and what the API " +
				"server said), took longer, or never ended.",
			Inconclusive: "When it failed for another reason or evicted nothing.",
			Budgets:      []any{b},
		},
		Needs: []judge.Need{drained},
		New:   func(t *timeline.Timeline) judge.Fold { return &deadlock{t: t, budgets: b} },
	}
}

type deadlock struct {
	t       *timeline.Timeline
	budgets DeadlockBudgets
}

func (f *deadlock) Result() judge.Promise {
	var p judge.Promise
	r := judge.Ruling{Timeline: f.t}
	var longest time.Duration
	var evicted uint64
	drains := f.t.Drains()
	for _, d := range drains {
		evicted += f.judge(d, &r)
		if d.Landed != timeline.Never {
			longest = max(longest, d.Landed-d.Began)
			p.Figures = append(p.Figures, judge.Figure{Name: "time of " + d.Label(), Value: (d.Landed - d.Began).Seconds(), Unit: "s"})
		}
	}
	r.Into(&p, fmt.Sprintf("%s of %s ended within %s, at most %s allowed", words.Plural(uint64(len(drains)), "drain"), words.Plural(evicted, "pod"),
		words.Span(longest), words.Span(f.budgets.Drain)))
	return p
}

// judge rules on one drain, and counts the pods that it evicted.
func (f *deadlock) judge(d *timeline.Drain, r *judge.Ruling) uint64 {
	at := judge.Finding{At: d.Began, Until: d.End(f.t)}
	note := func(rule func(judge.Finding), evidence []string, format string, args ...any) {
		finding := at
		finding.Text, finding.Evidence = d.Label()+": "+fmt.Sprintf(format, args...), evidence
		rule(finding)
	}
	var evicted uint64
	var stuck []timeline.Eviction
	for _, last := range lastAnswers(d.Evictions) {
		switch {
		case last.Accepted():
			evicted++
		case last.Code != 404: // 404: it was gone already
			stuck = append(stuck, last)
		}
	}
	for _, e := range stuck {
		rule := r.Missing
		if d.Failed != timeline.Never && e.Refused() { // it was asked for until the drain gave up
			rule = r.Broken
		}
		note(rule, f.blockers(&e), "pod %s was never evicted, the last answer is %s", e.Pod, answerText(&e))
	}
	switch {
	case d.Failed != timeline.Never:
		note(r.Unsure, judge.EvidenceText(d.Left), "it failed after %s", words.Span(d.Failed-d.Began))
	case d.Landed == timeline.Never:
		note(r.Missing, nil, "it never ended")
	case d.Landed-d.Began > f.budgets.Drain:
		note(r.Broken, nil, "it took %s, at most %s allowed", words.Span(d.Landed-d.Began), words.Span(f.budgets.Drain))
	case evicted == 0:
		note(r.Unsure, nil, "it evicted no pod: nothing was tested")
	}
	return evicted
}

// answerText is an answer of the API server in words.
func answerText(e *timeline.Eviction) string {
	if e.Refused() {
		return "429, refused by a disruption budget"
	}
	return fmt.Sprint(e.Code)
}

// blockers tells of what keeps a pod from being evicted: what the API server said, and the budgets that select the pod.
func (f *deadlock) blockers(e *timeline.Eviction) []string {
	evidence := []string{e.Text()}
	for _, pod := range f.t.Cluster.Pods {
		if !e.Of(pod) {
			continue
		}
		for _, b := range f.t.BudgetsOf(pod, e.At) {
			evidence = append(evidence, budgetText(b, e.At))
		}
	}
	return evidence
}

func budgetText(b *timeline.Track[resource.PDB], at time.Duration) string {
	o := b.At(at)
	if o == nil {
		return "PodDisruptionBudget " + b.Name + " is not there"
	}
	rule := "minAvailable " + o.MinAvailable
	if o.MinAvailable == "" {
		rule = "maxUnavailable " + cmp.Or(o.MaxUnavailable, "unset")
	}
	return fmt.Sprintf("PodDisruptionBudget %s (%s): %d of %d pods healthy, %d needed, %d disruptions allowed", b.Name, rule,
		o.CurrentHealthy, o.ExpectedPods, o.DesiredHealthy, o.DisruptionsAllowed)
}

// lastAnswers are the last answers for each pod, in the order of the pods' first evictions.
func lastAnswers(evictions []timeline.Eviction) []timeline.Eviction {
	var last []timeline.Eviction
	for _, e := range evictions {
		same := func(o timeline.Eviction) bool { return o.Namespace == e.Namespace && o.Pod == e.Pod && o.UID == e.UID }
		if i := slices.IndexFunc(last, same); i >= 0 {
			last[i] = e
			continue
		}
		last = append(last, e)
	}
	return last
}
