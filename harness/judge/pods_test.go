package judge

import (
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// replacedPod lets pod-b become ready at 2 s and pod-a be deleted at 4 s, get its SIGTERM at 5 s and be gone at 6 s. Until 4 s
// pod-a answers, from then on pod-b. Slow requests of pod-a are in flight at its SIGTERM.
func replacedPod(t testing.TB, r *recording) {
	r.budgets(t, func(b *Budgets) { b.Propagation, b.Watch = 500*time.Millisecond, 100*time.Millisecond })
	r.pod(0, "added", "pod-a", history.PodState{Ready: true})
	r.pod(1900*time.Millisecond, "added", "pod-b", history.PodState{})
	r.pod(2*time.Second, "modified", "pod-b", history.PodState{Ready: true})
	r.pod(4*time.Second, "modified", "pod-a", history.PodState{Ready: true, Terminating: true})
	r.pod(5*time.Second, "modified", "pod-a", history.PodState{Terminating: true, Signalled: true})
	r.pod(6*time.Second, "deleted", "pod-a", history.PodState{Terminating: true})
	for _, arm := range []string{"get", "post", "post-close"} {
		for _, h := range r.between(arm, 4*time.Second, testLength) {
			h.Pod = "pod-b"
		}
		for _, h := range r.slow(arm) {
			h.Pod, h.Latency = "pod-a", 1500*time.Millisecond
		}
	}
}

// slow is the hits of an arm that are in flight at the SIGTERM of pod-a.
func (r *recording) slow(arm string) []*history.Hit {
	return r.between(arm, 4100*time.Millisecond, 4200*time.Millisecond)
}

func (r *recording) pod(at time.Duration, change, name string, state history.PodState) {
	r.events = append(r.events, history.Event{At: at + 3, Kind: history.KindChange,
		Change: &history.Change{Type: change, Resource: "pods", Name: name, Pod: &state}})
}

// tellAtTheEnd lets pod-a tell of its SIGTERM when it is gone, and not at that moment.
func (r *recording) tellAtTheEnd(at time.Duration) {
	for _, e := range r.events {
		if e.Change == nil || e.Change.Name != "pod-a" {
			continue
		}
		e.Change.Pod.Signalled = false
		if e.Change.Type == "deleted" {
			e.Change.Pod.SignalledAt = r.clock.Wall(at)
		}
	}
}

func (r *recording) forgetPods() {
	var kept []history.Event
	for _, e := range r.events {
		if e.Change == nil {
			kept = append(kept, e)
		}
	}
	r.events = kept
}

func TestReadiness(t *testing.T) {
	cases := []verdictCase{
		{name: "clean", spoil: func(*recording) {}, want: Pass, reason: "0 of 3 000 answers"},
		{name: "answered before it was ready", spoil: func(r *recording) { r.at("get", 1500*time.Millisecond).Pod = "pod-b" }, want: Fail, reason: "1 hit answered"},
		{name: "as early as a watch may be late", spoil: func(r *recording) { r.at("get", 1910*time.Millisecond).Pod = "pod-b" }, want: Pass},
		{name: "answered long after it was deleted", spoil: func(r *recording) { r.at("get", 4600*time.Millisecond).Pod = "pod-a" }, want: Fail},
		{name: "answered while routers follow", spoil: func(r *recording) { r.at("get", 4400*time.Millisecond).Pod = "pod-a" }, want: Pass},
		{name: "a ready pod that cannot serve", spoil: func(r *recording) { status503(r.at("get", 3*time.Second), "v1") }, want: Fail, reason: "1 hit answered"},
		{name: "a pod that no watch saw", spoil: func(r *recording) { r.at("get", time.Second).Pod = "pod-x" }, want: Inconclusive, reason: "no watch saw"},
		{name: "no pod changed", spoil: func(r *recording) { r.forgetPods(); r.pod(0, "added", "pod-a", history.PodState{Ready: true}) },
			want: Inconclusive, reason: "became ready or unready"},
		{name: "answers do not tell the pod", spoil: func(r *recording) {
			for arm := range r.hits {
				for _, h := range r.between(arm, 0, testLength) {
					h.Pod = ""
				}
			}
		}, want: Inconclusive, reason: "no hit was answered by a pod"},
		{name: "a pod that was never ready", spoil: func(r *recording) {
			r.pod(time.Second, "added", "pod-x", history.PodState{})
			r.at("get", 2*time.Second).Pod = "pod-x"
		}, want: Fail},
	}
	for _, c := range cases {
		spoil := c.spoil
		c.spoil = func(r *recording) { replacedPod(t, r); spoil(r) }
		c.slug = slugReadiness
		c.check(t, slugReadiness)
	}
}

func TestGraceful(t *testing.T) {
	cases := []verdictCase{
		{name: "clean", spoil: func(*recording) {}, want: Pass, reason: "30 requests in flight across the stop of 1 pod, all finished"},
		{name: "torn, the pod is known", spoil: func(r *recording) { tear(r.slow("get")[0]) }, want: Fail, reason: "1 of 30 requests"},
		{name: "torn, the pod is not known", spoil: func(r *recording) {
			h := r.slow("get")[0]
			reset(h)
			h.Latency = 900 * time.Millisecond
		}, want: Fail, reason: "1 of 30 requests"},
		{name: "the ingress answers 502 for it", spoil: func(r *recording) {
			h := r.slow("get")[0]
			h.Class, h.Code, h.Reason, h.Pod, h.Version = history.ClassIngress, 502, "status 502", "", ""
		}, want: Fail},
		{name: "refused at that moment", spoil: func(r *recording) {
			h := r.slow("get")[0]
			reset(h)
			h.Class, h.Reason = history.ClassIngress, "refused"
		}, want: Pass, run: Fail},
		{name: "a whole bad answer of the pod", spoil: func(r *recording) { status503(r.slow("get")[0], "v1") }, want: Pass, run: Fail},
		{name: "nothing in flight", spoil: func(r *recording) {
			for arm := range r.hits {
				for _, h := range r.between(arm, 0, testLength) {
					h.Latency = 5 * time.Millisecond
				}
			}
		}, want: Inconclusive, reason: "10 needed"},
		{name: "no pod stopped", spoil: func(r *recording) { r.forgetPods(); r.pod(0, "added", "pod-a", history.PodState{Ready: true}) },
			want: Inconclusive, reason: "told to stop"},
		{name: "judged by its deletion", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Change != nil {
					e.Change.Pod.Signalled = false
				}
			}
			for _, h := range r.between("get", 3800*time.Millisecond, 4*time.Second) {
				h.Latency = time.Second
			}
		}, want: Pass, reason: "judged by its deletion"},
		{name: "the process tells of it at its end", spoil: func(r *recording) { r.tellAtTheEnd(5 * time.Second) }, want: Pass,
			reason: "30 requests in flight across the stop of 1 pod, all finished"},
		{name: "torn, and the process tells of it at its end", spoil: func(r *recording) { r.tellAtTheEnd(5 * time.Second); tear(r.slow("get")[0]) },
			want: Fail, reason: "1 of 30 requests"},
		{name: "in flight at the deletion and done before SIGTERM", spoil: func(r *recording) {
			r.tellAtTheEnd(5 * time.Second)
			for arm := range r.hits {
				for _, h := range r.slow(arm) {
					h.At, h.Latency = 3800*time.Millisecond, time.Second
				}
			}
		}, want: Inconclusive, reason: "0 requests in flight"},
		{name: "the node's clock is ahead", spoil: func(r *recording) { r.tellAtTheEnd(7 * time.Second) }, want: Inconclusive, reason: "0 requests in flight"},
		{name: "the node's clock is behind", spoil: func(r *recording) { r.tellAtTheEnd(2 * time.Second) }, want: Inconclusive, reason: "0 requests in flight"},
		{name: "a failure long before", spoil: func(r *recording) { reset(r.at("get", time.Second)) }, want: Pass, run: Fail},
	}
	for _, c := range cases {
		spoil := c.spoil
		c.spoil = func(r *recording) { replacedPod(t, r); spoil(r) }
		c.slug = slugGraceful
		c.check(t, slugGraceful)
	}
}

