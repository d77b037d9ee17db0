package checks_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
)

// keeper records what the store's operator says of its primary.
func (r *recording) keeper(at time.Duration, primary string) {
	data, err := json.Marshal(resource.PostgresCluster{Instances: 3, CurrentPrimary: primary})
	if err != nil {
		panic(err)
	}
	r.events = append(r.events, history.Event{At: at + 4, Kind: history.KindChange, Change: &history.Change{
		Type: "modified", Resource: clusters, Namespace: testNATS.Namespace, Name: testNATS.Name, UID: "uid-keeper", Object: data,
	}})
}

// renewed has a member end at a moment, and the next of its name Ready 700 ms later. n counts those of its name from 0.
func (r *recording) renewed(at time.Duration, pod string, n int) {
	old, next := fmt.Sprint("uid-", pod, n), fmt.Sprint("uid-", pod, n+1)
	r.serverPod(at, "modified", pod, old, true, true)
	r.serverPod(at+300*ms, "deleted", pod, old, false, true)
	r.serverPod(at+310*ms, "added", pod, next, false, false)
	r.serverPod(at+700*ms, "modified", pod, next, true, false)
}

// rolledPrimary is an update of three members from 2 s to 5 s, that healing takes back until 8 s. m-0 leads, and then m-1.
func rolledPrimary(_ testing.TB, r *recording) {
	*r = *withLedger(ledLedger("postgres"))
	r.events = slices.DeleteFunc(r.events, func(e history.Event) bool { return e.Disturbance != nil })
	r.disturbance("d1", history.RollName, "", 2*time.Second, 5*time.Second, 8*time.Second)
	r.disturbances(func(d *history.Disturbance) { d.Workload = testNATS })
	for _, pod := range []string{"m-0", "m-1", "m-2"} {
		r.serverPod(0, "added", pod, "uid-"+pod+"0", true, false)
	}
	r.keeper(0, "m-0")
	r.renewed(2100*ms, "m-2", 0)
	r.renewed(2900*ms, "m-1", 0)
	r.keeper(3700*ms, "m-1")
	r.renewed(3900*ms, "m-0", 0)
	r.renewed(5100*ms, "m-2", 1)
	r.renewed(5900*ms, "m-0", 1)
	r.keeper(6700*ms, "m-0")
	r.renewed(6900*ms, "m-1", 1)
	b := checks.DefaultBudgets()
	b.Watch = 50 * ms
	var err error
	if r.run.Budgets, err = json.Marshal(b); err != nil {
		panic(err)
	}
}

// swap has two members end in each other's place.
func (r *recording) swap(first, second string, from, until time.Duration) {
	for i := range r.events {
		c := r.events[i].Change
		if c == nil || c.Resource != "pods" || r.events[i].At < from || r.events[i].At > until {
			continue
		}
		copied := *c
		switch c.Name {
		case first:
			copied.Name, copied.UID = second, strings.Replace(c.UID, first, second, 1)
		case second:
			copied.Name, copied.UID = first, strings.Replace(c.UID, second, first, 1)
		}
		r.events[i].Change = &copied
	}
}

