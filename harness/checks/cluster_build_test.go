package checks_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/resource"
)

const (
	ms = time.Millisecond
	// evictedByAPI is the reason of the condition DisruptionTarget of a pod that the eviction API removed.
	evictedByAPI = "EvictionByEvictionAPI"
)

// change records a change of an object as harness/observe does.
func (r *recording) change(at time.Duration, typ, resource, name string, pod *history.PodState, object any) {
	data, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	namespace := "bitvault"
	if resource == "nodes" {
		namespace = ""
	}
	r.events = append(r.events, history.Event{At: at + 4, Kind: history.KindChange,
		Change: &history.Change{Type: typ, Resource: resource, Namespace: namespace, Name: name, UID: "uid-" + name, Pod: pod, Object: data}})
}

// edit changes what was recorded of an object from a moment on.
func edit[T any](r *recording, resource, name string, from time.Duration, change func(*T)) {
	n := 0
	for i := range r.events {
		c := r.events[i].Change
		if c == nil || c.Resource != resource || c.Name != name || r.events[i].At < from {
			continue
		}
		n++
		var object T
		if err := json.Unmarshal(c.Object, &object); err != nil {
			panic(err)
		}
		change(&object)
		data, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		copied := *c
		copied.Object = data
		r.events[i].Change = &copied
	}
	if n == 0 {
		panic("nothing is recorded of " + resource + " " + name)
	}
}

// forgetAbout removes what was recorded of an object from a moment on.
func (r *recording) forgetAbout(resource, name string, from time.Duration) {
	before := len(r.events)
	r.events = slices.DeleteFunc(r.events, func(e history.Event) bool {
		return e.Change != nil && e.Change.Resource == resource && e.Change.Name == name && e.At >= from
	})
	if len(r.events) == before {
		panic("nothing is recorded of " + resource + " " + name)
	}
}

// gap records that changes of a resource went unseen, or, when none was lost, were recorded late.
func (r *recording) gap(resource string, from, to time.Duration, lost bool) {
	r.events = append(r.events, history.Event{At: to + 5, Kind: history.KindGap,
		Gap: &history.Gap{Resource: resource, From: from, To: to, Why: "the API server was away", Lost: lost}})
}

func (r *recording) blind(resource string, from, to time.Duration) { r.gap(resource, from, to, true) }

// podOf records a pod of the app; running in phase Running unless state says otherwise.
func (r *recording) podOf(at time.Duration, typ, name, rs, node string, state history.PodState, disruption string) {
	state.Node = node
	if state.Phase == "" {
		state.Phase = "Running"
	}
	r.change(at, typ, "pods", name, &state, resource.Pod{Labels: map[string]string{"app": "bitvaultd"},
		Owner: &resource.Owner{Kind: "ReplicaSet", Name: rs}, Disruption: disruption})
}

func (r *recording) replicaSet(at time.Duration, typ, version, hash string, desired int32, scaleDownAt string) {
	r.change(at, typ, "replicasets", "rs-"+hash, nil, resource.ReplicaSet{Owner: &resource.Owner{Kind: "Rollout", Name: "bitvaultd"},
		Hash: hash, Version: version, Desired: desired, Replicas: desired, Ready: desired, ScaleDownAt: scaleDownAt})
}

func (r *recording) node(at time.Duration, name string, o resource.Node) {
	typ := "modified"
	if at == 0 {
		typ = "added"
	}
	r.change(at, typ, "nodes", name, nil, o)
}

// rollout records a state of the Rollout bitvaultd; weight below 0 leaves the weights of the release before.
func (r *recording) rollout(at time.Duration, stable, current string, weight int32, change func(*resource.Rollout)) {
	replicas, generation := int32(2), int64(1)
	if current != "h1" {
		generation = 2
	}
	o := resource.Rollout{Generation: generation, ObservedGeneration: fmt.Sprint(generation), Replicas: &replicas, Phase: "Progressing",
		StableRS: stable, CurrentPodHash: current, Weights: &resource.Weights{
			Canary: resource.Weight{Weight: max(weight, 0), PodTemplateHash: current, ServiceName: "canary"},
			Stable: resource.Weight{Weight: 100 - max(weight, 0), PodTemplateHash: stable, ServiceName: "stable"},
		}}
	if weight < 0 {
		o.Weights.Canary.PodTemplateHash = stable
	}
	if change != nil {
		change(&o)
	}
	typ := "modified"
	if at == 0 {
		typ = "added"
	}
	r.change(at, typ, "rollouts", "bitvaultd", nil, o)
}

