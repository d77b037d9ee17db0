package judge

import (
	"strings"
	"time"
)

// ruling collects what speaks against a promise, and what speaks against the worth of the record for it.
type ruling struct {
	t              *Timeline
	against, doubt findings
}

// broken notes something seen that breaks the promise.
func (r *ruling) broken(f Finding) {
	f.Class = string(Fail)
	r.against.note(f)
}

// missing notes that something which was promised did not come. A run that ended before its plan might have seen it yet.
func (r *ruling) missing(f Finding) {
	if r.t.finished() {
		r.broken(f)
		return
	}
	f.Text += "; the record ends early, it may have come later"
	r.unsure(f)
}

// unsure notes something without which nothing can be said.
func (r *ruling) unsure(f Finding) {
	f.Class = string(Inconclusive)
	r.doubt.note(f)
}

// into decides: the first finding is the reason, in the order they were noted in, or else the given one.
func (r *ruling) into(p *Promise, reason string) {
	p.Verdict, p.Reason = Pass, reason
	switch {
	case r.against.found > 0:
		p.Verdict, p.Reason = Fail, firstOf(r.against.kept, r.against.found)
	case r.doubt.found > 0:
		p.Verdict, p.Reason = Inconclusive, firstOf(r.doubt.kept, r.doubt.found)
	}
	var all findings
	all.merge(&r.against)
	all.merge(&r.doubt)
	all.into(p)
}

// finished reports whether the run saw as much as it planned to: it came to its end, or it waited in vain for as long as it would
// for something of the product, as observe.Await puts it.
func (t *Timeline) finished() bool {
	return t.End != nil && (t.End.Reason == "finished" || strings.HasPrefix(t.End.Reason, "wait for ") && strings.Contains(t.End.Reason, ": not within "))
}

// since is a finding about the time from a moment to the end of the record.
func (t *Timeline) since(at time.Duration, text string, evidence ...string) Finding {
	return Finding{At: at, Until: t.clamp(Never), Text: text, Evidence: evidence}
}
