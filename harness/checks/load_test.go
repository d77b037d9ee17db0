package checks_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/disruption"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/checks/stack"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// verdictCase breaks one thing in the clean run and says what must come of it.
type verdictCase struct {
	name   string
	spoil  func(*recording)
	slug   string
	want   judge.Verdict
	run    judge.Verdict // of the whole run; empty: as want
	reason string        // that must be part of the promise's reason
}

func (c verdictCase) check(t *testing.T, slugs ...string) {
	t.Run(strings.ReplaceAll(c.slug+"/"+c.name, " ", "-"), func(t *testing.T) {
		t.Parallel()
		r := cleanRun()
		c.spoil(r)
		result := r.judged(t, slugs...)
		p := assertVerdict(t, result, c.slug, c.want)
		run := c.run
		if run == "" {
			run = c.want
		}
		if result.Verdict != run {
			t.Errorf("the run is %s, want %s", result.Verdict, run)
		}
		if !strings.Contains(p.Reason, c.reason) {
			t.Errorf("reason %q, want it to tell %q", p.Reason, c.reason)
		}
		if p.Verdict != judge.Pass && p.Verdict != judge.Skipped && p.Reason == "" {
			t.Error("a promise that is not green must say why")
		}
	})
}

func TestCleanRunPasses(t *testing.T) {
	result := cleanRun().judged(t)
	for _, p := range result.Promises {
		if p.Verdict != judge.Pass && p.Slug != stack.SlugHealed && p.Slug != load.SlugUndisturbed { // there is no cluster
			t.Errorf("%s is %s: %s", p.Slug, p.Verdict, p.Reason)
		}
	}
	if result.Verdict != judge.Pass || len(result.Promises) != always() {
		t.Errorf("the run is %s by %d promises, want pass by %d", result.Verdict, len(result.Promises), always())
	}
}

func TestRecordComplete(t *testing.T) {
	cases := []verdictCase{
		{name: "no end", spoil: func(r *recording) { r.abandon = true }, reason: "no end"},
		{name: "ended early", spoil: func(r *recording) { r.outcome = history.EndInterrupted }, reason: "interrupted"},
		{name: "window never ended", spoil: func(r *recording) { r.noEnd["get"] = true }, reason: "never ended"},
		{name: "a hit is missing", spoil: func(r *recording) {
			r.hits["get"] = append(r.hits["get"][:500], r.hits["get"][501:]...)
			r.window("get").Planned--
		}, reason: "missing or doubled"},
		{name: "a hit is doubled", spoil: func(r *recording) { r.at("get", time.Second).Seq = 7 }, reason: "missing or doubled"},
		{name: "sent more than recorded", spoil: func(r *recording) { r.sent["get"] = 1001 }, reason: "sent 1 001 hits, 1 000 are there"},
		{name: "planned more than recorded", spoil: func(r *recording) { r.window("get").Planned = 1001 }, reason: "planned 1 001 hits"},
		{name: "no window was announced", spoil: func(r *recording) { r.noBegin = true }, reason: "the beginning of load window 1 was not recorded"},
		{name: "hits of an unknown window", spoil: func(r *recording) { r.at("get", time.Second).Window = 9 }, reason: "and 1 more"},
	}
	for _, c := range cases {
		c.slug, c.want = load.SlugComplete, judge.Inconclusive
		c.check(t)
	}
}

