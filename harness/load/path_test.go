package load

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/probe"
)

// way is a path whose end can be made to refuse, or to swallow, what comes.
type way struct {
	url    string
	door   net.Listener
	mode   atomic.Int32
	cut    atomic.Bool // nothing else gets through either
	server *httptest.Server
}

const (
	open int32 = iota
	swallowing
	refusing
)

func newWay(t *testing.T) *way {
	t.Helper()
	w := &way{}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.mode.Load() == swallowing {
			<-r.Context().Done()
		}
	}))
	t.Cleanup(w.server.Close)
	w.url = w.server.URL
	var err error
	if w.door, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.door.Close() })
	return w
}

// dial is what the arms dial with: it refuses when the way does.
func (w *way) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if w.mode.Load() == refusing {
		return nil, errors.New("connection refused")
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// start sends load whose path arm goes this way, and stops it at the test's end.
func (w *way) start(t *testing.T, doors ...string) *Window {
	t.Helper()
	stack := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if w.cut.Load() {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(stack.Close)
	rec, err := history.Create(t.TempDir()+"/run", history.Run{ID: "path", Scenario: "unit"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	get, err := NewArm("get", stack.URL)
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(rec, []Arm{get, PathArm(w.url, Path{Node: "node-1", Doors: doors})})
	if err != nil {
		t.Fatal(err)
	}
	window, err := g.Start(context.Background(), Plan{Pacing: Constant{PerSecond: 20}, dial: w.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		window.Stop()
		_ = window.Wait() // each test says how it must end
		if err := rec.Close(history.EndFinished, ""); err != nil {
			t.Error(err)
		}
	})
	return window
}

func TestALostPathIsNoticed(t *testing.T) {
	ways := map[string]func(*way){
		"its end refuses":               func(w *way) { w.mode.Store(refusing) },
		"its end swallows what comes":   func(w *way) { w.mode.Store(swallowing) },
		"a door of the engine is shut":  func(w *way) { w.door.Close() },
		"the responder itself is ended": func(w *way) { w.server.CloseClientConnections(); w.server.Listener.Close() },
	}
	for name, shut := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWay(t)
			window := w.start(t, w.door.Addr().String())
			select {
			case <-window.Done():
				t.Fatalf("an open path is called lost: %v", window.Wait())
			case <-time.After(300 * time.Millisecond): // some hits of the arm
			}
			w.cut.Store(true)
			shut(w)
			select {
			case <-window.Done():
			case <-time.After(30 * time.Second):
				t.Fatal("nobody noticed")
			}
			var lost *PathLostError
			var cut *probe.CutOffError
			if err := window.Wait(); !errors.As(err, &lost) || !errors.As(err, &cut) || lost.Node != "node-1" || lost.Reason == "" {
				t.Errorf("it ended because of %v", err)
			}
		})
	}
}

// watchPath is a watch, and what it told.
func watchPath() (w *pathWatch, told func() error) {
	var lost error
	return newPathWatch(func(err error) { lost = errors.Join(lost, err) }), func() error { return lost }
}

// A hit now and then that fails is no lost path.
func TestAPathThatComesBackIsNotLost(t *testing.T) {
	w, lost := watchPath()
	bad, good := &history.Hit{Class: history.ClassAmbiguous, Error: "x"}, &history.Hit{}
	for range 100 {
		for range pathRefused - 1 {
			w.see(&Path{Node: "n"}, bad)
		}
		w.see(&Path{Node: "n"}, good)
	}
	if err := lost(); err != nil {
		t.Errorf("it is called lost: %v", err)
	}
	for range pathRefused {
		w.see(&Path{Node: "n"}, bad)
	}
	if lost() == nil {
		t.Error("it is not called lost")
	}
}

// On a busy machine the path arm's short deadline passes while the load is answered: the path is slow, and not lost.
func TestAPathThatIsOnlySlowIsNotLost(t *testing.T) {
	w, lost := watchPath()
	second := time.Second
	for n := range 100 {
		at := time.Duration(n) * second
		w.other(&history.Hit{At: at, Latency: second / 2, Code: 503, Class: history.ClassApplication})
		w.see(&Path{Node: "n"}, &history.Hit{At: at, Latency: second / 2, Class: history.ClassAmbiguous, Reason: history.ReasonDeadline, Error: "deadline"})
	}
	if err := lost(); err != nil {
		t.Errorf("it is called lost: %v", err)
	}
	for n := range pathVanished + 1 { // from now on nobody is answered
		w.other(&history.Hit{At: time.Duration(100+n) * second, Class: history.ClassAmbiguous})
		w.see(&Path{Node: "n"}, &history.Hit{At: time.Duration(100+n) * second, Class: history.ClassAmbiguous, Reason: history.ReasonDeadline, Error: "deadline"})
	}
	if lost() == nil {
		t.Error("it is not called lost")
	}
}

// The path arm has a rate and a deadline of its own, whatever the load is.
func TestThePathArmKeepsItsOwnPace(t *testing.T) {
	get, err := NewArm("get", "http://127.0.0.1:1/")
	if err != nil {
		t.Fatal(err)
	}
	arms := []Arm{get, PathArm("http://127.0.0.1:1/", Path{Node: "n"})}
	for _, pacing := range []Pacing{Constant{PerSecond: 1000}, Saturate{}} {
		plans, err := Plan{Pacing: pacing, Length: 10 * time.Second}.withDefaults().deal(arms)
		if err != nil {
			t.Fatal(err)
		}
		if got := plans[1]; got.rate != pathRate || got.planned != 10*pathRate {
			t.Errorf("%v: the path arm plans %d hits at %g/s", pacing, got.planned, got.rate)
		}
	}
	if got := (Plan{Deadline: time.Minute}).forArm(arms[1]).Deadline; got != pathDeadline {
		t.Errorf("its deadline is %v", got)
	}
	if got := (Plan{Deadline: time.Minute}).forArm(arms[0]).Deadline; got != time.Minute {
		t.Errorf("another arm's deadline is %v", got)
	}
}

// A machine that stands still answers nobody, and has no dead path.
func TestAStalledProcessHasNoDeadPath(t *testing.T) {
	w, lost := watchPath()
	for n := range 10 * pathVanished {
		w.see(&Path{Node: "n"}, &history.Hit{At: time.Duration(n), Class: history.ClassAmbiguous, Reason: history.ReasonDeadline})
		if n%3 == 0 {
			w.stalled()
		}
	}
	if err := lost(); err != nil {
		t.Errorf("it is called lost: %v", err)
	}
}

// A node that is itself what is disturbed answers nobody, and that says nothing of the path to it.
func TestAPathToADisturbedNodeIsNotLost(t *testing.T) {
	w, lost := watchPath()
	for n := range 10 * pathVanished {
		w.see(&Path{Node: "n", Disturbed: true}, &history.Hit{At: time.Duration(n), Class: history.ClassAmbiguous, Error: "x"})
	}
	if err := lost(); err != nil {
		t.Errorf("it is called lost: %v", err)
	}
}
