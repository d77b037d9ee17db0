//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/judge"
)

// A generator that was stopped for longer than its deadline lost answers by itself: nothing of it is the server's, and nothing is proved.
func TestAGeneratorThatWasStoppedDoesNotBlameTheServer(t *testing.T) {
	var answers atomic.Int64
	loaded := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		slow := time.NewTimer(20 * time.Millisecond) // so that some are in flight at any moment
		defer slow.Stop()
		select {
		case <-slow.C:
		case <-r.Context().Done():
		}
		if answers.Add(1) == 200 {
			close(loaded)
		}
	}))
	t.Cleanup(server.Close)
	out := filepath.Join(t.TempDir(), "run")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "attack", "--target", server.URL, "--rate", "400/s", "--duration", "2s", "--deadline", "250ms", "--out", out)
	cmd.Env = append(offline(t), asCommand+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the command is two processes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-loaded
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stop := time.NewTimer(400 * time.Millisecond) // the fault itself
	<-stop.C
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInconclusive {
		t.Errorf("it ended with %v, want exit code %d", err, exitInconclusive)
	}
	data, err := os.ReadFile(filepath.Join(out, "verdict.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result judge.Result
	if err := json.Unmarshal(data, &result); err != nil {
		t.Fatal(err)
	}
	for _, p := range result.Promises {
		if p.Verdict == judge.Fail || p.Slug == load.SlugHeld && p.Verdict != judge.Inconclusive {
			t.Errorf("%s is %s: %s", p.Slug, p.Verdict, p.Reason)
		}
		if p.Slug == load.SlugDropped && (p.Dropped > 0 || p.Verdict != judge.Inconclusive) {
			t.Errorf("%s is %s with %d drops, want hits that the harness failed: %s", p.Slug, p.Verdict, p.Dropped, p.Reason)
		}
	}
}
