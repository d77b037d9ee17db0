package checks_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// A drop says that the control arm failed too where it did so within a second of it, before or after, and not where it failed at another time.
func TestADropTellsOfTheControlArm(t *testing.T) {
	r := cleanRun()
	r.events = nil // no disturbance that a drop would tell of
	reset(r.at("control", 5*time.Second+500*ms))
	for _, second := range []time.Duration{3, 4, 5, 6, 7} {
		reset(r.at("get", second*time.Second+900*ms))
	}
	p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Fail)
	told := map[time.Duration]int{}
	for _, f := range p.Findings {
		if f.Arm == "get" && f.Hit != "" && f.Class != "outage" {
			told[f.At/time.Second] = len(f.Evidence)
		}
	}
	plain := told[3]
	for second, want := range map[time.Duration]int{3: plain, 4: plain + 1, 5: plain + 1, 6: plain + 1, 7: plain} {
		if told[second] != want {
			t.Errorf("the drop of second %d has %d lines of evidence, want %d: %v", second, told[second], want, told)
		}
	}
}

// The latencies of a route are those of its correct answers: the middle one, those at 90, 95 and 99 of 100, and the longest.
func TestTheLatenciesOfARoute(t *testing.T) {
	r := cleanRun()
	for arm := range r.hits {
		for i := range r.hits[arm] {
			h := &r.hits[arm][i]
			h.Latency = time.Duration(i%100+1) * 10 * ms
			if i%2 == 0 {
				h.URL = "http://127.0.0.1/other"
			}
		}
	}
	routes := promise(t, r.judged(t), load.SlugDropped).Routes
	if len(routes) != 2 {
		t.Fatalf("%d routes, want 2", len(routes))
	}
	for _, route := range routes {
		near := func(got, want time.Duration) bool { return got > want*97/100 && got < want*103/100 } // two digits
		if l := route.Latency; l == nil || !near(l.P50, 500*ms) || !near(l.P90, 900*ms) || !near(l.P95, 950*ms) || !near(l.P99, 990*ms) || !near(l.Max, 995*ms) {
			t.Errorf("route %s: latencies %+v, want those of 10 ms to 1 s in steps of 20", route.Name, l)
		}
	}
}

// In a record of format 1 no sum ties run.json to the events: the id does.
func TestRunJSONOfAnotherRunIsNotWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "green"))))
	assertVerdict(t, judgeDir(t, dir, history.AcceptUnprotected()), load.SlugComplete, judge.Pass)
	path := filepath.Join(dir, "run.json")
	data, err := os.ReadFile(path)
	must(t, err)
	var run map[string]any
	must(t, json.Unmarshal(data, &run))
	run["id"] = "another"
	data, err = json.Marshal(run)
	must(t, err)
	must(t, os.WriteFile(path, append(data, '\n'), 0o644))
	assertVerdict(t, judgeDir(t, dir, history.AcceptUnprotected()), load.SlugComplete, judge.Inconclusive)
}
