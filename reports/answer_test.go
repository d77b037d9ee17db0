package reports

import (
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
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
func rollout(states ...resource.Rollout) timeline.Cluster {
	track := &timeline.Track[resource.Rollout]{Namespace: "bitvault", Name: "api", Gone: timeline.Never}
	for i, s := range states {
		track.Seen = append(track.Seen, timeline.Seen[resource.Rollout]{At: time.Duration(i+1) * time.Second, Object: s})
	}
	c := timeline.Cluster{Rollouts: []*timeline.Track[resource.Rollout]{track}}
	for hash, version := range map[string]string{"old": "v1", "new": "v2"} {
		c.ReplicaSets = append(c.ReplicaSets, &timeline.Track[resource.ReplicaSet]{
			Namespace: "bitvault", Name: "api-" + hash, Seen: []timeline.Seen[resource.ReplicaSet]{{Object: resource.ReplicaSet{Hash: hash, Version: version}}},
		})
	}
	return c
}

// told is what a record says that ended at a minute, with folded arms.
func told(record timeline.Timeline, folds ...*fold) *Timeline {
	record.Broken, record.Last = timeline.Never, time.Minute
	t := newTimeline(&record)
	t.folds = folds
	return t
}

// disturbedAt is a disturbance with the seconds of its phases; 0 is a phase that was not reached.
func disturbedAt(name, target string, began, landed, healed, failed, unhealed float64) *timeline.Disturbance {
	at := func(seconds float64) time.Duration {
		if seconds == 0 {
			return timeline.Never
		}
		return time.Duration(seconds * float64(time.Second))
	}
	return &timeline.Disturbance{Name: name, Target: target, Began: at(began), Landed: at(landed), Healed: at(healed), Failed: at(failed), Unhealed: at(unhealed)}
}

func TestAnswer(t *testing.T) {
	var (
		stable   = resource.Rollout{StableRS: "old", CurrentPodHash: "old"}
		going    = resource.Rollout{StableRS: "old", CurrentPodHash: "new"}
		promoted = resource.Rollout{StableRS: "new", CurrentPodHash: "new"}
		aborted  = resource.Rollout{StableRS: "old", CurrentPodHash: "new", Abort: true}
		ordered  = resource.Rollout{StableRS: "old", CurrentPodHash: "new", PromoteFull: true}
	)
	const node = "node worker-2"
	drain := disturbedAt("drain", node, 1, 2, 7, 0, 0)
	never, failed, unhealed := disturbedAt("drain", node, 1, 0, 0, 0, 0), disturbedAt("drain", node, 1, 0, 0, 3, 0), disturbedAt("drain", node, 1, 2, 0, 0, 9)
	release := disturbedAt("release", "bitvaultd v2", 1, 2, 4, 0, 0)
	disturbances := func(all ...*timeline.Disturbance) timeline.Timeline { return timeline.Timeline{Disturbances: all} }
	released := func(cluster timeline.Cluster, all ...*timeline.Disturbance) timeline.Timeline {
		arms := []*timeline.Arm{
			{Name: "get", Workload: history.Workload{Namespace: "bitvault", Kind: "Rollout", Name: "api"}},
			{Name: "web", Workload: history.Workload{Namespace: "bitvault", Kind: "Rollout", Name: "web"}},
		}
		return timeline.Timeline{Arms: arms, Cluster: cluster, Disturbances: all}
	}
	dropped := func(v judge.Verdict, hits, dropped, injected, masked uint64) judge.Promise {
		return judge.Promise{Slug: droppedSlug, Verdict: v, Hits: hits, Dropped: dropped, Injected: injected, Masked: masked}
	}
	of := func(v judge.Verdict, promises ...judge.Promise) judge.Result {
		return judge.Result{Verdict: v, Promises: promises}
	}
	zero, quick := dropped(judge.Pass, 18016, 0, 0, 0), judge.Promise{Slug: responsiveSlug, Verdict: judge.Pass}
	good := of(judge.Pass, zero, quick)
	reserved, skipped := quick, quick
	reserved.Reservations, skipped.Verdict = []string{"the 99th percentile is not judged"}, judge.Skipped
	masked := hits("get", 600, 0, "", 0)
	masked.masked = 85

	cases := map[string]struct {
		timeline *Timeline
		result   judge.Result
		want     string
	}{
		"promoted": {
			told(released(rollout(stable, going, going, promoted), release), hits("get", 18016, 0, "", 0)), good,
			"v2 was promoted in 2 s; nobody noticed in 18 016 requests.",
		},
		"promoted, and how long one waited was judged with a reservation": {
			told(released(rollout(stable, going, going, promoted), release), hits("get", 18016, 0, "", 0)), of(judge.Pass, zero, reserved),
			"v2 was promoted in 2 s; all 18 016 requests got a correct answer.",
		},
		"promoted, and how long one waited was not judged": {
			told(released(rollout(stable, going, going, promoted), release), hits("get", 18016, 0, "", 0)), of(judge.Pass, zero, skipped),
			"v2 was promoted in 2 s; all 18 016 requests got a correct answer.",
		},
		"a drain before and a kill during the release": {
			told(released(rollout(stable, going, promoted), disturbedAt("drain", "", 0.5, 0.6, 9, 0, 0), release, disturbedAt("kill", "", 2.5, 2.6, 0, 0, 0)), hits("get", 300, 0, "", 0)), good,
			"v2 was promoted in 1 s, drain landed and was over after 8.5 s, kill landed; nobody noticed in 300 requests.",
		},
		"a drain long after a release that nobody ordered here": {
			told(released(rollout(stable, going, promoted), disturbedAt("drain", "", 50, 51, 52, 0, 0)), hits("get", 300, 0, "", 0)), good,
			"v2 was promoted in 1 s, drain landed and was over after 2 s; nobody noticed in 300 requests.",
		},
		"aborted after a failure, as planned": {
			told(released(rollout(stable, going, going, going, aborted)), hits("get", 18000, 48, "v2", 1500*time.Millisecond)),
			of(judge.Pass, dropped(judge.Pass, 18000, 0, 48, 0)),
			"v2 was aborted 2.5 s after its first failed answer; 48 of 18 000 requests failed, as planned.",
		},
		"another workload's release of the same version failed": {
			told(released(rollout(stable, going, going, going, aborted)), hits("web", 18000, 48, "v2", 1500*time.Millisecond)),
			of(judge.Fail, judge.Promise{Slug: "canary.promotes-good", Verdict: judge.Fail}),
			"v2 was aborted 3 s after it began; 48 of 18 000 requests failed. Broken: canary.promotes-good.",
		},
		"aborted though nothing failed": {
			told(released(rollout(stable, going, aborted)), hits("get", 300, 0, "", 0)),
			of(judge.Fail, judge.Promise{Slug: "canary.promotes-good", Verdict: judge.Fail}),
			"v2 was aborted 1 s after it began; no failure was seen in 300 requests. Broken: canary.promotes-good.",
		},
		"neither": {
			told(released(rollout(stable, going)), hits("get", 300, 0, "", 0)),
			of(judge.Inconclusive, judge.Promise{Slug: "canary.promotes-good", Verdict: judge.Inconclusive}),
			"v2 was neither promoted nor aborted; no failure was seen in 300 requests, but that proves nothing: canary.promotes-good could not be judged.",
		},
		"promoted by order is no release": {
			told(released(rollout(stable, going, ordered, promoted)), hits("get", 300, 0, "", 0)), good,
			"All 300 requests got a correct answer; nothing was disturbed.",
		},
		"way back to the stable one is no release": {
			told(released(rollout(stable, going, aborted, stable)), hits("get", 300, 0, "", 0)), good,
			"v2 was aborted 1 s after it began; nobody noticed in 300 requests.",
		},
		"dropped": {
			told(disturbances(drain), hits("get", 13500, 12, "v1", 0)),
			of(judge.Fail, dropped(judge.Fail, 13500, 12, 3, 0), judge.Promise{Slug: "load.held", Verdict: judge.Inconclusive}),
			"drain (node worker-2) landed and was over after 6 s; 12 of 13 500 requests were dropped, and 3 failed as planned. Broken: load.zero-dropped.",
		},
		"one dropped": {
			told(timeline.Timeline{}, hits("get", 2, 1, "", 0)), of(judge.Fail, dropped(judge.Fail, 2, 1, 0, 0)),
			"1 of 2 requests was dropped; nothing was disturbed. Broken: load.zero-dropped.",
		},
		"masked": {
			told(disturbances(drain), masked), good,
			"drain (node worker-2) landed and was over after 6 s; nobody noticed in 600 requests, though Go's transport sent 85 of them again silently.",
		},
		"never landed": {
			told(disturbances(never, failed, unhealed), hits("get", 9, 0, "", 0)),
			of(judge.Inconclusive, judge.Promise{Slug: "disruption.landed", Verdict: judge.Inconclusive}),
			"drain (node worker-2) was never seen to land, drain (node worker-2) could not be made to happen, drain (node worker-2) was not healed; " +
				"no failure was seen in 9 requests, but that proves nothing: disruption.landed could not be judged.",
		},
		"never began": {
			told(timeline.Timeline{Run: history.Run{Disturbances: []string{"drain"}}}, hits("get", 9, 0, "", 0)),
			of(judge.Inconclusive, judge.Promise{Slug: "disruption.landed", Verdict: judge.Inconclusive}),
			"What the run planned to disturb never began; no failure was seen in 9 requests, but that proves nothing: disruption.landed could not be judged.",
		},
		"damaged": {
			told(timeline.Timeline{}, hits("get", 9, 0, "", 0)),
			judge.Result{Verdict: judge.Pass, Promises: good.Promises, Damage: []history.Damage{{File: "hits-get.bin"}}},
			"No failure was seen in 9 requests; nothing was disturbed, but that proves nothing: the record is damaged in hits-get.bin.",
		},
		"nothing judged": {told(timeline.Timeline{}), judge.Result{Verdict: judge.Pass}, "No request was sent; nothing was disturbed, but that proves nothing: no promise was judged."},
		"a verdict of a newer rollproof": {
			told(timeline.Timeline{}), of("maybe", judge.Promise{Slug: "new.promise", Verdict: "maybe"}),
			"No request was sent; nothing was disturbed, but that proves nothing: new.promise could not be judged.",
		},
		"many": {
			told(disturbances(drain, drain, drain, drain, drain), hits("get", 9, 9, "", 0)),
			of(judge.Fail, judge.Promise{Slug: "a", Verdict: judge.Fail}, judge.Promise{Slug: "b", Verdict: judge.Fail}, judge.Promise{Slug: "c", Verdict: judge.Fail}, judge.Promise{Slug: "d", Verdict: judge.Fail}),
			"drain (node worker-2) landed and was over after 6 s, drain (node worker-2) landed and was over after 6 s, " +
				"drain (node worker-2) landed and was over after 6 s and 2 more disturbances; 9 of 9 requests failed. Broken: a, b, c and 1 more.",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := answer(c.timeline, c.result); got != c.want {
				t.Errorf("the answer is\n%q, want\n%q", got, c.want)
			}
		})
	}
}

