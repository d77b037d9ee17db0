package checks_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/checks/disruption"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// The tests of this file stand beside those of each check for conditions that could be left out, or be one off, and no test would have said so.

// What is planned twice lands twice.
func TestOneOfTwoDisturbancesIsNotBoth(t *testing.T) {
	for landed, want := range []judge.Verdict{judge.Inconclusive, judge.Inconclusive, judge.Pass} {
		r := cleanRun()
		r.events, r.run.Disturbances = nil, []string{"release", "release"}
		for i := range landed {
			began := time.Duration(2+3*i) * time.Second
			r.disturbance([]string{"d1", "d2"}[i], "release", "", began, began+time.Second, began+2*time.Second)
		}
		p := assertVerdict(t, r.judged(t), disruption.SlugLanded, want)
		if want != judge.Pass && !strings.Contains(p.Reason, "release was planned 2 times and landed "+[]string{"0 times", "1 time"}[landed]) {
			t.Errorf("reason %q", p.Reason)
		}
	}
}

// A record of format 1 has no sums. What it says in two places must fit all the same, to the last hit.
func TestAnAcceptedRecordIsCounted(t *testing.T) {
	const batch, opening = `"arm":"get","end":8536,"hits":100`, `"run":{"format":1,"id":"r1"`
	cases := []struct{ name, file, old, new, reason string }{
		{"as it was", "run.json", "", "", "300 hits of 3 arms, all counted"},
		{"run.json of another run", "run.json", `"id": "r1"`, `"id": "r2"`, `run.json is of run "r2", the events are of run "r1"`},
		{"events of another run", "events.jsonl", opening, `"run":{"format":1,"id":"r2"`, `run.json is of run "r1", the events are of run "r2"`},
		{"a batch of one hit more", "events.jsonl", batch, `"arm":"get","end":8536,"hits":101`, "arm get: 101 hits were on disk, 100 are there"},
		{"a batch of one hit fewer", "events.jsonl", batch, `"arm":"get","end":8536,"hits":99`, "arm get: 99 hits were on disk, 100 are there"},
	}
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			dir := acceptedCopy(t)
			path := filepath.Join(dir, c.file)
			data, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Contains(data, []byte(c.old)) {
				t.Fatalf("%s does not hold %s", c.file, c.old)
			}
			must(t, os.WriteFile(path, bytes.Replace(data, []byte(c.old), []byte(c.new), 1), 0o644))
			want := judge.Inconclusive
			if c.old == c.new {
				want = judge.Pass
			}
			p := assertVerdict(t, judgeDir(t, dir, history.AcceptUnprotected()), load.SlugComplete, want)
			if !strings.Contains(p.Reason, c.reason) {
				t.Errorf("reason %q, want it to tell %q", p.Reason, c.reason)
			}
		})
	}
}

// A record opens once.
func TestARecordThatOpensTwiceIsNotWhole(t *testing.T) {
	dir := acceptedCopy(t)
	path := filepath.Join(dir, "events.jsonl")
	data, err := os.ReadFile(path)
	must(t, err)
	first, rest, _ := bytes.Cut(data, []byte("\n"))
	must(t, os.WriteFile(path, bytes.Join([][]byte{first, first, rest}, []byte("\n")), 0o644))
	p := assertVerdict(t, judgeDir(t, dir, history.AcceptUnprotected()), load.SlugComplete, judge.Inconclusive)
	if p.Reason != "the events have 2 opening lines, want 1" {
		t.Errorf("reason %q", p.Reason)
	}
}

// acceptedCopy is a record of format 1 that passes when it is accepted.
func acceptedCopy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "green"))))
	return dir
}

// One request in flight fewer than are needed says nothing, however well it ended.
func TestAFewStraddlingRequestsAreTooFew(t *testing.T) {
	for n, want := range map[int]judge.Verdict{1: judge.Inconclusive, 9: judge.Inconclusive, 10: judge.Pass} {
		r := cleanRun()
		replacedPod(t, r)
		left := n
		for _, arm := range []string{"get", "post", "post-close"} {
			for _, h := range r.slow(arm) {
				if left--; left < 0 {
					h.Latency = 5 * ms
				}
			}
		}
		assertVerdict(t, r.judged(t, mechanics.SlugGraceful), mechanics.SlugGraceful, want)
	}
	if b := mechanics.DefaultGracefulBudgets(); b.Straddling != 10 {
		t.Errorf("%d are needed by default, want 10", b.Straddling)
	}
}

// An analysis that begins before the release has its share measures what was there before.
func TestAnAnalysisThatBeganTooEarly(t *testing.T) {
	for began, want := range map[time.Duration]judge.Verdict{2250 * ms: judge.Pass, 2150 * ms: judge.Fail} { // the share is of 2.3 s
		r := cleanRun()
		goodCanary(t, r)
		r.forgetAbout("analysisruns", "first", 0)
		r.analysis("first", "1", began, 3400*ms, "Successful", healthyMetrics()...)
		p := assertVerdict(t, r.judged(t, canary.SlugSteps), canary.SlugSteps, want)
		if want == judge.Fail && !strings.Contains(p.Reason, "did not begin while") {
			t.Errorf("reason %q", p.Reason)
		}
	}
}

// The first bad answer of a release is one of its own: what the stable release fails at before says nothing of it.
func TestAFailureOfTheStableReleaseIsNotTheFirstBadAnswer(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		r := cleanRun()
		badCanary(t, r, "errors", "[0.2]")
		r.budgets(t, func(b *checks.Budgets) {
			b.Settle, b.Propagation, b.Watch = 500*ms, 500*ms, 100*ms
			b.Notice, b.Abort = 1850*ms, 5*time.Second
		})
		status503(r.at("get", 2020*ms), version)
		want := judge.Pass // the abort is at 4 s
		if version == "v2" {
			want = judge.Fail
		}
		assertVerdict(t, r.judged(t, canary.SlugAbortsErrors), canary.SlugAbortsErrors, want)
	}
}

// An answer that comes half the settling time after a step is not held against it, and one that comes later is.
func TestHalfTheSettlingTimeIsTooShort(t *testing.T) {
	for at, want := range map[time.Duration]judge.Verdict{6260 * ms: judge.Pass, 6480 * ms: judge.Pass, 6520 * ms: judge.Fail} { // the abort is at 6 s
		r := cleanRun()
		sharedRelease(t, r)
		r.at("get", at).Version = "v2"
		assertVerdict(t, r.judged(t, canary.SlugShare), canary.SlugShare, want)
	}
}
