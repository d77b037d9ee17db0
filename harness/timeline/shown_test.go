package timeline

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// recorded reads events as the record of a run that ended.
func recorded(t *testing.T, events ...history.Event) *Timeline {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := history.Create(dir, history.Run{ID: "r"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := rec.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := rec.Close(history.EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	h, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	line, err := Read(h)
	if err != nil || len(line.Damage) > 0 {
		t.Fatal(err, line.Damage)
	}
	return line
}

func TestStatusesOfPods(t *testing.T) {
	pod := func(at time.Duration, change, uid string, state history.PodState) history.Event {
		return history.Event{At: at, Kind: history.KindChange, Change: &history.Change{Type: change, Resource: "pods", Name: "db-0", UID: uid, Pod: &state}}
	}
	up, down := history.PodState{Ready: true, Node: "worker-1", IP: "10.0.0.1"}, history.PodState{}
	for name, c := range map[string]struct {
		events []history.Event
		want   string
	}{
		"its whole life": {
			[]history.Event{pod(1, "added", "a", down), pod(2, "modified", "a", down), pod(3, "modified", "a", up), pod(4, "modified", "a", down), pod(5, "modified", "a", up),
				pod(6, "modified", "a", history.PodState{Ready: true, Terminating: true}), pod(7, "deleted", "a", up)},
			"a on worker-1 at 10.0.0.1: [{1 starting} {3 ready} {4 unready} {5 ready} {6 terminating} {7 gone}]",
		},
		"nobody saw the first one go": {
			[]history.Event{pod(1, "added", "a", up), pod(4, "added", "b", down)},
			"a on worker-1 at 10.0.0.1: [{1 ready} {4 gone}]; b on  at : [{4 starting}]",
		},
		"a process that was started again under its name": {
			[]history.Event{pod(1, "added", "", up), pod(2, "modified", "", history.PodState{Signalled: true}), pod(3, "deleted", "", down), pod(4, "added", "", down)},
			" on worker-1 at 10.0.0.1: [{1 ready} {2 terminating} {3 gone} {4 starting}]",
		},
		"told in another order than it happened": {
			[]history.Event{pod(3, "deleted", "a", up), pod(1, "added", "a", up)}, "a on worker-1 at 10.0.0.1: [{1 ready} {3 gone}]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for i, p := range recorded(t, c.events...).PodsInOrder() {
				if i > 0 {
					got += "; "
				}
				var all []string
				for _, s := range p.Statuses {
					all = append(all, fmt.Sprintf("{%d %s}", s.At, s.Status))
				}
				got += fmt.Sprintf("%s on %s at %s: %v", p.UID, p.Node, p.IP, all)
			}
			if got != c.want {
				t.Errorf("got\n%s, want\n%s", got, c.want)
			}
		})
	}
}

// Every phase of a disturbance keeps its evidence, whatever order they were recorded in; its first word counts where its beginning is missing.
func TestPhasesOfADisturbance(t *testing.T) {
	phase := func(at time.Duration, id string, phase history.Phase) history.Event {
		evidence := []history.Evidence{{What: string(phase), Saw: "it"}}
		return history.Event{At: at, Kind: history.KindDisturbance, Disturbance: &history.Disturbance{ID: id, Phase: phase, Evidence: evidence}}
	}
	line := recorded(t, phase(9, "whole", history.Healed), phase(2, "whole", history.Began), phase(3, "whole", history.Landed), phase(5, "late", history.Failed))
	var got []string
	for _, d := range line.Disturbances {
		text := fmt.Sprintf("%s first %d:", d.ID, d.First())
		for _, p := range d.Phases {
			text += fmt.Sprintf(" %d %s %s", p.At, p.Phase, p.Evidence[0].What)
		}
		got = append(got, text)
	}
	if want := []string{"whole first 2: 2 began began 3 landed landed 9 healed healed", "late first 5: 5 failed failed"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A release was ordered by a disturbance of its own workload, not by another one that is nearer in time.
func TestWhoOrderedARelease(t *testing.T) {
	api := history.Workload{Namespace: "shop", Kind: "Rollout", Name: "api"}
	web := history.Workload{Namespace: "shop", Kind: "Rollout", Name: "web"}
	at := func(id string, w history.Workload, began, healed time.Duration) *Disturbance {
		return &Disturbance{ID: id, Workload: w, Began: began * time.Second, Landed: Never, Healed: healed * time.Second, Failed: Never, Unhealed: Never}
	}
	r := &Release{Identity: Identity{Workload: api}, Began: 100 * time.Second}
	for name, c := range map[string]struct {
		disturbances []*Disturbance
		want         string
	}{
		"the last one before":                       {[]*Disturbance{at("drain", history.Workload{}, 50, 200), at("release", history.Workload{}, 99, 200)}, "release"},
		"that of another workload is nearer":        {[]*Disturbance{at("release", api, 98, 200), at("other", web, 99, 200)}, "release"},
		"told by one watch after another":           {[]*Disturbance{at("release", api, 104, 200)}, "release"},
		"one before and one after":                  {[]*Disturbance{at("release", api, 99, 200), at("kill", history.Workload{}, 102, 200)}, "release"},
		"over long before, and begun long after it": {[]*Disturbance{at("drain", history.Workload{}, 10, 20), at("kill", history.Workload{}, 110, 120)}, ""},
		"of another workload only":                  {[]*Disturbance{at("other", web, 99, 200)}, ""},
	} {
		line := &Timeline{Disturbances: c.disturbances, Last: 300 * time.Second}
		got := ""
		if d := line.OrderOf(r); d != nil {
			got = d.ID
		}
		if got != c.want {
			t.Errorf("%s: ordered by %q, want %q", name, got, c.want)
		}
	}
}
