package suite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// terms are those of a suite of five scenarios, each twice.
func terms() Terms {
	t := Terms{
		Build: Build{Version: "v0.1.0", Commit: "6845d5cafe12"}, Pace: "fast", Rate: 200, Cluster: "5e1f", Repeat: 2,
		Images: map[string]string{"node": "sha256:aa", "traefik": "sha256:bb"},
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		t.Asked = append(t.Asked, Asked{Scenario: "unit/" + name})
	}
	return t
}

// shard is one of n shards of that suite, all of its runs passed.
func shard(t *testing.T, nth, of int) *Suite {
	t.Helper()
	which := Shard{nth, of}
	if of == 0 {
		which = Shard{}
	}
	s := New("run", terms(), which, which.Positions(make([]time.Duration, 10)))
	for i := range s.Runs {
		pass(&s.Runs[i])
	}
	if err := s.Create(filepath.Join(t.TempDir(), "suite"), time.Now()); err != nil {
		t.Fatal(err)
	}
	return s
}

func pass(r *Run) {
	r.State, r.Verdict, r.Dir, r.Record = Judged, judge.Pass, fmt.Sprintf("run-%d", r.Position), fmt.Sprintf("sum-%d", r.Position)
}

func saved(t *testing.T, s *Suite) *Suite {
	t.Helper()
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestShardsMakeTheWhole(t *testing.T) {
	for of := range 5 {
		var shards []*Suite
		for nth := range max(of, 1) {
			s, err := Open(shard(t, max(of, 1)-nth, of).Dir()) // the last one first
			if err != nil {
				t.Fatal(err)
			}
			shards = append(shards, s)
		}
		parts, err := Whole(shards)
		if err != nil || len(parts) != 10 {
			t.Fatalf("%d shards make %d runs, error %v; want 10", of, len(parts), err)
		}
		for i, p := range parts {
			if asked, nth, _ := p.Of.AskedFor(p.Run); p.Position != i || asked != terms().Asked[i%5] || nth != i/5+1 {
				t.Errorf("%d shards: run %d is %v, number %d", of, i, asked, nth)
			}
		}
	}
}

// Every way in which shards are not those of one suite is refused, in one line that names what to do.
func TestWholeRefuses(t *testing.T) {
	cases := map[string]struct {
		change func(shards []*Suite) []*Suite
		want   string
	}{
		"none":                  {func([]*Suite) []*Suite { return nil }, "no suite"},
		"a shard missing":       {func(s []*Suite) []*Suite { return s[:2] }, "shard 3/3 is missing"},
		"all but one missing":   {func(s []*Suite) []*Suite { return s[1:2] }, "shard 1/3, 3/3 is missing"},
		"a shard twice":         {func(s []*Suite) []*Suite { return append(s, s[1]) }, "shard 2/3 is there twice"},
		"a shard instead":       {func(s []*Suite) []*Suite { return []*Suite{s[0], s[1], s[1]} }, "shard 2/3 is there twice"},
		"another command":       {func(s []*Suite) []*Suite { s[1].Command = "teeth"; return s }, "rollproof teeth"},
		"an older commit":       {func(s []*Suite) []*Suite { s[1].Build.Commit = "0ld"; return s }, "commit 0ld"},
		"changes on one":        {func(s []*Suite) []*Suite { s[1].Build.Modified, s[1].Build.Binary = true, "b1"; return s }, "with changes (binary b1)"},
		"different changes":     {func(s []*Suite) []*Suite { s[0].Build.Binary, s[1].Build.Binary = "b0", "b1"; return s }, "the build"},
		"another pace":          {func(s []*Suite) []*Suite { s[2].Pace = "spec"; return s }, "the pace fast"},
		"another rate":          {func(s []*Suite) []*Suite { s[2].Rate = 100; return s }, "the rate 200/s"},
		"other repetitions":     {func(s []*Suite) []*Suite { s[2].Repeat = 3; return s }, "--repeat 2"},
		"another cluster":       {func(s []*Suite) []*Suite { s[2].Cluster = "0000"; return s }, "the cluster configuration"},
		"another list":          {func(s []*Suite) []*Suite { s[2].Asked[1].Scenario = "unit/x"; return s }, "number 2 of its list unit/b"},
		"a longer list":         {func(s []*Suite) []*Suite { s[2].Asked = append(s[2].Asked, Asked{Scenario: "unit/f"}); return s }, "number 6 of its list nothing"},
		"another image":         {func(s []*Suite) []*Suite { s[2].Images["node"] = "sha256:cc"; return s }, "image node"},
		"another number":        {func(s []*Suite) []*Suite { s[2].Shard.Of = 4; return s }, "shard 3/4"},
		"the whole and a shard": {func(s []*Suite) []*Suite { s[2].Shard = Shard{}; return s }, "the whole suite"},
		"a run missing":         {func(s []*Suite) []*Suite { s[1].Runs = s[1].Runs[1:]; return s }, "is in none of the shards"},
		"an empty shard":        {func(s []*Suite) []*Suite { s[1].Runs = nil; return s }, "shard 2/3"},
		"a run in two shards":   {func(s []*Suite) []*Suite { s[1].Runs[0].Position = s[0].Runs[0].Position; return s }, "is in both"},
		"a record for two runs": {func(s []*Suite) []*Suite { s[1].Runs[0].Record = s[0].Runs[0].Record; return s }, "stands for two runs"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Whole(c.change([]*Suite{shard(t, 1, 3), shard(t, 2, 3), shard(t, 3, 3)}))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.want)
			}
		})
	}
}

