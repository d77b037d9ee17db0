package checks_test

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// failedBy makes an answer of the bad release fail in some way.
func failedBy(h *history.Hit, class history.Class, code uint16, reason string) {
	h.Class, h.Code, h.Reason, h.Version, h.Pod = class, code, reason, "v2", "pod-c"
}

// What was injected excuses failures of its own kind, and no other.
func TestOnlyTheInjectedKindOfFailureIsExcused(t *testing.T) {
	errors, slow := history.Fault{Status: 500}, history.Fault{Slow: true}
	both := history.Fault{Status: 500, Slow: true}
	status500 := func(h *history.Hit) { failedBy(h, history.ClassApplication, 500, "status 500") }
	status503 := func(h *history.Hit) { failedBy(h, history.ClassApplication, 503, "status 503") }
	status404 := func(h *history.Hit) { failedBy(h, history.ClassApplication, 404, "status 404") }
	late := func(h *history.Hit) { status500(h); h.Latency = testDeadline + time.Millisecond }
	var cases []verdictCase
	for _, c := range []struct {
		name  string
		fault history.Fault
		fails func(*history.Hit)
		want  judge.Verdict
	}{
		{"errors, an error of that status", errors, status500, judge.Pass},
		{"errors, an error of another status", errors, status503, judge.Fail},
		{"errors, a page that is not there", errors, status404, judge.Fail},
		{"errors, a body unlike its digest", errors, func(h *history.Hit) { failedBy(h, history.ClassApplication, 200, "digest") }, judge.Fail},
		{"errors, an error whose body is unlike its digest", errors, func(h *history.Hit) { failedBy(h, history.ClassApplication, 500, "digest") }, judge.Fail},
		{"errors, a short body", errors, func(h *history.Hit) { failedBy(h, history.ClassApplication, 500, "length") }, judge.Fail},
		{"errors, a torn body", errors, func(h *history.Hit) { failedBy(h, history.ClassApplication, 0, "truncated") }, judge.Fail},
		{"errors, a reset connection", errors, func(h *history.Hit) { failedBy(h, history.ClassIngress, 0, "reset") }, judge.Fail},
		{"errors, an answer past its deadline", errors, func(h *history.Hit) { failedBy(h, history.ClassOK, 200, ""); h.Latency = testDeadline + 1 }, judge.Fail},
		{"errors, an error past its deadline", errors, late, judge.Fail},
		{"errors, the deadline in the body", errors, func(h *history.Hit) { failedBy(h, history.ClassAmbiguous, 0, "deadline in body") }, judge.Fail},
		{"slowness, an error", slow, status500, judge.Fail},
		{"slowness, an answer past its deadline", slow, func(h *history.Hit) { failedBy(h, history.ClassOK, 200, ""); h.Latency = testDeadline + 1 }, judge.Fail},
		{"errors and slowness, an error", both, status500, judge.Pass},
		{"errors and slowness, an error past its deadline", both, late, judge.Pass},
		{"not told, an error of a server", history.Fault{}, status503, judge.Pass},
		{"not told, a page that is not there", history.Fault{}, status404, judge.Fail},
		{"not told, a body unlike its digest", history.Fault{}, func(h *history.Hit) { failedBy(h, history.ClassApplication, 200, "digest") }, judge.Fail},
	} {
		cases = append(cases, verdictCase{name: c.name, want: c.want, spoil: func(r *recording) {
			for _, arm := range []string{"get", "post", "post-close"} {
				for _, h := range r.between(arm, 0, testLength) {
					if h.Failed() {
						h.Class, h.Code, h.Reason = history.ClassOK, 200, ""
					}
				}
			}
			r.injects(c.fault)
			c.fails(r.at("get", 3*time.Second))
		}})
	}
	spoilt(t, load.SlugDropped, func(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") }, cases)
}

// A pod that answers 503 says that it cannot serve. That it was made to answer 500 is no reason for it.
func TestAnInjectedErrorDoesNotExcuseAPodThatCannotServe(t *testing.T) {
	spoilt(t, mechanics.SlugReadiness, func(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") }, []verdictCase{
		{name: "503 is injected", want: judge.Inconclusive, reason: "from pods that became ready or unready"},
		{name: "500 is injected", want: judge.Fail, reason: "pods that were not ready", spoil: func(r *recording) { r.injects(history.Fault{Status: 500}) }},
	})
}

// A bad release that carries the stable version's name excuses nothing of the stable one. Where no pod tells who answered, watches must have seen
// that the name is of the bad release alone.
func TestABadReleaseOfTheStableVersionsNameExcusesNothing(t *testing.T) {
	named := func(_ testing.TB, r *recording) {
		r.events = nil
		r.disturbance("d1", "regression", "v1", 3*time.Second, 4*time.Second, 6*time.Second)
		for _, h := range r.between("get", 4*time.Second, 6*time.Second) {
			status503(h, "v1")
		}
	}
	spoilt(t, load.SlugDropped, named, []verdictCase{
		{name: "no watch saw any release", want: judge.Fail, reason: "200 of 3 000 hits dropped"},
		{name: "the bad one alone has it", want: judge.Pass, spoil: func(r *recording) { r.replicaSet(3100*ms, "added", "v1", "h2", 1, "") }},
		{name: "the stable one has it too", want: judge.Fail, reason: "200 of 3 000 hits dropped", spoil: func(r *recording) {
			r.replicaSet(ms, "added", "v1", "h1", 2, "")
			r.replicaSet(3100*ms, "added", "v1", "h2", 1, "")
		}},
		{name: "another one alone has it", want: judge.Fail, reason: "200 of 3 000 hits dropped", spoil: func(r *recording) { r.replicaSet(ms, "added", "v1", "h1", 2, "") }},
	})
}

// A zero says what it is worth by what was left to judge, and below a floor nothing.
func TestAZeroOfTooFewIsInconclusive(t *testing.T) {
	excused := func(left int) func(*recording) { // all others are injected errors
		return func(r *recording) {
			r.events = nil
			r.disturbance("d1", "regression", "v2", ms, 2*ms, testLength-ms)
			r.replicaSet(2*ms, "added", "v2", "h2", 1, "")
			for _, arm := range []string{"get", "post", "post-close"} {
				for i := range r.hits[arm] {
					if i >= left/3 {
						status503(&r.hits[arm][i], "v2")
					}
				}
			}
		}
	}
	only := func(hits int) func(*recording) {
		return func(r *recording) {
			r.windows = r.windows[:1]
			r.hits = map[string][]history.Hit{"get": r.hits["get"][:hits]}
			r.windows[0].Planned = uint64(hits)
		}
	}
	rare := func(hits int) func(*recording) {
		return func(r *recording) {
			r.addArm("rare", hits, time.Second)
			r.window("rare").Length = testLength
		}
	}
	for _, c := range []verdictCase{
		{name: "2 970 of 3 000 are excused", spoil: excused(30), want: judge.Inconclusive, reason: "30 hits left to judge without a drop, 300 needed"},
		{name: "2 700 of 3 000 are excused", spoil: excused(300), want: judge.Pass, run: judge.Inconclusive, reason: "0 of 300 hits: at most 1 % at 95 %"},
		{name: "one hit", spoil: only(1), want: judge.Inconclusive, reason: "1 hit left to judge"},
		{name: "299 hits", spoil: only(299), want: judge.Inconclusive, reason: "299 hits left to judge"},
		{name: "300 hits", spoil: only(300), want: judge.Pass, run: judge.Inconclusive},
		{name: "299 hits and a drop", spoil: func(r *recording) { only(299)(r); reset(r.at("get", time.Second)) }, want: judge.Fail},
		{name: "an arm of 29 hits", spoil: rare(29), want: judge.Inconclusive, reason: "arm rare: 29 hits left to judge"},
		{name: "an arm of 30 hits", spoil: rare(30), want: judge.Pass},
		{name: "an arm of which all but 29 are excused", spoil: func(r *recording) {
			excused(900)(r)
			for i := range r.hits["post"] {
				if i >= 29 {
					status503(&r.hits["post"][i], "v2")
				}
			}
		}, want: judge.Inconclusive, reason: "arm post: 29 hits left to judge"},
	} {
		c.slug = load.SlugDropped
		c.check(t)
	}
}

// An outage is seen by hits that were judged, and each arm by itself.
func TestTheOutageThatIsSeenHoldsForEachArm(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*recording)
		want  time.Duration
	}{
		"all alike": {func(*recording) {}, 15 * ms},
		"a seldom arm": {func(r *recording) {
			r.addArm("seldom", 5, testLength)
		}, 205 * ms},
		"one arm rests": {func(r *recording) { r.leaveOut(7*time.Second, 8*time.Second, "post") }, 1015 * ms},
		"one arm waits for its answers": {func(r *recording) {
			for _, h := range r.between("post", 7*time.Second, 8*time.Second) {
				h.Latency = 8*time.Second - h.At
			}
		}, 1009 * ms},
		"one arm is excused": {func(r *recording) {
			r.events = nil
			r.disturbance("d1", "regression", "v2", 3*time.Second, 4*time.Second, 6*time.Second)
			r.replicaSet(3100*ms, "added", "v2", "h2", 1, "")
			for _, h := range r.between("post", 4*time.Second, 6*time.Second) {
				status503(h, "v2")
			}
		}, 2015 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			r := cleanRun()
			c.spoil(r)
			p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Pass)
			if p.Power == nil || p.Power.OutageSeen != c.want {
				t.Errorf("power %+v, want an outage of %v to be seen", p.Power, c.want)
			}
		})
	}
}

