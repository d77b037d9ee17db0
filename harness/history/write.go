package history

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

const (
	runFile    = "run.json"
	eventsFile = "events.jsonl"

	flushBytes = 256 << 10
	flushEvery = 250 * time.Millisecond
)

// hitsFile is the name of the file that holds the hits of an arm.
func hitsFile(arm string) string { return "hits-" + arm + ".bin" }

// Recorder appends to the record of a run. Its methods are safe for concurrent use. The first write that fails, on a full
// disk for instance, stops the record: every later call returns that error, and Failed closes.
type Recorder struct {
	dir   string
	run   Run
	clock Clock

	mu     sync.Mutex
	events *os.File
	seal   *seal // of the events
	arms   map[string]*HitWriter
	err    error
	closed bool

	failed chan struct{}
	stop   chan struct{}
	ticker sync.WaitGroup
}

// Create starts the record of a run in a directory that is new or empty. It fills in the run's format and start.
func Create(dir string, run Run, clock Clock) (*Recorder, error) {
	if err := makeEmpty(dir); err != nil {
		return nil, err
	}
	run.Format, run.Started = FormatVersion, clock.Started().Round(0)
	// The file of events comes first, for only one run can make it: whoever finds the directory empty at the same moment is refused
	// before it touches a file of the other.
	events, err := os.OpenFile(filepath.Join(dir, eventsFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("start a record in %s: another run has just started there: name a new directory", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("start the record of run %s: %w", run.ID, err)
	}
	about, err := indented(run)
	if err == nil {
		err = WriteFile(filepath.Join(dir, runFile), about)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the record of run %s: %w", run.ID, err), events.Close())
	}
	r := &Recorder{
		dir: dir, run: run, clock: clock, events: events, seal: newEventSeal(), arms: map[string]*HitWriter{},
		failed: make(chan struct{}), stop: make(chan struct{}),
	}
	if err := r.Append(Event{Kind: KindRun, Run: &Header{Run: run, File: sumOfBytes(about)}}); err != nil {
		return nil, errors.Join(err, events.Close())
	}
	r.ticker.Go(r.flushRegularly)
	return r, nil
}

func makeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("start a record in %s: %w", dir, err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("start a record in %s: the directory is not empty: name a new one", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("start a record in %s: %w", dir, err)
	}
	return nil
}

// Dir is the directory of the run.
func (r *Recorder) Dir() string { return r.dir }

// Clock is the clock of the run.
func (r *Recorder) Clock() Clock { return r.clock }

// Run is what the record was started with, format and start filled in.
func (r *Recorder) Run() Run { return r.run }

// Failed is closed when the record can no longer be written: whoever makes load should stop then.
func (r *Recorder) Failed() <-chan struct{} { return r.failed }

// Append records an event at this moment, or at Event.At when that is set. It is in the file when Append returns.
func (r *Recorder) Append(e Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.append(e)
}

// append is Append for a caller that holds r.mu: the order of the sums is that of the lines.
func (r *Recorder) append(e Event) error {
	if e.At == 0 {
		e.At = r.clock.Now()
	}
	e.Wall = r.clock.Wall(e.At)
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("record event %s: %w", e.Kind, err)
	}
	return r.write(r.events, r.seal.closed(line[:len(line)-1]))
}

// write appends to a file of the record; the caller holds r.mu.
func (r *Recorder) write(f *os.File, data []byte) error {
	switch {
	case r.err != nil:
		return r.err
	case r.closed:
		return fmt.Errorf("record into %s: the record is closed", f.Name())
	}
	if _, err := f.Write(data); err != nil {
		r.err = fmt.Errorf("record into %s: %w", f.Name(), err)
		close(r.failed)
	}
	return r.err
}

// Arm opens the hits of an arm. It is called once for each arm of a run: a file that is there already is an error.
func (r *Recorder) Arm(name string) (*HitWriter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.OpenFile(filepath.Join(r.dir, hitsFile(name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("record arm %s: %w", name, err)
	}
	w := &HitWriter{recorder: r, arm: name, file: f, started: r.run.Started, sum: sha256.New()}
	w.buf = append(w.buf, preamble...)
	r.arms[name] = w
	return w, nil
}

func (r *Recorder) flushRegularly() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
			for _, w := range r.writers() {
				_ = w.Flush() // the error is kept, and returned by the next write and by Close
			}
		}
	}
}

func (r *Recorder) writers() []*HitWriter {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*HitWriter, 0, len(r.arms))
	for _, w := range r.arms {
		all = append(all, w)
	}
	return all
}

// Close flushes everything and closes the record with an End event that gives the outcome, and why for people: the outcome itself when
// reason is empty. It returns the first error the record met.
func (r *Recorder) Close(outcome Outcome, reason string) error {
	close(r.stop)
	r.ticker.Wait()
	end := End{Outcome: outcome, Reason: cmp.Or(reason, string(outcome)), Hits: map[string]uint64{}}
	for _, w := range r.writers() {
		_ = w.Flush()
		end.Hits[w.arm] = w.count()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.append(Event{Kind: KindEnd, End: &end})
	r.closed = true // nothing may follow the end
	errs := []error{err, r.events.Sync(), r.events.Close()}
	for _, w := range r.arms {
		errs = append(errs, w.file.Sync(), w.file.Close())
	}
	return errors.Join(errs...)
}

// Abandon closes the files without an End event, as a killed harness would leave them.
func (r *Recorder) Abandon() error {
	close(r.stop)
	r.ticker.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	errs := []error{r.events.Close()}
	for _, w := range r.arms {
		errs = append(errs, w.file.Close())
	}
	return errors.Join(errs...)
}

// HitWriter appends the hits of one arm. Hits reach the file in batches, at the latest after a quarter of a second.
type HitWriter struct {
	recorder *Recorder
	arm      string
	file     *os.File
	started  time.Time

	mu      sync.Mutex
	buf     []byte
	scratch []byte
	sum     hash.Hash // of what is in the file
	end     int64
	hits    uint64 // written and buffered
}

// Write appends a hit; its Arm is set to the writer's. The hit may be reused when Write returns.
func (w *HitWriter) Write(h *Hit) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	h.Arm = w.arm
	w.buf = appendHit(w.buf, h, w.started, &w.scratch)
	w.hits++
	if len(w.buf) < flushBytes {
		return nil
	}
	return w.flush()
}

// Flush brings what is buffered into the file.
func (w *HitWriter) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *HitWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	w.recorder.mu.Lock()
	err := w.recorder.write(w.file, w.buf)
	w.recorder.mu.Unlock()
	if err != nil {
		return err
	}
	w.end += int64(len(w.buf))
	w.sum.Write(w.buf) // a hash never fails
	w.buf = w.buf[:0]
	return w.recorder.Append(Event{Kind: KindBatch, Batch: &Batch{Arm: w.arm, End: w.end, Hits: w.hits, Sum: sumOf(w.sum)}})
}

func (w *HitWriter) count() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hits
}

// WriteJSON writes a file of a run as indented JSON, whole or not at all.
func WriteJSON(path string, v any) error {
	data, err := indented(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return WriteFile(path, data)
}

// WriteSealed is WriteJSON of an object with its sum as its last member; OpenSealed tells whether it is still as it was written.
func WriteSealed(path string, v any) error {
	data, err := indented(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return WriteFile(path, sealed(data))
}

func indented(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

// WriteFile writes a file of a run, whole or not at all.
func WriteFile(path string, data []byte) error {
	if err := renameio.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
