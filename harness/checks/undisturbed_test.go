package checks_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
)

const argo = "rollouts-controller"

// firstAuthors are those of an object when it is first seen, by resource.
var firstAuthors = map[string][]history.Author{
	"nodes":                {{Manager: "kubelet", Operation: "Update"}, {Manager: "kubelet", Operation: "Update", Subresource: "status"}},
	"replicasets":          {{Manager: argo, Operation: "Update"}, {Manager: "kube-controller-manager", Operation: "Update", Subresource: "status"}},
	"rollouts":             {{Manager: "rollproof", Operation: "Update"}, {Manager: argo, Operation: "Update", Subresource: "status"}},
	"poddisruptionbudgets": {{Manager: "rollproof", Operation: "Apply"}},
	"traefikservices":      {{Manager: "rollproof", Operation: "Update"}},
	"statefulsets":         {{Manager: "rollproof", Operation: "Update"}},
	clusters:               {{Manager: "rollproof", Operation: "Update"}, {Manager: argo, Operation: "Update", Subresource: "status"}},
}

// specAuthor is who changes what an object asks for; all else is status.
var specAuthor = map[string]string{
	"nodes": history.DisturbanceManager, "rollouts": history.DisturbanceManager, "replicasets": argo, "traefikservices": argo,
	"statefulsets": history.DisturbanceManager, clusters: history.DisturbanceManager,
}

// signed tells of each change who wrote it, as a cluster does, and of each disturbance what it touched.
func signed(r *recording) {
	slices.SortStableFunc(r.events, func(a, b history.Event) int { return int(a.At - b.At) })
	asked := map[string]string{}
	var generation int64
	for i := range r.events {
		if c := r.events[i].Change; c != nil && firstAuthors[c.Resource] != nil {
			copied := *c
			if c.Resource == "traefikservices" {
				generation++
				var o resource.TraefikService
				unmarshal(c.Object, &o)
				o.Generation = generation
				copied.Object = marshal(o)
			}
			key, asks := c.Resource+"/"+c.Name, asksFor(&copied)
			was, seen := asked[key]
			copied.By = []history.Author{{Manager: argo, Operation: "Update", Subresource: "status"}}
			switch {
			case !seen:
				copied.By = firstAuthors[c.Resource]
			case was != asks:
				copied.By = []history.Author{{Manager: specAuthor[c.Resource], Operation: "Update"}}
			}
			asked[key], r.events[i].Change = asks, &copied
		}
		if d := r.events[i].Disturbance; d != nil && d.Phase != history.Began {
			switch d.Name {
			case "drain":
				d.Touched = []history.Touch{{Effect: history.Changes, Resource: "nodes", Name: "n1"}}
			case "release", "regression":
				d.Touched = []history.Touch{{Effect: history.Changes, Resource: "rollouts", Namespace: testApp.Namespace, Name: testApp.Name}}
			}
		}
	}
}

// asksFor is what an object asks for, as text.
func asksFor(c *history.Change) string {
	var o map[string]json.RawMessage
	unmarshal(c.Object, &o)
	return string(o["generation"]) + string(o["desired"]) + string(o["unschedulable"])
}

func unmarshal(data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		panic(err)
	}
}

func marshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// wrote lets somebody else write an object, the first time that it changes from a moment on.
func (r *recording) wrote(resource, name string, from time.Duration, by ...history.Author) {
	var first *history.Event
	for i := range r.events {
		e := &r.events[i]
		if c := e.Change; c != nil && c.Resource == resource && c.Name == name && e.At >= from && (first == nil || e.At < first.At) {
			first = e
		}
	}
	if first == nil {
		panic("nothing is recorded of " + resource + " " + name)
	}
	copied := *first.Change
	copied.By = by
	first.Change = &copied
}

// accountedRelease is a release that goes the whole way, of which all is told.
func accountedRelease(t testing.TB, r *recording) {
	goodCanary(t, r)
	r.replicaSet(5290*ms, "modified", "v2", "h2", 2, "")
	r.replicaSet(6400*ms, "modified", "v1", "h1", 0, "")
	signed(r)
}

