package judge

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// maxFindings is how many findings a promise keeps; Promise.Found counts them all.
const maxFindings = 200

// findings keeps the earliest findings of many, whatever order they come in.
type findings struct {
	kept  []Finding
	found uint64
	full  bool
	last  time.Duration // with full: nothing later is kept
}

// wants counts a finding and reports whether it is worth putting into words.
func (f *findings) wants(at time.Duration) bool {
	f.found++
	return !f.full || at <= f.last
}

// keep adds a finding that wants asked for.
func (f *findings) keep(finding Finding) {
	f.kept = append(f.kept, finding)
	if len(f.kept) >= 2*maxFindings {
		f.shrink()
	}
}

// note counts and keeps in one: for findings that are few.
func (f *findings) note(finding Finding) {
	if f.wants(finding.At) {
		f.keep(finding)
	}
}

func (f *findings) shrink() {
	slices.SortFunc(f.kept, compareFindings)
	if len(f.kept) > maxFindings {
		f.kept = f.kept[:maxFindings]
		f.full, f.last = true, f.kept[maxFindings-1].At
	}
}

// merge adds what was found in another arm.
func (f *findings) merge(other *findings) {
	f.kept = append(f.kept, other.kept...)
	f.found += other.found
	f.shrink()
}

func (f *findings) into(p *Promise) {
	f.shrink()
	p.Findings, p.Found = f.kept, f.found
}

func compareFindings(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Until, b.Until), cmp.Compare(a.Arm, b.Arm),
		cmp.Compare(len(a.Hit), len(b.Hit)), cmp.Compare(a.Hit, b.Hit), cmp.Compare(a.Text, b.Text))
}

// hitFinding puts one hit into words.
func hitFinding(h *history.Hit, what string) Finding {
	f := Finding{At: h.At, Until: h.End(), Arm: h.Arm, Hit: fmt.Sprintf("%s/%d", h.Arm, h.Seq), Class: h.Class.String(), Text: what, bare: isBare(h)}
	if h.Method != "" || h.URL != "" {
		f.Evidence = append(f.Evidence, h.Method+" "+h.URL)
	}
	if h.Code != 0 {
		f.Evidence = append(f.Evidence, fmt.Sprintf("status %d, %s bytes", h.Code, count(h.BytesIn)))
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
