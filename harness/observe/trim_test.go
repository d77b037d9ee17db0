package observe

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"bitvault.dev/rollproof/harness/history"
)

// TestWhatIsKeptOfAnObject is the list of what the record keeps, by resource.
func TestWhatIsKeptOfAnObject(t *testing.T) {
	cases := []struct{ name, resource, object, pod, want string }{
		{"a pod evicted", "pods", `
metadata: {name: a, deletionTimestamp: "2026-11-23T09:00:00Z", labels: {app.kubernetes.io/version: v2},
  ownerReferences: [{kind: ReplicaSet, name: rs, uid: u1, controller: true}]}
spec: {nodeName: n1, containers: [{name: app}]}
status:
  phase: Running
  podIP: 10.0.0.7
  conditions: [{type: Ready, status: "True"}, {type: DisruptionTarget, status: "True", reason: EvictionByEvictionAPI}]
  containerStatuses:
  - {name: app, imageID: r/app@sha256:1, containerID: containerd://9, restartCount: 2, ready: true,
     lastState: {terminated: {reason: OOMKilled, exitCode: 137}}}
`, `{"version":"v2","node":"n1","ip":"10.0.0.7","phase":"Running","ready":true,"terminating":true}`,
			`{"labels":{"app.kubernetes.io/version":"v2"},"owner":{"kind":"ReplicaSet","name":"rs","uid":"u1"},` +
				`"containers":[{"name":"app","imageID":"r/app@sha256:1","containerID":"containerd://9","restarts":2,"ready":true,"terminated":"OOMKilled","exitCode":137}],` +
				`"disruption":"EvictionByEvictionAPI"}`},
		{"a pod that ended and told of its SIGTERM", "pods", `
metadata: {deletionTimestamp: "2026-11-23T09:00:00Z"}
status: {phase: Running, containerStatuses: [{name: app, state: {terminated: {reason: Completed,
  message: "goodbye\nrollproof.dev/sigterm=2026-11-23T09:00:06.25Z\n"}}}, {name: silent, state: {terminated: {reason: Completed}}}]}
`, `{"phase":"Running","ready":false,"terminating":true,"signalledAt":"2026-11-23T09:00:06.25Z"}`,
			`{"containers":[{"name":"app","terminated":"Completed"},{"name":"silent","terminated":"Completed"}]}`},
		{"a pod whose word of its SIGTERM is no time", "pods", `
metadata: {deletionTimestamp: "2026-11-23T09:00:00Z"}
status: {containerStatuses: [{name: app, state: {terminated: {reason: Completed, message: "rollproof.dev/sigterm=soon"}}}]}
`, `{"ready":false,"terminating":true}`, `{"containers":[{"name":"app","terminated":"Completed"}]}`},
		{"a container that was started anew told of an earlier SIGTERM", "pods", `
status: {containerStatuses: [{name: app, lastState: {terminated: {reason: Error, message: "rollproof.dev/sigterm=2026-11-23T09:00:06Z"}}}]}
`, `{"ready":false}`, `{"containers":[{"name":"app","terminated":"Error"}]}`},
		{"a pod that waits, its version an argument", "pods", `
spec: {containers: [{name: app, args: [-entries=5, -version=v3]}]}
status: {phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: CrashLoopBackOff}}}]}
`, `{"version":"v3","phase":"Pending","ready":false}`, `{"containers":[{"name":"app","waiting":"CrashLoopBackOff"}]}`},
		{"a pod whose version is an annotation", "pods", `
metadata: {annotations: {app.kubernetes.io/version: v4}}`, `{"version":"v4","ready":false}`, `{}`},
		{"a pod whose version is the next argument", "pods", `
spec: {containers: [{name: app, args: [version, --version, v5]}]}`, `{"version":"v5","ready":false}`, `{}`},
		{"endpoints", "endpointslices", `
metadata: {labels: {kubernetes.io/service-name: vault}}
endpoints:
- {addresses: [10.0.0.7], targetRef: {kind: Pod, name: a}, conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.8]}
`, ``, `{"service":"vault","endpoints":[{"addresses":["10.0.0.7"],"pod":"a","ready":false,"serving":true,"terminating":true},` +
			`{"addresses":["10.0.0.8"],"ready":true,"serving":true}]}`},
		{"a ReplicaSet of a Rollout", "replicasets", `
metadata: {labels: {rollouts-pod-template-hash: h1}, annotations: {scale-down-deadline: "2026-11-23T09:00:30Z"},
  ownerReferences: [{kind: Rollout, name: vault, uid: u1, controller: true}]}
spec: {replicas: 4, template: {metadata: {labels: {app.kubernetes.io/version: v1}}}}
status: {replicas: 3, readyReplicas: 2}
`, ``, `{"owner":{"kind":"Rollout","name":"vault","uid":"u1"},"hash":"h1","version":"v1","desired":4,"replicas":3,"ready":2,"scaleDownAt":"2026-11-23T09:00:30Z"}`},
		{"a budget", "poddisruptionbudgets", `
metadata: {generation: 2}
spec: {minAvailable: 50%}
status: {observedGeneration: 1, desiredHealthy: 2, currentHealthy: 3, disruptionsAllowed: 1, expectedPods: 4}
`, ``, `{"generation":2,"observedGeneration":1,"minAvailable":"50%","desiredHealthy":2,"currentHealthy":3,"disruptionsAllowed":1,"expectedPods":4}`},
		{"a node", "nodes", `
spec: {unschedulable: true}
status: {nodeInfo: {kubeletVersion: v1.36.3}, conditions: [{type: MemoryPressure, status: "False"}, {type: Ready, status: "True"}]}
`, ``, `{"ready":true,"unschedulable":true,"kubeletVersion":"v1.36.3"}`},
		{"an event", "events", `
type: Warning
reason: Unhealthy
message: Readiness probe failed
series: {count: 3}
reportingComponent: kubelet
involvedObject: {kind: Pod, name: a, uid: u1}
`, ``, `{"type":"Warning","reason":"Unhealthy","message":"Readiness probe failed","count":3,"source":"kubelet","involved":{"kind":"Pod","name":"a","uid":"u1"}}`},
		{"an aborted Rollout", "rollouts", `
metadata: {generation: 5}
spec: {replicas: 4, strategy: {canary: {steps: []}}}
status:
  observedGeneration: "5"
  phase: Degraded
  message: "RolloutAborted: metric error-ratio"
  abort: true
  abortedAt: "2026-11-23T09:00:00Z"
  currentStepIndex: 0
  currentPodHash: h2
  stableRS: h1
  readyReplicas: 4
  availableReplicas: 4
  canary: {weights: {canary: {weight: 0, podTemplateHash: h2, serviceName: c}, stable: {weight: 100, podTemplateHash: h1}}}
  conditions: [{type: Progressing, status: "False", reason: RolloutAborted, message: m, lastUpdateTime: x}]
`, ``, `{"generation":5,"observedGeneration":"5","replicas":4,"phase":"Degraded","message":"RolloutAborted: metric error-ratio","abort":true,` +
			`"abortedAt":"2026-11-23T09:00:00Z","currentStepIndex":0,"currentPodHash":"h2","stableRS":"h1","readyReplicas":4,"availableReplicas":4,` +
			`"weights":{"canary":{"weight":0,"podTemplateHash":"h2","serviceName":"c"},"stable":{"weight":100,"podTemplateHash":"h1"}},` +
			`"conditions":[{"type":"Progressing","status":"False","reason":"RolloutAborted","message":"m"}]}`},
		{"a failed AnalysisRun", "analysisruns", `
metadata: {labels: {rollouts-pod-template-hash: h2, step-index: "1"}, ownerReferences: [{kind: Rollout, name: vault, uid: u1, controller: true}]}
spec: {args: [{name: hash, value: h2}, {name: token, valueFrom: {secretKeyRef: {name: s, key: k}}}]}
status:
  phase: Failed
  message: "Metric error-ratio assessed Failed"
  metricResults:
  - name: error-ratio
    phase: Failed
    count: 2
    failed: 1
    metadata: {ResolvedPrometheusQuery: "sum(h2)"}
    measurements: [{phase: Successful, value: "[0]"}, {phase: Failed, value: "[0.2]", finishedAt: "2026-11-23T09:00:00Z"}]
`, ``, `{"owner":{"kind":"Rollout","name":"vault","uid":"u1"},"hash":"h2","step":"1","args":[{"name":"hash","value":"h2"},{"name":"token"}],` +
			`"phase":"Failed","message":"Metric error-ratio assessed Failed","metricResults":[{"name":"error-ratio","phase":"Failed","count":2,"failed":1,` +
			`"query":"sum(h2)","measurements":[{"phase":"Successful","value":"[0]"},{"phase":"Failed","value":"[0.2]","finishedAt":"2026-11-23T09:00:00Z"}]}]}`},
		{"a TraefikService", "traefikservices", `
spec: {weighted: {services: [{name: stable, port: 80, weight: 90}, {name: canary, weight: 10}, {name: bare}]}}
`, ``, `{"services":[{"name":"stable","weight":90},{"name":"canary","weight":10},{"name":"bare"}]}`},
	}
	tested := map[string]bool{}
	for _, c := range cases {
		tested[c.resource] = true
		t.Run(c.name, func(t *testing.T) {
			var u unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(c.object), &u.Object); err != nil {
				t.Fatal(err)
			}
			wire, err := json.Marshal(u.Object) // as the client decodes it: integers are int64
			if err != nil {
				t.Fatal(err)
			}
			if err := u.UnmarshalJSON(append([]byte(`{"apiVersion":"v1","kind":"Any",`), wire[1:]...)); err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(resources, func(r resource) bool { return r.name == c.resource })
			pod, object, err := resources[i].trim(&u)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(object)
			if err != nil || string(got) != c.want {
				t.Errorf("object, %v\n got %s\nwant %s", err, got, c.want)
			}
			if pod != nil {
				if got, err := json.Marshal(pod); err != nil || string(got) != c.pod {
					t.Errorf("pod, %v\n got %s\nwant %s", err, got, c.pod)
				}
			}
		})
	}
	for _, name := range Resources() {
		if !tested[name] {
			t.Errorf("nothing says what is kept of %s", name)
		}
	}
}

