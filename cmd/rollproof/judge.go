package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/words"
)

func newJudgeCommand() *cobra.Command {
	var (
		slugs  []string
		out    string
		accept bool
	)
	cmd := &cobra.Command{
		Use:   "judge DIR",
		Short: "Judge the record of a run again",
		Long: `judge reads the record of a run, judges it by the checks the run was made for and those that are always judged, and
writes the verdict and the reports into DIR, or into the directory that --out names. It needs no cluster, and a record always gets
the same verdict. A record that cannot be written to is judged and shown all the same. An old verdict is removed first: what cannot be
judged is left without one.`,
		Example: `  rollproof judge out/20261123-0800-canary
  rollproof judge out/20261123-0800-canary --check mechanics.graceful
  rollproof judge /mnt/nightly/20261123-0800-canary --out out/judged`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := reportDir(args[0], out)
			if err != nil {
				return err
			}
			h, result, err := judgeRecord(cmd, args[0], dir, slugs, acceptOf(accept)...)
			if err != nil {
				return err
			}
			if err := notedReadOnly(cmd, args[0], out, showReports(cmd, h, result, dir)); err != nil {
				return err
			}
			return verdictError(result.Verdict)
		},
	}
	cmd.Flags().StringSliceVar(&slugs, "check", nil, "judge by this check too, which the run was not made for; repeat the flag for more; without evidence it is inconclusive")
	cmd.Flags().StringVar(&out, "out", "", "write the verdict and the reports into this directory (default: into DIR)")
	acceptFlag(cmd, &accept)
	return cmd
}

func acceptFlag(cmd *cobra.Command, accept *bool) {
	cmd.Flags().BoolVar(accept, "accept-unprotected", false, "judge a record of format 1 as if it were whole: it has no checksums that could tell whether it was changed")
}

func acceptOf(accept bool) []history.Option {
	if accept {
		return []history.Option{history.AcceptUnprotected()}
	}
	return nil
}

// checksFor adds the checks asked for to those the run was made for.
func checksFor(all judge.Catalogue, run history.Run, slugs []string) ([]judge.Check, error) {
	asked, err := all.Find(slugs...)
	var unknown *judge.UnknownCheckError
	if errors.As(err, &unknown) {
		var slugs []string
		for _, check := range all {
			slugs = append(slugs, check.Slug)
		}
		return nil, fmt.Errorf("--check %s: there is no such check%s", unknown.Slug, words.DidYouMean(unknown.Slug, slugs))
	}
	if err != nil {
		return nil, err
	}
	return append(asked, all.For(run)...), nil
}
