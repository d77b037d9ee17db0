package reports

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// What failed by plan is what the judge excepts: an answer of the release that is bad on purpose, while it is, and nobody else's.
func TestOnlyWhatTheJudgeExceptsIsInjected(t *testing.T) {
	api := history.Workload{Namespace: "shop", Kind: "Rollout", Name: "api"}
	web := history.Workload{Namespace: "shop", Kind: "Rollout", Name: "web"}
	arm := func(name string, w history.Workload) *timeline.Arm {
		window := history.Window{Arm: name, Index: 1, Deadline: time.Second}
		return &timeline.Arm{Name: name, Workload: w, Windows: []*timeline.Window{{Window: window}}}
	}
	bad := disturbedAt("regression", "", 10, 11, 20, 0, 0)
	bad.Workload, bad.Injects = api, "v2"
	var cluster timeline.Cluster // saw that one release only carries the version
	cluster.ReplicaSets = []*timeline.Track[resource.ReplicaSet]{{Namespace: "shop", Name: "api-1", Gone: timeline.Never, Seen: []timeline.Seen[resource.ReplicaSet]{
		{Object: resource.ReplicaSet{Version: "v2", Hash: "h2", Owner: &resource.Owner{Kind: "Rollout", Name: "api"}}}}}}
	shown := told(timeline.Timeline{Cluster: cluster, Arms: []*timeline.Arm{arm("get", api), arm("web", web)}, Disturbances: []*timeline.Disturbance{bad}})
	good := history.Hit{At: 15 * time.Second, Window: 1, Code: 500, Reason: history.ReasonStatus(500), Class: history.ClassApplication, Version: "v2"}
	for name, c := range map[string]struct {
		arm    string
		change func(*history.Hit)
		want   bool
	}{
		"the bad release":                      {"get", func(*history.Hit) {}, true},
		"the stable release":                   {"get", func(h *history.Hit) { h.Version = "v1" }, false},
		"the same version of another workload": {"web", func(*history.Hit) {}, false},
		"before it began":                      {"get", func(h *history.Hit) { h.At = 5 * time.Second }, false},
		"a deadline after it was healed":       {"get", func(h *history.Hit) { h.At = 20500 * time.Millisecond }, true},
		"later":                                {"get", func(h *history.Hit) { h.At = 22 * time.Second }, false},
		"torn":                                 {"get", func(h *history.Hit) { h.Code = 0 }, false},
	} {
		h := good
		c.change(&h)
		f := newFold(c.arm, disturbed{})
		f.injected = shown.injectedInto(shown.arm(c.arm))
		f.add(&h)
		if got := f.failures.kinds[0].Injected; got != c.want {
			t.Errorf("%s: injected %v, want %v", name, got, c.want)
		}
	}
}