// accountedAbort is a bad release that is given up, of which all is told.
func accountedAbort(t testing.TB, r *recording) {
	badCanary(t, r, "errors", "[0.2]")
	r.replicaSet(8*time.Second+1, "modified", "v2", "h2", 0, "")
	signed(r)
}

// accountedDrain is the drain of a node, of which all is told.
func accountedDrain(t testing.TB, r *recording) {
	drainedNode(t, r)
	edit(r, "replicasets", "rs-h1", 0, func(o *resource.ReplicaSet) { o.Desired = 3 })
	signed(r)
}

// accountedKill is a pod that a disturbance ends at 4 s, of which all is told.
func accountedKill(t testing.TB, r *recording) {
	r.stackAt0(t)
	r.disturbance("d1", "deleted", "", 3900*ms, 4600*ms, 5*time.Second)
	for i := range r.events {
		if d := r.events[i].Disturbance; d != nil && d.Phase != history.Began {
			d.Touched = []history.Touch{{Effect: history.Ends, Resource: "pods", Namespace: "bitvault", Name: "pod-a", UID: "uid-pod-a"}}
		}
	}
	r.endPod(4*time.Second, "pod-a", "rs-h1", "n1", "")
	r.newPod(4100*ms, "pod-e", "rs-h1", "n1", "v1")
	signed(r)
}

// restarted has a container of a pod start anew at a moment.
func (r *recording) restarted(at time.Duration, pod, rs string) {
	state := history.PodState{Ready: true, Phase: "Running", Node: "n2"}
	for n, moment := range []time.Duration{at - 10*ms, at} {
		r.change(moment, "modified", "pods", pod, &state, resource.Pod{Labels: map[string]string{"app": "bitvaultd"},
			Owner: &resource.Owner{Kind: "ReplicaSet", Name: rs}, Containers: []resource.ContainerState{{Name: "app", Restarts: int32(n), Terminated: "OOMKilled"}}})
	}
}

// touch has the disturbances that are told touch a pod.
func (r *recording) touch(effect history.Effect, pod string) {
	for i := range r.events {
		if d := r.events[i].Disturbance; d != nil && d.Phase != history.Began {
			d.Touched = append(d.Touched, history.Touch{Effect: effect, Resource: "pods", Namespace: "bitvault", Name: pod, UID: "uid-" + pod})
		}
	}
}

func (r *recording) event(at time.Duration, about, reason, message string) {
	r.change(at, "added", "events", "event", nil, resource.Event{Reason: reason, Message: message, Source: "kubelet",
		Involved: resource.Owner{Kind: "Pod", Name: about, UID: "uid-" + about}})
}

var byHand = history.Author{Manager: "kubectl-edit", Operation: "Update", At: time.Date(2026, 11, 26, 9, 0, 1, 0, time.UTC)}

// accounted judges spoilt records by this promise alone: what it says nothing of may break others.
func accounted(t *testing.T, base func(testing.TB, *recording), cases []verdictCase) {
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			r := cleanRun()
			base(t, r)
			c.spoil(r)
			p := assertVerdict(t, r.judged(t, load.SlugUndisturbed), load.SlugUndisturbed, c.want)
			if !strings.Contains(p.Reason, c.reason) || c.want == judge.Inconclusive && p.Found != 1 {
				t.Errorf("reason %q of %d findings, want one that tells %q", p.Reason, p.Found, c.reason)
			}
		})
	}
}

