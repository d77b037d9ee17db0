package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// asCommand makes the test binary the command: its TestMain is then main, with a few commands more.
const asCommand = "ROLLPROOF_TEST_BINARY_IS_THE_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) == "" {
		os.Exit(m.Run())
	}
	root := newRootCommand()
	root.AddCommand(newStepsCommand(), newCrashCommand(), newLingerCommand())
	os.Exit(start(root))
}

func TestExecuteMapsOutcomesToExitCodes(t *testing.T) {
	cases := map[string]struct {
		err  error
		code int
		text string
	}{
		"success":            {nil, exitPass, ""},
		"plain error":        {errors.New("no engine answers"), exitCouldNotRun, "rollproof: no engine answers\n"},
		"code already told":  {exitError(exitBroken), exitBroken, ""},
		"inconclusive is 2 ": {exitError(exitInconclusive), exitInconclusive, ""},
		"a verdict, and a cluster that could not be removed": {errors.Join(exitError(exitBroken), errors.New("remove the cluster: no engine")), exitCouldNotRun,
			"rollproof: remove the cluster: no engine\n"},
		"a verdict, joined with nothing": {errors.Join(errors.Join(exitError(exitBroken)), nil), exitBroken, ""},
		"two errors in one line":         {fmt.Errorf("heal: %w (after %w)", errors.New("a"), errors.New("b")), exitCouldNotRun, "rollproof: heal: a (after b)\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			cmd := &cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return c.err }}
			cmd.SetErr(&out)
			cmd.SetArgs(nil)
			if got := execute(context.Background(), cmd); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
			if out.String() != c.text {
				t.Errorf("printed %q, want %q", out.String(), c.text)
			}
		})
	}
}

func TestAnInterruptIsTold(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(context.Background())
	var out bytes.Buffer
	cmd := &cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error {
		interrupt(errors.New("interrupt signal received"))
		return errors.New("go list: signal: killed")
	}}
	cmd.SetErr(&out)
	cmd.SetArgs(nil)
	if code := execute(ctx, cmd); code != exitCouldNotRun || out.String() != "rollproof: interrupt signal received: go list: signal: killed\n" {
		t.Errorf("exit code %d, printed %q", code, out.String())
	}
}

func TestUnknownCommandIsOneClearLine(t *testing.T) {
	var out bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs([]string{"versio"})
	if code := execute(context.Background(), root); code != exitCouldNotRun {
		t.Errorf("exit code %d, want %d", code, exitCouldNotRun)
	}
	if !strings.Contains(out.String(), "versio") || !strings.Contains(out.String(), "version") {
		t.Errorf("the message names neither the mistake nor the nearest command: %q", out.String())
	}
}
