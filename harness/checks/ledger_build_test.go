package checks_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// bookkeeping is a ledger as a test wants it recorded. Its moments are by its writer's clock, which began at ledgerBegan.
type bookkeeping struct {
	event  history.Ledger
	begins int
	ends   int
	opened history.LedgerOpened
	writes []history.Write
	views  []history.View
	found  []history.Found
	reads  []history.MemberRead
	closed *history.LedgerClosed
	cut    int // lines that are left out at the end
}

const (
	ledgerBegan = 200 * time.Millisecond
	ledgerRate  = 50
	ledgerOps   = 9 * ledgerRate
)

var testNATS = history.Workload{Namespace: "nats", Kind: "StatefulSet", Name: "nats"}

// clean is the ledger of a stream of three members whose leader goes at 3.5 s, in the middle of the clean run's disturbance, and is replaced
// 300 ms later. All is acknowledged, and each member has all.
func cleanLedger(store string, positions bool) *bookkeeping {
	l := &bookkeeping{
		event: history.Ledger{Name: store, Store: store, Workload: testNATS, Writer: "w", Rate: ledgerRate, Deadline: 5 * time.Second,
			Clock: history.LedgerClock{Offset: ledgerBegan, Within: 2 * time.Millisecond, Looks: 20}},
		begins: 1, ends: 1,
		opened: history.LedgerOpened{Run: "r1", Ledger: store, Writer: "w", Store: store, Keys: store + "-w-", Rate: ledgerRate, Deadline: 5 * time.Second, Replicas: 3},
		views: []history.View{
			{At: 1, Leader: "m-0", Members: []string{"m-1", "m-2"}},
			{At: 3300 * ms, Error: "it does not answer"},
			{At: 3600 * ms, Leader: "m-1", Members: []string{"m-2"}},
			{At: 5 * time.Second, Leader: "m-1", Members: []string{"m-0", "m-2"}},
		},
		closed: &history.LedgerClosed{Stopped: 9 * time.Second, Planned: ledgerOps, Members: []string{"m-0", "m-1", "m-2"}},
	}
	for op := range uint64(ledgerOps) {
		at := time.Duration(op) * time.Second / ledgerRate
		w := history.Write{Op: op, Intended: at, Started: at + 50*time.Microsecond, Ended: at + 2*ms, Outcome: history.WriteAcked, Tries: 1}
		if positions {
			w.Position = op + 1
		}
		if at >= 3300*ms && at < 3600*ms {
			w.Ended, w.Tries = 3600*ms+time.Duration(op)*time.Microsecond, 3
		}
		l.writes = append(l.writes, w)
	}
	for _, m := range l.closed.Members {
		f := history.Found{Member: m, Count: ledgerOps}
		if positions {
			f.Position = 1
		}
		l.found = append(l.found, f)
		l.reads = append(l.reads, history.MemberRead{Name: m, At: 9500 * ms, Entries: ledgerOps})
	}
	return l
}

// lose takes operations from a member, as if it had been read and did not have them.
func (l *bookkeeping) lose(member string, op, count uint64) {
	for i, f := range l.found {
		if f.Member != member || op < f.Op || op >= f.Op+f.Count {
			continue
		}
		rest := f
		rest.Op, rest.Count = op+count, f.Op+f.Count-op-count
		if f.Position > 0 {
			rest.Position += rest.Op - f.Op
		}
		l.found[i].Count = op - f.Op
		l.found = slices.Insert(l.found, i+1, rest)
		l.read(member).Entries -= count
		return
	}
	panic("member " + member + " does not have it")
}

func (l *bookkeeping) read(member string) *history.MemberRead {
	return &l.reads[slices.IndexFunc(l.reads, func(r history.MemberRead) bool { return r.Name == member })]
}

// unanswered has the writes that were due in a time end without an answer.
func (l *bookkeeping) unanswered(from, until time.Duration) {
	for i := range l.writes {
		if w := &l.writes[i]; w.Intended >= from && w.Intended < until {
			w.Outcome, w.Position, w.By = history.WriteUnknown, 0, ""
		}
	}
}

