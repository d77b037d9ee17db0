package judge

import (
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/timeline"
)

// WhileKnown keeps from a fold that compares hits with events those hits that ended when no event is left to compare with.
func WhileKnown(t *timeline.Timeline, fold HitFold) HitFold {
	if t.Known == timeline.Never {
		return fold
	}
	return untilFold{fold: fold, until: t.Known}
}

type untilFold struct {
	fold  HitFold
	until time.Duration
}

func (f untilFold) Hit(h *history.Hit) {
	if h.End() <= f.until {
		f.fold.Hit(h)
	}
}