// A hit that ended by its deadline alone while the generator's own process did not run for as long is the harness's. Everything else stays red.
func TestTheGeneratorsOwnStallIsTheHarnesss(t *testing.T) {
	const at, length, deadline = 5 * time.Second, 400 * ms, 250 * ms
	overdue := func(h *history.Hit) { // of which nothing came, as the generator saw it when it ran again
		h.Class, h.Code, h.Reason, h.Error, h.Version, h.Pod = history.ClassAmbiguous, 0, "deadline", "context deadline exceeded", "", ""
	}
	stalled := func(fails func(*history.Hit)) func(*recording) {
		return func(r *recording) {
			for i := range r.windows {
				w := &r.windows[i]
				w.Deadline = deadline
				w.Health.StallMax, w.Health.Stalls = length, []history.Stall{{At: time.Second, Length: 30 * ms}, {At: at, Length: length}}
				for _, h := range r.between(w.Arm, at-10*ms, at+length) {
					if h.Intended >= at {
						h.At = at + length
						continue
					}
					h.At, h.Latency = at-ms, length+2*ms // in flight when it stopped
					fails(h)
				}
			}
		}
	}
	elsewhere := func(stalls ...history.Stall) func(*recording) {
		return func(r *recording) {
			stalled(overdue)(r)
			for i := range r.windows {
				r.windows[i].Health.Stalls = stalls
			}
		}
	}
	for _, c := range []verdictCase{
		{name: "deadlines", spoil: stalled(overdue), want: judge.Inconclusive, reason: "4 hits failed in the harness itself"},
		{name: "deadlines of the control arm alone", spoil: func(r *recording) {
			stalled(overdue)(r)
			for _, arm := range []string{"get", "post", "post-close"} {
				h := r.at(arm, at-10*ms)
				*h = *r.at(arm, time.Second)
				h.Seq, h.Intended, h.At = 499, at-10*ms, at-9*ms
			}
		}, want: judge.Inconclusive, reason: "1 hit failed in the harness itself"},
		{name: "answers that came too late", spoil: stalled(func(*history.Hit) {}), want: judge.Inconclusive, reason: "in the harness itself"},
		{name: "an answer with a status", spoil: stalled(func(h *history.Hit) { status503(h, "v1") }), want: judge.Fail, reason: "3 of 3 000 hits dropped"},
		{name: "a reset connection", spoil: stalled(func(h *history.Hit) { reset(h); h.Class = history.ClassIngress }), want: judge.Fail, reason: "3 of 3 000 hits dropped"},
		{name: "it stalled at another time", spoil: elsewhere(history.Stall{At: 7 * time.Second, Length: length}), want: judge.Fail},
		{name: "it stalled for less than the deadline", spoil: elsewhere(history.Stall{At: at, Length: 200 * ms}), want: judge.Fail},
		{name: "it stalled again and again for as long as the deadline", spoil: elsewhere(history.Stall{At: at, Length: 130 * ms}, history.Stall{At: at + 140*ms, Length: 120 * ms}),
			want: judge.Inconclusive},
		{name: "when it stalled is not told", spoil: elsewhere(), want: judge.Fail},
	} {
		c.slug = load.SlugDropped
		c.check(t)
	}
	held := assertVerdict(t, func() judge.Result { r := cleanRun(); stalled(overdue)(r); return r.judged(t, slowSlug) }(), load.SlugHeld, judge.Inconclusive)
	if held.Found == 0 {
		t.Error("the stall is not told of the load")
	}
}

// A stall that is short beside the budget is long beside a shorter deadline.
func TestAStallIsHeldAgainstTheDeadlineToo(t *testing.T) {
	for deadline, want := range map[time.Duration]judge.Verdict{testDeadline: judge.Pass, 100 * ms: judge.Inconclusive} {
		r := cleanRun()
		for i := range r.windows {
			r.windows[i].Deadline, r.windows[i].Health.StallMax = deadline, 150*ms
		}
		assertVerdict(t, r.judged(t), load.SlugHeld, want)
	}
}
