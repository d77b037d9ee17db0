package reports

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// Paths names the files of a run that were written.
type Paths struct {
	Verdict, JUnit, HTML string
}

// WriteAll writes verdict.json, junit.xml and report.html into a directory, each whole or not at all. dir is the run's own,
// mostly.
func WriteAll(ctx context.Context, dir string, h *history.History, res judge.Result) (Paths, error) {
	t, err := Aggregate(ctx, h)
	if err != nil {
		return Paths{}, fmt.Errorf("write the reports into %s: %w", dir, err)
	}
	return WriteTimeline(dir, t, res)
}

// WriteTimeline is WriteAll for a record that is boiled down already.
func WriteTimeline(dir string, t *Timeline, res judge.Result) (Paths, error) {
	verdict := filepath.Join(dir, VerdictFile)
	if err := history.WriteJSON(verdict, res); err != nil {
		return Paths{}, err
	}
	paths, err := WriteViews(dir, t, res)
	paths.Verdict = verdict
	return paths, err
}

// WriteViews writes junit.xml and report.html alone: the verdict was read from its file, which stays what it is.
func WriteViews(dir string, t *Timeline, res judge.Result) (Paths, error) {
	paths := Paths{JUnit: filepath.Join(dir, JUnitFile), HTML: filepath.Join(dir, HTMLFile)}
	var buf bytes.Buffer
	if err := JUnit(&buf, t.run, t.Mistrust(res), dir); err != nil {
		return Paths{}, err
	}
	if err := history.WriteFile(paths.JUnit, buf.Bytes()); err != nil {
		return Paths{}, err
	}
	buf.Reset()
	if err := Page(&buf, t, res); err != nil {
		return Paths{}, err
	}
	if err := history.WriteFile(paths.HTML, buf.Bytes()); err != nil {
		return Paths{}, err
	}
	return paths, nil
}
