package judge

import (
	"bitvault.dev/rollproof/harness/timeline"
)

// Ruling collects what speaks against a promise, and what speaks against the worth of the record for it.
type Ruling struct {
	Timeline       *timeline.Timeline
	Against, doubt Findings
}

// Broken notes something seen that breaks the promise.
func (r *Ruling) Broken(f Finding) {
	f.Class = string(Fail)
	r.Against.Note(f)
}

// AllBroken notes what an arm found: each breaks the promise, also those that were only counted.
func (r *Ruling) AllBroken(found *Findings) {
	for _, f := range found.Kept {
		r.Broken(f)
	}
	r.Against.Found += found.Found - uint64(len(found.Kept))
}

// Missing notes that something which was promised did not come. A run that ended before its plan might have seen it yet.
func (r *Ruling) Missing(f Finding) {
	if r.Timeline.Finished() {
		r.Broken(f)
		return
	}
	f.Text += "; the record ends early, it may have come later"
	r.Unsure(f)
}

// Unsure notes something without which nothing can be said.
func (r *Ruling) Unsure(f Finding) {
	f.Class = string(Inconclusive)
	r.doubt.Note(f)
}

// Into decides: the first finding is the reason, in the order they were noted in, or else the given one.
func (r *Ruling) Into(p *Promise, reason string) {
	p.Verdict, p.Reason = Pass, reason
	switch {
	case r.Against.Found > 0:
		p.Verdict, p.Reason = Fail, FirstOf(r.Against.Kept, r.Against.Found)
	case r.doubt.Found > 0:
		p.Verdict, p.Reason = Inconclusive, FirstOf(r.doubt.Kept, r.doubt.Found)
	}
	var all Findings
	all.Merge(&r.Against)
	all.Merge(&r.doubt)
	all.Into(p)
}
