package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/wait"
)

const (
	retryEvery   = 100 * time.Millisecond // between two tries of a write
	viewEvery    = 200 * time.Millisecond
	viewWithin   = time.Second
	readWithin   = 30 * time.Second // all members together
	stallTick    = 5 * time.Millisecond
	longestError = 200 // bytes of an error that are kept
)

// Writer writes one ledger, from its opening to its end.
type Writer struct {
	plan  Plan
	store Store
	keys  string
	began time.Time

	mu    sync.Mutex
	lines *history.LedgerLines
	err   error // the first that came of writing a line

	stop     chan struct{}
	stopOnce sync.Once
	stopped  time.Duration // valid once stop is closed

	written, failed atomic.Uint64
	stalls          history.Stalls // belongs to watchStalls until Run is over
}

// Keys are what the keys of a ledger begin with that one process writes: no two ledgers share them.
func Keys(plan Plan, writer string) string { return plan.Ledger + "-" + writer + "-" }

// NewWriter opens a ledger whose lines go to a file. writer names the process.
func NewWriter(plan Plan, store Store, writer string, file io.Writer) (*Writer, error) {
	w := &Writer{
		plan: plan, store: store, keys: Keys(plan, writer), began: time.Now(), lines: history.NewLedgerLines(file), stop: make(chan struct{}),
	}
	w.append(history.LedgerLine{Opened: &history.LedgerOpened{
		Run: plan.Run, Ledger: plan.Ledger, Writer: writer, Store: plan.Store, Keys: w.keys, Rate: plan.Rate, Deadline: plan.Deadline,
		Replicas: plan.Target.Replicas, Versions: store.Versions(),
	}})
	return w, w.err
}

// Now is the time since the ledger was opened.
func (w *Writer) Now() time.Duration { return time.Since(w.began) }

// Stop asks the writer to intend no further write. It returns at once.
func (w *Writer) Stop() {
	w.stopOnce.Do(func() {
		w.stopped = w.Now()
		close(w.stop)
	})
}

func (w *Writer) append(line history.LedgerLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.lines.Append(line)
	}
}

// Run writes until it is stopped, reads back what each member has, and closes the ledger. Where ctx ends before, the ledger has no end. The
// error says that the ledger could not be written; what the store did not take is no error.
func (w *Writer) Run(ctx context.Context) error {
	watching, done := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { w.watchStalls(watching) })
	beside.Go(func() { w.watchViews(watching) })
	planned := w.writeAll(ctx)
	done()
	beside.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	closed := history.LedgerClosed{Stopped: w.stopped, Planned: planned, Stalls: w.stalls.Longest()}
	w.readBack(ctx, &closed)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.append(history.LedgerLine{Closed: &closed})
	return w.err
}

// intent is a write that is due.
type intent struct {
	op       Op
	intended time.Duration
}

// writeAll intends writes at the plan's rate until it is stopped, and returns how many it intended once all of them have ended.
func (w *Writer) writeAll(ctx context.Context) (planned uint64) {
	due := make(chan intent)
	var workers sync.WaitGroup
	for range w.plan.InFlight {
		workers.Go(func() {
			for in := range due {
				w.write(ctx, in)
			}
		})
	}
	for w.await(ctx, w.intended(planned)) {
		w.hand(ctx, due, planned)
		planned++
	}
	close(due)
	workers.Wait()
	return planned
}

// intended is when an operation is due.
func (w *Writer) intended(op uint64) time.Duration {
	return time.Duration(float64(op) / w.plan.Rate * float64(time.Second))
}

// await waits until a moment, and reports false when the writer was stopped before it.
func (w *Writer) await(ctx context.Context, at time.Duration) bool {
	if left := at - w.Now(); left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-w.stop:
		case <-ctx.Done():
		}
	}
	select {
	case <-w.stop:
		return ctx.Err() == nil && at < w.stopped
	default:
		return ctx.Err() == nil
	}
}

// WriteOnce writes one operation, due now, with all that a ledger does for it. Run does so for each; it is by itself for who measures what it costs.
func (w *Writer) WriteOnce(ctx context.Context, op uint64) {
	w.write(ctx, intent{op: w.op(op), intended: w.Now()})
}

func (w *Writer) op(n uint64) Op { return Op{Number: n, Key: w.keys + strconv.FormatUint(n, 10)} }

// hand gives an operation to a worker that is free. One that finds none within the deadline after the writer was stopped is never sent.
func (w *Writer) hand(ctx context.Context, due chan<- intent, n uint64) {
	in := intent{op: w.op(n), intended: w.intended(n)}
	select {
	case due <- in:
		return
	default:
	}
	select {
	case due <- in:
		return
	case <-ctx.Done():
		return
	case <-w.stop:
	}
	late := time.NewTimer(w.stopped + w.plan.Deadline - w.Now())
	defer late.Stop()
	select {
	case due <- in:
	case <-ctx.Done():
	case <-late.C:
		now := w.Now()
		w.record(history.Write{Op: n, Intended: in.intended, Started: now, Ended: now, Outcome: history.WriteFailed, Error: "it was never sent: no write before it had ended in time"})
	}
}

