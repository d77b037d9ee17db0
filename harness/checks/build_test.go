package checks_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// recording is a run as a test wants it recorded. Tests start from cleanRun, break one thing and look at the verdict.
type recording struct {
	run      history.Run
	clock    history.Clock
	windows  []history.Window // as they end; Sent is counted from the hits unless a test set it
	sent     map[string]uint64
	noEnd    map[string]bool // windows of these arms never end
	noBegin  bool            // no beginning of a window is recorded
	hits     map[string][]history.Hit
	ledgers  []*bookkeeping
	events   []history.Event
	outcome  history.Outcome
	abandon  bool
	ends     time.Duration // when the run ends; zero: with the last that it tells of
	endless  bool          // windows have no planned end
	reversed bool          // hits and events are recorded backwards
}

const (
	testRate     = 100
	testLength   = 10 * time.Second
	testDeadline = 2 * time.Second
)

// testStrategy is what the scenarios of these tests say of theirs.
var testStrategy = canary.Strategy{
	Weights: []int32{10, 30}, Metrics: canary.Metrics{Errors: "errors", Latency: "latency", CPU: "cpu", Late: "errors"}, Slow: 500 * time.Millisecond,
}

// testApp is the workload that is released in these tests.
var testApp = history.Workload{Namespace: "bitvault", Kind: "Rollout", Name: "bitvaultd"}

// workloadOf is whose answers an arm gets.
func workloadOf(arm string) history.Workload {
	if arm == "control" {
		return history.Workload{}
	}
	return testApp
}

// cleanRun is a run in which every promise holds: three arms and the control arm at 100 hits/s each for ten seconds, and a
// canary release from v1 to v2 that replaces two pods.
func cleanRun() *recording {
	r := &recording{
		run:     history.Run{ID: "r1", Scenario: "test/clean"},
		clock:   history.NewClock(),
		hits:    map[string][]history.Hit{},
		sent:    map[string]uint64{},
		noEnd:   map[string]bool{},
		outcome: history.EndFinished,
	}
	for _, arm := range []string{"get", "post", "post-close", "control"} {
		r.addArm(arm, testRate, testLength)
	}
	r.disturbance("d1", "release", "", 3*time.Second, 4*time.Second, 6*time.Second)
	return r
}

func (r *recording) addArm(arm string, rate int, length time.Duration) {
	w := history.Window{
		Arm: arm, Index: 1, Control: arm == "control", Workload: workloadOf(arm), Rate: float64(rate), Length: length, Deadline: testDeadline,
		Planned: uint64(rate) * uint64(length/time.Second), Ended: true,
		Health: &history.Health{LagMax: 2 * time.Millisecond, StallMax: 3 * time.Millisecond, FilesMax: 20, FilesLimit: 1024, CPUBusy: 0.4},
	}
	r.windows = append(r.windows, w)
	for i := range int(w.Planned) {
		at := time.Duration(i) * time.Second / time.Duration(rate)
		r.hits[arm] = append(r.hits[arm], history.Hit{
			Seq: uint64(i), Code: 200, Intended: at, At: at + time.Millisecond, Latency: 5 * time.Millisecond, Window: 1,
			Method: "GET", URL: "http://127.0.0.1/", Version: "v1", Pod: "pod-a", BytesIn: 900,
		})
	}
}

func (r *recording) disturbance(id, name, injects string, began, landed, healed time.Duration) {
	evidence := []history.Evidence{{What: "pods of version v2", Saw: "2 ready"}}
	hash, fault := "", history.Fault{}
	if injects != "" {
		hash, fault = "h2", history.Fault{Status: 503}
	}
	for _, e := range []struct {
		at       time.Duration
		phase    history.Phase
		evidence []history.Evidence
	}{{began, history.Began, nil}, {landed, history.Landed, evidence}, {healed, history.Healed, nil}} {
		if e.at != 0 {
			r.events = append(r.events, history.Event{At: e.at, Kind: history.KindDisturbance,
				Disturbance: &history.Disturbance{ID: id, Name: name, Phase: e.phase, Workload: testApp, Injects: injects, Hash: hash, Fault: fault, Evidence: e.evidence}})
		}
	}
}

// injects says how the answers of the release that is bad on purpose are bad.
func (r *recording) injects(fault history.Fault) {
	for i := range r.events {
		if d := r.events[i].Disturbance; d != nil && d.Injects != "" {
			d.Fault = fault
		}
	}
}

// drop removes the phases of a disturbance that has them.
func (r *recording) forget(phase history.Phase) {
	r.events = slices.DeleteFunc(r.events, func(e history.Event) bool { return e.Disturbance != nil && e.Disturbance.Phase == phase })
}

func (r *recording) window(arm string) *history.Window {
	i := slices.IndexFunc(r.windows, func(w history.Window) bool { return w.Arm == arm })
	return &r.windows[i]
}

// leaveOut makes it a run that planned no hit in a time, in the given arms or in all.
func (r *recording) leaveOut(from, until time.Duration, arms ...string) {
	for i := range r.windows {
		w := &r.windows[i]
		if len(arms) > 0 && !slices.Contains(arms, w.Arm) {
			continue
		}
		kept := slices.DeleteFunc(r.hits[w.Arm], func(h history.Hit) bool { return h.Intended >= from && h.Intended < until })
		for k := range kept {
			kept[k].Seq = uint64(k)
		}
		r.hits[w.Arm], w.Planned = kept, uint64(len(kept))
	}
}

