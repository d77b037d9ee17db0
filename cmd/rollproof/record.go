package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/load"
)

// startRecord starts the record of a run; dir "" is a new directory below out/.
func startRecord(about history.Run, dir string) (*history.Recorder, error) {
	clock := history.NewClock()
	if dir == "" {
		name := clock.Started().Format("20060102-150405") + "-" + strings.ReplaceAll(about.Scenario, "/", "-")
		dir = filepath.Join("out", name)
	}
	about.ID = strings.ToLower(rand.Text()[:10])
	return history.Create(dir, about, clock)
}

// closeRecord ends a record with what its run came to, and returns the run's error.
func closeRecord(rec *history.Recorder, ran error) error {
	outcome, reason := history.EndFinished, ""
	if errors.Is(ran, context.Canceled) {
		outcome = history.EndInterrupted
	} else if ran != nil {
		outcome, reason = history.EndFailed, load.ReadCommandLine(os.Args[1:]).Redact(ran.Error())
	}
	err := rec.Close(outcome, reason)
	if ran != nil {
		return fmt.Errorf("%w; what was recorded until then is in %s", errors.Join(ran, err), rec.Dir())
	}
	return err
}
