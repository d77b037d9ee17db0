package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/probe"
)

const (
	pullEvery   = 500 * time.Millisecond
	pullWithin  = 10 * time.Second // one request
	startWithin = 40 * time.Second // the writer bounds the opening of the store itself
	lostAfter   = 30 * time.Second // without an answer of the writer
)

// Probe has a writer write a ledger, and pulls it into the record of the run.
type Probe struct {
	Plan     Plan               // its run is filled in
	Workload history.Workload   // that is the store
	Through  []history.Workload // that a write must go through besides
	// Writer is where the writer answers, e.g. through the API server's proxy of its Service. Client reaches it.
	Writer string
	Client *http.Client
}

// Name is that of a ledger's probe.
func (p Probe) Name() string { return history.ProbeLedger(p.Plan.Ledger) }

// Start has the ledger begun.
func (p Probe) Start(ctx context.Context, rec *history.Recorder) (probe.Running, error) {
	p.Plan = p.Plan.withDefaults()
	p.Plan.Run = rec.Run().ID
	if err := p.Plan.Valid(); err != nil {
		return nil, err
	}
	r := &running{Probe: p, rec: rec, check: history.NewLedgerCheck(p.Plan.Run), stop: make(chan struct{}), done: make(chan struct{})}
	if err := r.begin(ctx); err != nil {
		return nil, fmt.Errorf("begin ledger %s at its writer: %w", p.Plan.Ledger, err)
	}
	var err error
	if r.lines, err = rec.Ledger(p.Plan.Ledger); err == nil {
		err = r.event(false, "")
	}
	if err != nil {
		return nil, errors.Join(err, r.remove(ctx))
	}
	go r.pullAll(context.WithoutCancel(ctx))
	return r, nil
}

// running is a ledger that is being written and pulled.
type running struct {
	Probe
	rec    *history.Recorder
	lines  *history.LedgerWriter
	check  *history.LedgerCheck
	writer string
	clock  clock
	from   int64 // bytes that were pulled

	written, failed atomic.Uint64
	stop            chan struct{}
	stopOnce        sync.Once
	done            chan struct{}
	err             error // valid once done is closed
}

// Stop asks the writer to intend no further write.
func (r *running) Stop() { r.stopOnce.Do(func() { close(r.stop) }) }

// Done is closed when the whole ledger is in the record, or no more of it can be had.
func (r *running) Done() <-chan struct{} { return r.done }

// Wait returns when the whole ledger is in the record. A writer that was lost, or a ledger that is not as it was written, is a
// *probe.CutOffError: it proves nothing, and says nothing against the store.
func (r *running) Wait() error {
	<-r.done
	return r.err
}

// Status counts the writes.
func (r *running) Status() probe.Status {
	return probe.Status{Unit: "writes to " + r.Plan.Ledger, Sent: r.written.Load(), Failed: r.failed.Load()}
}

// lostError says why no more of a ledger can be had.
type lostError struct{ why string }

func (e *lostError) Error() string { return e.why }

// begin gives the writer its plan.
func (r *running) begin(ctx context.Context) error {
	plan, err := json.Marshal(r.Plan)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	sent := r.rec.Clock().Now()
	answer, err := r.ask(ctx, http.MethodPost, "/ledgers", plan)
	if err != nil {
		return err
	}
	var began opened
	if err := json.Unmarshal(answer.body, &began); err != nil || began.Writer == "" {
		return fmt.Errorf("its answer is none of a writer of ledgers: %.100q", answer.body)
	}
	r.writer = began.Writer
	r.clock.look(sent, began.Now, r.rec.Clock().Now())
	return nil
}

// answer is what a writer answered.
type answer struct {
	header http.Header
	body   []byte
}

// statusError is an answer with another status than was hoped for.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.text) }

func (r *running) ask(ctx context.Context, method, path string, body []byte) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.Writer+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := r.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 2*history.LedgerBlock))
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, &statusError{res.StatusCode, strings.TrimSpace(string(data[:min(len(data), longestError)]))}
	}
	return &answer{res.Header, data}, nil
}

// pullAll pulls the ledger to its end, and has it removed at its writer.
func (r *running) pullAll(ctx context.Context) {
	defer close(r.done)
	err := r.pullOn(ctx)
	lost := ""
	if gone := (*lostError)(nil); errors.As(err, &gone) {
		lost = gone.why
		err = &probe.CutOffError{Err: fmt.Errorf("ledger %s: %w", r.Plan.Ledger, gone)}
	}
	_ = r.remove(ctx) // a writer that does not hear of it removes the ledger by itself
	r.err = errors.Join(err, r.event(true, lost))
}

