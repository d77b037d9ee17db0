package checks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
)

// page is another workload than testApp, with an arm of its own.
var page = history.Workload{Namespace: "bitvault", Kind: "Rollout", Name: "page"}

func (r *recording) addPage() {
	r.addArm("page", testRate, testLength)
	r.window("page").Workload = page
}

// What a bad release of one workload is excused by says nothing about another workload, nor about another release of the same one.
func TestInjectedFailuresAreExcusedByWorkloadAndRelease(t *testing.T) {
	failed := func(r *recording, arm, version, pod string) {
		h := r.at(arm, 3*time.Second)
		status503(h, version)
		h.Pod = pod
	}
	sameVersion := func(r *recording) {
		edit(r, "replicasets", "rs-h1", 0, func(o *resource.ReplicaSet) { o.Version = "v2" })
	}
	bad := func(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") }
	spoilt(t, load.SlugDropped, bad, []verdictCase{
		{name: "the bad release", want: judge.Pass, spoil: func(r *recording) { failed(r, "get", "v2", "pod-c") }},
		{name: "the bad release, by a pod that no watch saw", want: judge.Pass, spoil: func(r *recording) { failed(r, "get", "v2", "") }},
		{name: "a page of another workload, of the same version", want: judge.Fail, reason: "1 of 4 000 hits dropped", spoil: func(r *recording) {
			r.addPage()
			failed(r, "page", "v2", "")
		}},
		{name: "an arm that does not say whose answers it gets", want: judge.Fail, reason: "1 of 4 000 hits dropped", spoil: func(r *recording) {
			r.addPage()
			r.window("page").Workload = history.Workload{}
			failed(r, "page", "v2", "")
		}},
		{name: "a stable pod that tells the bad version", want: judge.Fail, reason: "1 of 3 000 hits dropped",
			spoil: func(r *recording) { failed(r, "get", "v2", "pod-a") }},
		{name: "the bad release carries the stable version's name", want: judge.Pass, spoil: func(r *recording) {
			sameVersion(r)
			failed(r, "get", "v2", "pod-c")
		}},
		{name: "the stable release, whose version's name the bad one carries", want: judge.Fail, reason: "1 of 3 000 hits dropped", spoil: func(r *recording) {
			sameVersion(r)
			failed(r, "get", "v2", "pod-a")
		}},
		{name: "one of two releases of that version, nobody knows which", want: judge.Fail, reason: "1 of 3 000 hits dropped", spoil: func(r *recording) {
			sameVersion(r)
			failed(r, "get", "v2", "")
		}},
	})
}

// Two Rollouts that release at once: the steps and the share of one do not touch those of the other.
func TestASecondRolloutDoesNotDisturbTheFirst(t *testing.T) {
	second := func(r *recording) {
		r.addPage()
		for i, at := range []time.Duration{2300 * ms, 6 * time.Second} {
			r.events = append(r.events, history.Event{At: at, Kind: history.KindStep, Step: &history.Step{
				Workload: page, Name: fmt.Sprint("page-", i), Stable: "p1", Canary: "p2", Weight: float64(100 * i)}})
		}
		for _, h := range r.between("page", 0, testLength) {
			if h.Version = "p1"; h.Intended >= 6*time.Second {
				h.Version = "p2"
			}
			h.Pod = ""
		}
	}
	two := func(t testing.TB, r *recording) { sharedRelease(t, r); second(r) }
	spoilt(t, canary.SlugShare, two, []verdictCase{
		{name: "both as their steps say", want: judge.Pass, run: judge.Pass},
		{name: "the second one's weights are not applied", want: judge.Fail, reason: "step page-1: version p2 answered", spoil: func(r *recording) {
			for _, h := range r.between("page", 8*time.Second, testLength) {
				h.Version = "p1"
			}
		}},
		{name: "no arm goes to the second one", want: judge.Inconclusive, reason: "no arm says that its answers come from rollout bitvault/page",
			spoil: func(r *recording) {
				r.window("page").Workload = testApp
				r.hits["page"] = nil
				r.window("page").Planned = 0
			}, run: judge.Inconclusive},
	})
	spoilt(t, canary.SlugBlast, two, []verdictCase{{name: "with a second Rollout", want: judge.Pass, reason: "caused 32 failures"}})
	promoted := func(t testing.TB, r *recording) { goodCanary(t, r); second(r) }
	spoilt(t, canary.SlugPromotes, promoted, []verdictCase{{name: "with a second Rollout", want: judge.Pass}})
}

// Records of format 1 name no workload: they are judged by the bare version, and by the strategy that was built in, as they were.
func TestRecordsOfFormat1AreJudgedAsBefore(t *testing.T) {
	cases := map[string]struct {
		slug  string
		base  func(testing.TB, *recording)
		spoil func(*recording)
		want  judge.Verdict
	}{
		"a failure of the bad version": {load.SlugDropped, func(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") }, nil, judge.Pass},
		"a failure of the other one": {load.SlugDropped, func(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") },
			func(r *recording) { status503(r.at("get", 3*time.Second), "v1") }, judge.Fail},
		"an abort":   {canary.SlugAbortsErrors, func(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") }, nil, judge.Pass},
		"the steps":  {canary.SlugSteps, goodCanary, nil, judge.Pass},
		"the share":  {canary.SlugShare, sharedRelease, nil, judge.Pass},
		"the radius": {canary.SlugBlast, badRelease, nil, judge.Pass},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := cleanRun()
			c.base(t, r)
			r.run.Checks = []string{c.slug}
			if c.spoil != nil {
				c.spoil(r)
			}
			r.nameless(t)
			assertVerdict(t, judgeDir(t, asFormat1(t, r.record(t)), history.AcceptUnprotected()), c.slug, c.want)
		})
	}
}

// nameless takes from the record what format 1 does not have.
func (r *recording) nameless(t testing.TB) {
	budgets := map[string]json.RawMessage{}
	must(t, json.Unmarshal(r.run.Budgets, &budgets))
	for _, strategy := range []string{"weights", "metrics", "slow"} {
		delete(budgets, strategy)
	}
	var err error
	r.run.Budgets, err = json.Marshal(budgets)
	must(t, err)
	for i := range r.windows {
		r.windows[i].Workload = history.Workload{}
	}
	for i := range r.events {
		if d := r.events[i].Disturbance; d != nil {
			d.Workload, d.Hash = history.Workload{}, ""
		}
		if s := r.events[i].Step; s != nil {
			s.Workload = history.Workload{}
		}
	}
}

// asFormat1 makes a record say that it is of format 1, with an end that has no outcome and budgets that tell nothing of the strategy.
func asFormat1(t testing.TB, dir string) string {
	t.Helper()
	for file, replace := range map[string][][2]string{
		"run.json":     {{`"format": 2`, `"format": 1`}},
		"events.jsonl": {{`"run":{"format":2`, `"run":{"format":1`}, {`"outcome":"finished",`, ``}},
	} {
		path := filepath.Join(dir, file)
		data, err := os.ReadFile(path)
		must(t, err)
		for _, r := range replace {
			if !bytes.Contains(data, []byte(r[0])) {
				t.Fatalf("%s does not hold %s", file, r[0])
			}
			data = bytes.Replace(data, []byte(r[0]), []byte(r[1]), 1)
		}
		must(t, os.WriteFile(path, data, 0o644))
	}
	return dir
}
