package judge

import (
	"fmt"
	"time"
)

// zeroPower says what nothing in n is worth. With none of n the true share is at most 3/n at 95 % (the rule of three).
func zeroPower(n uint64, what string) *Power {
	if n == 0 {
		return nil
	}
	p := &Power{Hits: n, MaxLossShare: min(3/float64(n), 1)}
	p.Text = fmt.Sprintf("0 of %s %s: at most %s at 95 %%", count(n), what, percent(p.MaxLossShare))
	return p
}

// loadPower is zeroPower with the rate of the load and the shortest outage that cannot slip through.
func loadPower(n uint64, loaded, outage time.Duration) *Power {
	p := zeroPower(n, "hits")
	if p == nil {
		return nil
	}
	if loaded > 0 {
		p.Rate = float64(n) / loaded.Seconds()
	}
	p.OutageSeen = outage
	p.Text += fmt.Sprintf("; an outage of every arm for %s or longer is always seen", span(outage))
	return p
}

// loadedTime is how long at least one arm that counts was under load.
func loadedTime(windows []*Window) time.Duration {
	var total time.Duration
	for _, s := range segments(windows) {
		total += s.Until - s.From
	}
	return total
}

// segments cuts the time under load at every beginning and end of a window.
func segments(windows []*Window) []Span {
	var cuts []time.Duration
	for _, w := range windows {
		cuts = append(cuts, w.Begin, w.Until())
	}
	var spans []Span
	for _, s := range between(cuts) {
		for _, w := range windows {
			if w.Begin <= s.From && s.Until <= w.Until() {
				spans = append(spans, s)
				break
			}
		}
	}
	return spans
}

// outageSeen is how long an outage of every arm must be to be seen for certain: in every segment of time, the arm that looked most
// often counts. gaps holds the longest time of each window in which no hit both began and ended. It overstates where arms take turns.
func outageSeen(windows []*Window, gaps map[*Window]time.Duration) time.Duration {
	var worst time.Duration
	for _, s := range segments(windows) {
		best := Never
		for _, w := range windows {
			if w.Begin <= s.From && s.Until <= w.Until() {
				best = min(best, gaps[w])
			}
		}
		worst = max(worst, best)
	}
	return worst
}
