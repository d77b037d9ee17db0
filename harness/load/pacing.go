package load

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Pacing says when hits are intended. It is one of Constant, Ramp, Recorded and Saturate.
type Pacing interface {
	fmt.Stringer
	check() error
}

// timed is a pacing whose intended times follow from a formula. Hit j of the whole load is due at(j) after the window's begin;
// of several arms each takes every n-th, so that their hits are spread evenly in time.
type timed interface {
	at(j uint64) time.Duration
}

// Constant is an even rate of all arms together.
type Constant struct {
	PerSecond float64
}

func (c Constant) String() string { return "constant " + formatRate(c.PerSecond) }

func (c Constant) check() error { return checkRate(c.PerSecond) }

func (c Constant) at(j uint64) time.Duration { return seconds(float64(j) / c.PerSecond) }

// Ramp changes the rate of all arms together evenly from From to To hits per second, and stays at To when it is Over.
type Ramp struct {
	From, To float64 // hits per second; From may be 0
	Over     time.Duration
}

func (r Ramp) String() string {
	return fmt.Sprintf("ramp %s to %s over %s", formatRate(r.From), formatRate(r.To), r.Over)
}

func (r Ramp) check() error {
	if r.From < 0 || math.IsInf(r.From, 0) || math.IsNaN(r.From) {
		return fmt.Errorf("ramp from %v hits per second: want 0 or more", r.From)
	}
	if r.Over <= 0 {
		return fmt.Errorf("ramp over %s: want more than 0", r.Over)
	}
	return checkRate(r.To)
}

// at solves N(t) = j for t, where N(t) = From t + (To - From) t^2 / (2 Over) is the number of hits due before t.
func (r Ramp) at(j uint64) time.Duration {
	if j == 0 {
		return 0
	}
	n, over := float64(j), r.Over.Seconds()
	whole := (r.From + r.To) / 2 * over
	if n >= whole {
		return seconds(over + (n-whole)/r.To)
	}
	slope := (r.To - r.From) / over
	if slope == 0 {
		return seconds(n / r.From)
	}
	// The root that stays exact when the slope is small.
	return seconds(2 * n / (r.From + math.Sqrt(r.From*r.From+2*slope*n)))
}

// Recorded takes the times from the traffic file.
type Recorded struct {
	Speed float64 // 2 replays twice as fast; 0 counts as 1
	Loop  bool    // start over at the end of the file
}

func (r Recorded) String() string {
	s := fmt.Sprintf("recorded x%g", r.speed())
	if r.Loop {
		s += " in a loop"
	}
	return s
}

func (r Recorded) check() error {
	if r.Speed < 0 || math.IsInf(r.Speed, 0) || math.IsNaN(r.Speed) {
		return fmt.Errorf("replay at speed %v: want more than 0", r.Speed)
	}
	return nil
}

func (r Recorded) speed() float64 {
	if r.Speed == 0 {
		return 1
	}
	return r.Speed
}

// Saturate sends as fast as the workers go. It is the one pacing that is no open loop: the intended time of a hit is when a worker
// was free for it. It measures capacity and proves nothing about drops between hits.
type Saturate struct{}

func (Saturate) String() string { return "saturating" }

func (Saturate) check() error { return nil }

// ParseRate reads a rate as people write it: "300/s", "20/m", "7200/h", or a plain number of hits per second.
func ParseRate(s string) (perSecond float64, err error) {
	number, unit, _ := strings.Cut(s, "/")
	per, ok := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("rate %q: want a number of hits and a unit, like 300/s, 20/m or 7200/h", s)
	}
	if err := checkRate(n / per); err != nil {
		return 0, fmt.Errorf("rate %q: %w", s, err)
	}
	return n / per, nil
}

func checkRate(perSecond float64) error {
	if !(perSecond > 0) || perSecond > 1e7 {
		return fmt.Errorf("%v hits per second: want more than 0 and at most 10 000 000", perSecond)
	}
	return nil
}

func formatRate(perSecond float64) string {
	if perSecond > 0 && perSecond < 1 {
		return fmt.Sprintf("%.4g/m", perSecond*60)
	}
	return fmt.Sprintf("%.6g/s", perSecond)
}

// never is the intended time of a hit that is not due in any window: after a hundred years.
const never = 100 * 365 * 24 * time.Hour

// seconds is a duration, at most never.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, never.Seconds()) * float64(time.Second))
}

// dueBefore counts the hits that one arm, the first-th of every, is to send in a window of that length.
func dueBefore(t timed, length time.Duration, first, every uint64) uint64 {
	low, high := uint64(0), uint64(1)
	for t.at(first+high*every) < length {
		low, high = high, high*2
	}
	for low < high {
		mid := low + (high-low)/2
		if t.at(first+mid*every) < length {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
