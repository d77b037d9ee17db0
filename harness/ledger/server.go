package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// What a writer's answers tell beside the lines of a ledger.
const (
	headerNow     = "Ledger-Now"     // nanoseconds since the ledger was opened, by the writer's clock
	headerClosed  = "Ledger-Closed"  // true: the ledger is at its end, and so is what was asked for
	headerWritten = "Ledger-Written" // writes that ended
	headerFailed  = "Ledger-Failed"  // of them, those that were not acknowledged
	headerError   = "Ledger-Error"   // why the ledger has no end and gets none
)

// opened is the answer to a plan.
type opened struct {
	Writer string        `json:"writer"`
	Now    time.Duration `json:"now"` // since the ledger was opened
}

// openWithin bounds how long it takes to make a store ready.
const openWithin = 20 * time.Second

// closeWithin bounds how long it takes to remove what was made in a store.
const closeWithin = 10 * time.Second

// Server is the writer's program: it writes ledgers as it is asked to over HTTP. Close it.
type Server struct {
	// Stores are the kinds of store that it can write to.
	Stores map[string]Opener
	// Dir is the directory of the ledgers' files.
	Dir string
	// Idle is how long a ledger goes on that nobody pulls: whoever wanted it is gone.
	Idle time.Duration
	// Log is told what happens, one line each; may be nil.
	Log func(format string, args ...any)

	mu      sync.Mutex
	ledgers map[string]*served // by writer
	all     sync.WaitGroup
}

// served is one ledger being written.
type served struct {
	name string
	*Writer
	path   string
	cancel context.CancelCauseFunc
	idle   *time.Timer
	done   chan struct{}
	err    error // valid once done is closed
}

// errAbandoned ends a ledger that nobody pulls.
var errAbandoned = errors.New("nobody pulled the ledger any more")

// errRemoved ends a ledger that was taken back.
var errRemoved = errors.New("the ledger was taken back")

// ServeHTTP answers:
//
//	POST   /ledgers                      begins the ledger of a Plan
//	GET    /ledgers/{writer}?from=BYTES  whole lines from there on, at most history.LedgerBlock bytes of them
//	POST   /ledgers/{writer}/stop        intends no further write
//	DELETE /ledgers/{writer}             ends it, whatever it does, and removes its file
//	GET    /healthz
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ledgers", s.begin)
	mux.HandleFunc("GET /ledgers/{writer}", s.of(s.pull))
	mux.HandleFunc("POST /ledgers/{writer}/stop", s.of(func(w http.ResponseWriter, _ *http.Request, l *served) {
		l.Stop()
		w.WriteHeader(http.StatusAccepted)
	}))
	mux.HandleFunc("DELETE /ledgers/{writer}", s.of(func(w http.ResponseWriter, _ *http.Request, l *served) {
		s.end(l, errRemoved)
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.ServeHTTP(w, r)
}

func (s *Server) of(do func(http.ResponseWriter, *http.Request, *served)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		l := s.ledgers[r.PathValue("writer")]
		s.mu.Unlock()
		if l == nil {
			http.Error(w, "there is no ledger of writer "+r.PathValue("writer"), http.StatusNotFound)
			return
		}
		do(w, r, l)
	}
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request) {
	var plan Plan
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&plan); err != nil {
		http.Error(w, "read the plan of a ledger: "+err.Error(), http.StatusBadRequest)
		return
	}
	plan = plan.withDefaults()
	open, known := s.Stores[plan.Store]
	if err := plan.Valid(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !known {
		http.Error(w, fmt.Sprintf("plan ledger %s: there is no store %q: this writer knows %s", plan.Ledger, plan.Store,
			strings.Join(slices.Sorted(maps.Keys(s.Stores)), ", ")), http.StatusBadRequest)
		return
	}
	l, err := s.start(r.Context(), plan, open)
	if err != nil {
		s.log("%v", err)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(opened{Writer: l.name, Now: l.Now()}) // who is gone does not pull
}

// start opens a store and begins to write.
func (s *Server) start(ctx context.Context, plan Plan, open Opener) (*served, error) {
	l := &served{name: strings.ToLower(rand.Text()), done: make(chan struct{})}
	opening, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	store, err := open(opening, plan, Keys(plan, l.name))
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", plan.Ledger, err)
	}
	l.path = filepath.Join(s.Dir, plan.Ledger+"-"+l.name+".jsonl")
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger %s: %w", plan.Ledger, err), closeStore(ctx, store))
	}
	if l.Writer, err = NewWriter(plan, store, l.name, file); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(l.path), closeStore(ctx, store))
	}
	var running context.Context
	running, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	l.idle = time.AfterFunc(s.Idle, func() { s.end(l, errAbandoned) })
	s.mu.Lock()
	if s.ledgers == nil {
		s.ledgers = map[string]*served{}
	}
	s.ledgers[l.name] = l
	s.mu.Unlock()
	s.log("ledger %s of run %s begins: %v writes a second to %s", plan.Ledger, plan.Run, plan.Rate, strings.Join(plan.Target.Addresses, ", "))
	s.all.Go(func() {
		defer close(l.done)
		l.err = errors.Join(l.Run(running), closeStore(running, store), file.Close())
		s.log("ledger %s of run %s ended: %d writes, %d of them not acknowledged; %s", plan.Ledger, plan.Run, l.written.Load(), l.failed.Load(), outcome(l.err))
	})
	return l, nil
}

