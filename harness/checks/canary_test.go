package checks_test

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// badRelease is a canary release of v2, bad on purpose, that gets 10 % of the traffic from 2 s on and is aborted at 6 s. Every
// fifth answer of v2 is a 503.
func badRelease(t testing.TB, r *recording) {
	r.budgets(t, func(b *checks.Budgets) {
		b.Settle, b.Propagation, b.Watch, b.Abort = 500*time.Millisecond, 500*time.Millisecond, 100*time.Millisecond, 5*time.Second
	})
	r.events = nil
	r.replicaSet(2*time.Second, "added", "v2", "h2", 1, "")
	r.disturbance("d1", "regression", "v2", 2*time.Second, 3*time.Second, 7*time.Second)
	r.step(0, "stable", 0)
	r.step(2*time.Second, "canary-10", 10)
	r.step(6*time.Second, "aborted", 0)
	r.serve(10, 2*time.Second, 6*time.Second)
	r.injure(5)
}

func (r *recording) step(at time.Duration, name string, weight float64) {
	r.events = append(r.events, history.Event{At: at + 2, Kind: history.KindStep,
		Step: &history.Step{Workload: testApp, Name: name, Stable: "v1", Canary: "v2", Weight: weight}})
}

// sharedRelease is badRelease with an arm more: as many answers as it takes to tell 10 % from 5.
func sharedRelease(t testing.TB, r *recording) {
	r.addArm("more", testRate, testLength)
	badRelease(t, r)
}

// released are the arms that go to the workload that is released.
func (r *recording) released() []string {
	var arms []string
	for _, w := range r.windows {
		if w.Workload == testApp {
			arms = append(arms, w.Arm)
		}
	}
	return arms
}

// serve lets v2 answer its percentage of the hits of a time, evenly spread.
func (r *recording) serve(percent int, from, until time.Duration) {
	for _, arm := range r.released() {
		for i, h := range r.between(arm, from, until) {
			if h.Version = "v1"; i*percent/100 != (i+1)*percent/100 {
				h.Version, h.Pod = "v2", "pod-c"
			}
		}
	}
}

// injure makes every nth answer of v2 a 503.
func (r *recording) injure(nth int) {
	n := 0
	for _, arm := range r.released() {
		for _, h := range r.between(arm, 0, testLength) {
			if h.Version != "v2" {
				continue
			}
			if n++; n%nth == 0 {
				status503(h, "v2")
			}
		}
	}
}

func TestTrafficShare(t *testing.T) {
	cases := []verdictCase{
		{name: "as the steps say", spoil: func(*recording) {}, want: judge.Pass, reason: "3 steps got their share"},
		{name: "weights not applied", spoil: func(r *recording) { r.serve(0, 2*time.Second, 6*time.Second) }, want: judge.Fail, reason: "canary-10"},
		{name: "half of the traffic", spoil: func(r *recording) { r.serve(50, 2*time.Second, 6*time.Second) }, want: judge.Fail, reason: "canary-10"},
		{name: "half of its share", spoil: func(r *recording) { r.serve(5, 2*time.Second, 6*time.Second) }, want: judge.Fail, reason: "canary-10"},
		{name: "one hit after the abort", spoil: func(r *recording) { r.at("get", 8*time.Second).Version = "v2" }, want: judge.Fail, reason: "aborted"},
		{name: "late within the settling time", spoil: func(r *recording) { r.at("get", 6300*time.Millisecond).Version = "v2" }, want: judge.Pass},
		{name: "late after half of the settling time more", spoil: func(r *recording) { r.at("get", 6550*time.Millisecond).Version = "v2" }, want: judge.Fail},
		{name: "late within the propagation that other checks allow", spoil: func(r *recording) {
			r.budgets(t, func(b *checks.Budgets) {
				b.Settle, b.Propagation, b.Watch = 100*time.Millisecond, 500*time.Millisecond, 100*time.Millisecond
			})
			r.at("get", 6300*time.Millisecond).Version = "v2"
		}, want: judge.Pass},
		{name: "too few answers", spoil: func(r *recording) {
			r.step(3900*time.Millisecond, "canary-12", 12)
			r.serve(10, 2*time.Second, 6*time.Second)
		}, want: judge.Inconclusive, reason: "1 227 needed"},
		{name: "a step shorter than the settling time", spoil: func(r *recording) {
			r.step(5800*time.Millisecond, "canary-30", 30)
		}, want: judge.Inconclusive, reason: "canary-30 gave way after 200 ms, before it had settled"},
		{name: "a step that says the same again goes on", spoil: func(r *recording) { r.step(5600*time.Millisecond, "canary-10 again", 10) }, want: judge.Pass,
			reason: "3 steps"},
		{name: "a step after the load", spoil: func(r *recording) { r.step(testLength, "canary-30", 30) }, want: judge.Pass, reason: "3 steps"},
		{name: "a leak in a step too short for a share", spoil: func(r *recording) {
			r.step(8900*time.Millisecond, "canary-30", 30)
			r.step(9*time.Second, "stable again", 0)
			r.at("get", 9800*time.Millisecond).Version = "v2"
		}, want: judge.Fail, reason: "stable again"},
		{name: "started before a step that routers followed at once", spoil: func(r *recording) {
			h := r.at("get", 1920*time.Millisecond)
			h.Version, h.Latency = "v2", 300*time.Millisecond
		}, want: judge.Pass},
		{name: "a slow canary's answers at the end of a step count", spoil: func(r *recording) {
			for _, arm := range r.released() {
				for _, h := range r.between(arm, 2*time.Second, 6*time.Second) {
					if h.Version == "v2" {
						h.Latency = 1900 * time.Millisecond
					}
				}
			}
		}, want: judge.Pass, reason: "3 steps"},
		{name: "no share of traffic", spoil: func(r *recording) { r.step(9*time.Second, "nonsense", 130) }, want: judge.Inconclusive, reason: "no share"},
		{name: "no step recorded", spoil: func(r *recording) { r.events = r.events[:4] }, want: judge.Inconclusive, reason: "no step"},
	}
	for _, c := range cases {
		spoil := c.spoil
		c.spoil = func(r *recording) { sharedRelease(t, r); spoil(r) }
		c.slug = canary.SlugShare
		c.check(t, canary.SlugShare)
	}
}

