package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/fixtures/demo"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/reports"
)

// conclude judges the record in dir, writes every report beside it and shows the summary. slugs asks for checks besides those
// the run was made for.
func conclude(cmd *cobra.Command, dir string, slugs ...string) (*history.History, judge.Result, error) {
	h, err := history.Open(dir)
	if err != nil {
		return nil, judge.Result{}, err
	}
	all, err := checks.Of(h.Run())
	if err != nil {
		return nil, judge.Result{}, err
	}
	asked, err := checksFor(all, h.Run(), slugs)
	if err != nil {
		return nil, judge.Result{}, err
	}
	result, err := judge.Run(cmd.Context(), h, all, asked)
	if err != nil {
		return nil, judge.Result{}, err
	}
	paths, err := reports.WriteAll(cmd.Context(), dir, h, result)
	if err != nil {
		return nil, judge.Result{}, err
	}
	out := cmd.OutOrStdout()
	if err := reports.Terminal(out, h.Run(), result, terminalOptions(cmd, dir)); err != nil {
		return nil, judge.Result{}, fmt.Errorf("show the verdict: %w", err)
	}
	fmt.Fprintf(out, "\nreport   %s\n", paths.HTML)
	return h, result, nil
}

func terminalOptions(cmd *cobra.Command, dir string) reports.TerminalOptions {
	out, isFile := cmd.OutOrStdout().(*os.File)
	return reports.TerminalOptions{Dir: dir, Color: isFile && reports.ColorFor(out)}
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

// demoVerdict says whether the demo showed what it set out to show.
func demoVerdict(cmd *cobra.Command, result judge.Result, expected []demo.Expectation) error {
	out, code := cmd.OutOrStdout(), exitPass
	fmt.Fprintln(out, "\nThe demo breaks a promise on purpose. What it set out to show:")
	for _, e := range expected {
		word := "as expected"
		if !e.Met {
			word, code = "NOT AS EXPECTED", exitBroken
		}
		fmt.Fprintf(out, "  %-16s %s\n", word, e.Text)
	}
	for _, p := range result.Promises {
		if p.Verdict == judge.Inconclusive {
			fmt.Fprintf(out, "  %-16s %s: %s\n", "INCONCLUSIVE", p.Slug, p.Reason)
			code = max(code, exitInconclusive)
		}
	}
	if code == exitPass {
		return nil
	}
	return exitError(code)
}
