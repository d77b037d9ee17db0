package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
)

// A record whose sums fit may tell of anything: whoever can write a file can make one. judge and report take each, say one line where it
// cannot be judged, and agree. One that is changed afterwards passes nothing, before it is judged anew and after.
//
// go test runs the seeds; go test -fuzz FuzzJudgeAndReport ./cmd/rollproof goes on from them, led by what code a record reaches.
func FuzzJudgeAndReport(f *testing.F) {
	for seed := range uint64(40) {
		random := make([]byte, 64<<10) // a record is drawn from these bytes, and with fewer it is given up
		source := rand.NewChaCha8([32]byte{byte(seed)})
		_, _ = source.Read(random) // never fails
		f.Add(random)
	}
	parent := f.TempDir()
	f.Fuzz(rapid.MakeFuzz(func(rt *rapid.T) { judgeAnyRecord(rt, parent) }))
}

func judgeAnyRecord(t *rapid.T, parent string) {
	root, err := os.MkdirTemp(parent, "run-")
	noError(t, err)
	defer os.RemoveAll(root)
	dir := filepath.Join(root, "run")
	anyRecord(t, dir)
	judged := judgeAndReport(t, dir)
	if !damageAny(t, dir) {
		return
	}
	if code, _, _ := rollproof("report", dir); code == exitPass {
		t.Fatalf("report shows a pass of a record that was changed after it was judged (judge: %d)", judged)
	}
	if judgeAndReport(t, dir) == exitPass {
		t.Fatal("a record that was changed passes")
	}
	data, err := os.ReadFile(filepath.Join(dir, "verdict.json"))
	if err != nil {
		return // it could not be judged at all
	}
	var result judge.Result
	noError(t, json.Unmarshal(data, &result))
	for _, p := range result.Promises {
		if p.Verdict == judge.Pass {
			t.Fatalf("%s passes by a record that was changed", p.Slug)
		}
	}
}

// judgeAndReport is the exit code of judge; that of report is never better.
func judgeAndReport(t *rapid.T, dir string) int {
	code, _, stderr := rollproof("judge", dir)
	if code == exitCouldNotRun {
		if strings.Count(stderr, "\n") != 1 {
			t.Fatalf("judge cannot judge, and says %q", stderr)
		}
		if _, err := os.Stat(filepath.Join(dir, "verdict.json")); err == nil {
			t.Fatalf("judge cannot judge and leaves a verdict: %s", stderr)
		}
	} else if stderr != "" {
		t.Fatalf("judge exits by %d, and says %q", code, stderr)
	}
	reported, _, stderr := rollproof("report", dir)
	if reported < code && code != exitCouldNotRun || reported == exitPass && code != exitPass {
		t.Fatalf("judge exits by %d, report by %d: %s", code, reported, stderr)
	}
	return code
}

