package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"bitvault.dev/rollproof/harness/history"
)

// lead is how long before the first intended hit a window is recorded as begun, so that making it ready delays no hit.
const lead = 20 * time.Millisecond

// maxUnsent bounds the unsent hits that are recorded one by one when a window is stopped long before its end. The rest is in the
// window's figures alone: Planned - Sent.
const maxUnsent = 1_000_000

// Generator makes the load of one run, window after window. The hits of an arm count on through all of them.
type Generator struct {
	rec  *history.Recorder
	arms []*armState

	mu      sync.Mutex
	windows int
	running bool
}

type armState struct {
	arm    Arm
	hits   *history.HitWriter
	seq    uint64 // of the next intent; belongs to the pacing goroutine of the running window
	counts counts
}

// counts is what is known of an arm while it runs, over all windows.
type counts struct {
	planned, sent, done, failed, masked, unsent atomic.Uint64
}

// New opens the record of each arm.
func New(rec *history.Recorder, arms []Arm) (*Generator, error) {
	if err := checkArms(arms); err != nil {
		return nil, err
	}
	g := &Generator{rec: rec}
	for _, arm := range arms {
		hits, err := rec.Arm(arm.Name)
		if err != nil {
			return nil, err
		}
		g.arms = append(g.arms, &armState{arm: arm, hits: hits})
	}
	return g, nil
}

// Run records one window of load from its begin to its end. When ctx is cancelled the window is stopped and ends in order: hits in
// flight are finished, the rest is recorded as unsent, and ctx's error is returned.
func Run(ctx context.Context, rec *history.Recorder, arms []Arm, plan Plan) error {
	g, err := New(rec, arms)
	if err != nil {
		return err
	}
	w, err := g.Start(ctx, plan)
	if err != nil {
		return err
	}
	return w.Wait()
}

// Window is load that is running.
type Window struct {
	gen     *Generator
	plan    Plan
	begin   time.Duration // intended time of the first hit, since the run's start
	attacks []*attack
	health  *monitor
	path    *pathWatch

	halt     chan struct{}
	haltOnce sync.Once
	haltAt   time.Duration // when the stop was asked; valid once halt is closed
	errOnce  sync.Once
	err      error
	done     chan struct{}
}

// Start begins a window. Only one window of a generator runs at a time. Cancelling ctx stops it as Stop does, and makes Wait return
// ctx's error.
func (g *Generator) Start(ctx context.Context, plan Plan) (*Window, error) {
	plan = plan.withDefaults()
	if err := plan.check(); err != nil {
		return nil, err
	}
	arms := make([]Arm, len(g.arms))
	for i, a := range g.arms {
		arms[i] = a.arm
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running {
		return nil, errors.New("start load: a window is still running: stop it and wait for its end")
	}
	plans, err := plan.deal(arms)
	if err != nil {
		return nil, err
	}
	w := &Window{gen: g, plan: plan, begin: g.rec.Clock().Now() + lead, halt: make(chan struct{}), done: make(chan struct{})}
	w.path = newPathWatch(w.fail)
	conns := &connCount{}
	for i, p := range plans {
		g.windows++
		w.attacks = append(w.attacks, newAttack(w, g.arms[i], p, g.windows, conns))
	}
	for _, a := range w.attacks {
		if err := a.recordBegin(); err != nil {
			return nil, errors.Join(err, closeAll(plans))
		}
	}
	w.health = startMonitor(conns, w.path, g.rec.Clock())
	g.running = true
	go w.run(ctx)
	return w, nil
}

// Stop asks the window to end: no hit is started that was not due by now. It returns at once; Wait says when the window has ended.
func (w *Window) Stop() {
	w.haltOnce.Do(func() {
		w.haltAt = w.gen.rec.Clock().Now()
		close(w.halt)
	})
}

// Wait returns when every hit has ended and is recorded. Its error says why the window did not go to plan: the record could not be
// written, the traffic file could not be read, the context was cancelled, or the path to the cluster was lost, which is a *PathLostError in
// a *probe.CutOffError. Failed hits are no error.
func (w *Window) Wait() error {
	<-w.done
	return w.err
}

// Done is closed when the window has ended.
func (w *Window) Done() <-chan struct{} { return w.done }

func (w *Window) fail(err error) {
	w.errOnce.Do(func() { w.err = err })
	w.Stop()
}

func (w *Window) run(ctx context.Context) {
	defer close(w.done)
	var all sync.WaitGroup
	for _, a := range w.attacks {
		all.Go(a.run)
	}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ctx.Done():
			w.fail(ctx.Err())
		case <-w.gen.rec.Failed():
			w.fail(w.gen.rec.Append(history.Event{Kind: history.KindNote, Note: &history.Note{Text: "the load stops"}})) // says why
		case <-ended:
		}
	})
	all.Wait()
	close(ended)
	watch.Wait()
	health := w.health.stop()
	for _, a := range w.attacks {
		if err := a.recordEnd(health); err != nil {
			w.fail(err)
		}
	}
	w.gen.mu.Lock()
	w.gen.running = false
	w.gen.mu.Unlock()
}

