package progress

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"bitvault.dev/rollproof/harness/words"
)

// heartbeat is how often a running step repeats itself where its row cannot be rewritten.
const heartbeat = 20 * time.Second

// Step is one piece of work that is being shown. End it with Done, exactly once; later calls do nothing.
type Step struct {
	display *Display
	name    string
	began   time.Time
	usual   time.Duration // 0 when never seen before
	ended   chan struct{}
	once    sync.Once
	now     string // the latest thing said; the display's lock guards it
}

// Start shows a new step. The name is also what its usual duration is remembered by, so keep versions and paths out of it.
func (d *Display) Start(name string) *Step {
	s := &Step{display: d, name: name, began: time.Now(), usual: d.memory.usual(name), ended: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.screen != nil {
		d.steps = append(d.steps, s)
		d.draw()
		d.keepDrawing()
		return s
	}
	d.say(name + s.usually(" (usually %s)"))
	go s.beat()
	return s
}

// Say tells what the step is doing now.
func (s *Step) Say(format string, args ...any) {
	d := s.display
	d.mu.Lock()
	defer d.mu.Unlock()
	s.now = fmt.Sprintf(format, args...)
	if d.screen == nil {
		d.say(s.name + ": " + s.now)
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
	how := "done in"
	if err != nil {
		how = "failed after"
	} else {
		s.display.memory.record(s.name, took)
	}
	d := s.display
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps = slices.DeleteFunc(d.steps, func(other *Step) bool { return other == s })
	d.say(fmt.Sprintf("%s: %s %s", s.name, how, short(took)))
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
			s.display.mu.Lock()
			s.display.say(s.status())
			s.display.mu.Unlock()
		}
	}
}

// status is the step in one row: what, how long so far, how long usually, what now. The caller holds the display's lock. What changes
// most comes last: the end of a row is what a narrow screen cuts off.
func (s *Step) status() string {
	now := s.now
	if now != "" {
		now = ": " + now
	}
	return fmt.Sprintf("%s, %s so far%s%s", s.name, short(time.Since(s.began)), s.usually(" of usually %s"), now)
}

func (s *Step) usually(format string) string {
	if s.usual == 0 {
		return ""
	}
	return fmt.Sprintf(format, short(s.usual))
}

// short is a duration as people say it: tenths below ten seconds, else whole seconds.
func short(d time.Duration) string {
	if d < 10*time.Second {
		return words.Span(d.Round(100 * time.Millisecond))
	}
	return words.Span(d.Round(time.Second))
}
