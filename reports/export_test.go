package reports

import (
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// As returns the timeline as that of another run: golden files need one whose times and names do not change.
func (t *Timeline) As(run history.Run) *Timeline {
	copied := *t
	copied.run = run
	return &copied
}

// Answer is what the timeline says above all in every view.
func (t *Timeline) Answer(res judge.Result) string { return answer(t, res) }

// End is the length of the run.
func (t *Timeline) End() time.Duration { return t.end }
