package judge

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// MaxFindings is how many findings a promise keeps; Promise.Found counts them all.
const MaxFindings = 200

// Findings keeps the earliest findings of many, whatever order they come in.
type Findings struct {
	Kept  []Finding
	Found uint64
	full  bool
	last  time.Duration // with full: nothing later is kept
}

// Wants counts a finding and reports whether it is worth putting into words.
func (f *Findings) Wants(at time.Duration) bool {
	f.Found++
	return !f.full || at <= f.last
}

// Keep adds a finding that wants asked for.
func (f *Findings) Keep(finding Finding) {
	f.Kept = append(f.Kept, finding)
	if len(f.Kept) >= 2*MaxFindings {
		f.shrink()
	}
}

// Note counts and keeps in one: for findings that are few.
func (f *Findings) Note(finding Finding) {
	if f.Wants(finding.At) {
		f.Keep(finding)
	}
}

func (f *Findings) shrink() {
	slices.SortFunc(f.Kept, CompareFindings)
	if len(f.Kept) > MaxFindings {
		f.Kept = f.Kept[:MaxFindings]
		f.full, f.last = true, f.Kept[MaxFindings-1].At
	}
}

// Merge adds what was found in another arm.
func (f *Findings) Merge(other *Findings) {
	f.Kept = append(f.Kept, other.Kept...)
	f.Found += other.Found
	f.shrink()
}

// Into gives a promise what was found, in the order of time, and how much that was.
func (f *Findings) Into(p *Promise) {
	f.shrink()
	p.Findings, p.Found = f.Kept, f.Found
}

// CompareFindings orders findings by time, and those of one moment by arm, hit and text.
func CompareFindings(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Until, b.Until), cmp.Compare(a.Arm, b.Arm),
		cmp.Compare(len(a.Hit), len(b.Hit)), cmp.Compare(a.Hit, b.Hit), cmp.Compare(a.Text, b.Text))
}

// HitFinding puts one hit into words.
func HitFinding(h *history.Hit, what string) Finding {
	f := Finding{At: h.At, Until: h.End(), Arm: h.Arm, Hit: fmt.Sprintf("%s/%d", h.Arm, h.Seq), Class: h.Class.String(), Text: what, Bare: IsBare(h)}
	if h.Method != "" || h.URL != "" {
		f.Evidence = append(f.Evidence, h.Method+" "+h.URL)
	}
	if h.Code != 0 {
		f.Evidence = append(f.Evidence, fmt.Sprintf("status %d, %s bytes", h.Code, words.Count(h.BytesIn)))
	}
	if h.Error != "" {
		f.Evidence = append(f.Evidence, "error: "+h.Error)
	}
	if h.Version != "" || h.Pod != "" {
		f.Evidence = append(f.Evidence, fmt.Sprintf("answered by version %s, pod %s", cmp.Or(h.Version, "unknown"), cmp.Or(h.Pod, "unknown")))
	}
	if len(h.Body) > 0 {
		const most = 200
		f.Evidence = append(f.Evidence, fmt.Sprintf("body: %q", h.Body[:min(len(h.Body), most)]))
	}
	return f
}

// IsBare reports whether a failed hit brought nothing of an answer: a status, or any part of a body, comes of who was asked, and never of the
// way there.
func IsBare(h *history.Hit) bool {
	return h.Code == 0 && h.BytesIn == 0 && h.Version == "" && h.Pod == ""
}

// WhyFailed says in words why a hit counts as failed.
func WhyFailed(h *history.Hit) string {
	switch {
	case h.Class == history.ClassOK && h.Code != 0:
		return "the answer was complete after " + words.Span(h.Latency) + " only, past its deadline"
	case h.Class == history.ClassOK:
		return "no status was received"
	}
	return cmp.Or(h.Reason, h.Error, "no reason recorded") + " after " + words.Span(h.Latency)
}

// EvidenceText is evidence in words, a line each.
func EvidenceText(evidence []history.Evidence) []string {
	var all []string
	for _, e := range evidence {
		all = append(all, e.What+": "+e.Saw)
	}
	return all
}

// FindingSince is a finding about the time from a moment to the end of the record.
func FindingSince(t *timeline.Timeline, at time.Duration, text string, evidence ...string) Finding {
	return Finding{At: at, Until: t.Clamp(timeline.Never), Text: text, Evidence: evidence}
}

// FirstOf is the first finding as a reason, with the number of the others.
func FirstOf(findings []Finding, found uint64) string {
	if found == 1 {
		return findings[0].Text
	}
	return fmt.Sprintf("%s; and %s more", findings[0].Text, words.Count(found-1))
}
