package run

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/stack"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/observe"
	"bitvault.dev/rollproof/harness/probe"
	"bitvault.dev/rollproof/harness/wait"
	"bitvault.dev/rollproof/harness/words"
)

// endTimeout bounds each of the two things that happen after an interrupt or a failure. First a healing that is under way is finished. Then the
// probes are ended, the rest is healed and the record is closed.
const endTimeout = 2 * time.Minute

// probesEndWithin bounds how long probes may take to end once they are stopped: one that hangs must not keep the stack from being healed.
const probesEndWithin = time.Minute

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
	// Early says why the acts ended before their plan; the judges know what that means for the promises. It is a *probe.CutOffError
	// where the way to the cluster was lost.
	Early error
}

// Healed reports whether the next scenario may use the cluster: nothing is left broken, and probes still get there.
func (o Outcome) Healed() bool {
	if cut := (*probe.CutOffError)(nil); errors.As(o.Early, &cut) {
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
	Probes   []probe.Status
}

// Run performs a scenario and judges its record. The error says that it could not be run as planned; a broken promise is no
// error. What was recorded before an error is judged all the same, and never a pass.
func (r *Runner) Run(ctx context.Context, s Scenario) (Outcome, error) {
	out := Outcome{Scenario: s.Name}
	if err := s.Valid(); err != nil {
		return out, err
	}
	p := &performance{runner: r, scenario: s}
	if !s.NoCluster {
		p.cluster = r.Cluster.disturbedAt(s.nodes())
	}
	if out.Skipped = s.Unmet(p.cluster); out.Skipped != "" {
		return out, nil
	}
	err := p.ready(ctx)
	if err != nil {
		return out, fmt.Errorf("set up %s: %w", s.Name, err)
	}
	if p.rec, err = p.record(); err != nil {
		return out, err
	}
	out.Dir = p.rec.Dir()
	if r.Recording != nil {
		r.Recording(out.Dir)
	}
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

// ready makes the stack ready, where the scenario has one.
func (p *performance) ready(ctx context.Context) (err error) {
	if p.scenario.Stack != nil {
		if p.aim, err = p.scenario.Stack.Ready(ctx, p.cluster, p.runner.tell); err != nil {
			return err
		}
	}
	return p.aim.fits(p.scenario)
}

// record begins the record.
func (p *performance) record() (*history.Recorder, error) {
	s, run := p.scenario, p.runner.About
	run.Scenario, run.Pace, run.Checks, run.Disturbances, run.Probes = s.Name, p.runner.Pace, s.Checks, s.Disturbances(), p.aim.names()
	run.Versions = together(run.Versions, p.cluster.Versions)
	var err error
	if run.Budgets, err = json.Marshal(s.budgets()); err != nil {
		return nil, fmt.Errorf("record the budgets of %s: %w", s.Name, err)
	}
	clock := history.NewClock()
	started := clock.Started().UTC().Format("20060102-150405")
	run.ID = started + "-" + strings.ReplaceAll(s.Name, "/", "-")
	return history.Create(filepath.Join(p.runner.Out, run.ID), run, clock)
}

// performance is one run of a scenario, from the open record to the closed one.
type performance struct {
	runner   *Runner
	scenario Scenario
	cluster  Cluster // as the scenario gets it
	aim      Aim
	rec      *history.Recorder

	observer observer
	probes   []probe.Running // of the aim, in its order: those that were started
	stage    *Stage
	settled  bool // it was tried to let the stack come to rest
	live     live
}

// perform runs the scenario to its end and closes the record. early says why the acts ended before their plan, although the
// harness did all it should; err says that the harness could not.
func (p *performance) perform(ctx context.Context) (early, err error) {
	defer p.show()()
	early, err = p.acts(ctx)
	broken := p.markBroken(ctx, early, err)
	later, ended := p.end(ctx, errors.Join(early, err))
	early, err = errors.Join(early, later), errors.Join(err, broken, ended)
	outcome, reason := history.EndFinished, ""
	if failed := errors.Join(err, early); failed != nil {
		outcome, reason = outcomeOf(ctx, early, err), failed.Error()
	}
	return early, errors.Join(err, p.rec.Close(outcome, reason))
}

// markBroken records that the acts ended early for a reason that is no fault of the product. It does so before anything is taken back.
func (p *performance) markBroken(ctx context.Context, early, err error) error {
	if early == nil && err == nil || outcomeOf(ctx, early, err) == history.EndTimedOut {
		return nil
	}
	return p.milestone(history.BrokenOff, errors.Join(err, early).Error())
}

// outcomeOf says how a run ended that did not go to plan.
func outcomeOf(ctx context.Context, early, err error) history.Outcome {
	var timeout *wait.Timeout
	var restless *restlessError
	var cut *probe.CutOffError
	switch {
	case errors.As(early, &cut):
		return history.EndFailed
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
	if err := p.hold(ctx, "before the first act", p.scenario.Before); err != nil {
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
	return forTheJudges(p.hold(ctx, "after healing", p.scenario.After))
}

// isForTheJudges reports whether an act that failed ends the acts early and is no error of the run: what it waited for did not come, or the path to
// the cluster is lost.
func isForTheJudges(ctx context.Context, err error) bool {
	if early, _ := forTheJudges(err); early != nil {
		return true
	}
	var vain *VainError
	var ended *probeEndedError
	return errors.As(err, &vain) && ctx.Err() == nil && !errors.As(err, &ended) && !errors.Is(err, errClusterLost)
}

// forTheJudges tells a lost path, which the record shows, from an error of the run.
func forTheJudges(err error) (early, other error) {
	if cut := (*probe.CutOffError)(nil); errors.As(err, &cut) {
		return err, nil
	}
	return nil, err
}

// begin starts to observe and to probe.
func (p *performance) begin(ctx context.Context) error {
	env, err := p.environment()
	if err != nil {
		return err
	}
	if p.observer, err = p.observe(ctx); err != nil {
		return err
	}
	p.stage = &Stage{Cluster: p.cluster, Disrupt: env, Observe: p.observer, Record: p.rec, Say: p.runner.tell, see: p.live.see}
	if stack := p.scenario.Stack; stack != nil {
		p.stage.settle = func(ctx context.Context) error { return stack.Settle(ctx, p.cluster) }
	}
	for _, each := range p.aim.Probes {
		running, err := each.Start(ctx, p.rec)
		if err != nil {
			return fmt.Errorf("start the probe %s: %w", each.Name(), err)
		}
		p.probes = append(p.probes, running)
		p.live.add(running)
	}
	return nil
}

// observe starts to observe the cluster, where there is one.
func (p *performance) observe(ctx context.Context) (observer, error) {
	if p.scenario.NoCluster {
		return unobserved{}, nil
	}
	p.say("starting to observe the cluster")
	start := p.runner.observe
	if start == nil {
		start = p.runner.observeCluster
	}
	return start(context.WithoutCancel(ctx), p.rec, p.aim)
}

func (p *performance) environment() (*disrupt.Env, error) {
	c := p.cluster
	if c.REST == nil {
		return &disrupt.Env{Record: p.rec, Guard: c.Guard, Nodes: c.Nodes, Power: c.Power}, nil
	}
	env, err := disrupt.NewEnv(c.REST, p.rec, c.Guard, c.Nodes)
	if err != nil {
		return nil, err
	}
	env.Power = c.Power
	return env, nil
}

func (r *Runner) observeCluster(ctx context.Context, rec *history.Recorder, aim Aim) (observer, error) {
	return observe.Start(ctx, rec, observe.Config{REST: r.Cluster.REST, Namespaces: aim.Namespaces, Require: aim.Resources})
}

// act does one act while watching that the probes are at work.
func (p *performance) act(ctx context.Context, act Act) error {
	p.say("%s", act)
	if err := p.milestone("act", act.String()); err != nil {
		return err
	}
	return p.watched(ctx, func(ctx context.Context) error { return act.Do(ctx, p.stage) })
}

// hold lets the probes go on for a time, where there are any.
func (p *performance) hold(ctx context.Context, name string, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	p.say("%s: %s", name, words.Span(d))
	if err := p.milestone(name, ""); err != nil {
		return err
	}
	return p.watched(ctx, func(ctx context.Context) error { return Hold(d).Do(ctx, p.stage) })
}

// errClusterLost ends acts before their plan: there is nothing to disturb, or to wait for.
var errClusterLost = errors.New("the cluster no longer answers: its API server gave no sign of life for too long")

// probeEndedError ends the acts early: without the probe nothing is proved, and further disturbances would be for nothing.
type probeEndedError struct {
	name  string
	cause error // nil where the probe did not say
}

func (e *probeEndedError) Error() string {
	var cut *probe.CutOffError
	switch {
	case e.cause == nil:
		return fmt.Sprintf("the probe %s ended by itself", e.name)
	case errors.As(e.cause, &cut):
		return e.cause.Error() // it tells by itself why nothing could go on
	}
	return fmt.Sprintf("the probe %s ended by itself: %v", e.name, e.cause)
}

func (e *probeEndedError) Unwrap() error { return e.cause }

// ending is what acts must not outlive.
type ending struct {
	ended <-chan struct{}
	why   func() error
}

// endings are those of the probes, and of the cluster.
func (p *performance) endings() []ending {
	all := []ending{{p.observer.Lost(), func() error { return errClusterLost }}}
	for i, running := range p.probes {
		all = append(all, ending{running.Done(), func() error { return &probeEndedError{p.aim.Probes[i].Name(), running.Wait()} }})
	}
	return all
}

// watched does something with a context that ends when a probe ends or the cluster is lost. It fails when that happened meanwhile, also where what
// was done did not notice.
func (p *performance) watched(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	for _, end := range p.endings() {
		watching.Go(func() {
			select {
			case <-end.ended:
				cancel(end.why())
			case <-ctx.Done():
			}
		})
	}
	err := do(ctx)
	cause := cmp.Or(context.Cause(ctx), p.ended())
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	if err == nil {
		return cause
	}
	return fmt.Errorf("%w: %w", cause, err) // what was broken off seldom says why
}

// ended says what has ended that acts must not outlive; nil when nothing did.
func (p *performance) ended() error {
	for _, end := range p.endings() {
		select {
		case <-end.ended:
			return end.why()
		default:
		}
	}
	return nil
}

// heal undoes what the acts did, while the probes are at work, and lets the stack come to rest. What a stack means that does not come to rest is
// for the judges to say.
func (p *performance) heal(ctx context.Context) (early, err error) {
	if len(p.stage.Disrupt.Due()) > 0 || p.scenario.Stack != nil {
		p.say("healing")
	}
	unhurried, cancel := outliving(ctx)
	defer cancel()
	if err := p.stage.Disrupt.Heal(unhurried); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	err = p.watched(ctx, p.settle)
	restless := (*restlessError)(nil)
	switch {
	case err == nil:
		return nil, p.milestone("settled", "")
	case ctx.Err() == nil && p.ended() == nil && errors.As(err, &restless):
		return err, nil
	}
	return forTheJudges(err)
}

// outliving is a context that ends endTimeout after ctx does: a Ctrl-C in the middle of healing must neither leave a node cordoned nor wait for
// ever.
func outliving(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, end := context.WithCancelCause(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		late := time.NewTimer(endTimeout)
		defer late.Stop()
		select {
		case <-late.C:
			end(fmt.Errorf("not within %s of this: %w", words.Span(endTimeout), context.Cause(ctx)))
		case <-longer.Done():
		}
	})
	return longer, func() { forget(); end(nil) }
}

// settle lets the stack come to rest. It tries once: a stack that did not come to rest within its time will not do so in a second try.
func (p *performance) settle(ctx context.Context) error {
	if p.settled || p.scenario.Stack == nil || p.lost() {
		return nil
	}
	err := p.scenario.Stack.Settle(ctx, p.cluster)
	p.settled = ctx.Err() == nil
	if err != nil {
		return &restlessError{err}
	}
	return nil
}

// end stops the probes, heals what is not healed and stops observing. It runs whatever happened, with a context of its own. told is what is
// known of that. early is for the judges: the stack did not come to rest, or a probe was cut off at the very end.
func (p *performance) end(ctx context.Context, told error) (early, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	var errs []error
	finally := func(do func() error) { errs = append(errs, contained(do)) }
	early, err = p.endProbes(ctx, told)
	errs = append(errs, err)
	if p.stage != nil {
		if due := p.stage.Disrupt.Due(); len(due) > 0 {
			p.say("healing: %s", strings.Join(due, "; "))
		}
		finally(func() error { return p.stage.Disrupt.Heal(ctx) })
		finally(func() error { early = errors.Join(early, p.settle(ctx)); return nil })
	}
	if p.observer != nil {
		finally(p.observer.Stop)
	}
	return early, errors.Join(errs...)
}

// endProbes stops all probes, and waits for each. What one says that is told already is not told again. early is for the judges.
func (p *performance) endProbes(ctx context.Context, told error) (early, err error) {
	if len(p.probes) == 0 {
		return nil, nil
	}
	p.say("stopping %s", strings.Join(p.aim.names()[:len(p.probes)], ", "))
	ctx, cancel := context.WithTimeout(ctx, probesEndWithin)
	defer cancel()
	var errs []error
	for _, running := range p.probes {
		errs = append(errs, contained(func() error { running.Stop(); return nil }))
	}
	for i, running := range p.probes {
		err := contained(func() error {
			select {
			case <-running.Done():
				return running.Wait()
			case <-ctx.Done():
				return fmt.Errorf("the probe %s did not end within %s of being stopped", p.aim.Probes[i].Name(), words.Span(probesEndWithin))
			}
		})
		if err != nil && !errors.Is(told, err) {
			cut, other := forTheJudges(err)
			early, errs = errors.Join(early, cut), append(errs, other)
		}
	}
	return early, errors.Join(errs...)
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
	mu     sync.Mutex
	doing  string
	saw    string
	probes []probe.Running
}

func (l *live) add(running probe.Running) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probes = append(l.probes, running)
}

func (l *live) status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Status{Doing: l.doing, Saw: l.saw}
	for _, running := range l.probes {
		s.Probes = append(s.Probes, running.Status())
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
