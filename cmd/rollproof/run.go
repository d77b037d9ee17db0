package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/cmd/rollproof/supervise"
	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/fixtures/lab"
	"bitvault.dev/rollproof/fixtures/stack/bitvaultd"
	"bitvault.dev/rollproof/harness/cluster"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/reports"
	"bitvault.dev/rollproof/scenarios"
)

// runEnds is what run and teeth do once they are interrupted.
var runEnds = fmt.Sprintf("the load is stopped, what was disturbed is healed and the record closed, at most %s; "+
	"then a cluster that this command made is removed", run.EndsWithin)

// labFlags say which lab a command wants.
type labFlags struct {
	cluster, config, images, pace, out string
	rate                               string
	keep                               bool
	shard                              suite.Shard
	repeat                             int
	resume                             string
}

func (f *labFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.cluster, "name", cluster.DefaultName, "name of the cluster; made when it is not there")
	flags.StringVar(&f.config, "config", "", "kind configuration of the cluster (default kind-config.yaml in the project's root)")
	flags.StringVar(&f.images, "images", "auto", "where images come from: source, pull, bundle:FILE or auto")
	flags.StringVar(&f.pace, "pace", "fast", "fast, or spec for the strategy's own windows")
	flags.StringVar(&f.rate, "rate", fmt.Sprintf("%d/s", bitvault.DefaultRate), "load over the main arms together")
	flags.StringVar(&f.out, "out", "out", "directory that gets a directory for each run")
	flags.Var(&f.shard, "shard", "only this part of what was chosen, e.g. 2/4; the parts take about as long as each other")
	flags.IntVar(&f.repeat, "repeat", 1, "perform each this many times; every time is a run of its own, with a verdict of its own")
	flags.StringVar(&f.resume, "resume", "", "go on with the suite in this directory: perform what has no verdict yet, with the flags that it was begun with")
	flags.BoolVar(&f.keep, "keep", false, "leave a cluster running that this command made")
}

// open takes the lab for this command.
func (f *labFlags) open(cmd *cobra.Command, holder string, planned []run.Scenario) (*lab.Lab, error) {
	rate, err := load.ParseRate(f.rate)
	if err != nil {
		return nil, fmt.Errorf("--rate %s: %w", f.rate, err)
	}
	display := displayOf(cmd)
	l, err := lab.Open(cmd.Context(), lab.Options{
		Name: f.cluster, Config: f.config, Images: f.images, Pace: f.pace, Rate: rate, Holder: holder, Scenarios: planned, Display: display, Say: display.Say,
	})
	if err != nil {
		return nil, err
	}
	if f.keep {
		l.Keep()
	}
	return l, nil
}

// listed is the world that scenarios are chosen in before there is a cluster: how long they take hangs on the pace.
func (f *labFlags) listed() (bitvault.World, error) {
	strategy, err := bitvaultd.StrategyAt(f.pace)
	return bitvault.World{Strategy: strategy}, err
}

// part is the positions of what is performed in the whole list: all that was chosen as often as it is repeated, and of that the shard.
func (f *labFlags) part(chosen []run.Scenario) ([]int, error) {
	if f.repeat < 1 {
		return nil, fmt.Errorf("--repeat %d: want 1 or more", f.repeat)
	}
	var usually []time.Duration
	for range f.repeat {
		for _, s := range chosen {
			usually = append(usually, s.Usually())
		}
	}
	positions := f.shard.Positions(usually)
	if len(positions) == 0 {
		return nil, fmt.Errorf("--shard %s: it is empty, there are only %d to share: name fewer shards", &f.shard, len(usually))
	}
	return positions, nil
}

// at is what stands at the positions of some runs of a suite, of a list of what was asked for.
func at[T any](list []T, runs []suite.Run, indexes []int) []T {
	var some []T
	for _, i := range indexes {
		some = append(some, list[runs[i].Position%len(list)])
	}
	return some
}

