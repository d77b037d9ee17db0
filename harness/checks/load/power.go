package load

import (
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// loadPower is ZeroPower of the hits that were left to judge, with the rate of the load and the shortest outage that cannot slip through.
func loadPower(judged, sent uint64, loaded, outage time.Duration) *judge.Power {
	p := judge.ZeroPower(judged, "hits")
	if p == nil {
		return nil
	}
	if loaded > 0 {
		p.Rate = float64(sent) / loaded.Seconds()
	}
	p.OutageSeen = outage
	p.Text += fmt.Sprintf("; an outage of any arm for %s or longer is always seen", words.Span(outage))
	return p
}

// outageSeen is how long an outage of one arm must be to be seen for certain, whichever arm it is: the longest time of all windows in which no
// hit that was judged both began and ended.
func outageSeen(gaps map[*timeline.Window]time.Duration) (worst time.Duration) {
	for _, gap := range gaps {
		worst = max(worst, gap)
	}
	return worst
}
