package reports_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// The ledger of the sample: 100 writes a second to a Redis of three servers that is rolled. Its master hands over twice; at the first time writes are
// not acknowledged for 412 ms, and 8 are never answered.
const (
	storeBegan   = 2 * time.Second
	storeWrites  = 5800
	storeUnknown = 8
	storeStall   = 2800 // the first write of the hand-over
	storeAcked   = storeWrites - storeUnknown
)

var storeWorkload = history.Workload{Namespace: "redis", Kind: "StatefulSet", Name: "redis"}

func server(n int) string { return fmt.Sprintf("redis-%d.redis.redis.svc:6379", n) }

// storeSample is a ledger as a test wants it recorded, by its writer's clock.
type storeSample struct {
	event  history.Ledger
	opened history.LedgerOpened
	writes []history.Write
	views  []history.View
	has    map[string][]history.Found
	reads  map[string]history.MemberRead
	closed *history.LedgerClosed
	beside *storeSample // another ledger of the same run
}

func newStoreSample() *storeSample {
	s := &storeSample{
		event: history.Ledger{Name: "redis", Store: "redis", Workload: storeWorkload, Writer: "w", Rate: 100, Deadline: 5 * time.Second,
			Clock: history.LedgerClock{Offset: storeBegan, Within: 2 * ms, Looks: 20}},
		opened: history.LedgerOpened{Run: "r-51c2", Ledger: "redis", Writer: "w", Store: "redis", Keys: "redis-w-", Rate: 100, Deadline: 5 * time.Second, Replicas: 3},
		views: []history.View{
			{At: 1, Leader: server(0), Members: []string{server(1), server(2)}},
			{At: 20 * time.Second, Leader: server(0), Members: []string{server(1)}},
			{At: 24 * time.Second, Leader: server(0), Members: []string{server(1), server(2)}},
			{At: 28100 * ms, Error: "no sentinel names a master"},
			{At: 28400 * ms, Leader: server(1), Members: []string{server(2)}},
			{At: 36 * time.Second, Leader: server(1), Members: []string{server(0), server(2)}},
			{At: 43 * time.Second, Leader: server(0), Members: []string{server(1), server(2)}},
		},
		has: map[string][]history.Found{}, reads: map[string]history.MemberRead{},
		closed: &history.LedgerClosed{Stopped: storeWrites * 10 * ms, Planned: storeWrites},
	}
	for op := range uint64(storeWrites) {
		at := time.Duration(op) * 10 * ms
		w := history.Write{Op: op, Intended: at, Started: at + 50*time.Microsecond, Ended: at + ms, Outcome: history.WriteAcked, Tries: 1, By: server(0)}
		switch n := int(op) - storeStall; {
		case n >= 0 && n < storeUnknown:
			w.Outcome, w.By, w.Ended, w.Error, w.Tries = history.WriteUnknown, "", at+5*time.Second, "i/o timeout", 9
		case n >= 0 && n < 41:
			w.Ended, w.Tries, w.By = 28402*ms+time.Duration(n)*100*time.Microsecond, 4, server(1)
		case at >= 43*time.Second && at < 43120*ms:
			w.Ended, w.Tries = 43120*ms+time.Duration(n)*time.Microsecond, 2
		case at > 28*time.Second && at < 43*time.Second:
			w.By = server(1)
		}
		s.writes = append(s.writes, w)
	}
	for n := range 3 {
		s.closed.Members = append(s.closed.Members, server(n))
		s.has[server(n)] = []history.Found{{Op: 0, Count: storeStall}, {Op: storeStall + storeUnknown, Count: storeWrites - storeStall - storeUnknown}}
	}
	return s
}

// workerSample is a ledger of messages that two versions of a worker gave effects to.
func workerSample() *storeSample {
	s := newStoreSample()
	s.named("worker", nil)
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	s.reads[server(1)] = history.MemberRead{Effects: &history.Effects{Backlog: 3, Deliveries: 5799, Messages: 5792, Redelivered: 12, Versions: []history.VersionEffects{
		{Version: "v1", Effects: 2800, First: noon, Last: noon.Add(30 * time.Second), Together: 240}, {Version: "v2", Effects: 2992, First: noon.Add(28 * time.Second), Last: noon.Add(58 * time.Second), Together: 155},
	}}}
	return s
}

// losing takes the last n operations before the hand-over from a server.
func (s *storeSample) losing(server string, n uint64) *storeSample {
	s.has[server][0].Count -= n
	return s
}

// doubling makes a server have its first n operations twice.
func (s *storeSample) doubling(server string, n uint64) *storeSample {
	s.has[server] = append(s.has[server], history.Found{Op: 0, Count: n})
	return s
}

