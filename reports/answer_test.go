package reports

import (
	"encoding/json"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// hits folds n hits of an arm, of which the first failed are answered wrongly by a version at a moment.
func hits(arm string, n, failed int, version string, at time.Duration) *fold {
	f := newFold(arm, disturbed{})
	for i := range n {
		h := history.Hit{Seq: uint64(i), Code: 200, At: at, Latency: time.Second}
		if i < failed {
			h.Code, h.Class, h.Reason, h.Version = 500, history.ClassApplication, "status 500", version
		}
		f.add(&h)
	}
	return f
}

// rollout is what a controller tells of a release: its states in the order of time, one a second from second 1 on, and the versions of
// the two pod templates.
func rollout(states ...history.RolloutObject) []*release {
	f := newReleaseFold()
	change := func(at time.Duration, resource string, object any) {
		data, err := json.Marshal(object)
		if err != nil {
			panic(err) // a test that is written wrongly
		}
		f.add(at, &history.Change{Resource: resource, Namespace: "bitvault", Name: "api", Object: data})
	}
	change(0, "replicasets", history.ReplicaSetObject{Hash: "old", Version: "v1"})
	change(0, "replicasets", history.ReplicaSetObject{Hash: "new", Version: "v2"})
	for i, s := range states {
		change(time.Duration(i+1)*time.Second, "rollouts", s)
	}
	return f.releases()
}

func TestAnswer(t *testing.T) {
	var (
		stable   = history.RolloutObject{StableRS: "old", CurrentPodHash: "old"}
		going    = history.RolloutObject{StableRS: "old", CurrentPodHash: "new"}
		promoted = history.RolloutObject{StableRS: "new", CurrentPodHash: "new"}
		aborted  = history.RolloutObject{StableRS: "old", CurrentPodHash: "new", Abort: true}
		ordered  = history.RolloutObject{StableRS: "old", CurrentPodHash: "new", PromoteFull: true}
	)
	drain := disturbance{Name: "drain", Target: "node worker-2", Began: 1e6, Landed: 2e6, Healed: 7e6, Failed: -1}
	never, failed, unhealed := drain, drain, drain
	never.Landed, never.Healed = -1, -1
	failed.Landed, failed.Healed, failed.Failed = -1, -1, 3e6
	unhealed.Healed, unhealed.Failed, unhealed.Unhealed = -1, 9e6, true
	release := disturbance{Name: "release", Target: "bitvaultd v2", Began: 1e6, Landed: 2e6, Healed: 4e6, Failed: -1}
	dropped := func(v judge.Verdict, hits, dropped, injected, masked uint64) judge.Promise {
		return judge.Promise{Slug: droppedSlug, Verdict: v, Hits: hits, Dropped: dropped, Injected: injected, Masked: masked}
	}
	of := func(v judge.Verdict, promises ...judge.Promise) judge.Result {
		return judge.Result{Verdict: v, Promises: promises}
	}
	good := of(judge.Pass, dropped(judge.Pass, 18016, 0, 0, 0))
	masked := hits("get", 600, 0, "", 0)
	masked.masked = 85

	cases := map[string]struct {
		timeline Timeline
		result   judge.Result
		want     string
	}{
		"promoted": {
			Timeline{releases: rollout(stable, going, going, promoted), folds: []*fold{hits("get", 18016, 0, "", 0)}, disturbance: []disturbance{release}}, good,
			"v2 was promoted in 2.00 s; nobody noticed in 18 016 requests.",
		},
		"a drain before and a kill during the release": {
			Timeline{releases: rollout(stable, going, promoted), folds: []*fold{hits("get", 300, 0, "", 0)}, disturbance: []disturbance{
				{Name: "drain", Began: 5e5, Landed: 6e5, Healed: 9e6, Failed: -1}, release, {Name: "kill", Began: 25e5, Landed: 26e5, Healed: -1, Failed: -1},
			}}, good,
			"v2 was promoted in 1.00 s, drain landed and was over after 8.50 s, kill landed; nobody noticed in 300 requests.",
		},
		"a drain long after a release that nobody ordered here": {
			Timeline{releases: rollout(stable, going, promoted), folds: []*fold{hits("get", 300, 0, "", 0)}, disturbance: []disturbance{
				{Name: "drain", Began: 60e6, Landed: 61e6, Healed: 62e6, Failed: -1},
			}}, good,
			"v2 was promoted in 1.00 s, drain landed and was over after 2.00 s; nobody noticed in 300 requests.",
		},
		"aborted after a failure, as planned": {
			Timeline{releases: rollout(stable, going, going, going, aborted), folds: []*fold{hits("get", 18000, 48, "v2", 1500*time.Millisecond)}},
			of(judge.Pass, dropped(judge.Pass, 18000, 0, 48, 0)),
			"v2 was aborted 2.50 s after its first failed answer; 48 of 18 000 requests failed, as planned.",
		},
		"aborted though nothing failed": {
			Timeline{releases: rollout(stable, going, aborted), folds: []*fold{hits("get", 300, 0, "", 0)}},
			of(judge.Fail, judge.Promise{Slug: "canary.promotes-good", Verdict: judge.Fail}),
			"v2 was aborted 1.00 s after it began; no failure was seen in 300 requests. Broken: canary.promotes-good.",
		},
		"neither": {
			Timeline{releases: rollout(stable, going), folds: []*fold{hits("get", 300, 0, "", 0)}},
			of(judge.Inconclusive, judge.Promise{Slug: "canary.promotes-good", Verdict: judge.Inconclusive}),
			"v2 was neither promoted nor aborted; no failure was seen in 300 requests, but that proves nothing: canary.promotes-good could not be judged.",
		},
		"promoted by order is no release": {
			Timeline{releases: rollout(stable, going, ordered, promoted), folds: []*fold{hits("get", 300, 0, "", 0)}}, good,
			"All 300 requests got a correct answer; nothing was disturbed.",
		},
		"way back to the stable one is no release": {
			Timeline{releases: rollout(stable, going, aborted, stable), folds: []*fold{hits("get", 300, 0, "", 0)}}, good,
			"v2 was aborted 1.00 s after it began; nobody noticed in 300 requests.",
		},
		"dropped": {
			Timeline{disturbance: []disturbance{drain}, folds: []*fold{hits("get", 13500, 12, "v1", 0)}},
			of(judge.Fail, dropped(judge.Fail, 13500, 12, 3, 0), judge.Promise{Slug: "load.held", Verdict: judge.Inconclusive}),
			"drain (node worker-2) landed and was over after 6.00 s; 12 of 13 500 requests were dropped, and 3 failed as planned. Broken: load.zero-dropped.",
		},
		"one dropped": {
			Timeline{folds: []*fold{hits("get", 2, 1, "", 0)}}, of(judge.Fail, dropped(judge.Fail, 2, 1, 0, 0)),
			"1 of 2 requests was dropped; nothing was disturbed. Broken: load.zero-dropped.",
		},
		"masked": {
			Timeline{disturbance: []disturbance{drain}, folds: []*fold{masked}}, good,
			"drain (node worker-2) landed and was over after 6.00 s; nobody noticed in 600 requests, though Go's transport sent 85 of them again silently.",
		},
		"never landed": {
			Timeline{disturbance: []disturbance{never, failed, unhealed}, folds: []*fold{hits("get", 9, 0, "", 0)}},
			of(judge.Inconclusive, judge.Promise{Slug: "disruption.landed", Verdict: judge.Inconclusive}),
			"drain (node worker-2) was never seen to land, drain (node worker-2) could not be made to happen, drain (node worker-2) was not healed; " +
				"no failure was seen in 9 requests, but that proves nothing: disruption.landed could not be judged.",
		},
		"never began": {
			Timeline{run: history.Run{Disturbances: []string{"drain"}}, folds: []*fold{hits("get", 9, 0, "", 0)}},
			of(judge.Inconclusive, judge.Promise{Slug: "disruption.landed", Verdict: judge.Inconclusive}),
			"What the run planned to disturb never began; no failure was seen in 9 requests, but that proves nothing: disruption.landed could not be judged.",
		},
		"damaged": {
			Timeline{folds: []*fold{hits("get", 9, 0, "", 0)}},
			judge.Result{Verdict: judge.Pass, Promises: good.Promises, Damage: []history.Damage{{File: "hits-get.bin"}}},
			"No failure was seen in 9 requests; nothing was disturbed, but that proves nothing: the record is damaged in hits-get.bin.",
		},
		"nothing judged": {Timeline{}, judge.Result{Verdict: judge.Pass}, "No request was sent; nothing was disturbed, but that proves nothing: no promise was judged."},
		"a verdict of a newer rollproof": {
			Timeline{}, of("maybe", judge.Promise{Slug: "new.promise", Verdict: "maybe"}),
			"No request was sent; nothing was disturbed, but that proves nothing: new.promise could not be judged.",
		},
		"many": {
			Timeline{disturbance: []disturbance{drain, drain, drain, drain, drain}, folds: []*fold{hits("get", 9, 9, "", 0)}},
			of(judge.Fail, judge.Promise{Slug: "a", Verdict: judge.Fail}, judge.Promise{Slug: "b", Verdict: judge.Fail}, judge.Promise{Slug: "c", Verdict: judge.Fail}, judge.Promise{Slug: "d", Verdict: judge.Fail}),
			"drain (node worker-2) landed and was over after 6.00 s, drain (node worker-2) landed and was over after 6.00 s, " +
				"drain (node worker-2) landed and was over after 6.00 s and 2 more disturbances; 9 of 9 requests failed. Broken: a, b, c and 1 more.",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := answer(&c.timeline, c.result); got != c.want {
				t.Errorf("the answer is\n%q, want\n%q", got, c.want)
			}
		})
	}
}

// A control arm is what the others are held against: its hits are not requests that somebody could have noticed.
func TestAnswerLeavesTheControlArmOut(t *testing.T) {
	timeline := Timeline{folds: []*fold{hits("get", 9, 0, "", 0), hits("control", 9, 9, "", 0)}, windows: []history.Window{{Arm: "control", Control: true}}}
	res := judge.Result{Verdict: judge.Pass, Promises: []judge.Promise{{Slug: droppedSlug, Verdict: judge.Pass, Hits: 9}}}
	if got, want := answer(&timeline, res), "All 9 requests got a correct answer; nothing was disturbed."; got != want {
		t.Errorf("the answer is %q, want %q", got, want)
	}
}
