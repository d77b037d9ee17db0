package checks_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/checks/stack"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
)

func TestPDB(t *testing.T) {
	spoilt(t, mechanics.SlugPDB, drainedNode, []verdictCase{
		{name: "honoured", want: judge.Pass, reason: "2 removals of protected pods, each an allowed eviction; 1 refusal by a budget"},
		{name: "no budget", want: judge.Fail, reason: "answered users and no disruption budget selects it", spoil: func(r *recording) {
			r.forgetAbout("poddisruptionbudgets", "guard", 0)
		}},
		{name: "no budget and nobody asked", want: judge.Fail, reason: "no disruption budget selects any of the pods", spoil: func(r *recording) {
			r.forgetAbout("poddisruptionbudgets", "guard", 0)
			for _, hits := range r.hits {
				for i := range hits {
					hits[i].Pod = ""
				}
			}
		}},
		{name: "a budget with the wrong selector", want: judge.Fail, reason: "no disruption budget selects it", spoil: func(r *recording) {
			edit(r, "poddisruptionbudgets", "guard", 0, func(o *resource.PDB) { o.Selector, o.ExpectedPods, o.DesiredHealthy = "app=other", 0, 0 })
		}},
		{name: "a budget in a namespace of its own", want: judge.Fail, reason: "no disruption budget selects it", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Change != nil && e.Change.Resource == "poddisruptionbudgets" {
					e.Change.Namespace = "other"
				}
			}
		}},
		{name: "a budget that selects all", want: judge.Pass, spoil: func(r *recording) {
			edit(r, "poddisruptionbudgets", "guard", 0, func(o *resource.PDB) { o.Selector = "*" })
		}},
		{name: "never put to the test", want: judge.Inconclusive, reason: "never put to the test", spoil: func(r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Code == 429 })
		}},
		{name: "refused for another cause", want: judge.Inconclusive, reason: "never put to the test", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Eviction != nil {
					e.Eviction.Cause = ""
				}
			}
		}},
		{name: "another budget refused another pod", want: judge.Inconclusive, reason: "never put to the test", spoil: func(r *recording) {
			r.change(0, "added", "poddisruptionbudgets", "other", nil, resource.PDB{Generation: 1, ObservedGeneration: 1, MinAvailable: "1",
				DesiredHealthy: 1, CurrentHealthy: 1, ExpectedPods: 1, Selector: "app=other"})
			r.change(0, "added", "pods", "pod-o", &history.PodState{Ready: true, Phase: "Running", Node: "n1"}, resource.Pod{
				Labels: map[string]string{"app": "other"}, Owner: &resource.Owner{Kind: "ReplicaSet", Name: "rs-o"}})
			r.refusedPod("pod-o")
		}},
		{name: "a pod of another node was refused", want: judge.Inconclusive, reason: "never put to the test", spoil: func(r *recording) { r.refusedPod("pod-b") }},
		{name: "a budget that allowed it is said to have refused", want: judge.Inconclusive, reason: "never put to the test", spoil: func(r *recording) {
			edit(r, "poddisruptionbudgets", "guard", 0, func(o *resource.PDB) { o.DisruptionsAllowed = 3 })
		}},
		{name: "of two budgets one was never asked", want: judge.Inconclusive, reason: "by budget second: it was never put to the test", spoil: func(r *recording) {
			r.change(0, "added", "poddisruptionbudgets", "second", nil, resource.PDB{Generation: 1, ObservedGeneration: 1, MinAvailable: "1",
				DesiredHealthy: 1, CurrentHealthy: 3, DisruptionsAllowed: 2, ExpectedPods: 3, Selector: "app=bitvaultd"})
		}},
		{name: "deleted, not evicted", want: judge.Fail, reason: "pod pod-e was removed, and not by an eviction", spoil: func(r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Pod == "pod-e" && e.Code == 201 })
			edit(r, "pods", "pod-e", 0, func(o *resource.Pod) { o.Disruption = "" })
		}},
		{name: "both at once", want: judge.Fail, reason: "1 pods ready, budget guard asks for 2", spoil: func(r *recording) {
			for i := range r.events {
				if e := &r.events[i]; e.Change != nil && e.Change.Name == "pod-e" && e.At > 4*time.Second {
					e.At -= time.Second
				}
			}
		}},
		{name: "accepted while none was allowed", want: judge.Fail, reason: "eviction of pod pod-e was accepted while budget guard allowed none", spoil: func(r *recording) {
			edit(r, "poddisruptionbudgets", "guard", 3200*ms, func(o *resource.PDB) { o.DisruptionsAllowed = 0 })
		}},
		{name: "an unready pod may go", want: judge.Pass, spoil: func(r *recording) {
			edit(r, "poddisruptionbudgets", "guard", 3200*ms, func(o *resource.PDB) { o.DisruptionsAllowed = 0 })
			r.podOf(4*time.Second, "modified", "pod-e", "rs-h1", "n1", history.PodState{}, "")
			r.podOf(3300*ms, "added", "pod-h", "rs-h1", "n2", history.PodState{Ready: true}, "")
			r.podOf(7*time.Second, "deleted", "pod-h", "rs-h1", "n2", history.PodState{}, "")
		}},
		{name: "no pod removed", want: judge.Inconclusive, run: judge.Fail, reason: "nothing was tested", spoil: func(r *recording) {
			for _, pod := range []string{"pod-a", "pod-e"} {
				r.forgetAbout("pods", pod, time.Second)
			}
			r.forgetEvictions(func(*history.Eviction) bool { return true })
		}},
		{name: "no drain", want: judge.Inconclusive, reason: "no drain that began", spoil: func(r *recording) {
			for _, e := range r.events {
				if e.Disturbance != nil {
					e.Disturbance.Name = "pause"
				}
			}
		}},
		{name: "a gap in the pods", want: judge.Inconclusive, reason: "changes of pods", spoil: func(r *recording) { r.gap("pods", 3500*ms, 3600*ms, true) }},
		{name: "a gap long before", want: judge.Pass, spoil: func(r *recording) { r.gap("pods", time.Second, 2*time.Second, true) }},
	})
}

