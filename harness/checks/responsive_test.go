package checks_test

import (
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

const slowSlug = "load.responsive"

// busy is a clean run of twenty seconds, so that each arm has two thousand answers.
func busy() *recording {
	r := cleanRun()
	r.windows = nil
	for _, arm := range []string{"get", "post", "control"} {
		r.hits[arm] = nil
		r.addArm(arm, testRate, 20*time.Second)
	}
	delete(r.hits, "post-close")
	return r
}

// hold delays the answers of an arm in a time.
func (r *recording) hold(arm string, from, until, by time.Duration) {
	for _, h := range r.between(arm, from, until) {
		h.Latency += by
	}
}

// slowEach has each nth answer of an arm take 700 ms in a time; the others come at once.
func (r *recording) slowEach(nth int, arm string, from, until time.Duration) {
	for i, h := range r.between(arm, from, until) {
		if i%nth == 0 {
			h.Latency = 700 * ms
		}
	}
}

// watchPath adds the arm that ends at a node.
func (r *recording) watchPath() {
	r.addArm("path", 20, 20*time.Second)
	w := r.window("path")
	w.Control, w.Path, w.Node, w.Workload = true, true, "n1", history.Workload{}
}

func TestNobodyWaits(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		spoil    func(t *testing.T, r *recording)
		want     judge.Verdict
		says     string
		reserved int // what a pass leaves out
	}{
		"quick": {func(*testing.T, *recording) {}, judge.Pass, "at most 0 took longer than 500 ms", 0},
		"every answer held back 4 s under a deadline of 5 s": {func(_ *testing.T, r *recording) {
			for _, arm := range []string{"get", "post"} {
				r.window(arm).Deadline = 5 * s
				r.hold(arm, 0, 20*s, 4*s)
			}
		}, judge.Fail, "no good answer for 4.01 s", 0},
		"all of one arm for 600 ms": {func(_ *testing.T, r *recording) {
			for _, h := range r.between("get", 5*s, 5600*ms) {
				h.Latency = 5700*ms - h.At
			}
		}, judge.Fail, "arm get: no good answer for 606 ms", 0},
		"all of one arm for 400 ms": {func(_ *testing.T, r *recording) {
			for _, h := range r.between("get", 5*s, 5400*ms) {
				h.Latency = 5400*ms - h.At
			}
		}, judge.Pass, "", 0},
		"drops for 600 ms, refused at once": {func(_ *testing.T, r *recording) {
			for _, h := range r.between("get", 5*s, 5600*ms) {
				reset(h)
			}
		}, judge.Fail, "no good answer for 606 ms", 0},
		"one pod of four stopped for 3 s": {func(_ *testing.T, r *recording) {
			for i, h := range r.between("get", 5*s, 8*s) {
				if i%4 == 0 {
					h.Latency = 8*s - h.At
				}
			}
			r.window("get").Deadline = 5 * s
		}, judge.Fail, "took longer than 500 ms, at most 10 may", 0},
		"the same within a declared budget": {func(t *testing.T, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.P99 = 4 * s })
			for i, h := range r.between("get", 5*s, 8*s) {
				if i%4 == 0 {
					h.Latency = 8*s - h.At
				}
			}
			r.window("get").Deadline = 5 * s
		}, judge.Pass, "", 1},
		"a stall within a declared budget": {func(t *testing.T, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.Unanswered, b.P99 = s, s })
			r.window("get").Deadline = 5 * s
			for _, h := range r.between("get", 5*s, 5600*ms) {
				h.Latency = 5700*ms - h.At
			}
		}, judge.Pass, "the scenario allows a longer time without an answer than the usual 500 ms; the scenario allows slower answers than the strategy's 500 ms", 2},
		"a declared budget that was not needed": {func(t *testing.T, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.Unanswered = s })
		}, judge.Pass, "", 0},
		"nobody said what is slow": {func(t *testing.T, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.Slow = 0 })
		}, judge.Pass, "nobody said what is slow", 1},
		"long by themselves": {func(t *testing.T, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.Long = []string{"GET /export"} })
			for i, h := range r.between("get", 0, 20*s) {
				if i%10 == 0 {
					h.URL, h.Latency = "http://127.0.0.1/export?over=1s", s
				}
			}
		}, judge.Pass, "", 1},
		"a seldom arm is quick": {func(_ *testing.T, r *recording) {
			r.hits["get"] = nil
			r.windows = r.windows[1:]
			r.addArm("get", 1, 20*s)
		}, judge.Pass, "", 1},
		"slow on purpose": {func(_ *testing.T, r *recording) {
			r.slowRelease("v2")
		}, judge.Pass, "of a release that is bad on purpose", 1},
		"slow, and errors are what was injected": {func(_ *testing.T, r *recording) {
			r.slowRelease("v2")
			r.injects(history.Fault{Status: 503})
		}, judge.Fail, "took longer than 500 ms", 0},
		"slow, and how is not told": {func(_ *testing.T, r *recording) { // a record made before it was
			r.slowRelease("v2")
			r.injects(history.Fault{})
		}, judge.Pass, "of a release that is bad on purpose", 1},
		"slow at the time of a bad release, and of another one": {func(_ *testing.T, r *recording) {
			r.slowRelease("v1")
		}, judge.Fail, "took longer than 500 ms", 0},
		"the generator was late": {func(_ *testing.T, r *recording) {
			for _, h := range r.between("get", 5*s, 5600*ms) {
				h.At = 5700 * ms
			}
		}, judge.Inconclusive, "without what the generator was late", 0},
		"the generator did not run": {func(_ *testing.T, r *recording) {
			r.hold("get", 5*s, 5600*ms, 600*ms)
			r.window("get").Health.StallMax = 600 * ms
		}, judge.Inconclusive, "without what the generator was late", 0},
		"the path stalled too": {func(_ *testing.T, r *recording) {
			r.watchPath()
			for _, arm := range []string{"get", "path"} {
				for _, h := range r.between(arm, 5*s, 5600*ms) {
					h.Latency = 5700*ms - h.At
				}
			}
		}, judge.Inconclusive, "without what the generator was late", 0},
		"the path stalled at another moment": {func(_ *testing.T, r *recording) {
			r.watchPath()
			for arm, at := range map[string]time.Duration{"get": 5 * s, "path": 12 * s} {
				for _, h := range r.between(arm, at, at+600*ms) {
					h.Latency = at + 700*ms - h.At
				}
			}
		}, judge.Fail, "no good answer for 606 ms", 0},
		"the control arm waited too": {func(_ *testing.T, r *recording) {
			for _, arm := range []string{"get", "control"} {
				for _, h := range r.between(arm, 5*s, 5600*ms) {
					h.Latency = 5700*ms - h.At
				}
			}
		}, judge.Inconclusive, "the control arm, which nothing disturbs, waited as well", 0},
		"the control arm waited at another moment": {func(_ *testing.T, r *recording) {
			for arm, at := range map[string]time.Duration{"get": 5 * s, "control": 12 * s} {
				for _, h := range r.between(arm, at, at+600*ms) {
					h.Latency = at + 700*ms - h.At
				}
			}
		}, judge.Fail, "no good answer for 606 ms", 0},
		"the control arm was slow too": {func(_ *testing.T, r *recording) {
			for _, arm := range []string{"get", "control"} {
				r.slowEach(4, arm, 5*s, 8*s)
			}
		}, judge.Inconclusive, "the control arm, which nothing disturbs, waited as well", 0},
		"the control arm was slow at another time": {func(_ *testing.T, r *recording) {
			r.slowEach(4, "get", 5*s, 8*s)
			r.slowEach(4, "control", 12*s, 15*s)
		}, judge.Fail, "took longer than 500 ms", 0},
		"the control arm was hardly slow": {func(_ *testing.T, r *recording) {
			r.slowEach(4, "get", 5*s, 8*s)
			r.slowEach(150, "control", 5*s, 8*s)
		}, judge.Fail, "took longer than 500 ms", 0},
		"no load": {func(_ *testing.T, r *recording) { r.windows = nil }, judge.Inconclusive, "no load", 0},
		"nothing was sent": {func(_ *testing.T, r *recording) {
			for _, arm := range []string{"get", "post"} {
				for _, h := range r.between(arm, 0, 20*s) {
					h.Unsent = true
				}
			}
		}, judge.Inconclusive, "no hit is left to judge", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := busy()
			c.spoil(t, r)
			p := assertVerdict(t, r.judged(t, slowSlug), slowSlug, c.want)
			if !strings.Contains(p.Reason, c.says) {
				t.Errorf("the reason %q does not say %q", p.Reason, c.says)
			}
			if len(p.Reservations) != c.reserved {
				t.Errorf("%d reservations, want %d: %q", len(p.Reservations), c.reserved, p.Reservations)
			}
		})
	}
}

// slowRelease makes v2 bad on purpose for some seconds in which the answers of a version are slow.
func (r *recording) slowRelease(version string) {
	r.events = nil
	r.disturbance("d1", "regression", "v2", 3*time.Second, 4*time.Second, 12*time.Second)
	r.injects(history.Fault{Slow: true})
	r.replicaSet(3100*ms, "added", "v2", "h2", 1, "")
	for i, h := range r.between("get", 4*time.Second, 10*time.Second) {
		if i%3 == 0 {
			h.Version, h.Latency = version, 800*ms
		}
	}
}
