package reports_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/joshdk/go-junit"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/reports"
)

// mergedSample is the report of two shards of a suite with a run of every kind: one failed in one of its three repetitions, one proves
// nothing, one was broken off and performed again, one is not finished, one was skipped. dir is that of the report; the shards are beside it, in the working directory.
func mergedSample(t *testing.T, dir string) *reports.Merged {
	t.Helper()
	terms := suite.Terms{
		Build: suite.Build{Version: "v0.1.0", Commit: "6845d5cafe1234567890"}, Pace: "fast", Rate: 200, Repeat: 3, Cluster: "5e1f",
		Images: map[string]string{"node": "sha256:3f1c0a", "bitvaultd": "sha256:77aa01"},
		Asked:  []suite.Asked{{Scenario: "canary/promotes-good"}, {Scenario: "mechanics/pdb-no-deadlock"}, {Scenario: "mechanics/graceful"}},
	}
	var shards []*suite.Suite
	for nth := 1; nth <= 2; nth++ {
		shard := suite.Shard{Nth: nth, Of: 2}
		s := suite.New("run", terms, shard, shard.Positions(make([]time.Duration, 9)))
		if err := s.Create(fmt.Sprintf("20261123-080000-suite-%d", nth), sampleStart); err != nil {
			t.Fatal(err)
		}
		shards = append(shards, s)
	}
	timeline, results := sampleTimeline(t), results()
	m := reports.NewMerged(shards)
	for position := range 9 {
		s := shards[position%2]
		run := suite.Run{Position: position, Scenario: terms.Asked[position%3].Scenario, Took: 134 * time.Second, Dir: "20261123-run", State: suite.Judged, Verdict: judge.Pass}
		result := "pass"
		switch position {
		case 2:
			run.Verdict, result = judge.Inconclusive, "inconclusive"
		case 3:
			run.Verdict, result = judge.Fail, "fail"
		case 4:
			off := run
			off.State, off.Verdict, off.Reason = suite.BrokenOff, "", "the command was killed"
			m.Add(suite.Part{Run: off, Of: s}, dir)
		case 7:
			m.Add(suite.Part{Run: suite.Run{Position: 7, Scenario: run.Scenario, State: suite.Skipped, Reason: "2 workers needed, the cluster has 1 worker"}, Of: s}, dir)
			continue
		case 8:
			run.State, run.Verdict, run.Reason = suite.Failed, "", "set up mechanics/graceful: <b>the ingress</b> does not answer"
			m.Add(suite.Part{Run: run, Of: s}, dir)
			continue
		}
		if err := m.AddJudged(suite.Part{Run: run, Of: s}, dir, timeline, results[result]); err != nil {
			t.Fatal(err)
		}
	}
	m.Conclude()
	return m
}

// Every view of a whole suite tells of each of its runs, the worst first, and none is green where the suite is not.
func TestAWholeSuiteInEveryView(t *testing.T) {
	root := t.TempDir()
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	dir := filepath.Join(root, "merged")
	m := mergedSample(t, dir)
	if m.Outcome != reports.Unfinished || m.ExitCode != 3 {
		t.Errorf("it is %s, exit code %d", m.Outcome, m.ExitCode)
	}
	var shown [][]byte
	for _, width := range []int{0, 80} {
		var buf bytes.Buffer
		if err := reports.MergedTerminal(&buf, m, reports.TerminalOptions{Dir: "/runs/merged", Width: width}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(buf.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); width > 0 && n > width && strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("a line of %d columns is not broken: %q", n, line)
			}
		}
		shown = append(shown, buf.Bytes())
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(home)
	golden(t, "merged.txt", shown[0])
	golden(t, "merged-80.txt", shown[1])
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	var read reports.Merged
	if err := history.OpenSealed(filepath.Join(dir, reports.MergedFile), &read); err != nil || len(read.Runs) != 10 || !read.Runs[4].Again || read.Runs[5].Again {
		t.Errorf("merged.json has %d runs, error %v", len(read.Runs), err)
	}
	page, err := os.ReadFile(filepath.Join(dir, reports.HTMLFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{m.Answer, "canary/promotes-good (2 of 3)", "load.zero-dropped", `href="../20261123-run/report.html"`, "sha256:77aa01", "&lt;b&gt;the ingress"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if bytes.Index(page, []byte("could not run</td>")) > bytes.Index(page, []byte("fail</td>")) || bytes.Index(page, []byte("fail</td>")) > bytes.Index(page, []byte("pass</td>")) {
		t.Error("the page does not begin with the worst")
	}
	cases, err := os.ReadFile(filepath.Join(dir, reports.JUnitFile))
	if err != nil {
		t.Fatal(err)
	}
	assertSchema(t, cases)
	suites, err := junit.Ingest(cases)
	if err != nil || len(suites) != 10 {
		t.Fatalf("JUnit has %d suites, error %v; want one for each run:\n%s", len(suites), err, cases)
	}
	red := map[string]int{}
	for _, s := range suites {
		red[s.Name] += s.Totals.Failed + s.Totals.Error
	}
	for name, want := range map[string]bool{
		"canary/promotes-good (1 of 3)": false, "canary/promotes-good (2 of 3)": true, "mechanics/graceful (1 of 3)": true, "mechanics/graceful (3 of 3)": true,
		"mechanics/pdb-no-deadlock (2 of 3)": false, "mechanics/pdb-no-deadlock (3 of 3)": false,
	} {
		if n, there := red[name]; !there || (n > 0) != want {
			t.Errorf("JUnit has %d failures and errors of %s, want red = %v", n, name, want)
		}
	}
}

// A suite of which nothing ran is no pass, and its JUnit has an error although no run has.
func TestASuiteOfNothingIsNotGreen(t *testing.T) {
	s := suite.New("run", suite.Terms{Repeat: 1, Asked: []suite.Asked{{Scenario: "mechanics/pdb"}}}, suite.Shard{}, []int{0})
	dir := t.TempDir()
	if err := s.Create(filepath.Join(dir, "suite"), sampleStart); err != nil {
		t.Fatal(err)
	}
	s.Runs[0].State, s.Runs[0].Reason = suite.Skipped, "2 workers needed"
	m := reports.NewMerged([]*suite.Suite{s})
	m.Add(suite.Part{Run: s.Runs[0], Of: s}, dir)
	m.Conclude()
	if m.ExitCode != 2 || m.Answer != "1 of 1 run was skipped." {
		t.Errorf("exit code %d: %s", m.ExitCode, m.Answer)
	}
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile(filepath.Join(dir, reports.JUnitFile))
	if err != nil {
		t.Fatal(err)
	}
	assertSchema(t, cases)
	suites, err := junit.Ingest(cases)
	if err != nil || len(suites) != 2 || suites[1].Totals.Error != 1 {
		t.Errorf("JUnit reads %+v, error %v", suites, err)
	}
}