func TestRolling(t *testing.T) {
	inOrder := func(*recording) {}
	cases := []struct {
		name  string
		spoil func(r *recording)
		want  judge.Verdict
		tells string
	}{
		{"the primary last, both ways", inOrder, judge.Pass, "6 members were replaced one after another"},
		{"not taken back", func(r *recording) {
			r.events = slices.DeleteFunc(r.events, func(e history.Event) bool { return e.Change != nil && e.At > 5*time.Second })
		}, judge.Pass, "3 members were replaced"},
		{"the primary first", func(r *recording) { r.swap("m-0", "m-2", 2*time.Second, 5*time.Second) }, judge.Fail, "m-0 led when the update began, and was ended before the others"},
		{"the primary second", func(r *recording) { r.swap("m-0", "m-1", 2*time.Second, 5*time.Second) }, judge.Fail, "m-0 led when the update began"},
		{"the primary first, when it is taken back", func(r *recording) { r.swap("m-1", "m-2", 5*time.Second, 8*time.Second) }, judge.Fail, "m-1 led when the update began"},
		{"no hand-over", func(r *recording) { r.forgetKeeper(3700 * ms) }, judge.Fail, "m-0 was ended while it led"},
		{"a hand-over after the end", func(r *recording) {
			r.forgetKeeper(3700 * ms)
			r.keeper(3960*ms, "m-1")
		}, judge.Fail, "m-0 was ended while it led"},
		{"a hand-over that the watch tells late of", func(r *recording) {
			r.forgetKeeper(3700 * ms)
			r.keeper(3940*ms, "m-1")
		}, judge.Pass, ""},
		{"two at once", func(r *recording) {
			r.forgetPod("m-1", ms, 4*time.Second)
			r.renewed(2500*ms, "m-1", 0)
		}, judge.Fail, "m-1 was ended while 1 of the 2 others were ready"},
		{"one that the watch tells late of", func(r *recording) {
			r.forgetPod("m-1", ms, 4*time.Second)
			r.renewed(2770*ms, "m-1", 0) // m-2 is ready again at 2 800 ms
		}, judge.Pass, ""},
		{"one stays as it is", func(r *recording) { r.forgetPod("m-2", ms, 5*time.Second) }, judge.Inconclusive, "m-2 was not seen to be replaced"},
		{"nobody tells of the primary", func(r *recording) { r.forgetKeeper(0) }, judge.Inconclusive, "nobody tells which member"},
		{"no update", func(r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Name = "release" })
		}, judge.Inconclusive, "rolling update that landed"},
		{"an update of another workload", func(r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Workload.Name = "other" })
		}, judge.Inconclusive, "no rolling update of statefulset nats/nats landed"},
		{"it did not land", func(r *recording) { r.forget(history.Landed) }, judge.Inconclusive, "rolling update that landed"},
		{"too long without a commit", func(r *recording) {
			b := checks.DefaultBudgets()
			b.Watch, b.UpdateGap = 50*ms, 299*ms
			r.run.Budgets, _ = json.Marshal(b)
		}, judge.Fail, "no write was acknowledged for"},
		{"two primaries at once", func(r *recording) {
			for i := range r.ledgers[0].writes {
				w := &r.ledgers[0].writes[i]
				w.By = []string{"m-0", "m-1"}[i/50%2]
			}
		}, judge.Fail, "there were two at once"},
		{"the ledger is not whole", func(r *recording) { r.ledgers[0].event.Lost = "it was cut" }, judge.Inconclusive, "it was cut"},
		{"a gap in the pods", func(r *recording) { r.gap("pods", 2500*ms, 2600*ms, true) }, judge.Inconclusive, "changes of pods"},
		{"a gap in the clusters", func(r *recording) { r.gap(clusters, 2500*ms, 2600*ms, true) }, judge.Inconclusive, "changes of clusters"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := cleanRun()
			rolledPrimary(t, r)
			c.spoil(r)
			p := assertVerdict(t, r.judged(t, postgres.SlugRolling), postgres.SlugRolling, c.want)
			if text := p.Reason + textOf(p); !strings.Contains(text, c.tells) {
				t.Errorf("it tells %q, want %q", text, c.tells)
			}
		})
	}
}

// forgetKeeper removes what the operator said at a moment; of 0 all of it.
func (r *recording) forgetKeeper(at time.Duration) {
	before := len(r.events)
	r.events = slices.DeleteFunc(r.events, func(e history.Event) bool {
		return e.Change != nil && e.Change.Resource == clusters && e.Change.Namespace == testNATS.Namespace && (at == 0 || e.At == at+4)
	})
	if len(r.events) == before {
		panic("nothing is recorded of the operator's word")
	}
}