func TestUndisturbed(t *testing.T) {
	accounted(t, accountedRelease, []verdictCase{
		{name: "a release", want: judge.Pass, reason: "each was declared, or is a controller's own", spoil: func(*recording) {}},
		{name: "a pod deleted by hand", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended, which nobody declared", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-b", ms)
			r.endPod(time.Second, "pod-b", "rs-h1", "n2", "")
		}},
		{name: "a pod that is gone at once", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-b", ms)
			r.podOf(time.Second, "deleted", "pod-b", "rs-h1", "n2", history.PodState{Terminating: true}, "")
		}},
		{name: "a pod that its node evicted", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-b", ms)
			r.podOf(time.Second, "modified", "pod-b", "rs-h1", "n2", history.PodState{Phase: "Failed"}, "TerminationByKubelet")
		}},
		{name: "one pod more than its ReplicaSet gave up", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			edit(r, "replicasets", "rs-h1", 6300*ms, func(o *resource.ReplicaSet) { o.Desired = 1 })
		}},
		{name: "its ReplicaSet gives it up two seconds later", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-b", ms)
			r.forgetAbout("replicasets", "rs-h1", 6300*ms)
			r.replicaSet(8600*ms, "modified", "v1", "h1", 0, "")
			r.wrote("replicasets", "rs-h1", 8600*ms, history.Author{Manager: argo})
		}},
		{name: "a watch that tells late of its ReplicaSet", want: judge.Pass, spoil: func(r *recording) {
			r.forgetAbout("replicasets", "rs-h1", 6300*ms)
			r.replicaSet(6550*ms, "modified", "v1", "h1", 0, "")
			r.wrote("replicasets", "rs-h1", 6300*ms, history.Author{Manager: argo})
		}},
		{name: "a ReplicaSet that asks for more again before its pods are seen to end", want: judge.Pass, spoil: func(r *recording) {
			r.replicaSet(6420*ms, "modified", "v1", "h1", 2, "")
			r.wrote("replicasets", "rs-h1", 6410*ms, history.Author{Manager: argo})
		}},
		{name: "a watch that was late for longer, and says so", want: judge.Pass, spoil: func(r *recording) {
			r.gap("replicasets", 6450*ms, 6800*ms, false)
			r.forgetAbout("replicasets", "rs-h1", 6300*ms)
			r.replicaSet(6800*ms, "modified", "v1", "h1", 0, "")
			r.wrote("replicasets", "rs-h1", 6300*ms, history.Author{Manager: argo})
		}},
		{name: "a watch that lost something", want: judge.Inconclusive, reason: "changes of nodes from 1 s to 2 s may be missing", spoil: func(r *recording) {
			r.gap("nodes", time.Second, 2*time.Second, true)
		}},
		{name: "nobody watches ReplicaSets", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-b", ms)
			r.forgetAbout("replicasets", "rs-h1", 0)
		}},
		{name: "a pod that was ending when it was first seen", want: judge.Pass, spoil: func(r *recording) {
			r.podOf(0, "added", "pod-z", "rs-gone", "n2", history.PodState{Terminating: true}, "")
			r.podOf(300*ms, "deleted", "pod-z", "rs-gone", "n2", history.PodState{Terminating: true}, "")
		}},
		{name: "a pod that has done its work", want: judge.Pass, spoil: func(r *recording) {
			r.podOf(0, "added", "pod-z", "", "n2", history.PodState{}, "")
			r.podOf(200*ms, "modified", "pod-z", "", "n2", history.PodState{Phase: "Succeeded"}, "")
			r.podOf(300*ms, "deleted", "pod-z", "", "n2", history.PodState{Phase: "Succeeded"}, "")
		}},
		{name: "a pod deleted when the load was over", want: judge.Pass, spoil: func(r *recording) {
			r.endPod(testLength+time.Second, "pod-c", "rs-h2", "n1", "")
		}},
		{name: "a container that started anew", want: judge.Inconclusive, reason: "container app of pod bitvault/pod-b started anew, 1 time", spoil: func(r *recording) {
			r.restarted(time.Second, "pod-b", "rs-h1")
		}},
		{name: "a crash of a release that nobody called bad", want: judge.Inconclusive, reason: "pod bitvault/pod-c started anew", spoil: func(r *recording) {
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil {
					d.Hash = "h2"
				}
			}
			r.restarted(4*time.Second, "pod-c", "rs-h2")
		}},
		{name: "a Rollout edited by hand", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed, which nobody declared", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3*time.Second, func(o *resource.Rollout) { o.Generation++ })
			r.wrote("rollouts", "bitvaultd", 3*time.Second, byHand)
		}},
		{name: "a Rollout written by somebody else with us", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			r.wrote("rollouts", "bitvaultd", ms, byHand, history.Author{Manager: history.DisturbanceManager})
		}},
		{name: "a Rollout whose writer nobody knows", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			r.wrote("rollouts", "bitvaultd", ms)
		}},
		{name: "a Rollout that its controller writes", want: judge.Pass, spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3*time.Second, func(o *resource.Rollout) { o.Generation++ })
			r.wrote("rollouts", "bitvaultd", 3*time.Second, history.Author{Manager: argo}, history.Author{Manager: argo, Subresource: "status"})
		}},
		{name: "a Rollout that the autoscaler scales", want: judge.Pass, spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3*time.Second, func(o *resource.Rollout) { o.Generation++ })
			r.wrote("rollouts", "bitvaultd", 3*time.Second, history.Author{Manager: "kube-controller-manager", Subresource: "scale"})
		}},
		{name: "a Rollout that the autoscaler and somebody else write", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3*time.Second, func(o *resource.Rollout) { o.Generation++ })
			r.wrote("rollouts", "bitvaultd", 3*time.Second, byHand, history.Author{Manager: "kube-controller-manager", Subresource: "scale"})
		}},
		{name: "a Rollout that the autoscaler's process writes otherwise", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3*time.Second, func(o *resource.Rollout) { o.Generation++ })
			r.wrote("rollouts", "bitvaultd", 3*time.Second, history.Author{Manager: "kube-controller-manager"})
		}},
		{name: "a Rollout that a scale of its controller's name writes", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3*time.Second, func(o *resource.Rollout) { o.Generation++ })
			r.wrote("rollouts", "bitvaultd", 3*time.Second, history.Author{Manager: argo, Subresource: "scale"})
		}},
		{name: "a Rollout scaled by hand", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3*time.Second, func(o *resource.Rollout) { o.Generation++ })
			r.wrote("rollouts", "bitvaultd", 3*time.Second, history.Author{Manager: "kubectl", Subresource: "scale"})
		}},
		{name: "a Rollout changed by ours that was not declared", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil {
					d.Touched = nil
				}
			}
		}},
		{name: "an order of ours of an earlier run makes us no controller", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			r.wrote("rollouts", "bitvaultd", 0, history.Author{Manager: argo, Subresource: "status"}, history.Author{Manager: history.DisturbanceManager, Subresource: "status"})
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil {
					d.Touched = nil
				}
			}
		}},
		{name: "a Rollout changed by ours before it began", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 0, func(o *resource.Rollout) { o.Generation++ })
			r.rollout(time.Second, "h1", "h1", 0, isHealthy)
			r.wrote("rollouts", "bitvaultd", time.Second, history.Author{Manager: history.DisturbanceManager})
		}},
		{name: "a Rollout promoted by hand", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was given an order", spoil: func(r *recording) {
			r.wrote("rollouts", "bitvaultd", 3*time.Second, history.Author{Manager: "kubectl-argo-rollouts", Subresource: "status"})
		}},
		{name: "a Rollout promoted by us", want: judge.Pass, spoil: func(r *recording) {
			r.wrote("rollouts", "bitvaultd", 3*time.Second, history.Author{Manager: history.DisturbanceManager, Subresource: "status"})
		}},
		{name: "a Rollout that is gone", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was deleted", spoil: func(r *recording) {
			r.forgetAbout("rollouts", "bitvaultd", 5900*ms)
			r.rollout(7*time.Second, "h2", "h2", 0, isHealthy)
			r.events[len(r.events)-1].Change.Type = "deleted"
		}},
		{name: "weights set by hand", want: judge.Inconclusive, reason: "traefikservice bitvault/split was changed", spoil: func(r *recording) {
			r.wrote("traefikservices", "split", 3*time.Second, byHand)
		}},
		{name: "a budget edited by hand", want: judge.Inconclusive, reason: "poddisruptionbudget bitvault/guard was changed", spoil: func(r *recording) {
			r.budget(0, 3, 1)
			r.budget(time.Second, 3, 1)
			edit(r, "poddisruptionbudgets", "guard", time.Second, func(o *resource.PDB) { o.Generation++ })
		}},
		{name: "a ReplicaSet scaled by hand", want: judge.Inconclusive, reason: "replicaset bitvault/rs-h1 was changed", spoil: func(r *recording) {
			r.wrote("replicasets", "rs-h1", 6300*ms, history.Author{Manager: "kubectl", Operation: "Update", Subresource: "scale"})
		}},
		{name: "a ReplicaSet that is deleted", want: judge.Inconclusive, reason: "replicaset bitvault/rs-h2 was deleted", spoil: func(r *recording) {
			r.replicaSet(8*time.Second, "deleted", "v2", "h2", 2, "")
		}},
		{name: "two pods of one step end at once, as maxUnavailable lets them", want: judge.Pass, spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-b", ms)
			r.endPod(6500*ms, "pod-b", "rs-h1", "n2", "")
		}},
		{name: "a ReplicaSet of the past that is tidied up", want: judge.Pass, spoil: func(r *recording) {
			r.replicaSet(8*time.Second, "deleted", "v1", "h1", 0, "")
		}},
		{name: "a node cordoned by hand", want: judge.Inconclusive, reason: "node n1 was cordoned", spoil: func(r *recording) {
			r.node(time.Second, "n1", resource.Node{Ready: true, Unschedulable: true})
			r.wrote("nodes", "n1", time.Second, history.Author{Manager: "kubectl-cordon"})
		}},
		{name: "a node that was lost for a while", want: judge.Inconclusive, reason: "node n1 stopped being Ready", spoil: func(r *recording) {
			r.node(time.Second, "n1", resource.Node{})
			r.node(2*time.Second, "n1", resource.Node{Ready: true})
		}},
		{name: "a node that is gone", want: judge.Inconclusive, reason: "node n1 went away", spoil: func(r *recording) {
			r.change(time.Second, "deleted", "nodes", "n1", nil, resource.Node{Ready: true})
		}},
		{name: "a node that somebody is told to disturb", want: judge.Pass, spoil: func(r *recording) {
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil {
					d.Name, d.Nodes = history.NodeLossName, []string{"n1"}
				}
			}
			r.node(3*time.Second, "n1", resource.Node{})
		}},
		{name: "a node that a release has nothing to do with", want: judge.Inconclusive, reason: "node n1 stopped being Ready", spoil: func(r *recording) {
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil {
					d.Nodes = []string{"n1"}
				}
			}
			r.node(3*time.Second, "n1", resource.Node{})
		}},
	})
}