// The images of a shard are those of its own runs: one that another shard does not have is no difference.
func TestAShardHasTheImagesOfItsRuns(t *testing.T) {
	first, second := shard(t, 1, 2), shard(t, 2, 2)
	first.Images, second.Images = map[string]string{"node": "sha256:aa", "prometheus": "sha256:dd"}, map[string]string{"node": "sha256:aa"}
	if _, err := Whole([]*Suite{first, second}); err != nil {
		t.Error(err)
	}
}

// No byte of suite.json can be changed, and no end of it be missing, without it being refused.
func TestOpenRefusesEveryChange(t *testing.T) {
	s := shard(t, 1, 2)
	path := filepath.Join(s.Dir(), File)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	attempt := func(what string, data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(s.Dir()); err == nil {
			t.Errorf("%s: it was taken", what)
		}
	}
	for i := range whole {
		changed := slices.Clone(whole)
		changed[i] ^= 1
		attempt(fmt.Sprintf("byte %d changed", i), changed)
		attempt(fmt.Sprintf("cut at %d", i), whole[:i])
	}
	attempt("a line more", append(slices.Clone(whole), '\n'))
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.Dir()); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

// What carries a sum that fits and cannot be is refused too: whoever edits a file can compute its sum.
func TestOpenRefusesWhatCannotBe(t *testing.T) {
	cases := map[string]func(*Suite){
		"a newer format":           func(s *Suite) { s.Format = FormatVersion + 1 },
		"another command":          func(s *Suite) { s.Command = "attack" },
		"asked for nothing":        func(s *Suite) { s.Asked = nil },
		"repeated not at all":      func(s *Suite) { s.Repeat = 0 },
		"again less than not":      func(s *Suite) { s.Again = -1 },
		"again beyond counting":    func(s *Suite) { s.Again = MostAgain + 1 },
		"teeth that are put again": func(s *Suite) { s.Again, s.Command = 1, "teeth" },
		"a fail that is put again": func(s *Suite) {
			again := s.Runs[1]
			s.Again, s.Runs[1].Verdict, again.Record = 2, judge.Fail, "another"
			s.Runs = slices.Insert(s.Runs, 2, again)
		},
		"repeated beyond counting": func(s *Suite) { s.Repeat = 1 << 62 },
		"a position beyond the list": func(s *Suite) {
			last := &s.Runs[len(s.Runs)-1]
			last.Position, last.Scenario = 10, s.Asked[0].Scenario
		},
		"a position before it":            func(s *Suite) { s.Runs[0].Position = -1 },
		"positions out of order":          func(s *Suite) { s.Runs[0], s.Runs[1] = s.Runs[1], s.Runs[0] },
		"another scenario":                func(s *Suite) { s.Runs[1].Scenario = "unit/a" },
		"an unknown state":                func(s *Suite) { s.Runs[1].State = "done" },
		"a verdict nobody knows":          func(s *Suite) { s.Runs[1].Verdict = "green" },
		"a verdict without record":        func(s *Suite) { s.Runs[1].Record = "" },
		"a record for two runs":           func(s *Suite) { s.Runs[1].Record = s.Runs[0].Record },
		"a verdict without a run":         func(s *Suite) { s.Runs[1].Dir = "" },
		"a verdict of what was not begun": func(s *Suite) { s.Runs[1].State = NotBegun },
		"a pass after a fail": func(s *Suite) {
			again := s.Runs[1]
			s.Runs[1].Verdict, again.Record = judge.Fail, "another"
			s.Runs = slices.Insert(s.Runs, 2, again)
		},
		"a directory elsewhere":  func(s *Suite) { s.Runs[1].Dir = "../elsewhere" },
		"a tooth of no fault":    func(s *Suite) { s.Runs[1].Tooth = &Tooth{Seen: true} },
		"a fault without answer": func(s *Suite) { s.Command = "teeth" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			s := shard(t, 1, 2)
			change(s)
			if got, err := Open(saved(t, s).Dir()); err == nil {
				t.Errorf("it was taken: %+v", got)
			} else if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is not one line: %v", err)
			}
		})
	}
}

