package ledger_test

import (
	"context"
	"errors"
	"io"
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
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/probe"
	"bitvault.dev/rollproof/harness/wait"
)

// patience bounds every wait of these tests: they share a machine with much else.
const patience = 3 * time.Minute

// shelf is a store of one member in this process that misbehaves as a test wants it to.
type shelf struct {
	misbehave func(op ledger.Op, try int) error // before it is written; nil: it does not

	mu     sync.Mutex
	order  []string
	has    map[string]bool
	tries  map[string]int
	forget func(key string) bool // entries that are not read back
	closed atomic.Bool
}

func (s *shelf) Write(_ context.Context, op ledger.Op) (ledger.Ack, error) {
	s.mu.Lock()
	s.tries[op.Key]++
	try := s.tries[op.Key]
	s.mu.Unlock()
	if s.misbehave != nil {
		if err := s.misbehave(op, try); err != nil {
			return ledger.Ack{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ack := ledger.Ack{Duplicate: s.has[op.Key]}
	if !ack.Duplicate {
		s.has[op.Key] = true
		s.order = append(s.order, op.Key)
	}
	return ack, nil
}

func (s *shelf) View(context.Context) history.View { return history.View{Leader: "shelf"} }

func (s *shelf) Members(context.Context) ([]string, error) { return []string{"shelf"}, nil }

func (s *shelf) Read(_ context.Context, _ string, found func(ledger.Entry)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.order {
		if s.forget == nil || !s.forget(key) {
			found(ledger.Entry{Key: key})
		}
	}
	return nil
}

func (s *shelf) Versions() map[string]string { return nil }

func (s *shelf) Close(context.Context) error {
	s.closed.Store(true)
	return nil
}

// bench is a writer on a shelf, a record, and the way between them.
type bench struct {
	t      *testing.T
	shelf  *shelf
	writer *ledger.Server
	front  *httptest.Server
	dir    string
	files  string
	rec    *history.Recorder
	spoil  func(*http.Request, *http.Response) error // what becomes of answers on their way; nil: nothing
	probe  ledger.Probe
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, shelf: &shelf{has: map[string]bool{}, tries: map[string]int{}}, dir: filepath.Join(t.TempDir(), "run"), files: t.TempDir()}
	b.writer = &ledger.Server{Dir: b.files, Idle: patience, Log: t.Logf, Stores: map[string]ledger.Opener{
		"shelf": func(context.Context, ledger.Plan, string) (ledger.Store, error) { return b.shelf, nil },
		"broken": func(context.Context, ledger.Plan, string) (ledger.Store, error) {
			return nil, errors.New("connect to the store at nowhere: refused")
		},
	}}
	b.front = httptest.NewServer(b.writer)
	t.Cleanup(func() { b.front.Close(); b.writer.Close() })
	var err error
	if b.rec, err = history.Create(b.dir, history.Run{ID: "r1"}, history.NewClock()); err != nil {
		t.Fatal(err)
	}
	b.probe = ledger.Probe{Writer: b.front.URL, Client: &http.Client{Transport: b}, Plan: ledger.Plan{
		Ledger: "shelf", Store: "shelf", Target: ledger.Target{Addresses: []string{"here"}, Replicas: 1}, Rate: 500,
	}}
	return b
}

// RoundTrip is the way to the writer.
func (b *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && b.spoil != nil {
		if err := b.spoil(r, res); err != nil {
			return nil, errors.Join(err, res.Body.Close())
		}
	}
	return res, err
}

func (b *bench) start() probe.Running {
	b.t.Helper()
	running, err := b.probe.Start(b.t.Context(), b.rec)
	if err != nil {
		b.t.Fatal(err)
	}
	return running
}

func (b *bench) await(what string, done func() bool) {
	b.t.Helper()
	err := wait.Until(b.t.Context(), what, patience, 5*time.Millisecond, func(context.Context) (bool, string, error) { return done(), "not yet", nil })
	if err != nil {
		b.t.Fatal(err)
	}
}

// lines are all of the ledger in the record.
func (b *bench) lines() []history.LedgerLine {
	b.t.Helper()
	h, err := history.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	var lines []history.LedgerLine
	for line, err := range h.Ledger("shelf") {
		if err != nil {
			b.t.Fatal(err)
		}
		lines = append(lines, *line)
	}
	return lines
}

// ended is how the record says that the ledger ended.
func (b *bench) ended() history.Ledger {
	b.t.Helper()
	if err := b.rec.Close(history.EndFinished, ""); err != nil {
		b.t.Fatal(err)
	}
	h, err := history.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	var ended history.Ledger
	for e, err := range h.Events() {
		if err != nil {
			b.t.Fatal(err)
		}
		if e.Ledger != nil && e.Ledger.Ended {
			ended = *e.Ledger
		}
	}
	if !ended.Ended {
		b.t.Fatal("the record does not say that the ledger ended")
	}
	return ended
}

// whole stops a ledger and holds its record against the shelf.
func (b *bench) whole(running probe.Running) []history.LedgerLine {
	b.t.Helper()
	running.Stop()
	if err := running.Wait(); err != nil {
		b.t.Fatal(err)
	}
	if ended := b.ended(); ended.Lost != "" || ended.Clock.Looks == 0 || ended.Clock.Apart != 0 || ended.Writer == "" {
		b.t.Errorf("the ledger ended as %+v", ended)
	}
	lines := b.lines()
	if last := lines[len(lines)-1].Closed; last == nil || last.Planned != writesOf(lines) || len(last.Members) != 1 {
		b.t.Errorf("it is closed as %+v, with %d writes", last, writesOf(lines))
	}
	if !b.shelf.closed.Load() {
		b.t.Error("the store is not let go of")
	}
	if files, _ := os.ReadDir(b.files); len(files) > 0 {
		b.t.Errorf("the writer keeps %v", files)
	}
	return lines
}

func writesOf(lines []history.LedgerLine) (n uint64) {
	for _, line := range lines {
		if line.Write != nil {
			n++
		}
	}
	return n
}

func TestALedgerIsWrittenPulledAndClosed(t *testing.T) {
	b := newBench(t)
	running := b.start()
	b.await("writes", func() bool { return running.Status().Sent > 300 })
	lines := b.whole(running)
	var entries, outcomes uint64
	for _, line := range lines {
		if w := line.Write; w != nil && w.Outcome == history.WriteAcked && w.Tries == 1 && w.Started >= w.Intended {
			outcomes++
		}
		if line.Found != nil {
			entries += line.Found.Count
		}
	}
	if outcomes != writesOf(lines) || entries != outcomes {
		t.Errorf("%d writes, %d acknowledged, %d read back", writesOf(lines), outcomes, entries)
	}
}

// What may have reached the store is never said to have failed, whatever a later try says; what certainly did not is.
func TestOutcomes(t *testing.T) {
	refused := &ledger.NotWrittenError{Err: errors.New("nobody is there")}
	for name, c := range map[string]struct {
		misbehave func(op ledger.Op, try int) error
		want      history.WriteOutcome
		duplicate bool
	}{
		"never an answer": {func(ledger.Op, int) error { return context.DeadlineExceeded }, history.WriteUnknown, false},
		"always refused":  {func(ledger.Op, int) error { return refused }, history.WriteFailed, false},
		"no answer, then refused": {func(_ ledger.Op, try int) error {
			return map[bool]error{true: io.ErrUnexpectedEOF, false: refused}[try == 1]
		}, history.WriteUnknown, false},
		"refused, then acknowledged": {func(_ ledger.Op, try int) error { return map[bool]error{true: refused}[try == 1] }, history.WriteAcked, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.shelf.misbehave, b.probe.Plan.Deadline, b.probe.Plan.Rate = c.misbehave, 400*time.Millisecond, 50
			running := b.start()
			b.await("writes", func() bool { return running.Status().Sent > 5 })
			for _, line := range b.whole(running) {
				if w := line.Write; w != nil && (w.Outcome != c.want || (w.Error == "") != (w.Outcome == history.WriteAcked && w.Tries == 1)) {
					t.Errorf("write %+v, want %s", w, c.want)
				}
			}
		})
	}
}

// A store that does not answer holds no write back but those that find no place in flight: each is intended when it was due.
func TestTheLoopIsOpen(t *testing.T) {
	b := newBench(t)
	blocked := make(chan struct{})
	b.shelf.misbehave = func(op ledger.Op, _ int) error {
		if op.Number >= 10 {
			<-blocked
		}
		return nil
	}
	b.probe.Plan.InFlight = 20
	running := b.start()
	b.await("every place in flight to be taken", func() bool {
		b.shelf.mu.Lock()
		defer b.shelf.mu.Unlock()
		return len(b.shelf.tries) == 30
	})
	close(blocked)
	b.await("writes", func() bool { return running.Status().Sent > 100 })
	for _, line := range b.whole(running) {
		if w := line.Write; w != nil && w.Intended != time.Duration(float64(w.Op)/500*float64(time.Second)) {
			t.Errorf("write %+v was intended when none was due", w)
		}
	}
}

// A store that is gone for good does not keep a ledger from its end.
func TestWhatIsNeverSentHasFailed(t *testing.T) {
	b := newBench(t)
	b.shelf.misbehave = func(ledger.Op, int) error { return errors.New("no answer") }
	b.probe.Plan.InFlight, b.probe.Plan.Deadline = 1, 200*time.Millisecond
	running := b.start()
	b.await("writes", func() bool { return running.Status().Sent > 2 })
	var unknown, unsent int
	for _, line := range b.whole(running) {
		switch w := line.Write; {
		case w == nil:
		case w.Outcome == history.WriteUnknown:
			unknown++
		case w.Outcome == history.WriteFailed && w.Tries == 0:
			unsent++
		default:
			t.Errorf("write %+v", w)
		}
	}
	if unknown == 0 || unsent == 0 {
		t.Errorf("%d unknown, %d never sent, want some of both", unknown, unsent)
	}
}

// What a member does not have is not told of.
func TestALossIsInTheLedger(t *testing.T) {
	b := newBench(t)
	b.shelf.forget = func(key string) bool { return strings.HasSuffix(key, "-7") }
	running := b.start()
	b.await("writes", func() bool { return running.Status().Sent > 20 })
	var has uint64
	lines := b.whole(running)
	for _, line := range lines {
		if f := line.Found; f != nil {
			has += f.Count
			if f.Op <= 7 && 7 < f.Op+f.Count {
				t.Errorf("operation 7 is found in %+v", f)
			}
		}
	}
	if has != writesOf(lines)-1 {
		t.Errorf("%d of %d are found, want all but one", has, writesOf(lines))
	}
}

// An answer that is lost or cut on its way is pulled again.
func TestPullingResumes(t *testing.T) {
	b := newBench(t)
	var pulls, cut atomic.Int64
	b.spoil = func(r *http.Request, res *http.Response) error {
		if r.Method != http.MethodGet {
			return nil
		}
		switch n := pulls.Add(1); {
		case n%3 == 0:
			return io.ErrUnexpectedEOF
		case n%3 == 1:
			data, err := io.ReadAll(res.Body)
			if half := len(data) / 2; half > 0 && err == nil && res.Header.Get("Ledger-Closed") != "true" {
				data = data[:half]
				cut.Add(1)
			}
			res.Body = io.NopCloser(strings.NewReader(string(data)))
			return err
		}
		return nil
	}
	running := b.start()
	b.await("answers that were cut", func() bool { return cut.Load() > 2 })
	b.whole(running)
}

// A writer that is lost, and a ledger that is not as it was written, prove nothing: the probe ends by itself and the record says why.
func TestALedgerThatIsLost(t *testing.T) {
	edit := func(change func(string) string) func(*bench) {
		return func(b *bench) {
			b.spoil = func(r *http.Request, res *http.Response) error {
				if r.Method != http.MethodGet {
					return nil
				}
				data, err := io.ReadAll(res.Body)
				res.Body = io.NopCloser(strings.NewReader(change(string(data))))
				return err
			}
		}
	}
	for name, c := range map[string]struct {
		lose  func(*bench)
		tells string
	}{
		"its writer was started anew": {func(b *bench) { b.writer.Close() }, "started anew"},
		"a line was edited":           {edit(func(s string) string { return strings.Replace(s, `"acked"`, `"other"`, 1) }), "not as it was written"},
		"a line is missing": {edit(func(s string) string {
			lines := strings.SplitAfter(s, "\n")
			return strings.Join(append(lines[:min(1, len(lines))], lines[min(2, len(lines)):]...), "")
		}), "not as it was written"},
		"it is another run's": {edit(func(s string) string { return strings.ReplaceAll(s, `"run":"r1"`, `"run":"r2"`) }), "not as it was written"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			lose := c.lose
			if strings.HasPrefix(name, "its writer") {
				running := b.start()
				b.await("writes", func() bool { return running.Status().Sent > 20 })
				lose(b)
				b.lost(running, c.tells)
				return
			}
			lose(b)
			b.lost(b.start(), c.tells)
		})
	}
}