// attack is one arm in one window: an attacker of vegeta, which can be used only once, fed by a schedule.
type attack struct {
	window  *Window
	state   *armState
	plan    armPlan
	index   int
	hitter  *hitter
	workers uint64

	queue    chan intent // paced, and not yet taken by a worker
	held     *intent     // the next one, whose time had not come when pacing ended; belongs to the pacing goroutine
	sent     atomic.Uint64
	unsent   uint64 // counted when pacing has ended
	inflight atomic.Int64
	most     atomic.Int64 // in flight at once
	lag      lagHistogram
}

func newAttack(w *Window, state *armState, plan armPlan, index int, conns *connCount) *attack {
	workers := w.plan.workers(plan.peak)
	rec := w.gen.rec
	return &attack{
		window: w, state: state, plan: plan, index: index, workers: workers,
		hitter: newHitter(w.plan, state.arm, rec.Clock(), rec.Run().ID, index, conns, workers),
		queue:  make(chan intent, workers+2),
	}
}

// answered is what vegeta is told of every hit: the real outcome is in our record.
var answered = &http.Response{
	Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody,
}

// blank satisfies vegeta: what is really sent is in the intent.
func blank(t *vegeta.Target) error {
	t.Method, t.URL = http.MethodGet, "http://rollproof.invalid/"
	return nil
}

func (a *attack) run() {
	attacker := vegeta.NewAttacker(
		vegeta.Client(&http.Client{Transport: a}), vegeta.MaxWorkers(a.workers), vegeta.MaxBody(0),
	)
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		// vegeta's pacing goroutine blocks while every worker is busy, and only Stop frees it.
		a.waitForHalt(ended)
		attacker.Stop()
	})
	for res := range attacker.Attack(blank, a, 0, "") {
		if res.Error != "" { // ours never fail in vegeta's eyes
			a.window.fail(fmt.Errorf("attack with arm %s: vegeta: %s", a.plan.arm.Name, res.Error))
		}
	}
	close(ended)
	watch.Wait()
	a.hitter.close()
	a.giveUpRest()
	if err := a.plan.schedule.close(); err != nil {
		a.window.fail(fmt.Errorf("close the schedule of arm %s: %w", a.plan.arm.Name, err))
	}
}

// waitForHalt returns when the attack ended by itself, or when it must not go on: a finite window is stopped, or over and its grace
// too, or one without an end is stopped and its grace over. The stop is the end of such a window: what was due by then belongs to it,
// and a timer that fires a tenth of a millisecond late must not make an unsent hit of it.
func (a *attack) waitForHalt(ended <-chan struct{}) {
	var over <-chan time.Time
	if a.plan.length > 0 {
		timer := time.NewTimer(a.giveUpAt() - a.now())
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-a.window.halt:
	case <-over:
		return
	case <-ended:
		return
	}
	if !a.goesOnToItsStop() {
		return
	}
	late := time.NewTimer(a.window.plan.Grace)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ended:
	}
}

