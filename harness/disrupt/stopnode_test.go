package disrupt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bitvault.dev/rollproof/harness/history"
)

// wall is the switch of one node, and the control plane that notices.
type wall struct {
	*bench
	mu      sync.Mutex
	off     bool
	deaf    bool // the switch does nothing
	blind   bool // nobody notices
	refuses error
	log     []string
}

func (w *wall) StopNode(_ context.Context, node string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, "stop "+node)
	if w.refuses != nil || w.deaf {
		return w.refuses
	}
	w.off = true
	if !w.blind {
		w.node("Unknown", "")
	}
	return nil
}

func (w *wall) StartNode(_ context.Context, node string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, "start "+node)
	w.off = false
	w.node("True", "")
	return nil
}

func (w *wall) NodeRuns(context.Context, string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.off, nil
}

func (w *wall) node(ready, labels string) {
	w.put("nodes", `{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {%s}}, spec: {}, status: {conditions: [{type: Ready, status: "%s", reason: NodeStatusUnknown}]}}`,
		labels, ready)
}

// walled is a cluster with a worker that holds two pods of a ReplicaSet.
func walled(b *bench) *wall {
	w := &wall{bench: b}
	w.node("True", "")
	b.replicaSet(2)
	b.put("pods", podYAML, "a", "ReplicaSet")
	b.put("pods", podYAML, "b", "ReplicaSet")
	b.put("pods", strings.ReplaceAll(podYAML, "rs-uid", "daemon-uid"), "daemon", "DaemonSet")
	b.env.Power = w
	return w
}

func TestANodeIsStoppedAndComesBack(t *testing.T) {
	b := newBench(t)
	w := walled(b)
	if err := b.env.Perform(t.Context(), StopNode{Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	saw := b.tape.evidence(history.Landed)
	uid := b.api.Get("pods", "shop", "a").GetUID()
	if !strings.Contains(saw, "switched on: false, Ready: false") || !strings.Contains(saw, fmt.Sprintf("shop/a, uid %s", uid)) || strings.Contains(saw, "daemon") {
		t.Errorf("evidence %q", saw)
	}
	for _, e := range b.tape.events[1:] {
		if got := e.Disturbance.Nodes; len(got) != 1 || got[0] != "n1" {
			t.Errorf("recorded as of nodes %q", got)
		}
	}
	b.heal()
	if saw := b.tape.evidence(history.Healed); !strings.Contains(saw, "switched on: true, Ready: true") {
		t.Errorf("healed: %q", saw)
	}
	if got := strings.Join(w.log, ", "); got != "stop n1, start n1" {
		t.Errorf("the switch was used so: %s", got)
	}
}

func TestNodesThatAreNotStopped(t *testing.T) {
	for name, c := range map[string]struct {
		stage func(*wall)
		want  string
		began bool
	}{
		"the switch is out of reach":     {func(w *wall) { w.env.Power = nil }, "cannot be stopped", true},
		"the switch refuses":             {func(w *wall) { w.refuses = errors.New("no such container") }, "stop node n1: no such container", true},
		"of the control plane":           {func(w *wall) { w.node("True", `node-role.kubernetes.io/control-plane: ""`) }, "is of the control plane", true},
		"down already":                   {func(w *wall) { w.node("Unknown", "") }, "is not Ready", true},
		"without a pod that is kept":     {func(w *wall) { w.api.Delete("pods", "shop", "a"); w.api.Delete("pods", "shop", "b") }, "nothing would be lost with it", false},
		"whose owners did not say so":    {func(w *wall) { w.env.Guard = &owners{namespaces: []string{"shop"}} }, `the guard refuses node "n1"`, false},
		"and the control plane is blind": {func(w *wall) { w.blind = true }, "to be off, and missed", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			w := walled(b)
			c.stage(w)
			says(t, b.env.Perform(t.Context(), StopNode{Node: "n1", Notice: short}), c.want)
			if began := b.tape.phases() != ""; began != c.began {
				t.Errorf("phases %q", b.tape.phases())
			}
			if stopped := strings.Contains(strings.Join(w.log, " "), "stop"); stopped != strings.Contains(c.want, "stop node n1") && !w.blind {
				t.Errorf("the switch was used so: %q", w.log)
			}
			if w.env.Power != nil {
				w.refuses = nil
				b.heal()
			}
		})
	}
}

// What was on the node is waited for, and not the node alone.
func TestHealingANodeWaitsForWhatWasOnIt(t *testing.T) {
	b := newBench(t)
	walled(b)
	if err := b.env.Perform(t.Context(), StopNode{Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	pod := b.api.Get("pods", "shop", "a")
	b.api.Put("pods", unready(pod))
	var looks atomic.Int64
	b.play(func() {
		if looks.Add(1) == 20 {
			b.put("pods", podYAML, "a", "ReplicaSet")
		}
	})
	b.heal()
	if looks.Load() < 20 {
		t.Error("healed while a pod was not Ready")
	}
}
