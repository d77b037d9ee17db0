package load

import (
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// loadPower is zeroPower with the rate of the load and the shortest outage that cannot slip through.
func loadPower(n uint64, loaded, outage time.Duration) *judge.Power {
	p := judge.ZeroPower(n, "hits")
	if p == nil {
		return nil
	}
	if loaded > 0 {
		p.Rate = float64(n) / loaded.Seconds()
	}
	p.OutageSeen = outage
	p.Text += fmt.Sprintf("; an outage of every arm for %s or longer is always seen", words.Span(outage))
	return p
}

// outageSeen is how long an outage of every arm must be to be seen for certain: in every segment of time, the arm that looked most
// often counts. gaps holds the longest time of each window in which no hit both began and ended. It overstates where arms take turns.
func outageSeen(windows []*timeline.Window, gaps map[*timeline.Window]time.Duration) time.Duration {
	var worst time.Duration
	for _, s := range timeline.Segments(windows) {
		best := timeline.Never
		for _, w := range windows {
			if w.Begin <= s.From && s.Until <= w.Until() {
				best = min(best, gaps[w])
			}
		}
		worst = max(worst, best)
	}
	return worst
}
