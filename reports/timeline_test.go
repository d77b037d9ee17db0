package reports_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/reports"
)

// drawn is what the page reads of a timeline.
type drawn struct {
	End, Width int64
	Arms       []struct {
		Name     string
		Control  bool
		Hits     uint64
		Failed   uint64
		Base     int64
		N        []uint32
		P50      []int64
		Versions map[string][]uint32
	}
	Disturbances []struct {
		Name, Target                  string
		Began, Landed, Healed, Failed int64
		Evidence                      []struct{ What, Saw string }
	}
	Steps []struct {
		At     int64
		Name   string
		Weight float64
	}
	Pods []struct {
		Name   string
		States []struct {
			At    int64
			State string
		}
	}
	PodsBeyond int
	Changes    []struct {
		Resource string
		Marks    []struct{ Name, Type, Text string }
		Beyond   int
	}
}

func draw(t *testing.T, timeline *reports.Timeline) (drawn, string) {
	t.Helper()
	data, err := json.Marshal(timeline)
	if err != nil {
		t.Fatal(err)
	}
	var d drawn
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d, string(data)
}

func aggregate(t *testing.T, h *history.History) *reports.Timeline {
	t.Helper()
	timeline, err := reports.Aggregate(context.Background(), h)
	if err != nil {
		t.Fatal(err)
	}
	return timeline
}

func TestTimelineOfTheSample(t *testing.T) {
	d, _ := draw(t, aggregate(t, recordSample(t)))
	if len(d.Arms) != 4 || d.Arms[0].Name != "get" || d.Arms[0].Control || d.Arms[3].Name != "control" || !d.Arms[3].Control {
		t.Fatalf("arms %+v", d.Arms)
	}
	failed := map[string]uint64{"control": 0, "get": 3, "post": 7, "post-close": 2}
	for _, a := range d.Arms {
		sum := uint32(0)
		for i, n := range a.N {
			if sum += n; a.P50[i] < 2000 || a.P50[i] > 12000 {
				t.Errorf("arm %s bucket %d: p50 %d us, want some milliseconds", a.Name, i, a.P50[i])
			}
		}
		if a.Hits != 4500 || sum != 4500 || a.Failed != failed[a.Name] {
			t.Errorf("arm %s: %d hits, %d in buckets, %d failed", a.Name, a.Hits, sum, a.Failed)
		}
		if a.Base*d.Width > 1e6 || (a.Base+1)*d.Width <= 1e6 {
			t.Errorf("arm %s begins with bucket %d of %d us, want the one of 1 s", a.Name, a.Base, d.Width)
		}
	}
	assertEvents(t, d)
}

func assertEvents(t *testing.T, d drawn) {
	t.Helper()
	if len(d.Disturbances) != 2 {
		t.Fatalf("disturbances %+v", d.Disturbances)
	}
	if r := d.Disturbances[0]; r.Name != "release" || r.Target != "bitvaultd v2" || r.Began != 10e6 || r.Landed != 12e6 || r.Healed != 42e6 || r.Failed != -1 || len(r.Evidence) != 2 {
		t.Errorf("the phases of the release are joined as %+v", r)
	}
	if len(d.Steps) != 3 || d.Steps[1].Name != "canary-30" || d.Steps[1].At != 25e6 || d.Steps[1].Weight != 30 {
		t.Errorf("steps %+v", d.Steps)
	}
	if got := fmt.Sprint(d.Pods[4]); got != "{bitvaultd-5d77-c [{40100000 starting} {41200000 ready} {51000000 terminating} {55000000 gone}]}" {
		t.Errorf("the life of a pod is %s", got)
	}
	if len(d.Changes) != 1 || d.Changes[0].Resource != "evictions" || len(d.Changes[0].Marks) != 2 || d.Changes[0].Marks[0].Name != "bitvault/bitvaultd-5d77-c" {
		t.Errorf("changes %+v", d.Changes)
	}
}

// What is not drawn is counted: a crowd of pods and changes neither swells the page nor vanishes unsaid.
func TestCrowdsAreBoundedAndCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r, err := history.Create(dir, history.Run{ID: "r"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1200 {
		for resource, pod := range map[string]*history.PodState{"pods": {Ready: true}, "endpointslices": nil} {
			change := history.Change{Type: "modified", Resource: resource, Name: fmt.Sprint("x", i), Pod: pod}
			if err := r.Append(history.Event{At: time.Second, Kind: history.KindChange, Change: &change}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Close(history.EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	d, _ := draw(t, aggregate(t, open(t, dir)))
	if len(d.Pods) != 400 || d.PodsBeyond != 800 {
		t.Errorf("%d pods are drawn, %d changes of others counted", len(d.Pods), d.PodsBeyond)
	}
	if len(d.Changes) != 1 || len(d.Changes[0].Marks) != 1000 || d.Changes[0].Beyond != 200 {
		t.Errorf("%d changes are drawn, %d counted", len(d.Changes[0].Marks), d.Changes[0].Beyond)
	}
}
