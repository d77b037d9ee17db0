package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/probe"
	"bitvault.dev/rollproof/harness/progress"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/scenarios"
)

// smallCluster writes the project's configuration with one worker less: one.
func smallCluster(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.yaml")
	raw, err := os.ReadFile("../../kind-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	small := bytes.Replace(raw, []byte("- role: worker\n"), nil, 1)
	if bytes.Equal(small, raw) {
		t.Fatal("kind-config.yaml has no worker to leave out")
	}
	if err := os.WriteFile(path, small, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is wrong with a command is told before an engine, an image or a cluster is asked for: none of them is there.
func TestWhatCannotBeRunIsToldAtOnce(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	t.Setenv("DOCKER_CONTEXT", "")
	small, out := smallCluster(t), t.TempDir()
	cases := map[string]struct {
		args []string
		code int
		want []string
	}{
		"a mistyped scenario":     {[]string{"run", "canary/promote-good"}, exitCouldNotRun, []string{`"canary/promote-good"`, "did you mean canary/promotes-good; "}},
		"a mistyped label":        {[]string{"run", "--label", "smok"}, exitCouldNotRun, []string{`"smok"`, "canary, mechanics, nats, opensearch, postgres, redis, smoke, stores, worker"}},
		"a mistyped pace":         {[]string{"run", "--pace", "slow"}, exitCouldNotRun, []string{`"slow"`, "fast and spec"}},
		"a rate that is none":     {[]string{"run", "--rate", "many"}, exitCouldNotRun, []string{"--rate many"}},
		"no such configuration":   {[]string{"run", "--config", "/nonexistent.yaml"}, exitCouldNotRun, []string{"/nonexistent.yaml"}},
		"a pace nobody lists":     {[]string{"list", "--pace", "slow"}, exitCouldNotRun, []string{`"slow"`, "fast and spec"}},
		"a shard of nothing":      {[]string{"run", "--shard", "5/4"}, exitCouldNotRun, []string{"5/4", "2/4"}},
		"an empty shard":          {[]string{"run", "canary/promotes-good", "--shard", "2/2"}, exitCouldNotRun, []string{"--shard 2/2", "only 1 to share"}},
		"an empty shard of teeth": {[]string{"teeth", "mechanics.graceful", "--shard", "2/2"}, exitCouldNotRun, []string{"--shard 2/2", "only 1 to share"}},
		"repeated not at all":     {[]string{"run", "--repeat", "0"}, exitCouldNotRun, []string{"--repeat 0"}},
		"a mistyped check":        {[]string{"teeth", "canary.step"}, exitCouldNotRun, []string{`"canary.step"`, "rollproof list"}},
		"teeth at no pace":        {[]string{"teeth", "--pace", "slow"}, exitCouldNotRun, []string{`"slow"`, "fast and spec"}},
		"a cluster that is too small for it": {[]string{"run", "--config", small, "mechanics/pdb", "--out", out}, exitInconclusive,
			[]string{"skipped", "mechanics/pdb", "2 workers needed, the cluster has 1 worker"}},
		"a cluster that is too small for all of them": {[]string{"run", "--config", small, "mechanics/pdb", "mechanics/pdb-no-deadlock", "--out", out + "/2"}, exitInconclusive,
			[]string{"mechanics/pdb-no-deadlock"}},
		"a cluster that is too small for one of two": {[]string{"run", "--config", small, "mechanics/pdb", "mechanics/readiness"}, exitCouldNotRun, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			code, out := runCommand(c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, out)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q does not say %q", out, want)
				}
			}
			t.Logf("told after %v: %s", time.Since(began), out)
		})
	}
}

// The shards of a command are dealt from what it was asked for, repetitions included, and hold each exactly once.
func TestShardsShareTheRepetitions(t *testing.T) {
	chosen := []run.Scenario{{Name: "a", Before: time.Minute}, {Name: "b", Before: time.Second}, {Name: "c", Before: time.Second}}
	times := map[string]int{}
	for _, shard := range []string{"1/2", "2/2"} {
		f := labFlags{repeat: 3}
		if err := f.shard.Set(shard); err != nil {
			t.Fatal(err)
		}
		positions, err := f.part(chosen)
		if err != nil {
			t.Fatal(err)
		}
		s := suite.New("run", suite.Terms{Repeat: 3, Asked: askedFor(chosen, nil)}, f.shard, positions)
		for _, scenario := range at(chosen, s.Runs, s.Left()) {
			times[scenario.Name]++
		}
	}
	if times["a"] != 3 || times["b"] != 3 || times["c"] != 3 {
		t.Errorf("performed %v, want each 3 times", times)
	}
}

