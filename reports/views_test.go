package reports_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/reports"
)

var update = flag.Bool("update", false, "write golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test ./reports -update and read what it wrote", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what it was:\n%s\nwant:\n%s", name, got, want)
	}
}

// sampleRun is the run of the sample record, at a time that does not change.
func sampleRun() history.Run {
	return history.Run{
		Format: 1, ID: "r-7f3a", Scenario: "canary/promotes-good", Pace: "fast", Seed: 42, Started: sampleStart,
		Command: []string{"rollproof", "run", "canary/promotes-good"}, Versions: map[string]string{"go": "go1.26.8", "bitvaultd": "sha256:3f1c0a"},
		Machine: history.Machine{OS: "linux/amd64", CPU: "EPYC", Cores: 2, Memory: 24 << 30},
	}
}

// results are judgements of every kind, by the name of their golden files.
func results() map[string]judge.Result {
	sample := sampleResult()
	passing := judge.Result{Verdict: judge.Pass, Promises: sample.Promises[2:]}
	hostile := judge.Promise{Slug: "load.zero-dropped", Text: "no request is dropped", Verdict: judge.Fail, Reason: "\x1b]0;owned\x07\x1b[2J<b>&]]>", Hits: 1, Dropped: 1,
		Findings: []judge.Finding{{Hit: "get/\"><script>alert(1)</script>", Text: "line one\nline two\x00\xff", Evidence: []string{"\x1b[31mred", "</failure>"}}}, Found: 1}
	return map[string]judge.Result{
		"fail":         sample,
		"pass":         passing,
		"inconclusive": {Verdict: judge.Inconclusive, Promises: sample.Promises[1:]},
		"nothing":      {Verdict: judge.Pass},
		"damaged":      {Verdict: judge.Pass, Promises: passing.Promises, Damage: []history.Damage{{File: "hits-get.bin", Offset: 1234567, Text: "the last hit is cut"}}},
		"unknown":      {Verdict: judge.Pass, Promises: []judge.Promise{{Slug: "new.promise", Text: "of a newer rollproof", Verdict: "maybe"}}},
		"hostile":      {Verdict: judge.Fail, Promises: []judge.Promise{hostile}},
	}
}

// sampleTimeline is the sample record as a run at a time that does not change.
func sampleTimeline(t *testing.T) *reports.Timeline {
	t.Helper()
	return aggregate(t, recordSample(t)).As(sampleRun())
}

const sampleDir = "/runs/run 1"

func TestTerminal(t *testing.T) {
	timeline := sampleTimeline(t)
	for name, res := range results() {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			if err := reports.Terminal(&buf, timeline, res, reports.TerminalOptions{Dir: sampleDir}); err != nil {
				t.Fatal(err)
			}
			golden(t, "terminal-"+name+".txt", buf.Bytes())
			if name != "pass" && strings.HasPrefix(buf.String(), "✓") {
				t.Errorf("a %s run is reported as a pass", name)
			}
			if i := strings.IndexFunc(buf.String(), func(r rune) bool { return r < ' ' && r != '\n' }); i >= 0 {
				t.Errorf("byte %d is a control character: a record must not steer the terminal", i)
			}
		})
	}
}

func TestTerminalColors(t *testing.T) {
	var buf bytes.Buffer
	if err := reports.Terminal(&buf, sampleTimeline(t), sampleResult(), reports.TerminalOptions{Dir: sampleDir, Color: true, Kinds: 1}); err != nil {
		t.Fatal(err)
	}
	golden(t, "terminal-color.txt", buf.Bytes())
}

// On a screen of any width lines break between words: a line is wider only where one word is, and no word is lost.
func TestTerminalBreaksBetweenWords(t *testing.T) {
	timeline := sampleTimeline(t)
	write := func(width int) string {
		var buf bytes.Buffer
		if err := reports.Terminal(&buf, timeline, sampleResult(), reports.TerminalOptions{Dir: sampleDir, Width: width}); err != nil {
			t.Fatal(err)
		}
		return buf.String()
	}
	for _, width := range []int{40, 80, 100, 140} {
		got := write(width)
		if width > 40 {
			golden(t, fmt.Sprintf("terminal-%d.txt", width), []byte(got))
		}
		for line := range strings.Lines(got) {
			text := strings.TrimSpace(line)
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width && strings.Contains(text, " ") {
				t.Errorf("at %d columns a line of %d is not broken: %q", width, n, line)
			}
		}
		if prose := func(s string) []string { text, _, _ := strings.Cut(s, "\nhttp_reqs"); return strings.Fields(text) }; !slices.Equal(prose(got), prose(write(0))) {
			t.Errorf("at %d columns the words are not those of an unbroken text", width)
		}
	}
}

func TestColorOnlyOnATerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if reports.ColorFor(f) {
		t.Error("a file is no terminal")
	}
}
