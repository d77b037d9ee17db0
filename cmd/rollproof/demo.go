package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/fixtures/apps/bitvaultd/api"
	"bitvault.dev/rollproof/fixtures/demo"
	"bitvault.dev/rollproof/harness/run"
)

func newDemoCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Replace real servers under load, once gracefully and once rudely, without Docker",
		Long: `demo starts real bitvaultd processes on loopback behind a small proxy, replays traffic against them and replaces all of them
twice: once gracefully, once rudely. It then shows what was dropped, when and why, and writes the report.

It is an introduction and a test of the engine. It says nothing about Kubernetes and is no stand-in for the cluster.

The promise of zero dropped requests breaks, on purpose: the demo itself exits 0 when the engine saw exactly that (nothing dropped by
the graceful replacement, something by the rude one), 1 when it did not, 2 when the load was not good enough to tell.`,
		Annotations: map[string]string{onInterrupt: "the load and the servers are ended, in seconds"},
		Args:        noArguments,
		RunE:        func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "directory for the record and its reports; it must be new or empty (default out/<start>-demo)")
	return cmd
}

func runDemo(cmd *cobra.Command, out string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, to run it as bitvaultd: %w", err)
	}
	about := demo.About(run.About(cmd.Context()))
	rec, err := startRecord(about, out)
	if err != nil {
		return err
	}
	display := displayOf(cmd)
	say := func(format string, args ...any) {
		fmt.Fprintf(display, "%5.1fs  %s\n", rec.Clock().Now().Seconds(), fmt.Sprintf(format, args...))
	}
	launch := demo.Launch{Program: self, Args: []string{bitvaultdCommand}}
	step := display.Start("load and replacements")
	if err := closeRecord(rec, step.Done(demo.Record(cmd.Context(), rec, launch, say))); err != nil {
		return err
	}
	h, result, err := conclude(cmd, rec.Dir())
	if err != nil {
		return err
	}
	expected, err := demo.Expect(h, result)
	if err != nil {
		return err
	}
	return demoVerdict(cmd, result, expected)
}

// bitvaultdCommand runs this binary as a bitvaultd. It is for the demo alone: clusters run the image.
const bitvaultdCommand = "bitvaultd"

func newBitvaultdCommand() *cobra.Command {
	return &cobra.Command{
		Use:                bitvaultdCommand,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			go endWith(cmd.InOrStdin())
			if code := api.Main(args, cmd.ErrOrStderr()); code != 0 {
				return exitError(code)
			}
			return nil
		},
	}
}

// endWith ends this process when its parent is gone, however that ended: the parent holds the other end of stdin.
func endWith(stdin io.Reader) {
	_, _ = io.Copy(io.Discard, stdin)
	os.Exit(exitCouldNotRun)
}