// named gives the ledger another name and puts one beside it.
func (s *storeSample) named(name string, beside *storeSample) *storeSample {
	s.event.Name, s.opened.Ledger, s.beside = name, name, beside
	return s
}

// hostile is a ledger in which every text that comes from outside tries to become markup.
func (s *storeSample) hostile() *storeSample {
	x := hostileText
	s.event.Workload.Name, s.event.Lost, s.opened.Keys = x, x, x
	for i := range s.views {
		s.views[i].Leader, s.views[i].Error = fmt.Sprint(x, i), x
	}
	for i := range s.writes {
		s.writes[i].By = x
	}
	s.closed.Members = append(s.closed.Members, x)
	s.reads[x] = history.MemberRead{Error: x}
	return s.losing(server(1), 34)
}

// unread makes a server answer nobody when it is read back.
func (s *storeSample) unread(server string) *storeSample {
	s.has[server] = nil
	s.reads[server] = history.MemberRead{Error: "it does not answer"}
	return s
}

// unclosed ends the ledger as a writer does that was lost.
func (s *storeSample) unclosed() *storeSample {
	s.closed, s.event.Lost = nil, "its writer was lost"
	clear(s.has)
	return s
}

// refused makes every write fail.
func (s *storeSample) refused() *storeSample {
	for i := range s.writes {
		s.writes[i].Outcome, s.writes[i].By = history.WriteFailed, ""
	}
	clear(s.has)
	return s
}

func (s *storeSample) lines() []history.LedgerLine {
	lines := []history.LedgerLine{{Opened: &s.opened}}
	for _, v := range s.views {
		lines = append(lines, history.LedgerLine{View: &v})
	}
	for _, w := range s.writes {
		lines = append(lines, history.LedgerLine{Write: &w})
	}
	ended := func(l history.LedgerLine) time.Duration {
		switch {
		case l.Write != nil:
			return l.Write.Ended
		case l.View != nil:
			return l.View.At
		}
		return 0
	}
	slices.SortStableFunc(lines, func(a, b history.LedgerLine) int { return cmp.Compare(ended(a), ended(b)) })
	if s.closed == nil {
		return lines
	}
	for _, name := range s.closed.Members {
		read := s.reads[name]
		read.Name, read.At = name, 59*time.Second
		for _, f := range s.has[name] {
			f.Member = name
			read.Entries += f.Count
			lines = append(lines, history.LedgerLine{Found: &f})
		}
		lines = append(lines, history.LedgerLine{Member: &read})
	}
	return append(lines, history.LedgerLine{Closed: s.closed})
}

func (s *storeSample) record(t testing.TB, r *history.Recorder) {
	t.Helper()
	if s.beside != nil {
		s.beside.record(t, r)
	}
	if err := r.Append(history.Event{At: storeBegan, Kind: history.KindLedger, Ledger: &s.event}); err != nil {
		t.Fatal(err)
	}
	file, err := r.Ledger(s.event.Name)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	sealed := history.NewLedgerLines(&all)
	for _, line := range s.lines() {
		if err := sealed.Append(line); err != nil {
			t.Fatal(err)
		}
	}
	for data := all.Bytes(); len(data) > 0; {
		block := data[:min(len(data), history.LedgerBlock)]
		block = block[:bytes.LastIndexByte(block, '\n')+1]
		if err := file.Append(block); err != nil {
			t.Fatal(err)
		}
		data = data[len(block):]
	}
	ended := s.event
	ended.Ended = true
	if err := r.Append(history.Event{At: 62 * time.Second, Kind: history.KindLedger, Ledger: &ended}); err != nil {
		t.Fatal(err)
	}
}

// storeRun is the run of a record of ledgers, with load beside them or without, at a time that does not change.
func storeRun(loaded bool) history.Run {
	run := history.Run{
		ID: "r-51c2", Scenario: "redis/rolling", Pace: "fast", Seed: 7, Started: sampleStart, Command: []string{"rollproof", "run", "redis/rolling"},
		Versions: map[string]string{"redis": "8.2.3"}, Machine: history.Machine{OS: "linux/amd64", CPU: "EPYC", Cores: 2, Memory: 24 << 30},
		Probes: []string{history.ProbeLedger("redis")}, Disturbances: []string{"roll"},
	}
	if loaded {
		run.Probes = append(run.Probes, history.ProbeLoad)
	}
	return run
}