// late has the writer start what it should have started from 3.3 s on at a later moment.
func (l *bookkeeping) late(started time.Duration) {
	for i := range l.writes {
		if w := &l.writes[i]; w.Intended >= 3600*ms && w.Intended < started {
			w.Started, w.Ended = started, started+ms+time.Duration(i)
		} else if w.Intended >= 3300*ms && w.Intended < 3600*ms {
			w.Ended, w.Started = started+ms+time.Duration(i), started
		}
	}
}

// thin leaves one write of so many.
func (l *bookkeeping) thin(of uint64) {
	var kept []history.Write
	for _, w := range l.writes {
		if w.Op%of == 0 {
			w.Op /= of
			w.Position = w.Op + 1
			kept = append(kept, w)
		}
	}
	l.writes, l.closed.Planned = kept, uint64(len(kept))
	for i := range l.found {
		l.found[i].Count = l.closed.Planned
		l.reads[i].Entries = l.closed.Planned
	}
}

// unread takes what was read of a member.
func (l *bookkeeping) unread(member string) {
	l.found = slices.DeleteFunc(l.found, func(f history.Found) bool { return f.Member == member })
	l.reads = slices.DeleteFunc(l.reads, func(r history.MemberRead) bool { return r.Name == member })
}

func (l *bookkeeping) lines() []history.LedgerLine {
	lines := []history.LedgerLine{{Opened: &l.opened}}
	writes, views := slices.Clone(l.writes), slices.Clone(l.views)
	slices.SortStableFunc(writes, func(a, b history.Write) int { return int(a.Ended - b.Ended) })
	for _, w := range writes {
		for len(views) > 0 && views[0].At <= w.Ended {
			lines = append(lines, history.LedgerLine{View: &views[0]})
			views = views[1:]
		}
		lines = append(lines, history.LedgerLine{Write: &w})
	}
	for i := range views {
		lines = append(lines, history.LedgerLine{View: &views[i]})
	}
	for _, r := range l.reads {
		for _, f := range l.found {
			if f.Member == r.Name && f.Count > 0 {
				lines = append(lines, history.LedgerLine{Found: &f})
			}
		}
		lines = append(lines, history.LedgerLine{Member: &r})
	}
	if l.closed != nil {
		lines = append(lines, history.LedgerLine{Closed: l.closed})
	}
	return lines[:len(lines)-l.cut]
}

func (l *bookkeeping) record(t testing.TB, rec *history.Recorder) {
	t.Helper()
	for range l.begins {
		must(t, rec.Append(history.Event{At: ledgerBegan, Kind: history.KindLedger, Ledger: &l.event}))
	}
	file, err := rec.Ledger(l.event.Name)
	must(t, err)
	var all bytes.Buffer
	sealed := history.NewLedgerLines(&all)
	for _, line := range l.lines() {
		must(t, sealed.Append(line))
	}
	for data := all.Bytes(); len(data) > 0; {
		block := data[:min(len(data), history.LedgerBlock)]
		block = block[:bytes.LastIndexByte(block, '\n')+1]
		must(t, file.Append(block))
		data = data[len(block):]
	}
	ended := l.event
	ended.Ended = true
	for range l.ends {
		must(t, rec.Append(history.Event{Kind: history.KindLedger, Ledger: &ended}))
	}
}

// withLedger is the clean run with a ledger beside the load. What disturbs it is of the ledger's store.
func withLedger(l *bookkeeping) *recording {
	r := cleanRun()
	r.run.Probes = []string{history.ProbeLoad, history.ProbeLedger(l.event.Name)}
	r.ledgers = append(r.ledgers, l)
	r.ends = 10500 * ms
	r.disturbances(func(d *history.Disturbance) { d.Workload = l.event.Workload })
	return r
}

// killServer makes the disturbance one of a pod of the store's namespace, whose UID it tells or not. The store has m-1.
func (r *recording) killServer(name, uid string) {
	r.serverPod(0, "added", "m-1", "uid-m-1", true, false)
	r.disturbances(func(d *history.Disturbance) {
		d.Workload = history.Workload{}
		d.Touched = []history.Touch{{Effect: history.Restarts, Resource: "pods", Namespace: testNATS.Namespace, Name: name, UID: uid}}
	})
}

func opText(op int) string { return fmt.Sprint("nats-w-", op) }
