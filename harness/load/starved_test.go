//go:build unix

package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// A process that may open no further file blames nobody but itself.
func TestNoFilesLeft(t *testing.T) {
	url := serve(t, app)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		none := syscall.Rlimit{Cur: 3, Max: old.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
			return nil, err
		}
		defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old) }() // seen below if it fails
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	noFiles := fate{history.ClassHarness, "no files", 0, 0}
	assertFates(t, arms(t, url, "get")[0], Plan{dial: dial}, []fate{noFiles, noFiles})
}

// A server whose queue of connections is full does not answer at all.
func TestDeadlineWhileConnecting(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
	for full := false; !full; {
		conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if full = err != nil; !full {
			defer conn.Close()
		}
	}
	late := fate{history.ClassAmbiguous, "deadline connecting", 0, 0}
	assertFates(t, arms(t, "http://"+addr, "get")[0], Plan{Deadline: 100 * time.Millisecond}, []fate{late, late})
}

const pausedChild = "ROLLPROOF_TEST_PAUSED_CHILD"

// A process that is paused for a while is late afterwards, loses no intent, and knows that it was paused.
func TestPausedProcessIsOnRecord(t *testing.T) {
	if url := os.Getenv(pausedChild); url != "" {
		r := record(t)
		if err := r.run(t.Context(), arms(t, url, "get"), Plan{Pacing: Constant{200}, Length: time.Second}); err != nil {
			t.Fatal(err)
		}
		r.assertAccounted()
		w := r.ended()["get"][0]
		if w.Planned != 200 || w.Sent != 200 || w.Health.StallMax < 250*time.Millisecond || w.Health.LagMax < 250*time.Millisecond {
			t.Errorf("window %+v, health %+v", w, w.Health)
		}
		if !slices.ContainsFunc(w.Health.Stalls, func(s history.Stall) bool {
			return s.Length == w.Health.StallMax && s.At > w.Begin && s.At+s.Length < w.Begin+w.Length+time.Minute
		}) {
			t.Errorf("the pause of %s is not among the stalls %+v", w.Health.StallMax, w.Health.Stalls)
		}
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPausedProcessIsOnRecord$")
	var once sync.Once
	loading := make(chan struct{})
	child.Env = append(os.Environ(), pausedChild+"="+serve(t, func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(loading) })
		app(w, r)
	}))
	var out strings.Builder
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-loading:
	case <-t.Context().Done():
		t.Fatal("the child sent nothing")
	}
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	pause := time.NewTimer(300 * time.Millisecond) // the fault itself
	<-pause.C
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("the paused process: %v\n%s", err, &out)
	}
}
