package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/reports"
	"bitvault.dev/rollproof/scenarios/teeth"
)

// resumed returns the suite that --resume names, nil without the flag, and the names that the suite was asked for. Flags and names that are not
// typed are taken from the suite. What is typed must say the same as the suite does, see suite.GoesOn.
func (f *labFlags) resumed(cmd *cobra.Command, names []string) (*kept, []string, error) {
	if f.resume == "" {
		return nil, names, nil
	}
	s, err := suite.Open(f.resume)
	if err != nil {
		return nil, nil, fmt.Errorf("--resume %s: %w", f.resume, err)
	}
	if s.Command != cmd.Name() {
		return nil, nil, fmt.Errorf("--resume %s: the suite in %s is of `rollproof %s`: go on with it by that command", f.resume, s.Dir(), s.Command)
	}
	k := &kept{Suite: s}
	if err := k.hold(); err != nil {
		return nil, nil, fmt.Errorf("--resume %s: %w", f.resume, err)
	}
	if k.Suite, err = suite.Open(s.Dir()); err != nil { // nobody changes it from here on
		return nil, nil, errors.Join(fmt.Errorf("--resume %s: %w", f.resume, err), k.release())
	}
	if err := f.takeFrom(cmd, k.Suite); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("--resume %s: %w", f.resume, err), k.release())
	}
	if len(names) == 0 {
		names = k.Names
	}
	return k, names, nil
}

// takeFrom sets the flags that are not typed to what the suite was performed with.
func (f *labFlags) takeFrom(cmd *cobra.Command, s *suite.Suite) error {
	out := filepath.Dir(s.Dir())
	if flag := cmd.Flag("out"); flag.Changed && filepath.Clean(flag.Value.String()) != out {
		return fmt.Errorf("its runs are recorded in %s: leave --out away", out)
	}
	was := map[string]string{
		"pace": s.Pace, "rate": strconv.FormatFloat(s.Rate, 'g', -1, 64) + "/s", "repeat": strconv.Itoa(s.Repeat),
		"shard": s.Shard.String(), "label": s.Label, "config": s.Config, "out": out,
	}
	if s.Again > 0 { // teeth has no such flag
		was["again"] = strconv.Itoa(s.Again)
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if flag := cmd.Flag(name); flag.Changed || was[name] == "" {
			continue
		}
		if err := cmd.Flags().Set(name, was[name]); err != nil {
			return fmt.Errorf("it was performed with --%s %s: %w", name, was[name], err)
		}
	}
	return nil
}

// examine checks what the suite says of its runs against their records, judges what a killed command left open, and adds a run for each that is to
// be performed again, as it was broken off, or by --again.
func (k *kept) examine(cmd *cobra.Command) error {
	for i := range k.Runs {
		r := &k.Runs[i]
		switch {
		case r.State == suite.Begun:
			if err := k.settle(cmd, r); err != nil {
				return err
			}
		case r.State == suite.Judged:
			if _, err := vouched(cmd.Context(), k.Suite, *r); err != nil {
				return err
			}
		}
	}
	if err := k.Distinct(); err != nil {
		return fmt.Errorf("go on with the suite in %s: %w", k.Dir(), err)
	}
	k.Reopen()
	k.PutAgain() // the command may have ended between a verdict that proves nothing and the next run
	k.left = k.Left()
	return k.Save()
}

// settle judges the record of a run whose command was killed: the run itself may have come to its end.
func (k *kept) settle(cmd *cobra.Command, r *suite.Run) error {
	r.State, r.Reason = suite.BrokenOff, "the command was killed"
	dir := k.RecordOf(*r)
	if r.Dir == "" {
		return nil
	}
	h, result, err := judgeRecord(cmd, dir, dir, nil)
	if h == nil {
		r.Reason += "; " + oneLine(err)
		return nil
	}
	if err != nil {
		return err
	}
	if odd := foreign(h, k.Suite, *r); odd != "" {
		return misplaced(k.Suite, *r, odd)
	}
	if _, err := reports.WriteAll(cmd.Context(), dir, h, result); err != nil {
		return err
	}
	var ran error
	if end := endOf(h); end.Outcome == history.EndFailed {
		ran = errors.New(end.Reason)
	}
	came(r, h, result, ran, k.faultOf(*r))
	return nil
}

// evidence is a run that was judged, as its record and its verdict have it.
type evidence struct {
	history  *history.History
	timeline *reports.Timeline
	result   judge.Result
}

// vouched returns the evidence of a run that was judged. It is an error when any byte of the evidence differs from what the suite recorded.
func vouched(ctx context.Context, s *suite.Suite, r suite.Run) (evidence, error) {
	dir := s.RecordOf(r)
	h, err := history.Open(dir)
	if err != nil {
		return evidence{}, fmt.Errorf("%w: bring back the record of %s, beside %s", err, r.Scenario, s.Dir())
	}
	if odd := foreign(h, s, r); odd != "" {
		return evidence{}, misplaced(s, r, odd)
	}
	result, err := readVerdict(dir, h)
	if err != nil {
		return evidence{}, err
	}
	timeline, err := reports.Aggregate(ctx, h)
	if err != nil {
		return evidence{}, err
	}
	if now := timeline.Mistrust(result); len(now.Damage) > len(result.Damage) {
		return evidence{}, fmt.Errorf("the record in %s was damaged since it was judged: %w: bring it back whole, or perform the suite anew",
			dir, &now.Damage[len(result.Damage)])
	}
	if verdict := reports.Overall(result); verdict != r.Verdict {
		return evidence{}, fmt.Errorf("the run in %s is judged %s, and %s says %s: perform the suite anew", dir, verdict, filepath.Join(s.Dir(), suite.File), r.Verdict)
	}
	if r.Tooth != nil {
		asked, _, _ := s.AskedFor(r)
		if seen, said := (teeth.Fault{Check: asked.Check, Verdict: asked.Want}).Seen(result); seen != r.Tooth.Seen {
			return evidence{}, fmt.Errorf("%s in the run in %s is %s, and %s says seen = %v: perform the suite anew", asked.Check, dir, said,
				filepath.Join(s.Dir(), suite.File), r.Tooth.Seen)
		}
	}
	return evidence{h, timeline, result}, nil
}

// misplaced is the error about a record that is not the one of a run.
func misplaced(s *suite.Suite, r suite.Run, odd string) error {
	return fmt.Errorf("the record in %s %s: it is not the one of %s in %s: bring that back, or perform the suite anew", s.RecordOf(r), odd, r.Scenario, s.Dir())
}

// foreign says what shows that a record is not the one of a run of the suite. One that was not judged yet has no sum to be known by.
func foreign(h *history.History, s *suite.Suite, r suite.Run) string {
	about := h.Run()
	switch {
	case r.Record != "" && h.Sum() != r.Record:
		return "has another sum"
	case about.Started.Before(s.Started):
		return "began before the suite"
	case about.Scenario != r.Scenario:
		return "is of " + about.Scenario
	case about.Pace != s.Pace:
		return "has pace " + about.Pace
	case about.Versions["rollproof"] != s.Build.Version:
		return "was made by rollproof " + about.Versions["rollproof"]
	}
	for name, digest := range s.Images {
		if ref := about.Versions["image "+name]; ref != "" && !strings.HasSuffix(ref, "@"+digest) {
			return "has image " + ref
		}
	}
	return ""
}

// oneLine is an error without line ends, for a record that people read.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
