package progress

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hinshun/vt10x"
	"github.com/mattn/go-runewidth"
)

// seen is a display on a screen, and a terminal that shows it.
type seen struct {
	display  *Display
	terminal vt10x.Terminal
	columns  int
	rows     int
}

func newSeen(columns, rows int) *seen {
	s := &seen{terminal: vt10x.New(vt10x.WithSize(columns, rows)), columns: columns, rows: rows}
	s.display = New(s, "")
	s.display.screen = &screen{out: s, size: func() (int, int) { return s.columns, s.rows }}
	return s
}

// Write makes of a new line what a terminal's line discipline makes of it.
func (s *seen) Write(p []byte) (int, error) {
	_, err := s.terminal.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	return len(p), err
}

func (s *seen) resize(columns int) {
	s.columns = columns
	s.terminal.Resize(columns, s.rows)
}

func (s *seen) text() string {
	lines := strings.Split(s.terminal.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

func (s *seen) shows(t *testing.T, want string) {
	t.Helper()
	if got := s.text(); got != want {
		t.Errorf("the screen shows\n%s\nwant\n%s", got, want)
	}
}

func TestRowsAreReplacedWhateverTheWidth(t *testing.T) {
	s := newSeen(20, 10)
	row := strings.Repeat("0123456789", 5)
	s.display.Status(row, "second")
	s.shows(t, row[:18]+"…\nsecond")
	s.resize(30)
	s.display.Status(row, "third")
	s.shows(t, row[:28]+"…\nthird")
	s.resize(15)
	s.display.Status(row, "fourth")
	s.shows(t, row[:13]+"…\nfourth")
	_, _ = s.display.Write([]byte("this line stays, and wraps\n"))
	s.shows(t, "this line\nstays, and\nwraps\n"+row[:13]+"…\nfourth")
	s.display.Status()
	s.shows(t, "this line\nstays, and\nwraps")
	s.display.Close()
	_, _ = s.display.Write([]byte("the end\n"))
	s.shows(t, "this line\nstays, and\nwraps\nthe end")
}

// A block that is higher than the screen would scroll itself into what was said.
func TestMoreRowsThanFit(t *testing.T) {
	s := newSeen(20, 4)
	for range 3 {
		s.display.Status("1", "2", "3", "4", "5")
		s.shows(t, "1\n2\nand 3 more")
		s.display.Status("1", "2", "3", "4", "6")
	}
}

// What another writer or a key leaves in the block is gone with the next change.
func TestAnEchoInTheBlock(t *testing.T) {
	s := newSeen(20, 5)
	s.display.Status("a row", "b")
	_, _ = s.Write([]byte("^C"))
	s.display.Status("a row", "c")
	s.shows(t, "a row\nc")
}

func TestWrapped(t *testing.T) {
	for _, c := range []struct {
		width      int
		line, want string
	}{
		{20, "short", "short"},
		{20, "12:00:00  a line that is long", "12:00:00  a line\n          that is\n          long"},
		{20, "  0.2s  a line that is long", "  0.2s  a line that\n        is long"},
		{10, "see /a/path/that/is/long here", "see /a/path/that/is/long\nhere"},
		{10, "", ""},
		{10, "証明証明 証明証明", "証明証明\n証明証明"},
		{5, "12:00:00  a b", "12:00:00\na b"},
		{30, "      --config string   kind of cluster", "      --config string   kind\n      of cluster"},
		{60, "      --config string   kind configuration of the cluster to make", "      --config string   kind configuration of the cluster to\n                        make"},
		{80, "  arm  sent", "  arm  sent"},
	} {
		if got := wrapped(c.line, c.width); got != c.want {
			t.Errorf("wrapped(%q, %d) = %q, want %q", c.line, c.width, got, c.want)
		}
	}
}

func FuzzBlockFitsTheScreen(f *testing.F) {
	f.Add("row", "証明する\x1b[31m", 10, 3)
	f.Add("", "e\u0301\u200d", 1, 1)
	f.Fuzz(func(t *testing.T, a, b string, width, height int) {
		width, height = max(width, 1)%500+1, max(height, 1)%500+1
		block := blockOf([]string{printable(a), printable(b), printable(a)}, width, height)
		body, _, _ := strings.Cut(block, "\r")
		rows := strings.Split(body, "\n")
		if len(rows) > height {
			t.Errorf("%d rows on a screen of %d", len(rows), height)
		}
		for _, row := range rows {
			if runewidth.StringWidth(row) > width || strings.ContainsAny(row, "\x1b\t\r") {
				t.Errorf("row %q on a screen of %d columns", row, width)
			}
		}
	})
}
