package disruption

import (
	"fmt"
	"slices"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugLanded is the name of the check.
const SlugLanded = "disruption.landed"

// Landed asks each disturbance for evidence. Without it nothing was tested: inconclusive, never a failure, for the
// product did nothing wrong. Asking for this check, or naming the disturbance in run.json, makes it required.
func Landed() judge.Check {
	return judge.Check{
		Slug:    SlugLanded,
		Always:  true,
		Promise: "the fault really happened: each disturbance that began has landed, with evidence",
		Doc: judge.Doc{
			Proves: "Each disturbance that began also landed, with evidence that says what was looked at and what was seen, and each one " +
				"that `run.json` plans did so as often as planned.",
			Cannot:       "Judge whether the evidence is true; whoever disturbs collects it by looking.",
			Inconclusive: "When one did not land, has no or empty evidence, was given up, or began other than once. It never fails.",
		},
		Needs: []judge.Need{{What: "disturbance", Met: func(t *timeline.Timeline) bool {
			return len(t.Disturbances)+len(t.Run.Disturbances) > 0
		}}},
		New: func(t *timeline.Timeline) judge.Fold { return landed{t} },
	}
}

type landed struct{ t *timeline.Timeline }

func (l landed) Result() judge.Promise {
	var f judge.Findings
	proven := map[string]uint64{} // by name
	var all uint64
	for _, d := range l.t.Disturbances {
		if problem := problem(d); problem != "" {
			f.Note(judge.Finding{At: min(d.Began, d.Landed, d.Failed, d.Healed), Text: d.Label() + ": " + problem, Evidence: judge.EvidenceText(d.Evidence)})
			continue
		}
		proven[d.Name]++
		all++
	}
	for _, name := range planned(l.t.Run.Disturbances) {
		if want := timesIn(l.t.Run.Disturbances, name); proven[name] < want {
			f.Note(judge.Finding{Text: fmt.Sprintf("%s was planned %s and landed %s", name, words.Plural(want, "time"), words.Plural(proven[name], "time"))})
		}
	}
	p := judge.Promise{Verdict: judge.Pass, Reason: fmt.Sprintf("%s landed, with evidence", words.Plural(all, "disturbance"))}
	f.Into(&p)
	if f.Found > 0 {
		p.Verdict, p.Reason = judge.Inconclusive, judge.FirstOf(p.Findings, f.Found)
	}
	return p
}

// problem says why a disturbance proves nothing; empty when it landed.
func problem(d *timeline.Disturbance) string {
	switch {
	case d.Begins != 1:
		return fmt.Sprintf("its beginning was recorded %d times, want once", d.Begins)
	case d.Failed != timeline.Never:
		return "it could not be made to happen"
	case d.Landed == timeline.Never:
		return "it began and never landed"
	case d.Landed < d.Began:
		return "it landed before it began"
	case !proves(d.Evidence):
		return "it is said to have landed, without evidence"
	}
	return ""
}

// proves reports whether there is evidence and all of it says what was looked at and what was seen.
func proves(evidence []history.Evidence) bool {
	return len(evidence) > 0 && !slices.ContainsFunc(evidence, func(e history.Evidence) bool { return e.What == "" || e.Saw == "" })
}

func planned(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

func timesIn(names []string, name string) uint64 {
	var n uint64
	for _, other := range names {
		if other == name {
			n++
		}
	}
	return n
}
