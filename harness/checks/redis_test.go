package checks_test

import (
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/redis"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// redisLedger is the clean ledger with the master that took each write: m-0, and m-1 from 3.6 s on.
func redisLedger() *bookkeeping {
	l := cleanLedger("redis", false)
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
