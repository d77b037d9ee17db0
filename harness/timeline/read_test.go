package timeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// kinds are all kinds of events that a timeline takes in.
var kinds = []history.Kind{history.KindRun, history.KindWindow, history.KindBatch, history.KindChange, history.KindGap, history.KindEviction,
	history.KindStep, history.KindDisturbance, history.KindMilestone, history.KindNote, history.KindEnd}

// everything is the data of all kinds.
func everything() history.Event {
	return history.Event{
		Run: &history.Header{Run: history.Run{ID: "r"}}, Window: &history.Window{Arm: "window", Index: 1}, Batch: &history.Batch{Arm: "batch", Hits: 1},
		Change: &history.Change{Resource: "x"}, Gap: &history.Gap{Resource: "x"}, Eviction: &history.Eviction{Pod: "p"}, Step: &history.Step{Name: "s"},
		Disturbance: &history.Disturbance{ID: "d", Phase: history.Began}, Milestone: &history.Milestone{Name: "m"}, Note: &history.Note{Text: "n"},
		End: &history.End{Hits: map[string]uint64{"end": 1}},
	}
}

func builder(format int) *timelineBuilder {
	return &timelineBuilder{
		t:    &Timeline{Run: history.Run{Format: format}, Broken: Never, Ended: Never, Pods: map[string]*Pod{}, named: map[string][]*Pod{}},
		arms: map[string]*Arm{}, disturbances: map[string]*Disturbance{},
	}
}

// counts says how much of each kind a timeline holds.
func counts(t *Timeline) string {
	var arms []string
	for _, arm := range t.Arms {
		arms = append(arms, arm.Name)
	}
	return fmt.Sprintf("run %d, arms %v, changes %d, gaps %d, evictions %d, steps %d, disturbances %d, milestones %d, notes %d, ends %d",
		len(t.IDs), arms, len(t.Changes), len(t.Gaps), len(t.Evictions), len(t.Steps), len(t.Disturbances), len(t.Milestones), len(t.Notes), t.Ends)
}

// An event tells what its kind says, and nothing else that stands in it; without the data of its kind it tells nothing.
func TestAnEventTellsWhatItsKindSays(t *testing.T) {
	for kind, want := range map[history.Kind]string{
		history.KindRun:         "run 1, arms [], changes 0, gaps 0, evictions 0, steps 0, disturbances 0, milestones 0, notes 0, ends 0",
		history.KindWindow:      "run 0, arms [window], changes 0, gaps 0, evictions 0, steps 0, disturbances 0, milestones 0, notes 0, ends 0",
		history.KindBatch:       "run 0, arms [batch], changes 0, gaps 0, evictions 0, steps 0, disturbances 0, milestones 0, notes 0, ends 0",
		history.KindChange:      "run 0, arms [], changes 1, gaps 0, evictions 0, steps 0, disturbances 0, milestones 0, notes 0, ends 0",
		history.KindGap:         "run 0, arms [], changes 0, gaps 1, evictions 0, steps 0, disturbances 0, milestones 0, notes 0, ends 0",
		history.KindEviction:    "run 0, arms [], changes 0, gaps 0, evictions 1, steps 0, disturbances 0, milestones 0, notes 0, ends 0",
		history.KindStep:        "run 0, arms [], changes 0, gaps 0, evictions 0, steps 1, disturbances 0, milestones 0, notes 0, ends 0",
		history.KindDisturbance: "run 0, arms [], changes 0, gaps 0, evictions 0, steps 0, disturbances 1, milestones 0, notes 0, ends 0",
		history.KindMilestone:   "run 0, arms [], changes 0, gaps 0, evictions 0, steps 0, disturbances 0, milestones 1, notes 0, ends 0",
		history.KindNote:        "run 0, arms [], changes 0, gaps 0, evictions 0, steps 0, disturbances 0, milestones 0, notes 1, ends 0",
		history.KindEnd:         "run 0, arms [end], changes 0, gaps 0, evictions 0, steps 0, disturbances 0, milestones 0, notes 0, ends 1",
		"of a newer rollproof":  "run 0, arms [], changes 0, gaps 0, evictions 0, steps 0, disturbances 0, milestones 0, notes 0, ends 0",
	} {
		e := everything()
		e.At, e.Kind = 7, kind
		b := builder(2)
		b.add(&e)
		if got := counts(b.finish()); got != want || b.t.Last != 7 {
			t.Errorf("%s tells %s at %d, want %s at 7", kind, got, b.t.Last, want)
		}
	}
	b := builder(2)
	for _, kind := range kinds {
		b.add(&history.Event{Kind: kind})
	}
	if got, want := counts(b.finish()), counts(builder(2).finish()); got != want || b.t.End != nil {
		t.Errorf("events without data tell %s", got)
	}
}