func newRunCommand() *cobra.Command {
	var f labFlags
	var label string
	cmd := &cobra.Command{
		Use:   "run [scenario…]",
		Short: "Perform scenarios on a real cluster and judge them",
		Long: `run performs scenarios one after another on one cluster, and makes engine, images and cluster first where they are missing.
Each run is recorded in a directory of its own, judged, and reported there: open its report.html.

Without names and label all scenarios are run; "rollproof list" shows them. A cluster that a scenario leaves broken is thrown away,
and the next one gets a new one. Ctrl-C heals what was disturbed before it ends.

What was asked for and what has become of it is kept in suite.json, in a directory of its own. --resume goes on with a suite that was
broken off, by Ctrl-C, a kill or a lost machine: it performs what has no verdict yet, and leaves what has one. "rollproof report --merge"
puts the shards of a suite together.`,
		Example: `  rollproof run canary/promotes-good
  rollproof run --label smoke
  rollproof run --label canary --pace spec
  rollproof run --shard 2/4
  rollproof run --resume out/20261126-021700-suite`,
		Annotations: map[string]string{onInterrupt: runEnds, makesCluster: "yes"},
		RunE: func(cmd *cobra.Command, names []string) error {
			resumed, names, err := f.resumed(cmd, names)
			if err != nil {
				return err
			}
			return errors.Join(runScenarios(cmd, f, resumed, label, names), resumed.release())
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&label, "label", "", "only scenarios with this label")
	return cmd
}

func runScenarios(cmd *cobra.Command, f labFlags, resumed *kept, label string, names []string) (err error) {
	// Before anything is made: a mistyped name, or a cluster that is too small, must cost a second and not half an hour.
	world, err := f.listed()
	if err != nil {
		return err
	}
	wanted, err := scenarios.Select(scenarios.All(world), label, names...)
	if err != nil {
		return err
	}
	k, err := f.suiteOf(cmd, resumed, suite.Terms{Label: label, Names: names}, wanted, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.release()) }()
	planned, err := lab.Planned(lab.Options{Config: f.config})
	if err != nil {
		return err
	}
	left := at(wanted, k.Runs, k.left)
	if none := unmet(left, planned); len(none) == len(left) {
		k.skip(none)
		if err := k.start(f.out, nil); err != nil {
			return err
		}
		return summarise(cmd.OutOrStdout(), k.Suite)
	}
	load.TuneMemory()
	l, err := f.open(cmd, "rollproof run", left)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(cmd.Context()))) }()
	chosen, err := scenarios.Select(scenarios.All(l.World), label, names...)
	if err != nil {
		return err
	}
	if err := k.start(f.out, l.Digests()); err != nil {
		return err
	}
	performer := performerOf(cmd, l, f.out)
	k.follow(&performer)
	outcomes, err := performer.Perform(cmd.Context(), at(chosen, k.Runs, k.left)...)
	errs := []error{err}
	for _, o := range outcomes {
		errs = append(errs, o.Err)
	}
	return summarise(cmd.OutOrStdout(), k.Suite, errs...)
}

// performerOf performs scenarios in the lab, and shows on the terminal how they go and what became of each.
func performerOf(cmd *cobra.Command, l *lab.Lab, out string) run.Performer {
	display := displayOf(cmd)
	return run.Performer{
		Site: l,
		Runner: run.Runner{
			Out: out, Pace: l.World.Strategy.Pace, About: run.About(cmd.Context()), Show: statusOf(display), Say: display.Say,
			Recording: func(dir string) { supervise.Recording(cmd.Context(), dir) },
		},
		Begin: func(s run.Scenario, nth, of int) {
			display.Say("%s (%d of %d, usually %v): %s", s.Name, nth, of, s.Usually().Round(time.Second), s.Proves)
			warnBeyond(display, carriedCluster, l.World.TotalRate())
		},
		Report: func(ctx context.Context, o run.Outcome) error {
			display.Status()
			if o.Early != nil {
				display.Say("%s ended early: %v", o.Scenario, o.Early)
			}
			rememberCarried(carriedCluster, l.World.TotalRate(), o.Result)
			return showRun(ctx, cmd, o)
		},
	}
}

