package suite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

const (
	// File is the name of a suite's record in its directory.
	File = "suite.json"
	// FormatVersion is the version of the record that this package writes. It reads every version from 1 up to this one.
	FormatVersion = 1

	// MostAgain is how often a run may be performed again: what proves nothing ten times does so for a reason.
	MostAgain = 10

	maxRuns = 1 << 20 // of a suite; more than anybody performs, and few enough to count
)

// Suite is what a command that performs several runs was asked for, and what has become of each. As JSON it is suite.json.
type Suite struct {
	Format  int       `json:"format"`
	Command string    `json:"command"` // run or teeth
	Started time.Time `json:"started"`
	Terms
	Shard Shard `json:"shard,omitzero"` // which part of it these runs are
	// Runs are in the order of their positions. One that was broken off, or proved nothing, is followed by the one that was performed in its place.
	Runs []Run `json:"runs"`

	dir string
}

// Terms are what verdicts hang on: all shards of a suite share them, and so does a suite that is gone on with.
type Terms struct {
	Build   Build    `json:"build"`
	Label   string   `json:"label,omitempty"`
	Names   []string `json:"names,omitempty"` // that were typed: scenarios or checks
	Pace    string   `json:"pace"`
	Rate    float64  `json:"rate"`             // hits per second over the main arms together
	Config  string   `json:"config,omitempty"` // kind configuration as it was typed; empty is the project's own
	Cluster string   `json:"cluster"`          // SHA-256 of the kind configuration
	Repeat  int      `json:"repeat"`
	Again   int      `json:"again,omitempty"` // how many times more each is performed that proved nothing
	// Images are the digests of what the runs need, by component. A shard has those of its own runs only.
	Images map[string]string `json:"images,omitempty"`
	// Asked is everything that was chosen, before it was repeated and dealt to shards.
	Asked []Asked `json:"asked"`
}

// Asked is a scenario that was asked for, or a planted fault.
type Asked struct {
	Scenario string `json:"scenario"`
	Check    string `json:"check,omitempty"`   // slug, of a planted fault
	Planted  string `json:"planted,omitempty"` // what is wrong on purpose
	// Want is the verdict that shows that the check sees it.
	Want judge.Verdict `json:"want,omitempty"`
}

// String names it for people.
func (a Asked) String() string {
	if a.Check != "" {
		return a.Check + " under " + a.Planted
	}
	return a.Scenario
}

// Build is the rollproof that performs a suite.
type Build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // since the commit
	// Binary is the SHA-256 of the program where the commit alone does not tell what it was built from.
	Binary string `json:"binary,omitempty"`
}

// String names the build for people.
func (b Build) String() string {
	switch {
	case b.Commit == "":
		return fmt.Sprintf("no commit (binary %.12s)", b.Binary)
	case b.Modified:
		return fmt.Sprintf("commit %.12s with changes (binary %.12s)", b.Commit, b.Binary)
	}
	return fmt.Sprintf("commit %.12s", b.Commit)
}

// same reports whether two builds are of the same source: the same commit, or the same program where there were changes since.
func (b Build) same(o Build) bool {
	return b.Commit == o.Commit && b.Modified == o.Modified && b.Binary == o.Binary
}

// State is how far a run is.
type State string

// The states. A run is finished when it is judged or skipped; any other is performed when the suite is gone on with.
const (
	NotBegun  State = "not begun"
	Begun     State = "begun"         // it is being performed, or the command that performed it is gone
	BrokenOff State = "broken off"    // by an interrupt, or because the command was killed
	Failed    State = "could not run" // as planned: the harness could not, or the cluster did not answer
	Judged    State = "judged"
	Skipped   State = "skipped" // the cluster lacks what it needs
)

// Finished reports whether a run in that state stays as it is.
func (s State) Finished() bool { return s == Judged || s == Skipped }

// Run is one run of a suite.
type Run struct {
	// Position is its place in the whole list of the suite: all that was asked for, as often as it is repeated.
	Position int    `json:"position"`
	Scenario string `json:"scenario"`
	State    State  `json:"state"`
	// Dir is the directory of its record, beside that of the suite; empty while there is none.
	Dir     string        `json:"dir,omitempty"`
	Record  string        `json:"record,omitempty"`  // sum of the record that was judged, see history.History.Sum
	Verdict judge.Verdict `json:"verdict,omitempty"` // of a run that was judged
	Reason  string        `json:"reason,omitempty"`  // why it is not judged
	Took    time.Duration `json:"took,omitempty"`    // nanoseconds
	Tooth   *Tooth        `json:"tooth,omitempty"`   // of a planted fault that was judged
}

// Tooth is whether the check saw the fault that was planted under it.
type Tooth struct {
	Seen bool   `json:"seen"`
	Said string `json:"said"` // what the check said
}

