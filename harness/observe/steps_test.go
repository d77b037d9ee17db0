package observe

import (
	"encoding/json"
	"strings"
	"testing"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

func TestSteps(t *testing.T) {
	weights := func(weight int32, hash string) *resource.Weights {
		return &resource.Weights{Canary: resource.Weight{Weight: weight, PodTemplateHash: hash}}
	}
	said := func(stable string, w *resource.Weights) resource.Rollout {
		return resource.Rollout{StableRS: stable, Weights: w}
	}
	aborted := func(o resource.Rollout) resource.Rollout { o.Abort = true; return o }
	healthy := said("h1", weights(0, "h1"))
	cases := []struct {
		name string
		says []resource.Rollout
		want string
	}{
		{"promoted", []resource.Rollout{healthy, said("h1", weights(0, "h2")), said("h1", weights(10, "h2")), said("h1", weights(10, "h2")),
			said("h1", weights(30, "h2")), said("h1", weights(100, "h2")), said("h2", weights(100, "h2")), said("h2", weights(0, "h2"))},
			"canary-10 v1>v2 10, canary-30 v1>v2 30, canary-100 v1>v2 100, promoted v1>v2 100"},
		{"aborted, the flag first", []resource.Rollout{healthy, said("h1", weights(10, "h2")), aborted(said("h1", weights(10, "h2"))),
			aborted(said("h1", weights(0, "h2"))), aborted(said("h1", weights(0, "h2")))},
			"canary-10 v1>v2 10, aborted v1>v2 0"},
		{"aborted before any traffic", []resource.Rollout{healthy, said("h1", weights(0, "h2")), aborted(said("h1", weights(0, "h2")))},
			"aborted v1>v2 0"},
		{"aborted, then another release", []resource.Rollout{healthy, said("h1", weights(10, "h2")), aborted(said("h1", weights(0, "h2"))),
			said("h1", weights(0, "h2")), said("h1", weights(0, "h3")), said("h1", weights(10, "h3"))},
			"canary-10 v1>v2 10, aborted v1>v2 0, canary-10 v1>v3 10"},
		{"aborted, then tried again", []resource.Rollout{healthy, said("h1", weights(10, "h2")), aborted(said("h1", weights(0, "h2"))),
			said("h1", weights(10, "h2")), aborted(said("h1", weights(0, "h2")))},
			"canary-10 v1>v2 10, aborted v1>v2 0, canary-10 v1>v2 10, aborted v1>v2 0"},
		{"the canary's pods are gone for a moment", []resource.Rollout{healthy, said("h1", weights(10, "h2")), said("h1", weights(0, "h2")),
			said("h1", weights(10, "h2"))}, "canary-10 v1>v2 10, canary-0 v1>v2 0, canary-10 v1>v2 10"},
		{"taken back without an abort", []resource.Rollout{healthy, said("h1", weights(10, "h2")), healthy, healthy, said("h1", weights(10, "h2"))},
			"canary-10 v1>v2 10, taken-back v1>v2 0, canary-10 v1>v2 10"},
		{"replaced without an abort", []resource.Rollout{healthy, said("h1", weights(10, "h2")), said("h1", weights(0, "h3")), said("h1", weights(10, "h3"))},
			"canary-10 v1>v2 10, replaced v1>v2 0, canary-10 v1>v3 10"},
		{"taken back after an abort", []resource.Rollout{healthy, said("h1", weights(10, "h2")), aborted(said("h1", weights(0, "h2"))), healthy},
			"canary-10 v1>v2 10, aborted v1>v2 0"},
		{"a release after a release", []resource.Rollout{healthy, said("h1", weights(100, "h2")), said("h2", weights(100, "h2")),
			said("h2", weights(0, "h2")), said("h2", weights(10, "h3"))},
			"canary-100 v1>v2 100, promoted v1>v2 100, canary-10 v2>v3 10"},
		{"first seen in the middle", []resource.Rollout{said("h1", weights(30, "h2"))}, "canary-30 v1>v2 30"},
		{"first seen long aborted", []resource.Rollout{aborted(said("h1", weights(0, "h2"))), aborted(said("h1", weights(0, "h2")))}, ""},
		{"the very first release", []resource.Rollout{said("", nil), said("h1", nil), healthy}, ""},
		{"without a router", []resource.Rollout{said("h1", nil), said("h2", nil)}, "promoted v1>v2 100"},
	}
	for _, c := range cases {
		for _, when := range []string{"before", "after"} { // the ReplicaSets may be known before the Rollout speaks, or not
			t.Run(c.name+", versions known "+when, func(t *testing.T) {
				var got []string
				var events []history.Event
				s := newSteps(history.NewClock(), func(e history.Event) { events = append(events, e) })
				learn := func() {
					for hash, version := range map[string]string{"h1": "v1", "h2": "v2", "h3": "v3"} {
						s.replicaSet("shop", resource.ReplicaSet{Owner: &resource.Owner{Name: "vault"}, Hash: hash, Version: version})
					}
				}
				if when == "before" {
					learn()
				}
				for _, o := range c.says {
					s.rollout("shop", "vault", o)
				}
				if when == "after" {
					if len(events) > 0 {
						t.Errorf("steps without versions: %+v", events)
					}
					learn()
				}
				s.finish()
				for _, e := range events {
					if e.Step == nil {
						t.Fatalf("recorded %+v", e.Note)
					}
					if e.Step.Workload.Kind != "Rollout" || e.Step.Workload.Namespace == "" || e.Step.Workload.Name == "" {
						t.Errorf("step %s is of workload %+v", e.Step.Name, e.Step.Workload)
					}
					got = append(got, e.Step.Name+" "+e.Step.Stable+">"+e.Step.Canary+" "+jsonOf(e.Step.Weight))
				}
				if joined := strings.Join(got, ", "); joined != c.want {
					t.Errorf("steps\n got %s\nwant %s", joined, c.want)
				}
			})
		}
	}
}

func TestAStepWithoutVersionsIsSaidAndNotRecorded(t *testing.T) {
	var events []history.Event
	s := newSteps(history.NewClock(), func(e history.Event) { events = append(events, e) })
	s.rollout("shop", "vault", resource.Rollout{StableRS: "h1", Weights: &resource.Weights{Canary: resource.Weight{Weight: 10, PodTemplateHash: "h2"}}})
	s.finish()
	if len(events) != 1 || events[0].Note == nil {
		t.Errorf("recorded %+v, want one note", events)
	}
}

func jsonOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
