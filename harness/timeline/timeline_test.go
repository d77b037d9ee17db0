package timeline

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

func TestWhenADisturbanceWasOver(t *testing.T) {
	for name, c := range map[string]struct {
		d           Disturbance
		first, over time.Duration
	}{
		"began":               {Disturbance{Began: 1, Landed: Never, Healed: Never, Failed: Never, Unhealed: Never}, 1, Never},
		"landed":              {Disturbance{Began: 1, Landed: 2, Healed: Never, Failed: Never, Unhealed: Never}, 1, 2},
		"healed":              {Disturbance{Began: 1, Landed: 2, Healed: 3, Failed: 4, Unhealed: 5}, 1, 3},
		"failed":              {Disturbance{Began: Never, Landed: Never, Healed: Never, Failed: 4, Unhealed: 5}, 4, 4},
		"healing was in vain": {Disturbance{Began: Never, Landed: 6, Healed: Never, Failed: Never, Unhealed: 5}, 5, 5},
	} {
		if c.d.First() != c.first || c.d.Until() != c.over {
			t.Errorf("%s: told first at %d, over at %d, want %d, %d", name, c.d.First(), c.d.Until(), c.first, c.over)
		}
	}
}

func TestWhenADisturbanceMayDoSomething(t *testing.T) {
	phases := []DisturbancePhase{{At: 10}, {At: 20}}
	for name, c := range map[string]struct {
		healed, unhealed time.Duration
		at               time.Duration
		want             bool
	}{
		"before it began":                     {20, Never, 9, false},
		"as it begins":                        {20, Never, 10, true},
		"as late as that after it was healed": {20, Never, 25, true},
		"later":                               {20, Never, 26, false},
		"later, where healing was given up":   {Never, 20, 26, false},
		"later, where nobody healed it":       {Never, Never, 26, true},
		"before, where nobody healed it":      {Never, Never, 9, false},
	} {
		d := &Disturbance{Began: 10, Healed: c.healed, Unhealed: c.unhealed, Phases: phases}
		if got := d.GoesOn(c.at, 5); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestDisturbancesOfAName(t *testing.T) {
	line := &Timeline{Disturbances: []*Disturbance{{ID: "a", Name: "kill", Began: 1}, {ID: "b", Name: "drain", Began: 1}, {ID: "c", Name: "kill", Began: Never}}}
	if got := line.Performed("kill"); len(got) != 1 || got[0].ID != "a" {
		t.Errorf("%d kills were performed, want one", len(got))
	}
	for _, c := range [][3]string{{"id", "", "id"}, {"id", "id", "id"}, {"id", "kill", "kill (id)"}} {
		if got := (&Disturbance{ID: c[0], Name: c[1]}).Label(); got != c[2] {
			t.Errorf("%q named %q is called %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestStepsOfAWorkload(t *testing.T) {
	line := &Timeline{Run: history.Run{Format: 2}}
	for i, w := range []history.Workload{api, web, web, api} {
		line.Steps = append(line.Steps, Step{At: time.Duration(i), Step: history.Step{Workload: w}})
	}
	for i, want := range []*Step{&line.Steps[3], &line.Steps[2], nil, nil} {
		if got := line.StepAfter(i); got != want {
			t.Errorf("after step %d comes %v, want %v", i, got, want)
		}
	}
	if got := line.StepsOf(web); len(got) != 2 || got[0].At != 1 || got[1].At != 2 || len(line.Steps) != 4 || line.Steps[0].At != 0 {
		t.Errorf("steps of web: %v", got)
	}
	if line.Run.Format = 1; len(line.StepsOf(web)) != 4 || line.StepAfter(0) != &line.Steps[1] {
		t.Error("in format 1 every step may be of any workload")
	}
}