func TestUndisturbedOfAnAbort(t *testing.T) {
	accounted(t, accountedAbort, []verdictCase{
		{name: "an abort", want: judge.Pass, spoil: func(*recording) {}},
		{name: "a bad release that crashes", want: judge.Pass, spoil: func(r *recording) { r.restarted(4*time.Second, "pod-c", "rs-h2") }},
		{name: "a crash of a release that is bad in another workload", want: judge.Inconclusive, reason: "pod bitvault/pod-c started anew", spoil: func(r *recording) {
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil {
					d.Workload.Name = "other"
				}
			}
			r.restarted(4*time.Second, "pod-c", "rs-h2")
		}},
		{name: "the stable release crashes meanwhile", want: judge.Inconclusive, reason: "pod bitvault/pod-b started anew", spoil: func(r *recording) {
			r.restarted(4*time.Second, "pod-b", "rs-h1")
		}},
	})
}

func TestUndisturbedOfADrain(t *testing.T) {
	accounted(t, accountedDrain, []verdictCase{
		{name: "a drain", want: judge.Pass, spoil: func(*recording) {}},
		{name: "a pod of another node meanwhile", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			r.endPod(5*time.Second, "pod-b", "rs-h1", "n2", "")
		}},
		{name: "an eviction by somebody else", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Pod == "pod-a" })
		}},
		{name: "an eviction that was refused", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Eviction != nil && e.Eviction.Pod == "pod-a" {
					e.Eviction.Code = 429
				}
			}
		}},
		{name: "an eviction that was a trial", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Eviction != nil && e.Eviction.Pod == "pod-a" {
					e.Eviction.DryRun = true
				}
			}
		}},
		{name: "an eviction that no disturbance asked for", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Eviction != nil && e.Eviction.Pod == "pod-a" {
					e.Eviction.Disturbance = ""
				}
			}
		}},
		{name: "a pod that ended before its eviction", want: judge.Inconclusive, reason: "pod bitvault/pod-e was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-e", ms)
			r.endPod(3*time.Second, "pod-e", "rs-h1", "n1", "")
		}},
		{name: "another node cordoned meanwhile", want: judge.Inconclusive, reason: "node n2 was cordoned", spoil: func(r *recording) {
			r.node(4*time.Second, "n2", resource.Node{Ready: true, Unschedulable: true})
			r.wrote("nodes", "n2", 4*time.Second, history.Author{Manager: history.DisturbanceManager})
		}},
		{name: "uncordoned by hand", want: judge.Inconclusive, reason: "node n1 was uncordoned", spoil: func(r *recording) {
			r.wrote("nodes", "n1", 5*time.Second, byHand)
		}},
		{name: "uncordoned, and nothing tells by whom", want: judge.Pass, spoil: func(r *recording) { r.wrote("nodes", "n1", 5*time.Second) }},
		{name: "uncordoned, and the taint was written", want: judge.Pass, spoil: func(r *recording) {
			r.wrote("nodes", "n1", 5*time.Second, history.Author{Manager: "kube-controller-manager", Operation: "Update"})
		}},
		{name: "another node uncordoned, and nothing tells by whom", want: judge.Inconclusive, reason: "node n2 was uncordoned", spoil: func(r *recording) {
			edit(r, "nodes", "n2", 0, func(o *resource.Node) { o.Unschedulable = true })
			r.node(4*time.Second, "n2", resource.Node{Ready: true})
			r.wrote("nodes", "n2", 4*time.Second)
		}},
		{name: "cordoned, and only the taint tells by whom", want: judge.Inconclusive, reason: "node n1 was cordoned", spoil: func(r *recording) {
			r.wrote("nodes", "n1", 2*time.Second, history.Author{Manager: "kube-controller-manager", Operation: "Update"})
		}},
		{name: "evicted for a taint of the node", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			r.endPod(5*time.Second, "pod-b", "rs-h1", "n2", "DeletionByTaintManager")
		}},
		{name: "evicted for a taint of a node that is drained", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil {
					d.Nodes = []string{"n2"}
				}
			}
			r.endPod(5*time.Second, "pod-b", "rs-h1", "n2", "DeletionByTaintManager")
		}},
		{name: "a drained node that is lost meanwhile", want: judge.Inconclusive, reason: "node n1 stopped being Ready", spoil: func(r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Nodes = []string{"n1"} })
			r.node(4500*ms, "n1", resource.Node{Unschedulable: true})
			r.node(4800*ms, "n1", resource.Node{Ready: true, Unschedulable: true})
		}},
		{name: "a drained node that is deleted meanwhile", want: judge.Inconclusive, reason: "node n1 went away", spoil: func(r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Nodes = []string{"n1"} })
			r.forgetAbout("nodes", "n1", 5*time.Second)
			r.change(4500*ms, "deleted", "nodes", "n1", nil, resource.Node{Ready: true, Unschedulable: true})
		}},
	})
}

