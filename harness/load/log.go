package load

import (
	"bytes"
	"fmt"
	"log"
	"sync"

	"bitvault.dev/rollproof/harness/history"
)

// Limits of what is kept of Go's log.
const (
	keptLogLines = 5
	keptLogLine  = 300 // bytes
)

// LogNote is the data of the note about what Go's HTTP library logged: for some faults, as bytes that nobody asked for on an idle
// connection, it has no error to return, for no request is there to fail.
type LogNote struct {
	Lines uint64   `json:"lines"`
	First []string `json:"first"` // the first of them
}

// CatchLog takes what libraries write to Go's standard logger from now on, so that it tears no display. The function it returns gives
// the logger back and records what was caught. Only one may be at work in a process: the logger is the process's own.
func CatchLog() (release func(*history.Recorder) error) {
	caught, before := &logCatcher{}, log.Writer()
	log.SetOutput(caught)
	return func(rec *history.Recorder) error {
		log.SetOutput(before)
		return caught.record(rec)
	}
}

type logCatcher struct {
	mu   sync.Mutex
	note LogNote
}

func (c *logCatcher) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note.Lines++
	if len(c.note.First) < keptLogLines {
		text := bytes.TrimSpace(line)
		c.note.First = append(c.note.First, string(text[:min(len(text), keptLogLine)]))
	}
	return len(line), nil
}

func (c *logCatcher) record(rec *history.Recorder) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.note.Lines == 0 {
		return nil
	}
	note := history.Note{Text: "Go's HTTP library logged what no hit has failed by", Data: c.note}
	if err := rec.Append(history.Event{Kind: history.KindNote, Note: &note}); err != nil {
		return fmt.Errorf("record what Go's HTTP library logged: %w", err)
	}
	return nil
}
