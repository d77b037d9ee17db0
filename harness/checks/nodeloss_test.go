package checks_test

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
)

// lostNode is the node n1 lost from 2 s on, with pod-a on it: missed at 2.9 s, Ready again at 6 s, healed at 7 s. From 3.5 s nothing may fail.
func lostNode(t testing.TB, r *recording) {
	accountedLoss(t, r)
	r.missedAfter(t, 1500*ms)
}

func (r *recording) missedAfter(t testing.TB, missed time.Duration) {
	r.budgets(t, func(b *checks.Budgets) {
		b.Settle, b.Propagation, b.Watch = 500*ms, 500*ms, 100*ms
		b.Missed, b.Beside, b.Unplanned = missed, 300, missed
	})
}

// gateway is a hit that the ingress answered without a backend.
func gateway(h *history.Hit) {
	h.Class, h.Code, h.Reason, h.Version, h.Pod = history.ClassIngress, 502, history.ReasonStatus(502), "", ""
}

// late is a hit that waited until its deadline.
func late(h *history.Hit) {
	h.Class, h.Code, h.Reason, h.Error, h.Latency, h.Version, h.Pod = history.ClassAmbiguous, 0, history.ReasonDeadline, "timeout", testDeadline, "", ""
}

func TestNodeLoss(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, r *recording)
		want  judge.Verdict
	}{
		"it heals": {func(*testing.T, *recording) {}, judge.Pass},
		"lost until it is missed": {func(_ *testing.T, r *recording) {
			for _, h := range r.between("get", 2*time.Second, 3490*ms) {
				late(h)
			}
		}, judge.Pass},
		"the first hit that may not be lost": {func(_ *testing.T, r *recording) { gateway(r.at("get", 3500*ms)) }, judge.Fail},
		"nobody is left": {func(_ *testing.T, r *recording) {
			for _, h := range r.between("get", 2*time.Second, 6*time.Second) {
				gateway(h)
			}
		}, judge.Fail},
		"the last hit before it is back": {func(_ *testing.T, r *recording) { reset(r.at("post", 5990*ms)) }, judge.Fail},
		"a bad answer meanwhile":         {func(_ *testing.T, r *recording) { status503(r.at("post", 5*time.Second), "v1") }, judge.Fail},
		"a hit that fails when it is":    {func(_ *testing.T, r *recording) { reset(r.at("post", 6100*ms)) }, judge.Pass},
		"the control arm":                {func(_ *testing.T, r *recording) { reset(r.at("control", 5*time.Second)) }, judge.Pass},
		"the generator's own failure": {func(_ *testing.T, r *recording) {
			h := r.at("get", 5*time.Second)
			reset(h)
			h.Class = history.ClassHarness
		}, judge.Pass},
		"away for too short":             {func(t *testing.T, r *recording) { r.missedAfter(t, 3500*ms) }, judge.Inconclusive},
		"it did not land":                {func(_ *testing.T, r *recording) { r.forget(history.Landed); r.forget(history.Healed) }, judge.Inconclusive},
		"it was not healed":              {func(_ *testing.T, r *recording) { r.forget(history.Healed) }, judge.Inconclusive},
		"no such disturbance":            {func(_ *testing.T, r *recording) { r.forgetDisturbances() }, judge.Inconclusive},
		"nobody saw the node":            {func(_ *testing.T, r *recording) { r.forgetAbout("nodes", "n1", ms) }, judge.Inconclusive},
		"nothing was on it":              {func(_ *testing.T, r *recording) { r.forgetAbout("pods", "pod-a", 0) }, judge.Inconclusive},
		"what was on it was never Ready": {func(_ *testing.T, r *recording) { r.neverReady("pod-a") }, judge.Inconclusive},
		"another node is meant": {func(_ *testing.T, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Nodes = []string{"n2"} })
		}, judge.Inconclusive},
		"the node does not come back": {func(_ *testing.T, r *recording) { r.forgetAbout("nodes", "n1", 5*time.Second) }, judge.Fail},
		"its pod does not":            {func(_ *testing.T, r *recording) { r.forgetAbout("pods", "pod-a", 6*time.Second) }, judge.Fail},
		"another pod is in its place": {func(_ *testing.T, r *recording) {
			r.forgetAbout("pods", "pod-a", 6*time.Second)
			r.newPod(5*time.Second, "pod-e", "rs-h1", "n2", "v1")
		}, judge.Pass},
		"the node is Ready again, before": {func(_ *testing.T, r *recording) {
			r.node(1900*ms, "n1", resource.Node{})
			r.node(1950*ms, "n1", resource.Node{Ready: true})
		}, judge.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			r := cleanRun()
			lostNode(t, r)
			c.spoil(t, r)
			assertVerdict(t, r.judged(t, mechanics.SlugNodeLoss), mechanics.SlugNodeLoss, c.want)
		})
	}
}