func outcome(err error) string {
	if err == nil {
		return "it is closed"
	}
	return "it has no end: " + short(err)
}

func closeStore(ctx context.Context, store Store) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	return store.Close(ctx)
}

// end ends a ledger, waits until it has, and removes its file.
func (s *Server) end(l *served, why error) {
	l.idle.Stop()
	l.cancel(why)
	<-l.done
	s.mu.Lock()
	delete(s.ledgers, l.name)
	s.mu.Unlock()
	if err := os.Remove(l.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log("remove the file of a ledger: %v", err)
	}
}

// Close ends all ledgers.
func (s *Server) Close() {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.ledgers))
	s.mu.Unlock()
	for _, l := range all {
		s.end(l, errRemoved)
	}
	s.all.Wait()
}

func (s *Server) log(format string, args ...any) {
	if s.Log != nil {
		s.Log(format, args...)
	}
}

// pull answers with whole lines. What is known of the end is asked before the lines are read: what is closed has no more lines than these.
func (s *Server) pull(w http.ResponseWriter, r *http.Request, l *served) {
	l.idle.Reset(s.Idle)
	from, err := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
	if err != nil || from < 0 {
		http.Error(w, fmt.Sprintf("pull a ledger from byte %q: want a number of bytes", r.URL.Query().Get("from")), http.StatusBadRequest)
		return
	}
	over := false
	select {
	case <-l.done:
		over = true
	default:
	}
	lines, more, err := linesFrom(l.path, from)
	if err != nil {
		http.Error(w, fmt.Sprintf("pull ledger %s from byte %d: %v", l.plan.Ledger, from, err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set(headerWritten, strconv.FormatUint(l.written.Load(), 10))
	w.Header().Set(headerFailed, strconv.FormatUint(l.failed.Load(), 10))
	w.Header().Set(headerClosed, strconv.FormatBool(over && !more))
	if over && l.err != nil {
		w.Header().Set(headerError, short(l.err))
	}
	w.Header().Set(headerNow, strconv.FormatInt(int64(l.Now()), 10))
	_, _ = w.Write(lines) // who is gone pulls again
}

// linesFrom reads whole lines of a file from a byte on. more says that there are others behind them.
func linesFrom(path string, from int64) (lines []byte, more bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	data := make([]byte, history.LedgerBlock)
	n, err := file.ReadAt(data, from)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	whole := bytes.LastIndexByte(data[:n], '\n') + 1
	return data[:whole], n == len(data), nil
}