// at is the hit of an arm that was intended at or right after a moment.
func (r *recording) at(arm string, at time.Duration) *history.Hit {
	for i := range r.hits[arm] {
		if r.hits[arm][i].Intended >= at {
			return &r.hits[arm][i]
		}
	}
	panic("no hit of arm " + arm + " at " + at.String())
}

// between is the hits of an arm intended from one moment up to another.
func (r *recording) between(arm string, from, until time.Duration) []*history.Hit {
	var all []*history.Hit
	for i := range r.hits[arm] {
		if h := &r.hits[arm][i]; h.Intended >= from && h.Intended < until {
			all = append(all, h)
		}
	}
	return all
}

func reset(h *history.Hit) {
	h.Class, h.Code, h.Error, h.Reason, h.Version, h.Pod = history.ClassApplication, 0, "connection reset by peer", "reset", "", ""
}

func status503(h *history.Hit, version string) {
	h.Class, h.Code, h.Reason, h.Version = history.ClassApplication, 503, "status 503", version
}

// record writes the run into a new directory.
func (r *recording) record(t testing.TB) string {
	t.Helper()
	return r.recordIn(t, filepath.Join(t.TempDir(), "run"))
}

func (r *recording) recordIn(t testing.TB, dir string) string {
	t.Helper()
	if r.run.Budgets == nil {
		r.budgets(t, func(*checks.Budgets) {})
	}
	rec, err := history.Create(dir, r.run, history.StoppedClock(r.clock.Started(), r.over()))
	must(t, err)
	for _, e := range r.allEvents() {
		must(t, rec.Append(e))
	}
	for _, w := range r.windows {
		arm, err := rec.Arm(w.Arm)
		must(t, err)
		for _, h := range inOrderOfEnd(r.hits[w.Arm], r.reversed) {
			must(t, arm.Write(&h))
		}
		must(t, arm.Flush())
	}
	for _, l := range r.ledgers {
		l.record(t, rec)
	}
	if r.abandon {
		must(t, rec.Abandon())
	} else {
		must(t, rec.Close(r.outcome, ""))
	}
	return dir
}

// allEvents is the events with those of the windows, in the order of time.
func (r *recording) allEvents() []history.Event {
	all := slices.Clone(r.events)
	for _, w := range r.windows {
		begun := w
		begun.Ended, begun.Sent, begun.Health = false, 0, nil
		if r.endless {
			begun.Planned, begun.Length = 0, 0
		}
		if !r.noBegin {
			all = append(all, history.Event{At: w.Begin + 1, Kind: history.KindWindow, Window: &begun})
		}
		if r.noEnd[w.Arm] {
			continue
		}
		ended := w
		ended.Sent = r.countSent(w.Arm)
		all = append(all, history.Event{At: w.Begin + w.Length + 1, Kind: history.KindWindow, Window: &ended})
	}
	slices.SortStableFunc(all, func(a, b history.Event) int { return int(a.At - b.At) })
	if r.reversed {
		slices.Reverse(all)
	}
	return all
}

// over is when the last of what the run tells of happened.
func (r *recording) over() time.Duration {
	if r.ends != 0 {
		return r.ends
	}
	over := time.Duration(1)
	if r.abandon {
		return over // nothing is recorded of its end, and its batches tell of no later moment than its events
	}
	for _, e := range r.allEvents() {
		over = max(over, e.At)
	}
	for _, hits := range r.hits {
		for _, h := range hits {
			over = max(over, h.End())
		}
	}
	return over
}

func (r *recording) countSent(arm string) uint64 {
	if n, ok := r.sent[arm]; ok {
		return n
	}
	var n uint64
	for i := range r.hits[arm] {
		if !r.hits[arm][i].Unsent {
			n++
		}
	}
	return n
}

func inOrderOfEnd(hits []history.Hit, reversed bool) []history.Hit {
	sorted := slices.Clone(hits)
	slices.SortStableFunc(sorted, func(a, b history.Hit) int { return int(a.End() - b.End()) })
	if reversed {
		slices.Reverse(sorted)
	}
	return sorted
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// judged records the run and judges it by the given checks besides those that always are.
func (r *recording) judged(t testing.TB, slugs ...string) judge.Result {
	t.Helper()
	r.run.Checks = slugs
	return judgeDir(t, r.record(t))
}

func (r *recording) budgets(t testing.TB, change func(*checks.Budgets)) {
	t.Helper()
	b := checks.DefaultBudgets()
	b.Strategy = testStrategy
	change(&b)
	data, err := json.Marshal(b)
	must(t, err)
	r.run.Budgets = data
}

// fewSuffice lets a zero in any number of hits say something.
func (r *recording) fewSuffice(t testing.TB) {
	t.Helper()
	r.budgets(t, func(b *checks.Budgets) { b.Fewest, b.FewestOfArm = 1, 1 })
}

func judgeDir(t testing.TB, dir string, options ...history.Option) judge.Result {
	t.Helper()
	h, err := history.Open(dir, options...)
	must(t, err)
	result, err := checks.Recorded(context.Background(), h)
	must(t, err)
	return result
}

func promise(t testing.TB, r judge.Result, slug string) judge.Promise {
	t.Helper()
	for _, p := range r.Promises {
		if p.Slug == slug {
			return p
		}
	}
	t.Fatalf("no promise %s was judged", slug)
	return judge.Promise{}
}

func assertVerdict(t testing.TB, r judge.Result, slug string, want judge.Verdict) judge.Promise {
	t.Helper()
	p := promise(t, r, slug)
	if p.Verdict != want {
		t.Errorf("%s is %s, want %s: %s", slug, p.Verdict, want, p.Reason)
	}
	return p
}
