//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// pipeInstead puts a named pipe in the place of a file.
func pipeInstead(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(path), syscall.Mkfifo(path, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// A named pipe in the place of a file of a record is told in one line. Nothing waits for it, and no old verdict stands.
func TestANamedPipeInARecordIsRefused(t *testing.T) {
	for _, file := range []string{"run.json", "events.jsonl", "hits-get.bin"} {
		for _, command := range []string{"judge", "report"} {
			dir := judgedRun(t, held)
			pipeInstead(t, filepath.Join(dir, file))
			code, out, errs := rollproof(command, dir)
			if code != exitCouldNotRun || !strings.Contains(errs, file+" is a named pipe") || strings.Count(out+errs, "\n") != 1 {
				t.Errorf("%s, %s: exit code %d, printed %q and %q", command, file, code, out, errs)
			}
			if _, err := os.Lstat(filepath.Join(dir, "verdict.json")); command == "judge" && err == nil {
				t.Errorf("%s: the old verdict stands", file)
			}
		}
	}
}

// In the place of a verdict, report refuses it, and judge puts a verdict there.
func TestANamedPipeInThePlaceOfAVerdict(t *testing.T) {
	dir := judgedRun(t, held)
	verdict := filepath.Join(dir, "verdict.json")
	pipeInstead(t, verdict)
	if code, out := execReport("report", dir); code != exitCouldNotRun || !strings.Contains(out, "is a named pipe") || strings.Count(out, "\n") != 1 {
		t.Errorf("report: exit code %d, printed %q", code, out)
	}
	pipeInstead(t, filepath.Join(dir, "junit.xml"))
	if code, out := execReport("judge", dir); code == exitCouldNotRun {
		t.Errorf("judge: exit code %d, printed %q", code, out)
	}
	for _, file := range []string{verdict, filepath.Join(dir, "junit.xml")} {
		if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s is %v, error %v", file, info.Mode(), err)
		}
	}
}