func TestTheEndOfARecord(t *testing.T) {
	for _, c := range []struct {
		format int
		events []history.Event
		want   Timeline
	}{
		{2, []history.Event{{At: 5, Kind: history.KindNote}}, Timeline{Known: 5, Last: 5, Ended: Never, Broken: Never}},
		{2, []history.Event{{At: 5, Kind: history.KindEnd, End: &history.End{}}, {At: 3}}, Timeline{Known: Never, Last: 5, Ended: 5, Broken: Never, Ends: 1}},
		{1, []history.Event{{At: 5, Kind: history.KindEnd, End: &history.End{}}}, Timeline{Known: Never, Last: 5, Ended: Never, Broken: Never, Ends: 1}},
		{2, []history.Event{
			{At: 5, Kind: history.KindMilestone, Milestone: &history.Milestone{Name: history.BrokenOff}},
			{At: 4, Kind: history.KindMilestone, Milestone: &history.Milestone{Name: history.BrokenOff}},
			{At: 3, Kind: history.KindMilestone, Milestone: &history.Milestone{Name: "another"}},
		}, Timeline{Known: 5, Last: 5, Ended: Never, Broken: 4}},
	} {
		b := builder(c.format)
		for _, e := range c.events {
			b.add(&e)
		}
		got := b.finish()
		if got.Known != c.want.Known || got.Last != c.want.Last || got.Ended != c.want.Ended || got.Broken != c.want.Broken || got.Ends != c.want.Ends {
			t.Errorf("format %d: known %d, last %d, ended %d, broken off %d, ends %d, want %+v", c.format, got.Known, got.Last, got.Ended, got.Broken, got.Ends, c.want)
		}
	}
}

// A run saw what it planned to when it came to its end, or waited in vain for the product; not when it was broken off.
func TestFinishedRuns(t *testing.T) {
	for _, c := range []struct {
		end    *history.End
		broken time.Duration
		want   bool
	}{
		{nil, Never, false},
		{&history.End{Outcome: history.EndFinished}, Never, true},
		{&history.End{Outcome: history.EndTimedOut}, Never, true},
		{&history.End{Outcome: history.EndInterrupted}, Never, false},
		{&history.End{Outcome: history.EndFailed}, Never, false},
		{&history.End{Outcome: history.EndFinished}, 5, false},
	} {
		if got := (&Timeline{End: c.end, Broken: c.broken}).Finished(); got != c.want {
			t.Errorf("%+v, broken off at %d: finished %v, want %v", c.end, c.broken, got, c.want)
		}
	}
}

// The moment a process got its signal is told by the process, on the clock of its node: it is the same moment on the clock of the run.
func TestWhenAProcessGotItsSignal(t *testing.T) {
	wall := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	e := &history.Event{At: time.Minute, Wall: wall}
	for _, c := range []struct {
		pod  history.PodState
		want time.Duration
	}{
		{history.PodState{}, Never}, {history.PodState{Signalled: true}, time.Minute},
		{history.PodState{SignalledAt: wall.Add(-3 * time.Second)}, 57 * time.Second}, {history.PodState{SignalledAt: wall.Add(time.Second)}, 61 * time.Second},
	} {
		if got := signalled(e, &c.pod); got != c.want {
			t.Errorf("%+v: signalled at %s, want %s", c.pod, got, c.want)
		}
	}
}

// Only a change that holds the state of a pod is one of a pod, and a deleted one is gone.
func TestChangesOfPods(t *testing.T) {
	b := builder(2)
	for at, c := range []history.Change{
		{Type: "added", Resource: "pods", Name: "p", Pod: &history.PodState{}}, {Type: "added", Resource: "nodes", Name: "n"},
		{Type: "deleted", Resource: "pods", Name: "p", Pod: &history.PodState{}},
	} {
		b.add(&history.Event{At: time.Duration(at), Kind: history.KindChange, Change: &c})
	}
	line := b.finish()
	if pods := line.PodsInOrder(); len(pods) != 1 || pods[0].Statuses[len(pods[0].Statuses)-1] != (PodStatusSince{At: 2, Status: PodGone}) || len(line.Changes) != 3 {
		t.Errorf("%d pods of %d changes", len(pods), len(line.Changes))
	}
}

