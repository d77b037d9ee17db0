package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/fixtures/lab"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/harness/words"
	"bitvault.dev/rollproof/reports"
	"bitvault.dev/rollproof/scenarios/teeth"
)

func newTeethCommand() *cobra.Command {
	var f labFlags
	var label string
	cmd := &cobra.Command{
		Use:   "teeth [check…]",
		Short: "Plant a fault under each check on the real stack, and see whether the check turns",
		Long: `A check that was never seen to fail proves nothing when it is green. teeth plants a fault under each check (no preStop, a threshold
that is too wide, a budget that selects nothing, …), runs a scenario, and wants the check red. The matrix is printed and written as
teeth.json, junit.xml and teeth.html. A fault that survives is exit code 1. --resume goes on where a teeth command was broken off.`,
		Example: `  rollproof teeth --label smoke
  rollproof teeth mechanics.pdb canary.steps
  rollproof teeth --resume out/20261126-021700-teeth`,
		Annotations: map[string]string{onInterrupt: runEnds, makesCluster: "yes"},
		RunE: func(cmd *cobra.Command, checks []string) error {
			resumed, checks, err := f.resumed(cmd, checks)
			if err != nil {
				return err
			}
			return errors.Join(bite(cmd, f, resumed, label, checks), resumed.release())
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&label, "label", "", "only faults with this label, e.g. smoke")
	return cmd
}

func bite(cmd *cobra.Command, f labFlags, resumed *kept, label string, checks []string) (err error) {
	world, err := f.listed()
	if err != nil {
		return err
	}
	wanted, err := chosenFaults(world, label, checks)
	if err != nil {
		return err
	}
	k, err := f.suiteOf(cmd, resumed, suite.Terms{Label: label, Names: checks}, teeth.Scenarios(wanted), wanted)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.release()) }()
	if len(k.left) == 0 {
		return concludeTeeth(cmd, k.Dir(), k.parts(), nil)
	}
	load.TuneMemory()
	l, err := f.open(cmd, "rollproof teeth", teeth.Scenarios(at(wanted, k.Runs, k.left)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(cmd.Context()))) }()
	faults, err := chosenFaults(l.World, label, checks)
	if err != nil {
		return err
	}
	if err := k.start(f.out, l.Digests()); err != nil {
		return err
	}
	broken := plantAll(cmd, l, f.out, at(faults, k.Runs, k.left), k)
	return concludeTeeth(cmd, k.Dir(), k.parts(), errors.Join(broken, unfinished(k.Suite)))
}

// plantAll plants faults until there are no more, the command is interrupted, or a cluster that was left broken cannot be made anew.
func plantAll(cmd *cobra.Command, l *lab.Lab, out string, faults []teeth.Fault, k *kept) error {
	performer := performerOf(cmd, l, out)
	performer.Begin = func(_ run.Scenario, nth, of int) {
		fault := faults[nth-1]
		displayOf(cmd).Say("fault %d of %d under %s: %s", nth, of, fault.Check, fault.Planted)
	}
	k.follow(&performer)
	follow := performer.Done
	performer.Done = func(p run.Performed) error {
		at := k.left[k.next]
		err := follow(p)
		tooth := toothOf(suite.Part{Run: k.Runs[at], Of: k.Suite})
		displayOf(cmd).Say("%s: %s", tooth.Check, tooth.Said)
		return err
	}
	_, err := performer.Perform(cmd.Context(), teeth.Scenarios(faults)...)
	return err
}

// concludeTeeth writes the matrix of planted faults into a directory and shows it. The error carries the exit code, and what went wrong.
func concludeTeeth(cmd *cobra.Command, dir string, parts []suite.Part, broken error) error {
	matrix := &reports.Teeth{Started: parts[0].Of.Started}
	for _, p := range parts {
		tooth := toothOf(p)
		if tooth.Dir != "" {
			tooth.Path = reports.From(dir, tooth.Dir)
		}
		matrix.Add(tooth)
	}
	if err := writeTeeth(dir, matrix); err != nil {
		return errors.Join(err, broken)
	}
	if err := reports.TeethTerminal(cmd.OutOrStdout(), matrix); err != nil {
		return errors.Join(err, broken)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "report   %s\n", filepath.Join(dir, "teeth.html"))
	if !matrix.Sharp() {
		return errors.Join(exitError(exitBroken), broken)
	}
	return broken
}

func chosenFaults(w bitvault.World, label string, checks []string) ([]teeth.Fault, error) {
	all := teeth.All(w)
	for _, check := range checks {
		if !slices.ContainsFunc(all, func(f teeth.Fault) bool { return f.Check == check }) {
			return nil, fmt.Errorf("no fault is planted under %q%s; `rollproof list` shows the checks", check, words.Meant(check, plantedChecks()))
		}
	}
	chosen := slices.DeleteFunc(all, func(f teeth.Fault) bool {
		return label != "" && !f.Scenario.Labelled(label) || len(checks) > 0 && !slices.Contains(checks, f.Check)
	})
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no planted fault carries the label %q: say smoke, or leave it out", label)
	}
	return chosen, nil
}

// toothOf is what became of a planted fault. One that was never planted is in the matrix too: nobody knows whether its check would have
// turned.
func toothOf(p suite.Part) reports.Tooth {
	asked, _, _ := p.Of.AskedFor(p.Run)
	tooth := reports.Tooth{Check: asked.Check, Planted: asked.Planted, Want: string(asked.Want), Took: p.Took}
	if p.Dir != "" {
		tooth.Dir = p.Of.RecordOf(p.Run)
	}
	switch {
	case p.State == suite.NotBegun:
		tooth.Said = "not planted: the run ended before"
	case p.Tooth == nil:
		tooth.Said = string(p.State) + ": " + p.Reason
	default:
		tooth.Tried, tooth.Seen, tooth.Said = true, p.Tooth.Seen, p.Tooth.Said
	}
	return tooth
}

func writeTeeth(dir string, matrix *reports.Teeth) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the matrix of planted faults: %w", err)
	}
	if err := history.WriteJSON(filepath.Join(dir, "teeth.json"), matrix); err != nil {
		return err
	}
	views := map[string]func(io.Writer, *reports.Teeth) error{"junit.xml": reports.TeethJUnit, "teeth.html": reports.TeethHTML}
	for name, view := range views {
		var buf bytes.Buffer
		if err := view(&buf, matrix); err != nil {
			return err
		}
		if err := history.WriteFile(filepath.Join(dir, name), buf.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