// A suite is named by its own directory, or by one that holds a single one.
func TestASuiteIsFound(t *testing.T) {
	s := shard(t, 1, 2)
	out := filepath.Dir(s.Dir())
	t.Chdir(s.Dir())
	for _, dir := range []string{s.Dir(), out, ".", "..", s.Dir() + "/"} {
		got, err := Open(dir)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
		} else if record := got.RecordOf(got.Runs[0]); record != filepath.Join(out, got.Runs[0].Dir) {
			t.Errorf("%s: a record is looked for in %s", dir, record)
		}
	}
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "missing"), filepath.Join(s.Dir(), File)} {
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: error %v", dir, err)
		}
	}
	second := *s
	if err := second.Create(filepath.Join(out, "second"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(out); err == nil || !strings.Contains(err.Error(), "second") || !strings.Contains(err.Error(), s.Dir()) {
		t.Errorf("two suites in one directory: error %v, want both named", err)
	}
}

// What did not get to its end is performed again, once, and stays in the list; what has a verdict stays as it is, also a bad one.
func TestOnlyWhatIsNotFinishedIsPerformedAgain(t *testing.T) {
	s := New("run", terms(), Shard{}, []int{0, 1, 2, 3, 4, 5, 6})
	for i, state := range []State{Judged, BrokenOff, Failed, NotBegun, Skipped, Judged, Judged} {
		s.Runs[i].State = state
	}
	s.Runs[5].Verdict, s.Runs[6].Verdict = judge.Fail, judge.Inconclusive
	for range 2 {
		s.Reopen()
		var states []string
		for _, r := range s.Runs {
			states = append(states, fmt.Sprintf("%d %s", r.Position, r.State))
		}
		const want = "0 judged, 1 broken off, 1 not begun, 2 could not run, 2 not begun, 3 not begun, 4 skipped, 5 judged, 6 judged"
		if got := strings.Join(states, ", "); got != want {
			t.Fatalf("the list is %s\nwant        %s", got, want)
		}
	}
	if left := s.Left(); !slices.Equal(left, []int{2, 4, 5}) {
		t.Errorf("left are %v", left)
	}
	if n := Unfinished(s.Runs); n != 3 {
		t.Errorf("%d are unfinished, want 3", n)
	}
}

// What proved nothing is performed again as often as the terms allow, and stays in the list. A broken promise is not performed away.
func TestOnlyWhatProvedNothingIsPutAgain(t *testing.T) {
	t1 := terms()
	t1.Again = 2
	s := New("run", t1, Shard{}, []int{0, 1, 2, 3})
	verdicts := []judge.Verdict{judge.Pass, judge.Fail, judge.Inconclusive, ""}
	for i, v := range verdicts {
		s.Runs[i].State, s.Runs[i].Verdict = Judged, v
	}
	s.Runs[3].State = Skipped
	for nth := range 3 {
		more := s.PutAgain()
		if left := s.Left(); more != (nth < 2) || nth < 2 && !slices.Equal(left, []int{3 + nth}) || nth == 2 && len(left) > 0 {
			t.Fatalf("time %d: left are %v, more = %v", nth, left, more)
		}
		for i := range s.Runs {
			if s.Runs[i].State == NotBegun {
				s.Runs[i].State, s.Runs[i].Verdict = Judged, judge.Inconclusive
			}
		}
	}
	if len(s.Runs) != 6 || s.Runs[4].Position != 2 || Worst(Last(s.Runs)) != judge.Fail {
		t.Errorf("the list is %+v", s.Runs)
	}
	s.Again = 0
	if s.PutAgain() {
		t.Error("what nobody asked for is performed again")
	}
}

// A list in which a run stands in the place of one that proved nothing is read only where the terms ask for it, and so often.
func TestOpenTakesWhatWasPerformedAgain(t *testing.T) {
	for again, good := range []bool{false, true, true} {
		s := shard(t, 1, 2)
		s.Again = again
		nothing := s.Runs[1]
		nothing.Verdict, nothing.Record, nothing.Dir = judge.Inconclusive, "another", "another"
		s.Runs = slices.Insert(s.Runs, 1, nothing)
		if _, err := Open(saved(t, s).Dir()); (err == nil) != good {
			t.Errorf("--again %d: error %v", again, err)
		}
	}
}

func TestTheWorstRunIsTheVerdict(t *testing.T) {
	of := func(verdicts ...judge.Verdict) (runs []Run) {
		for i, v := range verdicts {
			r := Run{Position: i, State: Judged, Verdict: v}
			if v == "" {
				r.State = Skipped
			}
			runs = append(runs, r)
		}
		return runs
	}
	for _, c := range []struct {
		runs []Run
		want judge.Verdict
	}{
		{of(), judge.Inconclusive}, {of(""), judge.Inconclusive}, {of(judge.Pass), judge.Pass}, {of(judge.Pass, ""), judge.Pass},
		{of(judge.Pass, judge.Inconclusive), judge.Inconclusive}, {of(judge.Fail, judge.Inconclusive, judge.Pass), judge.Fail},
	} {
		if got := Worst(c.runs); got != c.want {
			t.Errorf("%+v are %s, want %s", c.runs, got, c.want)
		}
	}
}

// A suite is gone on with by the command that began it, as it was begun.
func TestAnotherSuiteIsNotGoneOnWith(t *testing.T) {
	meant := func() *Suite {
		return New("run", terms(), Shard{1, 2}, Shard{1, 2}.Positions(make([]time.Duration, 10)))
	}
	s := shard(t, 1, 2)
	if err := s.GoesOn(meant()); err != nil {
		t.Errorf("the same: %v", err)
	}
	for name, change := range map[string]func(*Suite){
		"another commit":  func(m *Suite) { m.Build.Commit = "new" },
		"another pace":    func(m *Suite) { m.Pace = "spec" },
		"another rate":    func(m *Suite) { m.Rate++ },
		"another cluster": func(m *Suite) { m.Cluster = "other" },
		"repeated more":   func(m *Suite) { m.Repeat++ },
		"another list":    func(m *Suite) { m.Asked[0].Scenario = "unit/x" },
		"another fault":   func(m *Suite) { m.Asked[0].Check, m.Asked[0].Planted = "load.held", "nothing" },
		"another shard":   func(m *Suite) { m.Shard.Nth = 2 },
		"the whole":       func(m *Suite) { m.Shard = Shard{} },
		"dealt otherwise": func(m *Suite) { m.Runs = m.Runs[1:] },
	} {
		other := meant()
		change(other)
		if err := s.GoesOn(other); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line", name, err)
		}
	}
}

