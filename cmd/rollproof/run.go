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
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/images"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/probe"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/site/kind"
	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/harness/words"
	"bitvault.dev/rollproof/reports"
	"bitvault.dev/rollproof/scenarios"
)

// runEnds is what run and teeth do once they are interrupted.
var runEnds = fmt.Sprintf("the load is stopped, what was disturbed is healed and the record closed, at most %s; "+
	"then a cluster that this command made is removed", words.Span(run.EndsWithin))

// labFlags say which lab a command wants.
type labFlags struct {
	cluster, config, images, pace, out string
	rate                               string
	keep                               bool
	shard                              suite.Shard
	repeat, again                      int
	resume                             string
	existing                           lab.Existing
}

func (f *labFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.cluster, "name", kind.DefaultName, "name of the cluster, which is made where there is none of that name")
	flags.StringVar(&f.config, "config", "", "kind configuration of the cluster (default: the one of the project's two that the scenarios need)")
	flags.StringVar(&f.images, "images", "auto", "where images come from: source, pull, bundle:FILE or auto")
	flags.StringVar(&f.pace, "pace", "fast", "pace of the strategy: fast, or spec for its own windows of minutes")
	flags.StringVar(&f.rate, "rate", fmt.Sprintf("%d/s", bitvault.DefaultRate), "requests of all arms together, the control arm not counted")
	flags.StringVar(&f.out, "out", "out", "directory in which each run gets a directory of its own")
	flags.Var(&f.shard, "shard", "perform one part of what was chosen: 2/4 is the second of four, which take about equally long")
	flags.IntVar(&f.repeat, "repeat", 1, "how many times each is performed; each time is a run with a verdict of its own, and the worst counts")
	flags.StringVar(&f.resume, "resume", "", "directory of a suite that was broken off, like out/20261126-021700-"+kindOfSuite(cmd.Name())+": perform what has no verdict yet, with the flags it was begun with")
	flags.BoolVar(&f.keep, "keep", false, "leave the cluster running at the end, where this command made it")
}

// open takes the lab for this command.
func (f *labFlags) open(cmd *cobra.Command, holder string, planned []run.Scenario) (*lab.Lab, error) {
	rate, err := load.ParseRate(f.rate)
	if err != nil {
		return nil, fmt.Errorf("--rate %s: %w", f.rate, err)
	}
	display := displayOf(cmd)
	return lab.Open(cmd.Context(), lab.Options{
		Name: f.cluster, Config: f.config, Images: f.images, Keep: f.keep, Existing: f.existing, Pace: f.pace, Rate: rate, Holder: holder,
		Scenarios: planned, Display: display, Say: display.Say,
	})
}

// registerExisting adds what names a cluster that somebody else made.
func (f *labFlags) registerExisting(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.existing.Kubeconfig, "kubeconfig", "", "kubeconfig file of a cluster that rollproof did not make; the stack must be installed there")
	flags.StringVar(&f.existing.Context, "context", "", "context of that file to use; it must be named, for the current context is never used")
	flags.StringVar(&f.existing.URL, "url", "", "address at which this machine reaches the ingress of the stack on that cluster")
	flags.StringVar(&f.existing.Next, "next", "", "image that scenarios release on that cluster, by digest: registry/name@sha256:…; without it those that release are skipped")
	for _, ours := range []string{"name", "config", "images", "keep"} {
		for _, theirs := range []string{"kubeconfig", "context", "url", "next"} {
			cmd.MarkFlagsMutuallyExclusive(ours, theirs)
		}
	}
}

// listed is the world in which scenarios are chosen before there is a cluster. It knows the pace, which decides how long they take.
func (f *labFlags) listed() (bitvault.World, error) {
	strategy, err := bitvaultd.StrategyAt(f.pace)
	return bitvault.World{Strategy: strategy}, err
}