// A control arm is what the others are held against: its hits are not requests that somebody could have noticed.
func TestAnswerLeavesTheControlArmOut(t *testing.T) {
	shown := told(timeline.Timeline{Arms: []*timeline.Arm{{Name: "control", Control: true}}}, hits("get", 9, 0, "", 0), hits("control", 9, 9, "", 0))
	res := judge.Result{Verdict: judge.Pass, Promises: []judge.Promise{{Slug: droppedSlug, Verdict: judge.Pass, Hits: 9}}}
	if got, want := answer(shown, res), "All 9 requests got a correct answer; nothing was disturbed."; got != want {
		t.Errorf("the answer is %q, want %q", got, want)
	}
}

// What a pass leaves out stands in its reason already: the line of figures beside it does not say it again. A broken promise has no such reason.
func TestWhatAPassLeavesOutIsToldOnce(t *testing.T) {
	p := judge.Promise{Slug: droppedSlug, Verdict: judge.Pass, Hits: 900, Masked: 2, Injected: 44, Reason: "0 of 900 hits"}
	p.Reserve([]string{"2 hits were answered only because Go's transport sent them again (arm get: 2)", "44 failures injected on purpose, counted apart"})
	for _, text := range []string{basisLine(p), basis(p)} {
		if strings.Count(text, "44") != 1 || strings.Count(text, "again") != 1 {
			t.Errorf("%q does not say each once", text)
		}
	}
	p = judge.Promise{Slug: droppedSlug, Verdict: judge.Fail, Hits: 900, Dropped: 1, Masked: 2, Injected: 44, Reason: "1 of 900 hits dropped"}
	if got, want := proof(p), "44 failed because that was injected; 2 sent again silently by Go's transport"; got != want {
		t.Errorf("beside a broken promise stands %q, want %q", got, want)
	}
}
