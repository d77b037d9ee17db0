package checks_test

import (
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// handedOver is the clean ledger of a store whose primary is handed on so many times while it is disturbed.
func handedOver(times int) *bookkeeping {
	l := cleanLedger("postgres", false)
	l.views = []history.View{{At: 1, Leader: "m-0"}}
	for i := 1; i <= times; i++ {
		l.views = append(l.views, history.View{At: 2900*ms + time.Duration(i)*150*ms, Leader: []string{"m-0", "m-1"}[i%2]})
	}
	return l
}

func TestSwitchover(t *testing.T) {
	cases := []struct {
		name  string
		times int
		spoil func(l *bookkeeping, r *recording)
		want  judge.Verdict
		tells string
	}{
		{"twenty", 20, func(*bookkeeping, *recording) {}, judge.Pass, "20 hand-overs; 0 of 450"},
		{"one too few", 19, func(*bookkeeping, *recording) {}, judge.Inconclusive, "19 hand-overs seen, at least 20 are needed"},
		{"one commit is lost", 20, func(l *bookkeeping, _ *recording) { l.lose("m-1", 200, 1) }, judge.Fail, "does not have 1 of 450"},
		{"one commit is lost in too few", 3, func(l *bookkeeping, _ *recording) { l.lose("m-1", 200, 1) }, judge.Fail, "does not have 1 of 450"},
		{"as many as the scenario asks for", 3, func(_ *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.FewestHandovers = 3 })
		}, judge.Pass, "3 hand-overs"},
		{"one of them before anything happens", 20, func(l *bookkeeping, _ *recording) { l.views[1].At = 2 * time.Second }, judge.Inconclusive, "19 hand-overs seen"},
		{"one of them long afterwards", 20, func(l *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.PromotedWithin = 3 * time.Second })
			l.views[20].At = 7 * time.Second
		}, judge.Inconclusive, "19 hand-overs seen"},
		{"of another store's disturbance", 20, func(_ *bookkeeping, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Workload = testApp })
		}, judge.Inconclusive, "nothing was tested"},
		{"the ledger is not whole", 20, func(l *bookkeeping, _ *recording) { l.event.Lost = "it was cut" }, judge.Inconclusive, "it was cut"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := handedOver(c.times)
			r := withLedger(l)
			c.spoil(l, r)
			p := assertVerdict(t, r.judged(t, postgres.SlugSwitchover), postgres.SlugSwitchover, c.want)
			if text := p.Reason + textOf(p); !strings.Contains(text, c.tells) {
				t.Errorf("it tells %q, want %q", text, c.tells)
			}
			if (p.Power != nil) != (c.want == judge.Pass) || p.Power != nil && p.Power.Hits != uint64(c.times) {
				t.Errorf("the power is %+v", p.Power)
			}
		})
	}
}

// The same folds serve all stores: each area's checks look at the ledgers of their own store alone.
func TestChecksLookAtTheirOwnStore(t *testing.T) {
	lost := cleanLedger("nats", true)
	lost.lose("m-0", 7, 1)
	r := withLedger(cleanLedger("postgres", false))
	r.run.Probes = append(r.run.Probes, history.ProbeLedger("nats"))
	r.ledgers = append(r.ledgers, lost)
	assertVerdict(t, r.judged(t, postgres.SlugNoAckedLoss, postgres.SlugFailover), postgres.SlugNoAckedLoss, judge.Pass)
}