func TestWindowsOfAnArm(t *testing.T) {
	b := builder(2)
	for _, w := range []history.Window{
		{Arm: "get", Index: 2, Begin: 20, Length: 10, Workload: api, Path: true},
		{Arm: "get", Index: 1, Begin: 10, Length: 10, Control: true, Workload: web},
		{Arm: "get", Index: 1, Begin: 11, Length: 11},
		{Arm: "get", Index: 2, Ended: true, Begin: 20, Length: 10, Sent: 7, Node: "n"},
		{Arm: "get", Index: 3, Begin: 90},
		{Arm: "get", Index: 4, Begin: 110},
		{Arm: "get", Index: 5, Ended: true, Begin: 50},
		{Arm: "get", Index: 6, Begin: 60, Length: 5},
	} {
		b.add(&history.Event{Kind: history.KindWindow, Window: &w})
	}
	for i, hits := range []uint64{5, 7, 7, 6} {
		b.add(&history.Event{At: 100, Kind: history.KindBatch, Batch: &history.Batch{Arm: "get", Hits: hits, End: int64(i)}})
	}
	arm := b.finish().Arms[0]
	got := ""
	for _, w := range arm.Windows {
		got += fmt.Sprintf("%d %d-%d sent %d announced %v begins %d ends %d; ", w.Index, w.Begin, w.Until(), w.Sent, w.Announced, w.Begins, w.Ends)
	}
	want := "1 10-20 sent 0 announced true begins 2 ends 0; 2 20-30 sent 7 announced true begins 1 ends 1; 3 90-100 sent 0 announced true begins 1 ends 0; " +
		"4 110-110 sent 0 announced true begins 1 ends 0; 5 50-50 sent 0 announced false begins 0 ends 1; 6 60-65 sent 0 announced true begins 1 ends 0; "
	if got != want {
		t.Errorf("windows\n%s, want\n%s", got, want)
	}
	if !arm.Control || !arm.Path || arm.Workload != api || arm.Node() != "n" || arm.Batch.End != 1 {
		t.Errorf("the arm: control %v, path %v, %v, node %q, batch %+v", arm.Control, arm.Path, arm.Workload, arm.Node(), arm.Batch)
	}
	if plain := (&Arm{Windows: []*Window{{}}}); plain.Node() != "" || plain.Window(1) != nil {
		t.Errorf("an arm tells node %q, or a window that it has not", plain.Node())
	}
	for _, one := range []history.Window{{Arm: "a", Index: 1}, {Arm: "a", Index: 1, Control: true}, {Arm: "a", Index: 1, Path: true}} {
		b := builder(2)
		b.add(&history.Event{Kind: history.KindWindow, Window: &one})
		if arm := b.finish().Arms[0]; arm.Control != one.Control || arm.Path != one.Path {
			t.Errorf("the arm of %+v: control %v, path %v", one, arm.Control, arm.Path)
		}
	}
}

func TestTheDeadlineOfAHit(t *testing.T) {
	arm := &Arm{Windows: []*Window{{Window: history.Window{Index: 1, Deadline: 1}}, {Window: history.Window{Index: 2}}}}
	for index, want := range map[int]time.Duration{1: 1, 2: Never, 3: Never} {
		if got := arm.Deadline(index); got != want {
			t.Errorf("window %d: deadline %d, want %d", index, got, want)
		}
	}
}

