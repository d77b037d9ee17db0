package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/stack"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/observe"
	"bitvault.dev/rollproof/harness/wait"
)

// endTimeout bounds each of the two things that happen after an interrupt or a failure: what is being healed already, and ending the
// load, healing the rest and closing the record.
const endTimeout = 2 * time.Minute

// EndsWithin is how long a run goes on at most once it is interrupted.
const EndsWithin = 2 * endTimeout

// Runner performs scenarios on one cluster, one after another.
type Runner struct {
	Cluster Cluster
	Out     string       // directory that gets one directory for each run
	Pace    string       // recorded
	About   history.Run  // what every record says of the machine and the binary
	Show    func(Status) // is told every second how a run goes; may be nil
	Say     Say
	// Recording is told the directory of a run's record as soon as there is one; may be nil.
	Recording func(dir string)

	observe func(ctx context.Context, rec *history.Recorder, aim Aim) (observer, error) // nil: the cluster; tests put theirs here
}

// observer is an Observer that can be ended.
type observer interface {
	Observer
	Lost() <-chan struct{} // closed when the cluster no longer answers
	Stop() error
}

// Outcome is what became of a scenario.
type Outcome struct {
	Scenario string
	Skipped  string // why it was not run; then there is nothing else
	Dir      string // of the record
	History  *history.History
	Result   judge.Result
	// Early says why the acts ended before their plan; the judges know what that means for the promises. It is a load.PathLostError
	// where the way to the cluster was lost.
	Early error
}

// Healed reports whether the next scenario may use the cluster: nothing is left broken, and load still gets there.
func (o Outcome) Healed() bool {
	if lost := (*load.PathLostError)(nil); errors.As(o.Early, &lost) {
		return false
	}
	for _, p := range o.Result.Promises {
		if p.Slug == stack.SlugHealed {
			return p.Verdict == judge.Pass
		}
	}
	return o.Skipped != ""
}

// Status is how far a run is.
type Status struct {
	Scenario string
	Doing    string
	Saw      string        // what was seen last of what is waited for; empty while nothing is
	Elapsed  time.Duration // of the record
	Usually  time.Duration // how long the whole of it usually takes
	Load     []load.Status
}

// Run performs a scenario and judges its record. The error says that it could not be run as planned; a broken promise is no
// error. What was recorded before an error is judged all the same, and never a pass.
func (r *Runner) Run(ctx context.Context, s Scenario) (Outcome, error) {
	out := Outcome{Scenario: s.Name}
	if out.Skipped = s.Unmet(r.Cluster); out.Skipped != "" {
		return out, nil
	}
	aim, err := s.Stack.Ready(ctx, r.Cluster, r.tell)
	if err != nil {
		return out, fmt.Errorf("set up %s: %w", s.Name, err)
	}
	rec, err := r.record(s)
	if err != nil {
		return out, err
	}
	out.Dir = rec.Dir()
	if r.Recording != nil {
		r.Recording(out.Dir)
	}
	p := &performance{runner: r, scenario: s, aim: aim, rec: rec}
	if out.Early, err = p.perform(ctx); err != nil {
		err = fmt.Errorf("run %s: %w; what was recorded until then is in %s", s.Name, err, out.Dir)
	}
	return out, errors.Join(err, out.judge(context.WithoutCancel(ctx)))
}

func (o *Outcome) judge(ctx context.Context) (err error) {
	if o.History, err = history.Open(o.Dir); err != nil {
		return err
	}
	o.Result, err = checks.Recorded(ctx, o.History)
	return err
}

func (r *Runner) record(s Scenario) (*history.Recorder, error) {
	run := r.About
	run.Scenario, run.Pace, run.Checks, run.Disturbances = s.Name, r.Pace, s.Checks, s.Disturbances()
	run.Versions = together(run.Versions, r.Cluster.Versions)
	var err error
	if run.Budgets, err = json.Marshal(s.budgets()); err != nil {
		return nil, fmt.Errorf("record the budgets of %s: %w", s.Name, err)
	}
	clock := history.NewClock()
	started := clock.Started().UTC().Format("20060102-150405")
	run.ID = started + "-" + strings.ReplaceAll(s.Name, "/", "-")
	return history.Create(filepath.Join(r.Out, run.ID), run, clock)
}