// showRun writes the reports of a run beside its record, and sums it up.
func showRun(ctx context.Context, cmd *cobra.Command, o run.Outcome) error {
	w := cmd.OutOrStdout()
	paths, err := reports.Show(ctx, w, o.History, o.Result, terminalOptions(cmd, o.Dir))
	if paths.HTML != "" {
		fmt.Fprintf(w, "\nreport   %s\n\n", paths.HTML)
	}
	return err
}

// unmet are the scenarios that a cluster cannot hold, as skipped.
func unmet(wanted []run.Scenario, c run.Cluster) []run.Performed {
	var skipped []run.Performed
	for _, s := range wanted {
		if lacks := s.Needs.Unmet(c); lacks != "" {
			skipped = append(skipped, run.Performed{Outcome: run.Outcome{Scenario: s.Name, Skipped: lacks}})
		}
	}
	return skipped
}

func newListCommand() *cobra.Command {
	var pace string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios: what each proves, judges and needs, and how long it takes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			strategy, err := bitvaultd.StrategyAt(pace)
			if err != nil {
				return err
			}
			all := scenarios.All(bitvault.World{Strategy: strategy})
			w := &bytes.Buffer{}
			var total time.Duration
			for _, s := range all {
				total += s.Usually()
				fmt.Fprintf(w, "%s\n    %s\n    judges  %s\n", s.Name, s.Proves, strings.Join(s.Checks, ", "))
				fmt.Fprintf(w, "    takes   about %v on a ready stack\n", s.Usually().Round(5*time.Second))
				if s.Needs.Workers > 0 {
					fmt.Fprintf(w, "    needs   %d workers\n", s.Needs.Workers)
				}
				fmt.Fprintf(w, "    labels  %s\n\n", strings.Join(s.Labels, ", "))
			}
			fmt.Fprintf(w, "%d scenarios, about %v at pace %s; each is judged by load.held, load.zero-dropped, disruption.landed and stack.healed too.\n",
				len(all), total.Round(time.Minute), strategy.Pace)
			return progress.Print(cmd.OutOrStdout(), w.String())
		},
	}
	cmd.Flags().StringVar(&pace, "pace", "fast", "fast, or spec for the strategy's own windows")
	return cmd
}

// statusOf shows on a display how far a run is.
func statusOf(display *progress.Display) func(run.Status) {
	var before run.Status // the one shown last, for the rate since then
	return func(s run.Status) {
		display.Status(statusRows(s, before)...)
		before = s
	}
}

// statusRows are how far a run is, with the rate since the status before, and what it does.
func statusRows(s, before run.Status) []string {
	now, then := hits(s), hits(before)
	since := s.Elapsed
	if before.Scenario == s.Scenario && s.Elapsed > before.Elapsed && now.Sent >= then.Sent {
		since -= before.Elapsed
	} else {
		then = load.Status{}
	}
	rate := float64(now.Sent-then.Sent) / max(since.Seconds(), 1)
	line := fmt.Sprintf("%s of about %s  %s  %d hits, %.0f/s, %d failed", s.Elapsed.Round(time.Second), s.Usually.Round(time.Second),
		s.Scenario, now.Sent, rate, now.Failed)
	if now.Unsent > 0 {
		line += fmt.Sprintf(", %d not sent", now.Unsent)
	}
	doing := s.Doing
	if s.Saw != "" {
		doing += ": " + s.Saw
	}
	return []string{line, doing}
}

// hits is the load over all arms but those that go to what nothing disturbs.
func hits(s run.Status) load.Status {
	var all load.Status
	for _, arm := range s.Load {
		if arm.Control {
			continue
		}
		all.Sent, all.Failed, all.Unsent = all.Sent+arm.Sent, all.Failed+arm.Failed, all.Unsent+arm.Unsent
	}
	return all
}