func TestOtherImagesAreRefused(t *testing.T) {
	s := shard(t, 1, 2)
	if err := s.Use(map[string]string{"node": "sha256:aa", "prometheus": "sha256:dd"}); err != nil || s.Images["prometheus"] != "sha256:dd" || s.Images["traefik"] != "sha256:bb" {
		t.Errorf("images %v, error %v", s.Images, err)
	}
	if err := s.Use(map[string]string{"node": "sha256:ff"}); err == nil || s.Images["node"] != "sha256:aa" {
		t.Errorf("another node image was taken: %v, error %v", s.Images, err)
	}
}

// What a killed process left of a file that it was writing is not read.
func TestAWriteThatWasBrokenOffLeavesTheSuite(t *testing.T) {
	s := shard(t, 1, 2)
	if err := os.WriteFile(filepath.Join(s.Dir(), "."+File+"123456"), []byte(`{"format": 1, "runs": [`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Open(s.Dir()); err != nil || len(got.Runs) != len(s.Runs) {
		t.Errorf("%d runs, error %v", len(got.Runs), err)
	}
	if err := s.Create(s.Dir(), time.Now()); err == nil {
		t.Error("a suite was begun where another is")
	}
}

// Whatever stands in suite.json, reading it and putting it together ends in an error or in runs that were asked for.
func FuzzOpen(f *testing.F) {
	s := New("run", terms(), Shard{1, 1}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	for i := range s.Runs {
		pass(&s.Runs[i])
	}
	path := filepath.Join(f.TempDir(), File)
	if err := history.WriteSealed(path, s); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"format":1,"command":"run","repeat":1,"asked":[{}],"runs":[{"position":0,"state":"not begun"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		var s Suite
		if err := reseal(dir, data, &s); err != nil {
			return
		}
		opened, err := Open(dir)
		if err != nil {
			return
		}
		parts, err := Whole([]*Suite{opened})
		if err != nil {
			return
		}
		for _, p := range parts {
			if asked, _, _ := p.Of.AskedFor(p.Run); asked.Scenario != p.Scenario {
				t.Errorf("%+v was asked for as %v", p.Run, asked)
			}
		}
	})
}

// reseal writes a suite with a sum that fits, so that what is behind the sum is reached.
func reseal(dir string, data []byte, s *Suite) error {
	path := filepath.Join(dir, File)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	if err := history.OpenSealed(path, s); err != nil && !errors.Is(err, history.ErrUnsealed) {
		return err
	}
	return history.WriteSealed(path, s)
}