func TestSteps(t *testing.T) {
	weights := func(weight int32, hash string) *history.Weights {
		return &history.Weights{Canary: history.Weight{Weight: weight, PodTemplateHash: hash}}
	}
	said := func(stable string, w *history.Weights) history.RolloutObject {
		return history.RolloutObject{StableRS: stable, Weights: w}
	}
	aborted := func(o history.RolloutObject) history.RolloutObject { o.Abort = true; return o }
	healthy := said("h1", weights(0, "h1"))
	cases := []struct {
		name string
		says []history.RolloutObject
		want string
	}{
		{"promoted", []history.RolloutObject{healthy, said("h1", weights(0, "h2")), said("h1", weights(10, "h2")), said("h1", weights(10, "h2")),
			said("h1", weights(30, "h2")), said("h1", weights(100, "h2")), said("h2", weights(100, "h2")), said("h2", weights(0, "h2"))},
			"canary-10 v1>v2 10, canary-30 v1>v2 30, canary-100 v1>v2 100, promoted v1>v2 100"},
		{"aborted, the flag first", []history.RolloutObject{healthy, said("h1", weights(10, "h2")), aborted(said("h1", weights(10, "h2"))),
			aborted(said("h1", weights(0, "h2"))), aborted(said("h1", weights(0, "h2")))},
			"canary-10 v1>v2 10, aborted v1>v2 0"},
		{"aborted before any traffic", []history.RolloutObject{healthy, said("h1", weights(0, "h2")), aborted(said("h1", weights(0, "h2")))},
			"aborted v1>v2 0"},
		{"aborted, then another release", []history.RolloutObject{healthy, said("h1", weights(10, "h2")), aborted(said("h1", weights(0, "h2"))),
			said("h1", weights(0, "h2")), said("h1", weights(0, "h3")), said("h1", weights(10, "h3"))},
			"canary-10 v1>v2 10, aborted v1>v2 0, canary-10 v1>v3 10"},
		{"aborted, then tried again", []history.RolloutObject{healthy, said("h1", weights(10, "h2")), aborted(said("h1", weights(0, "h2"))),
			said("h1", weights(10, "h2")), aborted(said("h1", weights(0, "h2")))},
			"canary-10 v1>v2 10, aborted v1>v2 0, canary-10 v1>v2 10, aborted v1>v2 0"},
		{"the canary's pods are gone for a moment", []history.RolloutObject{healthy, said("h1", weights(10, "h2")), said("h1", weights(0, "h2")),
			said("h1", weights(10, "h2"))}, "canary-10 v1>v2 10, canary-0 v1>v2 0, canary-10 v1>v2 10"},
		{"taken back without an abort", []history.RolloutObject{healthy, said("h1", weights(10, "h2")), healthy, healthy, said("h1", weights(10, "h2"))},
			"canary-10 v1>v2 10, taken-back v1>v2 0, canary-10 v1>v2 10"},
		{"replaced without an abort", []history.RolloutObject{healthy, said("h1", weights(10, "h2")), said("h1", weights(0, "h3")), said("h1", weights(10, "h3"))},
			"canary-10 v1>v2 10, replaced v1>v2 0, canary-10 v1>v3 10"},
		{"taken back after an abort", []history.RolloutObject{healthy, said("h1", weights(10, "h2")), aborted(said("h1", weights(0, "h2"))), healthy},
			"canary-10 v1>v2 10, aborted v1>v2 0"},
		{"a release after a release", []history.RolloutObject{healthy, said("h1", weights(100, "h2")), said("h2", weights(100, "h2")),
			said("h2", weights(0, "h2")), said("h2", weights(10, "h3"))},
			"canary-100 v1>v2 100, promoted v1>v2 100, canary-10 v2>v3 10"},
		{"first seen in the middle", []history.RolloutObject{said("h1", weights(30, "h2"))}, "canary-30 v1>v2 30"},
		{"first seen long aborted", []history.RolloutObject{aborted(said("h1", weights(0, "h2"))), aborted(said("h1", weights(0, "h2")))}, ""},
		{"the very first release", []history.RolloutObject{said("", nil), said("h1", nil), healthy}, ""},
		{"without a router", []history.RolloutObject{said("h1", nil), said("h2", nil)}, "promoted v1>v2 100"},
	}
	for _, c := range cases {
		for _, when := range []string{"before", "after"} { // the ReplicaSets may be known before the Rollout speaks, or not
			t.Run(c.name+", versions known "+when, func(t *testing.T) {
				var got []string
				var events []history.Event
				s := newSteps(history.NewClock(), func(e history.Event) { events = append(events, e) })
				learn := func() {
					for hash, version := range map[string]string{"h1": "v1", "h2": "v2", "h3": "v3"} {
						s.replicaSet("shop", history.ReplicaSetObject{Owner: &history.Owner{Name: "vault"}, Hash: hash, Version: version})
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
	s.rollout("shop", "vault", history.RolloutObject{StableRS: "h1", Weights: &history.Weights{Canary: history.Weight{Weight: 10, PodTemplateHash: "h2"}}})
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
