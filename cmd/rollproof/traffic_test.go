package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitvault.dev/rollproof/harness/load/accesslog"
)

const scannedLog = "../../harness/load/accesslog/testdata/scanned.log"

// convertCommand runs traffic convert with a standard input.
func convertCommand(ctx context.Context, stdin io.Reader, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	root := newRootCommand()
	root.SetIn(stdin)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append([]string{"traffic", "convert"}, args...))
	code = execute(ctx, root)
	return code, stdout.String(), stderr.String()
}

func TestConvertTellsWhatIsLeftOut(t *testing.T) {
	code, out, errs := convertCommand(t.Context(), nil, scannedLog)
	want, err := os.ReadFile(strings.TrimSuffix(scannedLog, ".log") + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if code != exitPass || out != string(want) {
		t.Errorf("exit code %d, printed\n%swant\n%s", code, out, want)
	}
	golden(t, "convert.txt", errs)

	code, _, errs = convertCommand(t.Context(), nil, "--output", "json", "--from", "nginx", scannedLog)
	var summary accesslog.Summary
	if err := json.Unmarshal([]byte(errs), &summary); err != nil || code != exitPass || strings.Count(errs, "\n") != 1 {
		t.Fatalf("exit code %d, %v: want one line of JSON, found %s", code, err, errs)
	}
	golden(t, "convert.json", errs)
}

func TestConvertWritesAFileThatCheckTakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "day.jsonl")
	log, err := os.Open(scannedLog)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if code, out, errs := convertCommand(t.Context(), log, "--out", file, "-"); code != exitPass || out != "" {
		t.Fatalf("exit code %d, printed %q, %s", code, out, errs)
	}
	if code, out, errs := rollproofCommand(t.Context(), "traffic", "check", file); code != exitPass || !strings.HasPrefix(out, "5 requests") {
		t.Errorf("exit code %d, printed %q, %s, want 5 requests", code, out, errs)
	}
}

// Bad input is one line, exit 3, and nothing is written: not a part, not a temporary file.
func TestConvertRefuses(t *testing.T) {
	dir, temporary := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temporary) // where a file that is not whole yet lies, if it is of the same file system
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := write("good.log", accesslog.Formats()[0].Example+"\n")
	there := write("there.jsonl", "mine\n")
	text := write("text.log", "hello\n")
	empty := write("empty.log", "")
	fresh := filepath.Join(dir, "fresh.jsonl")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"missing file":     {[]string{"--out", fresh, filepath.Join(dir, "no.log")}, "no.log: no such file or directory"},
		"a directory":      {[]string{"--out", fresh, dir}, "it is a directory"},
		"another format":   {[]string{"--out", fresh, "--from", "haproxy", good}, "combined fits better: use --from combined"},
		"no format":        {[]string{"--out", fresh, text}, "none of its first 1 lines is of a known format"},
		"no line":          {[]string{"--out", fresh, empty}, "it is empty"},
		"strict":           {[]string{"--out", fresh, "--strict", scannedLog}, "line 2: tls-handshake"},
		"output exists":    {[]string{"--out", there, good}, "there.jsonl exists: remove it, or name another file"},
		"output a folder":  {[]string{"--out", dir, good}, "is a directory: name a file"},
		"no such folder":   {[]string{"--out", filepath.Join(dir, "no", "x"), good}, "no such file or directory"},
		"full disk":        {[]string{"--out", "/dev/full", good}, "no space left on device"},
		"unknown format":   {[]string{"--from", "conbined", good}, `did you mean combined?`},
		"unknown output":   {[]string{"--output", "yaml", good}, "want text or json"},
		"no file is named": {nil, "FILE is missing: type `rollproof traffic convert FILE`"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := convertCommand(t.Context(), nil, c.args...)
			if code != exitCouldNotRun || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.want) {
				t.Errorf("exit code %d, printed %q, %q; want 3 and one line with %q", code, out, errs, c.want)
			}
		})
	}
	if mine, err := os.ReadFile(there); err != nil || string(mine) != "mine\n" {
		t.Errorf("the file that existed now holds %q, %v", mine, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("the folder holds %v, %v, want only the 4 files that were there", entries, err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// fullDisk is a standard output without room.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestConvertToAFullStandardOutput(t *testing.T) {
	var stderr bytes.Buffer
	root := newRootCommand()
	root.SetOut(fullDisk{})
	root.SetErr(&stderr)
	root.SetArgs([]string{"traffic", "convert", scannedLog})
	if code := execute(t.Context(), root); code != exitCouldNotRun || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("exit code %d, printed %q, want 3 and one line", code, &stderr)
	}
}

// An interrupt ends the wait for a log that never comes.
func TestConvertIsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	silent, hold := io.Pipe()
	defer hold.Close()
	file := filepath.Join(t.TempDir(), "day.jsonl")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if code, _, errs := convertCommand(ctx, silent, "--out", file, "-"); code != exitCouldNotRun || !strings.Contains(errs, "canceled") {
			t.Errorf("exit code %d, printed %q", code, errs)
		}
	}()
	if _, err := io.WriteString(hold, accesslog.Formats()[0].Example+"\n"); err != nil { // it is reading
		t.Fatal(err)
	}
	interrupt()
	<-done
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the output exists: %v", err)
	}
}

// The help teaches: every format and three examples.
func TestConvertHelp(t *testing.T) {
	_, out, _ := convertCommand(t.Context(), nil, "--help")
	for _, name := range accesslog.FormatNames() {
		if !strings.Contains(out, name) {
			t.Errorf("the help does not name format %s", name)
		}
	}
	if n := strings.Count(out, "rollproof traffic convert --"); n < 3 {
		t.Errorf("the help has %d examples, want 3", n)
	}
	for line := range strings.Lines(out) {
		if len(line) > 150 {
			t.Errorf("a line of the help is %d characters long: %s", len(line), line)
		}
	}
}
