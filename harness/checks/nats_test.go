package checks_test

import (
	"fmt"
	"slices"
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
		{"nothing was acknowledged before", func(l *bookkeeping, _ *recording) { l.unanswered(0, 3*second) }, judge.Inconclusive, "too little to lose"},
		{"one write was acknowledged before", func(l *bookkeeping, _ *recording) { l.unanswered(20*ms, 3*second) }, judge.Inconclusive, "too little to lose"},
		{"a third of them was acknowledged before, all at first", func(l *bookkeeping, _ *recording) { l.unanswered(second, 3*second) }, judge.Inconclusive, "too little to lose"},
		{"a third of them was acknowledged before, now and then", func(l *bookkeeping, _ *recording) {
			for i := range 140 {
				if i%3 != 0 {
					l.unanswered(l.writes[i].Intended, l.writes[i].Intended+1)
				}
			}
		}, judge.Inconclusive, "too little to lose"},
		{"most of them were acknowledged before", func(l *bookkeeping, _ *recording) { l.unanswered(second, 2*second) }, judge.Pass, "0 of 400"},
		{"acknowledged before, and much later than they were due", func(l *bookkeeping, _ *recording) {
			for i := range 145 {
				l.writes[i].Ended = 4*second + time.Duration(i)
			}
		}, judge.Inconclusive, "nothing was acknowledged for 2.8"},
		{"nothing was acknowledged during", func(l *bookkeeping, _ *recording) { l.unanswered(2800*ms, 5800*ms) }, judge.Pass, "0 of 300"},
		{"nothing was acknowledged after", func(l *bookkeeping, _ *recording) { l.unanswered(5700*ms, 20*second) }, judge.Inconclusive, "nothing was acknowledged after"},
		{"nothing was acknowledged during or after", func(l *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.FewestWrites = 100 })
			l.unanswered(2800*ms, 20*second)
		}, judge.Inconclusive, "nothing was acknowledged after"},
		{"one write was acknowledged after", func(l *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.FewestWrites = 100 })
			l.unanswered(5700*ms, 7*second)
			l.unanswered(7020*ms, 20*second)
		}, judge.Pass, "acknowledged lost"},
		{"a third as many as the rate asks for", func(l *bookkeeping, _ *recording) { l.event.Rate, l.opened.Rate = 3*ledgerRate, 3*ledgerRate }, judge.Inconclusive, "450 writes were intended, at 150 a second"},
		{"its rate is told twice", func(l *bookkeeping, _ *recording) { l.opened.Rate = 40 }, judge.Inconclusive, "writes a second"},
		{"no rate is told", func(l *bookkeeping, _ *recording) { l.event.Rate, l.opened.Rate = 0, 0 }, judge.Inconclusive, "writes a second"},
		{"all of it in the last second", func(l *bookkeeping, _ *recording) {
			for i := range l.writes {
				w := &l.writes[i]
				w.Intended = 8*second + time.Duration(i)*2*ms
				w.Started, w.Ended = w.Intended, w.Intended+ms
			}
		}, judge.Inconclusive, "from when it was due"},
		{"nothing was under way during", func(l *bookkeeping, _ *recording) {
			for i := range l.writes {
				if w := &l.writes[i]; w.Intended >= 2900*ms && w.Intended < 5*second {
					w.Started, w.Ended = 5*second, 5*second+time.Duration(i)
				}
			}
		}, judge.Inconclusive, "no write was under way for"},
		{"nothing was disturbed", func(_ *bookkeeping, r *recording) { r.forgetDisturbances() }, judge.Inconclusive, "nothing was tested"},
		{"something else was disturbed", func(_ *bookkeeping, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Workload = testApp })
		}, judge.Inconclusive, "nothing was tested"},
		{"a disturbance that did not land", func(_ *bookkeeping, r *recording) { r.forget(history.Landed) }, judge.Inconclusive, "nothing was tested"},
		{"a ledger of nobody's store", func(l *bookkeeping, _ *recording) { l.event.Workload = history.Workload{} }, judge.Inconclusive, "nothing was tested"},
		{"a loss where nothing was disturbed", func(l *bookkeeping, r *recording) { r.forgetDisturbances(); l.lose("m-2", 170, 1) }, judge.Fail, "m-2"},
		{"one of its pods was killed", func(_ *bookkeeping, r *recording) { r.killServer("m-1", "uid-m-1") }, judge.Pass, "0 of 450"},
		{"another pod of its namespace was killed", func(_ *bookkeeping, r *recording) { r.killServer("writer", "") }, judge.Inconclusive, "nothing was tested"},
		{"a pod of its name was killed that it had before", func(_ *bookkeeping, r *recording) { r.killServer("m-1", "uid-old") }, judge.Inconclusive, "nothing was tested"},
		{"a node of one of its pods was stopped", func(_ *bookkeeping, r *recording) {
			r.killServer("m-1", "")
			r.disturbances(func(d *history.Disturbance) { d.Touched, d.Nodes = nil, []string{"n-m-1"} })
		}, judge.Pass, "0 of 450"},
		{"another node was stopped", func(_ *bookkeeping, r *recording) {
			r.killServer("m-1", "")
			r.disturbances(func(d *history.Disturbance) { d.Touched, d.Nodes = nil, []string{"n9"} })
		}, judge.Inconclusive, "nothing was tested"},
		{"one of its pods was evicted", func(_ *bookkeeping, r *recording) {
			twoDrains(r)
			r.disturbances(func(d *history.Disturbance) { d.Workload = history.Workload{} })
		}, judge.Pass, "0 of 450"},
		{"the eviction of one of its pods was refused", func(_ *bookkeeping, r *recording) {
			twoDrains(r)
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Code != 429 })
			r.disturbances(func(d *history.Disturbance) { d.Workload = history.Workload{} })
		}, judge.Inconclusive, "nothing was tested"},
		{"a member is named twice", func(l *bookkeeping, _ *recording) { l.closed.Members = []string{"m-0", "m-1", "m-1", "m-2"} }, judge.Inconclusive, "named a member twice"},
		{"two members, one of them named twice", func(l *bookkeeping, _ *recording) {
			l.unread("m-2")
			l.views = l.views[:1]
			l.views[0].Members = []string{"m-1"}
			l.closed.Members = []string{"m-0", "m-1", "m-1"}
		}, judge.Inconclusive, "the store has 2"},
		{"a member that the store named is none at its end", func(l *bookkeeping, _ *recording) { l.views[0].Members = append(l.views[0].Members, "m-3") }, judge.Inconclusive, "none at its end: m-3"},
		{"a leader that the store named is none at its end", func(l *bookkeeping, _ *recording) { l.views[0].Leader = "m-3" }, judge.Inconclusive, "none at its end: m-3"},
		{"each write on one member", func(l *bookkeeping, _ *recording) { l.opened.Replicas = 1 }, judge.Inconclusive, "on 1 member"},
		{"each write on none", func(l *bookkeeping, _ *recording) { l.opened.Replicas = 0 }, judge.Inconclusive, "on 0 members"},
		{"a loss with one replica", func(l *bookkeeping, _ *recording) { l.opened.Replicas = 1; l.lose("m-2", 170, 1) }, judge.Fail, "m-2"},
		{"a write without a position", func(l *bookkeeping, _ *recording) { l.writes[170].Position = 0 }, judge.Inconclusive, "1 write was acknowledged without a stream sequence"},
		{"no write has a position", func(l *bookkeeping, _ *recording) {
			for i := range l.writes {
				l.writes[i].Position = 0
			}
			for i := range l.found {
				l.found[i].Position = 0
			}
		}, judge.Inconclusive, "450 writes were acknowledged without"},
		{"what a member has is without positions", func(l *bookkeeping, _ *recording) { l.found[1].Position = 0 }, judge.Inconclusive, "m-1 has 450 entries without a stream sequence"},
		{"two writes at one position", func(l *bookkeeping, _ *recording) {
			l.writes[171].Position = 171
			for _, m := range l.closed.Members {
				l.lose(m, 171, 1)
				l.found = append(l.found, history.Found{Member: m, Op: 171, Position: 171, Count: 1})
				l.read(m).Entries++
			}
		}, judge.Inconclusive, "acknowledged at 1 stream sequence"},
		{"two writes at one position, of which a member can have but one", func(l *bookkeeping, _ *recording) { l.writes[171].Position = 171 }, judge.Fail, "1 of 450"},
		{"a member has two at one position", func(l *bookkeeping, _ *recording) {
			l.found = append(l.found, history.Found{Member: "m-1", Op: 7, Position: 9, Count: 1})
			l.read("m-1").Entries++
		}, judge.Inconclusive, "m-1 has more than one entry at 1 stream sequence"},
		{"a member was read before the last write", func(l *bookkeeping, _ *recording) { l.read("m-1").At = 8900 * ms }, judge.Inconclusive, "m-1 was read before"},
		{"a member was read at the end of the last write", func(l *bookkeeping, _ *recording) { l.read("m-1").At = 9 * second }, judge.Pass, "0 of 450"},
		{"a member was read twice", func(l *bookkeeping, _ *recording) { l.reads = append(l.reads, *l.read("m-1")); l.reads[3].Error = "" }, judge.Inconclusive, "m-1 was read 2 times"},
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
			if (p.Power != nil) != (c.want == judge.Pass) || c.want == judge.Pass && !strings.Contains(p.Power.Text, fmt.Sprintf("0 of %d acknowledged writes lost: at most", p.Hits)) {
				t.Errorf("the power is %+v", p.Power)
			}
			if c.want == judge.Fail && (p.Dropped == 0 || !slices.ContainsFunc(p.Findings, func(f judge.Finding) bool { return f.Class == "fail" && len(f.Evidence) > 0 })) {
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
		{"every look was in vain", func(l *bookkeeping, _ *recording) { l.views = []history.View{{At: 1, Error: "it does not answer"}} }, judge.Inconclusive, "nothing was elected"},
		{"the writer itself did not run", func(l *bookkeeping, _ *recording) {
			for i := 165; i < 280; i++ {
				l.writes[i].Ended = 5600*ms + time.Duration(i)
			}
			l.closed.Stalls = []history.Stall{{At: 3800 * ms, Length: 900 * ms}}
		}, judge.Inconclusive, "own process did not run for 900 ms of it"},
		{"a leader is elected long before the disturbance is over, and long after it landed", func(l *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.ElectedWithin = second })
			l.views = []history.View{{At: 1, Leader: "m-0"}, {At: 5500 * ms, Leader: "m-1"}}
		}, judge.Inconclusive, "nothing was elected"},
		{"something else was disturbed meanwhile", func(_ *bookkeeping, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Workload = testApp })
		}, judge.Inconclusive, "nothing was elected"},
		{"the leader was killed", func(_ *bookkeeping, r *recording) {
			r.serverPod(0, "added", "m-0", "uid-m-0", true, false)
			r.killServer("m-0", "uid-m-0")
		}, judge.Pass, "1 new leader"},
		{"another member was killed than the leader", func(_ *bookkeeping, r *recording) {
			r.serverPod(0, "added", "m-0", "uid-m-0", true, false)
			r.killServer("m-1", "uid-m-1")
		}, judge.Inconclusive, "nothing was elected"},
		{"a member was killed, and no pod has the leader's name", func(_ *bookkeeping, r *recording) { r.killServer("m-1", "uid-m-1") }, judge.Pass, "1 new leader"},
		{"what disturbed it did not land", func(_ *bookkeeping, r *recording) { r.forget(history.Landed) }, judge.Inconclusive, "nothing was elected"},
		{"the writer itself sent late", func(l *bookkeeping, _ *recording) { l.late(5600 * ms) }, judge.Inconclusive, "no write was under way for 2.3"},
		{"the writer itself did not run, and sent late", func(l *bookkeeping, _ *recording) {
			l.late(5600 * ms)
			l.closed.Stalls = []history.Stall{{At: 4 * second, Length: second}} // a part of the same time
		}, judge.Inconclusive, "budget 2 s"},
		{"one write was sent in time, and waited", func(l *bookkeeping, _ *recording) {
			l.late(5600 * ms)
			l.writes[165].Started, l.writes[165].Ended = l.writes[165].Intended, 5600*ms
		}, judge.Fail, "no write was acknowledged for 2.3"},
		{"late because nobody answered", func(l *bookkeeping, _ *recording) {
			for i := 165; i < 280; i++ {
				w := &l.writes[i]
				w.Ended = 5600*ms + time.Duration(i)
				if i > 200 { // the others were in flight, as many as may be
					w.Started = 5600 * ms
				}
			}
		}, judge.Fail, "no write was acknowledged for 2.3"},
		{"a rate below what the budget needs", func(l *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.PublishGap, b.FewestWrites = 400*ms, 1 })
			l.event.Rate, l.opened.Rate = 2, 2
			l.thin(25)
		}, judge.Inconclusive, "no write was under way for"},
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
