package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// judgedRun records a run of one hit and stores a verdict of it; an empty verdict stores none.
func judgedRun(t *testing.T, verdict string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	recordHit(t, dir, history.Run{ID: "r", Scenario: "demo"}, time.Now(), history.EndFinished)
	storeVerdict(t, dir, verdict)
	return dir
}

// storeVerdict writes a verdict as judge does, with the sums of the record and of itself. What is no JSON is written as it is.
func storeVerdict(t *testing.T, dir, verdict string) {
	t.Helper()
	if verdict == "" {
		return
	}
	path, content := filepath.Join(dir, "verdict.json"), map[string]any{}
	if json.Unmarshal([]byte(verdict), &content) != nil {
		if err := os.WriteFile(path, []byte(verdict), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	h, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	content["record"] = h.Sum()
	if err := history.WriteSealed(path, content); err != nil {
		t.Fatal(err)
	}
}

// A verdict that was changed by one byte, or that is of another record, is refused, and never shown.
func TestReportRefusesAVerdictThatDoesNotFit(t *testing.T) {
	dir := judgedRun(t, held)
	path := filepath.Join(dir, "verdict.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(filepath.Join(judgedRun(t, held), "verdict.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"the hits":   bytes.Replace(whole, []byte(`"hits": 1`), []byte(`"hits": 2`), 1),
		"its sum":    bytes.Replace(whole, []byte(`"sum": "`), []byte(`"sum": "0`), 1),
		"no sum":     []byte(held),
		"a space":    append(bytes.Clone(whole), ' '),
		"of another": other,
	} {
		if bytes.Equal(data, whole) {
			t.Fatalf("%s: nothing is changed", name)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		code, out := execReport("report", dir)
		if code != exitCouldNotRun || !strings.Contains(out, "rollproof judge") || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: exit code %d, printed %q, want one line that says to judge anew", name, code, out)
		}
	}
}

const held = `{"verdict":"pass","promises":[{"slug":"load.held","promise":"the load really ran","verdict":"pass","hits":1,"findings":[]}]}`

func TestReport(t *testing.T) {
	cases := map[string]struct {
		verdict string
		code    int
		text    string
		written bool
	}{
		"pass":         {held, exitPass, "✓ pass: 1 request got a correct answer; nothing was disturbed.", true},
		"broken":       {`{"verdict":"fail","promises":[{"slug":"load.held","verdict":"fail"}]}`, exitBroken, "✗ load.held", true},
		"inconclusive": {`{"verdict":"inconclusive","promises":[]}`, exitInconclusive, "? inconclusive", true},
		"empty pass":   {`{"verdict":"pass","promises":[]}`, exitInconclusive, "nothing was judged", true},
		"not judged":   {"", exitCouldNotRun, "rollproof judge", false},
		"half written": {held[:40], exitCouldNotRun, "rollproof judge", false},
		"no verdict":   {`{}`, exitCouldNotRun, "holds no verdict", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := judgedRun(t, c.verdict)
			code, out := execReport("report", dir)
			if code != c.code || !strings.Contains(out, c.text) {
				t.Errorf("exit code %d, want %d; printed %q, want %q in it", code, c.code, out, c.text)
			}
			for _, file := range []string{"report.html", "junit.xml"} {
				if _, err := os.Stat(filepath.Join(dir, file)); (err == nil) != c.written {
					t.Errorf("%s: %v, want it written = %v", file, err, c.written)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
				t.Errorf("temporary files are left: %v", left)
			}
			if c.code == exitCouldNotRun && strings.Count(out, "\n") != 1 {
				t.Errorf("the error is not one line: %q", out)
			}
		})
	}
}

// A record that was cut after it was judged is not green any more.
func TestReportOfARecordCutSince(t *testing.T) {
	dir := judgedRun(t, held)
	hits := filepath.Join(dir, "hits-get.bin")
	info, err := os.Stat(hits)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(hits, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	if code, out := execReport("report", dir); code != exitInconclusive || !strings.Contains(out, "damaged hits-get.bin") {
		t.Errorf("exit code %d, want %d; printed %q", code, exitInconclusive, out)
	}
}

func TestReportWithoutARun(t *testing.T) {
	dir := t.TempDir()
	if code, out := execReport("report", dir); code != exitCouldNotRun || !strings.Contains(out, dir) || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, printed %q", code, out)
	}
}

func TestVerdictsExit(t *testing.T) {
	for v, want := range map[judge.Verdict]error{
		judge.Pass: nil, judge.Fail: exitError(exitBroken), judge.Inconclusive: exitError(exitInconclusive), judge.Skipped: exitError(exitInconclusive), "": exitError(exitInconclusive),
	} {
		if got := verdictError(v); got != want {
			t.Errorf("verdict %q exits by %v, want %v", v, got, want)
		}
	}
}

// execReport executes the command line as main does, and returns its exit code and everything it printed.
func execReport(args ...string) (int, string) {
	var out bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	return execute(context.Background(), root), out.String()
}
