// Package progress owns what a command shows while it works: steps, lines, and one status at the bottom.
//
// On a terminal each running step is a row with its latest message, and the status is rewritten; elsewhere (CI, a file, a dumb terminal)
// everything is a plain line and a long step repeats itself, so that a silent log never looks like a hang. How long a step
// usually takes is remembered from earlier successful runs in one small JSON file.
package progress

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	redrawEvery = 150 * time.Millisecond
	// plainEvery is how often a status is worth a line of its own where lines cannot be rewritten.
	plainEvery = 10 * time.Second
	stampWidth = len("15:04:05  ")
)

// Display is the one writer to a terminal or a log. Whoever starts a command or a suite opens it first and closes it last; everybody
// else only uses it. One that is closed still prints, plainly: nothing said late is lost. Besides steps and the status it is an
// io.Writer of whole lines. The zero value is not usable: call New or Discard. All methods are safe for concurrent use.
type Display struct {
	memory *memory
	redact func(string) string // takes out of a line what must not be shown; nil for nothing

	mu      sync.Mutex
	out     io.Writer
	screen  *screen // nil where lines cannot be taken back, and once closed
	steps   []*Step // that run, the oldest first; only with a screen
	status  []string
	drawing bool      // a goroutine draws again and again
	told    time.Time // when the status was last a line of its own; zero while there is none
	unended []byte    // written, and no whole line yet
	frame   int       // of the spinner
}

// New shows on out. memory is the JSON file of usual durations; it and its folder are made when first needed, and a file that
// cannot be read or written only costs the estimates; "" remembers nothing.
func New(out io.Writer, memory string) *Display {
	return &Display{out: out, memory: openMemory(memory), screen: screenOn(out)}
}

// Redact makes the display pass each line through a function that takes out what must not be shown. Call it before anything of the kind is shown.
func (d *Display) Redact(redact func(string) string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.redact = redact
}

// printable is a line as it may be shown; the caller holds d.mu.
func (d *Display) printable(line string) string {
	if d.redact != nil {
		line = d.redact(line)
	}
	return printable(line)
}

// Discard returns a display that shows and remembers nothing.
func Discard() *Display { return &Display{out: io.Discard, memory: openMemory("")} }

// Close takes steps and status off the terminal. What is said or started later is printed plainly. Closing again does nothing.
func (d *Display) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.unended) > 0 {
		d.print(string(d.unended))
		d.unended = nil
	}
	d.steps, d.status = nil, nil
	if d.screen != nil {
		d.draw()
		d.screen = nil
	}
}

// Say prints one line, with the time of day in front.
func (d *Display) Say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.say(fmt.Sprintf(format, args...))
}

// say prints a stamped line; the caller holds d.mu. Further lines of the text stand below its first one.
func (d *Display) say(text string) {
	margin := time.Now().Format(time.TimeOnly) + "  "
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, margin+line)
		margin = strings.Repeat(" ", stampWidth)
	}
	d.print(lines...)
}

// Write prints the whole lines of p, and keeps what follows the last of them until its end is written, too. It never fails: a
// terminal that is gone is no reason to end what is shown.
func (d *Display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unended = append(d.unended, p...)
	end := bytes.LastIndexByte(d.unended, '\n')
	if end >= 0 {
		d.print(strings.Split(string(d.unended[:end]), "\n")...)
		d.unended = slices.Clone(d.unended[end+1:])
	}
	return len(p), nil
}

// print writes lines that stay; the caller holds d.mu.
func (d *Display) print(lines ...string) {
	for i, line := range lines {
		lines[i] = d.printable(line)
	}
	if d.screen != nil {
		d.screen.draw(lines, d.rows())
		return
	}
	_, _ = io.WriteString(d.out, strings.Join(lines, "\n")+"\n") // as above
}

// Status shows how far the work is: on a terminal as rows at the bottom, each cut to the width, elsewhere as one line now and then.
// No rows take it off.
func (d *Display) Status(rows ...string) {
	d.setStatus(rows, strings.Join(rows, "  "))
}

// Bar is how far one part of the work is.
type Bar struct {
	Name        string
	Done, Total uint64
	Text        string // what else is worth knowing
}

// Bars shows a status of bars, as Status does.
func (d *Display) Bars(bars ...Bar) {
	rows, plain := make([]string, len(bars)), make([]string, len(bars))
	names, counts := 0, 0
	for _, b := range bars {
		names, counts = max(names, len(b.Name)), max(counts, len(b.count()))
	}
	for i, b := range bars {
		rows[i] = fmt.Sprintf("%-*s  %*s %s %s", names, b.Name, counts, b.count(), b.drawn(), b.Text)
		plain[i] = fmt.Sprintf("%s %s %s", b.Name, b.count(), b.Text)
	}
	d.setStatus(rows, strings.Join(plain, " | "))
}

func (b Bar) count() string { return fmt.Sprintf("%d/%d", b.Done, b.Total) }

func (b Bar) drawn() string {
	const width = 20
	full := 0
	if b.Total > 0 {
		full = int(width * min(b.Done, b.Total) / b.Total)
	}
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "]"
}

func (d *Display) setStatus(rows []string, plain string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.screen != nil:
		d.status = make([]string, len(rows))
		for i, row := range rows {
			d.status[i] = d.printable(row)
		}
		d.draw()
		d.keepDrawing()
	case len(rows) == 0:
		d.told = time.Time{}
	case d.told.IsZero():
		d.told = time.Now() // the work has only begun
	case time.Since(d.told) >= plainEvery:
		d.told = time.Now()
		d.say(plain)
	}
}

// draw shows the state of this moment; the caller holds d.mu and has seen that there is a screen.
func (d *Display) draw() { d.screen.draw(nil, d.rows()) }

// rows are what stands at the bottom; the caller holds d.mu.
func (d *Display) rows() []string {
	const spinner = `|/-\`
	var rows []string
	for _, s := range d.steps {
		rows = append(rows, d.printable(fmt.Sprintf("%c %s", spinner[d.frame%len(spinner)], s.status())))
	}
	return append(rows, d.status...)
}

// keepDrawing draws until there is nothing left that changes by itself; the caller holds d.mu.
func (d *Display) keepDrawing() {
	if d.drawing {
		return
	}
	d.drawing = true
	go func() {
		tick := time.NewTicker(redrawEvery)
		defer tick.Stop()
		for range tick.C {
			if !d.drawAgain() {
				return
			}
		}
	}()
}

// drawAgain draws once more, and says whether there is anything to draw.
func (d *Display) drawAgain() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.screen == nil || len(d.steps)+len(d.status) == 0 {
		d.drawing = false
		return false
	}
	d.frame++
	d.draw()
	return true
}
