// Package ledgertest has ledgers of real servers written by a real writer over HTTP, for the tests of each store's client.
package ledgertest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/probe"
	"bitvault.dev/rollproof/harness/wait"
)

// patience bounds every wait of these tests: they share a machine with much else.
const patience = 5 * time.Minute

// often is how often something is looked at.
const often = 20 * time.Millisecond

// Written is a ledger that is being written. Whoever begins one closes it.
type Written struct {
	name    string
	run     string // directory of the record
	rec     *history.Recorder
	writer  *ledger.Server
	front   *httptest.Server
	running probe.Running
}

// Begin has a ledger begun that is called as its store is, and waits until the store takes it. It writes below dir.
func Begin(ctx context.Context, dir string, open ledger.Opener, plan ledger.Plan, log func(string, ...any)) (*Written, error) {
	plan.Ledger = plan.Store
	w := &Written{name: plan.Ledger, run: filepath.Join(dir, "run")}
	w.writer = &ledger.Server{Stores: map[string]ledger.Opener{plan.Store: open}, Dir: dir, Idle: patience, Log: log}
	w.front = httptest.NewServer(w.writer)
	var err error
	if w.rec, err = history.Create(w.run, history.Run{ID: "r1"}, history.NewClock()); err != nil {
		w.Close()
		return nil, err
	}
	p := ledger.Probe{Client: http.DefaultClient, Writer: w.front.URL, Plan: plan}
	err = wait.Until(ctx, "the ledger to begin", patience, often, func(ctx context.Context) (bool, string, error) {
		var err error
		w.running, err = p.Start(ctx, w.rec)
		return err == nil, "", err
	})
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Await waits until so many more writes have ended.
func (w *Written) Await(ctx context.Context, more uint64) error {
	from := w.running.Status().Sent
	return wait.Until(ctx, "writes", patience, often, func(context.Context) (bool, string, error) {
		return w.running.Status().Sent >= from+more, "", nil
	})
}

// End stops the writer and returns all lines of the record.
func (w *Written) End() ([]history.LedgerLine, error) {
	w.running.Stop()
	if err := errors.Join(w.running.Wait(), w.rec.Close(history.EndFinished, "")); err != nil {
		return nil, err
	}
	h, err := history.Open(w.run)
	if err != nil {
		return nil, err
	}
	var lines []history.LedgerLine
	for line, err := range h.Ledger(w.name) {
		if err != nil {
			return nil, err
		}
		lines = append(lines, *line)
	}
	return lines, nil
}

// Close ends the writer's server.
func (w *Written) Close() {
	w.front.Close()
	w.writer.Close()
}

// Tally is what a ledger comes to.
type Tally struct {
	Acked   map[uint64]uint64 // position of each acknowledged operation; 0 where the store has none
	Whole   map[string]bool   // by member that was read: to its end, and it has nothing foreign
	Leaders []string          // as the store named them
	By      []string          // who acknowledged, in turns
	Closed  *history.LedgerClosed

	has map[string]map[place]bool // by member
}

type place struct{ op, position uint64 }

// Sum adds up the lines of a ledger.
func Sum(lines []history.LedgerLine) Tally {
	t := Tally{Acked: map[uint64]uint64{}, Whole: map[string]bool{}, has: map[string]map[place]bool{}}
	for _, line := range lines {
		switch {
		case line.Write != nil && line.Write.Outcome == history.WriteAcked:
			t.Acked[line.Write.Op] = line.Write.Position
			if n := len(t.By); n == 0 || t.By[n-1] != line.Write.By {
				t.By = append(t.By, line.Write.By)
			}
		case line.Found != nil:
			t.found(line.Found)
		case line.Member != nil:
			t.Whole[line.Member.Name] = line.Member.Error == "" && line.Member.Foreign == 0
		case line.View != nil && line.View.Leader != "":
			t.Leaders = append(t.Leaders, line.View.Leader)
		case line.Closed != nil:
			t.Closed = line.Closed
		}
	}
	return t
}

func (t *Tally) found(f *history.Found) {
	if t.has[f.Member] == nil {
		t.has[f.Member] = map[place]bool{}
	}
	for i := range f.Count {
		at := place{op: f.Op + i}
		if f.Position > 0 {
			at.position = f.Position + i
		}
		t.has[f.Member][at] = true
	}
}

// Missing is how many acknowledged operations a member does not have, each at its position.
func (t *Tally) Missing(member string) (n int) {
	for op, position := range t.Acked {
		if !t.has[member][place{op, position}] {
			n++
		}
	}
	return n
}

// Lacks is Missing of each member that was read whole.
func (t *Tally) Lacks() map[string]int {
	all := map[string]int{}
	for member, whole := range t.Whole {
		if whole {
			all[member] = t.Missing(member)
		}
	}
	return all
}