// part returns the positions, in the whole list of the suite, that this command performs. The list is all that was chosen, as often as it is
// repeated; the shard takes its part of it.
func (f *labFlags) part(chosen []run.Scenario) ([]int, error) {
	if f.repeat < 1 {
		return nil, fmt.Errorf("--repeat %d: want 1 or more", f.repeat)
	}
	if f.again < 0 || f.again > suite.MostAgain {
		return nil, fmt.Errorf("--again %d: want 0 to %d", f.again, suite.MostAgain)
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

// at picks, from a list of what was asked for, the elements that some runs of a suite stand for.
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

An existing cluster, which rollproof did not make, is named by --kubeconfig and --context together. Nothing is installed on it: the
stack must be there, answer at --url, and its owner must have annotated its namespace with rollproof.dev/allow-disruption=true. What
does not fit such a cluster is skipped with the reason. One that is left broken is left so, and nothing further is run on it.

What was asked for and what has become of it is kept in suite.json, in a directory of its own. --resume goes on with a suite that was
broken off, by Ctrl-C, a kill or a lost machine: it performs what has no verdict yet, and leaves what has one. "rollproof report --merge"
puts the shards of a suite together.

A run is inconclusive when the machine was too slow or too busy for it to prove anything. --again performs such a one again; the last
verdict counts, and every run stays in the report.`,
		Example: `  rollproof run canary/promotes-good
  rollproof run --label smoke --again 2
  rollproof run --label canary --pace spec
  rollproof run --shard 2/4
  rollproof run mechanics/pdb --kubeconfig staging.yaml --context staging --url http://vault.staging.example
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
	f.registerExisting(cmd)
	cmd.Flags().StringVar(&label, "label", "", "only scenarios with this label, e.g. smoke")
	cmd.Flags().IntVar(&f.again, "again", 0, "how many times more each is performed that ends inconclusive, after all others; one that broke a promise never is")
	return cmd
}

func runScenarios(cmd *cobra.Command, f labFlags, resumed *kept, label string, names []string) (err error) {
	if err := f.existing.Valid(); err != nil {
		return err
	}
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
	left := at(wanted, k.Runs, k.left)
	if f.existing == (lab.Existing{}) {
		planned, err := lab.Planned(lab.Options{Config: f.config, Scenarios: wanted})
		if err != nil {
			return err
		}
		if none := unmet(left, planned); len(none) == len(left) {
			k.skip(none)
			if err := k.start(f.out, nil); err != nil {
				return err
			}
			return summarise(cmd.OutOrStdout(), k.Suite)
		}
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
	errs := k.performAll(cmd.Context(), displayOf(cmd).Say, func() ([]run.Performed, error) {
		return performer.Perform(cmd.Context(), at(chosen, k.Runs, k.left)...)
	})
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
			display.Say("%s (%d of %d, usually %s): %s", s.Name, nth, of, words.Span(s.Usually().Round(time.Second)), s.Proves)
			if s.Before > 0 { // it has load
				warnBeyond(display, carriedCluster, l.World.TotalRate())
			}
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

// unmet returns the scenarios that a cluster cannot hold, each as skipped.
func unmet(wanted []run.Scenario, c run.Cluster) []run.Performed {
	var skipped []run.Performed
	for _, s := range wanted {
		if lacks := s.Unmet(c); lacks != "" {
			skipped = append(skipped, run.Performed{Outcome: run.Outcome{Scenario: s.Name, Skipped: lacks}})
		}
	}
	return skipped
}

func newListCommand() *cobra.Command {
	var pace, config string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the scenarios: what each proves, judges and needs, and how long it takes",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			strategy, err := bitvaultd.StrategyAt(pace)
			if err != nil {
				return err
			}
			all := scenarios.All(bitvault.World{Strategy: strategy})
			skipped, err := skippedHere(all, config)
			if err != nil {
				return err
			}
			w := &bytes.Buffer{}
			var total time.Duration
			for _, s := range all {
				total += s.Usually()
				fmt.Fprintf(w, "%s\n    %s\n    judges  %s\n", s.Name, s.Proves, strings.Join(s.Checks, ", "))
				fmt.Fprintf(w, "    takes   about %s on a ready stack\n", words.Span(s.Usually().Round(5*time.Second)))
				if needs := needsOf(s); needs != "" {
					fmt.Fprintf(w, "    needs   %s\n", needs)
				}
				if lacks := skipped[s.Name]; lacks != "" {
					fmt.Fprintf(w, "    skipped %s\n", lacks)
				}
				fmt.Fprintf(w, "    labels  %s\n\n", strings.Join(s.Labels, ", "))
			}
			fmt.Fprintf(w, "%d scenarios, about %s at pace %s. Every run is judged besides by %s, where it has what they judge: load, a disturbance, a cluster.\n",
				len(all), words.Span(total.Round(time.Minute)), strategy.Pace, words.List(alwaysJudged()))
			return progress.Print(cmd.OutOrStdout(), w.String())
		},
	}
	cmd.Flags().StringVar(&pace, "pace", "fast", "pace of the strategy, on which times depend: fast, or spec for its own windows of minutes")
	cmd.Flags().StringVar(&config, "config", "", "kind configuration of the cluster that scenarios have to fit (default: the one of the project's two that they need)")
	return cmd
}

// alwaysJudged are the checks that every run is judged by, asked for or not.
func alwaysJudged() []string {
	var slugs []string
	for _, check := range checks.All(checks.DefaultBudgets()).For(history.Run{}) {
		slugs = append(slugs, check.Slug)
	}
	return slugs
}

// needsOf says what a scenario needs of a cluster; "" where any will do.
func needsOf(s run.Scenario) string {
	if s.NoCluster {
		return "no cluster"
	}
	return s.Needs.String()
}

// skippedHere says why scenarios would be skipped on the cluster of a configuration, by their names. Outside of the project there is none to ask,
// unless it is named.
func skippedHere(all []run.Scenario, config string) (map[string]string, error) {
	if _, err := images.FindRoot("."); err != nil && config == "" {
		return nil, nil
	}
	planned, err := lab.Planned(lab.Options{Config: config, Scenarios: all})
	why := map[string]string{}
	for _, p := range unmet(all, planned) {
		why[p.Scenario] = p.Skipped
	}
	return why, err
}

// statusOf shows on a display how far a run is.
func statusOf(display *progress.Display) func(run.Status) {
	var before run.Status // the one shown last, for the rate since then
	return func(s run.Status) {
		display.Status(statusRows(s, before)...)
		before = s
	}
}

// statusRows say how far a run is, at which rate since the status before, and what it does.
func statusRows(s, before run.Status) []string {
	line := fmt.Sprintf("%s of about %s  %s", words.Span(s.Elapsed.Round(time.Second)), words.Span(s.Usually.Round(time.Second)), s.Scenario)
	for i, now := range s.Probes {
		var then probe.Status
		since := s.Elapsed
		if before.Scenario == s.Scenario && s.Elapsed > before.Elapsed && i < len(before.Probes) && now.Sent >= before.Probes[i].Sent {
			then, since = before.Probes[i], s.Elapsed-before.Elapsed
		}
		line += fmt.Sprintf("  %d %s, %.0f/s, %d failed", now.Sent, now.Unit, float64(now.Sent-then.Sent)/max(since.Seconds(), 1), now.Failed)
		if now.Unsent > 0 {
			line += fmt.Sprintf(", %d not sent", now.Unsent)
		}
	}
	doing := s.Doing
	if s.Saw != "" {
		doing += ": " + s.Saw
	}
	return []string{line, doing}
}
