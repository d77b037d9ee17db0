package checks_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
)

const clusters = "clusters.postgresql.cnpg.io"

// disturbances changes each phase of each disturbance but its beginning, which tells of nothing that was found out later.
func (r *recording) disturbances(change func(*history.Disturbance)) {
	for i := range r.events {
		if d := r.events[i].Disturbance; d != nil {
			copied := *d
			change(&copied)
			r.events[i].Disturbance = &copied
		}
	}
}

// member records a pod of the workload store; another uid is another pod of that name.
func (r *recording) member(at time.Duration, typ, name, uid, kind, revision string, state history.PodState) {
	state.Phase, state.Node = "Running", "n1"
	r.change(at, typ, "pods", name, &state, resource.Pod{Labels: map[string]string{"controller-revision-hash": revision},
		Owner: &resource.Owner{Kind: kind, Name: "store"}})
	r.events[len(r.events)-1].Change.UID = uid
}

// replaced has a pod of the workload end at a moment, and another one of its name Ready 700 ms later.
func (r *recording) replaced(at time.Duration, name, kind, revision string) {
	old, next := "uid-"+name, "uid-"+name+"-2"
	r.member(at, "modified", name, old, kind, "r1", history.PodState{Ready: true, Terminating: true})
	r.member(at+300*ms, "deleted", name, old, kind, "r1", history.PodState{Terminating: true})
	r.member(at+400*ms, "added", name, next, kind, revision, history.PodState{})
	r.member(at+700*ms, "modified", name, next, kind, revision, history.PodState{Ready: true})
}

// rolledStore is a rolling update of a workload of three pods, of which all is told.
func rolledStore(t testing.TB, r *recording, kind, of string, object func(generation int64, revision string) any) {
	r.stackAt0(t)
	names := []string{"store-2", "store-1", "store-0"}
	r.change(0, "added", of, "store", nil, object(1, "r1"))
	for _, name := range names {
		r.member(0, "added", name, "uid-"+name, kind, "r1", history.PodState{Ready: true})
	}
	r.disturbance("d1", "rolling-update", "", 1900*ms, 5*time.Second, 6*time.Second)
	r.change(2*time.Second, "modified", of, "store", nil, object(2, "r2"))
	for i, name := range names {
		r.replaced(2100*ms+time.Duration(i)*800*ms, name, kind, "r2")
	}
	signed(r)
	r.disturbances(func(d *history.Disturbance) {
		d.Workload = history.Workload{Namespace: "bitvault", Kind: kind, Name: "store"}
		if d.Phase == history.Began {
			return
		}
		d.Touched = []history.Touch{{Effect: history.Changes, Resource: of, Namespace: "bitvault", Name: "store", UID: "uid-store"}}
		for _, name := range names {
			d.Touched = append(d.Touched, history.Touch{Effect: history.Replaces, Resource: "pods", Namespace: "bitvault", Name: name, UID: "uid-" + name})
		}
	})
}

func rolledStatefulSet(t testing.TB, r *recording) {
	rolledStore(t, r, "StatefulSet", "statefulsets", func(generation int64, revision string) any {
		return resource.StatefulSet{Generation: generation, Desired: 3, UpdateRevision: revision, Strategy: "RollingUpdate"}
	})
}

func rolledCluster(t testing.TB, r *recording) {
	rolledStore(t, r, "Cluster", clusters, func(generation int64, _ string) any {
		return resource.PostgresCluster{Generation: generation, Instances: 3, CurrentPrimary: "store-0"}
	})
}

// rolledDeployment is a rolling update of a Deployment of which all is told. Its pods are accounted for by their ReplicaSets.
func rolledDeployment(t testing.TB, r *recording) {
	r.stackAt0(t)
	r.change(0, "added", resource.Deployments.Name, "worker", nil, resource.Deployment{Generation: 1, Desired: 2})
	r.disturbance("d1", history.RollName, "", 1900*ms, 5*time.Second, 6*time.Second)
	r.change(2*time.Second, "modified", resource.Deployments.Name, "worker", nil, resource.Deployment{Generation: 2, Desired: 2})
	r.change(2100*ms, "modified", resource.Deployments.Name, "worker", nil, resource.Deployment{Generation: 2, ObservedGeneration: 2, Desired: 2, Updated: 2})
	signed(r)
	r.disturbances(func(d *history.Disturbance) {
		d.Workload = history.Workload{Namespace: "bitvault", Kind: "Deployment", Name: "worker"}
		if d.Phase != history.Began {
			d.Touched = []history.Touch{{Effect: history.Changes, Resource: resource.Deployments.Name, Namespace: "bitvault", Name: "worker", UID: "uid-worker"}}
		}
	})
	r.wrote(resource.Deployments.Name, "worker", 2*time.Second, history.Author{Manager: history.DisturbanceManager})
}

