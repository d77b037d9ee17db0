package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/suite"
	"bitvault.dev/rollproof/reports"
	"bitvault.dev/rollproof/scenarios/teeth"
)

// Judgements as they are stored beside a record.
const (
	heldVerdict   = held
	brokenVerdict = `{"verdict":"fail","promises":[{"slug":"load.zero-dropped","promise":"no request is dropped","verdict":"fail","reason":"1 of 1 hits dropped","hits":1,"dropped":1,"findings":[]}]}`
	openVerdict   = `{"verdict":"inconclusive","promises":[{"slug":"load.held","promise":"the load really ran","verdict":"inconclusive","reason":"the generator was starved","findings":[]}]}`
)

// suiteTerms are those of a suite of the real command, by the flags' defaults.
func suiteTerms(t *testing.T, repeat int, asked ...suite.Asked) suite.Terms {
	t.Helper()
	f := labFlags{pace: "fast", rate: "200/s", repeat: repeat}
	terms := suite.Terms{Asked: asked, Images: map[string]string{"bitvaultd": "sha256:aa"}}
	for _, a := range asked {
		if a.Check == "" {
			terms.Names = append(terms.Names, a.Scenario)
		}
	}
	if err := f.complete(&terms); err != nil {
		t.Fatal(err)
	}
	return terms
}