func TestLoadHeld(t *testing.T) {
	cases := []verdictCase{
		{name: "clean", spoil: func(*recording) {}, want: judge.Pass, reason: "4 000 of 4 000 planned hits were sent"},
		{name: "a late start", spoil: func(r *recording) { r.at("get", time.Second).At += 300 * time.Millisecond }, want: judge.Inconclusive, reason: "late"},
		{name: "intents given up", spoil: func(r *recording) {
			for _, h := range r.between("get", 2*time.Second, 2100*time.Millisecond) {
				h.Unsent, h.Code, h.Class = true, 0, history.ClassHarness
			}
		}, want: judge.Inconclusive, reason: "and 1 more"},
		{name: "a late start that only the generator saw", spoil: func(r *recording) { r.window("post").Health.LagMax = time.Second }, want: judge.Inconclusive,
			reason: "saw a start lag of 1 s"},
		{name: "a stalled process", spoil: func(r *recording) { r.window("post").Health.StallMax = time.Second }, want: judge.Inconclusive, reason: "did not run"},
		{name: "no files left", spoil: func(r *recording) { r.window("post").Health.FilesMax = 1000 }, want: judge.Inconclusive, reason: "open files"},
		{name: "unknown health", spoil: func(r *recording) { r.window("post").Health = nil }, want: judge.Inconclusive, reason: "not recorded"},
		{name: "no load before", spoil: func(r *recording) {
			r.forget(history.Began)
			r.disturbance("d1", "release", "", time.Millisecond, 0, 0)
		},
			want: judge.Inconclusive, reason: "before"},
		{name: "no load for most of a disturbance", spoil: func(r *recording) {
			r.forget(history.Healed)
			r.disturbance("d1", "release", "", 0, 0, 8900*ms)
			r.leaveOut(3100*ms, 8900*ms)
		}, want: judge.Inconclusive, reason: "no hit was started for 5.8 s of the 5.9 s that release (d1) lasted"},
		{name: "no load at the end of a disturbance", spoil: func(r *recording) {
			r.forget(history.Healed)
			r.disturbance("d1", "release", "", 0, 0, 7*time.Second)
			r.leaveOut(5800*ms, 7*time.Second)
		}, want: judge.Inconclusive, reason: "no hit was started for 1.2 s"},
		{name: "no load for a second of a disturbance", spoil: func(r *recording) { r.leaveOut(4*time.Second, 5*time.Second) }, want: judge.Pass},
		{name: "no load after a disturbance", spoil: func(r *recording) { r.leaveOut(6*time.Second, 9*time.Second) }, want: judge.Pass},
		{name: "one arm goes on while the others rest", spoil: func(r *recording) { r.leaveOut(3500*ms, 5900*ms, "get", "post") }, want: judge.Pass},
		{name: "only the control arm goes on", spoil: func(r *recording) { r.leaveOut(3500*ms, 5900*ms, "get", "post", "post-close") }, want: judge.Inconclusive,
			reason: "no hit was started for"},
		{name: "a disturbance that was not over at the end", spoil: func(r *recording) {
			r.forget(history.Healed)
			r.forget(history.Landed)
			goOn(r, testLength+5*time.Second)
		}, want: judge.Inconclusive, reason: "and 1 more"},
		{name: "no load during", spoil: func(r *recording) {
			r.events = nil
			r.disturbance("d1", "kill", "", 3001*time.Millisecond+1, 3001*time.Millisecond+2, 3001*time.Millisecond+3)
		}, want: judge.Inconclusive, reason: "during"},
		{name: "no load after", spoil: func(r *recording) { r.forget(history.Healed); r.disturbance("d1", "release", "", 0, 0, testLength) },
			want: judge.Inconclusive, reason: "after"},
		{name: "only the control arm", spoil: func(r *recording) {
			r.windows, r.events = r.windows[3:], nil
		}, want: judge.Inconclusive, reason: "no arm but the control arm"},
	}
	for _, c := range cases {
		c.slug = load.SlugHeld
		c.check(t)
	}
}