// refusedPod lets the eviction that was refused be of another pod.
func (r *recording) refusedPod(name string) {
	for i := range r.events {
		if e := r.events[i].Eviction; e != nil && e.Code == 429 {
			e.Pod, e.UID = name, "uid-"+name
		}
	}
}

func (r *recording) forgetEvictions(which func(*history.Eviction) bool) {
	r.events = slices.DeleteFunc(r.events, func(e history.Event) bool { return e.Eviction != nil && which(e.Eviction) })
}

// deadlocked is a drain that a budget never lets end: as many pods must be there as there are.
func deadlocked(r *recording) {
	edit(r, "poddisruptionbudgets", "guard", 0, func(o *resource.PDB) {
		o.MinAvailable, o.DesiredHealthy, o.CurrentHealthy, o.DisruptionsAllowed = "3", 3, 3, 0
	})
	r.forgetEvictions(func(*history.Eviction) bool { return true })
	for _, pod := range []string{"pod-a", "pod-e"} {
		r.forgetAbout("pods", pod, time.Second)
		for i := range 3 {
			r.evict(3*time.Second+time.Duration(i)*500*ms, pod, 429)
		}
	}
	for i := range r.events {
		if d := r.events[i].Disturbance; d != nil && d.Phase == history.Landed {
			d.Phase = history.Failed
		}
	}
}

