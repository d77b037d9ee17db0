package judge

import (
	"fmt"
	"slices"

	"bitvault.dev/rollproof/harness/history"
)

const slugLanded = "disruption.landed"

// disruptionLanded asks each disturbance for evidence. Without it nothing was tested: inconclusive, never a failure, for the
// product did nothing wrong. Asking for this check, or naming the disturbance in run.json, makes it required.
func disruptionLanded() Check {
	return Check{
		Slug:    slugLanded,
		Promise: "the fault really happened: each disturbance that began has landed, with evidence",
		Needs: []Need{{What: "disturbance", Met: func(t *Timeline) bool {
			return len(t.Disturbances)+len(t.Run.Disturbances) > 0
		}}},
		New: func(t *Timeline) Fold { return landed{t} },
	}
}

type landed struct{ t *Timeline }

func (l landed) Arm(*Arm) HitFold { return nil }

func (l landed) Result() Promise {
	var f findings
	proven := map[string]uint64{} // by name
	var all uint64
	for _, d := range l.t.Disturbances {
		if problem := d.problem(); problem != "" {
			f.note(Finding{At: min(d.Began, d.Landed, d.Failed, d.Healed), Text: d.label() + ": " + problem, Evidence: evidenceText(d.Evidence)})
			continue
		}
		proven[d.Name]++
		all++
	}
	for _, name := range planned(l.t.Run.Disturbances) {
		if want := timesIn(l.t.Run.Disturbances, name); proven[name] < want {
			f.note(Finding{Text: fmt.Sprintf("%s was planned %s and landed %s", name, plural(want, "time"), plural(proven[name], "time"))})
		}
	}
	p := Promise{Verdict: Pass, Reason: fmt.Sprintf("%s landed, with evidence", plural(all, "disturbance"))}
	f.into(&p)
	if f.found > 0 {
		p.Verdict, p.Reason = Inconclusive, firstOf(p.Findings, f.found)
	}
	return p
}

// problem says why a disturbance proves nothing; empty when it landed.
func (d *Disturbance) problem() string {
	switch {
	case d.begins != 1:
		return fmt.Sprintf("its beginning was recorded %d times, want once", d.begins)
	case d.Failed != Never:
		return "it could not be made to happen"
	case d.Landed == Never:
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

func evidenceText(evidence []history.Evidence) []string {
	var all []string
	for _, e := range evidence {
		all = append(all, e.What+": "+e.Saw)
	}
	return all
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