func TestUndisturbedOfARollingDeployment(t *testing.T) {
	const reason = "deployment bitvault/worker was changed, which nobody declared"
	accounted(t, rolledDeployment, []verdictCase{
		{name: "an update", want: judge.Pass, spoil: func(*recording) {}},
		{name: "somebody else's update", want: judge.Inconclusive, reason: reason, spoil: func(r *recording) {
			r.wrote(resource.Deployments.Name, "worker", 2*time.Second, history.Author{Manager: "kubectl"})
		}},
		{name: "an update long before", want: judge.Inconclusive, reason: reason, spoil: func(r *recording) {
			r.change(500*ms, "modified", resource.Deployments.Name, "worker", nil, resource.Deployment{Generation: 2, Desired: 2})
			r.wrote(resource.Deployments.Name, "worker", 500*ms, history.Author{Manager: history.DisturbanceManager})
		}},
		{name: "it goes away", want: judge.Inconclusive, reason: "deployment bitvault/worker was deleted", spoil: func(r *recording) {
			r.change(3*time.Second, "deleted", resource.Deployments.Name, "worker", nil, resource.Deployment{Generation: 2, Desired: 2})
		}},
	})
}

// endMember has a pod of the workload end by other hands.
func (r *recording) endMember(at time.Duration, name, uid, kind, revision string) {
	r.member(at, "modified", name, uid, kind, revision, history.PodState{Ready: true, Terminating: true})
	r.member(at+50*ms, "deleted", name, uid, kind, revision, history.PodState{Terminating: true})
}