// performance is one run of a scenario, from the open record to the closed one.
type performance struct {
	runner   *Runner
	scenario Scenario
	aim      Aim
	rec      *history.Recorder

	observer observer
	window   *load.Window
	stage    *Stage
	settled  bool // it was tried to let the stack come to rest
	live     live
}

// perform runs the scenario to its end and closes the record. early says why the acts ended before their plan, although the
// harness did all it should; err says that the harness could not.
func (p *performance) perform(ctx context.Context) (early, err error) {
	defer p.show()()
	releaseLog := load.CatchLog()
	early, err = p.acts(ctx)
	broken := p.markBroken(ctx, early, err)
	restless, ended := p.end(ctx)
	early, err = errors.Join(early, restless), errors.Join(err, broken, ended, releaseLog(p.rec))
	outcome, reason := history.EndFinished, ""
	if failed := errors.Join(err, early); failed != nil {
		outcome, reason = outcomeOf(ctx, early, err), failed.Error()
	}
	return early, errors.Join(err, p.rec.Close(outcome, reason))
}

// markBroken records that the acts ended before their plan for no fault of the product, before anything is taken back.
func (p *performance) markBroken(ctx context.Context, early, err error) error {
	if early == nil && err == nil || outcomeOf(ctx, early, err) == history.EndTimedOut {
		return nil
	}
	return p.milestone(history.BrokenOff, errors.Join(err, early).Error())
}

// outcomeOf is how a run ended that did not go to plan.
func outcomeOf(ctx context.Context, early, err error) history.Outcome {
	var timeout *wait.Timeout
	var restless *restlessError
	switch {
	case err == nil && (errors.As(early, &timeout) && timeout.Err == nil || errors.As(early, &restless)):
		return history.EndTimedOut
	case ctx.Err() != nil:
		return history.EndInterrupted
	}
	return history.EndFailed
}

// restlessError says that the stack did not come to rest after healing, although it was waited for.
type restlessError struct{ cause error }

func (e *restlessError) Error() string {
	return fmt.Sprintf("wait for the stack to come to rest after healing: %v", e.cause)
}

func (e *restlessError) Unwrap() error { return e.cause }

// acts does everything up to the end of the last act's aftermath.
func (p *performance) acts(ctx context.Context) (early, err error) {
	err = contained(func() error {
		var err error
		early, err = p.play(ctx)
		return err
	})
	return early, err
}

// contained turns a panic into an error like any other: what was disturbed must be healed, and the record closed.
func contained(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return do()
}

// PanicError is a panic that the runner caught, so as to heal and to close the record. It is a defect of the harness.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

func (p *performance) play(ctx context.Context) (early, err error) {
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	if err := p.hold(ctx, "load before the first act", p.scenario.Before); err != nil {
		return forTheJudges(err)
	}
	for _, act := range p.scenario.Acts {
		if err := p.act(ctx, act); err != nil {
			if isForTheJudges(ctx, err) {
				return err, nil
			}
			return nil, err
		}
	}
	if early, err := p.heal(ctx); early != nil || err != nil {
		return early, err
	}
	return forTheJudges(p.hold(ctx, "load after healing", p.scenario.After))
}

// isForTheJudges reports whether an act that failed ends the acts early, and is no error of the run: what was waited for did not come, or
// the path to the cluster is lost.
func isForTheJudges(ctx context.Context, err error) bool {
	if early, _ := forTheJudges(err); early != nil {
		return true
	}
	var vain *VainError
	return errors.As(err, &vain) && ctx.Err() == nil && !errors.Is(err, errLoadEnded) && !errors.Is(err, errClusterLost)
}