// lost waits until a probe has ended by itself, and says why.
func (b *bench) lost(running probe.Running, tells string) {
	b.t.Helper()
	b.await("the probe to end", func() bool {
		select {
		case <-running.Done():
			return true
		default:
			return false
		}
	})
	var cut *probe.CutOffError
	if err := running.Wait(); !errors.As(err, &cut) || !strings.Contains(err.Error(), tells) {
		b.t.Errorf("it ended by %v, want to be cut off and told %q", err, tells)
	}
	if ended := b.ended(); !strings.Contains(ended.Lost, tells) {
		b.t.Errorf("the record says %q, want %q", ended.Lost, tells)
	}
}

// A ledger that nobody pulls any more ends by itself, and leaves nothing behind.
func TestNobodyPulls(t *testing.T) {
	b := newBench(t)
	b.writer.Idle = 50 * time.Millisecond
	res, err := http.Post(b.front.URL+"/ledgers", "application/json",
		strings.NewReader(`{"run":"r","ledger":"shelf","store":"shelf","target":{"addresses":["a"],"replicas":1},"rate":100}`))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	b.await("the writer to let go", func() bool {
		files, err := os.ReadDir(b.files)
		return err == nil && len(files) == 0 && b.shelf.closed.Load()
	})
}

func TestBadPlans(t *testing.T) {
	b := newBench(t)
	for name, c := range map[string]struct {
		change func(*ledger.Plan)
		tells  string
	}{
		"no rate":             {func(p *ledger.Plan) { p.Rate = 0 }, "0 writes a second"},
		"no address":          {func(p *ledger.Plan) { p.Target.Addresses = nil }, "addresses"},
		"no replica":          {func(p *ledger.Plan) { p.Target.Replicas = 0 }, "0 members"},
		"a name for a file":   {func(p *ledger.Plan) { p.Ledger = "../../etc" }, "small letters"},
		"an unknown store":    {func(p *ledger.Plan) { p.Store = "tape" }, `there is no store "tape": this writer knows broken, shelf`},
		"a store that is off": {func(p *ledger.Plan) { p.Store = "broken" }, "connect to the store at nowhere"},
	} {
		p := b.probe
		c.change(&p.Plan)
		if _, err := p.Start(t.Context(), b.rec); err == nil || !strings.Contains(err.Error(), c.tells) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line that tells %q", name, err, c.tells)
		}
	}
	if files, _ := os.ReadDir(b.files); len(files) > 0 {
		t.Errorf("plans that were refused left %v", files)
	}
	for _, path := range []string{"/ledgers/none?from=0", "/other"} {
		if res, err := http.Get(b.front.URL + path); err != nil || res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v, %v", path, res, err)
		}
	}
}
