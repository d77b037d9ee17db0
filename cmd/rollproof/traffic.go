package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/load"
)

func newTrafficCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "traffic",
		Short: "Make and check files of requests to replay",
	}
	cmd.AddCommand(newTrafficConvertCommand(), newTrafficCheckCommand())
	return cmd
}

func newTrafficConvertCommand() *cobra.Command {
	var from, out string
	cmd := &cobra.Command{
		Use:   "convert --from FORMAT FILE",
		Short: "Turn an access log into a traffic file",
		Long: `convert turns an access log into a traffic file on standard output, or in the file that --out names.
FILE - is standard input. Only GET, HEAD and OPTIONS are taken: an access log does not hold what a POST carried.`,
		Example: "  rollproof traffic convert --from combined --out day.jsonl access.log",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return convertTraffic(cmd, from, args[0], out)
		},
	}
	cmd.Flags().StringVar(&from, "from", "combined", "format of the log: "+strings.Join(load.LogFormats(), ", "))
	cmd.Flags().StringVar(&out, "out", "", "file to write (default: standard output)")
	return cmd
}

func convertTraffic(cmd *cobra.Command, from, file, out string) error {
	log := io.NopCloser(cmd.InOrStdin())
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("convert traffic: %w", err)
		}
		log = f
	}
	defer log.Close()
	converted, err := load.Convert(from, log)
	if err != nil {
		return fmt.Errorf("convert %s: %w", file, err)
	}
	var lines bytes.Buffer
	for _, entry := range converted.Entries {
		if err := entry.Write(&lines); err != nil {
			return err
		}
	}
	if out == "" {
		_, err = cmd.OutOrStdout().Write(lines.Bytes())
	} else {
		err = history.WriteFile(out, lines.Bytes())
	}
	if err != nil {
		return fmt.Errorf("convert %s: %w", file, err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d requests; left out: %d unsafe ones (POST and its like), %d lines without a request\n",
		len(converted.Entries), converted.Unsafe, converted.Blank)
	return nil
}

func newTrafficCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Read a traffic file from end to end and say what it holds",
		Args:  cobra.ExactArgs(1),
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
