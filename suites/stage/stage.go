// Package stage gives the suites of `go test` their cluster. go starts packages side by side and kills each after its -timeout, so
// they take turns by a lock, and a scenario that no longer fits before the end is not begun.
package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/fixtures/lab"
	"bitvault.dev/rollproof/harness/images"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/words"
	"bitvault.dev/rollproof/reports"
)

// spare is the time kept for what comes after the last scenario: healing, reports, the cluster's removal.
const spare = 90 * time.Second

// Stage is a cluster held by one suite.
type Stage struct {
	lab     *lab.Lab
	display *progress.Display // from the first line of the suite to its last
	ending  time.Time
	out     string
	ran     int // scenarios
}

// Open takes the cluster for a suite, waiting for another that holds it. It never builds images: without them it ends at once with
// the command to type first. ending is when go test kills the process; zero for never. Nothing but what the given scenarios name is made.
func Open(ctx context.Context, suite, pace string, ending time.Time, scenarios ...run.Scenario) (*Stage, error) {
	root, err := images.FindRoot(".")
	if err != nil {
		return nil, err
	}
	cache, err := images.CacheDir()
	if err != nil {
		return nil, err
	}
	load.TuneMemory()
	display := progress.New(os.Stderr, filepath.Join(cache, "durations.json"))
	l, err := lab.Open(ctx, lab.Options{
		Root: root, Images: "source", Pace: pace, Holder: suite, Wait: true, NoBuild: true, Scenarios: scenarios, Display: display, Say: display.Say,
	})
	if err != nil {
		display.Close()
		return nil, err
	}
	return &Stage{lab: l, display: display, ending: ending, out: filepath.Join(root, "out")}, nil
}

// World is what scenarios are made for.
func (s *Stage) World() bitvault.World { return s.lab.World }

// NoTimeFor says why a scenario is not begun, "" when it fits before the end.
func (s *Stage) NoTimeFor(scenario run.Scenario) string {
	if s.ending.IsZero() {
		return ""
	}
	return tooShort(scenario, time.Until(s.ending))
}

// tooShort says why a scenario does not fit into the time that is left, "" when it does.
func tooShort(scenario run.Scenario, left time.Duration) string {
	usually := scenario.Usually()
	if left >= usually*3/2+spare {
		return ""
	}
	return fmt.Sprintf("%s usually takes %s and go test ends in %s: say -timeout 60m", scenario.Name, words.Span(usually.Round(time.Second)), words.Span(left.Round(time.Second)))
}

// Perform runs a scenario and writes its reports below out/. A cluster that the one before left broken is made anew first.
func (s *Stage) Perform(ctx context.Context, scenario run.Scenario) (run.Outcome, error) {
	performer := run.Performer{
		Site:   s.lab,
		Runner: run.Runner{Out: s.out, Pace: s.World().Strategy.Pace, About: run.About(ctx), Say: s.display.Say},
		Report: s.report,
	}
	performed, err := performer.Perform(ctx, scenario)
	only := performed[0]
	if only.NotBegun {
		return only.Outcome, errors.Join(err, context.Cause(ctx))
	}
	if only.Skipped == "" {
		s.ran++
	}
	return only.Outcome, errors.Join(err, only.Err)
}

// report writes the reports of a run beside its record, and sums it up.
func (s *Stage) report(ctx context.Context, o run.Outcome) error {
	paths, err := reports.Show(ctx, s.display, o.History, o.Result, reports.TerminalOptions{Dir: o.Dir})
	if paths.HTML != "" {
		s.display.Say("report %s", paths.HTML)
	}
	return err
}

// Idle reports whether no scenario was run: each was skipped, and nothing is proved. A suite that could not begin has failed already.
func (s *Stage) Idle() bool { return s != nil && s.ran == 0 }

// Close gives the cluster back, and removes it if this suite made it. A nil stage is closed already.
func (s *Stage) Close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	defer s.display.Close()
	return s.lab.Close(context.WithoutCancel(ctx))
}
