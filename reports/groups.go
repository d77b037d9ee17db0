package reports

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"bitvault.dev/rollproof/harness/judge"
)

// group is what one promise found of one kind: how often, when, where, what was expected, what came instead, and an example.
type group struct {
	Count       uint64
	First, Last time.Duration
	Arms        []string
	Pods        []string
	Versions    []string
	Whose       string // on whose account it goes
	Kind        string // short and stable where a failed hit tells it, else what was found
	Expected    string // empty where the kind says it all
	Found       string
	Example     judge.Finding
	Again       string          // the command that sends the example's request once more; empty without a request
	Raw         []judge.Finding // in the order of time

	arms, pods, versions map[string]bool
	varied               bool // not all of them say what the example says
}

// groupKey tells kinds apart. Failed hits are told apart by the types of the record; other findings by their class, or by what they say
// where the class tells no kind.
type groupKey struct {
	class, reason string
	code          uint16
	unsent        bool
	injected      bool
	control       bool // of an arm that nothing disturbs
	text          string
}

// failedHit is a failed hit as the failure log kept it.
type failedHit struct {
	fold *fold
	kind int
}

func (f failedHit) failure() *failureKind { return &f.fold.failures.kinds[f.kind] }

// groups gathers the findings of a promise by kind, mostly the most frequent first. Beyond the findings that a judgement keeps, the counts
// are those of the record itself.
func (t *Timeline) groups(p judge.Promise, hits map[string]failedHit) []*group {
	byKey := map[groupKey]*group{}
	for _, f := range p.Findings {
		hit := hitOf(f, hits)
		key := t.keyOf(f, hit)
		g := byKey[key]
		if g == nil {
			g = t.newGroup(f, hit)
			byKey[key] = g
		}
		g.add(f, hit)
	}
	if p.Found > uint64(len(p.Findings)) {
		t.countWhole(byKey, p.Found)
	}
	all := make([]*group, 0, len(byKey))
	for _, g := range byKey {
		g.Arms, g.Pods, g.Versions = sorted(g.arms), sorted(g.pods), sorted(g.versions)
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), -cmp.Compare(a.Count, b.Count), cmp.Compare(a.First, b.First), cmp.Compare(a.title(), b.title()), cmp.Compare(a.Whose, b.Whose))
	})
	return all
}

// The classes of findings that are no account. Findings of others than these and the accounts are kinds of their own by what they say.
const (
	classOutage = "outage" // a run of failures; its hit is only the first of them
	classGap    = "gap"    // changes that were not seen in time
)

// rank puts what broke a promise as a whole first, and what was observed too late last, however frequent it is.
func (g *group) rank() int {
	switch g.Example.Class {
	case string(judge.Fail):
		return 0
	case classGap:
		return 2
	}
	return 1
}

// hitOf is the failed hit that a finding is about; nil where it is about none, or about something else than the hit's failure.
func hitOf(f judge.Finding, hits map[string]failedHit) *failedHit {
	if hit, ok := hits[f.Hit]; ok && hit.failure().Class == f.Class {
		return &hit
	}
	return nil
}

func (t *Timeline) keyOf(f judge.Finding, hit *failedHit) groupKey {
	switch {
	case hit != nil:
		return kindKey(hit.failure(), t.control(f.Arm))
	case f.Hit != "" || f.Class == classGap || whose(f.Class) != f.Class:
		return groupKey{class: f.Class}
	}
	return groupKey{class: f.Class, text: f.Text}
}

func kindKey(k *failureKind, control bool) groupKey {
	return groupKey{class: k.Class, reason: k.Reason, code: k.Code, unsent: k.Unsent, injected: k.Injected, control: control}
}

func (t *Timeline) newGroup(f judge.Finding, hit *failedHit) *group {
	g := &group{First: f.At, Whose: whose(f.Class), Example: f, arms: map[string]bool{}, pods: map[string]bool{}, versions: map[string]bool{}}
	if f.Class == classOutage {
		g.Kind, g.Whose = "longest outage of an arm", ""
	}
	if hit == nil {
		return g
	}
	k := hit.failure()
	g.Kind, g.Expected, g.Found = k.name(), t.expected(f.Arm, k), k.found()
	if k.URL != "" && !k.Cut {
		g.Again = again(k, t.deadline(f.Arm))
	}
	return g
}

