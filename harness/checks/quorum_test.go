package checks_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/nats"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
)

// serverPod records a pod of the store. Its UID tells it from the one whose place it took.
func (r *recording) serverPod(at time.Duration, typ, name, uid string, ready, terminating bool) {
	data, err := json.Marshal(resource.Pod{Owner: &resource.Owner{Kind: testNATS.Kind, Name: testNATS.Name}})
	if err != nil {
		panic(err)
	}
	state := history.PodState{Phase: "Running", Ready: ready, Terminating: terminating, Node: "n-" + name}
	r.events = append(r.events, history.Event{At: at + 4, Kind: history.KindChange,
		Change: &history.Change{Type: typ, Resource: "pods", Namespace: testNATS.Namespace, Name: name, UID: uid, Pod: &state, Object: data}})
}

func (r *recording) evictServer(at time.Duration, pod, uid string, code int) {
	e := history.Eviction{Disturbance: "d1", Namespace: testNATS.Namespace, Pod: pod, UID: uid, Node: "n-" + pod, Code: code, Latency: 5 * ms}
	if code == 429 {
		e.Cause = "DisruptionBudget"
	}
	r.events = append(r.events, history.Event{At: at, Kind: history.KindEviction, Eviction: &e})
}

// replacedServer is a server that is evicted, and whose successor is ready some time later.
func (r *recording) replacedServer(at, back time.Duration, pod string) {
	r.evictServer(at, pod, "uid-"+pod, 201)
	r.serverPod(at+ms, "modified", pod, "uid-"+pod, true, true)
	r.serverPod(at+300*ms, "deleted", pod, "uid-"+pod, false, true)
	r.serverPod(at+310*ms, "added", pod, "uid-"+pod+"-2", false, false)
	r.serverPod(back, "modified", pod, "uid-"+pod+"-2", true, false)
}

// twoDrains takes m-0 at 2.5 s and is refused m-1 at 3.5 s, which it gets at 6 s, when m-0 has been back since 5.5 s.
func twoDrains(r *recording) {
	for _, pod := range []string{"m-0", "m-1", "m-2"} {
		r.serverPod(0, "added", pod, "uid-"+pod, true, false)
	}
	r.replacedServer(2500*ms, 5500*ms, "m-0")
	r.evictServer(3500*ms, "m-1", "uid-m-1", 429)
	r.replacedServer(6*time.Second, 8*time.Second, "m-1")
}

func (r *recording) forgetPod(name string, from, to time.Duration) {
	r.events = slices.DeleteFunc(r.events, func(e history.Event) bool {
		return e.Change != nil && e.Change.Name == name && e.At >= from && e.At < to
	})
}

// declare has the store's StatefulSet ask for so many members.
func (r *recording) declare(members int32) {
	data, err := json.Marshal(resource.StatefulSet{Desired: members})
	if err != nil {
		panic(err)
	}
	r.events = append(r.events, history.Event{At: 1, Kind: history.KindChange,
		Change: &history.Change{Type: "added", Resource: "statefulsets", Namespace: testNATS.Namespace, Name: testNATS.Name, UID: "uid-set", Object: data}})
}

// short has a member of the store never be ready.
func (r *recording) short(name string) {
	r.forgetPod(name, 0, ms)
	r.serverPod(0, "added", name, "uid-"+name, false, false)
}

