package load

import "testing"

// The generator comes before others while it runs, where it may, and not a moment longer.
func TestPriorityIsRaisedAndGivenBack(t *testing.T) {
	before := niceness()
	session, sessions := reniceSession(0) // as it is for a shell
	nice, restore := raisePriority()
	during := niceness()
	sessionDuring, _ := reniceSession(generatorNice)
	restore()
	sessionAfter, _ := reniceSession(session)
	if sessions && nice == generatorNice && (sessionDuring != generatorNice || sessionAfter != 0) {
		t.Errorf("the session has nice %d during, and %d afterwards", sessionDuring, sessionAfter)
	}
	if during != nice {
		t.Errorf("it says nice %d and has %d", nice, during)
	}
	if nice != generatorNice && nice != before {
		t.Errorf("nice %d: neither raised nor as before (%d)", nice, before)
	}
	if after := niceness(); after != before {
		t.Errorf("nice %d afterwards, %d before", after, before)
	}
}