func (g *group) add(f judge.Finding, hit *failedHit) {
	g.Count++
	g.First, g.Last = min(g.First, f.At), max(g.Last, f.At)
	g.Raw = append(g.Raw, f)
	g.varied = g.varied || f.Text != g.Example.Text
	note(g.arms, f.Arm)
	if hit == nil {
		g.Last = max(g.Last, f.Until) // of a hit its start is told
	} else {
		note(g.pods, hit.failure().Pod)
		note(g.versions, hit.failure().Version)
	}
}

func note(set map[string]bool, name string) {
	if name != "" {
		set[name] = true
	}
}

func sorted(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// countWhole counts the groups of failed hits anew, by every failure of the record: a judgement keeps its first findings only. found is
// how many the promise has in all: when it has room for every failure that was not injected, the promise is about all of them, and
// kinds that came later than the findings kept are groups too.
func (t *Timeline) countWhole(byKey map[groupKey]*group, found uint64) {
	var all uint64
	for _, f := range t.folds {
		for i := range f.failures.kinds {
			if !f.failures.kinds[i].Injected {
				all += f.failures.spans[i].count
			}
		}
	}
	sums := map[groupKey]span{}
	for _, f := range t.folds {
		for i := range f.failures.kinds {
			k := &f.failures.kinds[i]
			key := kindKey(k, t.control(f.arm))
			g := byKey[key]
			if g == nil && all <= found && !key.injected {
				g = t.newGroup(f.example(i), &failedHit{f, i})
				byKey[key] = g
			}
			if g == nil {
				continue
			}
			sum := sums[key]
			sum.merge(f.failures.spans[i])
			sums[key] = sum
			note(g.arms, f.arm)
			note(g.pods, k.Pod)
			note(g.versions, k.Version)
		}
	}
	for key, sum := range sums {
		g := byKey[key]
		g.Count, g.First, g.Last = max(g.Count, min(sum.count, found)), min(g.First, sum.first), max(g.Last, sum.last)
	}
}

// example tells of the first hit of a kind as a finding does.
func (f *fold) example(kind int) judge.Finding {
	k, s := &f.failures.kinds[kind], f.failures.spans[kind]
	e := judge.Finding{At: s.first, Until: s.first, Arm: f.arm, Hit: f.arm + "/" + strconv.FormatUint(s.seq, 10), Class: k.Class, Text: k.name()}
	if k.URL != "" {
		e.Evidence = append(e.Evidence, strings.TrimSpace(k.Method+" "+k.URL))
	}
	if k.Body != "" {
		e.Evidence = append(e.Evidence, "body: "+strconv.Quote(k.Body))
	}
	return e
}

// hitsOf finds the failed hits that findings name, by their ids.
func (t *Timeline) hitsOf(promises []judge.Promise) map[string]failedHit {
	wanted := map[string]map[uint64]string{} // arm, number of the hit, its id
	for _, p := range promises {
		for _, f := range p.Findings {
			slash := strings.LastIndexByte(f.Hit, '/')
			seq, err := strconv.ParseUint(f.Hit[slash+1:], 10, 64)
			if slash < 0 || err != nil {
				continue
			}
			arm := f.Hit[:slash]
			if wanted[arm] == nil {
				wanted[arm] = map[uint64]string{}
			}
			wanted[arm][seq] = f.Hit
		}
	}
	hits := map[string]failedHit{}
	for _, f := range t.folds {
		of := wanted[f.arm]
		if len(of) == 0 {
			continue
		}
		for seq, kind := range f.failures.each() {
			if id, ok := of[seq]; ok {
				hits[id] = failedHit{f, kind}
			}
		}
	}
	return hits
}

// each yields the failed hits that were kept, as the number of the hit and of its kind.
func (l *failureLog) each() func(yield func(seq uint64, kind int) bool) {
	return func(yield func(uint64, int) bool) {
		rest, seq := l.column, int64(0)
		for range l.kept {
			var v [5]int64 // see add
			for i := range v {
				n := 0
				v[i], n = binary.Varint(rest)
				rest = rest[n:]
			}
			seq += v[1]
			if !yield(uint64(seq), int(v[4])) {
				return
			}
		}
	}
}

// name is the kind of a failure in a word or two.
func (k *failureKind) name() string {
	switch {
	case k.Unsent:
		return "never sent"
	case k.Reason != "":
		return k.Reason
	case k.Code != 0:
		return "status " + strconv.Itoa(int(k.Code))
	}
	return "no reason recorded"
}

// found is what came instead of a correct answer.
func (k *failureKind) found() string {
	parts := []string{}
	if k.Code != 0 {
		parts = append(parts, "status "+strconv.Itoa(int(k.Code)))
	}
	if k.Error != "" {
		parts = append(parts, k.Error)
	}
	if len(parts) == 0 {
		return k.name()
	}
	return strings.Join(parts, ": ")
}

// expected is what a hit of an arm should have got.
func (t *Timeline) expected(arm string, k *failureKind) string {
	if k.Unsent {
		return "sent when it was due"
	}
	text := "one complete, correct answer"
	if d := t.deadline(arm); d > 0 {
		text += " within " + strconv.FormatFloat(d.Seconds(), 'g', -1, 64) + " s"
	}
	return text
}

// deadline is how long one hit of an arm may take; 0 where no window tells.
func (t *Timeline) deadline(arm string) time.Duration {
	for _, w := range t.arm(arm).Windows {
		if w.Deadline > 0 {
			return w.Deadline
		}
	}
	return 0
}

// again is the command that sends a request once more. A body is not in the record.
func again(k *failureKind, deadline time.Duration) string {
	args := []string{"curl", "-sS", "-i"}
	if deadline > 0 {
		args = append(args, "--max-time", strconv.FormatFloat(deadline.Seconds(), 'g', -1, 64))
	}
	if k.Method != "" && k.Method != "GET" {
		args = append(args, "-X", k.Method)
	}
	return shellescape.QuoteCommand(append(args, k.URL))
}

// title is the line that stands for a group: how often, of what kind, on whose account.
func (g *group) title() string {
	kind := g.Kind
	switch {
	case kind != "":
	case g.varied:
		kind = "such as: " + g.Example.Text
	default:
		kind = g.Example.Text
	}
	return fmt.Sprintf("%s × %s", count(g.Count), kind)
}

// span is when the group's findings were.
func (g *group) when() string {
	if g.Last <= g.First {
		return "at " + clock(g.First)
	}
	return clock(g.First) + " to " + clock(g.Last)
}

// facts are the short texts that stand beside the title.
func (g *group) facts() []string {
	var facts []string
	if g.Whose != "" {
		facts = append(facts, g.Whose)
	}
	facts = append(facts, g.when())
	for _, part := range []struct {
		one, many string
		names     []string
	}{{"arm", "arms", g.Arms}, {"version", "versions", g.Versions}, {"pod", "pods", g.Pods}} {
		switch n := len(part.names); n {
		case 0:
		case 1:
			facts = append(facts, part.one+" "+part.names[0])
		default:
			facts = append(facts, part.many+" "+joined(part.names, 4, "more"))
		}
	}
	return facts
}

// judged is a promise with its findings by kind.
type judged struct {
	judge.Promise
	Groups   []*group
	OfWrites bool // its Hits are writes
}

// judgedPromises puts the findings of all promises into groups.
func (t *Timeline) judgedPromises(res judge.Result) []judged {
	hits := t.hitsOf(res.Promises)
	all := make([]judged, len(res.Promises))
	for i, p := range res.Promises {
		all[i] = judged{Promise: p, Groups: t.groups(p, hits), OfWrites: t.countsWrites(p)}
	}
	return all
}
