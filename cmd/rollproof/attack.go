package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bitvault.dev/rollproof/cmd/rollproof/supervise"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/run"
)

// attackFlags are what the attack command was asked for.
type attackFlags struct {
	targets, arms, control []string
	rate, rampTo           string
	duration, deadline     time.Duration
	stall, p99             time.Duration
	traffic                string
	speed                  float64
	loop, http2            bool
	maxWorkers             uint64
	headers                []string
	tls                    tlsFlags
	versionHeader, pod     string
	out                    string
}

const defaultRate = "300/s"

func newAttackCommand() *cobra.Command {
	var f attackFlags
	cmd := &cobra.Command{
		Use:   "attack --target URL --out DIR",
		Short: "Send load to a URL, record every hit and judge them",
		Long: `attack sends load to any URL, records what became of every hit, and says whether one was dropped, or waited too long. It needs no cluster.
Start it, restart or release your service meanwhile, and read the verdict: docs/attack.md shows how in five minutes.

The load is an open loop: every hit has its moment, and neither slow answers nor a late generator move it. Its arms take
turns, and each shows what the others hide. The default ones send GET only:
  get         keep-alive; Go sends a GET again without telling when a reused connection breaks: counted as masked
  get-once    keep-alive; nothing is ever sent again: what get masks is a failed hit
  get-close   a new connection for each hit: nothing is ever sent again
  post        POST with an Idempotency-Key, keep-alive
  post-once   POST without a key, keep-alive; nothing is ever sent again
  post-close  POST without a key, a new connection for each hit
With --control URL, an arm of the same rate goes to a responder that nothing disturbs.

Several targets, and the paths of a traffic file, are judged route by route too. User and password of a target are sent as
Authorization. They are in no file of the run, nor are the values of --header.

Exit codes: 0 nothing was dropped and nobody waited, 1 a promise is broken, 2 inconclusive (the run proves nothing), 3 could not run.`,
		Example: `  rollproof attack --target http://127.0.0.1:8080/ --out out/try
  rollproof attack --target http://127.0.0.1:8080/ --rate 300/s --duration 2m --out out/release
  rollproof attack --target https://api.test/a --target https://api.test/b --header "Authorization: Bearer $TOKEN" --out out/two
  rollproof attack --target http://127.0.0.1:8080 --traffic day.jsonl --speed 2 --out out/replay`,
		Annotations: map[string]string{onInterrupt: "no new hits are sent, those in flight are waited for, at most their --deadline; " +
			"then what was sent is judged"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("attack: %q belongs to no flag: say --target URL", load.Redact(args[0]))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return attack(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.targets, "target", nil, "URL to send load to; repeat the flag for several, which are hit in turn; with --traffic the paths of the file are appended")
	flags.StringSliceVar(&f.arms, "arms", []string{"get", "get-once", "get-close"}, "arms to send the load with, of those above; they share the rate")
	flags.StringArrayVar(&f.control, "control", nil, "URL of a responder that nothing disturbs: when it fails too, the network or this machine is at fault, not the target")
	flags.StringVar(&f.rate, "rate", "", "hits of all arms together, like 300/s or 20/m (default "+defaultRate+", or as recorded in the traffic file)")
	flags.StringVar(&f.rampTo, "ramp-to", "", "rate at the end: from --rate it changes evenly to this one, over the duration")
	flags.DurationVar(&f.duration, "duration", 0, "how long the load lasts (default 30s; with --traffic and no --rate until the file ends)")
	flags.DurationVar(&f.stall, "stall", checks.DefaultBudgets().Unanswered, "longest time that may pass without a good answer while hits are due")
	flags.DurationVar(&f.p99, "p99", 0, "latency that 99 % of the answers of an arm must keep, in any 1000 answers in a row (default: not judged)")
	flags.DurationVar(&f.deadline, "deadline", load.DefaultDeadline, "time that one hit may take, from its start to the last byte of the answer; a later one is dropped")
	flags.StringArrayVar(&f.headers, "header", nil, "header field to send with every request, like 'Name: value'; repeat the flag for more; the control arm sends none of them")
	flags.StringVar(&f.traffic, "traffic", "", "file of requests to send (docs/traffic.md); they are sent at their recorded times, or at --rate")
	flags.Float64Var(&f.speed, "speed", 1, "replay recorded traffic this many times as fast")
	flags.BoolVar(&f.loop, "loop", false, "start recorded traffic over at its end; needs --duration")
	flags.Uint64Var(&f.maxWorkers, "max-workers", 0, "how many hits of one arm may be in flight at once (default: as many as can be due within the deadline)")
	flags.BoolVar(&f.http2, "http2", false, "speak HTTP/2 with an https target that offers it (default: HTTP/1.1)")
	f.tls.register(flags)
	flags.StringVar(&f.versionHeader, "version-header", load.DefaultVersionHeader, "header of an answer that tells the application's version")
	flags.StringVar(&f.pod, "pod-header", load.DefaultPodHeader, "header of an answer that tells the pod")
	flags.StringVar(&f.out, "out", "", "directory for the record and its reports; it must be new or empty")
	return cmd
}

func attack(cmd *cobra.Command, f attackFlags) error {
	ctx, display := cmd.Context(), displayOf(cmd)
	if err := f.check(cmd.Flags()); err != nil {
		return err
	}
	arms, plan, err := f.plan()
	if err != nil {
		return err
	}
	if err := plan.Check(arms); err != nil {
		return err
	}
	if err := load.Reach(ctx, arms); err != nil {
		return err
	}
	load.TuneMemory()
	rate := plan.PeakRate()
	warnBeyond(display, carriedAttack, rate)
	about := run.About(ctx)
	about.Scenario = "attack"
	if about.Budgets, err = f.budgets(); err != nil {
		return err
	}
	rec, err := startRecord(about, f.out)
	if err != nil {
		return err
	}
	supervise.Recording(ctx, rec.Dir())
	releaseLog := load.CatchLog(arms, plan)
	err = errors.Join(drive(ctx, rec, arms, plan, display), releaseLog(rec))
	interrupted := errors.Is(err, context.Canceled)
	if err := closeRecord(rec, err); err != nil && !interrupted {
		return fmt.Errorf("attack: %w", err)
	}
	// After an interrupt too: what was sent until then is worth knowing, and cannot be a pass.
	cmd.SetContext(context.WithoutCancel(ctx))
	_, result, err := conclude(cmd, f.out)
	if err != nil {
		return err
	}
	rememberCarried(carriedAttack, rate, result)
	if err := printRoutes(cmd.OutOrStdout(), result); err != nil {
		return err
	}
	return verdictError(result.Verdict)
}

// budgets are the limits that the record is judged by.
func (f attackFlags) budgets() (json.RawMessage, error) {
	b := checks.DefaultBudgets()
	b.Unanswered, b.P99 = f.stall, f.p99
	data, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("attack: record the budgets: %w", err)
	}
	return data, nil
}

// drive runs the load to its end, showing where it is.
func drive(ctx context.Context, rec *history.Recorder, arms []load.Arm, plan load.Plan, display *progress.Display) error {
	generator, err := load.New(rec, arms)
	if err != nil {
		return err
	}
	window, err := generator.Start(ctx, plan)
	if err != nil {
		return err
	}
	showLoad(display, generator, window)
	return window.Wait()
}

// check refuses flags that would be ignored.
func (f attackFlags) check(given *pflag.FlagSet) error {
	recorded := f.traffic != "" && f.rate == ""
	switch {
	case given.Changed("speed") && !recorded:
		return errors.New("attack: --speed changes the times of a traffic file: say --traffic, without --rate")
	case given.Changed("loop") && f.traffic == "":
		return errors.New("attack: --loop starts a traffic file over: say --traffic")
	}
	return nil
}

func (f attackFlags) plan() ([]load.Arm, load.Plan, error) {
	plan := load.Plan{
		Length: f.duration, Deadline: f.deadline, MaxWorkers: f.maxWorkers, VersionHeader: f.versionHeader, PodHeader: f.pod, HTTP2: f.http2,
	}
	if len(f.targets) == 0 {
		return nil, plan, errors.New("attack: no target is named: say --target http://127.0.0.1:8080/")
	}
	if f.out == "" {
		return nil, plan, errors.New("attack: no directory for the record is named: say --out out/try")
	}
	if f.deadline <= 0 || f.duration < 0 {
		return nil, plan, errors.New("attack: --deadline and --duration want more than 0")
	}
	if f.stall <= 0 || f.p99 < 0 {
		return nil, plan, errors.New("attack: --stall wants more than 0, --p99 0 (no limit) or more")
	}
	for _, field := range [][2]string{{"version-header", f.versionHeader}, {"pod-header", f.pod}} {
		if err := load.CheckFieldName(field[1]); err != nil {
			return nil, plan, fmt.Errorf("attack: --%s: %w", field[0], err)
		}
	}
	arms, err := f.namedArms()
	if err != nil {
		return nil, plan, err
	}
	if plan.Header, err = load.ParseHeader(f.headers); err != nil {
		return nil, plan, fmt.Errorf("attack: --header: %w", err)
	}
	if plan.TLS, err = f.tls.config(slices.Concat(f.targets, f.control)); err != nil {
		return nil, plan, fmt.Errorf("attack: %w", err)
	}
	if f.traffic != "" {
		if plan.Traffic, err = load.OpenTraffic(f.traffic); err != nil {
			return nil, plan, err
		}
		if err := allSent(plan.Traffic, arms); err != nil {
			return nil, plan, err
		}
	}
	plan.Pacing, plan.Length, err = f.pacing()
	return arms, plan, err
}

func (f attackFlags) namedArms() ([]load.Arm, error) {
	var arms []load.Arm
	for _, name := range f.arms {
		arm, err := load.NewArm(name, f.targets...)
		if err != nil {
			return nil, err
		}
		if arm.Control {
			return nil, errors.New("the control arm needs a target of its own: say --control URL")
		}
		arms = append(arms, arm)
	}
	if len(f.control) > 0 {
		arm, err := load.NewArm("control", f.control...)
		if err != nil {
			return nil, err
		}
		arms = append(arms, arm)
	}
	return arms, nil
}

// allSent refuses to leave requests of the file out silently.
func allSent(t *load.Traffic, arms []load.Arm) error {
	if t.Unsafe == 0 {
		return nil
	}
	for _, arm := range arms {
		if arm.Method == "POST" {
			return nil
		}
	}
	return fmt.Errorf("traffic file %s holds %d requests that may change something (POST and its like), and no arm sends them: "+
		"add one with --arms get,get-close,post, or leave them out of the file", t.File, t.Unsafe)
}

func (f attackFlags) pacing() (load.Pacing, time.Duration, error) {
	length := f.duration
	if f.traffic != "" && f.rate == "" {
		switch {
		case f.rampTo != "":
			return nil, 0, errors.New("attack: --ramp-to needs --rate")
		case f.speed <= 0:
			return nil, 0, fmt.Errorf("attack: --speed %v: want more than 0", f.speed)
		case f.loop && length == 0:
			return nil, 0, errors.New("attack: --loop has no end of its own: say --duration too")
		}
		return load.Recorded{Speed: f.speed, Loop: f.loop}, length, nil
	}
	if length == 0 {
		length = 30 * time.Second
	}
	text := f.rate
	if text == "" {
		text = defaultRate
	}
	rate, err := load.ParseRate(text)
	if err != nil {
		return nil, 0, err
	}
	if f.rampTo == "" {
		return load.Constant{PerSecond: rate}, length, nil
	}
	to, err := load.ParseRate(f.rampTo)
	return load.Ramp{From: rate, To: to, Over: length}, length, err
}
