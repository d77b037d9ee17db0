package checks_test

import (
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/checks/nats"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

func TestNoAckedLoss(t *testing.T) {
	second := time.Second
	cases := []struct {
		name  string
		spoil func(l *bookkeeping, r *recording)
		want  judge.Verdict
		tells string
	}{
		{"all of it is there", func(*bookkeeping, *recording) {}, judge.Pass, "0 of 450 writes acknowledged lost, on each of 3 members"},

		// A false green for each way to miss a loss.
		{"one is missing on one member", func(l *bookkeeping, _ *recording) { l.lose("m-2", 170, 1) }, judge.Fail, "member m-2 does not have 1 of 450"},
		{"the first", func(l *bookkeeping, _ *recording) { l.lose("m-0", 0, 1) }, judge.Fail, "m-0"},
		{"the last", func(l *bookkeeping, _ *recording) { l.lose("m-1", ledgerOps-1, 1) }, judge.Fail, "m-1"},
		{"94 on every member", func(l *bookkeeping, _ *recording) {
			for _, m := range l.closed.Members {
				l.lose(m, 160, 94)
			}
		}, judge.Fail, "94 of 450"},
		{"a member has nothing at all", func(l *bookkeeping, _ *recording) { l.lose("m-1", 0, ledgerOps) }, judge.Fail, "450 of 450"},
		{"two that changed places", func(l *bookkeeping, _ *recording) {
			l.lose("m-2", 200, 2)
			l.found = append(l.found, history.Found{Member: "m-2", Op: 200, Position: 202, Count: 1}, history.Found{Member: "m-2", Op: 201, Position: 201, Count: 1})
			l.read("m-2").Entries += 2
		}, judge.Fail, "2 of 450"},
		{"all of it, one place further on", func(l *bookkeeping, _ *recording) { l.found[0].Position = 2 }, judge.Fail, "450 of 450"},
		{"a loss in a run that ended early", func(l *bookkeeping, r *recording) {
			l.lose("m-2", 170, 1)
			r.outcome = history.EndInterrupted
		}, judge.Fail, "m-2"},

		// A false red for each way to take something else for a loss.
		{"unknown, and not there", func(l *bookkeeping, _ *recording) {
			l.writes[170].Outcome, l.writes[170].Position = history.WriteUnknown, 0
			l.lose("m-2", 170, 1)
		}, judge.Pass, "1 unknown"},
		{"unknown, and there", func(l *bookkeeping, _ *recording) {
			l.writes[170].Outcome, l.writes[170].Position = history.WriteUnknown, 0
		}, judge.Pass, "1 unknown"},
		{"failed, and not there", func(l *bookkeeping, _ *recording) {
			l.writes[170].Outcome, l.writes[170].Position = history.WriteFailed, 0
			for _, m := range l.closed.Members {
				l.lose(m, 170, 1)
			}
		}, judge.Pass, "0 of 449 writes"},
		{"twice, and at its place", func(l *bookkeeping, _ *recording) {
			l.found = append(l.found, history.Found{Member: "m-0", Op: 100, Position: 451, Count: 1})
			l.read("m-0").Entries++
		}, judge.Pass, "0 of 450"},
		{"acknowledged as a duplicate", func(l *bookkeeping, _ *recording) { l.writes[170].Duplicate = true }, judge.Pass, "0 of 450"},
		{"in another order than it was intended in", func(l *bookkeeping, _ *recording) {
			l.writes[170].Position, l.writes[171].Position = 172, 171
			for i := range l.found {
				l.found[i].Count = 170
			}
			for _, m := range l.closed.Members {
				l.found = append(l.found, history.Found{Member: m, Op: 171, Position: 171, Count: 1}, history.Found{Member: m, Op: 170, Position: 172, Count: 1},
					history.Found{Member: m, Op: 172, Position: 173, Count: ledgerOps - 172})
			}
		}, judge.Pass, "0 of 450"},

		// What proves nothing.
		{"a member was not read", func(l *bookkeeping, _ *recording) { l.unread("m-1") }, judge.Inconclusive, "m-1"},
		{"a member was not read to its end", func(l *bookkeeping, _ *recording) {
			l.lose("m-1", 300, 150)
			l.read("m-1").Error = "it is 150 operations behind"
		}, judge.Inconclusive, "m-1"},
		{"a member is gone", func(l *bookkeeping, _ *recording) { l.unread("m-2"); l.closed.Members = l.closed.Members[:2] }, judge.Inconclusive, "should be on 3 members"},
		{"no member was named", func(l *bookkeeping, _ *recording) { l.closed.Error = "it did not answer" }, judge.Inconclusive, "it did not answer"},
		{"more was read than told of", func(l *bookkeeping, _ *recording) { l.read("m-1").Entries = 460 }, judge.Inconclusive, "460 entries"},
		{"what nobody wrote is there", func(l *bookkeeping, _ *recording) { l.read("m-1").Foreign = 3 }, judge.Inconclusive, "3 entries that nobody intended"},
		{"a member of another store", func(l *bookkeeping, _ *recording) { l.closed.Members = []string{"m-0", "m-1", "m-3"} }, judge.Inconclusive, "m-3"},
		{"its writer was lost", func(l *bookkeeping, _ *recording) { l.event.Lost, l.closed = "its writer did not answer", nil }, judge.Inconclusive, "did not answer"},
		{"its writer did not close it", func(l *bookkeeping, _ *recording) { l.closed = nil }, judge.Inconclusive, "did not close it"},
		{"nobody saw its end", func(l *bookkeeping, _ *recording) { l.ends = 0 }, judge.Inconclusive, "nobody saw its end"},
		{"it began twice", func(l *bookkeeping, _ *recording) { l.begins = 2 }, judge.Inconclusive, "began 2 times"},
		{"its writer was started anew", func(l *bookkeeping, _ *recording) { l.opened.Writer = "another" }, judge.Inconclusive, "writer another"},
		{"a write is missing", func(l *bookkeeping, _ *recording) { l.writes = append(l.writes[:170], l.writes[171:]...) }, judge.Inconclusive, "449"},
		{"a write is there twice", func(l *bookkeeping, _ *recording) { l.writes[171].Op, l.writes[171].Position = 170, 171 }, judge.Inconclusive, "twice"},
		{"a number far above the others", func(l *bookkeeping, _ *recording) { l.writes[449].Op = 1 << 62 }, judge.Inconclusive, ""},
		{"an outcome that does not exist", func(l *bookkeeping, _ *recording) { l.writes[9].Outcome = "fine" }, judge.Inconclusive, "cannot be"},
		{"a write that ended before it was started", func(l *bookkeeping, _ *recording) { l.writes[9].Ended = 0 }, judge.Inconclusive, "cannot be"},
		{"too few writes", func(l *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.FewestWrites = 451 })
		}, judge.Inconclusive, "at least 451"},
		{"nothing was acknowledged", func(l *bookkeeping, _ *recording) {
			for i := range l.writes {
				l.writes[i].Outcome, l.writes[i].Position = history.WriteUnknown, 0
			}
		}, judge.Inconclusive, "0 writes were acknowledged"},
		{"it began after the disturbance", func(l *bookkeeping, _ *recording) { l.event.Clock.Offset = 4 * second; l.closed.Stopped = 6 * second }, judge.Inconclusive, "before, during and after"},
		{"it ended before the disturbance did", func(l *bookkeeping, _ *recording) { l.closed.Stopped = 5 * second }, judge.Inconclusive, "before, during and after"},
		{"its writer's process did not run meanwhile", func(l *bookkeeping, _ *recording) {
			l.closed.Stalls = []history.Stall{{At: 2900 * ms, Length: 2 * second}}
		}, judge.Inconclusive, "own process did not run"},
		{"its clock is uncertain", func(l *bookkeeping, _ *recording) { l.event.Clock.Within = second }, judge.Inconclusive, "uncertain"},
		{"its clock stepped", func(l *bookkeeping, _ *recording) { l.event.Clock.Apart = 1 }, judge.Inconclusive, "uncertain"},
		{"its clock was never looked at", func(l *bookkeeping, _ *recording) { l.event.Clock.Looks = 0 }, judge.Inconclusive, "uncertain"},
		{"it is a ledger of another store", func(l *bookkeeping, _ *recording) { l.event.Store = "redis" }, judge.Inconclusive, "no ledger of writes to nats"},
		{"there is none", func(l *bookkeeping, r *recording) { r.ledgers = nil }, judge.Inconclusive, "no ledger of writes to nats"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := cleanLedger("nats", true)
			r := withLedger(l)
			c.spoil(l, r)
			p := assertVerdict(t, r.judged(t, nats.SlugNoAckedLoss), nats.SlugNoAckedLoss, c.want)
			if text := p.Reason + textOf(p); !strings.Contains(text, c.tells) {
				t.Errorf("it tells %q, want %q", text, c.tells)
			}
			if (p.Power != nil) != (c.want == judge.Pass) || c.want == judge.Pass && !strings.Contains(p.Power.Text, "acknowledged writes lost: at most 0.6") {
				t.Errorf("the power is %+v", p.Power)
			}
			if c.want == judge.Fail && (p.Dropped == 0 || len(p.Findings[0].Evidence) == 0) {
				t.Errorf("%d dropped, with evidence %v", p.Dropped, p.Findings)
			}
		})
	}
}

