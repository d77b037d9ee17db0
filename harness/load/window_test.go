package load

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

var (
	appBody   = []byte(strings.Repeat("rollproof ", 90))
	appSum    = sha256.Sum256(appBody)
	appDigest = "sha-256=:" + base64.StdEncoding.EncodeToString(appSum[:]) + ":"
)

// app answers as a well-behaved application does.
func app(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Digest", appDigest)
	w.Header().Set(DefaultVersionHeader, "v1")
	w.Header().Set(DefaultPodHeader, "app-0")
	_, _ = w.Write(appBody) // the client sees a short answer
}

func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func arms(t testing.TB, target string, names ...string) []Arm {
	t.Helper()
	var all []Arm
	for _, name := range names {
		arm, err := NewArm(name, target)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, arm)
	}
	return all
}

// recording is a record that a test writes and reads again.
type recording struct {
	t   testing.TB
	dir string
	rec *history.Recorder
}

func record(t testing.TB) *recording {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := history.Create(dir, history.Run{ID: "test", Scenario: "load"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	return &recording{t: t, dir: dir, rec: rec}
}

func (r *recording) run(ctx context.Context, arms []Arm, plan Plan) error {
	r.t.Helper()
	err := Run(ctx, r.rec, arms, plan)
	if closed := r.rec.Close(history.EndFinished, ""); closed != nil {
		r.t.Fatal(closed)
	}
	return err
}

// hits are the recorded hits of all arms, by arm.
func (r *recording) hits() map[string][]history.Hit {
	r.t.Helper()
	h := r.open()
	names, err := h.Arms()
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string][]history.Hit{}
	for _, arm := range names {
		for hit, err := range h.Hits(arm) {
			if err != nil {
				r.t.Fatal(err)
			}
			c := *hit
			c.Body = append([]byte(nil), hit.Body...)
			all[arm] = append(all[arm], c)
		}
	}
	return all
}

func (r *recording) open() *history.History {
	r.t.Helper()
	h, err := history.Open(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// ended are the windows as they were recorded at their end, by arm.
func (r *recording) ended() map[string][]history.Window {
	r.t.Helper()
	all := map[string][]history.Window{}
	for e, err := range r.open().Events() {
		if err != nil {
			r.t.Fatal(err)
		}
		if e.Kind == history.KindWindow && e.Window.Ended {
			all[e.Window.Arm] = append(all[e.Window.Arm], *e.Window)
		}
	}
	return all
}

// assertAccounted checks what always holds: every planned hit is in the record once, sent or unsent.
func (r *recording) assertAccounted() {
	r.t.Helper()
	hits := r.hits()
	for arm, windows := range r.ended() {
		seqs, sent, unsent := map[uint64]bool{}, map[int]uint64{}, map[int]uint64{}
		for _, h := range hits[arm] {
			if seqs[h.Seq] {
				r.t.Errorf("arm %s: seq %d is recorded twice", arm, h.Seq)
			}
			seqs[h.Seq] = true
			if h.Unsent {
				unsent[h.Window]++
			} else {
				sent[h.Window]++
			}
		}
		for i := range uint64(len(hits[arm])) {
			if !seqs[i] {
				r.t.Errorf("arm %s: seq %d of %d is missing", arm, i, len(hits[arm]))
			}
		}
		for _, w := range windows {
			if sent[w.Index] != w.Sent || sent[w.Index]+unsent[w.Index] != w.Planned {
				r.t.Errorf("arm %s, window %d: recorded %d sent + %d unsent, the window says %d sent of %d planned",
					arm, w.Index, sent[w.Index], unsent[w.Index], w.Sent, w.Planned)
			}
		}
	}
}

func TestCleanRunOfEveryArm(t *testing.T) {
	var mu sync.Mutex
	ids := map[string]int{}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(HitHeader)
		mu.Lock()
		ids[id]++
		mu.Unlock()
		key := r.Header.Get("Idempotency-Key")
		if post := strings.HasPrefix(id, "test/post/"); post != (key != "") || post && key != id {
			t.Errorf("hit %s came with the idempotency key %q", id, key)
		}
		if closing := strings.Contains(id, "-close/"); closing != r.Close {
			t.Errorf("hit %s: Connection: close is %v", id, r.Close)
		}
		app(w, r)
	})
	r := record(t)
	if err := r.run(t.Context(), arms(t, url, ArmNames()...), Plan{Pacing: Constant{600}, Length: 500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	for arm, hits := range r.hits() {
		if len(hits) != 50 {
			t.Errorf("arm %s: %d hits, want 50", arm, len(hits))
		}
		for _, h := range hits {
			if h.Failed() || h.Code != 200 || h.BytesIn != 900 || h.Version != "v1" || h.Pod != "app-0" || h.Masked != 0 || h.Lag() < 0 {
				t.Errorf("arm %s: unexpected hit %+v", arm, h)
			}
			if id := fmt.Sprintf("test/%s/%d", arm, h.Seq); ids[id] != 1 {
				t.Errorf("the server saw hit %s %d times", id, ids[id])
			}
		}
	}
	for arm, windows := range r.ended() {
		w := windows[0]
		if len(windows) != 1 || w.Planned != 50 || w.Late != 0 || w.Health == nil || w.Health.LagMax <= 0 || w.Health.SocketsMax == 0 || w.Control != (arm == "control") {
			t.Errorf("arm %s: windows %+v", arm, windows)
		}
	}
}

// The arms take turns: together they are as evenly spaced as one arm at the whole rate.
func TestArmsAreSpreadEvenly(t *testing.T) {
	plan := Plan{Pacing: Constant{300}, Length: time.Second}
	plans, err := plan.withDefaults().deal(arms(t, "http://127.0.0.1:1", "get", "post", "post-close", "control"))
	if err != nil {
		t.Fatal(err)
	}
	due := map[time.Duration]string{}
	for _, p := range plans[:3] {
		for range p.planned {
			at, _, err := p.schedule.next()
			if err != nil {
				t.Fatal(err)
			}
			due[at] = p.arm.Name
		}
	}
	if len(due) != 300 {
		t.Fatalf("%d different moments, want 300", len(due))
	}
	for j := range uint64(300) {
		at := Constant{300}.at(j)
		if want := []string{"get", "post", "post-close"}[j%3]; due[at] != want {
			t.Errorf("at %s: arm %q, want %q", at, due[at], want)
		}
	}
	if at, _, _ := plans[3].schedule.next(); at != 5*time.Millisecond || plans[3].planned != 100 {
		t.Errorf("the control arm begins at %s with %d planned, want 5ms and 100", at, plans[3].planned)
	}
}

func TestWindowsContinueTheCount(t *testing.T) {
	r := record(t)
	g, err := New(r.rec, arms(t, serve(t, app), "get"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w, err := g.Start(t.Context(), Plan{Pacing: Constant{200}, Length: 100 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Start(t.Context(), Plan{Pacing: Constant{1}, Length: time.Second}); err == nil {
			t.Error("a second window began while the first was running")
		}
		if err := w.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.rec.Close(history.EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	if hits := r.hits()["get"]; len(hits) != 60 || hits[len(hits)-1].Window != 3 {
		t.Errorf("%d hits, the last in window %d, want 60 and 3", len(hits), hits[len(hits)-1].Window)
	}
	if s := g.Status()[0]; s != (Status{Arm: "get", Planned: 60, Sent: 60, Done: 60}) {
		t.Errorf("status %+v", s)
	}
}

func TestStopAndCancelLoseNoIntent(t *testing.T) {
	for name, c := range map[string]struct {
		length time.Duration
		cancel bool
	}{"endless": {}, "endless, cancelled": {cancel: true}, "stopped early": {length: time.Minute}, "cancelled early": {length: time.Minute, cancel: true}} {
		t.Run(name, func(t *testing.T) {
			var served atomic.Int64
			enough := make(chan struct{})
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				app(w, r)
				if served.Add(1) == 60 {
					close(enough)
				}
			})
			r := record(t)
			g, err := New(r.rec, arms(t, url, "get", "post-close", "control"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w, err := g.Start(ctx, Plan{Pacing: Constant{200}, Length: c.length})
			if err != nil {
				t.Fatal(err)
			}
			<-enough
			if c.cancel {
				cancel()
			} else {
				w.Stop()
			}
			if err := w.Wait(); c.cancel != errors.Is(err, context.Canceled) {
				t.Errorf("Wait returned %v", err)
			}
			if err := r.rec.Close(history.EndInterrupted, "stopped"); err != nil {
				t.Fatal(err)
			}
			r.assertAccounted()
			got := r.ended()["get"][0]
			if c.length > 0 && (got.Planned != 6000 || got.Sent > 5900) {
				t.Errorf("a window stopped early says %d sent of %d planned, want few of 6000", got.Sent, got.Planned)
			}
			if due := got.Length.Seconds() * got.Rate; c.length == 0 && math.Abs(float64(got.Planned)-due) > 1 {
				t.Errorf("an endless window of %s says %d planned, %.1f were due", got.Length, got.Planned, due)
			}
		})
	}
}

// One worker and a slow server: the load is late, then not sent at all, and both are on record.
func TestStarvedGeneratorIsOnRecord(t *testing.T) {
	release := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-time.After(30 * time.Millisecond):
		}
		app(w, r)
	})
	defer close(release)
	r := record(t)
	plan := Plan{Pacing: Constant{200}, Length: 300 * time.Millisecond, Grace: 50 * time.Millisecond, MaxWorkers: 1}
	if err := r.run(t.Context(), arms(t, url, "get"), plan); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	w := r.ended()["get"][0]
	if w.Planned != 60 || w.Sent >= 30 || w.Health.LagMax < 50*time.Millisecond || w.Health.Workers != 1 {
		t.Errorf("window %+v, health %+v", w, w.Health)
	}
	for _, h := range r.hits()["get"] {
		if h.Unsent && (h.Class != history.ClassHarness || h.Reason != "unsent") {
			t.Errorf("unsent hit %+v", h)
		}
	}
}

// A stop often comes within the latency of a timer after a hit's moment. Such a hit was due and is sent: unsent, it would take the pass
// from a run in which nothing went wrong.
func TestAStopLosesNoHitThatWasDue(t *testing.T) {
	r := record(t)
	g, err := New(r.rec, arms(t, serve(t, app), "get"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		w, err := g.Start(t.Context(), Plan{Pacing: Constant{PerSecond: 1500}})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(lead + 20*time.Millisecond + time.Duration(i)*37*time.Microsecond)
		w.Stop()
		if err := w.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.rec.Close(history.EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	for _, w := range r.ended()["get"] {
		if w.Sent != w.Planned || w.Sent == 0 {
			t.Errorf("window %d sent %d of %d hits that were due before its stop", w.Index, w.Sent, w.Planned)
		}
	}
}

func TestRecordThatFailsStopsTheLoad(t *testing.T) {
	r := record(t)
	g, err := New(r.rec, arms(t, serve(t, app), "get"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := g.Start(t.Context(), Plan{Pacing: Saturate{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.rec.Abandon(); err != nil { // what a disk that is gone looks like: the files no longer take a write
		t.Fatal(err)
	}
	if err := w.Wait(); err == nil || !strings.Contains(err.Error(), "record") {
		t.Errorf("Wait returned %v, want the record's error", err)
	}
}

func TestBadPlansAreRefused(t *testing.T) {
	good := Plan{Pacing: Constant{10}, Length: time.Second}
	target := "http://127.0.0.1:1"
	for name, c := range map[string]struct {
		arms []Arm
		plan Plan
		text string
	}{
		"no arm":          {nil, good, "no arm sends load"},
		"control alone":   {arms(t, target, "control"), good, "no arm sends load"},
		"twice":           {arms(t, target, "get", "get"), good, "named twice"},
		"no URL":          {arms(t, "localhost:80", "get"), good, "want a URL"},
		"no pacing":       {arms(t, target, "get"), Plan{}, "no pacing"},
		"rate 0":          {arms(t, target, "get"), Plan{Pacing: Constant{}}, "more than 0"},
		"no file":         {arms(t, target, "get"), Plan{Pacing: Recorded{}}, "traffic file"},
		"a bad version":   {arms(t, target, "get"), Plan{Pacing: Constant{1}, VersionHeader: "X Version"}, "want a field name"},
		"a bad pod":       {arms(t, target, "get"), Plan{Pacing: Constant{1}, PodHeader: "X-Pod:"}, "want a field name"},
		"negative length": {arms(t, target, "get"), Plan{Pacing: Constant{1}, Length: -1}, "negative"},
		"endless length":  {arms(t, target, "get"), Plan{Pacing: Constant{1}, Length: never + 1}, "hundred years"},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t)
			err := r.run(t.Context(), c.arms, c.plan)
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
}

func TestUnknownArmSuggestsTheNearest(t *testing.T) {
	_, err := NewArm("post-clsoe")
	if err == nil || !strings.Contains(err.Error(), `did you mean post-close?`) {
		t.Errorf("got %v", err)
	}
}

func writeFile(t testing.TB, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "traffic.jsonl")
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
