package disrupt

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// kernel answers for the one process of a node: it stops and goes on as it is told.
type kernel struct {
	state string
	deaf  bool // it does not stop
	log   []string
}

func (k *kernel) NodeExec(_ context.Context, _ string, cmd ...string) ([]byte, error) {
	switch cmd[0] {
	case "crictl":
		return []byte("4711\n"), nil
	case "cat":
		return []byte("4711 (b) T (x) " + k.state + " 1 4711"), nil
	}
	k.log = append(k.log, strings.Join(cmd, " "))
	switch {
	case cmd[1] == "-STOP" && !k.deaf:
		k.state = "T"
	case cmd[1] == "-CONT":
		k.state = "S"
	}
	return nil, nil
}

func frozen(t *testing.T, k *kernel) *bench {
	b := newBench(t)
	b.replicaSet(1)
	b.put("pods", podYAML, "a", "ReplicaSet")
	b.env.Nodes = k
	return b
}

func TestFreezing(t *testing.T) {
	k := &kernel{state: "S"}
	b := frozen(t, k)
	if err := b.env.Perform(t.Context(), Freeze{Namespace: "shop", Selector: "app=vault", For: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	saw := b.tape.evidence(history.Landed)
	if !strings.Contains(saw, "process 4711 on n1: state T") || !strings.Contains(saw, "state S") {
		t.Errorf("evidence %q", saw)
	}
	b.heal()
	if got := b.tape.phases(); got != "freeze-1 began, freeze-1 landed, freeze-1 healed" || k.state != "S" {
		t.Errorf("phases %q, and the process is in state %s", got, k.state)
	}
	if got := strings.Join(k.log, "; "); got != "kill -STOP 4711; kill -CONT 4711; kill -CONT 4711" {
		t.Errorf("ran %s", got)
	}
}

// Whoever ends the wait, the process does not stay stopped.
func TestWhatIsFrozenGoesOnAfterAnInterrupt(t *testing.T) {
	k := &kernel{state: "S"}
	b := frozen(t, k)
	ctx, cancel := context.WithCancelCause(t.Context())
	b.play(func() {
		if len(b.env.Due()) > 0 {
			cancel(errors.New("interrupted"))
		}
	})
	if err := b.env.Perform(ctx, Freeze{Namespace: "shop", Pod: "a", For: time.Hour}); err == nil {
		t.Fatal("an interrupted freeze has landed")
	}
	b.heal()
	if k.state != "S" {
		t.Errorf("the process is left in state %s", k.state)
	}
}

func TestFreezesThatDoNotLand(t *testing.T) {
	b := frozen(t, &kernel{state: "S", deaf: true})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("the test ends"))
	defer cancel()
	says(t, b.env.Perform(ctx, Freeze{Namespace: "shop", Pod: "a", For: time.Millisecond}), "saw last: state S")
	if got := b.tape.phases(); got != "freeze-1 began, freeze-1 failed" {
		t.Errorf("phases %q", got)
	}
	says(t, b.env.Perform(t.Context(), Freeze{Namespace: "shop", Pod: "a"}), "want more than 0")
}