func TestUndisturbedOfARollingStatefulSet(t *testing.T) {
	onDelete := func(o *resource.StatefulSet) { o.Strategy = "OnDelete" }
	early := func(r *recording) { // store-1 before store-2 is Ready again
		r.forgetAbout("pods", "store-1", ms)
		r.replaced(2600*ms, "store-1", "StatefulSet", "r2")
	}
	accounted(t, rolledStatefulSet, []verdictCase{
		{name: "an update", want: judge.Pass, spoil: func(*recording) {}},
		{name: "a new pod deleted by hand meanwhile", want: judge.Inconclusive, reason: "pod bitvault/store-2 was ended, which nobody declared", spoil: func(r *recording) {
			r.endMember(4500*ms, "store-2", "uid-store-2-2", "StatefulSet", "r2")
		}},
		{name: "an old pod deleted by hand before its turn", want: judge.Inconclusive, reason: "pod bitvault/store-0 was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "store-0", ms)
			r.replaced(2850*ms, "store-0", "StatefulSet", "r2") // store-2 is Ready again, but it is store-1 that comes next
		}},
		{name: "the next pod before the last one is Ready", want: judge.Inconclusive, reason: "pod bitvault/store-1 was ended", spoil: early},
		{name: "the pod before it is missing", want: judge.Inconclusive, reason: "pod bitvault/store-1 was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "store-2", 2350*ms) // it is gone at 2.4 s, and nothing takes its place
			r.member(2400*ms, "deleted", "store-2", "uid-store-2", "StatefulSet", "r1", history.PodState{Terminating: true})
			r.forgetAbout("pods", "store-0", ms)
		}},
		{name: "the last pod was never there", want: judge.Inconclusive, reason: "pod bitvault/store-1 was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "store-2", 0)
			r.forgetAbout("pods", "store-0", ms)
		}},
		{name: "two at once, as its maxUnavailable lets it", want: judge.Pass, spoil: func(r *recording) { r.unavailable(2); early(r) }},
		{name: "two at the same moment, as its maxUnavailable lets it", want: judge.Pass, spoil: func(r *recording) {
			r.unavailable(2)
			r.forgetAbout("pods", "store-1", ms)
			r.replaced(2100*ms, "store-1", "StatefulSet", "r2")
		}},
		{name: "three at once, where two may be away", want: judge.Inconclusive, reason: "pod bitvault/store-0 was ended", spoil: func(r *recording) {
			r.unavailable(2)
			early(r)
			r.forgetAbout("pods", "store-0", ms)
			r.replaced(2700*ms, "store-0", "StatefulSet", "r2")
		}},
		{name: "before the turn of one that may be away, and is not", want: judge.Inconclusive, reason: "pod bitvault/store-0 was ended", spoil: func(r *recording) {
			r.unavailable(2)
			r.forgetAbout("pods", "store-0", ms)
			r.replaced(2850*ms, "store-0", "StatefulSet", "r2") // store-1 is of the older revision, and there
		}},
		{name: "a pod that its partition holds back", want: judge.Inconclusive, reason: "pod bitvault/store-0 was ended", spoil: func(r *recording) {
			edit(r, "statefulsets", "store", 0, func(o *resource.StatefulSet) { o.Partition = 1 })
		}},
		{name: "an operator that deletes the pods itself", want: judge.Pass, spoil: func(r *recording) {
			edit(r, "statefulsets", "store", 0, onDelete)
			early(r)
		}},
		{name: "a new pod deleted by hand under an operator", want: judge.Inconclusive, reason: "pod bitvault/store-2 was ended", spoil: func(r *recording) {
			edit(r, "statefulsets", "store", 0, onDelete)
			r.endMember(4500*ms, "store-2", "uid-store-2-2", "StatefulSet", "r2")
		}},
		{name: "nobody watches the StatefulSet", want: judge.Pass, spoil: func(r *recording) {
			r.forgetAbout("statefulsets", "store", 0)
			early(r)
		}},
		{name: "nobody watches the StatefulSet and a new pod is deleted", want: judge.Inconclusive, reason: "pod bitvault/store-2 was ended", spoil: func(r *recording) {
			r.forgetAbout("statefulsets", "store", 0)
			r.endMember(4500*ms, "store-2", "uid-store-2-2", "StatefulSet", "r2")
		}},
		{name: "a watch that tells late of the new revision", want: judge.Pass, spoil: func(r *recording) {
			r.forgetAbout("statefulsets", "store", ms)
			r.change(2150*ms, "modified", "statefulsets", "store", nil, resource.StatefulSet{Generation: 2, Desired: 3, UpdateRevision: "r2", Strategy: "RollingUpdate"})
			r.wrote("statefulsets", "store", 2150*ms, history.Author{Manager: history.DisturbanceManager})
		}},
		{name: "a watch that lost something", want: judge.Inconclusive, reason: "changes of statefulsets from 1 s to 2 s may be missing", spoil: func(r *recording) {
			r.gap("statefulsets", time.Second, 2*time.Second, true)
		}},
		{name: "an update that was not declared", want: judge.Inconclusive, reason: "pod bitvault/store-2 was ended", spoil: func(r *recording) {
			r.disturbances(func(d *history.Disturbance) {
				if len(d.Touched) > 0 {
					d.Touched = append([]history.Touch{d.Touched[0]}, d.Touched[2:]...) // store-2 is not among them
				}
			})
		}},
		{name: "the StatefulSet edited by hand", want: judge.Inconclusive, reason: "statefulset bitvault/store was changed", spoil: func(r *recording) {
			r.wrote("statefulsets", "store", 2*time.Second, byHand)
		}},
		{name: "the StatefulSet scaled by the autoscaler", want: judge.Pass, spoil: func(r *recording) {
			r.wrote("statefulsets", "store", 2*time.Second, history.Author{Manager: "kube-controller-manager", Subresource: "scale"})
		}},
		{name: "changed by the operator that made it", want: judge.Pass, spoil: func(r *recording) {
			edit(r, "statefulsets", "store", 0, func(o *resource.StatefulSet) { o.Owner = &resource.Owner{Kind: "RedisReplication", Name: "store"} })
			r.wrote("statefulsets", "store", 2*time.Second, history.Author{Manager: "rollproof"})
		}},
		{name: "changed by whoever installed it", want: judge.Inconclusive, reason: "statefulset bitvault/store was changed", spoil: func(r *recording) {
			r.wrote("statefulsets", "store", 2*time.Second, history.Author{Manager: "rollproof"})
		}},
		{name: "the StatefulSet deleted by hand", want: judge.Inconclusive, reason: "statefulset bitvault/store was deleted", spoil: func(r *recording) {
			r.change(8*time.Second, "deleted", "statefulsets", "store", nil, resource.StatefulSet{Generation: 2})
		}},
	})
}

