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
// the logger back and records what was caught, without what is secret in the arms and the plan whose load makes it. Only one may be at work in
// a process: the logger is the process's own.
func CatchLog(arms []Arm, plan Plan) (release func(*history.Recorder) error) {
	caught, before := &logCatcher{}, log.Writer()
	for _, arm := range arms {
		caught.secrets = append(caught.secrets, secretsOf(arm.Targets, plan.header(arm))...)
	}
	caught.secrets.sort()
	log.SetOutput(caught)
	return func(rec *history.Recorder) error {
		log.SetOutput(before)
		return caught.record(rec)
	}
}

type logCatcher struct {
	secrets secrets

	mu   sync.Mutex
	note LogNote
}

func (c *logCatcher) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note.Lines++
	if len(c.note.First) < keptLogLines {
		c.note.First = append(c.note.First, c.kept(line))
	}
	return len(line), nil
}

// kept is what is kept of a line. Net/http quotes what it has read so far: that may end within a secret, as the beginning of a long line may.
func (c *logCatcher) kept(line []byte) string {
	text := c.secrets.scrub(bytes.TrimSpace(bytes.Clone(line)))
	if end := bytes.LastIndexByte(text, '"'); end >= 0 {
		quoted := c.secrets.scrubBeginning(bytes.Clone(text[:end]))
		text = append(quoted, text[end:]...)
	}
	return string(c.secrets.scrubBeginning(text[:min(len(text), keptLogLine)]))
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
