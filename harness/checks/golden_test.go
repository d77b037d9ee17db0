package checks_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

var update = flag.Bool("update", false, "write the golden verdicts, and runs that are not there yet")

// goldenRuns are kept as data under testdata: a run directory as a harness of today writes it, and its verdict.json, which
// is the stable contract. A run that is there is never written anew: what was recorded once must stay readable.
var goldenRuns = map[string]func(testing.TB) *recording{
	"green": func(t testing.TB) *recording { return short(greenRun(t)) },
	"dropped": func(t testing.TB) *recording {
		r := short(cleanRun())
		r.disturbance("d1", "kill", "", 500*time.Millisecond, 510*time.Millisecond, 900*time.Millisecond)
		for _, h := range r.between("get", 600*time.Millisecond, 650*time.Millisecond) {
			reset(h)
		}
		tear(r.at("post", 620*time.Millisecond))
		r.at("post", 700*time.Millisecond).Masked = 1
		return r
	},
	"killed": func(t testing.TB) *recording {
		r := short(cleanRun())
		r.noEnd["get"], r.noEnd["post"] = true, true
		r.abandon = true
		return r
	},
}

// short leaves one second of a run, and two arms: small enough to keep.
func short(r *recording) *recording {
	r.run.Checks, r.events, r.windows = nil, nil, []history.Window{*r.window("get"), *r.window("post"), *r.window("control")}
	for i := range r.windows {
		w := &r.windows[i]
		w.Length, w.Planned = time.Second, 100
		r.hits[w.Arm] = r.hits[w.Arm][:100]
	}
	return r
}

func TestGoldenVerdicts(t *testing.T) {
	for name, build := range goldenRuns {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", name)
			golden := filepath.Join("testdata", name+".verdict.json")
			if _, err := os.Stat(dir); os.IsNotExist(err) && *update {
				build(t).recordIn(t, dir)
			}
			got := judgeDir(t, dir, history.AcceptUnprotected()) // they are of format 1
			if *update {
				must(t, history.WriteJSON(golden, got))
			}
			written := filepath.Join(t.TempDir(), "verdict.json")
			must(t, history.WriteJSON(written, got))
			have, err := os.ReadFile(written)
			must(t, err)
			want, err := os.ReadFile(golden)
			must(t, err)
			if string(have) != string(want) {
				t.Errorf("the verdict is\n%s\nwant\n%s\n(-update writes it anew; every change of it is a change of a stable contract)", have, want)
			}
		})
	}
}