// pullOn pulls until the ledger is closed. The error is a *lostError where no more can be had.
func (r *running) pullOn(ctx context.Context) error {
	stop, heard := r.stop, r.rec.Clock().Now()
	every := time.NewTicker(pullEvery)
	defer every.Stop()
	stopping := false
	for {
		if stopping {
			if err := r.tell(ctx); err == nil {
				stopping = false
			}
		}
		over, more, err := r.pull(ctx)
		var gone *lostError
		switch {
		case errors.As(err, &gone):
			return err
		case err == nil:
			heard = r.rec.Clock().Now()
		case r.rec.Clock().Now()-heard > lostAfter:
			return &lostError{fmt.Sprintf("its writer did not answer for %s: %v", lostAfter, err)}
		}
		if over {
			return nil
		}
		if more {
			continue
		}
		select {
		case <-every.C:
		case <-stop:
			stop, stopping = nil, true
		case <-r.rec.Failed():
			return errors.New("the record can no longer be written")
		}
	}
}

// tell has the writer stop.
func (r *running) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pullWithin)
	defer cancel()
	_, err := r.ask(ctx, http.MethodPost, "/ledgers/"+r.writer+"/stop", nil)
	return err
}

// remove has the ledger removed at its writer.
func (r *running) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullWithin)
	defer cancel()
	_, err := r.ask(ctx, http.MethodDelete, "/ledgers/"+r.writer, nil)
	return err
}

// pull brings the next lines into the record. over: they were the last; more: there are others already.
func (r *running) pull(ctx context.Context) (over, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, pullWithin)
	defer cancel()
	sent := r.rec.Clock().Now()
	got, err := r.ask(ctx, http.MethodGet, "/ledgers/"+r.writer+"?from="+strconv.FormatInt(r.from, 10), nil)
	if status := (*statusError)(nil); errors.As(err, &status) && status.code == http.StatusNotFound {
		return false, false, &lostError{"its writer does not know it any more: it was started anew"}
	}
	if err != nil {
		return false, false, err
	}
	told, err := strconv.ParseInt(got.header.Get(headerNow), 10, 64)
	if err != nil {
		return false, false, fmt.Errorf("the writer does not tell its time: %w", err)
	}
	r.clock.look(sent, time.Duration(told), r.rec.Clock().Now())
	if err := r.take(got.body); err != nil {
		return false, false, err
	}
	r.count(&r.written, got, headerWritten)
	r.count(&r.failed, got, headerFailed)
	if over = got.header.Get(headerClosed) == "true"; over && !r.check.Closed() {
		return false, false, &lostError{"its writer gave it up: " + got.header.Get(headerError)}
	}
	return over, len(got.body) > history.LedgerBlock/2, nil
}

func (r *running) count(n *atomic.Uint64, a *answer, header string) {
	if v, err := strconv.ParseUint(a.header.Get(header), 10, 64); err == nil {
		n.Store(v)
	}
}

// take holds lines against their sums, and records those that are whole.
func (r *running) take(data []byte) error {
	whole := 0
	for whole < len(data) {
		end := bytes.IndexByte(data[whole:], '\n') + 1
		if end == 0 {
			break // an answer that was cut: the rest is pulled again
		}
		if _, err := r.check.Take(data[whole : whole+end]); err != nil {
			return errors.Join(&lostError{fmt.Sprintf("it is not as it was written, from byte %d on: %v", r.from+int64(whole), err)}, r.lines.Append(data[:whole]))
		}
		whole += end
	}
	if err := r.lines.Append(data[:whole]); err != nil {
		return err
	}
	r.from += int64(whole)
	return nil
}

func (r *running) event(ended bool, lost string) error {
	return r.rec.Append(history.Event{Kind: history.KindLedger, Ledger: &history.Ledger{
		Name: r.Plan.Ledger, Store: r.Plan.Store, Workload: r.Workload, Through: r.Through, Ended: ended, Writer: r.writer, Rate: r.Plan.Rate, Deadline: r.Plan.Deadline,
		Clock: r.clock.reading(), Lost: lost,
	}})
}
