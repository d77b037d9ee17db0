package history

import "time"

// Clock is the one clock of a run: monotonic time since the start, and the wall time that belongs to it. A step of the
// machine's wall clock during the run changes neither.
type Clock struct {
	start   time.Time
	stopped bool
	now     time.Duration // where it was stopped
}

// NewClock starts the clock of a run now.
func NewClock() Clock { return Clock{start: time.Now()} }

// StoppedClock stands still at a time since the run's start: for a record that is made up, whose moments are all given.
func StoppedClock(start time.Time, now time.Duration) Clock {
	return Clock{start: start, stopped: true, now: now}
}

// Started is the wall time of the run's start.
func (c Clock) Started() time.Time { return c.start }

// Now is the monotonic time since the run's start.
func (c Clock) Now() time.Duration {
	if c.stopped {
		return c.now
	}
	return time.Since(c.start)
}

// At is the time since the run's start of a moment that carries Go's monotonic reading.
func (c Clock) At(t time.Time) time.Duration { return t.Sub(c.start) }

// Wall is the wall time that belongs to a time since the run's start.
func (c Clock) Wall(at time.Duration) time.Time { return c.start.Add(at).Round(0) }
