package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/reports"
)

// merge puts the shards of a suite together and writes one report of all runs. The error carries one exit code: the worst of all runs, and 3
// where one of them never got to a verdict.
func merge(cmd *cobra.Command, dirs []string, out string, open bool) error {
	dir, err := mergedDir(out)
	if err != nil {
		return err
	}
	var shards []*suite.Suite
	for _, d := range dirs {
		s, err := suite.Open(d)
		if err != nil {
			return err
		}
		shards = append(shards, s)
	}
	parts, err := suite.Whole(shards)
	if err != nil {
		return err
	}
	merged := reports.NewMerged(shards)
	for _, p := range parts {
		if err := takeIn(cmd, merged, p, dir); err != nil {
			return err
		}
	}
	merged.Conclude()
	if err := merged.Write(dir); err != nil {
		return err
	}
	if merged.Command == "teeth" {
		return mergeTeeth(cmd, merged, parts, dir)
	}
	w, page := cmd.OutOrStdout(), filepath.Join(dir, reports.HTMLFile)
	if err := reports.MergedTerminal(w, merged, terminalOptions(cmd, dir)); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nreport   %s\n", page)
	if open {
		if err := openBrowser(cmd.Context(), page); err != nil {
			return err
		}
	}
	return mergedError(merged)
}

// mergedDir is the directory for a merged report. An old report in it is removed, so that a merge that fails leaves none.
func mergedDir(out string) (string, error) {
	if out == "" {
		return "", errors.New("report --merge: name a directory for the merged report with --out")
	}
	dir, err := filepath.Abs(out)
	if err != nil {
		return "", fmt.Errorf("--out %s: %w", out, err)
	}
	for _, taken := range []string{suite.File, "events.jsonl"} {
		if _, err := os.Stat(filepath.Join(dir, taken)); err == nil {
			return "", fmt.Errorf("--out %s: it holds %s, and reports of its own: name another directory", out, taken)
		}
	}
	for _, name := range []string{reports.MergedFile, reports.JUnitFile, reports.HTMLFile, "teeth.json", "teeth.html"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("remove the old report: %w", err)
		}
	}
	return reportDir("", dir)
}

// takeIn takes a run into the report. The record of one that was judged must be the one that the suite knows.
func takeIn(cmd *cobra.Command, merged *reports.Merged, p suite.Part, dir string) error {
	if p.State != suite.Judged {
		merged.Add(p, dir)
		return nil
	}
	seen, err := vouched(cmd.Context(), p.Of, p.Run)
	if err != nil {
		return err
	}
	return merged.AddJudged(p, dir, seen.timeline, seen.result)
}

// mergeTeeth writes the matrix of the planted faults of all shards.
func mergeTeeth(cmd *cobra.Command, merged *reports.Merged, parts []suite.Part, dir string) error {
	err := concludeTeeth(cmd, dir, suite.LastParts(parts), nil)
	if merged.Outcome == reports.Unfinished {
		return errors.New(merged.Answer)
	}
	return err
}

// mergedError is the error that carries the exit code of a merged report.
func mergedError(m *reports.Merged) error {
	if m.ExitCode == exitPass {
		return nil
	}
	return exitError(m.ExitCode)
}

// mergedDirs proposes the directories that are put together, else the one of a run.
func mergedDirs(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if merging, err := cmd.Flags().GetBool("merge"); err == nil && merging {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return oneDirectory(cmd, args, typed)
}
