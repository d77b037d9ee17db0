package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitvault.dev/rollproof/harness/judge"
)

// recorded copies a run that package judge keeps as data, so that verdict.json can be written beside it.
func recorded(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "harness", "checks", "testdata", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func rollproof(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	code = execute(context.Background(), root)
	return code, out.String(), errs.String()
}

func TestJudgeExitsByTheVerdictAndWritesIt(t *testing.T) {
	cases := []struct {
		run     string
		args    []string
		code    int
		verdict judge.Verdict
	}{
		{"green", nil, exitPass, judge.Pass},
		{"dropped", nil, exitBroken, judge.Fail},
		{"killed", nil, exitInconclusive, judge.Inconclusive},
		{"green", []string{"--check", "mechanics.graceful"}, exitInconclusive, judge.Inconclusive},
		{"dropped", []string{"--check", "load.held"}, exitBroken, judge.Fail}, // asking for one check leaves none out
	}
	for _, c := range cases {
		t.Run(strings.Join(append([]string{c.run}, c.args...), " "), func(t *testing.T) {
			dir := recorded(t, c.run)
			code, stdout, stderr := rollproof(append([]string{"judge", dir, "--accept-unprotected"}, c.args...)...)
			if code != c.code || stderr != "" {
				t.Errorf("exit code %d, want %d; stderr %q", code, c.code, stderr)
			}
			if !strings.Contains(stdout, string(c.verdict)+": ") || !strings.Contains(stdout, "load.zero-dropped") {
				t.Errorf("printed %q", stdout)
			}
			data, err := os.ReadFile(filepath.Join(dir, "verdict.json"))
			if err != nil {
				t.Fatal(err)
			}
			var result judge.Result
			if err := json.Unmarshal(data, &result); err != nil || result.Verdict != c.verdict {
				t.Errorf("verdict.json says %q (%v), want %q", result.Verdict, err, c.verdict)
			}
		})
	}
}

// A record without sums proves nothing, unless it is accepted so, which its verdict tells.
func TestARecordWithoutSumsIsInconclusive(t *testing.T) {
	dir := recorded(t, "green")
	if code, out, _ := rollproof("judge", dir); code != exitInconclusive || !strings.Contains(out, "no sums") {
		t.Errorf("judge: exit code %d, printed %q", code, out)
	}
	if code, _, _ := rollproof("judge", dir, "--accept-unprotected"); code != exitPass {
		t.Errorf("judge --accept-unprotected: exit code %d", code)
	}
	data, err := os.ReadFile(filepath.Join(dir, "verdict.json"))
	var result judge.Result
	if err == nil {
		err = json.Unmarshal(data, &result)
	}
	if err != nil || !result.Unprotected || !strings.Contains(string(data), "accepted so by --accept-unprotected") {
		t.Errorf("the verdict says unprotected = %v, error %v", result.Unprotected, err)
	}
	if code, _, _ := rollproof("report", dir); code != exitInconclusive {
		t.Errorf("report: exit code %d", code)
	}
	if code, _, _ := rollproof("report", dir, "--accept-unprotected"); code != exitPass {
		t.Errorf("report --accept-unprotected: exit code %d", code)
	}
}

// A judgement that fails leaves no verdict of an earlier one.
func TestAFailedJudgementLeavesNoVerdict(t *testing.T) {
	dir := recorded(t, "green")
	if code, _, _ := rollproof("judge", dir, "--accept-unprotected"); code != exitPass {
		t.Fatalf("exit code %d", code)
	}
	if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte(`{"format":1,"id":"r1","budgets":{"lag":"slow"}}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := rollproof("judge", dir, "--accept-unprotected"); code != exitCouldNotRun {
		t.Errorf("exit code %d, want that it cannot be judged", code)
	}
	if _, err := os.Stat(filepath.Join(dir, "verdict.json")); err == nil {
		t.Error("the old verdict stands")
	}
}

func TestJudgeRefusesBadInputInOneLine(t *testing.T) {
	dir := recorded(t, "green")
	newer := recorded(t, "green")
	if err := os.WriteFile(filepath.Join(newer, "run.json"), []byte(`{"format":99,"id":"r1"}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	budgets := recorded(t, "green")
	if err := os.WriteFile(filepath.Join(budgets, "run.json"), []byte(`{"format":1,"id":"r1","budgets":{"lag":"slow"}}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		args []string
		says string
	}{
		"no directory":      {[]string{"judge"}, "judge: DIR is missing: type `rollproof judge DIR`"},
		"no run":            {[]string{"judge", t.TempDir()}, "name the directory of a run"},
		"a mistyped check":  {[]string{"judge", dir, "--check", "mechanic.gracefull"}, "did you mean mechanics.graceful?"},
		"a newer record":    {[]string{"judge", newer}, "use a newer rollproof"},
		"senseless budgets": {[]string{"judge", budgets}, "budgets in run.json"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := rollproof(c.args...)
			if code != exitCouldNotRun || stdout != "" {
				t.Errorf("exit code %d, want %d; printed %q", code, exitCouldNotRun, stdout)
			}
			if !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("said %q, want one line with %q", stderr, c.says)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "verdict.json")); err == nil {
		t.Error("a refused command wrote verdict.json")
	}
}
