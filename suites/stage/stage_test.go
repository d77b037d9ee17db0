package stage

import (
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/run"
)

// A scenario that go test would kill half-way is not begun, and the reason names the flag that gives it the time.
func TestAScenarioThatDoesNotFitIsNotBegun(t *testing.T) {
	scenario := run.Scenario{Name: "canary/slow", Before: 30 * time.Second, After: 30 * time.Second, Acts: []run.Act{run.Hold(time.Minute)}}
	needed := 3*time.Minute + spare // half as long again as the two minutes it usually takes, and what comes after it
	if why := tooShort(scenario, needed); why != "" {
		t.Errorf("with %v left: %q, want nothing", needed, why)
	}
	why := tooShort(scenario, needed-time.Second)
	for _, want := range []string{"canary/slow", "usually takes 2m0s", "-timeout 60m"} {
		if !strings.Contains(why, want) {
			t.Errorf("%q does not say %q", why, want)
		}
	}
	if why := (&Stage{}).NoTimeFor(scenario); why != "" {
		t.Errorf("without a deadline: %q, want nothing", why)
	}
}

// A suite in which everything was skipped must not be green.
func TestASuiteThatRanNothingIsIdle(t *testing.T) {
	for name, c := range map[string]struct {
		stage *Stage
		want  bool
	}{"nothing ran": {&Stage{}, true}, "one ran": {&Stage{ran: 1}, false}, "it could not begin": {nil, false}} {
		if got := c.stage.Idle(); got != c.want {
			t.Errorf("%s: idle %v, want %v", name, got, c.want)
		}
	}
}
