package main

import (
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/progress"
)

// barEvery is how often the arms of a load are shown.
const barEvery = 200 * time.Millisecond

// showLoad shows where each arm is until the window has ended.
func showLoad(display *progress.Display, g *load.Generator, window *load.Window) {
	defer display.Bars()
	before, since := g.Status(), time.Now()
	tick := time.NewTicker(barEvery)
	defer tick.Stop()
	for {
		select {
		case <-window.Done():
			return
		case <-tick.C:
		}
		now, took := g.Status(), time.Since(since)
		bars := make([]progress.Bar, len(now))
		for i, s := range now {
			bars[i] = progress.Bar{Name: s.Arm, Done: s.Done, Total: s.Planned, Text: armFigures(s, rate(before[i].Done, s.Done, took))}
		}
		display.Bars(bars...)
		if took >= time.Second {
			before, since = now, time.Now()
		}
	}
}

func rate(before, now uint64, took time.Duration) float64 {
	return float64(now-before) / took.Seconds()
}

func armFigures(s load.Status, perSecond float64) string {
	text := fmt.Sprintf("%.0f/s, failed %d", perSecond, s.Failed)
	if s.Masked > 0 {
		text += fmt.Sprintf(", masked %d", s.Masked)
	}
	return text
}
