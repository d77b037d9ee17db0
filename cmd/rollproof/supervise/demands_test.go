package supervise

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// `timeout` sends SIGTERM to a process and then to its group: that is one demand. Another signal, or the same one later, is a second.
func TestAnEchoIsNoSecondDemand(t *testing.T) {
	type sent struct {
		after time.Duration // the one before
		what  os.Signal
		isNew bool
	}
	for name, all := range map[string][]sent{
		"once":            {{0, syscall.SIGTERM, true}},
		"with its echo":   {{0, syscall.SIGTERM, true}, {time.Millisecond, syscall.SIGTERM, false}},
		"with two echoes": {{0, syscall.SIGTERM, true}, {Echo / 2, syscall.SIGTERM, false}, {Echo / 2, syscall.SIGTERM, false}},
		"again later":     {{0, syscall.SIGTERM, true}, {Echo, syscall.SIGTERM, true}},
		"another at once": {{0, syscall.SIGTERM, true}, {0, os.Interrupt, true}},
		"Ctrl-C, Ctrl-C":  {{0, os.Interrupt, true}, {time.Second, os.Interrupt, true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var d demands
			for i, s := range all {
				time.Sleep(s.after) // of the test's own clock
				if got := d.isNew(s.what); got != s.isNew {
					t.Errorf("%s: signal %d is new: %v, want %v", name, i+1, got, s.isNew)
				}
			}
		})
	}
}
