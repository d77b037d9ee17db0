package reports_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

const ms = time.Millisecond

// sampleStart replaces the start of sample records where golden files show it.
var sampleStart = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

var sampleArms = []string{"get", "post", "post-close", "control"}

// recordSample records a believable run: four arms at 75/s each for 60 s, a canary release and a drain, pods that come and
// go, and twelve failed hits. It returns the opened record.
func recordSample(t testing.TB) *history.History {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	r, err := history.Create(dir, history.Run{
		ID: "r-7f3a", Scenario: "canary/promotes-good", Pace: "fast", Seed: 42, Command: []string{"rollproof", "run", "canary/promotes-good"},
		Versions: map[string]string{"rollproof": "v0.1.0", "go": "go1.26.8", "kubernetes": "v1.36.3", "bitvaultd": "sha256:3f1c0a"},
		Machine:  history.Machine{OS: "linux/amd64, Debian 12", CPU: "EPYC", Cores: 2, Memory: 24 << 30},
	}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range sampleEvents() {
		if err := r.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, arm := range sampleArms {
		recordArm(t, r, arm)
	}
	if err := r.Close(history.EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func open(t testing.TB, dir string) *history.History {
	t.Helper()
	h, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func recordArm(t testing.TB, r *history.Recorder, arm string) {
	t.Helper()
	w, err := r.Arm(arm)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, uint64(len(arm))))
	for seq := range 4500 {
		at := time.Second + time.Duration(seq)*time.Second/75
		h := history.Hit{
			Seq: uint64(seq), Code: 200, Intended: at, At: at + time.Duration(random.IntN(400))*time.Microsecond, Window: 1,
			Latency: 2*ms + time.Duration(random.ExpFloat64()*float64(1500*time.Microsecond)), BytesIn: 900, Method: "GET", URL: "http://127.0.0.1:8080/api/v1/vaults",
			Version: "v1", Pod: "bitvaultd-6c9f-a",
		}
		share := map[bool]float64{at > 10*time.Second: 0.1, at > 25*time.Second: 0.3, at > 40*time.Second: 1}
		for passed, s := range share {
			if passed && arm != "control" && random.Float64() < s {
				h.Version, h.Pod = "v2", "bitvaultd-5d77-b"
			}
		}
		if arm == "control" {
			h.Version, h.Pod = "control", "control-0"
		}
		if arm == "get" && seq > 3000 && seq < 3004 {
			h.Masked = 1
		}
		failSample(&h, arm)
		if err := w.Write(&h); err != nil {
			t.Fatal(err)
		}
	}
}

// failSample makes twelve of the hits fail: nine while the old pods go, two of a bad release, one of nobody's known fault.
func failSample(h *history.Hit, arm string) {
	fail := func(code uint16, class history.Class, reason, text string) {
		h.Code, h.Class, h.Reason, h.Error = code, class, reason, text
	}
	switch {
	case arm == "post" && h.Seq >= 3001 && h.Seq < 3008:
		fail(0, history.ClassApplication, "reset", "read tcp 127.0.0.1:53412->127.0.0.1:8080: read: connection reset by peer")
		h.Version, h.Pod = "v1", "bitvaultd-6c9f-a"
	case arm == "post-close" && (h.Seq == 3003 || h.Seq == 3004):
		fail(502, history.ClassIngress, "status 502", "")
		h.Version, h.Pod, h.Body = "", "", []byte("<html><body>Bad Gateway</body></html>")
	case arm == "get" && (h.Seq == 1200 || h.Seq == 1230):
		fail(500, history.ClassApplication, "status 500", "")
		h.Version, h.Pod = "v2", "bitvaultd-5d77-b"
	case arm == "get" && h.Seq == 3700:
		fail(0, history.ClassAmbiguous, "deadline", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
		h.Version, h.Pod, h.Latency = "", "", 5*time.Second
	}
}

func sampleEvents() []history.Event {
	var events []history.Event
	for _, arm := range sampleArms {
		w := history.Window{
			Arm: arm, Index: 1, Control: arm == "control", KeepAlive: arm != "post-close", Pacing: "constant 75/s", Rate: 75,
			Begin: time.Second, Length: 60 * time.Second, Planned: 4500, Deadline: 5 * time.Second,
		}
		began := w
		events = append(events, history.Event{At: time.Second, Kind: history.KindWindow, Window: &began})
		w.Ended, w.Sent = true, 4500
		w.Health = &history.Health{LagP50: 190 * time.Microsecond, LagP99: 400 * time.Microsecond, LagMax: 3 * ms, StallMax: 2 * ms, SocketsMax: 12, CPU: 0.21}
		events = append(events, history.Event{At: 61 * time.Second, Kind: history.KindWindow, Window: &w})
	}
	disturb := func(at time.Duration, d history.Disturbance) {
		events = append(events, history.Event{At: at, Kind: history.KindDisturbance, Disturbance: &d})
	}
	disturb(10*time.Second, history.Disturbance{ID: "d1", Name: "release", Target: "bitvaultd v2", Phase: history.Began})
	disturb(12*time.Second, history.Disturbance{ID: "d1", Name: "release", Phase: history.Landed, Evidence: []history.Evidence{{What: "answers of v2", Saw: "17 of 150 in the last second"}}})
	disturb(42*time.Second, history.Disturbance{ID: "d1", Name: "release", Phase: history.Healed, Evidence: []history.Evidence{{What: "stable hash", Saw: "5d77"}}})
	disturb(50*time.Second, history.Disturbance{ID: "d2", Name: "drain", Target: "node worker-2", Phase: history.Began})
	disturb(51*time.Second, history.Disturbance{ID: "d2", Name: "drain", Phase: history.Landed, Evidence: []history.Evidence{{What: "node", Saw: "unschedulable, 3 pods evicted"}}})
	disturb(56*time.Second, history.Disturbance{ID: "d2", Name: "drain", Phase: history.Healed})
	for _, s := range []struct {
		at     time.Duration
		name   string
		weight float64
	}{{10, "canary-10", 10}, {25, "canary-30", 30}, {40, "promoted", 100}} {
		events = append(events, history.Event{At: s.at * time.Second, Kind: history.KindStep, Step: &history.Step{Name: s.name, Stable: "v1", Canary: "v2", Weight: s.weight}})
	}
	events = append(events, samplePods()...)
	evicted := func(at time.Duration, code int, message string) history.Event {
		return history.Event{At: at, Kind: history.KindEviction, Eviction: &history.Eviction{Disturbance: "drain-1", Namespace: "bitvault", Pod: "bitvaultd-5d77-c", Code: code, Message: message}}
	}
	return append(events,
		evicted(50500*ms, 429, "the budget needs 3 healthy pods and has 3"), evicted(51*time.Second, 201, ""),
		history.Event{At: 9 * time.Second, Kind: history.KindMilestone, Milestone: &history.Milestone{Name: "settled", Text: "all workloads Ready"}},
	)
}

func samplePods() []history.Event {
	var events []history.Event
	for _, p := range []struct {
		name, version                      string
		added, ready, terminating, deleted time.Duration
	}{
		{"bitvaultd-6c9f-a", "v1", 100, 200, 41000, 46000}, {"bitvaultd-6c9f-b", "v1", 100, 200, 42000, 47000},
		{"bitvaultd-5d77-a", "v2", 10200, 11500, 0, 0}, {"bitvaultd-5d77-b", "v2", 25200, 26400, 0, 0},
		{"bitvaultd-5d77-c", "v2", 40100, 41200, 51000, 55000}, {"bitvaultd-5d77-d", "v2", 51100, 52600, 0, 0},
	} {
		state := history.PodState{Version: p.version, Node: "worker-1", IP: "10.244.1.7", Phase: "Running"}
		add := func(at time.Duration, kind string, change func(*history.PodState)) {
			if at == 0 {
				return
			}
			change(&state)
			s := state
			events = append(events, history.Event{At: at * ms, Kind: history.KindChange, Change: &history.Change{
				Type: kind, Resource: "pods", Namespace: "bitvault", Name: p.name, UID: "u-" + p.name, Pod: &s,
			}})
		}
		add(p.added, "added", func(*history.PodState) {})
		add(p.ready, "modified", func(s *history.PodState) { s.Ready = true })
		add(p.terminating, "modified", func(s *history.PodState) { s.Ready, s.Terminating = false, true })
		add(p.deleted, "deleted", func(*history.PodState) {})
	}
	return events
}

// sampleResult is what a judge may say of the sample.
func sampleResult() judge.Result {
	var findings []judge.Finding
	for i := range 7 {
		seq := 3001 + i
		findings = append(findings, judge.Finding{
			At: time.Second + time.Duration(seq)*time.Second/75, Arm: "post", Hit: fmt.Sprintf("post/%d", seq), Class: "application",
			Text:     "reset: read tcp 127.0.0.1:53412->127.0.0.1:8080: read: connection reset by peer",
			Evidence: []string{"answered by v1, pod bitvaultd-6c9f-a", "pod bitvaultd-6c9f-a was terminating since 41.000 s"},
		})
	}
	power := func(hits uint64, rate float64) *judge.Power {
		return &judge.Power{Hits: hits, Rate: rate, MaxLossShare: 3 / float64(hits), OutageSeen: time.Duration(1e9 / rate),
			Text: fmt.Sprintf("0 of %d: at most %.3f %% lost at 95 %%; outages above %.1f ms always seen", hits, 300/float64(hits), 1000/rate)}
	}
	return judge.Result{Verdict: judge.Fail, Promises: []judge.Promise{
		{Slug: "load.zero-dropped", Text: "no request is dropped", Verdict: judge.Fail, Reason: "12 of 13 500 hits were dropped, the longest outage 94 ms", Hits: 13500, Dropped: 12, Masked: 3,
			Findings: findings, Found: 12, Power: power(13500, 225)},
		{Slug: "mechanics.pdb", Text: "a drain never takes more than the budget", Verdict: judge.Inconclusive, Reason: "only one eviction was tried", Findings: []judge.Finding{
			{At: 50500 * ms, Until: 51 * time.Second, Text: "the drain met the budget once, two are needed to tell"}}, Found: 1},
		{Slug: "load.held", Text: "the load really ran", Verdict: judge.Pass, Reason: "18 000 of 18 000 hits were sent, worst start lag 3 ms", Hits: 18000, Findings: []judge.Finding{}, Power: power(18000, 300),
			Figures: []judge.Figure{{Name: "worst start lag", Value: 3, Unit: "ms"}}},
		{Slug: "disruption.landed", Text: "the fault really happened", Verdict: judge.Pass, Reason: "2 of 2 disturbances landed", Findings: []judge.Finding{}},
		{Slug: "canary.aborts-on-cpu", Text: "CPU >= 80 % of request aborts", Verdict: judge.Skipped, Reason: "this release is good", Findings: []judge.Finding{}},
	}}
}