func textOf(p judge.Promise) string {
	var all strings.Builder
	for _, f := range p.Findings {
		all.WriteString("; " + f.Text)
	}
	return all.String()
}

// What was lost is named: its key, where it was acknowledged, and what is there instead.
func TestALossIsNamed(t *testing.T) {
	l := cleanLedger("nats", true)
	l.lose("m-2", 170, 1)
	l.found = append(l.found, history.Found{Member: "m-2", Op: 170, Position: 451, Count: 1})
	l.read("m-2").Entries++
	p := assertVerdict(t, withLedger(l).judged(t, nats.SlugNoAckedLoss), nats.SlugNoAckedLoss, judge.Fail)
	if got, want := p.Findings[0].Evidence, opText(170)+", acknowledged at stream sequence 171, is at 451 instead"; len(got) != 1 || got[0] != want {
		t.Errorf("the evidence is %q, want %q", got, want)
	}
}

func TestReElection(t *testing.T) {
	second := time.Second
	cases := []struct {
		name  string
		spoil func(l *bookkeeping, r *recording)
		want  judge.Verdict
		tells string
	}{
		{"another leader, at once", func(*bookkeeping, *recording) {}, judge.Pass, "1 new leader"},
		{"nobody was acknowledged for too long", func(l *bookkeeping, _ *recording) {
			for i := 165; i < 280; i++ {
				l.writes[i].Ended = 5600*ms + time.Duration(i)
			}
		}, judge.Fail, "no write was acknowledged for 2.3"},
		{"and to the very end", func(l *bookkeeping, _ *recording) {
			for i := 165; i < ledgerOps; i++ {
				l.writes[i].Outcome, l.writes[i].Position = history.WriteUnknown, 0
			}
		}, judge.Fail, "no write was acknowledged for 5.7"},
		{"and from the very beginning", func(l *bookkeeping, _ *recording) {
			for i := range 110 {
				l.writes[i].Outcome, l.writes[i].Position = history.WriteUnknown, 0
			}
		}, judge.Fail, "no write was acknowledged for 2.2"},
		{"no leader at the end", func(l *bookkeeping, _ *recording) {
			l.views = append(l.views, history.View{At: 8 * second, Error: "it does not answer"})
		}, judge.Fail, "no leader was named at the end"},
		{"the same leader is back", func(l *bookkeeping, _ *recording) {
			l.views[2].Leader, l.views[3].Leader = "m-0", "m-0"
		}, judge.Inconclusive, "nothing was elected"},
		{"a leader is elected before anything happens", func(l *bookkeeping, _ *recording) {
			l.views = []history.View{{At: 1, Leader: "m-0"}, {At: second, Leader: "m-1"}}
		}, judge.Inconclusive, "nothing was elected"},
		{"and long after it", func(l *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.ElectedWithin = second })
			l.views = []history.View{{At: 1, Leader: "m-0"}, {At: 8 * second, Leader: "m-1"}}
		}, judge.Inconclusive, "nothing was elected"},
		{"nobody looked", func(l *bookkeeping, _ *recording) { l.views = nil }, judge.Inconclusive, "nothing was elected"},
		{"the writer itself did not run", func(l *bookkeeping, _ *recording) {
			for i := 165; i < 280; i++ {
				l.writes[i].Ended = 5600*ms + time.Duration(i)
			}
			l.closed.Stalls = []history.Stall{{At: 3800 * ms, Length: 900 * ms}}
		}, judge.Inconclusive, "own process did not run for 900 ms of it"},
		{"the ledger is not whole", func(l *bookkeeping, _ *recording) { l.event.Lost = "it was cut" }, judge.Inconclusive, "it was cut"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := cleanLedger("nats", true)
			r := withLedger(l)
			c.spoil(l, r)
			p := assertVerdict(t, r.judged(t, nats.SlugReElection), nats.SlugReElection, c.want)
			if text := p.Reason + textOf(p); !strings.Contains(text, c.tells) {
				t.Errorf("it tells %q, want %q", text, c.tells)
			}
		})
	}
}

// A record of which lines of a ledger are missing is not whole, and no promise passes.
func TestARecordWithoutItsLedgerIsNotWhole(t *testing.T) {
	for name, spoil := range map[string]func(*bookkeeping, *recording){
		"a planned ledger left nothing":       func(_ *bookkeeping, r *recording) { r.ledgers = nil },
		"it is of another run":                func(l *bookkeeping, _ *recording) { l.opened.Run = "r2" },
		"it tells of what came after the run": func(l *bookkeeping, _ *recording) { l.closed.Stopped = 11 * time.Second },
	} {
		l := cleanLedger("nats", true)
		r := withLedger(l)
		spoil(l, r)
		result := r.judged(t)
		assertVerdict(t, result, load.SlugComplete, judge.Inconclusive)
		assertVerdict(t, result, load.SlugDropped, judge.Inconclusive)
		if name == "" {
			t.Error("a case has no name")
		}
	}
	whole := withLedger(cleanLedger("nats", true)).judged(t)
	assertVerdict(t, whole, load.SlugComplete, judge.Pass)
}
