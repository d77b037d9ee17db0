package checks_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/redis"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// redisLedger is the clean ledger with the master that took each write: m-0, and m-1 from 3.6 s on.
func redisLedger() *bookkeeping { return ledLedger("redis") }

// ledLedger is a clean one whose writes were acknowledged by m-0, and then by m-1.
func ledLedger(store string) *bookkeeping {
	l := cleanLedger(store, false)
	for i := range l.writes {
		l.writes[i].By = "m-0"
		if l.writes[i].Ended >= 3600*ms {
			l.writes[i].By = "m-1"
		}
	}
	return l
}

func TestFailover(t *testing.T) {
	kill := func(r *recording) {
		r.budgets(t, func(b *checks.Budgets) { b.RedisLost, b.RedisGap = 10, 5*time.Second })
	}
	loseEverywhere := func(l *bookkeeping, op, count uint64) {
		for _, m := range l.closed.Members {
			l.lose(m, op, count)
		}
	}
	cases := []struct {
		name  string
		spoil func(l *bookkeeping, r *recording)
		want  judge.Verdict
		tells string
	}{
		{"handed over", func(*bookkeeping, *recording) {}, judge.Pass, "1 new master; 0 of 450 writes acknowledged lost, 0 declared"},
		{"94 are lost", func(l *bookkeeping, _ *recording) { loseEverywhere(l, 100, 94) }, judge.Fail, "does not have 94 of 450"},
		{"one is lost", func(l *bookkeeping, _ *recording) { loseEverywhere(l, 160, 1) }, judge.Fail, "does not have 1 of 450"},
		{"as many as were declared", func(l *bookkeeping, r *recording) { kill(r); loseEverywhere(l, 155, 10) }, judge.Pass, "10 of 450 writes acknowledged lost, 10 declared"},
		{"one more than was declared", func(l *bookkeeping, r *recording) { kill(r); loseEverywhere(l, 155, 11) }, judge.Fail, "does not have 11 of 450"},
		{"the old master goes on taking writes", func(l *bookkeeping, _ *recording) {
			for i := 200; i < 220; i++ {
				l.writes[i].By = "m-0"
			}
		}, judge.Fail, "masters took turns 3 times, and another one was named 1 time"},
		{"the old master takes writes again, to the very end", func(l *bookkeeping, _ *recording) {
			for i := 300; i < ledgerOps; i++ {
				l.writes[i].By = "m-0"
			}
		}, judge.Fail, "masters took turns 2 times"},
		{"one that was begun before the other's first", func(l *bookkeeping, _ *recording) {
			w := &l.writes[179]
			w.By, w.Ended = "m-0", 3700*ms
		}, judge.Pass, "1 new master"},
		{"there and back, as the sentinels said", func(l *bookkeeping, _ *recording) {
			l.views = append(l.views, history.View{At: 6 * time.Second, Leader: "m-0"})
			for i := range l.writes {
				if l.writes[i].Started >= 6*time.Second {
					l.writes[i].By = "m-0"
				}
			}
		}, judge.Pass, "2 new masters"},
		{"a turn after the last look", func(l *bookkeeping, _ *recording) {
			for i := ledgerOps - 3; i < ledgerOps; i++ {
				l.writes[i].By = "m-2"
			}
		}, judge.Pass, "1 new master"},
		{"nothing was taken for too long", func(l *bookkeeping, _ *recording) {
			for i := 165; i < 430; i++ {
				l.writes[i].Ended = 8700*ms + time.Duration(i)
				l.writes[i].By = "m-1"
			}
		}, judge.Fail, "no write was acknowledged for 5.3"},
		{"the master did not change", func(l *bookkeeping, _ *recording) {
			for i := range l.views {
				l.views[i].Leader = "m-0"
			}
			for i := range l.writes {
				l.writes[i].By = "m-0"
			}
		}, judge.Inconclusive, "nothing was elected"},
		{"as many as were declared, and one of them before anything happened", func(l *bookkeeping, r *recording) {
			kill(r)
			loseEverywhere(l, 60, 1)
		}, judge.Fail, "does not have 1 of 450 writes that were acknowledged at a time that no disturbance"},
		{"a second before is explained", func(l *bookkeeping, r *recording) { kill(r); loseEverywhere(l, 90, 1) }, judge.Pass, "1 of 450 writes acknowledged lost"},
		{"more than a second before is not", func(l *bookkeeping, r *recording) { kill(r); loseEverywhere(l, 89, 1) }, judge.Fail, "no disturbance"},
		{"long after it is not", func(l *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.RedisLost, b.RedisElectedWithin = 10, time.Second })
			loseEverywhere(l, 345, 1)
		}, judge.Fail, "no disturbance"},
		{"shortly after it is", func(l *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.RedisLost, b.RedisElectedWithin = 10, time.Second })
			loseEverywhere(l, 330, 1)
		}, judge.Pass, "1 of 450"},
		{"a disturbance of something else explains nothing", func(l *bookkeeping, r *recording) {
			kill(r)
			loseEverywhere(l, 155, 10)
			r.disturbances(func(d *history.Disturbance) { d.Workload = testApp })
		}, judge.Fail, "does not have 10 of 450"},
		{"one is lost, and nothing was disturbed", func(l *bookkeeping, r *recording) { r.forgetDisturbances(); loseEverywhere(l, 160, 1) }, judge.Fail, "does not have 1 of 450"},
		{"nothing was disturbed", func(_ *bookkeeping, r *recording) { r.forgetDisturbances() }, judge.Inconclusive, "nothing was elected"},
		{"nobody looked", func(l *bookkeeping, _ *recording) { l.views = nil }, judge.Inconclusive, "no look at the store told of a master"},
		{"every look was in vain", func(l *bookkeeping, _ *recording) {
			l.views = []history.View{{At: 1, Error: "no sentinel names a master"}}
		}, judge.Inconclusive, "no look at the store told of a master"},
		{"no answer tells who gave it", func(l *bookkeeping, _ *recording) {
			for i := range l.writes {
				l.writes[i].By = ""
			}
		}, judge.Inconclusive, "450 writes were acknowledged by an answer that does not tell who gave it"},
		{"one answer does not", func(l *bookkeeping, _ *recording) { l.writes[9].By = "" }, judge.Inconclusive, "1 write was acknowledged by an answer"},
		{"writes go to a server that nobody named", func(l *bookkeeping, _ *recording) {
			for i := range l.writes {
				if l.writes[i].By == "m-1" {
					l.writes[i].By = "m-2"
				}
			}
		}, judge.Fail, "m-2 took writes from 3.8"},
		{"writes go to the next master while the first one is named", func(l *bookkeeping, _ *recording) {
			l.views = []history.View{l.views[0], {At: 7 * time.Second, Leader: "m-1"}}
		}, judge.Fail, "and the store named m-0 then"},
		{"writes go to the next master shortly before a look names it", func(l *bookkeeping, _ *recording) {
			l.views = []history.View{l.views[0], {At: 5 * time.Second, Leader: "m-1"}}
		}, judge.Pass, "1 new master"},
		{"writes go to the next master while no look tells of any", func(l *bookkeeping, _ *recording) {
			l.views[2].At = 6 * time.Second
			l.views = l.views[:3]
		}, judge.Pass, "1 new master"},
		{"writes go to the next master, and are over when it is named", func(l *bookkeeping, _ *recording) {
			l.views = append(l.views[:2], history.View{At: 6 * time.Second, Leader: "m-2"})
			for i := range l.writes {
				if l.writes[i].Started >= 4*time.Second {
					l.writes[i].By = "m-2"
				}
			}
		}, judge.Fail, "m-1 took writes"},
		{"two take writes at once", func(l *bookkeeping, _ *recording) {
			l.views[2].Masters, l.views[2].Writable = []string{"m-0", "m-1"}, []string{"m-0", "m-1"}
		}, judge.Fail, "m-0 and m-1 took writes at once"},
		{"two call themselves master, and one of them takes no writes", func(l *bookkeeping, _ *recording) {
			l.views[2].Masters, l.views[2].Writable = []string{"m-0", "m-1"}, []string{"m-1"}
			l.views[3].Masters, l.views[3].Writable = []string{"m-1"}, []string{"m-1"}
		}, judge.Pass, "1 new master"},
		{"who takes writes does not call itself master", func(l *bookkeeping, _ *recording) {
			l.views[3].Masters = []string{"m-2"}
			l.views = slices.Delete(l.views, 2, 3)
			l.views[2].At = 3600 * ms
		}, judge.Fail, "and it did not call itself master then"},
		{"a member was not read", func(l *bookkeeping, _ *recording) { l.unread("m-2") }, judge.Inconclusive, "m-2"},
		{"the ledger is not whole", func(l *bookkeeping, _ *recording) { l.event.Lost = "it was cut" }, judge.Inconclusive, "it was cut"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := redisLedger()
			r := withLedger(l)
			c.spoil(l, r)
			p := assertVerdict(t, r.judged(t, redis.SlugFailover), redis.SlugFailover, c.want)
			if text := p.Reason + textOf(p); !strings.Contains(text, c.tells) {
				t.Errorf("it tells %q, want %q", text, c.tells)
			}
		})
	}
}