// What is told of a disturbance is put together from all its phases, the earliest of a kind first.
func TestADisturbanceOfManyWords(t *testing.T) {
	touch := []history.Touch{{Effect: history.Ends, Resource: "pods", Name: "p"}}
	evidence := func(what string) []history.Evidence { return []history.Evidence{{What: what}} }
	b := builder(2)
	for at, d := range []history.Disturbance{
		{ID: "x", Phase: history.Began, Nodes: []string{"n1"}, Touched: touch}, {ID: "x", Phase: history.Began, Name: "kill", Target: "t", Injects: "v2", Nodes: []string{"n2"}},
		{ID: "x", Phase: history.Landed, Evidence: evidence("landed"), Touched: touch, Workload: api, Hash: "h", Fault: history.Fault{Slow: true}},
		{ID: "x", Phase: history.Landed, Name: "other", Target: "other", Injects: "v3", Workload: web, Hash: "i", Fault: history.Fault{Status: 1}},
		{ID: "x", Phase: history.Healed, Evidence: evidence("healed")}, {ID: "x", Phase: history.Healed},
		{ID: "x", Phase: history.Failed, Evidence: evidence("failed")}, {ID: "x", Phase: history.Failed},
		{ID: "x", Phase: history.Unhealed, Evidence: evidence("unhealed")}, {ID: "x", Phase: history.Unhealed},
	} {
		b.add(&history.Event{At: time.Duration(at), Kind: history.KindDisturbance, Disturbance: &d})
	}
	d := b.finish().Disturbances[0]
	want := Disturbance{ID: "x", Name: "kill", Target: "t", Workload: api, Injects: "v2", Hash: "h", Fault: history.Fault{Slow: true}, Nodes: []string{"n1"},
		Began: 0, Landed: 2, Healed: 4, Failed: 6, Unhealed: 8, Evidence: evidence("landed"), Left: append(evidence("failed"), evidence("unhealed")...), Begins: 2,
		Touched: touch, Phases: d.Phases}
	if !reflect.DeepEqual(*d, want) || len(d.Phases) != 10 {
		t.Errorf("got %+v, want %+v", *d, want)
	}
}

// Everything stands in the order it happened in, whatever the order it was recorded in.
func TestTheOrderOfThings(t *testing.T) {
	b := builder(2)
	for _, at := range []time.Duration{3, 1, 2} {
		for _, kind := range kinds {
			e := everything()
			e.At, e.Kind = at, kind
			e.Gap.From, e.Gap.To, e.Disturbance.ID = at, at, fmt.Sprint("d", 9-at)
			e.Change.Resource, e.Change.Name, e.Change.Pod = "pods", "p", &history.PodState{Version: fmt.Sprint(at)}
			b.add(&e)
		}
	}
	line := b.finish()
	var got []time.Duration
	for i := range 3 {
		got = append(got, line.Steps[i].At, line.Evictions[i].At, line.Gaps[i].From, line.Milestones[i].At, line.Notes[i].At, line.Changes[i].At, line.Disturbances[i].Began)
	}
	for i, at := range got {
		if want := time.Duration(i/7 + 1); at != want {
			t.Errorf("%v: the moment %d is %d, want %d", got, i, at, want)
		}
	}
	if pod := line.PodsInOrder()[0]; pod.Version != "3ns" || pod.Seen != 1 {
		t.Errorf("the pod was seen first at %d, and is of version %s at last", pod.Seen, pod.Version)
	}
}

func TestGapsAreInTheOrderOfTheirTimes(t *testing.T) {
	b := builder(2)
	for _, g := range []history.Gap{{From: 2, To: 3}, {From: 1, To: 9}, {From: 1, To: 5, Resource: "pods"}, {From: 1, To: 5, Resource: "nodes"}} {
		b.add(&history.Event{Kind: history.KindGap, Gap: &g})
	}
	got := ""
	for _, g := range b.finish().Gaps {
		got += fmt.Sprintf("%d-%d %s; ", g.From, g.To, g.Resource)
	}
	if want := "1-5 nodes; 1-5 pods; 1-9 ; 2-3 ; "; got != want {
		t.Errorf("gaps %s, want %s", got, want)
	}
}

func TestDamageOfAnyError(t *testing.T) {
	damage := history.Damage{File: "f", Offset: 3, Text: "t"}
	if got := AsDamage(fmt.Errorf("read: %w", &damage)); got != damage {
		t.Errorf("got %+v, want %+v", got, damage)
	}
	if got := AsDamage(errors.New("x")); got != (history.Damage{Text: "x"}) {
		t.Errorf("got %+v", got)
	}
}

// A file of hits that no event tells of is an arm all the same: its hits must not go unseen.
func TestAnArmThatNoEventTellsOf(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := history.Create(dir, history.Run{ID: "r"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rec.Close(history.EndFinished, ""), os.WriteFile(filepath.Join(dir, "hits-stray.bin"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	h, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := Read(h); err != nil || len(line.Arms) != 1 || line.Arms[0].Name != "stray" || len(line.Damage) != 0 {
		t.Errorf("%d arms, %v, damage %v, want the stray one", len(line.Arms), err, line.Damage)
	}
	if err := os.Truncate(filepath.Join(dir, "events.jsonl"), 20); err != nil {
		t.Fatal(err)
	}
	if line, err := Read(h); err != nil || len(line.Damage) == 0 {
		t.Errorf("events that are cut are no damage: %v", err)
	}
}
