package checks_test

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// replacedPod lets pod-b become ready at 2 s and pod-a be deleted at 4 s, get its SIGTERM at 5 s and be gone at 6 s. Until 4 s
// pod-a answers, from then on pod-b. Slow requests of pod-a are in flight at its SIGTERM.
func replacedPod(t testing.TB, r *recording) {
	r.budgets(t, func(b *checks.Budgets) { b.Propagation, b.Watch = 500*time.Millisecond, 100*time.Millisecond })
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

// answeredBy lets a pod give all answers from a moment on.
func (r *recording) answeredBy(pod string, from time.Duration) {
	for _, arm := range r.released() {
		for _, h := range r.between(arm, from, testLength) {
			h.Pod = pod
		}
	}
}

func TestReadiness(t *testing.T) {
	cases := []verdictCase{
		{name: "clean", spoil: func(*recording) {}, want: judge.Pass, reason: "0 of 3 000 answers from pods outside"},
		{name: "answered before it was ready", spoil: func(r *recording) { r.at("get", 1500*time.Millisecond).Pod = "pod-b" }, want: judge.Fail, reason: "1 hit answered"},
		{name: "as early as a watch may be late", spoil: func(r *recording) { r.at("get", 1910*time.Millisecond).Pod = "pod-b" }, want: judge.Pass},
		{name: "answered long after it was deleted", spoil: func(r *recording) { r.at("get", 4600*time.Millisecond).Pod = "pod-a" }, want: judge.Fail},
		{name: "answered while routers follow", spoil: func(r *recording) { r.at("get", 4400*time.Millisecond).Pod = "pod-a" }, want: judge.Pass},
		{name: "a ready pod that cannot serve", spoil: func(r *recording) { status503(r.at("get", 3*time.Second), "v1") }, want: judge.Fail, reason: "1 hit answered"},
		{name: "a pod that no watch saw", spoil: func(r *recording) { r.at("get", time.Second).Pod = "pod-x" }, want: judge.Inconclusive, reason: "no watch saw"},
		{name: "no pod changed", spoil: func(r *recording) { r.forgetPods(); r.pod(0, "added", "pod-a", history.PodState{Ready: true}) },
			want: judge.Inconclusive, reason: "became ready or unready"},
		{name: "answers do not tell the pod", spoil: func(r *recording) {
			for arm := range r.hits {
				for _, h := range r.between(arm, 0, testLength) {
					h.Pod = ""
				}
			}
		}, want: judge.Inconclusive, reason: "no hit was answered by a pod"},
		{name: "the only pod that changed answers nobody", spoil: func(r *recording) {
			r.forgetPods()
			r.pod(0, "added", "pod-a", history.PodState{Ready: true})
			r.pod(1900*time.Millisecond, "added", "pod-b", history.PodState{})
			r.pod(2*time.Second, "modified", "pod-b", history.PodState{Ready: true})
			r.answeredBy("pod-a", 0)
		}, want: judge.Inconclusive, reason: "0 answers from pods that became ready or unready under load, 300 needed"},
		{name: "too few answers of the only pod that changed", spoil: func(r *recording) {
			r.forgetPods()
			r.pod(0, "added", "pod-a", history.PodState{Ready: true})
			r.pod(1900*time.Millisecond, "added", "pod-b", history.PodState{})
			r.pod(2*time.Second, "modified", "pod-b", history.PodState{Ready: true})
			r.answeredBy("pod-a", 0)
			for _, h := range r.between("get", 3*time.Second, 5990*time.Millisecond) {
				h.Pod = "pod-b"
			}
		}, want: judge.Inconclusive, reason: "299 answers"},
		{name: "a pod that was never ready", spoil: func(r *recording) {
			r.pod(time.Second, "added", "pod-x", history.PodState{})
			r.at("get", 2*time.Second).Pod = "pod-x"
		}, want: judge.Fail},
	}
	for _, c := range cases {
		spoil := c.spoil
		c.spoil = func(r *recording) { replacedPod(t, r); spoil(r) }
		c.slug = mechanics.SlugReadiness
		c.check(t, mechanics.SlugReadiness)
	}
}

func TestGraceful(t *testing.T) {
	cases := []verdictCase{
		{name: "clean", spoil: func(*recording) {}, want: judge.Pass, reason: "30 requests in flight across the stop of 1 pod, all finished"},
		{name: "torn, the pod is known", spoil: func(r *recording) { tear(r.slow("get")[0]) }, want: judge.Fail, reason: "1 of 30 requests"},
		{name: "torn, the pod is not known", spoil: func(r *recording) {
			h := r.slow("get")[0]
			reset(h)
			h.Latency = 900 * time.Millisecond
		}, want: judge.Fail, reason: "1 of 30 requests"},
		{name: "the ingress answers 502 for it", spoil: func(r *recording) {
			h := r.slow("get")[0]
			h.Class, h.Code, h.Reason, h.Pod, h.Version = history.ClassIngress, 502, "status 502", "", ""
		}, want: judge.Fail},
		{name: "refused at that moment", spoil: func(r *recording) {
			h := r.slow("get")[0]
			reset(h)
			h.Class, h.Reason = history.ClassIngress, "refused"
		}, want: judge.Pass, run: judge.Fail},
		{name: "a whole bad answer of the pod", spoil: func(r *recording) { status503(r.slow("get")[0], "v1") }, want: judge.Pass, run: judge.Fail},
		{name: "nothing in flight", spoil: func(r *recording) {
			for arm := range r.hits {
				for _, h := range r.between(arm, 0, testLength) {
					h.Latency = 5 * time.Millisecond
				}
			}
		}, want: judge.Inconclusive, reason: "10 needed"},
		{name: "no pod stopped", spoil: func(r *recording) { r.forgetPods(); r.pod(0, "added", "pod-a", history.PodState{Ready: true}) },
			want: judge.Inconclusive, reason: "told to stop"},
		{name: "judged by its deletion", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Change != nil {
					e.Change.Pod.Signalled = false
				}
			}
			for _, h := range r.between("get", 3800*time.Millisecond, 4*time.Second) {
				h.Latency = time.Second
			}
		}, want: judge.Pass, run: judge.Fail, reason: "judged by its deletion"}, // for those who waited
		{name: "the process tells of it at its end", spoil: func(r *recording) { r.tellAtTheEnd(5 * time.Second) }, want: judge.Pass,
			reason: "30 requests in flight across the stop of 1 pod, all finished"},
		{name: "torn, and the process tells of it at its end", spoil: func(r *recording) { r.tellAtTheEnd(5 * time.Second); tear(r.slow("get")[0]) },
			want: judge.Fail, reason: "1 of 30 requests"},
		{name: "in flight at the deletion and done before SIGTERM", spoil: func(r *recording) {
			r.tellAtTheEnd(5 * time.Second)
			for arm := range r.hits {
				for _, h := range r.slow(arm) {
					h.At, h.Latency = 3800*time.Millisecond, time.Second
				}
			}
		}, want: judge.Inconclusive, reason: "0 requests in flight"},
		{name: "the node's clock is ahead", spoil: func(r *recording) { r.tellAtTheEnd(7 * time.Second) }, want: judge.Inconclusive, reason: "0 requests in flight"},
		{name: "the node's clock is behind", spoil: func(r *recording) { r.tellAtTheEnd(2 * time.Second) }, want: judge.Inconclusive, reason: "0 requests in flight"},
		{name: "a failure long before", spoil: func(r *recording) { reset(r.at("get", time.Second)) }, want: judge.Pass, run: judge.Fail},
	}
	for _, c := range cases {
		spoil := c.spoil
		c.spoil = func(r *recording) { replacedPod(t, r); spoil(r) }
		c.slug = mechanics.SlugGraceful
		c.check(t, mechanics.SlugGraceful)
	}
}

// tear breaks an answer off after its headers.
func tear(h *history.Hit) {
	h.Class, h.Code, h.Error, h.Reason = history.ClassApplication, 0, "unexpected EOF", "truncated"
}
