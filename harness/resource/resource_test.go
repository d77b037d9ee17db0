package resource

import (
	"encoding/json"
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
		{"a StatefulSet of an operator, in the middle of an update", "statefulsets", `
metadata: {generation: 4, ownerReferences: [{kind: RedisReplication, name: sessions, uid: u1, controller: true}]}
spec: {replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1, maxUnavailable: 2}}}
status: {observedGeneration: 3, replicas: 3, readyReplicas: 2, updatedReplicas: 1, currentRevision: r1, updateRevision: r2}
`, ``, `{"generation":4,"observedGeneration":3,"owner":{"kind":"RedisReplication","name":"sessions","uid":"u1"},"desired":3,"replicas":3,"ready":2,"updated":1,` +
			`"currentRevision":"r1","updateRevision":"r2","strategy":"RollingUpdate","partition":1,"maxUnavailable":2}`},
		{"a StatefulSet that says little", "statefulsets", `
spec: {updateStrategy: {type: OnDelete}}
`, ``, `{"generation":0,"desired":1,"replicas":0,"ready":0,"updated":0,"strategy":"OnDelete"}`},
		{"a Deployment in the middle of an update", "deployments", `
metadata: {generation: 4}
spec: {replicas: 2}
status: {observedGeneration: 4, replicas: 3, updatedReplicas: 1, availableReplicas: 2}
`, ``, `{"generation":4,"observedGeneration":4,"desired":2,"replicas":3,"updated":1,"available":2}`},
		{"a cluster of CloudNativePG that hands over", "clusters.postgresql.cnpg.io", `
metadata: {generation: 2}
spec: {instances: 3}
status: {instances: 3, readyInstances: 2, currentPrimary: db-1, targetPrimary: db-2, phase: Switchover in progress, phaseReason: Switching over to db-2}
`, ``, `{"generation":2,"instances":3,"ready":2,"currentPrimary":"db-1","targetPrimary":"db-2","phase":"Switchover in progress",` +
			`"phaseReason":"Switching over to db-2"}`},
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
			kind, known := Named(c.resource)
			if !known {
				t.Fatalf("there is no kind %s", c.resource)
			}
			pod, object, err := kind.Trim(&u)
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
			if err := kind.Readable(&history.Change{Pod: pod, Object: got}); err != nil {
				t.Errorf("what was kept cannot be read back: %v", err)
			}
			for _, damaged := range []json.RawMessage{nil, json.RawMessage(`[]`)} {
				if kind.Readable(&history.Change{Pod: pod, Object: damaged}) == nil {
					t.Errorf("%q was read as an object", damaged)
				}
			}
		})
	}
	for _, name := range Names(All()) {
		if !tested[name] {
			t.Errorf("nothing says what is kept of %s", name)
		}
	}
}

// A kind is known by a name that no other has, and is served under its plural.
func TestKindsAreNamedApart(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range All() {
		if seen[kind.Name] {
			t.Errorf("two kinds are called %s", kind.Name)
		}
		seen[kind.Name] = true
		if named, known := Named(kind.Name); !known || named.GVR() != kind.GVR() {
			t.Errorf("%s is found as %v", kind.Name, named.GVR())
		}
	}
	if got := PostgresClusters.GVR().String(); got != "postgresql.cnpg.io/v1, Resource=clusters" {
		t.Errorf("the clusters are served as %s", got)
	}
	if _, known := Named("clusters"); known {
		t.Error("a bare plural names a kind that other operators have too")
	}
}

// What is read back is what was kept.
func TestReadsWhatItKept(t *testing.T) {
	want := StatefulSet{Generation: 1, Desired: 3, UpdateRevision: "r2"}
	object, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := StatefulSets.Read(&history.Change{Object: object}); err != nil || got != want {
		t.Errorf("read %+v, %v, want %+v", got, err, want)
	}
	if err := Pods.Readable(&history.Change{Object: json.RawMessage(`{}`)}); err == nil {
		t.Error("a pod without its state was taken for one")
	}
}
