package ledger

import (
	"math"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// clock measures what brings a writer's moments onto the run's clock. Each look is a round trip: the writer told its time after the question was
// sent and before the answer came. So each bounds the offset from both sides, and all of them together do so best.
type clock struct {
	looks         uint64
	least, most   time.Duration // bounds of the offset
	contradiction time.Duration
}

// look takes a round trip: sent and came by the run's clock, told by the writer's.
func (c *clock) look(sent, told, came time.Duration) {
	if c.looks == 0 {
		c.least, c.most = math.MinInt64, math.MaxInt64
	}
	c.looks++
	least, most := max(c.least, sent-told), min(c.most, came-told)
	if least > most {
		c.contradiction = max(c.contradiction, least-most)
		return
	}
	c.least, c.most = least, most
}

func (c *clock) reading() history.LedgerClock {
	return history.LedgerClock{Offset: c.least + (c.most-c.least)/2, Within: (c.most - c.least + 1) / 2, Looks: c.looks, Apart: c.contradiction}
}