func TestPDBNoDeadlock(t *testing.T) {
	spoilt(t, mechanics.SlugNoDeadlock, drainedNode, []verdictCase{
		{name: "ended", want: judge.Pass, reason: "1 drain of 2 pods ended within 2.2 s"},
		{name: "deadlocked", want: judge.Fail, reason: "pod pod-a was never evicted, the last answer is 429", spoil: deadlocked},
		{name: "too late", want: judge.Fail, reason: "it took 2.2 s, at most 2 s allowed", spoil: func(r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.Drain, b.Propagation = 2*time.Second, 500*ms })
		}},
		{name: "never ended", want: judge.Fail, reason: "it never ended", spoil: func(r *recording) { r.forget(history.Landed) }},
		{name: "the run was interrupted before", want: judge.Inconclusive, reason: "it may have come later", spoil: func(r *recording) {
			r.forget(history.Landed)
			r.outcome = history.EndInterrupted
		}},
		{name: "a pod was left", want: judge.Fail, reason: "pod pod-e was never evicted", spoil: func(r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Pod == "pod-e" && e.Code == 201 })
		}},
		{name: "it was gone already", want: judge.Pass, spoil: func(r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Pod == "pod-e" && e.Code == 201 })
			r.evict(4120*ms, "pod-e", 404)
		}},
		{name: "nothing evicted", want: judge.Inconclusive, reason: "nothing was tested", spoil: func(r *recording) { r.forgetEvictions(func(*history.Eviction) bool { return true }) }},
	})
}

func TestADeadlockNamesItsBudget(t *testing.T) {
	r := cleanRun()
	drainedNode(t, r)
	deadlocked(r)
	p := assertVerdict(t, r.judged(t, mechanics.SlugNoDeadlock), mechanics.SlugNoDeadlock, judge.Fail)
	var evidence string
	for _, f := range p.Findings {
		evidence += strings.Join(f.Evidence, "\n")
	}
	for _, want := range []string{"The disruption budget guard needs 2", "PodDisruptionBudget guard (minAvailable 3): 3 of 3 pods healthy, 3 needed, 0 disruptions allowed"} {
		if !strings.Contains(evidence, want) {
			t.Errorf("the evidence does not tell %q:\n%s", want, evidence)
		}
	}
}