// performed lays down a suite below out in which every run was performed: its verdict is the one at its position.
func performed(t *testing.T, out, command string, terms suite.Terms, shard suite.Shard, verdicts ...string) *suite.Suite {
	t.Helper()
	s := suite.New(command, terms, shard, shard.Positions(make([]time.Duration, len(terms.Asked)*terms.Repeat)))
	for i := range s.Runs {
		if verdict := verdicts[s.Runs[i].Position]; verdict != "" {
			perform(t, s, &s.Runs[i], out, history.EndFinished, verdict)
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(filepath.Join(out, "20261126-021700-suite"), time.Date(2026, 11, 26, 2, 17, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	return s
}

// perform records a run of a suite, stores a verdict of it, and notes both.
func perform(t *testing.T, s *suite.Suite, r *suite.Run, out string, end history.Outcome, verdict string) {
	t.Helper()
	r.Dir = fmt.Sprintf("run-%d", r.Position)
	dir := filepath.Join(out, r.Dir)
	recordRun(t, s, r, dir, end)
	storeVerdict(t, dir, verdict)
	h, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	res, err := readVerdict(dir, h)
	if err != nil {
		t.Fatal(err)
	}
	r.State, r.Record, r.Verdict, r.Took = suite.Judged, h.Sum(), reports.Overall(res), 61*time.Second
	if asked, _, _ := s.AskedFor(*r); asked.Check != "" {
		r.Tooth = &suite.Tooth{}
		r.Tooth.Seen, r.Tooth.Said = (teeth.Fault{Check: asked.Check, Verdict: asked.Want}).Seen(res)
	}
}

// recordRun records a run of one hit; without an outcome its record has no end, as after a kill.
func recordRun(t *testing.T, s *suite.Suite, r *suite.Run, dir string, end history.Outcome) {
	t.Helper()
	about := history.Run{
		ID: fmt.Sprintf("r%d-%s-%s", r.Position, s.Shard.String(), filepath.Base(dir)), Scenario: r.Scenario, Pace: s.Pace,
		Versions: map[string]string{"rollproof": s.Build.Version, "image bitvaultd": "registry/bitvaultd@" + s.Images["bitvaultd"]},
	}
	recordHit(t, dir, about, time.Date(2026, 11, 26, 2, 17, r.Position, 0, time.UTC), end)
}

// recordHit records a run of one correct answer in two seconds; one without an end was killed.
func recordHit(t *testing.T, dir string, about history.Run, started time.Time, end history.Outcome) {
	t.Helper()
	rec, err := history.Create(dir, about, history.StoppedClock(started, 2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	w, err := rec.Arm("get")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&history.Hit{Code: 200, At: time.Second, Intended: time.Second, Latency: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if end == "" {
		err = errors.Join(w.Flush(), rec.Abandon())
	} else {
		err = rec.Close(end, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}

var twoAsked = []suite.Asked{{Scenario: "canary/promotes-good"}, {Scenario: "mechanics/pdb"}}

// halves are two shards of a suite of two scenarios, each three times, with a flake in it.
func halves(t *testing.T, verdicts ...string) (first, second *suite.Suite) {
	t.Helper()
	terms, root := suiteTerms(t, 3, twoAsked...), t.TempDir()
	return performed(t, filepath.Join(root, "1"), "run", terms, suite.Shard{Nth: 1, Of: 2}, verdicts...),
		performed(t, filepath.Join(root, "2"), "run", terms, suite.Shard{Nth: 2, Of: 2}, verdicts...)
}

func allHeld() []string {
	return []string{heldVerdict, heldVerdict, heldVerdict, heldVerdict, heldVerdict, heldVerdict}
}

// One exit code stands for all runs, and every view tells the same.
func TestMergeGivesOneExitCode(t *testing.T) {
	flaky, starved := allHeld(), allHeld()
	flaky[3], starved[0] = brokenVerdict, openVerdict
	unfinished := allHeld()
	unfinished[1], unfinished[4] = "", brokenVerdict
	cases := map[string]struct {
		verdicts []string
		code     int
		outcome  string
		answer   string
	}{
		"all pass":            {allHeld(), exitPass, "pass", "All 6 runs passed."},
		"one of three failed": {flaky, exitBroken, "fail", "1 of 6 runs broke a promise, 5 passed. Not always alike: mechanics/pdb failed in 1 of 3."},
		"one proves nothing":  {starved, exitInconclusive, "inconclusive", "1 of 6 runs proves nothing, 5 passed. Not always alike: canary/promotes-good proved nothing in 1 of 3."},
		"one was not begun":   {unfinished, exitCouldNotRun, "not finished", "1 of 6 runs never got to a verdict, 1 broke a promise, 4 passed. Not always alike: canary/promotes-good failed in 1 of 3."},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			first, second := halves(t, c.verdicts...)
			out := filepath.Join(t.TempDir(), "merged")
			code, text := execReport("report", "--merge", second.Dir(), filepath.Dir(first.Dir()), "--out", out)
			if code != c.code || !strings.Contains(text, c.outcome+": "+c.answer) {
				t.Fatalf("exit code %d, want %d; printed\n%s\nwant %s: %s", code, c.code, text, c.outcome, c.answer)
			}
			if got := names(t, out); got != "junit.xml merged.json report.html" {
				t.Errorf("it wrote %q", got)
			}
			var merged reports.Merged
			if err := history.OpenSealed(filepath.Join(out, reports.MergedFile), &merged); err != nil {
				t.Fatal(err)
			}
			if merged.Outcome != c.outcome || merged.ExitCode != c.code || merged.Answer != c.answer || len(merged.Runs) != 6 {
				t.Errorf("merged.json says %+v", merged)
			}
			junit, err := os.ReadFile(filepath.Join(out, "junit.xml"))
			if err != nil {
				t.Fatal(err)
			}
			if red := !bytes.Contains(junit, []byte(`failures="0" errors="0" time="366.000"`)); red != (c.code != exitPass) {
				t.Errorf("JUnit is red: %v, at exit code %d:\n%s", red, c.code, junit)
			}
			page, err := os.ReadFile(filepath.Join(out, "report.html"))
			if err != nil || !bytes.Contains(page, []byte(c.answer)) {
				t.Errorf("the page lacks the answer: %v", err)
			}
		})
	}
}

// The links of the page lead to the pages of the runs.
func TestMergedLinksLead(t *testing.T) {
	first, second := halves(t, allHeld()...)
	out := filepath.Join(t.TempDir(), "a", "merged")
	if code, text := execReport("report", "--merge", first.Dir(), second.Dir(), "--out", out); code != exitPass {
		t.Fatalf("exit code %d: %s", code, text)
	}
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for rest := string(page); ; links++ {
		_, after, more := strings.Cut(rest, `href="`)
		if !more {
			break
		}
		link, left, _ := strings.Cut(after, `"`)
		rest = left
		record := filepath.Dir(filepath.Join(out, link))
		if _, err := history.Open(record); err != nil {
			t.Errorf("link %s: %v", link, err)
		}
	}
	if links != 6 {
		t.Errorf("%d links, want 6", links)
	}
}

// What is not one suite, or was changed since, is refused in one line, and leaves no report: not even an older one.
func TestMergeRefuses(t *testing.T) {
	type shards struct{ first, second *suite.Suite }
	save := func(t *testing.T, s *suite.Suite) {
		t.Helper()
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(t *testing.T, path, from, to string) {
		t.Helper()
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(whole, []byte(from), []byte(to), 1)
		if bytes.Equal(whole, changed) {
			t.Fatalf("%s has no %s", path, from)
		}
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	record := func(s *suite.Suite) string { return s.RecordOf(s.Runs[0]) }
	cases := map[string]struct {
		change func(t *testing.T, s *shards) []string // returns the directories that are named
		want   string
	}{
		"a shard twice":             {func(_ *testing.T, s *shards) []string { return []string{s.first.Dir(), s.first.Dir()} }, "shard 1/2 is there twice"},
		"a shard missing":           {func(_ *testing.T, s *shards) []string { return []string{s.first.Dir()} }, "shard 2/2 is missing"},
		"no such directory":         {func(_ *testing.T, s *shards) []string { return []string{s.first.Dir(), s.second.Dir() + "x"} }, "x: no such file"},
		"a directory without suite": {func(t *testing.T, s *shards) []string { return []string{s.first.Dir(), t.TempDir()} }, "suite.json"},
		"the directory of a run":    {func(_ *testing.T, s *shards) []string { return []string{s.first.Dir(), record(s.second)} }, "suite.json"},
		"an edited suite.json": {func(t *testing.T, s *shards) []string {
			edit(t, filepath.Join(s.second.Dir(), suite.File), `"pass"`, `"fail"`)
			return nil
		}, "its sum does not fit"},
		"a shard of an older commit": {func(t *testing.T, s *shards) []string { s.second.Build.Commit = "0ld"; save(t, s.second); return nil }, "the build"},
		"an empty shard":             {func(t *testing.T, s *shards) []string { s.second.Runs = nil; save(t, s.second); return nil }, "holds no run"},
		"a record missing": {func(t *testing.T, s *shards) []string {
			if err := os.RemoveAll(record(s.second)); err != nil {
				t.Fatal(err)
			}
			return nil
		}, "bring back the record"},
		"an edited verdict": {func(t *testing.T, s *shards) []string {
			edit(t, filepath.Join(record(s.second), "verdict.json"), `"hits": 1`, `"hits": 2`)
			return nil
		}, "rollproof judge"},
		"no verdict": {func(t *testing.T, s *shards) []string {
			_ = os.Remove(filepath.Join(record(s.second), "verdict.json"))
			return nil
		}, "not judged yet"},
		"another verdict, sealed": {func(t *testing.T, s *shards) []string { storeVerdict(t, record(s.second), brokenVerdict); return nil }, "is judged fail"},
		"another verdict in the list": {func(t *testing.T, s *shards) []string {
			s.second.Runs[0].Verdict = judge.Fail
			save(t, s.second)
			return nil
		}, "is judged pass"},
		"a hit changed": {func(t *testing.T, s *shards) []string {
			edit(t, filepath.Join(record(s.second), "hits-get.bin"), "\x01", "\x02")
			return nil
		}, "was damaged since"},
		"an event changed": {func(t *testing.T, s *shards) []string {
			edit(t, filepath.Join(record(s.second), "events.jsonl"), `"finished"`, `"interrupted"`)
			return nil
		}, "another sum"},
		"the record of another run": {func(t *testing.T, s *shards) []string {
			from, to := s.first.RecordOf(s.first.Runs[0]), record(s.second)
			if err := os.RemoveAll(to); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(to, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			return nil
		}, "another sum"},
		"a record of another rollproof": {func(t *testing.T, s *shards) []string {
			for _, s := range []*suite.Suite{s.first, s.second} {
				s.Build.Version = "v9"
				save(t, s)
			}
			return nil
		}, "was made by rollproof"},
		"a record of other images": {func(t *testing.T, s *shards) []string {
			for _, s := range []*suite.Suite{s.first, s.second} {
				s.Images = map[string]string{"bitvaultd": "sha256:bb"}
				save(t, s)
			}
			return nil
		}, "has image registry/bitvaultd@sha256:aa"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &shards{}
			s.first, s.second = halves(t, allHeld()...)
			out := t.TempDir()
			old := filepath.Join(out, reports.MergedFile)
			if err := os.WriteFile(old, []byte("{}"), 0o644); err != nil {
				t.Fatal(err)
			}
			dirs := c.change(t, s)
			if dirs == nil {
				dirs = []string{s.first.Dir(), s.second.Dir()}
			}
			code, text := execReport(append([]string{"report", "--merge", "--out", out}, dirs...)...)
			if code != exitCouldNotRun || !strings.Contains(text, c.want) || strings.Count(text, "\n") != 1 {
				t.Errorf("exit code %d, printed %q; want one line with %q", code, text, c.want)
			}
			if got := names(t, out); got != "" {
				t.Errorf("a report is left: %s", got)
			}
		})
	}
}

func TestMergeNeedsADirectoryOfItsOwn(t *testing.T) {
	first, second := halves(t, allHeld()...)
	for name, args := range map[string][]string{
		"no --out":            {"--merge", first.Dir(), second.Dir()},
		"no suite":            {"--merge", "--out", t.TempDir()},
		"into a suite":        {"--merge", first.Dir(), second.Dir(), "--out", first.Dir()},
		"into a run":          {"--merge", first.Dir(), second.Dir(), "--out", first.RecordOf(first.Runs[0])},
		"two without --merge": {first.RecordOf(first.Runs[0]), second.RecordOf(second.Runs[0])},
		"unprotected":         {"--merge", "--accept-unprotected", first.Dir(), second.Dir(), "--out", t.TempDir()},
	} {
		before := names(t, first.Dir()) + names(t, first.RecordOf(first.Runs[0]))
		if code, text := execReport(append([]string{"report"}, args...)...); code != exitCouldNotRun || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: exit code %d, printed %q", name, code, text)
		}
		if after := names(t, first.Dir()) + names(t, first.RecordOf(first.Runs[0])); after != before {
			t.Errorf("%s: %s became %s", name, before, after)
		}
	}
}

// A run that was broken off and performed again is told, and does not count.
func TestWhatWasPerformedAgainCountsOnce(t *testing.T) {
	first, second := halves(t, allHeld()...)
	off := first.Runs[0]
	off.State, off.Verdict, off.Record, off.Dir, off.Reason = suite.BrokenOff, "", "", "", "the command was killed"
	first.Runs = append([]suite.Run{off}, first.Runs...)
	if err := first.Save(); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	code, text := execReport("report", "--merge", first.Dir(), second.Dir(), "--out", out)
	if code != exitPass || !strings.Contains(text, "All 6 runs passed.") || !strings.Contains(text, "broken off and performed again: the command was killed") {
		t.Errorf("exit code %d, printed %s", code, text)
	}
	junit, err := os.ReadFile(filepath.Join(out, "junit.xml"))
	if err != nil || !bytes.Contains(junit, []byte("<skipped")) || !bytes.Contains(junit, []byte(`failures="0" errors="0"`)) {
		t.Errorf("error %v, JUnit:\n%s", err, junit)
	}
}

// A run that proved nothing and was performed again by --again is told, and does not count.
func TestWhatProvedNothingAndWasPerformedAgainCountsOnce(t *testing.T) {
	first, second := halves(t, allHeld()...)
	nothing := first.Runs[0]
	nothing.Dir = "proved-nothing"
	recordRun(t, first, &nothing, first.RecordOf(nothing), history.EndFinished)
	h, err := history.Open(first.RecordOf(nothing))
	if err != nil {
		t.Fatal(err)
	}
	result, err := checks.Recorded(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reports.WriteAll(t.Context(), first.RecordOf(nothing), h, result); err != nil {
		t.Fatal(err)
	}
	nothing.Record, nothing.Verdict = h.Sum(), reports.Overall(result)
	if nothing.Verdict != judge.Inconclusive {
		t.Fatalf("the record is judged %s", nothing.Verdict)
	}
	first.Runs = append([]suite.Run{nothing}, first.Runs...)
	if err := first.Save(); err != nil {
		t.Fatal(err)
	}
	if code, text := execReport("report", "--merge", first.Dir(), second.Dir(), "--out", t.TempDir()); code != exitCouldNotRun {
		t.Errorf("nobody asked for it to be performed again: exit code %d, printed %s", code, text)
	}
	for _, s := range []*suite.Suite{first, second} {
		s.Again = 1
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
	}
	out := t.TempDir()
	code, text := execReport("report", "--merge", first.Dir(), second.Dir(), "--out", out)
	if code != exitPass || !strings.Contains(text, "All 6 runs passed. Before, 1 run proved nothing and was performed again.") || !strings.Contains(text, "inconclusive and performed again") {
		t.Errorf("exit code %d, printed %s", code, text)
	}
	junit, err := os.ReadFile(filepath.Join(out, "junit.xml"))
	if err != nil || !bytes.Contains(junit, []byte("<skipped")) || !bytes.Contains(junit, []byte(`failures="0" errors="0"`)) {
		t.Errorf("error %v, JUnit:\n%s", err, junit)
	}
}

func fault(check, planted string, want judge.Verdict) suite.Asked {
	return suite.Asked{Scenario: "teeth/" + strings.ReplaceAll(check, ".", "-"), Check: check, Planted: planted, Want: want}
}

// The matrix of planted faults is one, whichever shard planted them. A fault that survived in any of them is exit code 1.
func TestMergedTeeth(t *testing.T) {
	asked := []suite.Asked{
		fault("load.zero-dropped", "no preStop", judge.Fail), fault("load.held", "one worker", judge.Inconclusive), fault("load.zero-dropped", "no grace", judge.Fail),
	}
	for name, c := range map[string]struct {
		verdicts []string
		code     int
		want     string
	}{
		"all seen":         {[]string{brokenVerdict, openVerdict, brokenVerdict}, exitPass, "3 of 3 planted faults were seen (100 %)"},
		"one survived":     {[]string{brokenVerdict, openVerdict, heldVerdict}, exitBroken, "2 of 3 planted faults were seen (67 %)"},
		"one not planted":  {[]string{brokenVerdict, openVerdict, ""}, exitCouldNotRun, "1 of 3 planted faults never got to a verdict"},
		"the first is not": {[]string{"", openVerdict, heldVerdict}, exitCouldNotRun, "1 of 3 planted faults never got to a verdict"},
	} {
		t.Run(name, func(t *testing.T) {
			terms, root, out := suiteTerms(t, 1, asked...), t.TempDir(), t.TempDir()
			first := performed(t, filepath.Join(root, "1"), "teeth", terms, suite.Shard{Nth: 1, Of: 2}, c.verdicts...)
			second := performed(t, filepath.Join(root, "2"), "teeth", terms, suite.Shard{Nth: 2, Of: 2}, c.verdicts...)
			code, text := execReport("report", "--merge", first.Dir(), second.Dir(), "--out", out)
			if code != c.code || !strings.Contains(text, c.want) {
				t.Errorf("exit code %d, want %d; printed\n%s\nwant %q", code, c.code, text, c.want)
			}
			if got := names(t, out); got != "junit.xml merged.json teeth.html teeth.json" {
				t.Errorf("it wrote %q", got)
			}
			var matrix reports.Teeth
			data, err := os.ReadFile(filepath.Join(out, "teeth.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, &matrix); err != nil || len(matrix.Faults) != 3 || matrix.Faults[1].Check != "load.held" || matrix.Faults[1].Planted != "one worker" {
				t.Errorf("error %v, the matrix is %+v", err, matrix)
			}
		})
	}
}

// Whether a fault was seen is what its record says, and not what the list says.
func TestMergedTeethAreWhatTheirRecordsSay(t *testing.T) {
	terms := suiteTerms(t, 1, fault("load.zero-dropped", "no preStop", judge.Fail))
	for name, verdict := range map[string]string{"survived": heldVerdict, "seen": brokenVerdict} {
		s := performed(t, t.TempDir(), "teeth", terms, suite.Shard{}, verdict)
		s.Runs[0].Tooth.Seen = !s.Runs[0].Tooth.Seen
		if err := s.Save(); err != nil {
			t.Fatal(err)
		}
		code, text := execReport("report", "--merge", s.Dir(), "--out", t.TempDir())
		if code != exitCouldNotRun || !strings.Contains(text, "load.zero-dropped in the run") || strings.Count(text, "\n") != 1 {
			t.Errorf("%s, and the list says the other: exit code %d, printed %s", name, code, text)
		}
	}
}

// A record that was put in the place of another one is seen by each thing that it says of itself.
func TestAForeignRecordIsSeen(t *testing.T) {
	whole := performed(t, t.TempDir(), "run", suiteTerms(t, 1, twoAsked...), suite.Shard{}, heldVerdict, heldVerdict)
	h, err := history.Open(whole.RecordOf(whole.Runs[0]))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(s *suite.Suite, r *suite.Run){
		"":                  func(*suite.Suite, *suite.Run) {},
		"another sum":       func(_ *suite.Suite, r *suite.Run) { r.Record = whole.Runs[1].Record },
		"an earlier record": func(s *suite.Suite, _ *suite.Run) { s.Started = s.Started.Add(time.Second) },
		"another scenario":  func(_ *suite.Suite, r *suite.Run) { r.Scenario = whole.Runs[1].Scenario },
		"another pace":      func(s *suite.Suite, _ *suite.Run) { s.Pace = "spec" },
		"another rollproof": func(s *suite.Suite, _ *suite.Run) { s.Build.Version = "v9" },
		"another image":     func(s *suite.Suite, _ *suite.Run) { s.Images = map[string]string{"bitvaultd": "sha256:bb"} },
	} {
		s, r := *whole, whole.Runs[0]
		change(&s, &r)
		if odd := foreign(h, &s, r); (odd != "") != (name != "") {
			t.Errorf("%s: seen is %q", name, odd)
		}
	}
}