func TestZeroDropped(t *testing.T) {
	injecting := func(r *recording) {
		r.events = nil
		r.disturbance("d1", "regression", "v2", 3*time.Second, 4*time.Second, 6*time.Second)
		r.replicaSet(3100*ms, "added", "v2", "h2", 1, "")
	}
	cases := []verdictCase{
		{name: "clean", spoil: func(*recording) {}, want: judge.Pass, reason: "0 of 3 000 hits: at most 0.1 % at 95 %; an outage of any arm for"},
		{name: "one reset", spoil: func(r *recording) { reset(r.at("get", time.Second)) }, want: judge.Fail, reason: "1 of 3 000 hits dropped"},
		{name: "an ingress answer", spoil: func(r *recording) {
			h := r.at("post", time.Second)
			h.Class, h.Code, h.Reason = history.ClassIngress, 404, "status 404"
		}, want: judge.Fail},
		{name: "an ambiguous time-out", spoil: func(r *recording) {
			h := r.at("post", time.Second)
			h.Class, h.Code, h.Reason, h.Latency = history.ClassAmbiguous, 0, "deadline", testDeadline
		}, want: judge.Fail},
		{name: "answered too late", spoil: func(r *recording) { r.at("get", time.Second).Latency = testDeadline + 1 }, want: judge.Fail},
		{name: "called OK without a status", spoil: func(r *recording) { r.at("get", time.Second).Code = 0 }, want: judge.Fail},
		{name: "a class of a newer harness", spoil: func(r *recording) { r.at("get", time.Second).Class = 77 }, want: judge.Fail},
		{name: "the harness failed", spoil: func(r *recording) {
			h := r.at("get", time.Second)
			h.Class, h.Code, h.Reason = history.ClassHarness, 0, "no sockets"
		}, want: judge.Inconclusive, reason: "in the harness itself"},
		{name: "never sent, called OK", spoil: func(r *recording) { r.at("get", time.Second).Unsent = true }, want: judge.Inconclusive, reason: "1 never sent"},
		{name: "only the control arm was late", spoil: func(r *recording) { r.at("control", time.Second).Latency = testDeadline + 1 }, want: judge.Inconclusive,
			reason: "harness or the ingress"},
		{name: "the control arm was in time", spoil: func(r *recording) { r.at("control", time.Second).Latency = testDeadline }, want: judge.Pass},
		{name: "only the control arm failed", spoil: func(r *recording) { reset(r.at("control", time.Second)) }, want: judge.Inconclusive, reason: "harness or the ingress"},
		{name: "both arms failed", spoil: func(r *recording) { reset(r.at("control", time.Second)); reset(r.at("get", time.Second)) }, want: judge.Fail, reason: "control arm"},
		{name: "no hits", spoil: func(r *recording) {
			for i := range r.windows {
				r.windows[i].Planned = 0
			}
			clear(r.hits)
		}, want: judge.Inconclusive, reason: "no hit"},

		{name: "injected", spoil: func(r *recording) { injecting(r); status503(r.at("get", 5*time.Second), "v2") }, want: judge.Pass, reason: "1 failure injected"},
		{name: "injected, but by the stable version", spoil: func(r *recording) { injecting(r); status503(r.at("get", 5*time.Second), "v1") }, want: judge.Fail},
		{name: "injected, but before it began", spoil: func(r *recording) { injecting(r); status503(r.at("get", 2*time.Second), "v2") }, want: judge.Fail},
		{name: "injected, within a deadline of the end", spoil: func(r *recording) { injecting(r); status503(r.at("get", 7900*time.Millisecond), "v2") }, want: judge.Pass},
		{name: "injected, but long after the end", spoil: func(r *recording) { injecting(r); status503(r.at("get", 8*time.Second), "v2") }, want: judge.Fail},
		{name: "torn by the injected version", spoil: func(r *recording) {
			injecting(r)
			h := r.at("get", 5*time.Second)
			reset(h)
			h.Version = "v2"
		}, want: judge.Fail},
		{name: "the ingress answered for the injected version", spoil: func(r *recording) {
			injecting(r)
			h := r.at("get", 5*time.Second)
			status503(h, "v2")
			h.Class = history.ClassIngress
		}, want: judge.Fail},
		{name: "injected without an end", spoil: func(r *recording) {
			injecting(r)
			r.forget(history.Healed)
			status503(r.at("get", 5*time.Second), "v2")
		}, want: judge.Inconclusive, reason: "never healed"},
	}
	for _, c := range cases {
		c.slug = load.SlugDropped
		c.check(t)
	}
}

func TestDisruptionLanded(t *testing.T) {
	replace := func(r *recording, change func(*history.Disturbance)) {
		for i := range r.events {
			if d := r.events[i].Disturbance; d != nil && d.Phase == history.Landed {
				change(d)
			}
		}
	}
	cases := []verdictCase{
		{name: "clean", spoil: func(*recording) {}, want: judge.Pass, reason: "1 disturbance landed"},
		{name: "nothing planned, nothing done", spoil: func(r *recording) { r.events = nil }, want: judge.Skipped, run: judge.Pass, reason: "no disturbance"},
		{name: "planned, nothing done", spoil: func(r *recording) { r.events = nil; r.run.Disturbances = []string{"release"} }, want: judge.Inconclusive, reason: "planned 1 time"},
		{name: "another one than planned", spoil: func(r *recording) { r.run.Disturbances = []string{"release", "drain"} }, want: judge.Inconclusive, reason: "drain was planned"},
		{name: "planned and done", spoil: func(r *recording) { r.run.Disturbances = []string{"release"} }, want: judge.Pass},
		{name: "never landed", spoil: func(r *recording) { r.forget(history.Landed) }, want: judge.Inconclusive, reason: "never landed"},
		{name: "without evidence", spoil: func(r *recording) { replace(r, func(d *history.Disturbance) { d.Evidence = nil }) }, want: judge.Inconclusive, reason: "without evidence"},
		{name: "with empty evidence", spoil: func(r *recording) {
			replace(r, func(d *history.Disturbance) { d.Evidence = []history.Evidence{{What: "packets lost"}} })
		}, want: judge.Inconclusive, reason: "without evidence"},
		{name: "landed before it began", spoil: func(r *recording) {
			r.events = nil
			r.disturbance("d1", "release", "", 3*time.Second, 2*time.Second, 6*time.Second)
		}, want: judge.Inconclusive, reason: "landed before it began"},
		{name: "given up", spoil: func(r *recording) { replace(r, func(d *history.Disturbance) { d.Phase = history.Failed }) }, want: judge.Inconclusive, reason: "could not be made"},
		{name: "a beginning is missing", spoil: func(r *recording) { r.forget(history.Began) }, want: judge.Inconclusive, reason: "beginning"},
	}
	for _, c := range cases {
		c.slug = disruption.SlugLanded
		c.check(t)
	}
	verdictCase{name: "asked for, nothing planned", spoil: func(r *recording) { r.events = nil }, slug: disruption.SlugLanded, want: judge.Inconclusive,
		reason: "no disturbance"}.check(t, disruption.SlugLanded)
}