// neverReady has a pod not Ready all the time.
func (r *recording) neverReady(name string) {
	for i := range r.events {
		if c := r.events[i].Change; c != nil && c.Name == name && c.Pod != nil {
			copied, state := *c, *c.Pod
			state.Ready = false
			copied.Pod = &state
			r.events[i].Change = &copied
		}
	}
}

// What a fault costs that nobody plans is excepted in the time that is declared for it, and only what it can cost.
func TestLostToAFaultThatNobodyPlans(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, r *recording)
		want  judge.Verdict
	}{
		"none":                        {func(*testing.T, *recording) {}, judge.Pass},
		"a deadline":                  {func(_ *testing.T, r *recording) { late(r.at("get", 2100*ms)) }, judge.Pass},
		"without a backend":           {func(_ *testing.T, r *recording) { gateway(r.at("get", 3400*ms)) }, judge.Pass},
		"torn":                        {func(_ *testing.T, r *recording) { tear(r.at("get", 2100*ms)) }, judge.Pass},
		"under way when it began":     {func(_ *testing.T, r *recording) { late(r.at("get", 1500*ms)) }, judge.Pass},
		"over before":                 {func(_ *testing.T, r *recording) { reset(r.at("get", 1900*ms)) }, judge.Fail},
		"too late":                    {func(_ *testing.T, r *recording) { reset(r.at("get", 3510*ms)) }, judge.Fail},
		"a wrong answer of the app":   {func(_ *testing.T, r *recording) { status503(r.at("get", 2100*ms), "v1") }, judge.Fail},
		"an answer past its deadline": {func(_ *testing.T, r *recording) { r.at("get", 2100*ms).Latency = testDeadline + ms }, judge.Fail},
		"a wrong answer of nobody's": {func(_ *testing.T, r *recording) {
			h := r.at("get", 2100*ms)
			gateway(h)
			h.Class = history.ClassAmbiguous
		}, judge.Fail},
		"nothing was declared": {func(t *testing.T, r *recording) { r.missedAfter(t, 0); late(r.at("get", 2100*ms)) }, judge.Fail},
		"it did not land":      {func(_ *testing.T, r *recording) { r.forget(history.Landed); late(r.at("get", 2100*ms)) }, judge.Fail},
		"of what is planned": {func(_ *testing.T, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Name = "drain" })
			late(r.at("get", 2100*ms))
		}, judge.Fail},
		"of a kill": {func(_ *testing.T, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Name = "killed" })
			late(r.at("get", 2100*ms))
		}, judge.Pass},
		"of a force delete": {func(_ *testing.T, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Name = "force-deleted" })
			late(r.at("get", 2100*ms))
		}, judge.Pass},
		"of a delete, which waits": {func(_ *testing.T, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Name = "deleted" })
			late(r.at("get", 2100*ms))
		}, judge.Fail},
		"on the harness's own account": {func(_ *testing.T, r *recording) { h := r.at("get", 2100*ms); reset(h); h.Class = history.ClassHarness }, judge.Inconclusive},
		"everything, all the time": {func(t *testing.T, r *recording) {
			r.missedAfter(t, testLength)
			r.disturbances(func(d *history.Disturbance) {})
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil && d.Phase == history.Began {
					r.events[i].At = ms
				}
			}
			for _, arm := range []string{"get", "post", "post-close"} {
				for _, h := range r.between(arm, 0, testLength) {
					late(h)
				}
			}
		}, judge.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			r := cleanRun()
			lostNode(t, r)
			c.spoil(t, r)
			p := assertVerdict(t, r.judged(t, load.SlugDropped), load.SlugDropped, c.want)
			if c.want == judge.Pass && p.Dropped != 0 {
				t.Errorf("%d dropped", p.Dropped)
			}
		})
	}
}
