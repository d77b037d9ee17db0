// Package progress says what long work is doing, how long it has taken and how long it usually takes.
//
// On a terminal each running step is a spinner with its latest message; elsewhere (CI, a file) every message is a plain line and a
// long step repeats itself, so that a silent log never looks like a hang. How long a step usually takes is remembered from
// earlier successful runs in one small JSON file.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// heartbeat is how often a running step repeats itself where there is no spinner.
const heartbeat = 20 * time.Second

// Display shows running steps. The zero value is not usable: call New or Discard. All methods are safe for concurrent use.
type Display struct {
	mu     sync.Mutex
	out    io.Writer
	memory *memory
	bars   *mpb.Progress // nil where out is not a terminal
}

// New shows steps on out. memory is the JSON file of usual durations; it and its folder are made when first needed, and a file that
// cannot be read or written only costs the estimates. Close the display before printing anything else on a terminal.
func New(out io.Writer, memory string) *Display {
	d := &Display{out: out, memory: openMemory(memory)}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		d.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(1), mpb.WithRefreshRate(150*time.Millisecond))
	}
	return d
}

// Discard returns a display that shows and remembers nothing.
func Discard() *Display { return &Display{out: io.Discard, memory: openMemory("")} }

// Close waits until the last state of every finished step is on the terminal. Steps still running are taken off it.
func (d *Display) Close() {
	if d.bars != nil {
		d.bars.Shutdown()
	}
}

// Step is one piece of work that is being shown. End it with Done, exactly once; later calls do nothing.
type Step struct {
	display *Display
	name    string
	began   time.Time
	usual   time.Duration // 0 when never seen before
	ended   chan struct{}
	once    sync.Once
	bar     *mpb.Bar

	mu  sync.Mutex
	now string // the latest thing said
}

// Start shows a new step. The name is also what its usual duration is remembered by, so keep versions and paths out of it.
func (d *Display) Start(name string) *Step {
	s := &Step{display: d, name: name, began: time.Now(), usual: d.memory.usual(name), ended: make(chan struct{})}
	if d.bars != nil {
		s.bar = d.bars.New(0, mpb.SpinnerStyle(), mpb.BarRemoveOnComplete(),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return s.status() })))
		return s
	}
	d.line(name + s.usually(" (usually %s)"))
	go s.beat()
	return s
}

// Say tells what the step is doing now.
func (s *Step) Say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.mu.Lock()
	s.now = text
	s.mu.Unlock()
	if s.bar == nil {
		s.display.line(s.name + ": " + text)
	}
}

// Done ends the step and says how long it took. The duration is remembered only when err is nil: how long a failure took says nothing
// about the next run. Done returns err, so that it can end a function.
func (s *Step) Done(err error) error {
	s.once.Do(func() { s.end(err) })
	return err
}

func (s *Step) end(err error) {
	close(s.ended)
	took := time.Since(s.began)
	if s.bar != nil {
		s.bar.Abort(true)
		s.bar.Wait()
	}
	if err != nil {
		s.display.line(fmt.Sprintf("%s: failed after %s", s.name, short(took)))
		return
	}
	s.display.memory.record(s.name, took)
	s.display.line(fmt.Sprintf("%s: done in %s", s.name, short(took)))
}

// beat repeats a long step's state until it ends.
func (s *Step) beat() {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-s.ended:
			return
		case <-tick.C:
			s.display.line(s.status())
		}
	}
}

// status is the step in one line: what, what now, how long so far, how long usually.
func (s *Step) status() string {
	s.mu.Lock()
	now := s.now
	s.mu.Unlock()
	if now != "" {
		now = ": " + now
	}
	return fmt.Sprintf("%s%s, %s so far%s", s.name, now, short(time.Since(s.began)), s.usually(" of usually %s"))
}

func (s *Step) usually(format string) string {
	if s.usual == 0 {
		return ""
	}
	return fmt.Sprintf(format, short(s.usual))
}

// line prints one stamped line, above the spinners where there are any.
func (d *Display) line(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := fmt.Sprintf("%s  %s\n", time.Now().Format(time.TimeOnly), text)
	if d.bars != nil {
		if _, err := d.bars.Write([]byte(line)); err == nil {
			return
		}
	}
	fmt.Fprint(d.out, line)
}

// short is a duration as people say it: tenths below ten seconds, else whole seconds.
func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
