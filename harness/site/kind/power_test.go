package kind

import (
	"strings"
	"testing"
)

func TestANodeIsStoppedAndStarted(t *testing.T) {
	engine := newFakeEngine()
	for _, name := range []string{"x-worker", "x-worker2"} {
		engine.add(runningContainer{Name: name, Labels: map[string]string{labelKind: "x"}})
	}
	engine.add(runningContainer{Name: "y-worker", Labels: map[string]string{labelKind: "y"}})
	p := power{"x", engine}
	runs := func(node string) bool {
		t.Helper()
		on, err := p.NodeRuns(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		return on
	}
	engine.frozen = 1 // the first kill comes to nothing
	if err := p.StopNode(t.Context(), "x-worker"); err != nil || runs("x-worker") || !runs("x-worker2") {
		t.Errorf("stopped: %v; the node runs: %v, its neighbour: %v", err, runs("x-worker"), runs("x-worker2"))
	}
	for range 2 { // starting one that runs is no error
		if err := p.StartNode(t.Context(), "x-worker"); err != nil || !runs("x-worker") {
			t.Errorf("started: %v; the node runs: %v", err, runs("x-worker"))
		}
	}
}

// A container of another cluster is no node of this one, whatever it is called.
func TestANodeOfAnotherClusterIsLeftAlone(t *testing.T) {
	engine := newFakeEngine()
	engine.add(runningContainer{Name: "y-worker", Labels: map[string]string{labelKind: "y"}})
	p := power{"x", engine}
	if err := p.StopNode(t.Context(), "y-worker"); err == nil || !strings.Contains(err.Error(), "cluster x has no node y-worker") {
		t.Errorf("error %v", err)
	}
	if on, err := (power{"y", engine}).NodeRuns(t.Context(), "y-worker"); err != nil || !on {
		t.Errorf("the other cluster's node runs: %v, %v", on, err)
	}
}
