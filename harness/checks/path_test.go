package checks_test

import (
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// withPath adds an arm that ends at a node, before anything of the stack.
func withPath(r *recording) {
	r.addArm("path", 20, testLength)
	w := r.window("path")
	w.Control, w.Path, w.Node = true, true, "demo-control-plane"
	for i := range r.hits["path"] {
		r.hits["path"][i].Version, r.hits["path"][i].Pod = "", ""
	}
}

// refuse makes a hit one that found nobody: no part of an answer came.
func refuse(h *history.Hit) {
	h.Class, h.Code, h.Error, h.Reason, h.Version, h.Pod, h.BytesIn = history.ClassAmbiguous, 0, "connection refused", "refused", "", "", 0
}

func refuseAll(r *recording, from, until time.Duration, arms ...string) {
	for _, arm := range arms {
		for _, h := range r.between(arm, from, until) {
			refuse(h)
		}
	}
}

// goOn lets the record go on without load: the runner heals and waits for the stack to come to rest.
func goOn(r *recording, until time.Duration) {
	r.events = append(r.events, history.Event{At: until, Kind: history.KindMilestone, Milestone: &history.Milestone{Name: "settled"}})
}

// delay lets the load begin later than the record.
func delay(r *recording, by time.Duration) {
	for i := range r.windows {
		r.windows[i].Begin += by
	}
	for _, hits := range r.hits {
		for i := range hits {
			hits[i].At, hits[i].Intended = hits[i].At+by, hits[i].Intended+by
		}
	}
}

// What brought nothing of an answer while the path was dead is the harness's account. Anything else is the stack's, and so is everything
// when the path was alive, or its own node was what was disturbed.
func TestADeadPathIsTheHarnessesAccount(t *testing.T) {
	const from, until = 5 * time.Second, 8 * time.Second
	all := []string{"get", "post", "post-close", "control", "path"}
	cases := []verdictCase{
		{name: "nothing gets there", want: judge.Inconclusive, reason: "the path to the cluster was dead",
			spoil: func(r *recording) { refuseAll(r, from, until, all...) }},
		{name: "nothing gets there to the end", want: judge.Inconclusive, reason: "the path to the cluster was dead",
			spoil: func(r *recording) { refuseAll(r, from, testLength, all...) }},
		{name: "the path is alive", want: judge.Fail, reason: "dropped",
			spoil: func(r *recording) { refuseAll(r, from, until, "get", "post", "post-close") }},
		{name: "the path was dead at another time", want: judge.Fail, reason: "dropped", spoil: func(r *recording) {
			refuseAll(r, from, until, "get")
			refuseAll(r, time.Second, 2*time.Second, "path")
		}},
		{name: "others are answered meanwhile", want: judge.Fail, reason: "dropped", spoil: func(r *recording) {
			refuseAll(r, from, until, "get", "path") // post and post-close get through: the path is there
		}},
		{name: "one hit of the path fails at the end of the load, after which nobody can be answered", want: judge.Fail, reason: "1 of 3 000 hits dropped",
			spoil: func(r *recording) {
				refuse(&r.hits["path"][len(r.hits["path"])-1])
				refuse(&r.hits["get"][len(r.hits["get"])-1])
				goOn(r, testLength+5*time.Second)
			}},
		{name: "one hit of the path fails before the load begins", want: judge.Fail, reason: "1 of 3 000 hits dropped",
			spoil: func(r *recording) {
				delay(r, time.Second)
				refuse(&r.hits["path"][0])
				refuse(&r.hits["get"][0])
			}},
		{name: "it dies in the middle of a step", want: judge.Inconclusive, reason: "the path to the cluster was dead",
			spoil: func(r *recording) { refuseAll(r, from+23*time.Millisecond, until+31*time.Millisecond, all...) }},
		{name: "one drop while the path was alive", want: judge.Fail, reason: "1 of 3 000 hits dropped", spoil: func(r *recording) {
			refuseAll(r, from, until, all...)
			refuse(r.at("get", 2*time.Second))
		}},
		{name: "an answer with a status meanwhile", want: judge.Fail, reason: "dropped", spoil: func(r *recording) {
			refuseAll(r, from, until, all...)
			status503(r.at("get", 6*time.Second), "v1")
		}},
		{name: "a torn answer meanwhile", want: judge.Fail, reason: "1 of 3 000 hits dropped", spoil: func(r *recording) {
			refuseAll(r, from, until, all...)
			r.at("get", 6*time.Second).BytesIn = 300
		}},
		{name: "an answer that was late because of it", want: judge.Inconclusive, reason: "the path to the cluster was dead", spoil: func(r *recording) {
			refuseAll(r, from, until, all...)
			answerLate(r.at("get", 6200*ms), 2100*ms)
		}},
		{name: "an answer that was late for longer than the path was dead", want: judge.Fail, reason: "1 of 3 000 hits dropped", spoil: func(r *recording) {
			refuseAll(r, from, until, all...)
			answerLate(r.at("get", 7800*ms), 2400*ms)
		}},
		{name: "an answer that was late at another time", want: judge.Fail, reason: "1 of 3 000 hits dropped", spoil: func(r *recording) {
			refuseAll(r, from, until, all...)
			answerLate(r.at("get", time.Second), 2001*ms)
		}},
		{name: "an answer that was late while the path was alive", want: judge.Fail, reason: "1 of 3 000 hits dropped",
			spoil: func(r *recording) { answerLate(r.at("get", 6200*ms), 2100*ms) }},
		{name: "a late answer that is wrong meanwhile", want: judge.Fail, reason: "1 of 3 000 hits dropped", spoil: func(r *recording) {
			refuseAll(r, from, until, all...)
			answerLate(r.at("get", 6200*ms), 2100*ms)
			r.at("get", 6200*ms).Class = history.ClassApplication
			r.at("get", 6200*ms).Reason = "digest"
		}},
		{name: "its node is what is disturbed", want: judge.Fail, reason: "dropped", spoil: func(r *recording) {
			refuseAll(r, from, until, all...)
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil {
					d.Nodes = []string{"demo-control-plane"}
				}
			}
		}},
		{name: "another node is what is disturbed", want: judge.Inconclusive, reason: "the path to the cluster was dead", spoil: func(r *recording) {
			refuseAll(r, from, until, all...)
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil {
					d.Nodes = []string{"demo-worker"}
				}
			}
		}},
	}
	for _, c := range cases {
		c.slug = load.SlugDropped
		spoil := c.spoil
		c.spoil = func(r *recording) { withPath(r); spoil(r) }
		c.check(t)
	}
}

