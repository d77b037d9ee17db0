package timeline

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Without load a check rests on the watches all the time: a gap must not go unseen because nothing was sent meanwhile.
func TestWithoutLoadAllTheTimeCounts(t *testing.T) {
	gap := history.Gap{Resource: "pods", From: 2 * time.Second, To: 3 * time.Second, Lost: true}
	window := history.Window{Arm: "get", Begin: 5 * time.Second, Length: 4 * time.Second}
	for name, c := range map[string]struct {
		arms []*Arm
		want int
	}{
		"without load":       {nil, 1},
		"load after the gap": {[]*Arm{{Name: "get", Windows: []*Window{{Window: window}}}}, 0},
	} {
		line := &Timeline{Arms: c.arms, Gaps: []history.Gap{gap}, Last: 10 * time.Second, Known: Never}
		if gaps := line.GapsOver([]string{"pods"}, UnderLoad(line)); len(gaps) != c.want {
			t.Errorf("%s: %d gaps count, want %d", name, len(gaps), c.want)
		}
	}
}

func TestGapsOfResources(t *testing.T) {
	line := &Timeline{Gaps: []history.Gap{{Resource: "pods", From: 10, To: 20}, {Resource: "*", From: 30, To: 40}, {Resource: "nodes", From: 10, To: 40}}}
	for _, c := range []struct {
		resources []string
		during    Span
		want      int
	}{
		{[]string{"pods"}, Span{0, 9}, 0}, {[]string{"pods"}, Span{0, 10}, 1}, {[]string{"pods"}, Span{20, 25}, 1}, {[]string{"pods"}, Span{21, 29}, 0},
		{[]string{"pods"}, Span{0, 50}, 2}, {[]string{"rollouts"}, Span{0, 50}, 1}, {[]string{"nodes", "pods"}, Span{0, 50}, 3}, {nil, Span{0, 50}, 0},
	} {
		if got := line.GapsOver(c.resources, c.during); len(got) != c.want {
			t.Errorf("%v from %d until %d: %d gaps, want %d", c.resources, c.during.From, c.during.Until, len(got), c.want)
		}
	}
}

func TestTheTimeUnderLoad(t *testing.T) {
	arm := func(windows ...Span) *Arm {
		a := &Arm{}
		for i, s := range windows {
			a.Windows = append(a.Windows, &Window{Window: history.Window{Index: i + 1, Begin: s.From, Length: s.Until - s.From}})
		}
		return a
	}
	for name, c := range map[string]struct {
		line  Timeline
		whole Span
		under Span
	}{
		"no load":      {Timeline{Last: 90, Known: Never}, Span{0, 90}, Span{0, 90}},
		"two arms":     {Timeline{Last: 90, Known: Never, Arms: []*Arm{arm(Span{20, 50}, Span{55, 60}), arm(Span{10, 40})}}, Span{0, 90}, Span{10, 60}},
		"the end lost": {Timeline{Last: 30, Known: 30, Arms: []*Arm{arm(Span{20, 50})}}, Span{0, 30}, Span{20, 30}},
	} {
		if got := UnderLoad(&c.line); got != c.under {
			t.Errorf("%s: under load %v, want %v", name, got, c.under)
		}
		if got := WholeRun(&c.line); got != c.whole {
			t.Errorf("%s: the whole run is %v, want %v", name, got, c.whole)
		}
	}
	line := &Timeline{Last: 30}
	if line.Clamp(29) != 29 || line.Clamp(Never) != 30 || (&Timeline{}).LoadBegin() != Never {
		t.Error("a moment that never came stands in a report")
	}
}
