package judge

import (
	"testing"
	"time"
)

// What is kept of too many findings are the earliest, whatever order they come in, and one of the moment of the last kept still counts.
func TestTheEarliestFindingsAreKept(t *testing.T) {
	var f Findings
	for i := 2 * MaxFindings; i > 0; i-- {
		f.Note(Finding{At: time.Duration(i)})
	}
	if !f.Wants(MaxFindings) || f.Wants(MaxFindings+1) {
		t.Errorf("with findings up to moment %d kept, one of it is wanted: %v, one later: %v", MaxFindings, f.Wants(MaxFindings), f.Wants(MaxFindings+1))
	}
	var p Promise
	f.Into(&p)
	if len(p.Findings) != MaxFindings || p.Findings[0].At != 1 || p.Findings[MaxFindings-1].At != MaxFindings {
		t.Errorf("%d findings are kept, from %d to %d, want %d from 1", len(p.Findings), p.Findings[0].At, p.Findings[len(p.Findings)-1].At, MaxFindings)
	}
	if p.Found != 2*MaxFindings+2 { // every question counts
		t.Errorf("%d were found", p.Found)
	}
}

func TestAsManyFindingsAsAreKeptAreAllKept(t *testing.T) {
	var f Findings
	for i := range MaxFindings {
		f.Note(Finding{At: time.Duration(i)})
	}
	var p Promise
	f.Into(&p)
	if len(p.Findings) != MaxFindings || !f.Wants(time.Hour) {
		t.Errorf("%d of %d findings are kept", len(p.Findings), MaxFindings)
	}
}