func TestUndisturbedOfAKill(t *testing.T) {
	accounted(t, accountedKill, []verdictCase{
		{name: "a kill", want: judge.Pass, spoil: func(*recording) {}},
		{name: "another pod meanwhile", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			r.endPod(4200*ms, "pod-b", "rs-h1", "n2", "")
		}},
		{name: "another pod of that name", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			for i := range r.events {
				if c := r.events[i].Change; c != nil && c.Name == "pod-a" {
					c.UID = "uid-other"
				}
			}
		}},
		{name: "a kill that stands for a restart only", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil && len(d.Touched) > 0 {
					d.Touched[0].Effect = history.Restarts
				}
			}
		}},
		{name: "long after the kill was over", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-a", ms)
			r.forgetAbout("pods", "pod-e", 0)
			r.endPod(8*time.Second, "pod-a", "rs-h1", "n1", "")
		}},
		{name: "long after a kill that is not over", want: judge.Pass, spoil: func(r *recording) {
			r.forget(history.Healed)
			r.forgetAbout("pods", "pod-a", ms)
			r.forgetAbout("pods", "pod-e", 0)
			r.endPod(8*time.Second, "pod-a", "rs-h1", "n1", "")
		}},
		{name: "a process killed by its node", want: judge.Pass, spoil: func(r *recording) {
			r.touch(history.Restarts, "pod-b")
			r.restarted(4500*ms, "pod-b", "rs-h1")
		}},
		{name: "a process that ends twice of one kill", want: judge.Inconclusive, reason: "pod bitvault/pod-b started anew", spoil: func(r *recording) {
			r.touch(history.Restarts, "pod-b")
			r.restarted(4500*ms, "pod-b", "rs-h1")
			edit(r, "pods", "pod-b", 4500*ms, func(o *resource.Pod) { o.Containers[0].Restarts = 2 })
		}},
		{name: "a pod of another kind of workload", want: judge.Inconclusive, reason: "pod bitvault/pod-s was ended", spoil: func(r *recording) {
			r.ownedBy("StatefulSet", "store")
		}},
		{name: "another pod of the workload that is disturbed", want: judge.Inconclusive, reason: "pod bitvault/pod-s was ended", spoil: func(r *recording) {
			r.ownedBy("StatefulSet", "store")
			r.disturbances(func(d *history.Disturbance) {
				d.Workload = history.Workload{Namespace: "bitvault", Kind: "StatefulSet", Name: "store"}
			})
		}},
		{name: "a pod of the workload whose eviction was asked for", want: judge.Pass, spoil: func(r *recording) {
			r.ownedBy("StatefulSet", "store")
			r.evict(4250*ms, "pod-s", 201)
		}},
		{name: "another pod of a workload whose evictions were asked for", want: judge.Inconclusive, reason: "pod bitvault/pod-s was ended", spoil: func(r *recording) {
			r.ownedBy("StatefulSet", "store")
			r.disturbances(func(d *history.Disturbance) {
				d.Name, d.Workload = "evict-each", history.Workload{Namespace: "bitvault", Kind: "StatefulSet", Name: "store"}
			})
			r.evict(4250*ms, "pod-t", 201)
		}},
		{name: "a pod that another one of its name took the place of", want: judge.Inconclusive, reason: "pod bitvault/pod-s was ended", spoil: func(r *recording) {
			r.ownedBy("StatefulSet", "store")
			last := r.events[len(r.events)-1].Change
			last.Type, last.UID = "added", "uid-another"
		}},
		{name: "a pod of a Job", want: judge.Pass, spoil: func(r *recording) { r.ownedBy("Job", "migrate") }},
	})
}