func TestAPromiseOfAnotherVersionIsNeverLeftOut(t *testing.T) {
	result := cleanRun().judged(t, "future.promise")
	assertVerdict(t, result, "future.promise", judge.Inconclusive)
	if result.Verdict != judge.Inconclusive {
		t.Errorf("the run is %s, want inconclusive", result.Verdict)
	}
}

func TestNothingJudgedIsInconclusive(t *testing.T) {
	r := cleanRun()
	r.windows, r.hits, r.events = nil, nil, nil
	if result := r.judged(t); result.Verdict != judge.Inconclusive {
		t.Errorf("a run without load, disturbance or anything else is %s:\n%s", result.Verdict, asJSON(t, result))
	}
}

func TestFindingsAreBoundedAndAllCounted(t *testing.T) {
	r := cleanRun()
	for arm := range r.hits {
		for _, h := range r.between(arm, 0, testLength) {
			reset(h)
		}
	}
	p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Fail)
	if p.Dropped != 3000 || p.Found != 4003 || len(p.Findings) != judge.MaxFindings+3 {
		t.Errorf("%d drops, %d found, %d kept; want 3000, 4003 (with the control arm and an outage for each arm) and %d", p.Dropped, p.Found, len(p.Findings), judge.MaxFindings+3)
	}
	for i := 1; i < len(p.Findings); i++ {
		if p.Findings[i].At < p.Findings[i-1].At {
			t.Fatalf("finding %d is out of the order of time", i)
		}
	}
	if last := p.Findings[len(p.Findings)-1].At; last > time.Second {
		t.Errorf("the last finding kept is at %v: they are not the earliest", last)
	}
}

func TestMaskedRetriesAreCountedPerArm(t *testing.T) {
	r := cleanRun()
	r.at("get", time.Second).Masked = 2
	p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Pass)
	if p.Masked != 1 {
		t.Errorf("%d masked, want 1 hit", p.Masked)
	}
	for _, f := range p.Figures {
		if strings.HasPrefix(f.Name, "masked") && (f.Value == 1) != strings.HasSuffix(f.Name, "arm get") {
			t.Errorf("%s: %v", f.Name, f.Value)
		}
	}
}

// A window without a planned end, as an engine uses that stops the load when the stack has settled: its plan is known at its end
// only. Killed before, it was under load as long as events tell.
func TestWindowWithoutAPlannedEnd(t *testing.T) {
	r := cleanRun()
	r.endless = true
	if result := r.judged(t); result.Verdict != judge.Pass {
		t.Errorf("the run is %s:\n%s", result.Verdict, asJSON(t, result))
	}
	for _, arm := range []string{"get", "post", "post-close", "control"} {
		r.noEnd[arm] = true
	}
	r.abandon = true
	p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Inconclusive)
	if p.Hits != 3000 || p.Power == nil || p.Power.OutageSeen != 15*time.Millisecond || p.Power.Rate != 500 {
		t.Errorf("judged by %d hits with power %+v, want 3000 in the 6 s that events tell of", p.Hits, p.Power)
	}
}

// A file of hits that lost its end between two hits is whole in itself: only the counts in the events tell.
func TestLostHitsAreMissedByCount(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*recording)
		says  string
	}{
		"ended":  {func(*recording) {}, "arm get: the record ended with 1 000 hits, 0 are there"},
		"killed": {func(r *recording) { r.abandon = true }, "arm get: 1 000 hits were on disk, 0 are there"},
	} {
		t.Run(name, func(t *testing.T) {
			r := cleanRun()
			c.spoil(r)
			dir := r.record(t)
			empty := &recording{clock: r.clock, run: r.run, windows: r.windows[:1], outcome: history.EndFinished}
			whole, err := os.ReadFile(filepath.Join(empty.record(t), "hits-get.bin"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "hits-get.bin"), whole, 0o644))
			p := assertVerdict(t, judgeDir(t, dir), load.SlugComplete, judge.Inconclusive)
			if !slices.ContainsFunc(p.Findings, func(f judge.Finding) bool { return f.Text == c.says }) {
				t.Errorf("no finding says %q: %+v", c.says, p.Findings)
			}
		})
	}
}