// forTheJudges tells a lost path, which the record shows, from an error of the run.
func forTheJudges(err error) (early, other error) {
	if lost := (*load.PathLostError)(nil); errors.As(err, &lost) {
		return err, nil
	}
	return nil, err
}

// begin starts to observe and to load.
func (p *performance) begin(ctx context.Context) error {
	env, err := p.environment()
	if err != nil {
		return err
	}
	p.say("starting to observe the cluster")
	start := p.runner.observe
	if start == nil {
		start = p.runner.observeCluster
	}
	if p.observer, err = start(context.WithoutCancel(ctx), p.rec, p.aim); err != nil {
		return err
	}
	p.stage = &Stage{Cluster: p.runner.Cluster, Disrupt: env, Observe: p.observer, Say: p.runner.tell, see: p.live.see}
	generator, err := load.New(p.rec, p.arms())
	if err != nil {
		return err
	}
	p.live.mu.Lock()
	p.live.generator = generator
	p.live.mu.Unlock()
	plan := p.aim.Plan
	plan.Length = 0 // until Stop: the acts say how long
	if p.runner.Cluster.Path != nil {
		plan.Sources = load.Sources
	}
	// An interrupt ends the load in order, so the load does not hear of it by itself.
	p.window, err = generator.Start(context.WithoutCancel(ctx), plan)
	return err
}

// arms are the scenario's, and the one that watches the path to the cluster.
func (p *performance) arms() []load.Arm {
	arms := slices.Clone(p.aim.Arms)
	if path := p.runner.Cluster.Path; path != nil {
		arms = append(arms, *path)
	}
	return arms
}

func (p *performance) environment() (*disrupt.Env, error) {
	c := p.runner.Cluster
	if c.REST == nil {
		return &disrupt.Env{Record: p.rec, Guard: c.Guard, Nodes: c.Nodes}, nil
	}
	return disrupt.NewEnv(c.REST, p.rec, c.Guard, c.Nodes)
}

func (r *Runner) observeCluster(ctx context.Context, rec *history.Recorder, aim Aim) (observer, error) {
	return observe.Start(ctx, rec, observe.Config{REST: r.Cluster.REST, Namespaces: aim.Namespaces, Require: aim.Resources})
}

// act does one act while watching that load still runs.
func (p *performance) act(ctx context.Context, act Act) error {
	p.say("%s", act)
	if err := p.milestone("act", act.String()); err != nil {
		return err
	}
	return p.underLoad(ctx, func(ctx context.Context) error { return act.Do(ctx, p.stage) })
}

func (p *performance) hold(ctx context.Context, name string, d time.Duration) error {
	p.say("%s: %v", name, d)
	if err := p.milestone(name, ""); err != nil {
		return err
	}
	return p.underLoad(ctx, func(ctx context.Context) error { return Hold(d).Do(ctx, p.stage) })
}

// What ends acts before their plan: without load nothing is proved, and disturbing on would be for nothing; without a cluster there is
// nothing to disturb, or to wait for.
var (
	errLoadEnded   = errors.New("the load ended by itself")
	errClusterLost = errors.New("the cluster no longer answers: its API server gave no sign of life for too long")
)

// underLoad does something with a context that ends when load does, or the cluster.
func (p *performance) underLoad(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	defer func() { cancel(nil); <-watched }()
	go func() {
		defer close(watched)
		select {
		case <-p.window.Done():
			cancel(errLoadEnded)
		case <-p.observer.Lost():
			cancel(errClusterLost)
		case <-p.pathLost():
			cancel(p.window.PathError())
		case <-ctx.Done():
		}
	}()
	err := do(ctx)
	if cause := context.Cause(ctx); err != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err) // what was broken off seldom says why
	}
	return err
}

// pathLost is closed when load no longer gets to the cluster; never while a node at the end of the path is itself what the acts disturb.
func (p *performance) pathLost() <-chan struct{} {
	path := p.runner.Cluster.Path
	if path == nil || path.Path == nil || slices.Contains(p.scenario.nodes(), path.Path.Node) {
		return nil
	}
	return p.window.PathLost()
}

