package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/fixtures/lab"
	"bitvault.dev/rollproof/harness/flock"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/images"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/site/kind"
	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/harness/words"
	"bitvault.dev/rollproof/reports"
	"bitvault.dev/rollproof/scenarios/teeth"
)

// kept is the suite of a run or teeth command while it is performed: its record follows what becomes of the runs.
type kept struct {
	*suite.Suite
	faults []teeth.Fault // of teeth: what was asked for, in the suite's order
	lock   *flock.Lock   // keeps other commands from going on with the suite meanwhile; nil before it has a directory

	left []int // indexes of the runs that are performed now, in their order
	next int   // of left: which one is performed
	err  error // the record could not be written; Done tells the performer
}

// suiteOf returns the suite of this command: a new one, or the one that --resume goes on with. wanted is what the terms ask for. faults is what is
// planted in each; nil for scenarios as they are.
func (f *labFlags) suiteOf(cmd *cobra.Command, resumed *kept, terms suite.Terms, wanted []run.Scenario, faults []teeth.Fault) (*kept, error) {
	positions, err := f.part(wanted)
	if err != nil {
		return nil, err
	}
	terms.Asked = askedFor(wanted, faults)
	if err := f.complete(&terms); err != nil {
		return nil, err
	}
	meant := suite.New(cmd.Name(), terms, f.shard, positions)
	if resumed == nil {
		return &kept{Suite: meant, faults: faults, left: meant.Left()}, nil
	}
	if err := resumed.GoesOn(meant); err != nil {
		return nil, err
	}
	resumed.faults = faults
	return resumed, resumed.examine(cmd)
}

// askedFor is how scenarios, or planted faults, stand in the record of a suite.
func askedFor(wanted []run.Scenario, faults []teeth.Fault) []suite.Asked {
	var asked []suite.Asked
	for _, s := range wanted {
		asked = append(asked, suite.Asked{Scenario: s.Name})
	}
	for i, fault := range faults {
		asked[i].Check, asked[i].Planted, asked[i].Want = fault.Check, fault.Planted, fault.Verdict
	}
	return asked
}

// complete adds to the terms of a suite what flags, project and program say. It needs no cluster, so that another suite is refused at once.
func (f *labFlags) complete(t *suite.Terms) (err error) {
	t.Pace, t.Config, t.Repeat, t.Again = f.pace, f.config, f.repeat, f.again
	if t.Rate, err = load.ParseRate(f.rate); err != nil {
		return fmt.Errorf("--rate %s: %w", f.rate, err)
	}
	if t.Build, err = thisBuild(); err != nil {
		return err
	}
	if f.existing != (lab.Existing{}) {
		t.Config = f.existing.Kubeconfig + ", context " + f.existing.Context
		t.Cluster, err = sumOfFile(f.existing.Kubeconfig)
		return err
	}
	root, err := images.FindRoot(".")
	if err != nil {
		return err
	}
	config, err := kind.LoadConfigIn(root, f.config)
	if err != nil {
		return err
	}
	t.Cluster, err = sumOfFile(config.Path)
	return err
}

// thisBuild says which rollproof this is.
func thisBuild() (suite.Build, error) {
	b := suite.Build{Version: unknown}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Version = info.Main.Version
		if commit := setting(info, "vcs.revision"); commit != unknown {
			b.Commit, b.Modified = commit, setting(info, "vcs.modified") == "true"
		}
	}
	if b.Commit != "" && !b.Modified {
		return b, nil
	}
	var err error
	if b.Binary, err = sumOfProgram(); err != nil {
		return b, fmt.Errorf("find out which rollproof this is: %w", err)
	}
	return b, nil
}

// sumOfProgram is the SHA-256 of this program. It is large, and does not change while it runs.
var sumOfProgram = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	return sumOfFile(path)
})

// sumOfFile is the SHA-256 of a file, in hexadecimal.
func sumOfFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// start writes the suite into a directory of its own below out, where it has none yet. images are the digests of what its runs are
// performed with.
func (k *kept) start(out string, images map[string]string) error {
	if err := k.Use(images); err != nil {
		return err
	}
	if k.Dir() != "" {
		return k.Save()
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("start the record of a suite: %w", err)
	}
	now := time.Now().UTC()
	dir := filepath.Join(out, now.Format("20060102-150405")+"-"+kindOfSuite(k.Command))
	err := k.Create(dir, now)
	for n := 2; errors.Is(err, fs.ErrExist); n++ { // another command has begun one in this second
		err = k.Create(fmt.Sprintf("%s-%d", dir, n), now)
	}
	if err != nil {
		return err
	}
	return k.hold()
}

// kindOfSuite is what the directory of a suite is called after, by the command that began it.
func kindOfSuite(command string) string {
	if command == "teeth" {
		return "teeth"
	}
	return "suite"
}

// hold keeps other commands from going on with the suite as long as this one lasts.
func (k *kept) hold() (err error) {
	k.lock, err = flock.Try(filepath.Join(k.Dir(), "suite.lock"), "rollproof "+k.Command)
	var held *flock.HeldError
	if errors.As(err, &held) {
		return fmt.Errorf("the suite in %s is being performed by %s: wait until it is done", k.Dir(), held.Holder)
	}
	return err
}

// release gives the suite back.
func (k *kept) release() error {
	if k == nil || k.lock == nil {
		return nil
	}
	lock := k.lock
	k.lock = nil
	return lock.Release()
}

