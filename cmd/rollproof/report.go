package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/reports"
)

func newReportCommand() *cobra.Command {
	var (
		open bool
		out  string
	)
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Write the reports of a judged run anew and sum it up",
		Long: `report reads the record and verdict.json of a run's directory, writes junit.xml and report.html there, or into the directory that
--out names, and sums the run up. A record that cannot be written to is summed up all the same.
It judges nothing: that is what rollproof judge is for. The exit code is that of the verdict.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			verdict, err := report(cmd, args[0], out, open)
			if err != nil {
				return err
			}
			return verdictError(verdict)
		},
	}
	cmd.Flags().BoolVar(&open, "open", false, "open report.html in the browser")
	cmd.Flags().StringVar(&out, "out", "", "directory for junit.xml and report.html (default DIR)")
	return cmd
}

func report(cmd *cobra.Command, dir, out string, open bool) (judge.Verdict, error) {
	h, err := history.Open(dir)
	if err != nil {
		return "", err
	}
	res, err := readVerdict(dir)
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

// readVerdict reads the judgement of a run.
func readVerdict(dir string) (judge.Result, error) {
	path := filepath.Join(dir, reports.VerdictFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return judge.Result{}, fmt.Errorf("report the run in %s: it is not judged yet: run `rollproof judge %s` first", dir, dir)
	}
	var res judge.Result
	if err == nil {
		err = json.Unmarshal(data, &res)
	}
	if err == nil && res.Verdict == "" {
		err = errors.New("it holds no verdict")
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
