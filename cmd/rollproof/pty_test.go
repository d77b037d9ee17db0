package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

const (
	narrow, wide = 80, 140
	rows         = 400             // everything that is printed stays on the screen
	bound        = 5 * time.Minute // of every wait: the machine may be loaded
)

// terminal is the command in a pseudo-terminal, and what is seen on its screen.
type terminal struct {
	t   *testing.T
	cmd *exec.Cmd
	pty *os.File

	ended chan struct{}

	mu     sync.Mutex
	screen vt10x.Terminal
	raw    bytes.Buffer
	more   chan struct{} // closed and replaced with everything that is read
}

// offline is the environment of a command that finds no engine and no cache, and that leaves nothing behind.
func offline(t *testing.T, more ...string) []string {
	t.Helper()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + t.TempDir(), "ROLLPROOF_CACHE=" + t.TempDir(),
		"DOCKER_HOST=unix:///nonexistent/docker.sock", "TERM=xterm-256color"}
	return append(env, more...)
}

// inTerminal starts the command in a terminal of 80 columns.
func inTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	term := &terminal{t: t, cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{}), more: make(chan struct{}),
		screen: vt10x.New(vt10x.WithSize(narrow, rows))}
	term.cmd.Env = append(env, asCommand+"=1")
	var err error
	if term.pty, err = pty.StartWithSize(term.cmd, &pty.Winsize{Cols: narrow, Rows: rows}); err != nil {
		t.Fatalf("start %v in a pseudo-terminal: %v", args, err)
	}
	go term.read()
	t.Cleanup(func() {
		select {
		case <-term.ended:
		default:
			_ = term.cmd.Process.Kill() // a test that failed has left it
			<-term.ended
		}
		_ = term.pty.Close()
	})
	return term
}

// read takes what is printed until nobody has the terminal open any more.
func (term *terminal) read() {
	defer close(term.ended)
	buf := make([]byte, 4096)
	for {
		n, err := term.pty.Read(buf)
		term.mu.Lock()
		term.raw.Write(buf[:n])
		_, _ = term.screen.Write(buf[:n]) // it takes everything
		close(term.more)
		term.more = make(chan struct{})
		term.mu.Unlock()
		if err != nil { // EIO: that is how a pseudo-terminal ends on Linux
			_ = term.cmd.Wait() // the exit code is read from the process's state
			return
		}
	}
}

// resize makes the terminal wider.
func (term *terminal) resize(columns int) {
	term.t.Helper()
	if err := pty.Setsize(term.pty, &pty.Winsize{Cols: uint16(columns), Rows: rows}); err != nil {
		term.t.Fatal(err)
	}
	term.mu.Lock()
	defer term.mu.Unlock()
	term.screen.Resize(columns, rows)
}

// lines are what stands on the screen.
func (term *terminal) lines() ([]string, <-chan struct{}) {
	term.mu.Lock()
	defer term.mu.Unlock()
	lines := strings.Split(term.screen.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return lines, term.more
}

func (term *terminal) text() string {
	lines, _ := term.lines()
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// shows waits until something is on the screen.
func (term *terminal) shows(what string) {
	term.t.Helper()
	late := time.NewTimer(bound)
	defer late.Stop()
	for {
		lines, more := term.lines()
		if strings.Contains(strings.Join(lines, "\n"), what) {
			return
		}
		select {
		case <-more:
		case <-term.ended:
			if strings.Contains(term.text(), what) {
				return
			}
			term.t.Fatalf("it ended without showing %q:\n%s", what, term.text())
		case <-late.C:
			term.t.Fatalf("it did not show %q within %v:\n%s", what, bound, term.text())
		}
	}
}

// press types a control character.
func (term *terminal) press(key byte) {
	term.t.Helper()
	if _, err := term.pty.Write([]byte{key}); err != nil {
		term.t.Fatal(err)
	}
}

const (
	ctrlC = 3
	dumb  = "TERM=dumb"
)

// signal reaches the process that a shell would know, and that one only.
func (term *terminal) signal(s syscall.Signal) {
	term.t.Helper()
	if err := term.cmd.Process.Signal(s); err != nil {
		term.t.Fatal(err)
	}
}

var (
	stamped  = regexp.MustCompile(`^\d\d:\d\d:\d\d  `)
	redrawn  = regexp.MustCompile(`\[=* *\]| so far`) // bars and running steps: rows that must be gone at the end
	coloured = regexp.MustCompile(`\x1b\[[0-9;]*m`)
)

// gone waits until no process has the terminal open any more.
func (term *terminal) gone() {
	term.t.Helper()
	late := time.NewTimer(bound)
	defer late.Stop()
	select {
	case <-term.ended:
	case <-late.C:
		term.t.Fatalf("it had not ended after %v:\n%s", bound, term.text())
	}
}

// ends waits for the end of the command, looks at the exit code and at the screen it left, and returns its text.
func (term *terminal) ends(codes ...int) string {
	term.t.Helper()
	term.gone()
	text := term.text()
	if code := term.cmd.ProcessState.ExitCode(); !slices.Contains(codes, code) {
		term.t.Errorf("exit code %d, want one of %v", code, codes)
	}
	seen := map[string]bool{}
	plain := slices.Contains(term.cmd.Env, dumb) // nothing is redrawn there, and two long lines of one second may begin alike
	for line := range strings.SplitSeq(text, "\n") {
		if redrawn.MatchString(line) && !plain { // there it is a line like any other
			term.t.Errorf("a row that is redrawn was left: %q", line)
		}
		if stamped.MatchString(line) && seen[line] && !plain {
			term.t.Errorf("a line stands there twice: %q", line)
		}
		seen[line] = true
	}
	if !term.screen.CursorVisible() {
		term.t.Error("the cursor is left hidden")
	}
	if strings.Contains(text, "goroutine ") {
		term.t.Error("a stack is on the screen")
	}
	if term.t.Failed() {
		term.t.Logf("the screen:\n%s", text)
	}
	return text
}

// flat is the text of a screen as one line, however it was wrapped.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

// look is how a terminal presents itself.
type look struct {
	name   string
	env    []string
	resize bool
	clean  func(raw string) string // what is wrong with the bytes, empty if nothing is
}

func looks() []look {
	noColour := func(raw string) string { return coloured.FindString(raw) }
	noEscape := func(raw string) string {
		if at := strings.IndexByte(raw, 0x1b); at >= 0 {
			return raw[at:min(at+10, len(raw))]
		}
		return ""
	}
	return []look{
		{name: "resized", resize: true, clean: func(string) string { return "" }},
		{name: "NO_COLOR", env: []string{"NO_COLOR=1"}, clean: noColour},
		{name: "dumb", env: []string{dumb}, clean: noEscape},
	}
}

// session is a command that is looked at in every kind of terminal.
type session struct {
	name   string
	args   []string
	midway string // on the screen while it works; then the terminal is resized
	codes  []int
	want   string // on the last screen
}

func (s session) run(t *testing.T, env []string, l look) {
	term := inTerminal(t, append(env, l.env...), s.args...)
	if s.midway != "" {
		term.shows(s.midway)
	}
	if l.resize {
		term.resize(wide)
	}
	if text := term.ends(s.codes...); !strings.Contains(flat(text), s.want) {
		t.Errorf("%q is not on the screen:\n%s", s.want, text)
	}
	if bad := l.clean(term.raw.String()); bad != "" {
		t.Errorf("printed %q", bad)
	}
}