// New is a suite of which nothing has begun: the runs at some positions of its list.
func New(command string, terms Terms, shard Shard, positions []int) *Suite {
	s := &Suite{Format: FormatVersion, Command: command, Terms: terms, Shard: shard}
	for _, p := range positions {
		s.Runs = append(s.Runs, Run{Position: p, Scenario: s.asked(p).Scenario, State: NotBegun})
	}
	return s
}

// asked is what stands at a position of the list.
func (t *Terms) asked(position int) Asked { return t.Asked[position%len(t.Asked)] }

// size is how many positions the list has.
func (t *Terms) size() int { return len(t.Asked) * t.Repeat }

// AskedFor is what a run was asked for as, and which of how many times it is, counted from 1.
func (s *Suite) AskedFor(r Run) (asked Asked, nth, of int) {
	return s.asked(r.Position), r.Position/len(s.Asked) + 1, s.Repeat
}

// Create gives the suite a directory of its own, and writes its record there.
func (s *Suite) Create(dir string, started time.Time) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("start the record of a suite: %w", err)
	}
	s.dir, s.Started = dir, started.UTC().Truncate(time.Second)
	return s.Save()
}

// Dir is the directory of the suite; empty before it is created.
func (s *Suite) Dir() string { return s.dir }

// RecordOf is the directory of a run's record.
func (s *Suite) RecordOf(r Run) string { return filepath.Join(filepath.Dir(s.dir), r.Dir) }

// Save writes the record of the suite anew, whole or not at all.
func (s *Suite) Save() error { return history.WriteSealed(filepath.Join(s.dir, File), s) }

// Left are the indexes of the runs that are still to be performed.
func (s *Suite) Left() []int {
	var left []int
	for i, r := range s.Runs {
		if r.State == NotBegun {
			left = append(left, i)
		}
	}
	return left
}

// Reopen puts a run that is not begun after each that did not get to its end. Those stay in the list.
func (s *Suite) Reopen() {
	s.putAfter(func(r Run) bool { return r.State == BrokenOff || r.State == Failed })
}

// PutAgain puts a run that is not begun after each that proved nothing, where its position was performed no more often than the terms allow. Those
// stay in the list. It reports whether there is one to perform now. A run that broke a promise, or kept all, is never performed again: its verdict
// stands.
func (s *Suite) PutAgain() bool {
	tried := map[int]int{}
	for _, r := range s.Runs {
		if r.provedNothing() {
			tried[r.Position]++
		}
	}
	before := len(s.Runs)
	s.putAfter(func(r Run) bool { return r.provedNothing() && tried[r.Position] <= s.Again })
	return len(s.Runs) > before
}

// putAfter puts a run that is not begun after those that count and are to be performed again.
func (s *Suite) putAfter(again func(Run) bool) {
	var runs []Run
	for i, r := range s.Runs {
		runs = append(runs, r)
		if !s.Replaced(i) && again(r) {
			runs = append(runs, Run{Position: r.Position, Scenario: r.Scenario, State: NotBegun})
		}
	}
	s.Runs = runs
}

// Replaced reports whether another run stands in the place of the one at an index of Runs.
func (s *Suite) Replaced(i int) bool {
	return isReplaced(s.Runs, i, func(r Run) int { return r.Position })
}

// provedNothing reports whether a run was judged, and neither kept its promises nor broke one.
func (r Run) provedNothing() bool { return r.State == Judged && r.Verdict == judge.Inconclusive }

// Open reads the suite in a directory. The directory is that of the suite, or one that holds the directory of a single suite. A record that was
// changed since it was written is refused, and so is one whose content is impossible.
func Open(dir string) (*Suite, error) {
	dir, err := find(dir)
	if err != nil {
		return nil, err
	}
	s, path := &Suite{dir: dir}, filepath.Join(dir, File)
	if err := history.OpenSealed(path, s); err != nil {
		return nil, fmt.Errorf("read %s: %w: perform the suite anew", path, err)
	}
	if s.Format > FormatVersion {
		return nil, fmt.Errorf("read %s: it has format %d, this rollproof reads up to %d: use a newer rollproof", path, s.Format, FormatVersion)
	}
	if err := s.valid(); err != nil {
		return nil, fmt.Errorf("read %s: %w: it was not written by rollproof; perform the suite anew", path, err)
	}
	return s, nil
}

// find is the directory of the suite that a directory is, or holds.
func find(dir string) (string, error) {
	dir, err := named(dir)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("open the suite: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("open the suite: %s is a file: name the directory of a suite", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, File)); err == nil {
		return dir, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("open the suite: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("open the suite: %w", err)
	}
	var found []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, e.Name(), File)); err == nil {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("open the suite: neither %s nor a directory in it holds a %s: name the directory of a suite, or the --out of its command", dir, File)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("open the suite: %s holds %d of them: name one: %s", dir, len(found), strings.Join(found, ", "))
}

