package reports_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

func TestTerminal(t *testing.T) {
	for name, res := range results() {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			if err := reports.Terminal(&buf, sampleRun(), res, reports.TerminalOptions{Dir: "out/run 1"}); err != nil {
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
	if err := reports.Terminal(&buf, sampleRun(), sampleResult(), reports.TerminalOptions{Dir: "out/run", Color: true, Findings: 1}); err != nil {
		t.Fatal(err)
	}
	golden(t, "terminal-color.txt", buf.Bytes())
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

// junit is what CI systems read of the XML.
type junit struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
	Cases    []struct {
		Name    string  `xml:"name,attr"`
		Failure *string `xml:"failure"`
		Error   *string `xml:"error"`
		Skipped *string `xml:"skipped"`
	} `xml:"testsuite>testcase"`
}

func TestJUnit(t *testing.T) {
	for name, res := range results() {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			if err := reports.JUnit(&buf, sampleRun(), res, "out/run 1"); err != nil {
				t.Fatal(err)
			}
			golden(t, "junit-"+name+".xml", buf.Bytes())
			var got junit
			if err := xml.Unmarshal(buf.Bytes(), &got); err != nil {
				t.Fatalf("the XML is not well-formed: %v", err)
			}
			if green := got.Failures+got.Errors == 0; green != (name == "pass") {
				t.Errorf("CI would show a %s run green: %v", name, green)
			}
			assertCounts(t, got)
		})
	}
}

// assertCounts checks the attributes against the cases: CI systems believe either.
func assertCounts(t *testing.T, got junit) {
	t.Helper()
	var failures, errors, skipped int
	for _, c := range got.Cases {
		switch {
		case c.Failure != nil:
			failures++
		case c.Error != nil:
			errors++
		case c.Skipped != nil:
			skipped++
		}
	}
	if got.Tests != len(got.Cases) || got.Failures != failures || got.Errors != errors || got.Skipped != skipped {
		t.Errorf("attributes %d/%d/%d/%d, cases %d/%d/%d/%d", got.Tests, got.Failures, got.Errors, got.Skipped, len(got.Cases), failures, errors, skipped)
	}
}