func TestTheSummaryCarriesTheWorstExitCode(t *testing.T) {
	of := func(v judge.Verdict) suite.Run {
		return suite.Run{Scenario: "canary/" + string(v), State: suite.Judged, Verdict: v, Dir: string(v)}
	}
	skipped := suite.Run{Scenario: "mechanics/pdb", State: suite.Skipped, Reason: "2 workers needed"}
	left := suite.Run{Scenario: "mechanics/graceful", State: suite.NotBegun}
	broken := suite.Run{Scenario: "canary/late", State: suite.Failed, Dir: "late", Reason: "the load ended by itself"}
	brokenOff := suite.Run{Scenario: "canary/pass", State: suite.BrokenOff, Dir: "first"}
	cases := map[string]struct {
		runs []suite.Run
		errs []error
		code int
		line string
	}{
		"all pass":                           {[]suite.Run{of(judge.Pass), of(judge.Pass)}, nil, exitPass, "pass  canary/pass  out/pass"},
		"one fails":                          {[]suite.Run{of(judge.Inconclusive), of(judge.Fail), of(judge.Pass)}, nil, exitBroken, "fail          canary/fail"},
		"one is inconclusive":                {[]suite.Run{of(judge.Pass), of(judge.Inconclusive)}, nil, exitInconclusive, "inconclusive  canary/inconclusive"},
		"one is skipped":                     {[]suite.Run{of(judge.Pass), skipped}, nil, exitPass, "skipped  mechanics/pdb  2 workers needed"},
		"nothing ran":                        {[]suite.Run{skipped}, nil, exitInconclusive, "skipped  mechanics/pdb  2 workers needed"},
		"interrupted after the first passed": {[]suite.Run{of(judge.Pass), left}, nil, exitCouldNotRun, "not begun  mechanics/graceful"},
		"one could not be run":               {[]suite.Run{of(judge.Fail), broken}, nil, exitCouldNotRun, "could not run  canary/late"},
		"a report could not be written":      {[]suite.Run{of(judge.Pass)}, []error{errors.New("disk full")}, exitCouldNotRun, "pass  canary/pass"},
		"broken off, and performed again":    {[]suite.Run{brokenOff, of(judge.Pass)}, nil, exitPass, "broken off  canary/pass  out/first"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &suite.Suite{Command: "run", Terms: suite.Terms{Repeat: 1}}
			position := -1
			for i, r := range c.runs {
				if i == 0 || c.runs[i-1].State != suite.BrokenOff {
					position++
					s.Asked = append(s.Asked, suite.Asked{Scenario: r.Scenario})
				}
				r.Position = position
				s.Runs = append(s.Runs, r)
			}
			if err := s.Create(filepath.Join(t.TempDir(), "suite"), time.Now()); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err := summarise(&out, s, c.errs...)
			told, other := verdictOf(err)
			code := int(told)
			if other != nil {
				code = exitCouldNotRun
			}
			if code != c.code {
				t.Errorf("exit code %d (%v), want %d", code, err, c.code)
			}
			shown := strings.ReplaceAll(out.String(), filepath.Dir(s.Dir()), "out")
			if !strings.Contains(shown, c.line) {
				t.Errorf("the summary\n%sdoes not have the line %q", shown, c.line)
			}
			if unfinished := strings.Contains(fmt.Sprint(err), "--resume "+s.Dir()); unfinished != (c.code == exitCouldNotRun && c.errs == nil) {
				t.Errorf("the error %v says how to go on: %v", err, unfinished)
			}
		})
	}
}

// Where lines cannot be rewritten a status is a line of its own, and not every second.
func TestStatusInALogFile(t *testing.T) {
	var out bytes.Buffer
	synctest.Test(t, func(*testing.T) {
		show := statusOf(progress.New(&out, ""))
		for s := range 12 {
			show(run.Status{Scenario: "canary/promotes-good", Doing: "waiting for v2", Elapsed: time.Duration(s) * time.Second, Usually: 134 * time.Second,
				Probes: []probe.Status{{Unit: "hits", Sent: uint64(200 * s), Failed: 2, Unsent: 1}, {Unit: "writes", Sent: uint64(20 * s)}}})
			time.Sleep(time.Second)
		}
	})
	const want = "10 s of about 2 min 14 s  canary/promotes-good  2000 hits, 200/s, 2 failed, 1 not sent  200 writes, 20/s, 0 failed  waiting for v2\n"
	if _, line, _ := strings.Cut(out.String(), "  "); line != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// The rate is that of the time since the status before, and of a new scenario from its beginning.
func TestTheRateIsOfNow(t *testing.T) {
	at := func(scenario string, elapsed time.Duration, sent uint64) run.Status {
		return run.Status{Scenario: scenario, Elapsed: elapsed, Probes: []probe.Status{{Sent: sent}}, Saw: "v2 has done 1 of 5 steps"}
	}
	for name, c := range map[string]struct {
		now, before run.Status
		want        string
	}{
		"at first":       {at("a", 10*time.Second, 2000), run.Status{}, " 200/s,"},
		"it stalled":     {at("a", 20*time.Second, 2000), at("a", 10*time.Second, 2000), " 0/s,"},
		"it goes on":     {at("a", 20*time.Second, 5000), at("a", 10*time.Second, 2000), " 300/s,"},
		"the next one":   {at("b", 10*time.Second, 1000), at("a", 90*time.Second, 18000), " 100/s,"},
		"the same again": {at("a", 10*time.Second, 1000), at("a", 90*time.Second, 18000), " 100/s,"},
		"what was seen":  {at("a", 10*time.Second, 2000), run.Status{}, ": v2 has done 1 of 5 steps"},
	} {
		if line := strings.Join(statusRows(c.now, c.before), "  "); !strings.Contains(line, c.want) {
			t.Errorf("%s: %q, want %q in it", name, line, c.want)
		}
	}
}

func TestListTellsWhatEachScenarioNeeds(t *testing.T) {
	code, out := runCommand("list")
	if code != exitPass {
		t.Fatalf("exit code %d: %s", code, out)
	}
	for _, want := range []string{"canary/aborts-late\n    a fault that shows only later", "    takes   about ", "judges  mechanics.pdb, mechanics.readiness\n", "    needs   2 workers\n", fmt.Sprintf("%d scenarios, about ", len(scenarios.All(bitvault.World{})))} {
		if !strings.Contains(out, want) {
			t.Errorf("%q does not say %q", out, want)
		}
	}
}