func TestUndisturbedOfARollingOperator(t *testing.T) {
	said := func(r *recording, by string) {
		r.change(3*time.Second, "modified", clusters, "store", nil, resource.PostgresCluster{Generation: 2, Instances: 3, TargetPrimary: "store-1"})
		r.wrote(clusters, "store", 3*time.Second, history.Author{Manager: by, Subresource: "status"})
	}
	accounted(t, rolledCluster, []verdictCase{
		{name: "an update", want: judge.Pass, spoil: func(*recording) {}},
		{name: "a new pod deleted by hand meanwhile", want: judge.Inconclusive, reason: "pod bitvault/store-2 was ended", spoil: func(r *recording) {
			r.endMember(4500*ms, "store-2", "uid-store-2-2", "Cluster", "r2")
		}},
		{name: "a second pod deleted by hand while one is away", want: judge.Inconclusive, reason: "pod bitvault/store-0 was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "store-0", ms)
			r.replaced(3050*ms, "store-0", "Cluster", "r2") // store-1 is ending
		}},
		{name: "an update that names no workload", want: judge.Pass, spoil: func(r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Workload = history.Workload{} })
		}},
		{name: "a second pod deleted by hand in an update that names no workload", want: judge.Inconclusive, reason: "pod bitvault/store-0 was ended", spoil: func(r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Workload = history.Workload{} })
			r.forgetAbout("pods", "store-0", ms)
			r.replaced(3050*ms, "store-0", "Cluster", "r2")
		}},
		{name: "a second pod deleted by hand while one is gone", want: judge.Inconclusive, reason: "pod bitvault/store-0 was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "store-0", ms)
			r.replaced(3250*ms, "store-0", "Cluster", "r2") // between the end of store-1 and its return
		}},
		{name: "the cluster edited by hand", want: judge.Inconclusive, reason: "cluster bitvault/store was changed", spoil: func(r *recording) {
			r.wrote(clusters, "store", 2*time.Second, byHand)
		}},
		{name: "a hand-over ordered by hand", want: judge.Inconclusive, reason: "cluster bitvault/store was given an order", spoil: func(r *recording) { said(r, "kubectl-cnpg") }},
		{name: "a hand-over ordered by us", want: judge.Pass, spoil: func(r *recording) { said(r, history.DisturbanceManager) }},
		{name: "a hand-over by the operator", want: judge.Pass, spoil: func(r *recording) { said(r, argo) }},
		{name: "a hand-over by us that was not declared", want: judge.Inconclusive, reason: "cluster bitvault/store was given an order", spoil: func(r *recording) {
			r.wrote(clusters, "store", 2*time.Second, history.Author{Manager: argo, Subresource: "status"})
			r.forgetAbout(clusters, "store", ms)
			said(r, history.DisturbanceManager)
			edit(r, clusters, "store", 0, func(o *resource.PostgresCluster) { o.Generation = 1 })
			r.disturbances(func(d *history.Disturbance) {
				if len(d.Touched) > 0 {
					d.Touched = d.Touched[1:]
				}
			})
		}},
		{name: "a server that is started anew within its container", want: judge.Pass, spoil: func(r *recording) {
			r.touch(history.Restarts, "pod-b")
			r.restarted(4500*ms, "pod-b", "rs-h1")
		}},
	})
}

// accountedLoss is a node that a disturbance stops at 2 s and starts at 5.5 s, of which all is told.
func accountedLoss(t testing.TB, r *recording) {
	r.stackAt0(t)
	r.disturbance("d1", "node-loss", "", 2*time.Second, 3*time.Second, 7*time.Second)
	r.node(2900*ms, "n1", resource.Node{})
	r.podOf(3*time.Second, "modified", "pod-a", "rs-h1", "n1", history.PodState{Version: "v1"}, "")
	r.node(6*time.Second, "n1", resource.Node{Ready: true})
	r.restartedOn(6200*ms, "pod-a", "n1")
	signed(r)
	r.disturbances(func(d *history.Disturbance) {
		d.Workload = history.Workload{}
		if d.Phase != history.Began { // which node it is was found out when it began
			d.Nodes = []string{"n1"}
		}
	})
}

// restartedOn has a pod's container started anew with its node.
func (r *recording) restartedOn(at time.Duration, pod, node string) {
	state := history.PodState{Ready: true, Phase: "Running", Node: node, Version: "v1"}
	r.change(at, "modified", "pods", pod, &state, resource.Pod{Labels: map[string]string{"app": "bitvaultd"},
		Owner: &resource.Owner{Kind: "ReplicaSet", Name: "rs-h1"}, Containers: []resource.ContainerState{{Name: "app", Restarts: 1, Terminated: "Unknown"}}})
}

