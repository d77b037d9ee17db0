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
	Dir   string // of the reports, for the addresses to go on with
	Color bool
	Width int // columns; lines break between words there. 0 breaks no line
	// Kinds of findings of one promise that are written out; the rest is counted. 0 means 5.
	Kinds int
}

// ColorFor reports whether what is written to a file should be coloured: it is a terminal, and the user did not ask for
// none (https://no-color.org).
func ColorFor(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// WidthFor is how many columns a file has: those of a terminal, else 0.
func WidthFor(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Terminal writes the summary of a run for people: what happened first, then each promise that is no pass with what was seen by
// kind, then the others, then what the load met and what the stores have.
func Terminal(w io.Writer, t *Timeline, res judge.Result, opts TerminalOptions) error {
	if opts.Kinds == 0 {
		opts.Kinds = 5
	}
	res = t.Mistrust(res)
	s := summary{run: t.run, opts: opts, told: map[string]bool{}}
	s.head(t, res)
	s.promises(t.judgedPromises(res), Overall(res))
	s.load(t)
	s.written(t)
	if _, err := w.Write(s.buf.Bytes()); err != nil {
		return fmt.Errorf("write the summary of run %s: %w", t.run.ID, err)
	}
	return nil
}

// summary is what is being written.
type summary struct {
	buf  bytes.Buffer
	run  history.Run
	opts TerminalOptions
	told map[string]bool // examples that were written already: promises may be broken by the same hits
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

func (s *summary) paint(c ink, text string) painted {
	if text = printable(text); !s.opts.Color {
		return painted(text)
	}
	return painted("\x1b[" + string(c) + "m" + text + "\x1b[0m")
}

// line writes one line. What comes from a record goes through printable: an answer must not steer the terminal.
func (s *summary) line(format string, args ...any) { s.hang(0, format, args...) }

// hang writes a line whose further lines, where it is too long for one, begin at a column.
func (s *summary) hang(column int, format string, args ...any) {
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = printable(text)
		}
	}
	s.buf.WriteString(wrap(strings.TrimRight(fmt.Sprintf(format, args...), " "), s.opts.Width, column))
	s.buf.WriteByte('\n')
}

// wrap breaks a line between words where it is wider than a screen. A word that is wider than the screen by itself stays whole, so that
// it can be copied. width 0 breaks nothing.
func wrap(line string, width, hang int) string {
	if width <= 0 || visible(line) <= width {
		return line
	}
	hang = min(hang, width/2)
	words := whole(strings.Split(line, " ")) // blanks in a row, as of an indent, stay
	var b strings.Builder
	column := 0
	for i, word := range words {
		n := visible(word)
		switch {
		case i == 0:
		case n > 0 && column+1+n > width && strings.TrimSpace(b.String()) != "":
			b.WriteString("\n" + strings.Repeat(" ", hang))
			column = hang
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// whole puts words together that are one number with its thousands, or a number with its percent sign: 5 at the end of a line is not 5 792.
func whole(words []string) []string {
	var all []string
	for _, word := range words {
		last := len(all) - 1
		if last >= 0 && endsInDigit(all[last]) && (beginsThousand(word) || strings.HasPrefix(word, "%")) {
			all[last] += " " + word
			continue
		}
		all = append(all, word)
	}
	return all
}

func endsInDigit(s string) bool { return s != "" && isDigit(s[len(s)-1]) }

// beginsThousand reports whether a word begins with three digits and no more.
func beginsThousand(s string) bool {
	return len(s) >= 3 && isDigit(s[0]) && isDigit(s[1]) && isDigit(s[2]) && (len(s) == 3 || !isDigit(s[3]))
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// visible is how many columns a text takes, colours apart.
func visible(s string) int {
	n, escaped := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escaped = true
		case escaped:
			escaped = r != 'm'
		default:
			n++
		}
	}
	return n
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

func (s *summary) head(t *Timeline, res judge.Result) {
	verdict := Overall(res)
	mark, color := sign(verdict)
	s.hang(2, "%s %s", s.paint(color, mark+" "+string(verdict)+":"), answer(t, res))
	about := []string{scenarioOf(t.run), "run " + t.run.ID, length(t.end), headline(res), fmt.Sprintf("exit code of the verdict %d", exitCode(verdict))}
	s.hang(2, "  %s", s.paint(faint, strings.TrimPrefix(strings.Join(about, ", "), ", ")))
	for _, d := range res.Damage {
		s.hang(4, "  %s %s: whole up to byte %s: %s", s.paint(bold, "damaged"), d.File, count(uint64(max(d.Offset, 0))), d.Text)
	}
}

func (s *summary) promises(all []judged, verdict judge.Verdict) {
	told := false
	for _, p := range all {
		switch known(p.Verdict) {
		case judge.Fail, judge.Inconclusive:
			s.broken(p)
			told = true
		}
	}
	if !told && verdict != judge.Pass {
		s.field("next", runAgain(s.run))
	}
	s.rest(all)
}

func (s *summary) broken(p judged) {
	mark, color := sign(p.Verdict)
	s.line("")
	s.hang(2, "%s: %s", s.paint(color, mark+" "+p.Slug), p.Text)
	s.field("", p.Reason)
	s.field("", proof(p.Promise))
	rest := max(p.Found, uint64(len(p.Findings)))
	for i, g := range p.Groups {
		if i == s.opts.Kinds {
			break
		}
		s.group(g)
		rest -= min(rest, g.Count)
	}
	if rest > 0 {
		s.hang(4, "  %s", s.paint(faint, fmt.Sprintf("and %s more findings", count(rest))))
	}
	s.field("power", power(p.Promise))
	s.field("next", next(s.opts.Dir, s.run, p.Promise))
}

func (s *summary) field(name, text string) {
	switch {
	case text == "":
	case name == "":
		s.hang(2, "  %s", text)
	default:
		s.hang(4, "  %s %s", s.paint(bold, name+":"), text)
	}
}

// group writes the findings of one kind: the counts, then one of them in full.
func (s *summary) group(g *group) {
	facts := g.facts()
	if id := g.Kind + " " + g.Example.Hit; g.Expected != "" && s.told[id] {
		s.hang(4, "  %s  %s", s.paint(bold, g.title()), s.paint(faint, strings.Join(append(facts, "as above"), "; ")))
		return
	} else if g.Expected != "" {
		s.told[id] = true
	}
	s.hang(4, "  %s  %s", s.paint(bold, g.title()), s.paint(faint, strings.Join(facts, "; ")))
	if g.Expected != "" {
		s.hang(14, "    expected  %s", g.Expected)
		s.hang(14, "    found     %s", g.Found)
	}
	f := g.Example
	if g.Kind != "" || g.Count > 1 {
		about := f.Hit
		if about == "" {
			about = "one"
		}
		s.hang(6, "    e.g. %s at %s: %s", about, moment(f), f.Text)
	}
	for _, e := range f.Evidence {
		s.hang(6, "    %s %s", s.paint(faint, "|"), e)
	}
	if g.Again != "" {
		s.hang(6, "    again: %s", g.Again)
	}
}

// rest lists what held and what was skipped, one line each, and what each pass rests on.
func (s *summary) rest(all []judged) {
	width, any := 0, false
	for _, p := range all {
		if v := known(p.Verdict); v == judge.Pass || v == judge.Skipped {
			width, any = max(width, len(p.Slug)), true
		}
	}
	if any {
		s.line("")
	}
	for _, p := range all {
		v := known(p.Verdict)
		if v != judge.Pass && v != judge.Skipped {
			continue
		}
		mark, color := sign(v)
		s.hang(width+4, "%s %s  %s", s.paint(color, mark), fmt.Sprintf("%-*s", width, p.Slug), p.Text)
		if why := basisLine(p.Promise); why != "" {
			s.hang(width+4, "  %s  %s", strings.Repeat(" ", width), s.paint(faint, why))
		}
	}
}

// basisLine says in one line why a promise was skipped, or what its pass rests on: what was masked by a silent retry belongs to it.
func basisLine(p judge.Promise) string {
	if known(p.Verdict) == judge.Skipped {
		return "skipped: " + p.Reason
	}
	parts := []string{p.Reason}
	if text := power(p); text != "" {
		parts[0] = text
	}
	if text := proof(p); text != "" {
		parts = append(parts, text)
	}
	return strings.TrimPrefix(strings.Join(parts, "; "), "; ")
}