// tear breaks an answer off after its headers.
func tear(h *history.Hit) {
	h.Class, h.Code, h.Error, h.Reason = history.ClassApplication, 0, "unexpected EOF", "truncated"
}

// A StatefulSet gives the same name to one pod after another: each of them has a ready time and an end of its own.
func TestPodsOfOneName(t *testing.T) {
	seen := func(at time.Duration, change, uid string, state history.PodState) podChange {
		return podChange{at: at, gone: change == "deleted", name: "db-0", uid: uid, signalled: Never, PodState: state}
	}
	up, down, gone := history.PodState{Ready: true}, history.PodState{Ready: true, Terminating: true}, history.PodState{Terminating: true}
	cases := map[string]struct {
		changes []podChange
		ready   []Span
		stops   []Stop
	}{
		"one after another": {
			changes: []podChange{seen(1, "added", "a", history.PodState{}), seen(2, "modified", "a", up), seen(4, "modified", "a", down), seen(5, "deleted", "a", gone),
				seen(6, "added", "b", history.PodState{}), seen(7, "modified", "b", up), seen(8, "modified", "b", down)},
			ready: []Span{{2, 4}, {7, 8}},
			stops: []Stop{{Terminating: 4, Signalled: Never, Gone: 5}, {Terminating: 8, Signalled: Never, Gone: Never}},
		},
		"nobody saw the first one go": {
			changes: []podChange{seen(2, "added", "a", history.PodState{}), seen(3, "modified", "a", up), seen(6, "modified", "b", up)},
			ready:   []Span{{3, 6}, {6, Never}},
		},
		"killed": {
			changes: []podChange{seen(2, "added", "a", up), seen(3, "deleted", "a", up)},
			ready:   []Span{{-1 << 63, 3}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			line := &Timeline{Pods: map[string]*Pod{}}
			for i := range c.changes {
				line.podChanged(&c.changes[i])
			}
			pod := line.Pods["db-0"]
			if !slices.Equal(pod.Ready, c.ready) {
				t.Errorf("ready %v, want %v", pod.Ready, c.ready)
			}
			if !slices.Equal(pod.Stops, c.stops) {
				t.Errorf("stops %v, want %v", pod.Stops, c.stops)
			}
		})
	}
}