// answerLate makes a hit one that got its whole answer only after so long.
func answerLate(h *history.Hit, after time.Duration) {
	h.Class, h.Code, h.Error, h.Reason, h.Version, h.Pod, h.BytesIn = history.ClassOK, 200, "", "", "v1", "pod-a", 900
	h.Latency = after
}

// The account is told where the load is judged, too, and in one line.
func TestADeadPathIsToldOfTheLoad(t *testing.T) {
	r := cleanRun()
	withPath(r)
	refuseAll(r, 5*time.Second, 8*time.Second, "get", "post", "post-close", "control", "path")
	result := r.judged(t)
	p := assertVerdict(t, result, load.SlugHeld, judge.Inconclusive)
	if len(p.Findings) == 0 || p.Findings[0].Arm != "path" || p.Findings[0].At >= 5*time.Second || p.Findings[0].Until < 8*time.Second {
		t.Errorf("findings %+v, want the time of the dead path first", p.Findings)
	}
	dropped := promise(t, result, load.SlugDropped)
	if dropped.Dropped != 0 || dropped.Power != nil && dropped.Verdict == judge.Pass {
		t.Errorf("dropped %d, verdict %s", dropped.Dropped, dropped.Verdict)
	}
	for _, f := range dropped.Findings {
		if f.Class == "outage" {
			t.Errorf("an outage of the stack is told: %+v", f)
		}
	}
}

// On a machine that stands still for a moment the path arm's short deadline passes, and nobody loses anything: that is no dead path.
func TestAStandstillIsNoDeadPath(t *testing.T) {
	r := cleanRun()
	withPath(r)
	refuseAll(r, 5*time.Second, 6*time.Second, "path")
	for _, arm := range []string{"get", "post", "post-close", "control"} {
		for _, h := range r.between(arm, 5*time.Second, 6*time.Second) {
			h.Latency = 6*time.Second + 5*time.Millisecond - h.At
		}
	}
	result := r.judged(t)
	assertVerdict(t, result, load.SlugDropped, judge.Pass)
	assertVerdict(t, result, load.SlugHeld, judge.Pass)
}

// A path that is alive changes nothing.
func TestALivePathIsNoLoad(t *testing.T) {
	r := cleanRun()
	withPath(r)
	result := r.judged(t)
	p := assertVerdict(t, result, load.SlugDropped, judge.Pass)
	if p.Hits != 3000 {
		t.Errorf("%d hits judged, want those of the three main arms", p.Hits)
	}
	assertVerdict(t, result, load.SlugHeld, judge.Pass)
}

// Beside what the path cost, a drop and an outage of the stack are told as ever, route by route.
func TestADeadPathHidesNoDropBesideIt(t *testing.T) {
	r := routed("/a", "/b")
	withPath(r)
	refuseAll(r, 5*time.Second, 8*time.Second, "get", "post", "post-close", "control", "path")
	for _, h := range r.between("get", time.Second, 1500*ms) {
		if h.URL == "http://127.0.0.1/a" {
			refuse(h)
		}
	}
	refuseAll(r, 2*time.Second, 2500*ms, "post")
	for _, h := range r.between("post", 2*time.Second, 2500*ms) {
		h.URL = "http://127.0.0.1/a"
	}
	p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Fail)
	if a := route(t, p.Routes, "GET /a"); a.Verdict != judge.Fail || a.Dropped != 75 {
		t.Errorf("route %+v, want its 75 drops", a)
	}
	if b := route(t, p.Routes, "GET /b"); b.Verdict != judge.Inconclusive || b.Dropped != 0 || b.Harness == 0 {
		t.Errorf("route %+v, want what failed to be the path's", b)
	}
	i := slices.IndexFunc(p.Findings, func(f judge.Finding) bool { return f.Class == "outage" })
	if i < 0 || p.Findings[i].Arm != "post" || p.Findings[i].At != 2001*ms || p.Findings[i].Until != 2501*ms {
		t.Errorf("findings %+v, want the outage of arm post", p.Findings)
	}
}