func TestUndisturbedOfALostNode(t *testing.T) {
	gone := func(why string) func(*recording) {
		return func(r *recording) {
			r.forgetAbout("pods", "pod-a", ms)
			r.endPod(4*time.Second, "pod-a", "rs-h1", "n1", why)
		}
	}
	accounted(t, accountedLoss, []verdictCase{
		{name: "a node stopped and started", want: judge.Pass, spoil: func(*recording) {}},
		{name: "its pod went by its taint", want: judge.Pass, spoil: gone("DeletionByTaintManager")},
		{name: "its pod went with the node", want: judge.Pass, spoil: gone("DeletionByPodGC")},
		{name: "its pod was ended in order", want: judge.Pass, spoil: gone("TerminationByKubelet")},
		{name: "its pod went by its taint before the node was missed", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-a", ms)
			r.endPod(2500*ms, "pod-a", "rs-h1", "n1", "DeletionByTaintManager")
		}},
		{name: "its pod was ended in order before the node was missed", want: judge.Pass, spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-a", ms)
			r.endPod(2500*ms, "pod-a", "rs-h1", "n1", "TerminationByKubelet")
		}},
		{name: "a container starts anew while the node should be off", want: judge.Inconclusive, reason: "container app of pod bitvault/pod-a started anew", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-a", ms)
			r.restartedOn(2500*ms, "pod-a", "n1")
		}},
		{name: "a container starts anew twice with the node", want: judge.Inconclusive, reason: "container app of pod bitvault/pod-a started anew", spoil: func(r *recording) {
			r.restartedOn(6500*ms, "pod-a", "n1")
			edit(r, "pods", "pod-a", 6500*ms, func(o *resource.Pod) { o.Containers[0].Restarts = 2 })
		}},
		{name: "a container starts anew with the node, and is killed then", want: judge.Pass, spoil: func(r *recording) {
			r.disturbance("d2", "killed", "", 6400*ms, 6600*ms, 7*time.Second)
			r.restartedOn(6500*ms, "pod-a", "n1")
			edit(r, "pods", "pod-a", 6500*ms, func(o *resource.Pod) { o.Containers[0].Restarts = 2 })
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil && d.ID == "d2" {
					d.Workload, d.Touched = history.Workload{}, []history.Touch{{Effect: history.Restarts, Resource: "pods", Namespace: "bitvault", Name: "pod-a", UID: "uid-pod-a"}}
				}
			}
		}},
		{name: "long after the node was back", want: judge.Inconclusive, reason: "container app of pod bitvault/pod-a started anew", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-a", 6*time.Second)
			r.podOf(6100*ms, "modified", "pod-a", "rs-h1", "n1", history.PodState{Ready: true, Version: "v1"}, "")
			r.restartedOn(8*time.Second, "pod-a", "n1")
		}},
		{name: "lost again by itself right after", want: judge.Inconclusive, reason: "node n1 stopped being Ready", spoil: func(r *recording) {
			r.node(7300*ms, "n1", resource.Node{})
			r.node(7400*ms, "n1", resource.Node{Ready: true})
		}},
		{name: "its pod was deleted by hand", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: gone("")},
		{name: "a pod of another node was deleted by hand", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			r.endPod(4*time.Second, "pod-b", "rs-h1", "n2", "")
		}},
		{name: "a pod of another node was put off it", want: judge.Inconclusive, reason: "pod bitvault/pod-b was ended", spoil: func(r *recording) {
			r.endPod(4*time.Second, "pod-b", "rs-h1", "n2", "TerminationByKubelet")
		}},
		{name: "a container of another node started anew", want: judge.Inconclusive, reason: "container app of pod bitvault/pod-b started anew", spoil: func(r *recording) {
			r.restarted(4*time.Second, "pod-b", "rs-h1")
		}},
		{name: "a container that crashes before", want: judge.Inconclusive, reason: "container app of pod bitvault/pod-a started anew", spoil: func(r *recording) {
			r.forgetAbout("pods", "pod-a", ms)
			r.restartedOn(time.Second, "pod-a", "n1")
		}},
		{name: "another node is lost meanwhile", want: judge.Inconclusive, reason: "node n2 stopped being Ready", spoil: func(r *recording) {
			r.node(4*time.Second, "n2", resource.Node{})
		}},
		{name: "a node that is drained and short of memory", want: judge.Inconclusive, reason: "pod bitvault/pod-a was ended", spoil: func(r *recording) {
			gone("TerminationByKubelet")(r)
			r.forgetAbout("nodes", "n1", ms)
			r.disturbances(func(d *history.Disturbance) { d.Name = "drain" })
		}},
	})
}

