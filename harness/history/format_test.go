package history

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testdata/v1 was written by the rollproof that wrote format 1. It is never written anew: whatever the format becomes, this
// record stays readable, to the last field.
func TestReadsFormat1(t *testing.T) {
	h, err := Open(filepath.Join("testdata", "v1"), AcceptUnprotected())
	if err != nil {
		t.Fatal(err)
	}
	if run := h.Run(); run.Format != 1 || run.ID != "r1" || run.Scenario != "test/clean" || len(h.Damage()) != 0 {
		t.Errorf("read run %+v, damage %v", run, h.Damage())
	}
	kinds := map[Kind]int{}
	for e, err := range h.Events() {
		if err != nil {
			t.Fatal(err)
		}
		kinds[e.Kind]++
		if d := e.Disturbance; d != nil && d.Phase == Landed && (e.At != 510*time.Millisecond || len(d.Evidence) != 1) {
			t.Errorf("landed at %v with %v", e.At, d.Evidence)
		}
		if w := e.Window; w != nil && w.Ended && (w.Planned != 100 || w.Sent != 100 || w.Health == nil || w.Deadline != 2*time.Second) {
			t.Errorf("read window %+v", w)
		}
	}
	for kind, want := range map[Kind]int{KindRun: 1, KindWindow: 6, KindDisturbance: 3, KindEnd: 1} {
		if kinds[kind] != want {
			t.Errorf("read %d %s events, want %d", kinds[kind], kind, want)
		}
	}
	failed := map[string]int{}
	total := 0
	for _, arm := range []string{"control", "get", "post"} {
		for hit, err := range h.Hits(arm) {
			if err != nil {
				t.Fatal(err)
			}
			total++
			if hit.Failed() {
				failed[arm+" "+hit.Reason]++
			}
			if arm == "get" && hit.Seq == 42 && (hit.Intended != 420*time.Millisecond || hit.At != 421*time.Millisecond ||
				hit.Latency != 5*time.Millisecond || hit.Version != "v1" || hit.Pod != "pod-a" || hit.BytesIn != 900 || hit.Window != 1) {
				t.Errorf("read hit %+v", hit)
			}
		}
	}
	if total != 300 || failed["get reset"] != 5 || failed["post truncated"] != 1 || len(failed) != 2 {
		t.Errorf("read %d hits, failed %v", total, failed)
	}
}

func TestANewerRecordIsOneClearLine(t *testing.T) {
	dir := t.TempDir()
	run := `{"format":3,"id":"r"}` + "\n"
	event := `{"at":0,"wall":"2026-11-23T00:00:00Z","kind":"run","run":{"format":3,"id":"r","started":"2026-11-23T00:00:00Z"}}` + "\n"
	for name, text := range map[string]string{runFile: run, eventsFile: event} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(dir)
	if err == nil || !strings.Contains(err.Error(), "format 3") || strings.Contains(err.Error(), "\n") {
		t.Errorf("opening a record of format 3 gives %v, want one line that tells", err)
	}
}

// testdata/v2 was written by the rollproof that wrote format 2, which names workloads and outcomes.
func TestReadsFormat2(t *testing.T) {
	h, err := Open(filepath.Join("testdata", "v2"))
	if err != nil {
		t.Fatal(err)
	}
	if run := h.Run(); run.Format != 2 || run.ID != "r2" || len(h.Damage()) != 0 {
		t.Errorf("read run %+v, damage %v", run, h.Damage())
	}
	shop := Workload{Namespace: "shop", Kind: "Rollout", Name: "api"}
	seen := map[Kind]int{}
	for e, err := range h.Events() {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Kind]++
		if w := e.Window; w != nil && w.Workload != shop {
			t.Errorf("read window %+v", w)
		}
		if s := e.Step; s != nil && (s.Workload != shop || s.Canary != "v2" || s.Weight != 10) {
			t.Errorf("read step %+v", s)
		}
		if d := e.Disturbance; d != nil && (d.Workload != shop || d.Injects != "v2" || d.Hash != "5d77") {
			t.Errorf("read disturbance %+v", d)
		}
		if end := e.End; end != nil && (end.Outcome != EndTimedOut || end.Reason != "wait for the abort: not within 1m0s" || end.Hits["get"] != 1) {
			t.Errorf("read end %+v", end)
		}
	}
	for kind, want := range map[Kind]int{KindRun: 1, KindWindow: 2, KindStep: 1, KindDisturbance: 1, KindEnd: 1} {
		if seen[kind] != want {
			t.Errorf("read %d %s events, want %d", seen[kind], kind, want)
		}
	}
	for hit, err := range h.Hits("get") {
		if err != nil || hit.Version != "v2" || hit.Code != 200 {
			t.Errorf("read hit %+v, error %v", hit, err)
		}
	}
}

// Format 1 has no outcome: it is read off the words it was written with. A record of today without one has none.
func TestTheOutcomeOfFormat1IsReadOffItsReason(t *testing.T) {
	for reason, want := range map[string]Outcome{
		"finished":    EndFinished,
		"interrupted": EndInterrupted,
		"wait for v2 to be promoted: not within 2m0s: saw last: Progressing":                                               EndTimedOut,
		"wait for the stack to come to rest after healing: wait for rollout healthy: not within 5m0s; seen last: Degraded": EndTimedOut,
		"wait for v2 to be promoted: context canceled: saw last: Progressing":                                              EndFailed,
		"the load ended by itself":            EndFailed,
		"stop the load: not within its grace": EndFailed,
	} {
		for format, want := range map[int]Outcome{1: want, 2: ""} {
			line, err := json.Marshal(Event{Kind: KindEnd, End: &End{Reason: reason}})
			if err != nil {
				t.Fatal(err)
			}
			readEvents(strings.NewReader(string(line)+"\n"), format, func(e Event, err error) bool {
				if err != nil || e.End.Outcome != want {
					t.Errorf("format %d, reason %q: outcome %q, error %v, want %q", format, reason, e.End.Outcome, err, want)
				}
				return true
			})
		}
	}
}

func TestFormatsThatDifferAreDamage(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "v2"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, runFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), `"format": 2`, `"format": 1`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if damage := h.Damage(); len(damage) != 1 || damage[0].File != runFile {
		t.Errorf("damage %v, want that run.json is of another format than the events", damage)
	}
}
