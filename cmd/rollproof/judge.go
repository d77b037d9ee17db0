package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
)

func newJudgeCommand() *cobra.Command {
	var slugs []string
	cmd := &cobra.Command{
		Use:   "judge DIR",
		Short: "Judge the record of a run again",
		Long: `judge reads the record of a run, judges it by the checks the run was made for and those that are always judged, and
writes DIR/verdict.json. It needs no cluster, and a record always gets the same verdict.`,
		Example: `  rollproof judge out/20261123-0800-canary
  rollproof judge out/20261123-0800-canary --check mechanics.graceful`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := judgeRun(cmd.Context(), args[0], slugs)
			if err != nil {
				return err
			}
			printVerdict(cmd.OutOrStdout(), result)
			return verdictError(result.Verdict)
		},
	}
	cmd.Flags().StringSliceVar(&slugs, "check", nil, "ask for this check too, whatever the run was made for; can be given more than once")
	return cmd
}

// judgeRun judges the record in dir and writes verdict.json into it.
func judgeRun(ctx context.Context, dir string, slugs []string) (judge.Result, error) {
	h, err := history.Open(dir)
	if err != nil {
		return judge.Result{}, err
	}
	checks, err := checksFor(h.Run(), slugs)
	if err != nil {
		return judge.Result{}, err
	}
	result, err := judge.Run(ctx, h, checks)
	if err != nil {
		return judge.Result{}, err
	}
	return result, history.WriteJSON(filepath.Join(dir, "verdict.json"), result)
}

// checksFor adds the checks asked for to those the run was made for.
func checksFor(run history.Run, slugs []string) ([]judge.Check, error) {
	budgets, err := judge.BudgetsOf(run)
	if err != nil {
		return nil, err
	}
	all := judge.All(budgets)
	asked, err := judge.Find(all, slugs...)
	var unknown *judge.UnknownCheckError
	if errors.As(err, &unknown) {
		return nil, fmt.Errorf("--check %s: there is no such check: did you mean %s?", unknown.Slug, nearest(unknown.Slug, all))
	}
	if err != nil {
		return nil, err
	}
	checks, err := judge.For(run)
	return append(asked, checks...), err
}

// nearest is the slug that a mistyped one most probably meant.
func nearest(slug string, all []judge.Check) string {
	best, distance := "", 0
	for _, check := range all {
		if d := levenshtein.ComputeDistance(slug, check.Slug); best == "" || d < distance {
			best, distance = check.Slug, d
		}
	}
	return best
}

// printVerdict says what was judged, one line a promise, worst first.
func printVerdict(w io.Writer, r judge.Result) {
	fmt.Fprintf(w, "%s\n", r.Verdict)
	for _, p := range r.Promises {
		fmt.Fprintf(w, "  %-12s  %-22s  %s\n", p.Verdict, p.Slug, p.Reason)
	}
}

// verdictError turns a verdict into the exit code that scripts depend on.
func verdictError(v judge.Verdict) error {
	switch v {
	case judge.Pass:
		return nil
	case judge.Fail:
		return exitError(exitBroken)
	}
	return exitError(exitInconclusive)
}