// goesOnToItsStop reports whether what was due before the stop is still sent after it.
func (a *attack) goesOnToItsStop() bool { return a.plan.endless && !a.plan.saturating }

func (a *attack) giveUpAt() time.Duration {
	return a.window.begin + a.plan.length + a.window.plan.Grace
}

func (a *attack) now() time.Duration { return a.window.gen.rec.Clock().Now() }

// Rate is not what vegeta paces by.
func (a *attack) Rate(time.Duration) float64 { return a.plan.rate }

// Pace waits for the next intended moment, puts the intent in the queue, and lets vegeta start a hit, which takes the first intent
// of the queue. vegeta calls it from one goroutine, once for each hit it starts.
func (a *attack) Pace(time.Duration, uint64) (time.Duration, bool) {
	in, err := a.nextIntent()
	if err != nil {
		a.failUnlessEOF(err)
		return 0, true
	}
	if !a.await(in.intended) {
		a.held = &in
		return 0, true
	}
	a.queue <- in // has room for one more than all workers can hold
	return 0, false
}

func (a *attack) nextIntent() (intent, error) {
	at, r, err := a.plan.schedule.next()
	if err != nil {
		return intent{}, err
	}
	in := intent{seq: a.state.seq, intended: a.window.begin + at, request: r}
	a.state.seq++
	return in, nil
}

// await waits until the run's clock shows at. It reports false when the window is stopped before, or has gone on past its grace.
func (a *attack) await(at time.Duration) bool {
	select {
	case <-a.window.halt:
		return a.goesOnToItsStop() && at <= a.window.haltAt
	default:
	}
	now := a.now()
	if a.plan.length > 0 && now >= a.giveUpAt() {
		return false
	}
	if now >= at {
		return true
	}
	timer := time.NewTimer(at - now)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.window.halt:
		return a.goesOnToItsStop() && at <= a.window.haltAt
	}
}

// RoundTrip makes attack the http.RoundTripper of vegeta's client. The request it is given is a blank.
func (a *attack) RoundTrip(*http.Request) (*http.Response, error) {
	in := <-a.queue
	if a.plan.saturating {
		in.intended = a.now()
	}
	a.sent.Add(1)
	a.state.counts.sent.Add(1)
	raise(&a.most, a.inflight.Add(1))
	a.hitter.hit(in, a.record)
	a.inflight.Add(-1)
	return answered, nil
}

func (a *attack) record(h *history.Hit) {
	a.lag.add(h.Lag())
	c := &a.state.counts
	c.done.Add(1)
	if h.Failed() {
		c.failed.Add(1)
	}
	if h.Masked > 0 {
		c.masked.Add(1)
	}
	if path := a.plan.arm.Path; path != nil {
		a.window.path.see(path, h)
	} else {
		a.window.path.other(h)
	}
	if err := a.state.hits.Write(h); err != nil {
		a.window.fail(err)
	}
}

func (a *attack) failUnlessEOF(err error) {
	if err != io.EOF {
		a.window.fail(fmt.Errorf("schedule of arm %s: %w", a.plan.arm.Name, err))
	}
}

// giveUpRest records every intent that was not started as unsent: those that were paced and found no worker, the one whose time
// had not come, and those still to come in a window whose end was planned, or due before the stop in one without an end.
func (a *attack) giveUpRest() {
	now := a.now()
	for {
		select {
		case in := <-a.queue:
			a.giveUp(in, now)
			continue
		default:
		}
		break
	}
	if a.plan.saturating {
		return // only what a worker was free for was intended
	}
	for {
		in, err := a.heldOrNext()
		if err != nil {
			a.failUnlessEOF(err)
			return
		}
		if a.plan.endless && in.intended > a.haltedAt(now) {
			a.state.seq = in.seq // it was never due: the next window's first hit takes its number
			return
		}
		a.giveUp(in, now)
	}
}

// haltedAt is when the window was stopped, or now when its schedule ended by itself.
func (a *attack) haltedAt(now time.Duration) time.Duration {
	select {
	case <-a.window.halt:
		return a.window.haltAt
	default:
		return now
	}
}

