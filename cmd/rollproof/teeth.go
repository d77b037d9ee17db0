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
	"time"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/fixtures/lab"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/run"
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
teeth.json, junit.xml and teeth.html. A fault that survives is exit code 1.`,
		Example: `  rollproof teeth --label smoke
  rollproof teeth mechanics.pdb canary.steps`,
		Annotations: map[string]string{onInterrupt: runEnds, makesCluster: "yes"},
		RunE:        func(cmd *cobra.Command, checks []string) error { return bite(cmd, f, label, checks) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&label, "label", "", "only faults with this label, e.g. smoke")
	return cmd
}

func bite(cmd *cobra.Command, f labFlags, label string, checks []string) (err error) {
	world, err := f.listed()
	if err != nil {
		return err
	}
	wanted, err := chosenFaults(world, label, checks)
	if err != nil {
		return err
	}
	part, err := f.part(teeth.Scenarios(wanted))
	if err != nil {
		return err
	}
	load.TuneMemory()
	l, err := f.open(cmd, "rollproof teeth", teeth.Scenarios(at(wanted, part)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(cmd.Context()))) }()
	faults, err := chosenFaults(l.World, label, checks)
	if err != nil {
		return err
	}
	matrix := &reports.Teeth{Started: time.Now().UTC()}
	broken := plantAll(cmd, l, f.out, at(faults, part), matrix)
	dir := filepath.Join(f.out, matrix.Started.Format("20060102-150405")+"-teeth")
	if err := writeTeeth(dir, matrix); err != nil {
		return err
	}
	if err := reports.TeethTerminal(cmd.OutOrStdout(), matrix); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "report   %s\n", filepath.Join(dir, "teeth.html"))
	if !matrix.Sharp() {
		return errors.Join(exitError(exitBroken), broken)
	}
	return broken
}

// plantAll plants faults until there are no more, the command is interrupted, or a cluster that was left broken cannot be made anew.
func plantAll(cmd *cobra.Command, l *lab.Lab, out string, faults []teeth.Fault, matrix *reports.Teeth) error {
	performer := performerOf(cmd, l, out)
	performer.Begin = func(_ run.Scenario, nth, of int) {
		fault := faults[nth-1]
		displayOf(cmd).Say("fault %d of %d under %s: %s", nth, of, fault.Check, fault.Planted)
	}
	performer.Done = func(p run.Performed) error {
		tooth := toothOf(faults[len(matrix.Faults)], p)
		matrix.Add(tooth)
		displayOf(cmd).Say("%s: %s", tooth.Check, tooth.Said)
		return nil
	}
	_, err := performer.Perform(cmd.Context(), teeth.Scenarios(faults)...)
	return err
}

func chosenFaults(w bitvault.World, label string, checks []string) ([]teeth.Fault, error) {
	all := teeth.All(w)
	for _, check := range checks {
		if !slices.ContainsFunc(all, func(f teeth.Fault) bool { return f.Check == check }) {
			return nil, fmt.Errorf("no fault is planted under %q%s; `rollproof list` shows the checks", check, words.DidYouMean(check, plantedChecks()))
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
func toothOf(fault teeth.Fault, p run.Performed) reports.Tooth {
	tooth := reports.Tooth{Check: fault.Check, Planted: fault.Planted, Want: string(fault.Verdict), Dir: p.Dir, Took: p.Took}
	switch {
	case p.NotBegun:
		tooth.Said = "not planted: the run ended before"
	case p.Skipped != "":
		tooth.Said = "skipped: " + p.Skipped
	case p.History == nil:
		tooth.Said = fmt.Sprintf("could not run: %v", p.Err)
	default: // an error of the run may be the fault itself; what was recorded until then is judged
		tooth.Seen, tooth.Said = fault.Seen(p.Result)
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
