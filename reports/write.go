package reports

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// Paths names the files of a run that were written; empty is one that was not.
type Paths struct {
	Verdict, JUnit, HTML string
}

// UnwrittenError tells which files of a report are written and which are not: a disk may be full after the first of them.
type UnwrittenError struct {
	Dir     string
	Verdict judge.Verdict // that the files say
	Written []string
	Missing []string
	Err     error // of the first file that is missing
}

func (e *UnwrittenError) Error() string {
	written := "nothing is written"
	if len(e.Written) > 0 {
		written = fmt.Sprintf("%s written, and the verdict is %s", isOrAre(e.Written), e.Verdict)
	}
	return fmt.Sprintf("write the reports into %s: %s; %s not: %v", e.Dir, written, isOrAre(e.Missing), e.Err)
}

func (e *UnwrittenError) Unwrap() error { return e.Err }

// ReadOnly reports whether nothing could be written because nobody may write there, as into a record on a read-only file system.
func (e *UnwrittenError) ReadOnly() bool {
	return len(e.Written) == 0 && (errors.Is(e.Err, fs.ErrPermission) || errors.Is(e.Err, syscall.EROFS))
}

func isOrAre(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// Show writes every report of a judged run into the directory that the options name and its summary to w. The summary is written
// whatever becomes of the files: the error is then *UnwrittenError.
func Show(ctx context.Context, w io.Writer, h *history.History, res judge.Result, opts TerminalOptions) (Paths, error) {
	t, err := Aggregate(ctx, h)
	if err != nil {
		return Paths{}, fmt.Errorf("write the reports into %s: %w", opts.Dir, err)
	}
	paths, written := WriteTimeline(opts.Dir, t, res)
	return paths, errors.Join(Terminal(w, t, res, opts), written)
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
	return write(dir, t, res, VerdictFile, JUnitFile, HTMLFile)
}

// WriteViews writes junit.xml and report.html alone: the verdict was read from its file, which stays what it is.
func WriteViews(dir string, t *Timeline, res judge.Result) (Paths, error) {
	return write(dir, t, res, JUnitFile, HTMLFile)
}

// write writes files of a report. One that cannot be written does not keep the others from it.
func write(dir string, t *Timeline, res judge.Result, names ...string) (Paths, error) {
	var (
		paths Paths
		lost  = UnwrittenError{Dir: dir, Verdict: Overall(t.Mistrust(res))}
	)
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := writeOne(path, name, t, res); err != nil {
			lost.Missing = append(lost.Missing, name)
			if lost.Err == nil {
				lost.Err = err
			}
			continue
		}
		lost.Written = append(lost.Written, name)
		switch name {
		case VerdictFile:
			paths.Verdict = path
		case JUnitFile:
			paths.JUnit = path
		case HTMLFile:
			paths.HTML = path
		}
	}
	if lost.Err != nil {
		return paths, &lost
	}
	return paths, nil
}

func writeOne(path, name string, t *Timeline, res judge.Result) error {
	var (
		buf bytes.Buffer
		err error
	)
	switch name {
	case VerdictFile:
		return history.WriteSealed(path, res)
	case JUnitFile:
		err = JUnit(&buf, t, res, filepath.Dir(path))
	case HTMLFile:
		err = Page(&buf, t, res)
	}
	if err != nil {
		return err
	}
	return history.WriteFile(path, buf.Bytes())
}