func (r *recording) router(at time.Duration, canary, stable int32) {
	typ := "modified"
	if at == 0 {
		typ = "added"
	}
	r.change(at, typ, "traefikservices", "split", nil, resource.TraefikService{Services: []resource.WeightedService{
		{Name: "stable", Weight: &stable}, {Name: "canary", Weight: &canary}}})
}

// analysis records an analysis of the release h2 from its beginning to its end.
func (r *recording) analysis(name, step string, began, ended time.Duration, phase string, metrics ...resource.MetricResult) {
	o := resource.AnalysisRun{Owner: &resource.Owner{Kind: "Rollout", Name: "bitvaultd"}, Hash: "h2", Step: step}
	r.change(began, "added", "analysisruns", name, nil, o)
	o.Phase = "Running"
	r.change(began+10*ms, "modified", "analysisruns", name, nil, o)
	o.Phase, o.Metrics = phase, metrics
	for _, m := range metrics {
		if m.Phase != "Successful" {
			o.Message = fmt.Sprintf(`Metric "%s" assessed %s due to failed (1) > failureLimit (0)`, m.Name, m.Phase)
		}
	}
	r.change(ended, "modified", "analysisruns", name, nil, o)
}

func measuredAs(name, phase string, values ...string) resource.MetricResult {
	m := resource.MetricResult{Name: name, Phase: phase}
	for i, v := range values {
		of := "Successful"
		if i == len(values)-1 {
			of = phase
		}
		m.Measurements = append(m.Measurements, resource.Measurement{Phase: of, Value: v})
		switch of {
		case "Error":
			m.Error++
			continue
		case "Failed":
			m.Failed++
		case "Inconclusive":
			m.Inconclusive++
		}
		m.Count++
	}
	return m
}

func healthyMetrics() []resource.MetricResult {
	return []resource.MetricResult{measuredAs("errors", "Successful", "[0]", "[0]"), measuredAs("latency", "Successful", "[0.02]", "[0.02]"),
		measuredAs("cpu", "Successful", "[0.1]", "[0.1]")}
}

// metricsWith are healthy ones but for the one given.
func metricsWith(m resource.MetricResult) []resource.MetricResult {
	all := healthyMetrics()
	for i := range all {
		if all[i].Name == m.Name {
			all[i] = m
		}
	}
	return all
}

func isHealthy(o *resource.Rollout) { o.Phase = "Healthy" }

// stackAt0 is the cluster as the first lists show it: two nodes and two pods of version v1.
func (r *recording) stackAt0(t testing.TB) {
	r.events = nil
	r.budgets(t, func(b *checks.Budgets) {
		b.Settle, b.Propagation, b.Watch = 500*ms, 500*ms, 100*ms
		b.Notice, b.Abort, b.Drain, b.Ending = 3*time.Second, 5*time.Second, 3*time.Second, time.Second
	})
	r.node(0, "n1", resource.Node{Ready: true})
	r.node(0, "n2", resource.Node{Ready: true})
	r.replicaSet(0, "added", "v1", "h1", 2, "")
	r.podOf(0, "added", "pod-a", "rs-h1", "n1", history.PodState{Ready: true, Version: "v1"}, "")
	r.podOf(0, "added", "pod-b", "rs-h1", "n2", history.PodState{Ready: true, Version: "v1"}, "")
	r.rollout(0, "h1", "h1", 0, isHealthy)
	r.router(0, 0, 100)
}

// newPod lets a pod come up in a quarter of a second.
func (r *recording) newPod(at time.Duration, name, rs, node, version string) {
	r.podOf(at, "added", name, rs, node, history.PodState{Phase: "Pending", Version: version}, "")
	r.podOf(at+250*ms, "modified", name, rs, node, history.PodState{Ready: true, Version: version}, "")
}

// endPod lets a pod go in half a second.
func (r *recording) endPod(at time.Duration, name, rs, node, disruption string) {
	r.podOf(at, "modified", name, rs, node, history.PodState{Ready: true, Terminating: true}, disruption)
	// A process that ends well leaves its pod Succeeded, as a pod that was done before would be.
	r.podOf(at+500*ms, "deleted", name, rs, node, history.PodState{Terminating: true, Phase: "Succeeded"}, disruption)
}

