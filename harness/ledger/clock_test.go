package ledger

import (
	"testing"
	"time"
)

// Each look bounds the offset from both sides; the best of all do so together, and looks that contradict each other are told.
func TestClock(t *testing.T) {
	const ms = time.Millisecond
	var c clock
	if got := c.reading(); got.Looks != 0 {
		t.Errorf("a clock that was never looked at reads %+v", got)
	}
	c.look(100*ms, 10*ms, 120*ms) // 90 to 110
	if got := c.reading(); got.Offset != 100*ms || got.Within != 10*ms || got.Looks != 1 {
		t.Errorf("one look reads %+v", got)
	}
	c.look(1000*ms, 905*ms, 1200*ms)  // 95 to 295
	c.look(2000*ms, 1950*ms, 2049*ms) // 50 to 99
	if got := c.reading(); got.Offset != 97*ms || got.Within != 2*ms || got.Looks != 3 || got.Apart != 0 {
		t.Errorf("three looks read %+v, want 97 ms within 2 ms", got)
	}
	c.look(3000*ms, 2800*ms, 3010*ms) // 200 to 210: one of the clocks stepped
	if got := c.reading(); got.Apart != 101*ms || got.Looks != 4 {
		t.Errorf("a clock that stepped reads %+v", got)
	}
}