func noError(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// damageAny changes one file of the record, but for what judge wrote, and reports whether anything is another now.
func damageAny(t *rapid.T, dir string) bool {
	entries, err := os.ReadDir(dir)
	noError(t, err)
	var files []string
	for _, e := range entries {
		if name := e.Name(); name == "run.json" || name == "events.jsonl" || strings.HasPrefix(name, "hits-") {
			files = append(files, name)
		}
	}
	path := filepath.Join(dir, rapid.SampledFrom(files).Draw(t, "file"))
	data, err := os.ReadFile(path)
	noError(t, err)
	if len(data) == 0 {
		return false
	}
	at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
	switch rapid.IntRange(0, 4).Draw(t, "damage") {
	case 0:
		data[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	case 1:
		data = data[:at]
	case 2:
		data = append(data, data[at:]...)
	case 3:
		noError(t, os.Remove(path))
		return true
	default:
		data = append(data[:at], data[at+1:]...)
	}
	noError(t, os.WriteFile(path, data, 0o644))
	return true
}

// anyTime is a moment or a length that may be, one that hardly can be, or one at the end of what a number holds.
func anyTime(t *rapid.T, name string) time.Duration {
	return rapid.OneOf(
		rapid.Map(rapid.IntRange(0, 10_000), func(n int) time.Duration { return time.Duration(n) * time.Millisecond }),
		rapid.SampledFrom([]time.Duration{0, 1, -1, -time.Hour, time.Hour, 1 << 55, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64}),
	).Draw(t, name)
}

func anyText(t *rapid.T, name string) string {
	return rapid.SampledFrom([]string{"", "a", "get", "v1", "v2", "pod-a", "h1", "h2", "</script>", "\x00\xff", "é", "10", "-1", strings.Repeat("x", 300)}).Draw(t, name)
}

func anyCount(t *rapid.T, name string) uint64 {
	return rapid.SampledFrom([]uint64{0, 1, 2, 3, 10, 1000, 1 << 40, math.MaxUint64}).Draw(t, name)
}

func anyFloat(t *rapid.T, name string) float64 {
	return rapid.SampledFrom([]float64{0, 1, -1, 10, 30, 50, 100, 101, 1e-300, 1e300, -1e300}).Draw(t, name)
}

func anyWorkload(t *rapid.T) history.Workload {
	return rapid.SampledFrom([]history.Workload{{}, {Namespace: "n", Kind: "Rollout", Name: "a"}, {Kind: "Rollout", Name: "a"}, {Namespace: "n", Kind: "Deployment", Name: "b"}}).Draw(t, "workload")
}

// anyRecord records a run of any hits and events, in any order.
func anyRecord(t *rapid.T, dir string) {
	run := history.Run{ID: "r", Scenario: anyText(t, "scenario"), Pace: anyText(t, "pace"), Disturbances: rapid.SliceOfN(rapid.SampledFrom([]string{"", "drain", "kill"}), 0, 2).Draw(t, "plan")}
	for _, c := range checks.All(checks.DefaultBudgets()) {
		if rapid.Bool().Draw(t, "asked") {
			run.Checks = append(run.Checks, c.Slug)
		}
	}
	if rapid.Bool().Draw(t, "budgets") {
		run.Budgets = json.RawMessage(rapid.SampledFrom([]string{`{}`, `{"lag":-1,"stall":9223372036854775807}`, `{"weights":[10,30],"slow":1,"metrics":{"errors":"a","latency":"a","cpu":"a","late":"a"}}`,
			`{"weights":[]}`, `{"weights":[-1,200]}`, `{"settle":-9223372036854775808,"propagation":9223372036854775807,"watch":-1}`, `{"measurements":-3,"notice":-1,"files":-0.5,"regained":1e300}`}).Draw(t, "budgets"))
	}
	rec, err := history.Create(dir, run, history.StoppedClock(time.Now(), anyTime(t, "over")))
	noError(t, err)
	for _, e := range plausible {
		if rapid.IntRange(0, 9).Draw(t, "left out") < 9 {
			noError(t, rec.Append(e))
		}
	}
	for range rapid.IntRange(0, 25).Draw(t, "events") {
		noError(t, rec.Append(anyEvent(t)))
	}
	for _, arm := range []string{"get", "post", "control", "path"}[:rapid.IntRange(0, 4).Draw(t, "arms")] {
		w, err := rec.Arm(arm)
		noError(t, err)
		for i := range rapid.IntRange(0, 20).Draw(t, "hits") {
			h := anyHit(t, uint64(i))
			noError(t, w.Write(&h))
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "killed") == 0 {
		noError(t, rec.Abandon())
		return
	}
	noError(t, rec.Close(rapid.SampledFrom([]history.Outcome{history.EndFinished, history.EndFinished, history.EndTimedOut, "", "odd"}).Draw(t, "outcome"), ""))
}

// plausible is a bad release that is aborted and a drain, under load: what judges need before they say anything. Any of it may be left out.
var plausible = func() []history.Event {
	app := history.Workload{Namespace: "n", Kind: "Rollout", Name: "a"}
	var all []history.Event
	at := func(ms int, kind history.Kind, set func(*history.Event)) {
		e := history.Event{At: time.Duration(ms)*time.Millisecond + 1, Kind: kind}
		set(&e)
		all = append(all, e)
	}
	change := func(ms int, resource, name, object string) {
		at(ms, history.KindChange, func(e *history.Event) {
			e.Change = &history.Change{Type: "modified", Resource: resource, Namespace: "n", Name: name, Object: json.RawMessage(object)}
			if resource == "pods" {
				e.Change.Pod = &history.PodState{Version: "v1", Node: "a", Phase: "Running", Ready: ms == 0, Terminating: ms != 0}
			}
		})
	}
	phase := func(ms int, id, name, injects string, phase history.Phase) {
		at(ms, history.KindDisturbance, func(e *history.Event) {
			e.Disturbance = &history.Disturbance{ID: id, Name: name, Target: "node a", Phase: phase, Workload: app, Injects: injects, Evidence: []history.Evidence{{What: "w", Saw: "s"}}}
		})
	}
	for i, arm := range []string{"get", "post", "control"} {
		at(0, history.KindWindow, func(e *history.Event) {
			e.Window = &history.Window{Arm: arm, Index: 1, Control: arm == "control", Workload: app, Length: time.Duration(20+i) * time.Millisecond, Planned: 10, Deadline: time.Second}
		})
	}
	change(0, "nodes", "a", objects["nodes"][0])
	change(0, "pods", "pod-a", objects["pods"][0])
	change(0, "poddisruptionbudgets", "guard", objects["poddisruptionbudgets"][0])
	for i, object := range objects["replicasets"] {
		change(0, "replicasets", fmt.Sprint("rs", i), object)
	}
	change(0, "traefikservices", "split", objects["traefikservices"][0])
	for i, object := range objects["rollouts"][:3] {
		change(5*i, "rollouts", "a", object)
	}
	change(6, "analysisruns", "first", objects["analysisruns"][0])
	change(9, "analysisruns", "first", objects["analysisruns"][1])
	phase(2, "d1", "regression", "v2", history.Began)
	phase(3, "d1", "regression", "v2", history.Landed)
	phase(12, "d1", "regression", "v2", history.Healed)
	for _, step := range []struct {
		ms     int
		weight float64
	}{{0, 0}, {5, 10}, {10, 0}} {
		at(step.ms, history.KindStep, func(e *history.Event) {
			e.Step = &history.Step{Workload: app, Name: "step", Stable: "v1", Canary: "v2", Weight: step.weight}
		})
	}
	phase(7, "d2", "drain", "", history.Began)
	at(8, history.KindEviction, func(e *history.Event) {
		e.Eviction = &history.Eviction{Disturbance: "d2", Namespace: "n", Pod: "pod-a", Node: "a", Code: 201}
	})
	change(9, "pods", "pod-a", objects["pods"][0])
	phase(11, "d2", "drain", "", history.Landed)
	phase(4, "d3", "readiness-lost", "", history.Began)
	phase(10, "d3", "readiness-lost", "", history.Landed)
	return all
}()

func anyHit(t *rapid.T, seq uint64) history.Hit {
	h := history.Hit{Seq: seq, Code: 200, At: time.Duration(seq) * time.Millisecond, Latency: time.Millisecond, Window: 1, Method: "GET", URL: "http://127.0.0.1/", Version: "v1", Pod: "pod-a"}
	h.Intended = h.At
	for range rapid.IntRange(0, 3).Draw(t, "oddities") {
		switch rapid.IntRange(0, 10).Draw(t, "oddity") {
		case 0:
			h.Seq = uint64(rapid.IntRange(0, 40).Draw(t, "seq"))
			if h.Seq == 40 { // rarely, for judges make room for what is missing in between
				h.Seq = anyCount(t, "far")
			}
		case 1:
			h.At = anyTime(t, "at")
		case 2:
			h.Latency = anyTime(t, "latency")
		case 3:
			h.Intended = anyTime(t, "intended")
		case 4:
			h.Window = rapid.SampledFrom([]int{0, 1, 2, -1, math.MaxInt, math.MinInt}).Draw(t, "window")
		case 5:
			h.Class = history.Class(rapid.IntRange(0, 255).Draw(t, "class"))
		case 6:
			h.Code = rapid.SampledFrom([]uint16{0, 200, 404, 502, 503, math.MaxUint16}).Draw(t, "code")
		case 7:
			h.Version, h.Pod = anyText(t, "version"), anyText(t, "pod")
		case 8:
			h.Error, h.Reason, h.URL, h.Method, h.Route = anyText(t, "error"), anyText(t, "reason"), anyText(t, "url"), anyText(t, "method"), anyText(t, "route")
		case 9:
			h.Unsent, h.Masked = true, rapid.SampledFrom([]int{0, 1, -1, math.MaxInt}).Draw(t, "masked")
		case 10:
			h.BytesIn, h.BytesOut, h.Body = anyCount(t, "in"), anyCount(t, "out"), []byte(anyText(t, "body"))
		}
	}
	return h
}

func anyEvent(t *rapid.T) history.Event {
	e := history.Event{At: anyTime(t, "moment")}
	switch e.Kind = rapid.SampledFrom([]history.Kind{history.KindWindow, history.KindWindow, history.KindChange, history.KindChange, history.KindChange, history.KindGap, history.KindEviction,
		history.KindStep, history.KindDisturbance, history.KindDisturbance, history.KindMilestone, history.KindNote, history.KindRun, history.KindEnd, "future"}).Draw(t, "kind"); e.Kind {
	case history.KindWindow:
		e.Window = anyWindow(t)
	case history.KindChange:
		e.Change = anyChange(t)
	case history.KindGap:
		e.Gap = &history.Gap{Resource: rapid.SampledFrom([]string{"*", "pods", ""}).Draw(t, "resource"), From: anyTime(t, "from"), To: anyTime(t, "to"), Lost: rapid.Bool().Draw(t, "lost")}
	case history.KindEviction:
		e.Eviction = &history.Eviction{Disturbance: anyText(t, "drain"), Namespace: "n", Pod: anyText(t, "pod"), Node: anyText(t, "node"), DryRun: rapid.Bool().Draw(t, "dry"),
			Code: rapid.SampledFrom([]int{0, 201, 404, 429, 500, -1}).Draw(t, "code"), Cause: rapid.SampledFrom([]string{"", "DisruptionBudget"}).Draw(t, "cause"), Latency: anyTime(t, "latency")}
	case history.KindStep:
		e.Step = &history.Step{Workload: anyWorkload(t), Name: anyText(t, "step"), Stable: anyText(t, "stable"), Canary: anyText(t, "canary"), Weight: anyFloat(t, "weight")}
	case history.KindDisturbance:
		e.Disturbance = &history.Disturbance{ID: rapid.SampledFrom([]string{"", "d1", "d2"}).Draw(t, "id"), Name: rapid.SampledFrom([]string{"", "drain", "release", "readiness-lost", "kill"}).Draw(t, "name"),
			Phase:    rapid.SampledFrom([]history.Phase{history.Began, history.Began, history.Landed, history.Healed, history.Failed, history.Unhealed, "odd"}).Draw(t, "phase"),
			Workload: anyWorkload(t), Injects: rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(t, "injects"), Hash: rapid.SampledFrom([]string{"", "h1", "h2"}).Draw(t, "hash"),
			Evidence: []history.Evidence{{What: anyText(t, "what"), Saw: anyText(t, "saw")}}}
	case history.KindMilestone:
		e.Milestone = &history.Milestone{Name: rapid.SampledFrom([]string{"", history.BrokenOff, "x"}).Draw(t, "milestone")}
	case history.KindNote:
		e.Note = &history.Note{Text: anyText(t, "note"), Data: rapid.SampledFrom([]any{nil, 1, "x", []int{1}, map[string]any{"checked": "x"}}).Draw(t, "data")}
	case history.KindRun:
		e.Run = &history.Header{Run: history.Run{Format: rapid.IntRange(-1, 3).Draw(t, "format"), ID: anyText(t, "id")}}
	case history.KindEnd:
		e.End = &history.End{Outcome: history.EndFinished, Hits: map[string]uint64{anyText(t, "arm"): anyCount(t, "hits")}}
	}
	return e
}

func anyWindow(t *rapid.T) *history.Window {
	w := &history.Window{Arm: rapid.SampledFrom([]string{"get", "post", "control", "path", "nobody"}).Draw(t, "arm"), Index: rapid.IntRange(-1, 2).Draw(t, "index"), Ended: rapid.Bool().Draw(t, "ended"),
		Workload: anyWorkload(t), Begin: anyTime(t, "begin"), Length: anyTime(t, "length"), Deadline: anyTime(t, "deadline"), Planned: anyCount(t, "planned"), Sent: anyCount(t, "sent"), Rate: anyFloat(t, "rate")}
	w.Path = w.Arm == "path"
	w.Control = w.Path || w.Arm == "control"
	if rapid.Bool().Draw(t, "health") {
		w.Health = &history.Health{LagMax: anyTime(t, "lag"), StallMax: anyTime(t, "stall"), FilesMax: rapid.IntRange(-1, 2000).Draw(t, "files"), FilesLimit: rapid.IntRange(-1, 1024).Draw(t, "limit"), CPUBusy: anyFloat(t, "busy")}
	}
	return w
}

// objects are what changes may hold, by resource: whole ones, empty ones, and what is of another shape.
var objects = map[string][]string{
	"pods": {`{"labels":{"app":"a"},"owner":{"kind":"ReplicaSet","name":"rs"},"containers":[{"name":"c","restarts":3}],"disruption":"EvictionByEvictionAPI"}`},
	"replicasets": {`{"owner":{"kind":"Rollout","name":"a"},"hash":"h1","version":"v1","desired":1,"replicas":1,"ready":1}`,
		`{"owner":{"kind":"Rollout","name":"a"},"hash":"h2","version":"v2","desired":-1,"scaleDownAt":"soon"}`},
	"rollouts": {`{"generation":1,"observedGeneration":"1","replicas":2,"phase":"Healthy","stableRS":"h1","currentPodHash":"h1"}`,
		`{"generation":2,"observedGeneration":"2","phase":"Progressing","stableRS":"h1","currentPodHash":"h2","weights":{"canary":{"weight":10,"podTemplateHash":"h2","serviceName":"canary"},"stable":{"weight":90,"podTemplateHash":"h1","serviceName":"stable"}}}`,
		`{"generation":2,"observedGeneration":"2","phase":"Degraded","abort":true,"abortedAt":"then","stableRS":"h1","currentPodHash":"h2","weights":{"canary":{"weight":0,"podTemplateHash":"h2"}}}`,
		`{"phase":"Healthy","stableRS":"h2","currentPodHash":"h2"}`},
	"analysisruns": {`{"owner":{"kind":"Rollout","name":"a"},"hash":"h2","step":"1","phase":"Running"}`,
		`{"owner":{"kind":"Rollout","name":"a"},"hash":"h2","step":"1","phase":"Failed","metricResults":[{"name":"a","phase":"Failed","count":1,"measurements":[{"phase":"Failed","value":"[NaN]"}]}]}`,
		`{"hash":"h2","step":"x","phase":"Successful","metricResults":[]}`},
	"nodes":                {`{"ready":true}`, `{"ready":false,"unschedulable":true}`},
	"poddisruptionbudgets": {`{"generation":1,"observedGeneration":1,"desiredHealthy":2,"disruptionsAllowed":-1,"selector":"app=a"}`, `{"selector":"((("}`, `{"selector":"*","disruptionsAllowed":1}`},
	"traefikservices":      {`{"services":[{"name":"stable","weight":100},{"name":"canary"}]}`, `{"services":null}`},
	"endpointslices":       {`{"endpoints":null}`},
}

func anyChange(t *rapid.T) *history.Change {
	c := &history.Change{Type: rapid.SampledFrom([]string{"added", "modified", "deleted", "odd"}).Draw(t, "type"), Namespace: rapid.SampledFrom([]string{"", "n", "other"}).Draw(t, "namespace"),
		Name: rapid.SampledFrom([]string{"", "a", "rs", "pod-a", "pod-b"}).Draw(t, "name"), UID: rapid.SampledFrom([]string{"", "u1", "u2"}).Draw(t, "uid")}
	c.Resource = rapid.SampledFrom(slices.Sorted(maps.Keys(objects))).Draw(t, "resource")
	if rapid.IntRange(0, 5).Draw(t, "odd object") > 0 {
		c.Object = json.RawMessage(rapid.SampledFrom(objects[c.Resource]).Draw(t, "object"))
	} else if text := rapid.SampledFrom([]string{"", `null`, `{}`, `[]`, `7`, `{"phase":7}`}).Draw(t, "object"); text != "" {
		c.Object = json.RawMessage(text)
	}
	if c.Resource == "pods" && rapid.IntRange(0, 5).Draw(t, "stateless") > 0 {
		c.Pod = &history.PodState{Version: anyText(t, "version"), Node: "a", Phase: rapid.SampledFrom([]string{"", "Pending", "Running", "Succeeded"}).Draw(t, "phase"), Ready: rapid.Bool().Draw(t, "ready"),
			Terminating: rapid.Bool().Draw(t, "terminating"), Signalled: rapid.Bool().Draw(t, "signalled")}
		if rapid.IntRange(0, 3).Draw(t, "told") == 0 {
			c.Pod.SignalledAt = time.Unix(rapid.SampledFrom([]int64{0, 1, 1 << 33, -1 << 33}).Draw(t, "signalled at"), 0)
		}
	}
	return c
}

// The objects of the wild records are what judges read: a field that is named wrongly would make them say nothing.
func TestTheObjectsOfWildRecordsAreRead(t *testing.T) {
	for resource, of := range map[string]any{"pods": &resource.Pod{}, "replicasets": &resource.ReplicaSet{}, "rollouts": &resource.Rollout{}, "analysisruns": &resource.AnalysisRun{},
		"nodes": &resource.Node{}, "poddisruptionbudgets": &resource.PDB{}, "traefikservices": &resource.TraefikService{}, "endpointslices": &resource.EndpointSlice{}} {
		for _, text := range objects[resource] {
			d := json.NewDecoder(strings.NewReader(text))
			d.DisallowUnknownFields()
			if err := d.Decode(of); err != nil {
				t.Error(fmt.Errorf("%s %s: %w", resource, text, err))
			}
		}
	}
}
