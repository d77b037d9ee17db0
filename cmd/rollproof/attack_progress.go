package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"bitvault.dev/rollproof/harness/load"
)

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 5 * time.Second
)

// showLoad shows where each arm is until the window has ended: a bar each on a terminal, plain lines otherwise.
func showLoad(w io.Writer, g *load.Generator, window *load.Window) {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		showBars(w, g, window)
		return
	}
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	before := g.Status()
	for {
		select {
		case <-window.Done():
			return
		case <-tick.C:
			now := g.Status()
			fmt.Fprintln(w, loadLine(before, now, lineEvery))
			before = now
		}
	}
}

// loadLine says in one line what happened since the last one.
func loadLine(before, now []load.Status, took time.Duration) string {
	parts := make([]string, len(now))
	for i, s := range now {
		parts[i] = fmt.Sprintf("%s %d/%d %s", s.Arm, s.Done, s.Planned, armFigures(s, rate(before[i].Done, s.Done, took)))
	}
	return strings.Join(parts, " | ")
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

func showBars(w io.Writer, g *load.Generator, window *load.Window) {
	progress := mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithRefreshRate(barEvery))
	before, since := g.Status(), time.Now()
	figures := make([]atomic.Pointer[string], len(before)) // the bars are drawn by a goroutine of their own
	bars := make([]*mpb.Bar, len(before))
	for i, s := range before {
		bars[i] = progress.AddBar(int64(s.Planned),
			mpb.PrependDecorators(decor.Name(s.Arm, decor.WCSyncSpaceR), decor.CountersNoUnit("%d/%d", decor.WCSyncSpace)),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
				if text := figures[i].Load(); text != nil {
					return *text
				}
				return ""
			})))
	}
	tick := time.NewTicker(barEvery)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-window.Done():
			running = false
		case <-tick.C:
		}
		now, took := g.Status(), time.Since(since)
		for i, s := range now {
			text := armFigures(s, rate(before[i].Done, s.Done, took))
			figures[i].Store(&text)
			bars[i].SetCurrent(int64(s.Done))
		}
		if took >= time.Second {
			before, since = now, time.Now()
		}
	}
	for _, bar := range bars {
		bar.Abort(false) // a window that was stopped has not filled its bars
	}
	progress.Wait()
}