func TestHealed(t *testing.T) {
	spoilt(t, stack.SlugHealed, goodCanary, []verdictCase{
		{name: "healed", want: judge.Pass, reason: "2 pods Ready, 2 nodes schedulable as before"},
		{name: "a node left cordoned", want: judge.Fail, reason: "node n1 is left cordoned", spoil: func(r *recording) { r.node(8*time.Second, "n1", resource.Node{Ready: true, Unschedulable: true}) }},
		{name: "a node cordoned before", want: judge.Pass, spoil: func(r *recording) {
			edit(r, "nodes", "n1", 0, func(o *resource.Node) { o.Unschedulable = true })
		}},
		{name: "a node not Ready", want: judge.Fail, reason: "node n2 is not Ready", spoil: func(r *recording) { r.node(8*time.Second, "n2", resource.Node{}) }},
		{name: "a node not Ready before", want: judge.Pass, spoil: func(r *recording) {
			edit(r, "nodes", "n2", 0, func(o *resource.Node) { o.Ready = false })
		}},
		{name: "a node gone", want: judge.Fail, reason: "node n2 is gone", spoil: func(r *recording) { r.change(8*time.Second, "deleted", "nodes", "n2", nil, resource.Node{}) }},
		{name: "a rollout left aborted", want: judge.Fail, reason: "left aborted", spoil: func(r *recording) {
			r.rollout(8*time.Second, "h2", "h2", 0, func(o *resource.Rollout) { o.Abort, o.Phase = true, "Degraded" })
		}},
		{name: "a rollout left Progressing", want: judge.Fail, reason: "left Progressing", spoil: func(r *recording) { r.rollout(8*time.Second, "h2", "h2", 0, nil) }},
		{name: "a rollout gone", want: judge.Fail, reason: "rollout bitvaultd is gone", spoil: func(r *recording) {
			r.change(8*time.Second, "deleted", "rollouts", "bitvaultd", nil, resource.Rollout{Phase: "Healthy"})
		}},
		{name: "a pod left Pending", want: judge.Fail, reason: "pod pod-z is Pending", spoil: func(r *recording) {
			r.podOf(8*time.Second, "added", "pod-z", "rs-h2", "", history.PodState{Phase: "Pending"}, "")
		}},
		{name: "a pod left unready", want: judge.Fail, reason: "pod pod-d is not Ready", spoil: func(r *recording) {
			r.podOf(8*time.Second, "modified", "pod-d", "rs-h2", "n2", history.PodState{}, "")
		}},
		{name: "a job done", want: judge.Pass, spoil: func(r *recording) {
			r.podOf(8*time.Second, "added", "job", "rs-h0", "n1", history.PodState{Phase: "Succeeded"}, "")
		}},
		{name: "a pod that never goes", want: judge.Fail, reason: "pod pod-y is still ending", spoil: func(r *recording) {
			r.podOf(6*time.Second, "added", "pod-y", "rs-h1", "n1", history.PodState{Terminating: true}, "")
		}},
		{name: "a pod that is just going", want: judge.Pass, spoil: func(r *recording) {
			r.podOf(9500*ms, "added", "pod-y", "rs-h1", "n1", history.PodState{Terminating: true}, "")
		}},
		{name: "a replica fewer", want: judge.Fail, reason: "rollout bitvault/bitvaultd has 1 ready pods, 2 before", spoil: func(r *recording) { r.endPod(8*time.Second, "pod-d", "rs-h2", "n2", "") }},
		{name: "scaled for good", want: judge.Fail, reason: "asks for 3 replicas, 2 before", spoil: func(r *recording) {
			edit(r, "rollouts", "bitvaultd", 3*time.Second, func(o *resource.Rollout) { *o.Replicas = 3 })
		}},
		{name: "a promoted release is not healed", want: judge.Pass, spoil: func(r *recording) { r.forget(history.Healed) }},
		{name: "never healed", want: judge.Fail, reason: "silence (d1) was never healed", spoil: func(r *recording) {
			r.forget(history.Healed)
			for _, e := range r.events {
				if e.Disturbance != nil {
					e.Disturbance.Name = "silence"
				}
			}
		}},
		{name: "could not be healed", want: judge.Fail, reason: "could not be healed", spoil: func(r *recording) {
			for i := range r.events {
				if d := r.events[i].Disturbance; d != nil && d.Phase == history.Healed {
					d.Phase, d.Evidence = history.Unhealed, []history.Evidence{{What: "the old image", Saw: "the patch was refused"}}
				}
			}
		}},
		{name: "healed and not healed", want: judge.Inconclusive, reason: "recorded as healed, and as not healed", spoil: func(r *recording) {
			r.events = append(r.events, history.Event{At: 7500 * ms, Kind: history.KindDisturbance, Disturbance: &history.Disturbance{ID: "d1", Name: "release",
				Phase: history.Unhealed, Workload: testApp, Evidence: []history.Evidence{{What: "the old image", Saw: "the patch was refused"}}}})
		}},
		{name: "a gap at the end", want: judge.Inconclusive, reason: "changes of pods", spoil: func(r *recording) { r.gap("pods", 9*time.Second, testLength, true) }},
		{name: "a gap that was caught up", want: judge.Pass, spoil: func(r *recording) { r.gap("pods", 3*time.Second, 5*time.Second, true) }},
		{name: "cut short", want: judge.Inconclusive, reason: "how the stack was left is not known", spoil: func(r *recording) { r.abandon = true }},
		{name: "an object that cannot be read", want: judge.Inconclusive, reason: "record is not complete", spoil: func(r *recording) {
			for i := range r.events {
				if c := r.events[i].Change; c != nil && c.Name == "n1" {
					c.Object = []byte(`{"ready": "yes"}`)
					return
				}
			}
		}},
	})
}

func TestHealedAfterAnAbortAndADrain(t *testing.T) {
	for _, name := range []string{"errors", "late", "no data", "drain"} {
		assertVerdict(t, judgeDir(t, green(t, name).record(t)), stack.SlugHealed, judge.Pass)
	}
}

func TestHealedIsSkippedWithoutACluster(t *testing.T) {
	r := cleanRun()
	r.pod(0, "added", "pod-a", history.PodState{Ready: true})
	p := assertVerdict(t, r.judged(t), stack.SlugHealed, judge.Skipped)
	if p.Reason != "the record holds no node of a cluster" {
		t.Errorf("skipped for %q", p.Reason)
	}
}