func TestBlastRadius(t *testing.T) {
	cases := []verdictCase{
		{name: "within its share", spoil: func(*recording) {}, want: judge.Pass, reason: "caused 24 failures of 120 answers"},
		{name: "more than its share", spoil: func(r *recording) { r.serve(50, 2*time.Second, 6*time.Second); r.injure(2) }, want: judge.Fail, reason: "its share of the traffic allowed"},
		{name: "more than its share, most answers good", spoil: func(r *recording) { r.serve(18, 2*time.Second, 6*time.Second); r.injure(5) }, want: judge.Fail,
			reason: "its share of the traffic allowed"},
		{name: "hurt after the abort", spoil: func(r *recording) { status503(r.at("get", 6600*time.Millisecond), "v2") }, want: judge.Fail, reason: "after its abort"},
		{name: "hurt while routers follow the abort", spoil: func(r *recording) { status503(r.at("get", 6400*time.Millisecond), "v2") }, want: judge.Pass},
		{name: "all of its share hurt, also while routers follow the abort", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Step != nil && e.Step.Weight == 10 {
					e.Step.Weight = 100
				}
			}
			r.serve(100, 2*time.Second, 6400*time.Millisecond)
			r.injure(1)
		}, want: judge.Pass, reason: "caused 1 320 failures"},
		{name: "a step without it before its first share is no abort", spoil: func(r *recording) { r.step(2*time.Second-1, "stable still", 0) },
			want: judge.Pass, reason: "caused 24 failures"},
		{name: "aborted too late", spoil: func(r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.Propagation, b.Abort = time.Second, 3*time.Second })
		}, want: judge.Fail, reason: "not aborted within 3 s"},
		{name: "no abort recorded", spoil: func(r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.Propagation = time.Second })
			r.events = r.events[:len(r.events)-1]
		}, want: judge.Inconclusive, reason: "does not show its abort"},
		{name: "killed before the abort was due", spoil: func(r *recording) {
			r.forget(history.Healed)
			r.events = r.events[:len(r.events)-1]
			r.abandon = true
			for arm := range r.hits {
				r.noEnd[arm] = true
			}
		}, want: judge.Inconclusive, reason: "does not show its abort"},
		{name: "too few answers to see twice its share", spoil: func(r *recording) { r.leaveOut(2500*ms, 5700*ms) }, want: judge.Inconclusive,
			reason: "20 % must be seen"},
		{name: "hurt nobody", spoil: func(r *recording) {
			for _, hits := range r.hits {
				for i := range hits {
					hits[i].Class, hits[i].Code = history.ClassOK, 200
				}
			}
		}, want: judge.Inconclusive, reason: "hurt nobody"},
		{name: "no load after the abort", spoil: func(r *recording) { r.budgets(t, func(b *checks.Budgets) { b.Propagation = 3900 * time.Millisecond }) },
			want: judge.Inconclusive, reason: "300 needed"},
		{name: "nothing injected", spoil: func(r *recording) {
			r.events = nil
			r.disturbance("d1", "release", "", 2*time.Second, 3*time.Second, 6*time.Second)
			r.step(0, "stable", 0)
		}, want: judge.Inconclusive, run: judge.Fail, reason: "no disturbance that injects failures"},
	}
	for _, c := range cases {
		spoil := c.spoil
		c.spoil = func(r *recording) { badRelease(t, r); spoil(r) }
		c.slug = canary.SlugBlast
		c.check(t, canary.SlugBlast)
	}
}
