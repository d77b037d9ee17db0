package history

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testdata/v1 was written by the rollproof that wrote format 1. It is never written anew: whatever the format becomes, this
// record stays readable, to the last field.
func TestReadsFormat1(t *testing.T) {
	h, err := Open(filepath.Join("testdata", "v1"))
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
	run := `{"format":2,"id":"r"}` + "\n"
	event := `{"at":0,"wall":"2026-11-23T00:00:00Z","kind":"run","run":{"format":2,"id":"r","started":"2026-11-23T00:00:00Z"}}` + "\n"
	for name, text := range map[string]string{runFile: run, eventsFile: event} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(dir)
	if err == nil || !strings.Contains(err.Error(), "format 2") || strings.Contains(err.Error(), "\n") {
		t.Errorf("opening a record of format 2 gives %v, want one line that tells", err)
	}
}