// recordStore records a rolling update of a Redis that is written to, with load beside it or without.
func recordStore(t testing.TB, s *storeSample, loaded bool) *history.History {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	r, err := history.Create(dir, storeRun(loaded), history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range storeEvents(t) {
		if err := r.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if loaded {
		for _, e := range sampleEvents() {
			if e.Kind != history.KindWindow {
				continue
			}
			if err := r.Append(e); err != nil {
				t.Fatal(err)
			}
		}
		for _, arm := range sampleArms {
			recordArm(t, r, arm)
		}
	}
	if s != nil {
		s.record(t, r)
	}
	if err := r.Close(history.EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func storeEvents(t testing.TB) []history.Event {
	t.Helper()
	owner, err := json.Marshal(map[string]any{"owner": map[string]string{"kind": storeWorkload.Kind, "name": storeWorkload.Name, "uid": "u-redis"}})
	if err != nil {
		t.Fatal(err)
	}
	var events []history.Event
	for _, d := range []history.Disturbance{
		{ID: "d1", Name: "roll", Target: "statefulset redis/redis", Workload: storeWorkload, Phase: history.Began},
		{ID: "d1", Name: "roll", Phase: history.Landed, Evidence: []history.Evidence{{What: "update revision", Saw: "redis-58d9"}}},
		{ID: "d1", Name: "roll", Phase: history.Healed},
	} {
		at := map[history.Phase]time.Duration{history.Began: 20 * time.Second, history.Landed: 21 * time.Second, history.Healed: 50 * time.Second}[d.Phase]
		events = append(events, history.Event{At: at, Kind: history.KindDisturbance, Disturbance: &d})
	}
	for n, went := range []time.Duration{30500 * ms, 26 * time.Second, 22 * time.Second} {
		name := fmt.Sprint("redis-", n)
		state := history.PodState{Version: "8.2.3", Node: fmt.Sprint("worker-", n+1), IP: fmt.Sprint("10.244.1.", n+2), Phase: "Running"}
		add := func(at time.Duration, kind, uid string, change func(*history.PodState)) {
			change(&state)
			s := state
			events = append(events, history.Event{At: at, Kind: history.KindChange, Change: &history.Change{
				Type: kind, Resource: "pods", Namespace: "redis", Name: name, UID: uid, Pod: &s, Object: owner,
			}})
		}
		add(100*ms, "added", "old-"+name, func(s *history.PodState) { s.Ready = true })
		add(went, "modified", "old-"+name, func(s *history.PodState) { s.Ready, s.Terminating = false, true })
		add(went+1500*ms, "deleted", "old-"+name, func(*history.PodState) {})
		add(went+1600*ms, "added", "new-"+name, func(s *history.PodState) { s.Terminating = false })
		add(went+3500*ms, "modified", "new-"+name, func(s *history.PodState) { s.Ready = true })
	}
	return events
}

// storeResult is what a judge may say of the sample.
func storeResult(v judge.Verdict, reason string, findings ...judge.Finding) judge.Result {
	failover := judge.Promise{Slug: "redis.failover", Text: "Sentinel brings another master, and what was acknowledged is kept", Verdict: v, Reason: reason,
		Hits: storeAcked, Findings: findings, Found: uint64(len(findings))}
	switch v {
	case judge.Pass:
		failover.Power = judge.ZeroPower(storeAcked, "acknowledged writes lost")
	case judge.Fail:
		failover.Dropped = 34
	}
	return judge.Result{Verdict: v, Promises: []judge.Promise{failover,
		{Slug: "disruption.landed", Text: "the fault really happened", Verdict: judge.Pass, Reason: "1 of 1 disturbances landed", Findings: []judge.Finding{}}}}
}

// storeCase is a record of ledgers with its judgement.
type storeCase struct {
	sample func() *storeSample // nil: nothing was written
	loaded bool
	result judge.Result
}

// storeCases are of every kind, by the name of their golden files.
func storeCases() map[string]storeCase {
	passed := storeResult(judge.Pass, "2 new masters; 0 of 5 792 writes acknowledged lost, 0 declared; 412 ms at the most without one")
	lost := judge.Finding{At: storeBegan, Until: time.Minute, Text: "member " + server(1) + " does not have 34 of 5 792 writes that were acknowledged",
		Evidence: []string{"redis-w-2766", "redis-w-2767"}}
	unread := judge.Finding{At: time.Minute, Until: time.Minute, Text: "ledger redis: of 3 members these were not read to the end: " + server(2)}
	both := judge.Result{Verdict: judge.Fail, Promises: append(sampleResult().Promises[:1:1], passed.Promises...)}
	return map[string]storeCase{
		"pass": {newStoreSample, false, passed},
		"fail": {func() *storeSample { return newStoreSample().losing(server(1), 34).doubling(server(2), 2) }, false,
			storeResult(judge.Fail, lost.Text, lost)},
		"inconclusive": {func() *storeSample { return newStoreSample().unread(server(2)) }, false, storeResult(judge.Inconclusive, unread.Text, unread)},
		"both":         {newStoreSample, true, both},
		"effects":      {workerSample, false, passed},
	}
}
