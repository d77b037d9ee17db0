package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

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
	h, result, err := judgeRecord(cmd, dir, dir, slugs)
	if err != nil {
		return nil, judge.Result{}, err
	}
	if err := showReports(cmd, h, result, dir); err != nil {
		return nil, judge.Result{}, err
	}
	return h, result, nil
}

// judgeRecord judges the record in dir by the checks that it was made for and by those asked for. It first removes an old verdict from the
// directory of the reports, so that a judging that fails leaves none.
func judgeRecord(cmd *cobra.Command, dir, to string, slugs []string, options ...history.Option) (*history.History, judge.Result, error) {
	h, err := history.Open(dir, options...)
	if err != nil {
		return nil, judge.Result{}, errors.Join(err, withdraw(to))
	}
	all, err := checks.Of(h.Run())
	if err != nil {
		return nil, judge.Result{}, errors.Join(err, withdraw(to))
	}
	asked, err := checksFor(all, h.Run(), slugs)
	if err != nil {
		return nil, judge.Result{}, err
	}
	if err := withdraw(to); err != nil {
		return nil, judge.Result{}, err
	}
	result, err := judge.Run(cmd.Context(), h, all, asked)
	return h, result, err
}

// withdraw removes an old verdict. One that nobody may remove stays: the record is judged and shown all the same.
func withdraw(dir string) error {
	err := os.Remove(filepath.Join(dir, reports.VerdictFile))
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return nil
	}
	return fmt.Errorf("remove the old verdict: %w", err)
}

// showReports writes every report of a judged run into a directory and shows the summary. The summary is shown also when the files cannot be
// written.
func showReports(cmd *cobra.Command, h *history.History, result judge.Result, dir string) error {
	out := cmd.OutOrStdout()
	paths, err := reports.Show(cmd.Context(), out, h, result, terminalOptions(cmd, dir))
	if paths.HTML != "" {
		fmt.Fprintf(out, "\nreport   %s\n", paths.HTML)
	}
	return err
}

func terminalOptions(cmd *cobra.Command, dir string) reports.TerminalOptions {
	options := reports.TerminalOptions{Dir: dir}
	out := cmd.OutOrStdout()
	if redacting, ok := out.(interface{ Unwrap() io.Writer }); ok {
		out = redacting.Unwrap()
	}
	if out, isFile := out.(*os.File); isFile {
		options.Color, options.Width = reports.ColorFor(out), reports.WidthFor(out)
	}
	return options
}

// notedReadOnly turns one error into a note on standard error: the record's own directory cannot be written to. The verdict stands, and was shown.
// Every other error is returned, also one about the directory that --out names.
func notedReadOnly(cmd *cobra.Command, record, out string, err error) error {
	var unwritten *reports.UnwrittenError
	if out == "" && errors.As(err, &unwritten) && unwritten.ReadOnly() {
		fmt.Fprintf(cmd.ErrOrStderr(), "no report is written: %s cannot be written to: name a directory with --out\n", record)
		return nil
	}
	return err
}

// reportDir is where the reports of a record go: the directory that --out names, which is made when it is missing, or the record's own.
func reportDir(record, out string) (string, error) {
	if out == "" {
		return record, nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", fmt.Errorf("make the directory for the reports: %w", err)
	}
	return out, nil
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
