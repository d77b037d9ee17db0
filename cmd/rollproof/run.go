package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/cmd/rollproof/supervise"
	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/fixtures/lab"
	"bitvault.dev/rollproof/fixtures/stack/bitvaultd"
	"bitvault.dev/rollproof/harness/cluster"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/run"
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
}

func (f *labFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.cluster, "name", cluster.DefaultName, "name of the cluster; made when it is not there")
	flags.StringVar(&f.config, "config", "", "kind configuration of the cluster (default kind-config.yaml in the project's root)")
	flags.StringVar(&f.images, "images", "auto", "where images come from: source, pull, bundle:FILE or auto")
	flags.StringVar(&f.pace, "pace", "fast", "fast, or spec for the strategy's own windows")
	flags.StringVar(&f.rate, "rate", fmt.Sprintf("%d/s", bitvault.DefaultRate), "load over the main arms together")
	flags.StringVar(&f.out, "out", "out", "directory that gets a directory for each run")
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

func newRunCommand() *cobra.Command {
	var f labFlags
	var label string
	cmd := &cobra.Command{
		Use:   "run [scenario…]",
		Short: "Perform scenarios on a real cluster and judge them",
		Long: `run performs scenarios one after another on one cluster, and makes engine, images and cluster first where they are missing.
Each run is recorded in a directory of its own, judged, and reported there: open its report.html.

Without names and label all scenarios are run; "rollproof list" shows them. A cluster that a scenario leaves broken is thrown away,
and the next one gets a new one. Ctrl-C heals what was disturbed before it ends.`,
		Example: `  rollproof run canary/promotes-good
  rollproof run --label smoke
  rollproof run --label canary --pace spec`,
		Annotations: map[string]string{onInterrupt: runEnds, makesCluster: "yes"},
		RunE:        func(cmd *cobra.Command, names []string) error { return runScenarios(cmd, f, label, names) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&label, "label", "", "only scenarios with this label")
	return cmd
}

func runScenarios(cmd *cobra.Command, f labFlags, label string, names []string) (err error) {
	// Before anything is made: a mistyped name, or a cluster that is too small, must cost a second and not half an hour.
	wanted, err := scenarios.Select(scenarios.All(bitvault.World{}), label, names...)
	if err != nil {
		return err
	}
	planned, err := lab.Planned(lab.Options{Config: f.config})
	if err != nil {
		return err
	}
	if none := unmet(wanted, planned); len(none) == len(wanted) {
		return summarise(cmd.OutOrStdout(), none)
	}
	load.TuneMemory()
	l, err := f.open(cmd, "rollproof run", wanted)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(cmd.Context()))) }()
	chosen, err := scenarios.Select(scenarios.All(l.World), label, names...)
	if err != nil {
		return err
	}
	outcomes, err := performAll(cmd, l, f.out, chosen)
	return errors.Join(summarise(cmd.OutOrStdout(), outcomes), err)
}

// performAll performs scenarios until there are no more, the command is interrupted, or a cluster that was left broken cannot be made
// anew. It returns an outcome for each, also for those it never began.
func performAll(cmd *cobra.Command, l *lab.Lab, out string, chosen []run.Scenario) ([]outcome, error) {
	var outcomes []outcome
	var err error
	for i, s := range chosen {
		if err != nil || cmd.Context().Err() != nil {
			outcomes = append(outcomes, outcome{Outcome: run.Outcome{Scenario: s.Name}, notBegun: true})
			continue
		}
		displayOf(cmd).Say("%s (%d of %d, usually %v): %s", s.Name, i+1, len(chosen), s.Usually().Round(time.Second), s.Proves)
		warnBeyond(displayOf(cmd), carriedCluster, l.World.TotalRate())
		o := perform(cmd, l, out, s)
		rememberCarried(carriedCluster, l.World.TotalRate(), o.Result)
		outcomes = append(outcomes, o)
		if i+1 < len(chosen) {
			err = mend(cmd, l, s.Name, o.Healed())
		}
	}
	return outcomes, err
}

// mend makes a new cluster where the old one was left broken. One that was broken off is no reason: the command ends.
func mend(cmd *cobra.Command, l *lab.Lab, by string, healed bool) error {
	if healed || cmd.Context().Err() != nil {
		return nil
	}
	displayOf(cmd).Say("%s left the cluster broken: it is thrown away, and a new one made", by)
	return l.Renew(cmd.Context())
}

// unmet are the scenarios that a cluster cannot hold, as skipped.
func unmet(wanted []run.Scenario, c run.Cluster) []outcome {
	var skipped []outcome
	for _, s := range wanted {
		if lacks := s.Needs.Unmet(c); lacks != "" {
			skipped = append(skipped, outcome{Outcome: run.Outcome{Scenario: s.Name, Skipped: lacks}})
		}
	}
	return skipped
}

// outcome is what became of a scenario, error included.
type outcome struct {
	run.Outcome
	err      error
	notBegun bool
}

// perform runs one scenario and writes its reports.
func perform(cmd *cobra.Command, l *lab.Lab, out string, s run.Scenario) outcome {
	display := displayOf(cmd)
	runner := l.Runner(out, run.About(cmd.Context()), statusOf(display))
	runner.Recording = func(dir string) { supervise.Recording(cmd.Context(), dir) }
	o, err := runner.Run(cmd.Context(), s)
	display.Status()
	if o.Early != nil {
		display.Say("%s ended early: %v", s.Name, o.Early)
	}
	if o.History == nil {
		return outcome{Outcome: o, err: err}
	}
	w := cmd.OutOrStdout()
	paths, reported := reports.Show(context.WithoutCancel(cmd.Context()), w, o.History, o.Result, terminalOptions(cmd, o.Dir))
	if paths.HTML != "" {
		fmt.Fprintf(w, "\nreport   %s\n\n", paths.HTML)
	}
	return outcome{Outcome: o, err: errors.Join(err, reported)}
}

// summarise shows a line for each scenario and returns the error that carries the exit code: the worst of them.
func summarise(w io.Writer, outcomes []outcome) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var errs []error
	worst, ran, left := judge.Pass, 0, 0
	for _, o := range outcomes {
		switch {
		case o.notBegun:
			left++
			fmt.Fprintf(table, "not begun\t%s\t\n", o.Scenario)
			continue
		case o.err != nil:
			errs = append(errs, o.err)
			fmt.Fprintf(table, "could not run\t%s\t%s\n", o.Scenario, o.Dir)
		case o.Skipped != "":
			fmt.Fprintf(table, "skipped\t%s\t%s\n", o.Scenario, o.Skipped)
			continue
		default:
			fmt.Fprintf(table, "%s\t%s\t%s\n", o.Result.Verdict, o.Scenario, o.Dir)
			worst = judge.Worse(worst, o.Result.Verdict)
		}
		ran++
	}
	if err := table.Flush(); err != nil {
		errs = append(errs, fmt.Errorf("show the summary: %w", err))
	}
	if left > 0 {
		errs = append(errs, fmt.Errorf("%d of %d scenarios were not begun", left, len(outcomes)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if ran == 0 {
		worst = judge.Inconclusive
	}
	return verdictError(worst)
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
			fmt.Fprintf(w, "%d scenarios, about %v at pace %s; each is judged by load.held, load.zero-dropped, load.responsive, disruption.landed and stack.healed too.\n",
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

// hits is the load over all arms.
func hits(s run.Status) load.Status {
	var all load.Status
	for _, arm := range s.Load {
		all.Sent, all.Failed, all.Unsent = all.Sent+arm.Sent, all.Failed+arm.Failed, all.Unsent+arm.Unsent
	}
	return all
}
