package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/load/accesslog"
)

func newTrafficCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "traffic",
		Short: "Make and check files of requests to replay",
	}
	cmd.AddCommand(newTrafficConvertCommand(), newTrafficCheckCommand())
	return cmd
}

// conversion is what the flags of traffic convert ask for.
type conversion struct {
	log     string // "-" is standard input
	out     string // empty is standard output
	summary string // text or json
	accesslog.Options
}

func newTrafficConvertCommand() *cobra.Command {
	var c conversion
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Turn an access log into a traffic file",
		Long: `convert turns an access log into a traffic file on standard output, or in the file that --out names: whole or not at all.
FILE - is standard input; a log compressed by gzip is read as it is.

Only GET, HEAD, OPTIONS and TRACE are taken: an access log does not hold what a POST carried. Lines that no client of the application
sent (scanners, TLS on a plain port, lines of an error log) are left out. What is left out is counted by reason, with the number of its
first line, on standard error. A log of which most lines are not of its format is refused.

Formats (--from); the format is detected where none is named, and told:
` + formatTable() + `
Not supported: formats without a time or with the request in several columns (morgan's tiny and dev, uvicorn, Rails, Squid), CSV,
and JSON with keys of your own. Rename the keys as nginx-json has them, for example by jq.

Exit codes: 0 the traffic file is written, 3 it is not.`,
		Example: `  # a log of nginx, Apache, Traefik, Envoy, …: the format is detected
  rollproof traffic convert --out day.jsonl access.log

  # the access log of an ingress controller, straight from the cluster
  kubectl logs -n ingress-nginx deploy/ingress-nginx-controller | rollproof traffic convert --from ingress-nginx --out day.jsonl -

  # in a script: what was left out as one JSON line on standard error, and nothing odd let pass
  rollproof traffic convert --from traefik-json --strict --output json --out day.jsonl access.json.gz 2>summary.json`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.log = args[0]
			if c.summary != "text" && c.summary != "json" {
				return fmt.Errorf("--output %s: want text or json", c.summary)
			}
			if err := c.run(cmd); err != nil {
				return fmt.Errorf("convert %s: %w", c.log, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&c.Format, "from", accesslog.Auto, "format of the log, of those above")
	cmd.Flags().StringVar(&c.out, "out", "", "file to write, which must not exist (default: standard output)")
	cmd.Flags().BoolVar(&c.Strict, "strict", false, "end at the first line that is odd or has to be changed, and write nothing")
	cmd.Flags().StringVarP(&c.summary, "output", "o", "text", "what was left out, on standard error: text or json")
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(accesslog.FormatNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func formatTable() string {
	var table strings.Builder
	for _, f := range accesslog.Formats() {
		names := strings.Join(append([]string{f.Name}, f.Aliases...), ", ")
		fmt.Fprintf(&table, "  %s\n      %s\n", names, strings.ReplaceAll(f.About, "\n", "\n      "))
	}
	return table.String()
}

func (c *conversion) run(cmd *cobra.Command) error {
	in, err := c.openLog(cmd)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := c.create(cmd)
	if err != nil {
		return err
	}
	defer out.discard()
	log, err := accesslog.Read(interruptible(cmd.Context(), in), c.Options)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := writeTraffic(cmd.Context(), out, log); err != nil {
		return err
	}
	if err := out.commit(); err != nil {
		return err
	}
	return c.tell(cmd.ErrOrStderr(), &log.Summary)
}

func (c *conversion) openLog(cmd *cobra.Command) (io.ReadCloser, error) {
	if c.log == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	info, err := os.Stat(c.log)
	if err != nil {
		return nil, withoutPath(err)
	}
	if info.IsDir() {
		return nil, errors.New("it is a directory: want an access log")
	}
	file, err := os.Open(c.log)
	return file, withoutPath(err)
}

// interruptible reads r until ctx is done: a read of a terminal or a pipe may otherwise wait for ever. The read that is under way then
// is left to itself.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err)
	}()
	return out
}

// output is where the traffic goes. A file appears when it is committed, and not otherwise.
type output struct {
	*bufio.Writer
	commit  func() error
	discard func()
}

func (c *conversion) create(cmd *cobra.Command) (*output, error) {
	if c.out == "" {
		w := bufio.NewWriter(cmd.OutOrStdout())
		return &output{Writer: w, commit: w.Flush, discard: func() {}}, nil
	}
	info, err := os.Stat(c.out)
	switch {
	case err == nil && info.IsDir():
		return nil, fmt.Errorf("--out %s is a directory: name a file", c.out)
	case err == nil && info.Mode().IsRegular():
		return nil, fmt.Errorf("--out %s exists: remove it, or name another file", c.out)
	case err == nil: // a device or a pipe cannot be replaced
		file, err := os.OpenFile(c.out, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", c.out, withoutPath(err))
		}
		w := bufio.NewWriter(file)
		return &output{Writer: w, commit: func() error { return errors.Join(w.Flush(), file.Close()) }, discard: func() { _ = file.Close() }}, nil
	}
	file, err := renameio.NewPendingFile(c.out, renameio.WithPermissions(0o644))
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", c.out, withoutPath(err))
	}
	w := bufio.NewWriter(file)
	commit := func() error {
		if err := w.Flush(); err != nil {
			return err
		}
		return file.CloseAtomicallyReplace()
	}
	return &output{Writer: w, commit: commit, discard: func() { _ = file.Cleanup() }}, nil
}

func writeTraffic(ctx context.Context, out io.Writer, log *accesslog.Log) error {
	for entry, err := range log.Entries() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = entry.Write(out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tell prints what was taken and what was left out.
func (c *conversion) tell(w io.Writer, s *accesslog.Summary) error {
	if c.summary == "json" {
		return json.NewEncoder(w).Encode(s)
	}
	how := ""
	if s.Detected {
		how = " (detected)"
	}
	fmt.Fprintf(w, "%s is %s%s: requests taken: %d of %d lines, over %s\n", c.log, s.Format, how, s.Requests, s.Lines, s.Span)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, part := range []struct {
		title, column string
		counts        []accesslog.Count
	}{{"left out", "why", s.LeftOut}, {"changed", "what", s.Mended}} {
		if len(part.counts) > 0 {
			fmt.Fprintf(table, "%s\tlines\tfirst line\t%s\n", part.title, part.column)
		}
		for _, n := range part.counts {
			fmt.Fprintf(table, "  %s\t%d\t%d\t%s\n", n.Reason, n.Lines, n.First, n.Reason.Text())
		}
	}
	return table.Flush()
}

// withoutPath takes the name of the file out of an error of the file system: the caller's message has it.
func withoutPath(err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return inner.Err
	}
	return err
}

func newTrafficCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Read a traffic file from end to end and say what it holds",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := load.OpenTraffic(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d requests, %d of them unsafe (POST and its like), over %s\n", t.Entries, t.Unsafe, t.Last)
			return nil
		},
	}
}
