package reports_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/reports"
)

const hostileText = `</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>'"` + "`" + `${window.pwned=1}<!--`

// hostileRecord is a record in which every text that comes from outside tries to become markup.
func hostileRecord(t testing.TB) (*history.History, judge.Result) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	x := hostileText
	r, err := history.Create(dir, history.Run{
		ID: x, Scenario: x, Pace: x, Command: []string{x}, Versions: map[string]string{x: x}, Machine: history.Machine{OS: x, CPU: x},
	}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Second
	for _, e := range []history.Event{
		{Kind: history.KindWindow, Window: &history.Window{Arm: "get", Pacing: x, Begin: at, Length: at}},
		{Kind: history.KindDisturbance, Disturbance: &history.Disturbance{ID: "1", Name: x, Target: x, Phase: history.Began, Injects: x, Evidence: []history.Evidence{{What: x, Saw: x}}}},
		{Kind: history.KindStep, Step: &history.Step{Name: x, Stable: x, Canary: x}},
		{Kind: history.KindChange, Change: &history.Change{Type: x, Resource: "pods", Name: x, Pod: &history.PodState{Version: x, Node: x, IP: x}}},
		{Kind: history.KindChange, Change: &history.Change{Type: x, Resource: x, Name: x}},
		{Kind: history.KindMilestone, Milestone: &history.Milestone{Name: x, Text: x}},
		{Kind: history.KindNote, Note: &history.Note{Text: x}},
	} {
		e.At = at
		if err := r.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	w, err := r.Arm("get")
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(20) {
		hit := history.Hit{Seq: seq, Code: 200, At: at, Intended: at, Latency: ms, Version: x, Pod: x, Method: x, URL: x}
		if seq == 3 {
			hit.Code, hit.Class, hit.Reason, hit.Error, hit.Body = 503, history.ClassApplication, x, x, []byte(x+"\x00\xff")
		}
		if err := w.Write(&hit); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(history.EndFailed, x); err != nil {
		t.Fatal(err)
	}
	promise := judge.Promise{Slug: x, Text: x, Verdict: judge.Fail, Reason: x, Hits: 20, Dropped: 1, Found: 2,
		Findings: []judge.Finding{
			{At: at, Arm: "get", Hit: "get/3", Class: x, Text: x, Evidence: []string{x}},
			{At: at, Arm: x, Hit: "javascript:window.pwned=1/3", Text: x},
		},
		Power: &judge.Power{Text: x}, Figures: []judge.Figure{{Name: x, Unit: x}}}
	return open(t, dir), judge.Result{Verdict: judge.Fail, Promises: []judge.Promise{promise}, Damage: []history.Damage{{File: x, Text: x}}}
}

func render(t testing.TB, h *history.History, res judge.Result) string {
	t.Helper()
	var buf bytes.Buffer
	if err := reports.HTML(context.Background(), &buf, h, res); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestHTMLEscapesTheRecord(t *testing.T) {
	h, res := hostileRecord(t)
	page := render(t, h, res)
	for _, raw := range []string{"<img", "</script><script>window", "onerror=window.pwned=1>"} {
		if strings.Contains(page, raw) {
			t.Errorf("the page holds %q as it was recorded", raw)
		}
	}
	if n := strings.Count(page, "<script"); n != 3 {
		t.Errorf("the page has %d scripts, want its data and its two own", n)
	}
}

func TestHTMLNeedsNoNetwork(t *testing.T) {
	page := render(t, recordSample(t), sampleResult())
	for _, attribute := range regexp.MustCompile(`(?:src|href|action|poster)\s*=\s*"([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if link := attribute[1]; !strings.HasPrefix(link, "#") && link != "data:," {
			t.Errorf("the page refers to %q", link)
		}
	}
	for _, forbidden := range []string{"@import", "url(", "'unsafe-inline'", "'unsafe-eval'"} {
		if strings.Contains(page, forbidden) {
			t.Errorf("the page holds %q", forbidden)
		}
	}
}

func TestHTMLSaysWhatTheRecordSays(t *testing.T) {
	page := render(t, recordSample(t), sampleResult())
	for _, want := range []string{
		`data-verdict="fail"`, "1 of 5 promises was broken", "load.zero-dropped", "12 of 13 500 hits were dropped", "all 7 findings",
		"18 000", "status 502", "rollproof run canary/promotes-good", "sha256:3f1c0a", "worst start lag",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// What could not be judged did not fail, and what was skipped did not hold.
func TestHTMLCallsThingsByTheirNames(t *testing.T) {
	h, all := recordSample(t), sampleResult().Promises // fail, inconclusive, pass, pass, skipped
	for _, c := range []struct {
		promises []judge.Promise
		headings string
	}{
		{all, "What failed or could not be judged, What held"},
		{append(all[:1:1], all[2:]...), "What failed, What held"},
		{append(all[1:2:2], all[4:]...), "What could not be judged, What was skipped"},
		{all[2:], "Promises"},
	} {
		page := render(t, h, judge.Result{Verdict: judge.Inconclusive, Promises: c.promises})
		var headings []string
		for _, m := range regexp.MustCompile(`<h2 id="h-(?:failed|held)">([^<]*)</h2>`).FindAllStringSubmatch(page, -1) {
			headings = append(headings, m[1])
		}
		if got := strings.Join(headings, ", "); got != c.headings {
			t.Errorf("the headings are %q, want %q", got, c.headings)
		}
	}
}

// A view of a record that is not whole says so, and is not green, whatever was judged before.
func TestHTMLOfADamagedRecord(t *testing.T) {
	res := judge.Result{Verdict: judge.Pass, Promises: sampleResult().Promises[2:], Damage: []history.Damage{{File: "events.jsonl", Offset: 7, Text: "the last line is cut"}}}
	page := render(t, recordSample(t), res)
	for _, want := range []string{`data-verdict="inconclusive"`, "The record is not whole", "whole up to byte 7"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestHTMLOfAnEmptyRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r, err := history.Create(dir, history.Run{ID: "r"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Abandon(); err != nil {
		t.Fatal(err)
	}
	page := render(t, open(t, dir), judge.Result{})
	if !strings.Contains(page, `data-verdict="inconclusive"`) || !strings.Contains(page, "Nothing was judged") {
		t.Error("an empty record is not called inconclusive")
	}
}

// A run without load has no section about load, nor figures of it; one that had load, or was meant to, has them.
func TestHTMLOfARunWithoutLoad(t *testing.T) {
	about := []string{`id="h-power"`, `id="h-load"`, `id="h-latency"`, "<dt>requests</dt>", "<dt>rate</dt>"}
	dir := filepath.Join(t.TempDir(), "run")
	r, err := history.Create(dir, history.Run{ID: "r"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Append(sampleEvents()[8]), r.Close(history.EndFinished, "")); err != nil {
		t.Fatal(err)
	}
	without := judge.Result{Verdict: judge.Pass, Promises: []judge.Promise{{Slug: "migrations.forward-only", Verdict: judge.Pass}}}
	bare, loaded := render(t, open(t, dir), without), render(t, recordSample(t), sampleResult())
	for _, text := range about {
		if strings.Contains(bare, text) {
			t.Errorf("the page of a run without load holds %s", text)
		}
		if !strings.Contains(loaded, text) {
			t.Errorf("the page of a run with load does not hold %s", text)
		}
	}
}

func TestHTMLStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	if _, err := reports.WriteAll(ctx, dir, recordSample(t), sampleResult()); err == nil {
		t.Error("a report was written though its context was done")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}