func (a *attack) heldOrNext() (intent, error) {
	if a.held == nil {
		return a.nextIntent()
	}
	in := *a.held
	a.held = nil
	return in, nil
}

func (a *attack) giveUp(in intent, now time.Duration) {
	a.unsent++
	a.state.counts.unsent.Add(1)
	if a.unsent > maxUnsent {
		return
	}
	err := a.state.hits.Write(&history.Hit{
		Seq: in.seq, At: now, Intended: in.intended, Window: a.index, Method: in.request.method, URL: in.request.text, Route: in.request.route,
		Class: history.ClassHarness, Reason: "unsent", Error: "never started: no worker was free in time, or the load was stopped",
		Unsent: true,
	})
	if err != nil {
		a.window.fail(err)
	}
}

func (a *attack) recordBegin() error {
	a.state.counts.planned.Add(a.plan.planned)
	event := a.event()
	return a.window.gen.rec.Append(history.Event{Kind: history.KindWindow, Window: &event})
}

func (a *attack) recordEnd(health history.Health) error {
	health.LagP50, health.LagP99, health.LagMax = a.lag.quantile(0.5), a.lag.quantile(0.99), a.lag.worst()
	health.Workers = uint64(a.most.Load())
	event := a.event()
	event.Ended, event.Sent, event.Health, event.Protocols = true, a.sent.Load(), &health, a.hitter.protocols.seen()
	event.Late = a.hitter.late.Load()
	if a.plan.endless {
		event.Planned = event.Sent + a.unsent
		event.Length = max(a.haltedAt(a.now())-a.window.begin, 0)
		a.state.counts.planned.Add(event.Planned)
	}
	note := history.Note{Text: "digest check of arm " + a.plan.arm.Name, Data: DigestNote{
		Window: a.index, Checked: a.hitter.digests.checked.Load(), Unknown: a.hitter.digests.unknown.Load(),
	}}
	rec := a.window.gen.rec
	return errors.Join(
		a.state.hits.Flush(),
		rec.Append(history.Event{Kind: history.KindWindow, Window: &event}),
		rec.Append(history.Event{Kind: history.KindNote, Note: &note}),
	)
}

// DigestNote is the data of the note that closes each window: what the check of answers against their Content-Digest rests on.
type DigestNote struct {
	Window  int    `json:"window"`
	Checked uint64 `json:"checked"` // answers whose body was compared with a digest
	Unknown uint64 `json:"unknown"` // answers that carried only digests of algorithms that are not checked
}

func (a *attack) event() history.Window {
	w := history.Window{
		Arm: a.plan.arm.Name, Index: a.index, Control: a.plan.arm.Control, Workload: a.plan.arm.Workload,
		Targets: shownTargets(a.plan.arm.Targets), KeepAlive: a.plan.arm.KeepAlive,
		Pacing: a.plan.pacing, Rate: a.plan.rate, Begin: a.window.begin, Length: a.plan.length, Planned: a.plan.planned,
		Deadline: a.hitter.plan.Deadline,
	}
	if path := a.plan.arm.Path; path != nil {
		w.Path, w.Node = true, path.Node
	}
	return w
}

// Status is where an arm is, over all windows so far.
type Status struct {
	Arm     string
	Control bool   // it goes to what nothing disturbs: its hits are no load
	Planned uint64 // of windows whose end is planned, and of those that have ended
	Sent    uint64
	Done    uint64 // answered or failed; Sent - Done are in flight
	Failed  uint64 // of Done
	Masked  uint64 // of Done: Go's transport sent them again without telling
	Unsent  uint64
}

// Status says where each arm is now. It may be called at any time.
func (g *Generator) Status() []Status {
	all := make([]Status, 0, len(g.arms))
	for _, a := range g.arms {
		c := &a.counts
		all = append(all, Status{
			Arm: a.arm.Name, Control: a.arm.Control, Planned: c.planned.Load(), Sent: c.sent.Load(), Done: c.done.Load(), Failed: c.failed.Load(),
			Masked: c.masked.Load(), Unsent: c.unsent.Load(),
		})
	}
	return all
}
