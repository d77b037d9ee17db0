// Command rollproof proves that a stack's rollouts drop nothing.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"bitvault.dev/rollproof/cmd/rollproof/supervise"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/run"
)

// Exit codes of every command. Scripts and CI jobs depend on them.
const (
	exitPass         = 0
	exitBroken       = 1
	exitInconclusive = 2
	exitCouldNotRun  = 3
)

// exitError carries an exit code out of a command that has already said everything the user needs.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() { os.Exit(start(newRootCommand())) }

// start executes this program again in a child process, which runs the command, and watches it from this one.
func start(root *cobra.Command) int {
	if len(os.Args) > 1 && os.Args[1] == bitvaultdCommand {
		return execute(context.Background(), root) // a server has signals of its own, and gives no verdict
	}
	child, watched := supervise.Adopt()
	if !watched {
		return watch(root)
	}
	signals := child.Interrupts(func() { os.Exit(exitCouldNotRun) }) // before the command does anything that has to be undone
	klog.SetLogger(logr.Discard())                                   // client-go also logs the errors that it returns
	ctx, interrupt := context.WithCancelCause(supervise.NewContext(context.Background(), child))
	display := openDisplay(os.Stderr)
	root.SetErr(display)
	go obey(child, signals, display, waitsFor(root), interrupt)
	code := execute(ctx, root)
	child.Announce(code)
	return code
}

// execute runs the command and turns its outcome into an exit code. An error is printed once, as one line. The display is opened before
// everything else, and closed after it.
func execute(ctx context.Context, root *cobra.Command) int {
	display := displayOf(root)
	defer display.Close()
	line := load.ReadCommandLine(os.Args[1:])
	display.Redact(line.Redact)
	root.SetErr(display)
	root.SetOut(line.Writer(root.OutOrStdout()))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitPass
	}
	code, err := verdictOf(err)
	if err == nil {
		return int(code)
	}
	// An error that an interrupt caused seldom says so: a program that was started says "signal: killed".
	if cause := context.Cause(ctx); cause != nil && !strings.HasPrefix(err.Error(), cause.Error()) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	var crash *run.PanicError
	if errors.As(err, &crash) {
		err = fmt.Errorf("%w; %s", err, keepStack(crash.Stack))
	}
	fmt.Fprintf(display, "rollproof: %s\n", strings.ReplaceAll(err.Error(), "\n", "; ")) // joined errors come in lines of their own
	return exitCouldNotRun
}

// verdictOf splits an error into the exit code that it carries and the rest, which is still to be printed. The rest is nil where there is none.
func verdictOf(err error) (code exitError, other error) {
	if !errors.As(err, &code) {
		return 0, err
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return code, nil
	}
	var others []error
	for _, e := range joined.Unwrap() {
		_, other := verdictOf(e)
		others = append(others, other)
	}
	return code, errors.Join(others...)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "rollproof",
		Short: "Prove that rollouts drop nothing",
		Long: `rollproof replays traffic against a real stack while it rolls out, drains and breaks it on purpose,
and says for each promise of the rollout strategy whether it held.

Exit codes: 0 every promise held, 1 a promise was broken, 2 inconclusive (the run proves nothing), 3 could not run.`,
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return refuseSecrets(cmd.Flags()) },
	}
	root.SetVersionTemplate("{{.Version}}\n") // the same as of `rollproof version`
	root.AddCommand(commands()...)
	addCompletions(root)
	verbsOnly(root)
	for _, group := range root.Commands() {
		if group.HasSubCommands() && !group.Runnable() {
			verbsOnly(group)
		}
	}
	root.SetFlagErrorFunc(explainFlag)
	wrapHelp(root)
	return root
}

// refuseSecrets refuses passwords and header fields where none belong: they would become the name of a file, or of a cluster.
func refuseSecrets(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if several, ok := f.Value.(pflag.SliceValue); ok {
			values = several.GetSlice()
		}
		if f.Name != "target" && f.Name != "control" && f.Name != "header" && slices.ContainsFunc(values, load.HoldsSecret) {
			err = fmt.Errorf("--%s holds a password or a header field, which belong to --target, --control and --header of attack", f.Name)
		}
	})
	return err
}

// wrapHelp makes help fit the terminal it is printed on.
func wrapHelp(root *cobra.Command) {
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		out := cmd.OutOrStdout()
		var text bytes.Buffer
		cmd.SetOut(&text)
		help(cmd, args)
		cmd.SetOut(out)
		_ = progress.Print(out, text.String()) // a reader that is gone needs no help
	})
}

// commands lists what the command line offers, in the order help shows it.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newRunCommand(),
		newListCommand(),
		newTeethCommand(),
		newDemoCommand(),
		newAttackCommand(),
		newJudgeCommand(),
		newReportCommand(),
		newTrafficCommand(),
		newClusterCommand(),
		newStackCommand(),
		newImagesCommand(),
		newDockerCommand(),
		newVersionCommand(),
		newBitvaultdCommand(),
	}
}
