package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
)

// droppedSlug is the promise that tells drops from failures that were injected on purpose.
const droppedSlug = "load.zero-dropped"

// responsiveSlug is the promise that nobody waits.
const responsiveSlug = "load.responsive"

// answer says in one or two sentences what happened in a run, whether anybody noticed, and what broke or was not shown. All of it
// comes from the types of the record and of the judgement.
func answer(t *Timeline, res judge.Result) string {
	what, verdict := t.happened(), Overall(res)
	met := t.met(res, verdict == judge.Pass, len(what) > 0)
	var told string
	switch {
	case len(what) == 0 && met == "":
		told = "Nothing was disturbed, and no load was planned"
	case len(what) == 0:
		told = upper(met) + "; nothing was disturbed"
	default:
		told = joined(what, 3, "more disturbances") + "; " + cmp.Or(met, "no load was planned")
	}
	switch verdict {
	case judge.Pass:
		return told + "."
	case judge.Fail:
		return told + ". Broken: " + joined(slugs(res, judge.Fail), 3, "more") + "."
	}
	return told + ", but that proves nothing: " + unproven(res) + "."
}

// met says what became of requests and of writes, of those that the run had or was to have; nothing where it was to have none. praise is for a pass
// alone.
func (t *Timeline) met(res judge.Result, praise, disturbed bool) string {
	var parts []string
	if traffic := t.traffic(res); !t.unloaded() && praise {
		parts = append(parts, traffic.green(disturbed))
	} else if !t.unloaded() {
		parts = append(parts, traffic.plain())
	}
	switch {
	case len(t.ledgers) > 0:
		parts = append(parts, t.kept(praise))
	case len(parts) == 0 && len(t.run.Probes) > 0:
		return "nothing was recorded of " + joined(t.run.Probes, 3, "more probes")
	}
	return strings.Join(parts, ", ")
}

// unloaded reports whether the run was to have no load, and has none: then nothing is said of any.
func (t *Timeline) unloaded() bool { return t.run.WithoutLoad() && len(t.folds) == 0 }

// upper begins one of our own sentences; names from a record keep their spelling.
func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// unproven says why a run without a broken promise is no pass.
func unproven(res judge.Result) string {
	if len(res.Damage) > 0 {
		var files []string
		for _, d := range res.Damage {
			files = append(files, d.File)
		}
		return "the record is damaged in " + joined(slices.Compact(files), 3, "more files")
	}
	if open := slugs(res, judge.Inconclusive); len(open) > 0 {
		return joined(open, 3, "more") + " could not be judged"
	}
	return "no promise was judged"
}

func slugs(res judge.Result, verdict judge.Verdict) []string {
	var names []string
	for _, p := range res.Promises {
		if known(p.Verdict) == verdict {
			names = append(names, p.Slug)
		}
	}
	return names
}

// joined lists up to most of the parts and counts the others.
func joined(parts []string, most int, others string) string {
	if len(parts) <= most {
		return strings.Join(parts, ", ")
	}
	return fmt.Sprintf("%s and %d %s", strings.Join(parts[:most], ", "), len(parts)-most, others)
}

// happened lists what became of the releases and of the other disturbances, in the order they began in; nothing when nothing was
// disturbed, nor was meant to be.
func (t *Timeline) happened() []string {
	var parts []string
	ordered := map[*timeline.Disturbance]bool{} // what became of the release is told already
	for _, r := range t.releases {
		parts = append(parts, t.outcome(r))
		ordered[t.record.OrderOf(r)] = true
	}
	for _, d := range t.record.Disturbances {
		if !ordered[d] {
			parts = append(parts, outcome(d))
		}
	}
	if len(parts) == 0 && len(t.run.Disturbances) > 0 {
		return []string{"What the run planned to disturb never began"}
	}
	return parts
}

// releaseName is what the answers of a release call it; its pod template hash where no ReplicaSet tells.
func releaseName(r *timeline.Release) string {
	return cmp.Or(r.Version, "release "+r.Workload.Namespace+"/"+r.Hash)
}

