package checks_test

import (
	"maps"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/checks/stack"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// Each limit holds at itself and not one step beyond: a limit that is twice as wide, or one off, turns a case of these.
func TestEachLimitHoldsAtItselfAndNotBeyond(t *testing.T) {
	const s = time.Second
	// beyond is 1 where the limit is passed, by the least there is.
	for name, c := range map[string]struct {
		slug string
		base func(testing.TB, *recording)
		set  func(r *recording, beyond int)
		want judge.Verdict // beyond it
	}{
		"stall of the generator": {slug: load.SlugHeld, want: judge.Inconclusive, set: func(r *recording, beyond int) {
			r.window("get").Health.StallMax = 200*ms + time.Duration(beyond)
		}},
		"start lag that the generator saw": {slug: load.SlugHeld, want: judge.Inconclusive, set: func(r *recording, beyond int) {
			r.window("get").Health.LagMax = 200*ms + time.Duration(beyond)
		}},
		"start lag of a hit": {slug: load.SlugHeld, want: judge.Inconclusive, set: func(r *recording, beyond int) {
			h := r.at("get", s)
			h.At = h.Intended + 200*ms + time.Duration(beyond)
		}},
		"open files": {slug: load.SlugHeld, want: judge.Inconclusive, set: func(r *recording, beyond int) {
			r.window("get").Health.FilesLimit, r.window("get").Health.FilesMax = 1000, 900+beyond
		}},
		"hits before a disturbance": {slug: load.SlugHeld, want: judge.Inconclusive, set: func(r *recording, beyond int) {
			r.windows, r.events = r.windows[:1], nil
			r.disturbance("d1", "release", "", 100*ms-time.Duration(beyond)*10*ms, s, 2*s)
		}},
		"hits after a disturbance": {slug: load.SlugHeld, want: judge.Inconclusive, set: func(r *recording, beyond int) {
			r.windows, r.events = r.windows[:1], nil
			r.disturbance("d1", "release", "", 3*s, 4*s, 9901*ms+time.Duration(beyond))
		}},
		"hits that were sent and planned": {slug: load.SlugHeld, want: judge.Inconclusive, set: func(r *recording, beyond int) {
			r.window("get").Planned += uint64(beyond)
		}},
		"deadline of an answer": {slug: load.SlugDropped, want: judge.Fail, set: func(r *recording, beyond int) {
			r.at("get", s).Latency = testDeadline + time.Duration(beyond)
		}},
		"failures of a bad release, one deadline after its end": {slug: load.SlugDropped, want: judge.Fail, set: func(r *recording, beyond int) {
			r.events = nil
			r.disturbance("d1", "regression", "v2", 3*s, 4*s, 6*s)
			r.replicaSet(3100*ms, "added", "v2", "h2", 1, "")
			h := r.at("get", 5*s)
			status503(h, "v2")
			h.At, h.Latency = 8*s-5*ms, 5*ms+time.Duration(beyond)
		}},
		"failures of a bad release, from its beginning": {slug: load.SlugDropped, want: judge.Fail, set: func(r *recording, beyond int) {
			r.events = nil
			r.disturbance("d1", "regression", "v2", 3*s, 4*s, 6*s)
			r.replicaSet(3100*ms, "added", "v2", "h2", 1, "")
			h := r.at("get", 2900*ms)
			status503(h, "v2")
			h.Latency = 3*s - h.At - time.Duration(beyond)
		}},
		"time without a good answer": {slug: load.SlugResponsive, want: judge.Fail, set: func(r *recording, beyond int) {
			r.punctual("get")
			for _, h := range r.between("get", 5*s, 5500*ms) {
				h.Latency = 5500*ms - h.At + time.Duration(beyond)
			}
		}},
		"slow answers of a thousand": {slug: load.SlugResponsive, want: judge.Fail, set: func(r *recording, beyond int) {
			for i := range 10 + beyond {
				r.at("get", time.Duration(i+1)*500*ms).Latency = 600 * ms
			}
		}},
		"what is slow": {slug: load.SlugResponsive, want: judge.Fail, set: func(r *recording, beyond int) {
			r.punctual("get")
			for i := range 19 {
				r.at("get", time.Duration(i)*500*ms).Latency = 500*ms + time.Duration(beyond)
			}
		}},
		"notice of a bad release": {slug: canary.SlugAbortsErrors, want: judge.Fail, base: badErrors, set: func(r *recording, beyond int) {
			r.notice(t, 4*s+4-r.firstBad()-time.Duration(beyond))
		}},
		"a slow answer of a release": {slug: canary.SlugAbortsLatency, want: judge.Inconclusive, base: badLatency, set: func(r *recording, beyond int) {
			for _, h := range r.ofVersion("v2") {
				h.Latency = testStrategy.Slow - time.Duration(beyond)
			}
		}},
		"traffic after an abort, while routers follow": {slug: canary.SlugAbortsErrors, want: judge.Fail, base: badErrors, set: func(r *recording, beyond int) {
			h := r.at("get", 4500*ms)
			h.At, h.Version = 4500*ms+4+time.Duration(beyond), "v2"
		}},
		"measurements of an analysis that passed": {slug: canary.SlugAbortsLate, want: judge.Fail, base: lateCanary, set: func(r *recording, beyond int) {
			edit(r, "analysisruns", "first", 3*s, func(o *resource.AnalysisRun) { o.Metrics[0].Count = int32(2 - beyond) })
		}},
		"time to the abort of a bad release": {slug: canary.SlugBlast, want: judge.Fail, base: badRelease, set: func(r *recording, beyond int) {
			r.budgets(t, func(b *checks.Budgets) {
				b.Settle, b.Propagation, b.Watch, b.Abort = 500*ms, 500*ms, 100*ms, 4*s+2-time.Duration(beyond)
			})
		}},
		"harm after an abort, while routers follow": {slug: canary.SlugBlast, want: judge.Fail, base: badRelease, set: func(r *recording, beyond int) {
			h := r.at("get", 6500*ms)
			status503(h, "v2")
			h.At = 6500*ms + 2 + time.Duration(beyond)
		}},
		"time of a drain": {slug: mechanics.SlugNoDeadlock, want: judge.Fail, base: drainedNode, set: func(r *recording, beyond int) {
			r.budgets(t, func(b *checks.Budgets) { b.Drain = 2200*ms - time.Duration(beyond) })
		}},
		"ready pods of a budget": {slug: mechanics.SlugPDB, want: judge.Fail, base: drainedNode, set: func(r *recording, beyond int) {
			edit(r, "poddisruptionbudgets", "guard", 0, func(o *resource.PDB) { o.DesiredHealthy = int32(2 + beyond) })
		}},
		"answers while routers follow": {slug: mechanics.SlugReadiness, want: judge.Fail, base: replacedPod, set: func(r *recording, beyond int) {
			h := r.at("get", 4600*ms)
			h.Pod, h.At = "pod-a", 4500*ms+3+time.Duration(beyond)
		}},
		"answers as early as a watch may be late": {slug: mechanics.SlugReadiness, want: judge.Fail, base: replacedPod, set: func(r *recording, beyond int) {
			h := r.at("get", 1800*ms)
			h.Pod, h.Latency = "pod-b", 1900*ms+3-h.At-time.Duration(beyond)
		}},
		"answers of pods that changed": {slug: mechanics.SlugReadiness, want: judge.Inconclusive, base: replacedPod, set: func(r *recording, beyond int) {
			r.forgetPods()
			r.pod(0, "added", "pod-a", history.PodState{Ready: true})
			r.pod(1900*ms, "added", "pod-b", history.PodState{})
			r.pod(2*s, "modified", "pod-b", history.PodState{Ready: true})
			r.answeredBy("pod-a", 0)
			for _, h := range r.between("get", 3*s, 6*s-time.Duration(beyond)*10*ms) {
				h.Pod = "pod-b"
			}
		}},
		"requests across a stop": {slug: mechanics.SlugGraceful, want: judge.Inconclusive, base: replacedPod, set: func(r *recording, beyond int) {
			r.budgets(t, func(b *checks.Budgets) { b.Straddling = uint64(30 + beyond) })
		}},
		"changes that came late": {slug: mechanics.SlugReadiness, want: judge.Inconclusive, base: replacedPod, set: func(r *recording, beyond int) {
			r.gap("pods", 3*s, 3500*ms+time.Duration(beyond), false)
		}},
		"a pod that is ending": {slug: stack.SlugHealed, want: judge.Fail, base: goodCanary, set: func(r *recording, beyond int) {
			r.podOf(9*s-3-time.Duration(beyond), "added", "pod-y", "rs-h1", "n1", history.PodState{Terminating: true}, "")
		}},
	} {
		for beyond, want := range []judge.Verdict{judge.Pass, c.want} {
			t.Run(name+map[int]string{0: ": at it", 1: ": beyond"}[beyond], func(t *testing.T) {
				t.Parallel()
				r := cleanRun()
				if c.base != nil {
					c.base(t, r)
				}
				c.set(r, beyond)
				assertVerdict(t, r.judged(t, c.slug), c.slug, want)
			})
		}
	}
}

// punctual takes all lag and stalls of the generator from an arm: what is long is then the answers' own.
func (r *recording) punctual(arm string) {
	r.window(arm).Health.StallMax = 0
	for i := range r.hits[arm] {
		r.hits[arm][i].At = r.hits[arm][i].Intended
	}
}

func badErrors(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") }

func badLatency(t testing.TB, r *recording) { badCanary(t, r, "latency", "[0.7]") }

// notice sets by when a bad release must be aborted, in the record of badCanary.
func (r *recording) notice(t testing.TB, d time.Duration) {
	r.budgets(t, func(b *checks.Budgets) {
		b.Settle, b.Propagation, b.Watch, b.Ending, b.Notice = 500*ms, 500*ms, 100*ms, time.Second, d
	})
}

func (r *recording) ofVersion(version string) []*history.Hit {
	var all []*history.Hit
	for arm := range r.hits {
		for i := range r.hits[arm] {
			if h := &r.hits[arm][i]; h.Version == version {
				all = append(all, h)
			}
		}
	}
	return all
}

// firstBad is when the first failed answer of v2 ended.
func (r *recording) firstBad() time.Duration {
	first := timeline.Never
	for _, h := range r.ofVersion("v2") {
		if h.Class != history.ClassOK {
			first = min(first, h.End())
		}
	}
	return first
}

// Where every failure is injected nothing is left that could speak for the product.
func TestWhereAllIsInjectedNothingIsJudged(t *testing.T) {
	r := cleanRun()
	r.events = nil
	r.disturbance("d1", "regression", "v2", 1, 2, 10*time.Second)
	r.replicaSet(1, "added", "v2", "h2", 1, "")
	for arm := range r.hits {
		if arm == "control" {
			continue
		}
		for _, h := range r.between(arm, 0, testLength) {
			status503(h, "v2")
		}
	}
	p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Inconclusive)
	if p.Injected != 3000 || p.Dropped != 0 {
		t.Errorf("%d are injected and %d dropped, want all 3 000 injected", p.Injected, p.Dropped)
	}
	r.at("get", 5*time.Second).Version = "v1"
	assertVerdict(t, r.judged(t), load.SlugDropped, judge.Fail)
}

// An intent that was never sent is counted by each check that looks at hits: in none of them is it a request that went well.
func TestWhatWasNeverSentIsCounted(t *testing.T) {
	r := cleanRun() // the arm is not the first, whose routes the others are added to
	for i := range r.hits["post"] {
		if i%5 == 0 {
			r.hits["post"][i].URL = "http://127.0.0.1/other"
		}
	}
	for _, h := range r.between("post", 5*time.Second, 5100*time.Millisecond) {
		h.Unsent, h.Code, h.Class, h.Reason, h.Version, h.Pod = true, 0, history.ClassHarness, "unsent", "", ""
	}
	result := r.judged(t)
	if p := assertVerdict(t, result, load.SlugDropped, judge.Inconclusive); p.Hits != 3000 || p.Power == nil || p.Power.Hits != 2990 {
		t.Errorf("%d hits with power %+v, want 3 000 of which 2 990 say something", p.Hits, p.Power)
	}
	if p := assertVerdict(t, result, load.SlugHeld, judge.Inconclusive); p.Hits != 3990 || p.Found != 2 {
		t.Errorf("load.held counts %d hits and finds %d, want 3 990 of 4 arms, the window's count and the arm's", p.Hits, p.Found)
	}
	assertVerdict(t, result, load.SlugComplete, judge.Pass) // it is all there, as it was
	unsent := map[string]uint64{}
	for _, route := range promise(t, result, load.SlugDropped).Routes {
		unsent[route.Name] = route.Unsent
	}
	if want := map[string]uint64{"GET /": 8, "GET /other": 2}; !maps.Equal(unsent, want) {
		t.Errorf("unsent hits by route: %v, want %v", unsent, want)
	}
	r.sent["post"] = 1000 // a generator that says that it sent them
	if p := assertVerdict(t, r.judged(t), load.SlugComplete, judge.Inconclusive); p.Found != 1 {
		t.Errorf("%d findings, want that the window's count does not fit", p.Found)
	}
}
