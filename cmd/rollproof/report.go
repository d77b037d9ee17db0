package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/reports"
)

func newReportCommand() *cobra.Command {
	var (
		open   bool
		out    string
		accept bool
		whole  bool
	)
	cmd := &cobra.Command{
		Use:   "report DIR…",
		Short: "Write the reports of a judged run anew and sum it up, or those of all shards of a suite",
		Long: `report reads the record and verdict.json of a run's directory, writes junit.xml and report.html there, or into the directory that
--out names, and sums the run up. A record that cannot be written to is summed up all the same.
It judges nothing: that is what rollproof judge is for, and it refuses a verdict.json that was changed or is of another record. The
exit code is that of the verdict.

report --merge takes the directories of all shards of one suite, or the --out of each, and writes one report of all their runs. It
refuses a shard that is missing or there twice, shards of different builds, images or flags, and a record or verdict that was changed.
The exit code is the worst of all runs, and 3 where one never got to a verdict.`,
		Example: `  rollproof report out/20261126-0217-canary --open
  rollproof report --merge shards/1 shards/2 shards/3 shards/4 --out merged`,
		Args: func(cmd *cobra.Command, args []string) error {
			if whole {
				return arguments(1, -1)(cmd, args)
			}
			return arguments(1, 1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if whole {
				return merge(cmd, args, out, open)
			}
			verdict, err := report(cmd, args[0], out, open, acceptOf(accept)...)
			if err != nil {
				return err
			}
			return verdictError(verdict)
		},
	}
	cmd.Flags().BoolVar(&open, "open", false, "open report.html in the browser at the end")
	cmd.Flags().StringVar(&out, "out", "", "write junit.xml and report.html into this directory (default: into DIR)")
	cmd.Flags().BoolVar(&whole, "merge", false, "put the shards of one suite together into one report; needs --out")
	acceptFlag(cmd, &accept)
	cmd.MarkFlagsMutuallyExclusive("merge", "accept-unprotected")
	return cmd
}

func report(cmd *cobra.Command, dir, out string, open bool, options ...history.Option) (judge.Verdict, error) {
	h, err := history.Open(dir, options...)
	if err != nil {
		return "", err
	}
	res, err := readVerdict(dir, h)
	if err != nil {
		return "", err
	}
	timeline, err := reports.Aggregate(cmd.Context(), h)
	if err != nil {
		return "", err
	}
	to, err := reportDir(dir, out)
	if err != nil {
		return "", err
	}
	paths, unwritten := reports.WriteViews(to, timeline, res)
	w := cmd.OutOrStdout()
	if err := reports.Terminal(w, timeline, res, terminalOptions(cmd, to)); err != nil {
		return "", err
	}
	if err := notedReadOnly(cmd, dir, out, unwritten); err != nil {
		return "", err
	}
	if unwritten == nil {
		fmt.Fprintf(w, "\nwritten: %s, %s\n", paths.HTML, paths.JUnit)
	}
	if open && paths.HTML != "" {
		if err := openBrowser(cmd.Context(), paths.HTML); err != nil {
			return "", err
		}
	}
	return reports.Overall(timeline.Mistrust(res)), nil
}

// readVerdict reads the judgement of a run. One that was changed since, or is of another record, is refused.
func readVerdict(dir string, h *history.History) (judge.Result, error) {
	path := filepath.Join(dir, reports.VerdictFile)
	var res judge.Result
	err := history.OpenSealed(path, &res)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return judge.Result{}, fmt.Errorf("report the run in %s: it is not judged yet: run `rollproof judge %s` first", dir, dir)
	case err == nil && res.Verdict == "":
		err = errors.New("it holds no verdict")
	case err == nil && res.Record != h.Sum():
		err = errors.New("it judges another record, or this one was changed since")
	}
	if err != nil {
		return judge.Result{}, fmt.Errorf("read the judgement %s: %w: run `rollproof judge %s` to make it anew", path, err, dir)
	}
	return res, nil
}

// openBrowser shows a file with what the desktop has for it.
func openBrowser(ctx context.Context, path string) error {
	opener, err := exec.LookPath("xdg-open")
	if err != nil {
		opener, err = exec.LookPath("open")
	}
	if err == nil {
		err = exec.CommandContext(ctx, opener, path).Run()
	}
	if err != nil {
		return fmt.Errorf("open %s in the browser: %w: open it by hand", path, err)
	}
	return nil
}