// goodCanary is a release from v1 to v2 that goes the whole way.
func goodCanary(t testing.TB, r *recording) {
	r.stackAt0(t)
	r.disturbance("d1", "release", "", 1900*ms, 2300*ms, 7*time.Second)
	r.replicaSet(1950*ms, "added", "v2", "h2", 1, "")
	r.rollout(2*time.Second, "h1", "h2", -1, nil)
	r.newPod(2*time.Second, "pod-c", "rs-h2", "n1", "v2")
	r.weightTo(2300*ms, 10)
	r.analysis("first", "1", 2400*ms, 3400*ms, "Successful", healthyMetrics()...)
	r.weightTo(3500*ms, 30)
	r.analysis("second", "3", 3600*ms, 5200*ms, "Successful", healthyMetrics()...)
	r.newPod(5300*ms, "pod-d", "rs-h2", "n2", "v2")
	r.weightTo(5600*ms, 100)
	r.rollout(5800*ms, "h2", "h2", 0, nil)
	r.step(5800*ms, "promoted", 100)
	r.rollout(6*time.Second, "h2", "h2", 0, isHealthy)
	r.replicaSet(6*time.Second, "modified", "v1", "h1", 2, "2026-11-23T10:00:00Z")
	r.endPod(6500*ms, "pod-a", "rs-h1", "n1", "")
	r.endPod(6510*ms, "pod-b", "rs-h1", "n2", "")
	r.serve(10, 2300*ms, 3500*ms)
	r.serve(30, 3500*ms, 5600*ms)
	r.serve(100, 5600*ms, testLength)
}

// weightTo gives the release h2 a share: the Rollout, the router and the step fold tell of it.
func (r *recording) weightTo(at time.Duration, weight int32) {
	r.rollout(at, "h1", "h2", weight, nil)
	r.router(at, weight, 100-weight)
	if weight < 100 {
		r.step(at, fmt.Sprintf("canary-%d", weight), float64(weight))
	}
}

// abortAt gives the release h2 up for a metric, and heals the Rollout at 8 s.
func (r *recording) abortAt(at time.Duration, weight int32, metric string) {
	aborted := func(o *resource.Rollout) {
		o.Abort, o.AbortedAt = true, "2026-11-23T09:59:00Z"
		o.Message = fmt.Sprintf(`RolloutAborted: Rollout aborted update to revision 2: Step-based analysis phase error/failed: Metric "%s" assessed Failed due to failed (1) > failureLimit (0)`, metric)
	}
	r.rollout(at, "h1", "h2", weight, aborted)
	r.rollout(at+100*ms, "h1", "h2", 0, func(o *resource.Rollout) { aborted(o); o.Phase = "Degraded" })
	r.router(at+100*ms, 0, 100)
	r.step(at+100*ms, "aborted", 0)
	r.replicaSet(at+200*ms, "modified", "v2", "h2", 1, "2026-11-23T10:00:00Z")
	r.rollout(8*time.Second, "h1", "h1", 0, isHealthy)
	r.endPod(8*time.Second, "pod-c", "rs-h2", "n1", "")
}

// badCanary is a release of v2, bad in the way that breaks a metric, that is aborted in its first analysis.
func badCanary(t testing.TB, r *recording, metric, value string) {
	r.stackAt0(t)
	r.disturbance("d1", "regression", "v2", 1900*ms, 2600*ms, 8100*ms)
	r.replicaSet(1950*ms, "added", "v2", "h2", 1, "")
	r.rollout(2*time.Second, "h1", "h2", -1, nil)
	r.newPod(2*time.Second, "pod-c", "rs-h2", "n1", "v2")
	r.weightTo(2300*ms, 10)
	r.analysis("first", "1", 2400*ms, 3900*ms, "Failed", metricsWith(measuredAs(metric, "Failed", "[0]", value))...)
	r.abortAt(4*time.Second, 10, metric)
	r.serve(10, 2300*ms, 4100*ms)
	switch metric {
	case "errors":
		r.injure(5)
	case "latency":
		r.injects(history.Fault{Slow: true})
		for _, arm := range []string{"get", "post", "post-close"} {
			for _, h := range r.between(arm, 0, testLength) {
				if h.Version == "v2" {
					h.Latency = 700 * ms
				}
			}
		}
	}
}