// follow makes the record of the suite follow what the performer does.
func (k *kept) follow(p *run.Performer) {
	begin, recording, done := p.Begin, p.Runner.Recording, p.Done
	p.Begin = func(s run.Scenario, nth, of int) {
		k.note(func(r *suite.Run) { r.State = suite.Begun })
		begin(s, nth, of)
	}
	p.Runner.Recording = func(dir string) {
		k.note(func(r *suite.Run) { r.Dir = filepath.Base(dir) })
		recording(dir)
	}
	p.Done = func(p run.Performed) error {
		if !p.NotBegun {
			k.note(func(r *suite.Run) { became(r, p, k.faultOf(*r)) })
		}
		k.next++
		if done == nil {
			return k.err
		}
		return errors.Join(k.err, done(p))
	}
}

// note changes what is recorded of the run that is performed now.
func (k *kept) note(change func(*suite.Run)) {
	change(&k.Runs[k.left[k.next]])
	k.err = errors.Join(k.err, k.Save())
}

// performAll performs what is left of a suite, and then again what proved nothing, as far as the suite's terms allow. The errors are about what
// could not be performed as planned.
func (k *kept) performAll(ctx context.Context, say run.Say, performLeft func() ([]run.Performed, error)) (errs []error) {
	for {
		performed, err := performLeft()
		errs = append(errs, err)
		for _, p := range performed {
			errs = append(errs, p.Err)
		}
		if err != nil || ctx.Err() != nil || !k.PutAgain() {
			return errs
		}
		k.left, k.next = k.Left(), 0
		say("%s proved nothing and will be performed again", words.Plural(uint64(len(k.left)), "run"))
	}
}

// skip notes that runs are not performed because the cluster lacks something, by scenario.
func (k *kept) skip(lacking []run.Performed) {
	for _, i := range k.left {
		for _, p := range lacking {
			if p.Scenario == k.Runs[i].Scenario {
				k.Runs[i].State, k.Runs[i].Reason = suite.Skipped, p.Skipped
			}
		}
	}
}

// parts are the runs that count: without those that were performed again.
func (k *kept) parts() []suite.Part {
	var parts []suite.Part
	for _, r := range suite.Last(k.Runs) {
		parts = append(parts, suite.Part{Run: r, Of: k.Suite})
	}
	return parts
}

// faultOf is the fault that was planted in a run; nil where none was.
func (k *kept) faultOf(r suite.Run) *teeth.Fault {
	if len(k.faults) == 0 {
		return nil
	}
	return &k.faults[r.Position%len(k.faults)]
}

// became notes what a run came to.
func became(r *suite.Run, p run.Performed, fault *teeth.Fault) {
	r.Took = p.Took
	switch {
	case p.Skipped != "":
		r.State, r.Reason = suite.Skipped, p.Skipped
	case p.History != nil:
		came(r, p.History, p.Result, p.Err, fault)
	case errors.Is(p.Err, context.Canceled):
		r.State, r.Reason = suite.BrokenOff, oneLine(p.Err)
	default:
		r.State, r.Reason = suite.Failed, oneLine(p.Err)
	}
}

// came notes what a run came to, by its record. ran is why it could not be run as planned. A run that was broken off proves nothing, with one
// exception: a promise that was broken by then stays broken, and no later run takes that back. Under a planted fault the exception does not hold,
// for an interrupt may turn the check as well.
func came(r *suite.Run, h *history.History, res judge.Result, ran error, fault *teeth.Fault) {
	r.Record = h.Sum()
	verdict, end := reports.Overall(res), endOf(h)
	switch stays := fault == nil && verdict == judge.Fail; {
	case stays:
	case end.Outcome == history.EndInterrupted:
		r.State, r.Reason = suite.BrokenOff, end.Reason
		return
	case end.Outcome == "":
		r.State, r.Reason = suite.BrokenOff, "the command was killed"
		return
	case end.Outcome == history.EndFailed && ran != nil && fault == nil: // under a planted fault that may be the fault itself
		r.State, r.Reason = suite.Failed, oneLine(ran)
		return
	}
	r.State, r.Verdict = suite.Judged, verdict
	if fault != nil {
		r.Tooth = &suite.Tooth{}
		r.Tooth.Seen, r.Tooth.Said = fault.Seen(res)
	}
}

// endOf is how a record ends; its outcome is empty where it has no end.
func endOf(h *history.History) history.End {
	for e, err := range h.Events() {
		if err != nil {
			break
		}
		if e.End != nil {
			return *e.End
		}
	}
	return history.End{}
}

// summarise shows a line for each run of a suite, also of those that an earlier command performed, and returns the error that carries the
// exit code: the worst of them. errs is what went wrong in this command.
func summarise(w io.Writer, s *suite.Suite, errs ...error) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, r := range s.Runs {
		asked, nth, of := s.AskedFor(r)
		word, rest := string(r.State), r.Reason
		switch {
		case r.State == suite.Judged:
			word, rest = string(r.Verdict), s.RecordOf(r)
		case r.Dir != "":
			rest = s.RecordOf(r)
		}
		if s.Replaced(i) {
			rest += ", performed again"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", word, asked.Scenario+nthOf(nth, of), rest)
	}
	errs = append(errs, table.Flush())
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, unfinished(s))
	}
	if err := unfinished(s); err != nil {
		return err
	}
	return verdictError(suite.Worst(suite.Last(s.Runs)))
}

// nthOf says which repetition a run is; nothing where there is but one.
func nthOf(nth, of int) string {
	if of == 1 {
		return ""
	}
	return fmt.Sprintf(" (%d of %d)", nth, of)
}

// unfinished is the error of a suite that has runs to go on with.
func unfinished(s *suite.Suite) error {
	n := suite.Unfinished(s.Runs)
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d runs are not finished: go on with them by `rollproof %s --resume %s`", n, len(suite.Last(s.Runs)), s.Command, s.Dir())
}