// unavailable is how many pods of the StatefulSet an update may take at once.
func (r *recording) unavailable(pods int32) {
	edit(r, "statefulsets", "store", 0, func(o *resource.StatefulSet) { o.MaxUnavailable = pods })
}

// A pod that ended before its turn says whose turn it was.
func TestUndisturbedSaysWhoseTurnItWas(t *testing.T) {
	for want, spoil := range map[string]func(*recording){
		"store-2 was not there": func(r *recording) { r.forgetAbout("pods", "store-2", 0) },
		"store-2 was not Ready": func(r *recording) {
			r.forgetAbout("pods", "store-1", ms)
			r.replaced(2600*ms, "store-1", "StatefulSet", "r2")
		},
		"store-2 was ending": func(r *recording) {
			r.forgetAbout("pods", "store-1", ms)
			r.replaced(2200*ms, "store-1", "StatefulSet", "r2")
		},
		"store-2 was still of an older revision": func(r *recording) {
			r.forgetAbout("pods", "store-1", ms)
			r.replaced(2050*ms, "store-1", "StatefulSet", "r2")
		},
	} {
		r := cleanRun()
		rolledStatefulSet(t, r)
		spoil(r)
		p := assertVerdict(t, r.judged(t, load.SlugUndisturbed), load.SlugUndisturbed, judge.Inconclusive)
		if !slices.ContainsFunc(p.Findings, func(f judge.Finding) bool { return slices.Contains(f.Evidence, want) }) {
			t.Errorf("no finding says that %s: %+v", want, p.Findings)
		}
	}
}

// What is told of a StatefulSet before anybody asked for it changes nothing: older records tell of none.
func TestUndisturbedOfAStoreInAnOlderRecord(t *testing.T) {
	r := cleanRun()
	rolledStatefulSet(t, r)
	r.forgetAbout("statefulsets", "store", 0)
	r.disturbances(func(d *history.Disturbance) { d.Touched = nil })
	assertVerdict(t, r.judged(t, load.SlugUndisturbed), load.SlugUndisturbed, judge.Pass)
	r.disturbances(func(d *history.Disturbance) { d.Name = "evict-each" })
	assertVerdict(t, r.judged(t, load.SlugUndisturbed), load.SlugUndisturbed, judge.Inconclusive)
}

// What happens to a store counts while a ledger is written to it, with a load beside it and without.
func TestUndisturbedOfALedger(t *testing.T) {
	alone := func(r *recording) { r.windows, r.hits, r.run.Probes = nil, nil, r.run.Probes[1:] }
	byHandAt := func(at time.Duration) func(*recording) {
		return func(r *recording) { r.endMember(at, "store-2", "uid-store-2-2", "StatefulSet", "r2") }
	}
	for _, c := range []struct {
		name   string
		spoil  []func(*recording)
		want   judge.Verdict
		reason string
	}{
		{"a ledger alone", []func(*recording){alone}, judge.Pass, "each was declared"},
		{"a pod deleted by hand", []func(*recording){alone, byHandAt(4500 * ms)}, judge.Inconclusive, "pod bitvault/store-2 was ended"},
		{"a pod deleted by hand when the load was over", []func(*recording){byHandAt(11 * time.Second)}, judge.Inconclusive, "pod bitvault/store-2 was ended"},
		{"a pod deleted by hand when the writes were over", []func(*recording){alone, byHandAt(12100 * ms)}, judge.Pass, "each was declared"},
		{"a watch that lost something when the load was over", []func(*recording){func(r *recording) {
			r.gap("pods", 10500*ms, 11*time.Second, true)
		}}, judge.Inconclusive, "changes of pods"},
		{"a ledger that was planned and is not there", []func(*recording){alone, func(r *recording) { r.ledgers = nil }}, judge.Inconclusive, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := cleanLedger("nats", true)
			l.event.Clock.Offset = 3 * time.Second // it ends at 12 s
			r := withLedger(l)
			r.ends = 13 * time.Second
			rolledStatefulSet(t, r)
			for _, spoil := range c.spoil {
				spoil(r)
			}
			p := assertVerdict(t, r.judged(t), load.SlugUndisturbed, c.want)
			if !strings.Contains(p.Reason, c.reason) {
				t.Errorf("reason %q, want one that tells %q", p.Reason, c.reason)
			}
		})
	}
}
