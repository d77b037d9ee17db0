package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/reports"
	"bitvault.dev/rollproof/scenarios/teeth"
)

// begun is a suite of two scenarios that a command has begun: the first passed, the second is being performed. out is where it is.
func begun(t *testing.T, end history.Outcome) (s *suite.Suite, out string) {
	t.Helper()
	out = t.TempDir()
	s = performed(t, out, "run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, heldVerdict, "")
	r := &s.Runs[1]
	r.State, r.Dir = suite.Begun, "run-1"
	recordRun(t, s, r, filepath.Join(out, r.Dir), end)
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	return s, out
}

func states(s *suite.Suite) string {
	var all []string
	for _, r := range s.Runs {
		all = append(all, strings.TrimSpace(string(r.State)+" "+string(r.Verdict)))
	}
	return strings.Join(all, ", ")
}

// noEngine leaves a command without a Docker engine: what gets as far as that has passed everything before.
func noEngine(t *testing.T) {
	t.Helper()
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	t.Setenv("DOCKER_CONTEXT", "")
	t.Setenv("ROLLPROOF_CACHE", t.TempDir()) // nobody else's cluster is held meanwhile
}

// What a killed command left open is settled by its record: a run that had ended is judged, any other is performed again, and stays in the list.
func TestResumeAfterAKill(t *testing.T) {
	for name, c := range map[string]struct {
		end  history.Outcome
		want string
	}{
		"in the middle of a run":     {"", "judged pass, broken off, not begun"},
		"after its end":              {history.EndFinished, "judged pass, judged inconclusive"},
		"after an interrupt":         {history.EndInterrupted, "judged pass, broken off, not begun"},
		"after the cluster was lost": {history.EndFailed, "judged pass, could not run, not begun"},
	} {
		t.Run(name, func(t *testing.T) {
			noEngine(t)
			s, _ := begun(t, c.end)
			code, text := execReport("run", "--resume", s.Dir())
			again, err := suite.Open(s.Dir())
			if err != nil {
				t.Fatal(err)
			}
			if got := states(again); got != c.want {
				t.Errorf("the runs are %s, want %s; printed %s", got, c.want, text)
			}
			if c.end == history.EndFinished {
				if code != exitInconclusive || !strings.Contains(text, "inconclusive  mechanics/pdb") || !strings.Contains(text, "pass          canary/promotes-good") {
					t.Errorf("nothing is left to perform: exit code %d, printed %s", code, text)
				}
			} else if code != exitCouldNotRun {
				t.Errorf("without an engine: exit code %d, printed %s", code, text)
			}
		})
	}
}

// A record in the place of one that a killed command left open tells nothing of that run: it is refused, and the run is not settled by it.
func TestResumeRefusesAnotherRecordThanTheOneThatWasLeftOpen(t *testing.T) {
	for name, c := range map[string]struct {
		swap func(t *testing.T, s *suite.Suite, dir string)
		want string
	}{
		"of another scenario": {func(t *testing.T, s *suite.Suite, dir string) {
			if err := os.CopyFS(dir, os.DirFS(s.RecordOf(s.Runs[0]))); err != nil {
				t.Fatal(err)
			}
		}, "is of canary/promotes-good"},
		"of an earlier suite": {func(t *testing.T, s *suite.Suite, dir string) {
			recordRun(t, s, &s.Runs[1], dir, history.EndFinished)
			s.Started = s.Started.Add(time.Hour)
			s.Runs[0] = suite.Run{Scenario: s.Runs[0].Scenario, State: suite.NotBegun}
		}, "began before the suite"},
	} {
		t.Run(name, func(t *testing.T) {
			noEngine(t)
			s, _ := begun(t, history.EndFinished)
			dir := s.RecordOf(s.Runs[1])
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			c.swap(t, s, dir)
			if err := s.Save(); err != nil {
				t.Fatal(err)
			}
			code, text := execReport("run", "--resume", s.Dir())
			again, err := suite.Open(s.Dir())
			if err != nil {
				t.Fatal(err)
			}
			if code != exitCouldNotRun || !strings.Contains(text, c.want) || again.Runs[1].State != suite.Begun {
				t.Errorf("exit code %d, the run is %s, printed %s; want %q", code, again.Runs[1].State, text, c.want)
			}
		})
	}
}

// A copy of the record of one run stands for no other run.
func TestResumeRefusesTheRecordOfAnotherRunOfTheScenario(t *testing.T) {
	noEngine(t)
	s := performed(t, t.TempDir(), "run", suiteTerms(t, 2, suite.Asked{Scenario: "canary/promotes-good"}), suite.Shard{}, heldVerdict, "")
	s.Runs[1].State, s.Runs[1].Dir = suite.Begun, "run-1"
	if err := errors.Join(os.CopyFS(s.RecordOf(s.Runs[1]), os.DirFS(s.RecordOf(s.Runs[0]))), s.Save()); err != nil {
		t.Fatal(err)
	}
	code, text := execReport("run", "--resume", s.Dir())
	if code != exitCouldNotRun || !strings.Contains(text, "stands for two runs") {
		t.Errorf("exit code %d, printed %s", code, text)
	}
}

// A run that was killed before it had a record is performed again.
func TestResumeAfterAKillBeforeTheRecord(t *testing.T) {
	noEngine(t)
	s, _ := begun(t, "")
	for _, dir := range []string{"", "run-7"} { // none yet, and one that is not there
		s.Runs = s.Runs[:2]
		s.Runs[1].State, s.Runs[1].Dir = suite.Begun, dir
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
		if code, text := execReport("run", "--resume", s.Dir()); code != exitCouldNotRun {
			t.Errorf("exit code %d, printed %s", code, text)
		}
		if again, err := suite.Open(s.Dir()); err != nil || states(again) != "judged pass, broken off, not begun" {
			t.Errorf("the runs are %v, error %v", again, err)
		}
	}
}

// A suite with nothing left is summed up again, with the exit code that it had; nothing is performed, whatever the verdicts are.
func TestResumeOfAFinishedSuitePerformsNothing(t *testing.T) {
	noEngine(t)
	for verdict, code := range map[string]int{heldVerdict: exitPass, brokenVerdict: exitBroken, openVerdict: exitInconclusive} {
		s := performed(t, t.TempDir(), "run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, heldVerdict, verdict)
		got, text := execReport("run", "--resume", s.Dir())
		if got != code || !strings.Contains(text, "mechanics/pdb") {
			t.Errorf("exit code %d, want %d; printed %s", got, code, text)
		}
		if again, err := suite.Open(s.Dir()); err != nil || len(again.Runs) != 2 || !slices.Equal(again.Runs, s.Runs) {
			t.Errorf("the runs are %+v, were %+v; error %v", again, s.Runs, err)
		}
	}
}

// A command that ended between a verdict that proves nothing and the run that --again puts in its place is gone on with by that run.
func TestResumePerformsAgain(t *testing.T) {
	noEngine(t)
	for again, want := range []string{"judged pass, judged inconclusive", "judged pass, judged inconclusive, not begun"} {
		terms := suiteTerms(t, 1, twoAsked...)
		terms.Again = again
		s := performed(t, t.TempDir(), "run", terms, suite.Shard{}, heldVerdict, openVerdict)
		if code, text := execReport("run", "--resume", s.Dir()); code != []int{exitInconclusive, exitCouldNotRun}[again] {
			t.Errorf("--again %d: exit code %d, printed %s", again, code, text)
		}
		if now, err := suite.Open(s.Dir()); err != nil || states(now) != want {
			t.Errorf("--again %d: the runs are %v, want %s; error %v", again, now, want, err)
		}
	}
}

// Resuming with something else than what the suite was begun with is refused in one line, before anything is made, and changes nothing.
func TestResumeRefuses(t *testing.T) {
	noEngine(t)
	small := smallCluster(t)
	cases := map[string]struct {
		change func(s *suite.Suite)
		args   []string
		want   string
	}{
		"another pace":            {nil, []string{"--pace", "spec"}, "the pace fast"},
		"another rate":            {nil, []string{"--rate", "100/s"}, "the rate 200/s"},
		"another label":           {nil, []string{"--label", "smoke"}, "of its list"},
		"another name":            {nil, []string{"canary/aborts-late"}, "of its list"},
		"a name more":             {nil, []string{"canary/promotes-good", "mechanics/pdb", "mechanics/graceful"}, "of its list"},
		"another shard":           {nil, []string{"--shard", "1/2"}, "shard 1/2"},
		"more repetitions":        {nil, []string{"--repeat", "2"}, "--repeat 1"},
		"another cluster":         {nil, []string{"--config", small}, "the cluster configuration"},
		"another directory":       {nil, []string{"--out", "elsewhere"}, "leave --out away"},
		"another commit":          {func(s *suite.Suite) { s.Build.Commit = "0ld" }, nil, "the build"},
		"another program":         {func(s *suite.Suite) { s.Build.Binary = "0ld" }, nil, "the build"},
		"a record changed since":  {func(s *suite.Suite) { s.Runs[0].Record = "other" }, nil, "another sum"},
		"a verdict changed since": {func(s *suite.Suite) { s.Runs[0].Verdict = judge.Fail }, nil, "is judged pass"},
		"a record damaged since": {func(s *suite.Suite) {
			path := filepath.Join(s.RecordOf(s.Runs[0]), "hits-get.bin")
			if err := os.Truncate(path, 20); err != nil {
				t.Fatal(err)
			}
		}, nil, "was damaged since"},
		"a record that is gone": {func(s *suite.Suite) {
			if err := os.RemoveAll(s.RecordOf(s.Runs[0])); err != nil {
				t.Fatal(err)
			}
		}, nil, "bring back the record"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := performed(t, t.TempDir(), "run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, heldVerdict, "")
			if c.change != nil {
				c.change(s)
			}
			if err := s.Save(); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(filepath.Join(s.Dir(), suite.File))
			if err != nil {
				t.Fatal(err)
			}
			code, text := execReport(append([]string{"run", "--resume", s.Dir()}, c.args...)...)
			if code != exitCouldNotRun || !strings.Contains(text, c.want) || strings.Count(text, "\n") != 1 {
				t.Errorf("exit code %d, printed %q; want one line with %q", code, text, c.want)
			}
			if after, err := os.ReadFile(filepath.Join(s.Dir(), suite.File)); err != nil || string(after) != string(before) {
				t.Errorf("suite.json was changed; error %v", err)
			}
		})
	}
	s := performed(t, t.TempDir(), "run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, heldVerdict, heldVerdict)
	for name, args := range map[string][]string{
		"by another command": {"teeth", "--resume", s.Dir()},
		"no such directory":  {"run", "--resume", s.Dir() + "x"},
		"no suite":           {"run", "--resume", s.RecordOf(s.Runs[0])},
	} {
		if code, text := execReport(args...); code != exitCouldNotRun || strings.Count(text, "\n") != 1 || !strings.Contains(text, s.Dir()[:8]) {
			t.Errorf("%s: exit code %d, printed %q", name, code, text)
		}
	}
}

// Typing what the suite was begun with is no other suite.
func TestResumeTakesTheSameFlags(t *testing.T) {
	noEngine(t)
	s := performed(t, t.TempDir(), "run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, heldVerdict, heldVerdict)
	out := filepath.Dir(s.Dir())
	code, text := execReport("run", "--resume", out, "--pace", "fast", "--rate", "12000/m", "--repeat", "1", "--out", out+"/", "canary/promotes-good", "mechanics/pdb")
	if code != exitPass {
		t.Errorf("exit code %d, printed %s", code, text)
	}
}

// While a command performs a suite no other one goes on with it.
func TestASuiteIsPerformedOnce(t *testing.T) {
	noEngine(t)
	s := performed(t, t.TempDir(), "run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, heldVerdict, "")
	k := &kept{Suite: s}
	if err := k.hold(); err != nil {
		t.Fatal(err)
	}
	code, text := execReport("run", "--resume", s.Dir())
	if code != exitCouldNotRun || !strings.Contains(text, "is being performed by rollproof run") || strings.Count(text, "\n") != 1 {
		t.Errorf("exit code %d, printed %q", code, text)
	}
	if err := k.release(); err != nil {
		t.Fatal(err)
	}
	if code, text := execReport("run", "--resume", s.Dir()); code != exitCouldNotRun || strings.Contains(text, "is being performed") {
		t.Errorf("after it was given back: exit code %d, printed %q", code, text)
	}
}

// The record of a suite is on the disk at every step, so that a kill between two of them loses nothing.
func TestTheRecordFollowsThePerformer(t *testing.T) {
	out := t.TempDir()
	s := suite.New("run", suiteTerms(t, 2, twoAsked...), suite.Shard{}, []int{0, 1, 2, 3})
	k := &kept{Suite: s, left: s.Left()}
	if err := k.start(out, map[string]string{"bitvaultd": "sha256:aa"}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := k.release(); err != nil {
			t.Error(err)
		}
	}()
	onDisk := func(want string) {
		t.Helper()
		got, err := suite.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		if states(got) != want {
			t.Errorf("on the disk the runs are %s, want %s", states(got), want)
		}
	}
	p := run.Performer{Begin: func(run.Scenario, int, int) {}}
	p.Runner.Recording = func(string) {}
	k.follow(&p)
	done := func(performed run.Performed) {
		t.Helper()
		if err := p.Done(performed); err != nil {
			t.Error(err)
		}
	}

	onDisk("not begun, not begun, not begun, not begun")
	if other, err := suite.Open(out); err != nil || (&kept{Suite: other}).hold() == nil {
		t.Errorf("another command may go on with it meanwhile; error %v", err)
	}
	p.Begin(run.Scenario{}, 1, 4)
	onDisk("begun, not begun, not begun, not begun")
	dir := filepath.Join(out, "run-0")
	recordRun(t, s, &s.Runs[0], dir, history.EndFinished)
	p.Runner.Recording(dir)
	if got, err := suite.Open(out); err != nil || got.Runs[0].Dir != "run-0" {
		t.Errorf("the directory on the disk is %q, error %v", got.Runs[0].Dir, err)
	}
	h, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	done(run.Performed{Outcome: run.Outcome{History: h, Dir: dir, Result: judge.Result{Verdict: judge.Fail}}})
	onDisk("judged fail, not begun, not begun, not begun")
	p.Begin(run.Scenario{}, 2, 4)
	done(run.Performed{Outcome: run.Outcome{Skipped: "2 workers needed"}})
	p.Begin(run.Scenario{}, 3, 4)
	done(run.Performed{Err: errors.New("set up")})
	done(run.Performed{NotBegun: true})
	onDisk("judged fail, skipped, could not run, not begun")

	if err := os.RemoveAll(k.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := p.Done(run.Performed{NotBegun: true}); err != nil {
		t.Errorf("nothing was to be written, error %v", err)
	}
}

// What proved nothing is performed again after all others, as often as --again says, and the last verdict counts. What broke a promise is not.
func TestAgain(t *testing.T) {
	for name, c := range map[string]struct {
		again int
		ends  []history.Outcome // of the runs, in their order
		want  string
		code  int
	}{
		"nobody asks":     {0, []history.Outcome{history.EndFinished}, "judged inconclusive", exitInconclusive},
		"once":            {1, []history.Outcome{history.EndFinished, history.EndFinished}, "judged inconclusive, judged inconclusive", exitInconclusive},
		"not what failed": {2, []history.Outcome{history.EndFailed}, "could not run", exitCouldNotRun},
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			terms := suiteTerms(t, 1, twoAsked[:1]...)
			terms.Again = c.again
			k := &kept{Suite: suite.New("run", terms, suite.Shard{}, []int{0})}
			k.left = k.Left()
			if err := k.start(out, nil); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := k.release(); err != nil {
					t.Error(err)
				}
			}()
			var follow run.Performer
			follow.Begin, follow.Runner.Recording = func(run.Scenario, int, int) {}, func(string) {}
			k.follow(&follow)
			performed := 0
			errs := k.performAll(t.Context(), func(string, ...any) {}, func() ([]run.Performed, error) {
				p := k.performAs(t, follow, filepath.Join(out, fmt.Sprintf("run-%d", performed)), c.ends[performed])
				performed++
				return []run.Performed{p}, nil
			})
			var said strings.Builder
			err := summarise(&said, k.Suite, errs...)
			code := exitCouldNotRun
			if verdict, other := verdictOf(err); other == nil {
				code = int(verdict)
			}
			if states(k.Suite) != c.want || performed != len(c.ends) || code != c.code {
				t.Errorf("%s after %d runs, exit code %d (%v), want %s after %d and %d\n%s", states(k.Suite), performed, code, err, c.want, len(c.ends), c.code, &said)
			}
			if n := strings.Count(said.String(), "performed again"); n != performed-1 {
				t.Errorf("%d runs are said to be performed again, want %d:\n%s", n, performed-1, &said)
			}
			if got, err := suite.Open(out); err != nil || states(got) != c.want {
				t.Errorf("on the disk the suite is %v, error %v", got, err)
			}
		})
	}
}

// performAs is the next run of a suite, recorded with such an end.
func (k *kept) performAs(t *testing.T, p run.Performer, dir string, end history.Outcome) run.Performed {
	t.Helper()
	r := k.Runs[k.left[k.next]]
	p.Begin(run.Scenario{}, 1, 1)
	recordRun(t, k.Suite, &r, dir, end)
	p.Runner.Recording(dir)
	h, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	result, err := checks.Recorded(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reports.WriteAll(t.Context(), dir, h, result); err != nil {
		t.Fatal(err)
	}
	done := run.Performed{Outcome: run.Outcome{History: h, Dir: dir, Result: result}}
	if end == history.EndFailed {
		done.Err = errors.New("set up")
	}
	if err := p.Done(done); err != nil {
		t.Error(err)
	}
	return done
}

// A record that cannot be written stops the performer: what is performed on would be known to nobody.
func TestASuiteThatCannotBeWrittenStops(t *testing.T) {
	s := suite.New("run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, []int{0, 1})
	k := &kept{Suite: s, left: s.Left()}
	if err := k.start(t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
	p := run.Performer{Begin: func(run.Scenario, int, int) {}}
	k.follow(&p)
	if err := errors.Join(k.release(), os.RemoveAll(k.Dir())); err != nil {
		t.Fatal(err)
	}
	p.Begin(run.Scenario{}, 1, 2)
	if err := p.Done(run.Performed{Outcome: run.Outcome{Skipped: "no"}}); err == nil {
		t.Error("the performer was not told")
	}
}

// What an interrupted or a failed run came to hangs on its record: a broken promise stays broken, anything else is performed again. Under a
// planted fault an interrupt proves nothing, and an error may be the fault itself.
func TestWhatARunCameTo(t *testing.T) {
	planted := &teeth.Fault{Check: "load.held", Verdict: judge.Inconclusive}
	ran := errors.New("the load ended by itself")
	cases := map[string]struct {
		end     history.Outcome
		verdict judge.Verdict
		ran     error
		fault   *teeth.Fault
		want    suite.State
	}{
		"finished":                      {history.EndFinished, judge.Pass, nil, nil, suite.Judged},
		"finished, not reported":        {history.EndFinished, judge.Pass, errors.New("disk full"), nil, suite.Judged},
		"waited in vain":                {history.EndTimedOut, judge.Inconclusive, nil, nil, suite.Judged},
		"ended early for the judges":    {history.EndFailed, judge.Inconclusive, nil, nil, suite.Judged},
		"could not be run":              {history.EndFailed, judge.Inconclusive, ran, nil, suite.Failed},
		"could not be run, but broken":  {history.EndFailed, judge.Fail, ran, nil, suite.Judged},
		"interrupted":                   {history.EndInterrupted, judge.Inconclusive, context.Canceled, nil, suite.BrokenOff},
		"interrupted, but broken":       {history.EndInterrupted, judge.Fail, context.Canceled, nil, suite.Judged},
		"killed":                        {"", judge.Inconclusive, nil, nil, suite.BrokenOff},
		"killed, but broken":            {"", judge.Fail, nil, nil, suite.Judged},
		"a fault, interrupted":          {history.EndInterrupted, judge.Fail, context.Canceled, planted, suite.BrokenOff},
		"a fault, killed":               {"", judge.Fail, nil, planted, suite.BrokenOff},
		"a fault that is the error":     {history.EndFailed, judge.Inconclusive, ran, planted, suite.Judged},
		"a fault, and all went to plan": {history.EndFinished, judge.Pass, nil, planted, suite.Judged},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := suite.New("run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, []int{0})
			dir := filepath.Join(t.TempDir(), "run-0")
			recordRun(t, s, &s.Runs[0], dir, c.end)
			h, err := history.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			r := suite.Run{}
			came(&r, h, judge.Result{Verdict: c.verdict, Promises: []judge.Promise{{Slug: "load.held", Verdict: c.verdict}}}, c.ran, c.fault)
			if r.State != c.want || (r.Verdict != "") != (c.want == suite.Judged) || (r.Tooth != nil) != (c.want == suite.Judged && c.fault != nil) || r.Record != h.Sum() {
				t.Errorf("it is %+v, want %s", r, c.want)
			}
			if c.want != suite.Judged && r.Reason == "" {
				t.Error("nobody says why it has no verdict")
			}
		})
	}
}

// Two suites of one second do not share a directory.
func TestSuitesOfOneSecond(t *testing.T) {
	out := t.TempDir()
	dirs := map[string]bool{}
	for range 3 {
		k := &kept{Suite: suite.New("run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, []int{0, 1})}
		if err := k.start(out, nil); err != nil {
			t.Fatal(err)
		}
		dirs[k.Dir()] = true
		if err := k.release(); err != nil {
			t.Fatal(err)
		}
	}
	if len(dirs) != 3 {
		t.Errorf("3 suites have %d directories: %v", len(dirs), dirs)
	}
}
