package reports

import (
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// As returns the timeline as that of another run: golden files need one whose times and names do not change.
func (t *Timeline) As(run history.Run) *Timeline {
	copied := *t
	copied.run = run
	return &copied
}

// End is the length of the run.
func (t *Timeline) End() time.Duration { return t.end }
