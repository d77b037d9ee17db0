package checks_test

import (
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// scaledIn takes pod-a away from 4 s to 6 s, and has pod-b left. Requests are in flight at pod-a when it gets its SIGTERM at 5 s.
func scaledIn(t testing.TB) *recording {
	r := cleanRun()
	r.events = nil
	replacedPod(t, r)
	for i := range r.events {
		if c := r.events[i].Change; c != nil && c.Name == "pod-b" {
			r.events[i].At, c.Pod.Ready = 4, true // it was there before
		}
	}
	r.disturbance("d1", history.ScaleInName, "", 3900*ms, 6200*ms, 8*time.Second)
	r.pod(7*time.Second, "added", "pod-c", history.PodState{}) // healing
	r.pod(8*time.Second, "modified", "pod-c", history.PodState{Ready: true})
	return r
}

func TestScaleDown(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(r *recording)
		want  judge.Verdict
	}{
		"taken away":                   {func(*recording) {}, judge.Pass},
		"torn at the pod":              {func(r *recording) { tear(r.slow("get")[0]) }, judge.Fail},
		"refused somewhere else":       {func(r *recording) { reset(r.at("post", 5500*ms)) }, judge.Fail},
		"refused just after":           {func(r *recording) { reset(r.at("get", 6500*ms)) }, judge.Fail},
		"a bad answer meanwhile":       {func(r *recording) { status503(r.at("get", 5*time.Second), "v1") }, judge.Fail},
		"refused long before":          {func(r *recording) { reset(r.at("get", time.Second)) }, judge.Pass},
		"refused while it is healed":   {func(r *recording) { reset(r.at("get", 7500*ms)) }, judge.Pass},
		"nothing in flight":            {func(r *recording) { r.quick() }, judge.Inconclusive},
		"it did not land":              {func(r *recording) { r.forget(history.Landed); r.forget(history.Healed) }, judge.Inconclusive},
		"it did not land, and dropped": {func(r *recording) { r.forget(history.Landed); r.forget(history.Healed); tear(r.slow("get")[0]) }, judge.Fail},
		"no pod stopped":               {func(r *recording) { r.forgetPods(); r.pod(0, "added", "pod-a", history.PodState{Ready: true}) }, judge.Inconclusive},
		"another came in its place":    {func(r *recording) { r.pod(5*time.Second, "added", "pod-d", history.PodState{}) }, judge.Fail},
		"nobody saw it go":             {func(r *recording) { r.goneAt("pod-a", 0) }, judge.Inconclusive},
		"refused before it went, though the disturbance had landed": {func(r *recording) {
			r.goneAt("pod-a", 8*time.Second)
			reset(r.at("get", 7900*ms))
		}, judge.Fail},
		"no such disturbance": {func(r *recording) { r.forgetDisturbances() }, judge.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			r := scaledIn(t)
			c.spoil(r)
			assertVerdict(t, r.judged(t, mechanics.SlugScaleDown), mechanics.SlugScaleDown, c.want)
		})
	}
}

// goneAt is when a watch saw a pod go; 0 is never.
func (r *recording) goneAt(pod string, at time.Duration) {
	for i, e := range r.events {
		if c := e.Change; c != nil && c.Name == pod && c.Type == "deleted" {
			if r.events[i].At = at; at == 0 {
				r.events = slices.Delete(r.events, i, i+1)
			}
			return
		}
	}
	panic("nobody saw " + pod + " go")
}

// quick has every hit answered at once, so that none is in flight for long.
func (r *recording) quick() {
	for arm := range r.hits {
		for _, h := range r.between(arm, 0, testLength) {
			h.Latency = 5 * ms
		}
	}
}

func (r *recording) forgetDisturbances() {
	kept := r.events[:0]
	for _, e := range r.events {
		if e.Disturbance == nil {
			kept = append(kept, e)
		}
	}
	r.events = kept
}