// ownedBy has a pod of some workload deleted at 4.3 s.
func (r *recording) ownedBy(kind, name string) {
	for i, typ := range []string{"added", "deleted"} {
		r.change(time.Duration(i)*4300*ms, typ, "pods", "pod-s", &history.PodState{Ready: true, Phase: "Running", Node: "n1"},
			resource.Pod{Owner: &resource.Owner{Kind: kind, Name: name}})
	}
}

// A finding says who did it, as far as anybody tells, and what Kubernetes said then.
func TestUndisturbedSaysWho(t *testing.T) {
	r := cleanRun()
	accountedRelease(t, r)
	r.wrote("rollouts", "bitvaultd", ms, byHand)
	r.forgetAbout("pods", "pod-b", ms)
	r.endPod(time.Second, "pod-b", "rs-h1", "n2", "PreemptionByScheduler")
	r.event(1100*ms, "pod-b", "Killing", "Stopping container app")
	r.event(9*time.Second, "pod-b", "Killing", "much later")
	p := promise(t, r.judged(t, load.SlugUndisturbed), load.SlugUndisturbed)
	var all []string
	for _, f := range p.Findings {
		all = append(all, f.Text+": "+strings.Join(f.Evidence, "; "))
	}
	got := strings.Join(all, "\n")
	for _, want := range []string{
		"pod bitvault/pod-b was ended, which nobody declared: it is of ReplicaSet rs-h1; its condition DisruptionTarget says PreemptionByScheduler; " +
			"event of kubelet: Killing: Stopping container app",
		"rollout bitvault/bitvaultd was changed, which nobody declared: written by kubectl-edit (Update) at 2026-11-26T09:00:01Z",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the findings lack %q:\n%s", want, got)
		}
	}
	if len(all) != 2 || strings.Contains(got, "much later") {
		t.Errorf("findings:\n%s", got)
	}
}

