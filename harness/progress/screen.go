package progress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// The few control sequences that are written (ECMA-48): erase from the cursor to the end of the screen, and move the cursor up.
const (
	eraseBelow = "\r\x1b[J"
	cursorUp   = "\x1b[%dA"
)

// screen draws on a terminal. What was said stays; below it is a block of rows that each draw replaces.
//
// Between two draws the cursor rests at the beginning of the block. A terminal that is resized keeps the cursor where it is in the
// text, so the block is found again whatever the new width made of its rows.
type screen struct {
	out   io.Writer
	size  func() (width, height int)
	block string // what the last draw left below what was said
}

// screenOn is the screen behind out, nil where lines cannot be taken back: a pipe, a file, a terminal that calls itself dumb.
func screenOn(out io.Writer) *screen {
	f, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	if name := os.Getenv("TERM"); name == "" || name == "dumb" {
		return nil
	}
	return &screen{out: f, size: func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width < 1 || height < 1 {
			return 80, 24
		}
		return width, height
	}}
}

// draw writes lines that stay, and replaces the block below them: also one that another process left, which ended without closing it.
func (s *screen) draw(lines, rows []string) {
	width, height := s.size()
	block := blockOf(rows, width, height)
	if len(lines) == 0 && block == s.block {
		return
	}
	var frame bytes.Buffer
	frame.WriteString(eraseBelow)
	for _, line := range lines {
		frame.WriteString(wrapped(line, width) + "\n")
	}
	frame.WriteString(block)
	s.block = block
	_, _ = s.out.Write(frame.Bytes()) // a terminal that is gone is no reason to end what is shown
}

// blockOf is rows as they are drawn, each cut to the width, and the way back to the beginning of the first.
func blockOf(rows []string, width, height int) string {
	if most := max(height-1, 1); len(rows) > most {
		rows = append(rows[:most-1:most-1], fmt.Sprintf("and %d more", len(rows)-most+1))
	}
	if len(rows) == 0 {
		return ""
	}
	cut := make([]string, len(rows))
	for i, row := range rows {
		cut[i] = runewidth.Truncate(row, width-1, "…") // a full row leaves the cursor of some terminals on the next one
	}
	block := strings.Join(cut, "\n") + "\r"
	if len(rows) > 1 {
		block += fmt.Sprintf(cursorUp, len(rows)-1)
	}
	return block
}

// wrapped breaks a line at blanks, so that the terminal does not tear words. A word that is wider than the screen is left whole: a path
// can still be copied.
func wrapped(line string, width int) string {
	words := strings.Split(line, " ")
	indent := strings.Repeat(" ", hanging(line, width))
	out, used := words[0], runewidth.StringWidth(words[0])
	for _, word := range words[1:] {
		w := runewidth.StringWidth(word)
		if used+1+w > width && strings.TrimSpace(out) != "" && word != "" && len(indent)+w <= width {
			out, used = strings.TrimRight(out, " ")+"\n"+indent+word, len(indent)+w
			continue
		}
		out, used = out+" "+word, used+1+w
	}
	return out
}

// hanging is the indent of the further rows of a line that is broken. It is that of the second column, where two or more blanks part one from the
// first (a time of day, the name of a flag) and it leaves half of the screen. Else it is that of the line itself.
func hanging(line string, width int) int {
	lead := len(line) - len(strings.TrimLeft(line, " "))
	if first := strings.Index(line[lead:], "  "); first >= 0 {
		rest := strings.TrimLeft(line[lead+first:], " ")
		if column := runewidth.StringWidth(line) - runewidth.StringWidth(rest); rest != "" && column <= width/2 {
			return column
		}
	}
	return min(lead, width/2)
}

// Print writes a text to out. On a terminal lines that are too long are broken at blanks, and set in as their beginning is. A reader
// that is gone has seen enough: that is no error.
func Print(out io.Writer, text string) error {
	if s := screenOn(out); s != nil {
		width, _ := s.size()
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			lines[i] = wrapped(line, width)
		}
		text = strings.Join(lines, "\n")
	}
	if _, err := io.WriteString(out, text); !errors.Is(err, syscall.EPIPE) {
		return err
	}
	return nil
}

// printable takes out of a text what would steer a terminal: messages of programs and answers of servers are shown as they come.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r' || r == '\n':
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
