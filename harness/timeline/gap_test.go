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
