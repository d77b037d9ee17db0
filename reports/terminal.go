package reports

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// TerminalOptions says how a summary is written.
type TerminalOptions struct {
	Dir   string // of the run, for the commands to go on with
	Color bool
	// Findings of one promise that are written out; the rest is counted. 0 means 5.
	Findings int
}

// ColorFor reports whether what is written to a file should be coloured: it is a terminal, and the user did not ask for
// none (https://no-color.org).
func ColorFor(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// Terminal writes the summary of a run for people: the verdict first, then each promise, worst first, with what was seen.
func Terminal(w io.Writer, run history.Run, res judge.Result, opts TerminalOptions) error {
	if opts.Findings == 0 {
		opts.Findings = 5
	}
	t := terminal{run: run, opts: opts}
	t.head(res)
	for _, d := range res.Damage {
		t.line("  %s %s: whole up to byte %s: %s", t.paint(bold, "damaged"), d.File, count(uint64(max(d.Offset, 0))), d.Text)
	}
	told := false
	for _, p := range res.Promises {
		switch known(p.Verdict) {
		case judge.Fail, judge.Inconclusive:
			t.broken(p)
			told = true
		}
	}
	if !told && Overall(res) != judge.Pass {
		t.field("next", runAgain(run))
	}
	t.rest(res)
	if _, err := w.Write(t.buf.Bytes()); err != nil {
		return fmt.Errorf("write the summary of run %s: %w", run.ID, err)
	}
	return nil
}

type terminal struct {
	buf  bytes.Buffer
	run  history.Run
	opts TerminalOptions
}

// ink is an ANSI colour; the word and the sign say the same without it.
type ink string

const (
	bold   ink = "1"
	faint  ink = "2"
	red    ink = "1;31"
	green  ink = "1;32"
	yellow ink = "1;33"
)

// painted is text that is fit for the terminal already.
type painted string

func (t *terminal) paint(c ink, s string) painted {
	if s = printable(s); !t.opts.Color {
		return painted(s)
	}
	return painted("\x1b[" + string(c) + "m" + s + "\x1b[0m")
}

// line writes one line. What comes from a record goes through printable: an answer must not steer the terminal.
func (t *terminal) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = printable(s)
		}
	}
	t.buf.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	t.buf.WriteByte('\n')
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case !unicode.IsPrint(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

func sign(v judge.Verdict) (string, ink) {
	switch known(v) {
	case judge.Pass:
		return "✓", green
	case judge.Fail:
		return "✗", red
	case judge.Skipped:
		return "-", faint
	}
	return "?", yellow
}

func (t *terminal) head(res judge.Result) {
	verdict := Overall(res)
	mark, color := sign(verdict)
	t.line("%s %s", t.paint(color, mark+" "+string(verdict)+":"), headline(res))
	where := t.run.Scenario
	if t.run.Pace != "" {
		where += ", pace " + t.run.Pace
	}
	t.line("  %s", t.paint(faint, strings.TrimPrefix(where+", run "+t.run.ID, ", ")))
}

func (t *terminal) broken(p judge.Promise) {
	mark, color := sign(p.Verdict)
	t.line("")
	t.line("%s: %s", t.paint(color, mark+" "+p.Slug), p.Text)
	t.field("", p.Reason)
	t.field("", proof(p))
	for i, f := range p.Findings {
		if i == t.opts.Findings {
			break
		}
		t.finding(f)
	}
	if shown := uint64(min(len(p.Findings), t.opts.Findings)); max(p.Found, uint64(len(p.Findings))) > shown {
		t.line("  %s", t.paint(faint, fmt.Sprintf("and %s more", count(max(p.Found, uint64(len(p.Findings)))-shown))))
	}
	t.field("power", power(p))
	t.field("next", nextCommand(t.opts.Dir, t.run, p))
}

func (t *terminal) field(name, text string) {
	switch {
	case text == "":
	case name == "":
		t.line("  %s", text)
	default:
		t.line("  %s %s", t.paint(bold, name+":"), text)
	}
}

func (t *terminal) finding(f judge.Finding) {
	t.line("  %s %s", t.paint(bold, "at"), when(f))
	t.line("     %s", f.Text)
	for _, e := range f.Evidence {
		t.line("     %s %s", t.paint(faint, "|"), e)
	}
}

// rest lists what held and what was skipped, one line each.
func (t *terminal) rest(res judge.Result) {
	width, any := 0, false
	for _, p := range res.Promises {
		if v := known(p.Verdict); v == judge.Pass || v == judge.Skipped {
			width, any = max(width, len(p.Slug)), true
		}
	}
	if any {
		t.line("")
	}
	for _, p := range res.Promises {
		v := known(p.Verdict)
		if v != judge.Pass && v != judge.Skipped {
			continue
		}
		mark, color := sign(v)
		why := p.Reason
		if v == judge.Pass && power(p) != "" {
			why = power(p)
		}
		if v == judge.Skipped {
			why = "skipped: " + why
		}
		t.line("%s %s  %s", t.paint(color, mark), fmt.Sprintf("%-*s", width, p.Slug), p.Text)
		if why != "" {
			t.line("  %s  %s", strings.Repeat(" ", width), t.paint(faint, why))
		}
	}
}
