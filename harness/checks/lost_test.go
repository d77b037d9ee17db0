package checks_test

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// lostReadiness lets pod-b be unready from 3 s to 6 s, while it lives on; every second answer is its own, but for that time.
func lostReadiness(t testing.TB) *recording {
	r := cleanRun()
	r.events = nil
	r.budgets(t, func(b *checks.Budgets) { b.Propagation, b.Watch = 500*ms, 100*ms })
	r.disturbance("d1", mechanics.LostName, "", 2900*ms, 6100*ms, 6200*ms)
	r.pod(0, "added", "pod-a", history.PodState{Ready: true})
	r.pod(0, "added", "pod-b", history.PodState{Ready: true})
	r.pod(3*time.Second, "modified", "pod-b", history.PodState{})
	r.pod(6*time.Second, "modified", "pod-b", history.PodState{Ready: true})
	r.answers("pod-b", 0, 3400*ms)
	r.answers("pod-b", 6300*ms, testLength)
	return r
}

// answers has a pod give every second answer of a time.
func (r *recording) answers(pod string, from, until time.Duration) {
	for _, arm := range []string{"get", "post", "post-close"} {
		for i, h := range r.between(arm, from, until) {
			if i%2 == 0 {
				h.Pod = pod
			}
		}
	}
}

func TestReadinessIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(r *recording)
		want  judge.Verdict
	}{
		"out and in again":    {func(*recording) {}, judge.Pass},
		"a router that stays": {func(r *recording) { r.answers("pod-b", 4*time.Second, 4200*ms) }, judge.Fail},
		"failures of the unready pod are for load.zero-dropped": {func(r *recording) {
			for _, h := range r.between("get", 4*time.Second, 4200*ms) {
				status503(h, "v1")
				h.Pod = "pod-b"
			}
		}, judge.Pass},
		"its share stays away":   {func(r *recording) { r.noAnswers("pod-b", 6400*ms) }, judge.Fail},
		"nobody takes notice":    {func(r *recording) { r.keepReady("pod-b"); r.answers("pod-b", 3*time.Second, 7*time.Second) }, judge.Fail},
		"it did not land either": {func(r *recording) { r.keepReady("pod-b"); r.forget(history.Landed); r.forget(history.Healed) }, judge.Inconclusive},
		"no such disturbance":    {func(r *recording) { r.events = r.events[3:] }, judge.Inconclusive},
		"it answered nothing before": {func(r *recording) {
			for arm := range r.hits {
				for _, h := range r.between(arm, 0, 3500*ms) {
					h.Pod = "pod-a"
				}
			}
		}, judge.Inconclusive},
		"it does not come back": {func(r *recording) { r.forgetReady("pod-b", 6*time.Second); r.noAnswers("pod-b", 6*time.Second) }, judge.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			r := lostReadiness(t)
			c.spoil(r)
			assertVerdict(t, r.judged(t, mechanics.SlugReadinessLost), mechanics.SlugReadinessLost, c.want)
		})
	}
}

func (r *recording) noAnswers(pod string, from time.Duration) {
	for arm := range r.hits {
		for _, h := range r.between(arm, from, testLength) {
			if h.Pod == pod {
				h.Pod = "pod-a"
			}
		}
	}
}

// keepReady forgets that a pod was ever unready.
func (r *recording) keepReady(pod string) {
	for i := range r.events {
		if c := r.events[i].Change; c != nil && c.Name == pod {
			c.Pod.Ready = true
		}
	}
}

// forgetReady has a pod stay unready from a moment on.
func (r *recording) forgetReady(pod string, from time.Duration) {
	for i := range r.events {
		if c := r.events[i].Change; c != nil && c.Name == pod && r.events[i].At >= from {
			c.Pod.Ready = false
		}
	}
}