func (t *Timeline) outcome(r *timeline.Release) string {
	name, promoted, aborted := releaseName(r), r.Promoted(), r.Aborted()
	switch {
	case promoted != timeline.Never:
		return fmt.Sprintf("%s was promoted in %s", name, length(promoted-r.Began))
	case aborted == timeline.Never:
		return name + " was neither promoted nor aborted"
	}
	if failed := t.firstFailure(r); failed >= r.Began && failed <= aborted {
		return fmt.Sprintf("%s was aborted %s after its first failed answer", name, length(aborted-failed))
	}
	return fmt.Sprintf("%s was aborted %s after it began", name, length(aborted-r.Began))
}

// firstFailure is when the first failed answer that says it is of a release was complete; never when there was none.
func (t *Timeline) firstFailure(r *timeline.Release) time.Duration {
	first := timeline.Never
	for _, f := range t.folds {
		if t.control(f.arm) || !t.record.Serves(t.arm(f.arm), r.Workload) {
			continue
		}
		for i, k := range f.failures.kinds {
			if k.Version == r.Version && r.Version != "" {
				first = min(first, f.failures.spans[i].answered)
			}
		}
	}
	return first
}

func outcome(d *timeline.Disturbance) string {
	name := d.Name
	if d.Target != "" {
		name += " (" + d.Target + ")"
	}
	switch {
	case d.Unhealed != timeline.Never:
		return name + " was not healed"
	case d.Failed != timeline.Never:
		return name + " could not be made to happen"
	case d.Landed == timeline.Never:
		return name + " was never seen to land"
	case d.Healed != timeline.Never:
		return name + " landed and was over after " + length(d.Healed-d.First())
	}
	return name + " landed"
}

// traffic is what became of the requests of all arms but the control arms.
type traffic struct {
	requests, failed, masked uint64
	dropped, injected        uint64
	told                     bool // dropped and injected were judged
	unnoticed                bool // nobody waited either, without a reservation
}

func (t *Timeline) traffic(res judge.Result) traffic {
	var sum traffic
	for _, f := range t.folds {
		if t.control(f.arm) {
			continue
		}
		sum.requests += f.hits
		sum.failed += f.failed
		sum.masked += f.masked
	}
	for _, p := range res.Promises {
		switch {
		case p.Slug == droppedSlug && p.Hits > 0:
			sum.dropped, sum.injected, sum.told = p.Dropped, p.Injected, true
		case p.Slug == responsiveSlug:
			sum.unnoticed = p.Verdict == judge.Pass && len(p.Reservations) == 0
		}
	}
	return sum
}

// green is how the traffic of a pass reads.
func (s traffic) green(disturbed bool) string {
	if s.requests == 0 || s.failed > 0 {
		return s.plain()
	}
	text := requests(s.requests) + " got a correct answer"
	switch {
	case disturbed && s.unnoticed:
		text = "nobody noticed in " + requests(s.requests)
	case s.requests > 1:
		text = "all " + text
	}
	if s.masked > 0 {
		text += fmt.Sprintf(", though Go's transport sent %s of them again silently", count(s.masked))
	}
	return text
}

// plain tells the same without a word of praise.
func (s traffic) plain() string {
	switch {
	case s.requests == 0:
		return "no request was sent"
	case s.told && s.dropped > 0 && s.injected > 0:
		return fmt.Sprintf("%s of %s were dropped, and %s failed as planned", count(s.dropped), requests(s.requests), count(s.injected))
	case s.told && s.dropped > 0:
		return fmt.Sprintf("%s of %s %s dropped", count(s.dropped), requests(s.requests), wasOrWere(s.dropped))
	case s.told && s.injected > 0:
		return fmt.Sprintf("%s of %s failed, as planned", count(s.injected), requests(s.requests))
	case s.failed > 0:
		return fmt.Sprintf("%s of %s failed", count(s.failed), requests(s.requests))
	}
	return "no failure was seen in " + requests(s.requests)
}

func requests(n uint64) string {
	if n == 1 {
		return "1 request"
	}
	return count(n) + " requests"
}

// exitCode is the code that the command exits with for a verdict: part of the answer, as scripts see it.
func exitCode(v judge.Verdict) int {
	switch v {
	case judge.Pass:
		return 0
	case judge.Fail:
		return 1
	}
	return 2
}

// scenarioOf names what was run: the scenario and its pace.
func scenarioOf(run history.Run) string {
	if run.Pace != "" {
		return run.Scenario + ", pace " + run.Pace
	}
	return run.Scenario
}