// A record of an older rollproof, or one without a cluster, does not tell who wrote what: nothing is said of it, unless somebody asks.
func TestUndisturbedOfOldRecords(t *testing.T) {
	r := cleanRun()
	goodCanary(t, r)
	assertVerdict(t, r.judged(t), load.SlugUndisturbed, judge.Skipped)
	assertVerdict(t, r.judged(t, load.SlugUndisturbed), load.SlugUndisturbed, judge.Inconclusive)
	assertVerdict(t, cleanRun().judged(t), load.SlugUndisturbed, judge.Skipped)
}

// accountedScaleIn takes a pod away at 4 s and gives it back at 5 s, of which all is told.
func accountedScaleIn(t testing.TB, r *recording) {
	r.stackAt0(t)
	r.disturbance("d1", "scale-in", "", 3900*ms, 4600*ms, 5500*ms)
	for i := range r.events {
		if d := r.events[i].Disturbance; d != nil && d.Phase != history.Began {
			d.Touched = []history.Touch{{Effect: history.Changes, Resource: "rollouts", Namespace: testApp.Namespace, Name: testApp.Name}}
		}
	}
	r.rollout(3950*ms, "h1", "h1", 0, func(o *resource.Rollout) { o.Generation = 2 })
	r.replicaSet(3980*ms, "modified", "v1", "h1", 1, "")
	r.endPod(4*time.Second, "pod-a", "rs-h1", "n1", "")
	r.rollout(5*time.Second, "h1", "h1", 0, func(o *resource.Rollout) { o.Generation = 3 })
	r.replicaSet(5050*ms, "modified", "v1", "h1", 2, "")
	r.newPod(5100*ms, "pod-e", "rs-h1", "n1", "v1")
	signed(r)
}

func TestUndisturbedOfAScaleIn(t *testing.T) {
	accounted(t, accountedScaleIn, []verdictCase{
		{name: "a scale-in", want: judge.Pass, reason: "5 changes", spoil: func(*recording) {}},
		{name: "the other pod too", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			r.endPod(4200*ms, "pod-b", "rs-h1", "n2", "")
		}},
		{name: "scaled by hand meanwhile", want: judge.Inconclusive, reason: "rollout bitvault/bitvaultd was changed", spoil: func(r *recording) {
			r.wrote("rollouts", "bitvaultd", 5*time.Second, history.Author{Manager: "kubectl", Operation: "Update", Subresource: "scale"})
		}},
	})
}