// heal undoes what the acts did, under load, and lets the stack come to rest. That it does not is for the judges to say.
func (p *performance) heal(ctx context.Context) (early, err error) {
	p.say("healing")
	unhurried, cancel := outliving(ctx)
	defer cancel()
	if err := p.stage.Disrupt.Heal(unhurried); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	switch err := p.settle(ctx); {
	case err == nil:
		return nil, p.milestone("settled", "")
	case ctx.Err() != nil:
		return nil, err
	default:
		return err, nil
	}
}

// outliving is a context that ends endTimeout after ctx does: a Ctrl-C in the middle of healing must not leave a node cordoned, and must
// not wait for ever either.
func outliving(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, end := context.WithCancelCause(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		late := time.NewTimer(endTimeout)
		defer late.Stop()
		select {
		case <-late.C:
			end(fmt.Errorf("not within %v of this: %w", endTimeout, context.Cause(ctx)))
		case <-longer.Done():
		}
	})
	return longer, func() { forget(); end(nil) }
}

// settle lets the stack come to rest, once: what did not come to rest within its time will not do so in another.
func (p *performance) settle(ctx context.Context) error {
	if p.settled || p.lost() {
		return nil
	}
	err := p.scenario.Stack.Settle(ctx, p.runner.Cluster)
	p.settled = ctx.Err() == nil
	if err != nil {
		return &restlessError{err}
	}
	return nil
}

// end stops the load, heals what is not healed and stops observing. It runs whatever happened, with a context of its own. restless
// says that the stack did not come to rest.
func (p *performance) end(ctx context.Context) (restless, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	var errs []error
	finally := func(do func() error) { errs = append(errs, contained(do)) }
	if p.window != nil {
		p.say("stopping the load")
		p.window.Stop()
		finally(p.window.Wait)
	}
	if p.stage != nil {
		if due := p.stage.Disrupt.Due(); len(due) > 0 {
			p.say("healing: %s", strings.Join(due, "; "))
		}
		finally(func() error { return p.stage.Disrupt.Heal(ctx) })
		finally(func() error { restless = p.settle(ctx); return nil })
	}
	if p.observer != nil {
		finally(p.observer.Stop)
	}
	return restless, errors.Join(errs...)
}

// lost reports whether the cluster no longer answers.
func (p *performance) lost() bool {
	if p.observer == nil {
		return false
	}
	select {
	case <-p.observer.Lost():
		return true
	default:
		return false
	}
}

func (p *performance) milestone(name, text string) error {
	return p.rec.Append(history.Event{Kind: history.KindMilestone, Milestone: &history.Milestone{Name: name, Text: text}})
}

// live is what others may ask of a performance while it goes on.
type live struct {
	mu        sync.Mutex
	doing     string
	saw       string
	generator *load.Generator
}

func (l *live) status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Doing: l.doing, Saw: l.saw}
	if l.generator != nil {
		s.Load = l.generator.Status()
	}
	return s
}

func (l *live) see(saw string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saw = saw
}

// say tells people what is being done.
func (p *performance) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.live.mu.Lock()
	p.live.doing, p.live.saw = text, ""
	p.live.mu.Unlock()
	p.runner.tell("%s", text)
}

func (r *Runner) tell(format string, args ...any) {
	if r.Say != nil {
		r.Say(format, args...)
	}
}

// show reports the status every second until the returned function is called.
func (p *performance) show() (stop func()) {
	if p.runner.Show == nil {
		return func() {}
	}
	ended, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-stopped:
				return
			}
			s := p.live.status()
			s.Scenario, s.Elapsed, s.Usually = p.scenario.Name, p.rec.Clock().Now(), p.scenario.Usually()
			p.runner.Show(s)
		}
	}()
	return func() { close(stopped); <-ended }
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