func TestQuorum(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(*recording)
		want  judge.Verdict
		tells string
	}{
		{"one at a time", func(*recording) {}, judge.Pass, "2 evictions of members, one at a time; 1 refusal while another was not ready, and allowed later"},
		{"the second is let through", func(r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Code == 429 })
			for i := range r.events {
				if e := &r.events[i]; e.At >= 6*time.Second && (e.Eviction != nil || e.Change != nil) {
					e.At -= 1900 * ms
				}
			}
		}, judge.Fail, "the eviction of m-1 was accepted while another member of statefulset nats/nats was not ready"},
		{"refused, and let through before the first is back", func(r *recording) {
			for i := range r.events {
				if e := &r.events[i]; e.At >= 6*time.Second && (e.Eviction != nil || e.Change != nil) {
					e.At -= 1900 * ms
				}
			}
		}, judge.Fail, "the eviction of m-1 was accepted"},
		{"another member goes by other hands meanwhile", func(r *recording) {
			r.serverPod(3600*ms, "modified", "m-2", "uid-m-2", false, false)
			r.serverPod(3900*ms, "modified", "m-2", "uid-m-2", true, false)
		}, judge.Fail, "1 of 3 members of statefulset nats/nats were ready"},
		{"refused for ever", func(r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Pod == "m-1" && e.Code == 201 })
			r.forgetPod("m-1", time.Second, 20*time.Second)
		}, judge.Fail, "the eviction of m-1 was refused, and never allowed later"},
		{"refused for ever, as far as a run that ended early saw", func(r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Pod == "m-1" && e.Code == 201 })
			r.forgetPod("m-1", time.Second, 20*time.Second)
			r.outcome = history.EndInterrupted
		}, judge.Inconclusive, "the record ends early"},
		{"nobody was refused", func(r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Code == 429 })
		}, judge.Inconclusive, "never put to the test"},
		{"refused while all were ready", func(r *recording) {
			for i := range r.events {
				if e := &r.events[i]; e.Eviction != nil && e.Eviction.Code == 429 {
					e.At = 1500 * ms
				}
			}
		}, judge.Inconclusive, "never put to the test"},
		{"refused for another cause", func(r *recording) {
			for i := range r.events {
				if e := r.events[i].Eviction; e != nil {
					e.Cause = ""
				}
			}
		}, judge.Inconclusive, "never put to the test"},
		{"the one that was out itself was refused", func(r *recording) {
			for i := range r.events {
				if e := r.events[i].Eviction; e != nil && e.Code == 429 {
					e.Pod, e.UID = "m-0", "uid-m-0-2"
				}
			}
		}, judge.Inconclusive, "never put to the test"},
		{"pods of another workload", func(r *recording) {
			for i := range r.events {
				if c := r.events[i].Change; c != nil && c.Resource == "pods" {
					c.Namespace = "other"
				}
			}
		}, judge.Inconclusive, "no pod of statefulset nats/nats was seen"},
		{"only dry runs", func(r *recording) {
			for i := range r.events {
				if e := r.events[i].Eviction; e != nil && e.Code == 201 {
					e.DryRun = true
				}
			}
		}, judge.Inconclusive, "nothing was tested"},
		{"refused for ever, but for a dry run", func(r *recording) {
			for i := range r.events {
				if e := r.events[i].Eviction; e != nil && e.Pod == "m-1" && e.Code == 201 {
					e.DryRun = true
				}
			}
			r.forgetPod("m-1", time.Second, 20*time.Second)
		}, judge.Fail, "the eviction of m-1 was refused, and never allowed later"},
		{"only a dry run was refused", func(r *recording) {
			for i := range r.events {
				if e := r.events[i].Eviction; e != nil && e.Code == 429 {
					e.DryRun = true
				}
			}
		}, judge.Inconclusive, "never put to the test"},
		{"no eviction", func(r *recording) { r.forgetEvictions(func(*history.Eviction) bool { return true }) }, judge.Inconclusive, "no eviction"},
		{"the store is short of one when the drains begin", func(r *recording) { r.declare(3); r.short("m-2") }, judge.Fail, "1 of 3 members"},
		{"and nobody tells of how many it should be", func(r *recording) { r.short("m-2") }, judge.Fail, "1 of 3 members"},
		{"and the ledger does not either", func(r *recording) {
			r.ledgers[0].opened.Replicas = 0
			r.serverPod(600*ms, "modified", "m-2", "uid-m-2", false, false)
		}, judge.Fail, "1 of 3 members"},
		{"short of one, which is the one that is evicted", func(r *recording) {
			r.declare(3)
			r.forgetPod("m-0", 0, ms)
			r.serverPod(0, "added", "m-0", "uid-m-0", false, false)
		}, judge.Pass, "2 evictions"},
		{"short of two before the first eviction", func(r *recording) {
			r.forgetPod("m-0", 0, ms)
			r.serverPod(0, "added", "m-0", "uid-m-0", false, false)
			r.serverPod(2*time.Second, "modified", "m-2", "uid-m-2", false, false)
			r.serverPod(3*time.Second, "modified", "m-2", "uid-m-2", true, false)
		}, judge.Inconclusive, "1 of 3 members of statefulset nats/nats were ready before the first eviction"},
		{"short of two before the first eviction, and of all after it", func(r *recording) {
			r.forgetPod("m-2", 0, ms)
			r.serverPod(2*time.Second, "modified", "m-1", "uid-m-1", false, false)
			r.serverPod(3*time.Second, "modified", "m-1", "uid-m-1", true, false)
		}, judge.Fail, "0 of 3 members"},
		{"a member joins", func(r *recording) {
			r.declare(3)
			r.serverPod(2*time.Second, "added", "m-3", "uid-m-3", false, false)
			r.serverPod(9*time.Second, "modified", "m-3", "uid-m-3", true, false)
		}, judge.Pass, "2 evictions"},
		{"a member joins and is never ready", func(r *recording) { r.serverPod(2*time.Second, "added", "m-3", "uid-m-3", false, false) }, judge.Pass, "2 evictions"},
		{"a member joined, was ready, and is away when another one goes", func(r *recording) {
			r.serverPod(time.Second, "added", "m-3", "uid-m-3", true, false)
			r.serverPod(1200*ms, "modified", "m-3", "uid-m-3", false, false)
		}, judge.Fail, "the eviction of m-0 was accepted"},
		{"a refusal while nobody but one that never was ready is away", func(r *recording) {
			r.serverPod(time.Second, "added", "m-3", "uid-m-3", false, false)
			for i := range r.events {
				if e := &r.events[i]; e.Eviction != nil && e.Eviction.Code == 429 {
					e.At = 1500 * ms
				}
			}
		}, judge.Inconclusive, "never put to the test"},
		{"a gap in the pods", func(r *recording) { r.gap("pods", 3500*ms, 3600*ms, true) }, judge.Inconclusive, "changes of pods"},
		{"no ledger", func(r *recording) { r.ledgers = nil }, judge.Inconclusive, "no ledger of writes to nats"},
		{"a ledger that names no workload", func(r *recording) { r.ledgers[0].event.Workload = history.Workload{} }, judge.Inconclusive, "nothing was tested"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := withLedger(cleanLedger("nats", true))
			twoDrains(r)
			c.spoil(r)
			p := assertVerdict(t, r.judged(t, nats.SlugPDB), nats.SlugPDB, c.want)
			if text := p.Reason + textOf(p); !strings.Contains(text, c.tells) {
				t.Errorf("it tells %q, want %q", text, c.tells)
			}
		})
	}
}