// lateCanary is a release of v2 that passes its first analysis and fails from 4 s on, which the second one sees.
func lateCanary(t testing.TB, r *recording) {
	r.stackAt0(t)
	r.disturbance("d1", "regression", "v2", 1900*ms, 4200*ms, 8100*ms)
	r.replicaSet(1950*ms, "added", "v2", "h2", 1, "")
	r.rollout(2*time.Second, "h1", "h2", -1, nil)
	r.newPod(2*time.Second, "pod-c", "rs-h2", "n1", "v2")
	r.weightTo(2300*ms, 10)
	r.analysis("first", "1", 2400*ms, 3400*ms, "Successful", healthyMetrics()...)
	r.weightTo(3500*ms, 30)
	r.analysis("second", "3", 3600*ms, 4900*ms, "Failed", metricsWith(measuredAs("errors", "Failed", "[0]", "[0.2]"))...)
	r.abortAt(5*time.Second, 30, "errors")
	r.serve(10, 2300*ms, 3500*ms)
	r.serve(30, 3500*ms, 5100*ms)
	for _, h := range r.between("get", 4*time.Second, 5*time.Second) {
		if h.Version == "v2" {
			status503(h, "v2")
		}
	}
}

// blindCanary is a good release while Prometheus is away: its analysis ends in errors, and it is held back.
func blindCanary(t testing.TB, r *recording) {
	r.stackAt0(t)
	r.disturbance("d1", "prometheus-down", "", 1500*ms, 1600*ms, 7900*ms)
	r.disturbance("d2", "release", "", 1900*ms, 2300*ms, 8100*ms)
	r.replicaSet(1950*ms, "added", "v2", "h2", 1, "")
	r.rollout(2*time.Second, "h1", "h2", -1, nil)
	r.newPod(2*time.Second, "pod-c", "rs-h2", "n1", "v2")
	r.weightTo(2300*ms, 10)
	r.analysis("first", "1", 2400*ms, 3900*ms, "Error", resource.MetricResult{Name: "errors", Phase: "Error", Error: 1,
		Measurements: []resource.Measurement{{Phase: "Error", Message: "connection refused"}}})
	r.abortAt(4*time.Second, 10, "errors")
	r.serve(10, 2300*ms, 4100*ms)
}

func (r *recording) budget(at time.Duration, healthy, allowed int32) {
	typ := "modified"
	if at == 0 {
		typ = "added"
	}
	r.change(at, typ, "poddisruptionbudgets", "guard", nil, resource.PDB{Generation: 1, ObservedGeneration: 1, MinAvailable: "2",
		DesiredHealthy: 2, CurrentHealthy: healthy, DisruptionsAllowed: allowed, ExpectedPods: 3, Selector: "app=bitvaultd"})
}

func (r *recording) evict(at time.Duration, pod string, code int) {
	e := history.Eviction{Disturbance: "d1", Namespace: "bitvault", Pod: pod, UID: "uid-" + pod, Node: "n1", Code: code, Latency: 5 * ms}
	if code == 429 {
		e.Cause, e.Message = "DisruptionBudget", "The disruption budget guard needs 2 healthy pods and has 2 currently"
	}
	r.events = append(r.events, history.Event{At: at + 6, Kind: history.KindEviction, Eviction: &e})
}

// drainedNode is a drain of n1, which has two of the three pods that a budget protects: the second one must wait for a new pod.
func drainedNode(t testing.TB, r *recording) {
	r.stackAt0(t)
	r.podOf(0, "added", "pod-e", "rs-h1", "n1", history.PodState{Ready: true, Version: "v1"}, "")
	r.budget(0, 3, 1)
	r.disturbance("d1", "drain", "", 3*time.Second, 5200*ms, 6*time.Second)
	r.node(3*time.Second, "n1", resource.Node{Ready: true, Unschedulable: true})
	r.budget(3100*ms, 2, 0)
	r.evict(3110*ms, "pod-a", 201)
	r.endPod(3105*ms, "pod-a", "rs-h1", "n1", evictedByAPI)
	r.evict(3120*ms, "pod-e", 429)
	r.newPod(3200*ms, "pod-f", "rs-h1", "n2", "v1")
	r.budget(3500*ms, 3, 1)
	r.evict(4120*ms, "pod-e", 201)
	r.endPod(4115*ms, "pod-e", "rs-h1", "n1", evictedByAPI)
	r.budget(4116*ms, 2, 0)
	r.newPod(4300*ms, "pod-g", "rs-h1", "n2", "v1")
	r.budget(4600*ms, 3, 1)
	r.node(5900*ms, "n1", resource.Node{Ready: true})
	for _, arm := range []string{"get", "post", "post-close"} { // pod-b answers from the first eviction on
		for _, h := range r.between(arm, 3*time.Second, testLength) {
			h.Pod = "pod-b"
		}
	}
}