func (w *Writer) record(r history.Write) {
	w.written.Add(1)
	if r.Outcome != history.WriteAcked {
		w.failed.Add(1)
	}
	w.append(history.LedgerLine{Write: &r})
}

// write writes an operation, again and again until it is acknowledged or its deadline is over. A try without an answer leaves it unknown,
// whatever a later one says, unless that is acknowledged.
func (w *Writer) write(ctx context.Context, in intent) {
	r := history.Write{Op: in.op.Number, Intended: in.intended, Started: w.Now(), Outcome: history.WriteFailed}
	bounded, cancel := context.WithTimeout(ctx, w.plan.Deadline)
	defer cancel()
	for {
		r.Tries++
		ack, err := w.try(bounded, in.op)
		if err == nil {
			r.Outcome, r.By, r.Position, r.Duplicate = history.WriteAcked, ack.By, ack.Position, ack.Duplicate
			break
		}
		if not := (*NotWrittenError)(nil); !errors.As(err, &not) {
			r.Outcome = history.WriteUnknown
		}
		r.Error = short(err)
		if wait.Pause(bounded, retryEvery) != nil {
			break
		}
	}
	r.Ended = w.Now()
	w.record(r)
}

func (w *Writer) try(ctx context.Context, op Op) (Ack, error) {
	ctx, cancel := context.WithTimeout(ctx, w.plan.Try)
	defer cancel()
	return w.store.Write(ctx, op)
}

// short is an error in one line of bounded length.
func short(err error) string {
	text := strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), "")
	return strings.ToValidUTF8(text[:min(len(text), longestError)], "")
}

// watchViews records what the store says of itself whenever it says something else.
func (w *Writer) watchViews(ctx context.Context) {
	last := history.View{Error: "nothing yet"}
	for ctx.Err() == nil {
		looking, cancel := context.WithTimeout(ctx, viewWithin)
		view := w.store.View(looking)
		cancel()
		if ctx.Err() != nil {
			return // what a look that was cut off saw says nothing
		}
		view.At = w.Now()
		if !sameView(&view, &last) {
			last = view
			w.append(history.LedgerLine{View: &view})
		}
		if wait.Pause(ctx, viewEvery) != nil {
			return
		}
	}
}

// sameView reports whether the store says the same of itself, whenever it does.
func sameView(a, b *history.View) bool {
	return a.Leader == b.Leader && a.Error == b.Error && slices.Equal(a.Members, b.Members) && slices.Equal(a.Masters, b.Masters) && slices.Equal(a.Writable, b.Writable) &&
		a.Health == b.Health && maps.Equal(a.Shards, b.Shards) && slices.Equal(a.Excluded, b.Excluded)
}

// watchStalls notes when the whole process did not run.
func (w *Writer) watchStalls(ctx context.Context) {
	tick := time.NewTicker(stallTick)
	defer tick.Stop()
	last := w.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := w.Now()
		if stall := now - last - stallTick; stall >= history.StallLeast {
			w.stalls.Add(history.Stall{At: now - stall, Length: stall})
		}
		last = now
	}
}

// readBack reads what each member has.
func (w *Writer) readBack(ctx context.Context, closed *history.LedgerClosed) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	members, err := w.store.Members(ctx)
	slices.Sort(members)
	closed.Members = members
	if err != nil {
		closed.Error = short(err)
	}
	for _, member := range members {
		w.read(ctx, member)
	}
}

func (w *Writer) read(ctx context.Context, member string) {
	read := history.MemberRead{Name: member}
	run := history.Found{Member: member}
	flush := func() {
		if run.Count > 0 {
			done := run
			w.append(history.LedgerLine{Found: &done})
		}
	}
	err := w.store.Read(ctx, member, func(e Entry) {
		op, ok := w.number(e.Key)
		if !ok {
			read.Foreign++
			return
		}
		read.Entries++
		follows := e.Position == 0 && run.Position == 0 || e.Position > 0 && e.Position == run.Position+run.Count
		if run.Count > 0 && op == run.Op+run.Count && follows {
			run.Count++
			return
		}
		flush()
		run = history.Found{Member: member, Op: op, Position: e.Position, Count: 1}
	})
	flush()
	if effective, ok := w.store.(Effective); ok && err == nil {
		var effects history.Effects
		if effects, err = effective.Effects(ctx); err == nil {
			read.Effects = &effects
		}
	}
	if err != nil {
		read.Error = short(fmt.Errorf("read member %s: %w", member, err))
	}
	read.At = w.Now()
	w.append(history.LedgerLine{Member: &read})
}

// number is the operation of a key of this ledger.
func (w *Writer) number(key string) (op uint64, ok bool) {
	text, ok := strings.CutPrefix(key, w.keys)
	if !ok {
		return 0, false
	}
	op, err := strconv.ParseUint(text, 10, 64)
	return op, err == nil && strconv.FormatUint(op, 10) == text
}