// named is a directory by its name: the records of a suite are beside it, and nothing is beside ".".
func named(dir string) (string, error) {
	dir = filepath.Clean(dir)
	if base := filepath.Base(dir); base != "." && base != ".." {
		return dir, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("open the suite: %w", err)
	}
	return dir, nil
}

// Unfinished counts the positions of a list whose last run is not finished.
func Unfinished(runs []Run) int {
	n := 0
	for _, r := range Last(runs) {
		if !r.State.Finished() {
			n++
		}
	}
	return n
}

// Last are the runs of a list that count: without those in whose place another stands.
func Last(runs []Run) []Run { return last(runs, func(r Run) int { return r.Position }) }

// last are the last of each position.
func last[T any](all []T, position func(T) int) []T {
	var some []T
	for i, one := range all {
		if !isReplaced(all, i, position) {
			some = append(some, one)
		}
	}
	return some
}

// isReplaced reports whether the next one has the same position.
func isReplaced[T any](all []T, i int, position func(T) int) bool {
	return i+1 < len(all) && position(all[i+1]) == position(all[i])
}

// Worst is the verdict of all runs that were judged together: the worst of them. Without one nothing is proved.
func Worst(runs []Run) judge.Verdict {
	worst := judge.Inconclusive
	for i, r := range slices.DeleteFunc(slices.Clone(runs), func(r Run) bool { return r.State != Judged }) {
		if i == 0 {
			worst = r.Verdict
		}
		worst = judge.Worse(worst, r.Verdict)
	}
	return worst
}

// Distinct checks that no record stands for two runs: one of them would be a copy.
func (s *Suite) Distinct() error {
	of := map[string]Run{}
	for _, r := range s.Runs {
		if first, twice := of[r.Record]; twice && r.Record != "" {
			return fmt.Errorf("the record %s stands for two runs, also for %s: perform the suite anew", s.RecordOf(r), s.RecordOf(first))
		}
		of[r.Record] = r
	}
	return nil
}

// valid says what in a suite is impossible.
func (s *Suite) valid() error {
	switch {
	case s.Command != "run" && s.Command != "teeth":
		return fmt.Errorf("its command is %q", s.Command)
	case s.Repeat < 1 || len(s.Asked) == 0:
		return errors.New("it was asked for nothing")
	case s.Again < 0 || s.Again > MostAgain || s.Again > 0 && s.Command != "run":
		return fmt.Errorf("its runs of %q are performed %d times again", s.Command, s.Again)
	case s.Repeat > maxRuns/len(s.Asked):
		return fmt.Errorf("it was asked for more than %d runs", maxRuns)
	case s.Shard.Of != 0 && (s.Shard.Nth < 1 || s.Shard.Nth > s.Shard.Of):
		return fmt.Errorf("it is shard %d of %d", s.Shard.Nth, s.Shard.Of)
	}
	finished, nothing := map[int]bool{}, map[int]int{}
	before := 0
	for _, r := range s.Runs {
		if r.Position < before || r.Position >= s.size() {
			return fmt.Errorf("a run has position %d, after %d, of %d", r.Position, before, s.size())
		}
		if err := s.validRun(r); err != nil {
			return fmt.Errorf("the run at position %d: %w", r.Position, err)
		}
		if finished[r.Position] {
			return fmt.Errorf("the run at position %d goes on after it was finished", r.Position)
		}
		if r.provedNothing() {
			nothing[r.Position]++
		}
		finished[r.Position] = r.State.Finished() && (!r.provedNothing() || nothing[r.Position] > s.Again)
		before = r.Position
	}
	return s.Distinct()
}

func (s *Suite) validRun(r Run) error {
	switch r.State {
	case NotBegun, Begun, BrokenOff, Failed, Skipped:
		if r.Verdict != "" || r.Tooth != nil {
			return fmt.Errorf("it is %s, and has a verdict", r.State)
		}
	case Judged:
		if r.Record == "" || r.Dir == "" || (r.Tooth != nil) != (s.Command == "teeth") {
			return errors.New("it is judged, and its record or what its check said is missing")
		}
		if !slices.Contains([]judge.Verdict{judge.Pass, judge.Fail, judge.Inconclusive}, r.Verdict) {
			return fmt.Errorf("its verdict is %q", r.Verdict)
		}
	default:
		return fmt.Errorf("its state is %q", r.State)
	}
	if r.Dir != "" && (r.Dir != filepath.Base(r.Dir) || r.Dir == "." || r.Dir == "..") {
		return fmt.Errorf("its directory %q is not beside that of the suite", r.Dir)
	}
	if want := s.asked(r.Position).Scenario; r.Scenario != want {
		return fmt.Errorf("it is of %s, and %s was asked for", r.Scenario, want)
	}
	return nil
}
