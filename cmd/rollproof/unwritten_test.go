package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/reports"
)

// The reports of a record go where --out says, and the record stays as it was.
func TestReportsGoWhereOutSays(t *testing.T) {
	dir, out := judgedRun(t, held), filepath.Join(t.TempDir(), "new", "judged")
	before := names(t, dir)
	if code, text := execReport("report", dir, "--out", out); code != exitPass || !strings.Contains(text, filepath.Join(out, "report.html")) {
		t.Errorf("report: exit code %d, printed %q", code, text)
	}
	if got := names(t, out); got != "junit.xml report.html" {
		t.Errorf("report wrote %q", got)
	}
	if code, text := execReport("judge", dir, "--out", out); code != exitInconclusive || !strings.Contains(text, filepath.Join(out, "report.html")) {
		t.Errorf("judge: exit code %d, printed %q", code, text)
	}
	if got := names(t, out); got != "junit.xml report.html verdict.json" {
		t.Errorf("judge wrote %q", got)
	}
	if after := names(t, dir); after != before {
		t.Errorf("the record holds %q, held %q", after, before)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// A record that nobody may write into is judged and shown; one line says that no file is there.
func TestReadOnlyRecordIsShown(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := judgedRun(t, held)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	for _, verb := range []string{"judge", "report"} {
		code, text := execReport(verb, dir)
		if code == exitCouldNotRun || !strings.Contains(text, "load.held") || strings.Count(text, "--out") != 1 {
			t.Errorf("%s: exit code %d, printed %q", verb, code, text)
		}
	}
}

func TestOnlyAReadOnlyRecordIsForgiven(t *testing.T) {
	noPermission := &reports.UnwrittenError{Missing: []string{"verdict.json"}, Err: &fs.PathError{Op: "open", Err: syscall.EACCES}}
	cases := map[string]struct {
		err      error
		out      string
		forgiven bool
	}{
		"nothing went wrong":      {nil, "", true},
		"read-only file system":   {&reports.UnwrittenError{Missing: []string{"verdict.json"}, Err: &fs.PathError{Op: "open", Err: syscall.EROFS}}, "", true},
		"no permission":           {noPermission, "", true},
		"no permission in --out":  {noPermission, "out/seen", false},
		"a file could be written": {&reports.UnwrittenError{Written: []string{"verdict.json"}, Missing: []string{"report.html"}, Err: syscall.EACCES}, "", false},
		"full disk":               {&reports.UnwrittenError{Missing: []string{"verdict.json"}, Err: syscall.ENOSPC}, "", false},
		"anything else":           {errors.New("cut"), "", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			cmd := newJudgeCommand()
			cmd.SetErr(&said)
			err := notedReadOnly(cmd, "out/run", c.out, c.err)
			if (err == nil) != c.forgiven || (said.Len() > 0) != (c.forgiven && c.err != nil) {
				t.Errorf("error %v, said %q; want forgiven = %v", err, said.String(), c.forgiven)
			}
		})
	}
}

// A disk that is full after the first file leaves a verdict of pass behind. The summary is shown, and the error says what is there; a file
// that cannot be written does not keep the next one from it.
func TestWhatIsNotWrittenIsNamed(t *testing.T) {
	for missing, said := range map[string]string{
		"report.html": "verdict.json, junit.xml are written, and the verdict is " + string(judge.Inconclusive) + "; report.html is not",
		"junit.xml":   "verdict.json, report.html are written, and the verdict is " + string(judge.Inconclusive) + "; junit.xml is not",
	} {
		t.Run(missing, func(t *testing.T) {
			dir := judgedRun(t, held)
			if err := os.MkdirAll(filepath.Join(dir, missing, "in-the-way"), 0o755); err != nil {
				t.Fatal(err)
			}
			code, text := execReport("judge", dir)
			if code != exitCouldNotRun || !strings.Contains(text, "load.held") || !strings.Contains(text, said) {
				t.Errorf("exit code %d, want %d; printed %q, want the summary and %q in it", code, exitCouldNotRun, text, said)
			}
			if named := strings.Contains(text, "\nreport   "); named != (missing != "report.html") {
				t.Errorf("the report is named: %v", named)
			}
		})
	}
}

// A run.json that does not say when the run started, or says another time than the events, is damage: every wall time hangs on it.
func TestRecordWithAnotherStart(t *testing.T) {
	for name, started := range map[string]string{"none": "", "a year later": `"started":"2031-01-01T00:00:00Z",`} {
		t.Run(name, func(t *testing.T) {
			dir := judgedRun(t, "")
			data := `{"format":2,"id":"r","scenario":"demo",` + started + `"machine":{}}` + "\n"
			if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
			if code, text := execReport("judge", dir); code != exitInconclusive || !strings.Contains(text, "damaged run.json") {
				t.Errorf("exit code %d, want %d; printed %q", code, exitInconclusive, text)
			}
		})
	}
}
