package kind

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"
)

// fakeProc writes a /proc with one process.
func fakeProc(t *testing.T, pid int, stat string) string {
	t.Helper()
	proc := t.TempDir()
	for path, text := range map[string]string{
		"self/stat": "x", "sys/kernel/random/boot_id": "boot-1\n", filepath.Join(strconv.Itoa(pid), "stat"): stat,
	} {
		if err := os.MkdirAll(filepath.Join(proc, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

// stat is a line of /proc/<pid>/stat with an awkward program name and the given state and start time.
func stat(state, start string) string {
	return "7 (a (b) c) " + state + " 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 " + start + " 99 100\n"
}

func TestOwnerAlive(t *testing.T) {
	proc := fakeProc(t, 7, stat("S", "4711"))
	cases := map[string]struct {
		owner Owner
		proc  string
		alive bool
	}{
		"that very process":           {Owner{PID: 7, Start: "boot-1/4711"}, proc, true},
		"pid used again":              {Owner{PID: 7, Start: "boot-1/4000"}, proc, false},
		"before the last boot":        {Owner{PID: 7, Start: "boot-0/4711"}, proc, false},
		"no such pid":                 {Owner{PID: 8, Start: "boot-1/4711"}, proc, false},
		"zombie":                      {Owner{PID: 7, Start: "boot-1/4711"}, fakeProc(t, 7, stat("Z", "4711")), false},
		"unknown start: no guess":     {Owner{PID: 8}, proc, true},
		"no labels at all: no guess":  {ownerFromLabels(nil), proc, true},
		"no /proc to ask: no guess":   {Owner{PID: 8, Start: "boot-1/1"}, t.TempDir(), true},
		"this process, really asked ": {thisProcess("/proc", "r"), "/proc", true},
	}
	for name, c := range cases {
		if got := c.owner.alive(c.proc); got != c.alive {
			t.Errorf("%s: alive %v, want %v", name, got, c.alive)
		}
	}
}

func TestOwnerSurvivesLabels(t *testing.T) {
	want := thisProcess("/proc", "run-1")
	if want.Start == "" {
		t.Fatal("this process has no start time: the test proves nothing")
	}
	if got := ownerFromLabels(want.labels()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	s := records{dir: t.TempDir()}
	if _, ok, err := s.get("x"); ok || err != nil {
		t.Fatalf("a record out of nothing: %v %v", ok, err)
	}
	want := Record{Name: "x", Phase: Ready, Owner: Owner{Run: "r", PID: 1, Start: "b/2"}, ConfigSum: "c", NodeKey: "n", Workers: 2,
		ProbeAddr: "127.0.0.1:1", PathNode: "x-control-plane", Doors: []string{"127.0.0.1:2"}, UID: "u", ExportedTo: "/k", ReadyAt: time.Unix(1, 0).UTC(), RegistryTag: "t"}
	if err := s.put(want); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := s.get("x"); !ok || err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %v %v", got, ok, err)
	}
	if err := s.remove("x"); err != nil {
		t.Fatal(err)
	}
	if names, err := s.names(); err != nil || len(names) != 0 {
		t.Errorf("left %v %v", names, err)
	}
	if err := s.remove("x"); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
}

func TestOneHolderOfALockAtATime(t *testing.T) {
	s := records{dir: t.TempDir()}
	unlock, err := s.tryLock("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.tryLock("x"); !errors.Is(err, errLocked) {
		t.Errorf("a second holder: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	said := make(chan struct{})
	ended := make(chan error)
	go func() {
		_, err := s.lock(ctx, "x", func(string, ...any) { close(said) })
		ended <- err
	}()
	<-said // it says that it waits
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled wait: %v", err)
	}
	unlock()
	again, err := s.tryLock("x")
	if err != nil {
		t.Fatalf("after it was free: %v", err)
	}
	again()
}
