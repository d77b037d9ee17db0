package checks_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/opensearch"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// shardView is what a look at a green OpenSearch tells: m-0 manages it, and each node has as many shards as given, of which a negative number leaves the
// node out.
func shardView(at time.Duration, shards ...int) history.View {
	v := history.View{At: at, Health: history.Green, Shards: map[string]int{}}
	for i, n := range shards {
		name := fmt.Sprint("m-", i)
		if n < 0 {
			continue
		}
		v.Shards[name] = n
		if v.Leader == "" {
			v.Leader = name
		} else {
			v.Members = append(v.Members, name)
		}
	}
	return v
}

func (l *bookkeeping) excluded(view int, nodes ...string) { l.views[view].Excluded = nodes }

// shardLedger is a ledger of two copies of an index on three nodes. m-0 leaves at about 2.7 s and m-1 at about 6.2 s, each once its shards are elsewhere,
// as twoDrains has them evicted; both come back. Moments of views are by the writer's clock, 200 ms before the run's.
func shardLedger() *bookkeeping {
	l := cleanLedger("opensearch", false)
	l.opened.Replicas = 2
	l.closed.Members = []string{"primary", "replica-1"}
	l.found, l.reads = nil, nil
	for _, m := range l.closed.Members {
		l.found = append(l.found, history.Found{Member: m, Count: ledgerOps})
		l.reads = append(l.reads, history.MemberRead{Name: m, At: 9500 * ms, Entries: ledgerOps})
	}
	l.views = []history.View{
		shardView(1, 2, 2, 2),
		shardView(2350*ms, 1, 2, 3),
		shardView(2450*ms, 0, 3, 3),
		shardView(2520*ms, -1, 3, 3),
		shardView(5100*ms, 0, 3, 3),
		shardView(5200*ms, 2, 2, 2),
		shardView(5880*ms, 3, 0, 3),
		shardView(6050*ms, 3, -1, 3),
		shardView(7600*ms, 2, 2, 2),
	}
	for _, i := range []int{1, 2, 3, 4} {
		l.excluded(i, "m-0")
	}
	for _, i := range []int{6, 7} {
		l.excluded(i, "m-1")
	}
	return l
}

type shardCase struct {
	name  string
	spoil func(l *bookkeeping, r *recording)
	want  judge.Verdict
	tells string
}

// ofHealth are the cases of a store of shards that both checks look at.
var ofHealth = []shardCase{
	{"once red", func(l *bookkeeping, _ *recording) { l.views[4].Health = history.Red }, judge.Fail, "the store was red"},
	{"red at once, when a node left without a shard", func(l *bookkeeping, _ *recording) { l.views[3].Health = history.Red }, judge.Fail, "the store was red"},
	{"yellow in the end", func(l *bookkeeping, _ *recording) { l.views[8].Health = history.Yellow }, judge.Fail, "the store was yellow in the end"},
	{"a node is excluded in the end", func(l *bookkeeping, _ *recording) { l.excluded(8, "m-1") }, judge.Fail, "the exclusion was not undone"},
	{"a node is missing in the end", func(l *bookkeeping, _ *recording) {
		l.views[8] = shardView(7600*ms, 3, -1, 3)
	}, judge.Fail, "m-1 came not back into the cluster"},
	{"fewer nodes all along than were declared", func(l *bookkeeping, r *recording) { r.declare(4) }, judge.Fail, "3 of 4 nodes were in the cluster in the end"},
	{"a node is missing in the end of a run that ended early", func(l *bookkeeping, r *recording) {
		l.views[8] = shardView(7600*ms, 3, -1, 3)
		r.outcome = history.EndInterrupted
	}, judge.Inconclusive, "the record ends early"},
	{"the last look was in vain", func(l *bookkeeping, _ *recording) {
		l.views = append(l.views, history.View{At: 8 * time.Second, Error: "no node answers"})
	}, judge.Inconclusive, "the last look did not tell"},
	{"nobody looked", func(l *bookkeeping, _ *recording) { l.views = nil }, judge.Inconclusive, "the last look did not tell"},
	{"no look tells of health", func(l *bookkeeping, _ *recording) {
		for i := range l.views {
			l.views[i].Health = ""
		}
	}, judge.Inconclusive, "the last look did not tell"},
	{"nobody looked before", func(l *bookkeeping, _ *recording) {
		l.views[0] = history.View{At: 1, Error: "no node answers"}
		l.views[1].At = 3100 * ms
	}, judge.Inconclusive, "nobody told how the store was before"},
	{"there is no ledger", func(_ *bookkeeping, r *recording) { r.ledgers = nil }, judge.Inconclusive, "no ledger of writes to opensearch"},
}

func shardsJudged(t *testing.T, slug string, cases []shardCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := shardLedger()
			r := withLedger(l)
			twoDrains(r)
			c.spoil(l, r)
			p := assertVerdict(t, r.judged(t, slug), slug, c.want)
			if text := p.Reason + textOf(p); !strings.Contains(text, c.tells) {
				t.Errorf("it tells %q, want %q", text, c.tells)
			}
		})
	}
}

func TestOpenSearchDrain(t *testing.T) {
	shardsJudged(t, opensearch.SlugDrain, append([]shardCase{
		{"shards move, and nodes go", func(*bookkeeping, *recording) {}, judge.Pass, "2 nodes left without a shard on it, after 4 shards had moved away"},
		{"yellow for a moment, with every shard moved", func(l *bookkeeping, _ *recording) { l.views[4].Health = history.Yellow }, judge.Pass, "not green for 100 ms"},
		{"the last shard moves between two looks", func(l *bookkeeping, _ *recording) { l.views[6] = shardView(5880*ms, 3, 1, 2) }, judge.Pass, "2 nodes left"},

		// A false green for each way to miss a node that takes its shards along.
		{"a node goes with its shards", func(l *bookkeeping, _ *recording) {
			l.views[6] = shardView(5880*ms, 2, 2, 2)
			l.views[7] = shardView(6050*ms, 2, -1, 2)
			l.views[7].Health = history.Yellow
		}, judge.Fail, "m-1 left the cluster with 2 shards on it"},
		{"with one of them", func(l *bookkeeping, _ *recording) {
			l.views[2] = shardView(2450*ms, 1, 2, 3)
			l.views[3] = shardView(2520*ms, -1, 2, 3)
			l.views[3].Health = history.Yellow
		}, judge.Fail, "m-0 left the cluster with 1 shard on it"},
		{"with shards, and nobody could look just then", func(l *bookkeeping, _ *recording) {
			l.views[2] = history.View{At: 2450 * ms, Error: "no node answers"}
			l.views[3].Health = history.Yellow
		}, judge.Fail, "m-0 left the cluster with 1 shard on it"},
		{"it looked green after that, and nobody could look just then", func(l *bookkeeping, _ *recording) {
			l.views[2] = history.View{At: 2450 * ms, Error: "no node answers"}
		}, judge.Inconclusive, "nobody could look when m-0 left the cluster"},
		{"it looked green after that, with fewer copies", func(l *bookkeeping, _ *recording) {
			l.views[6] = shardView(5880*ms, 3, 1, 2)
			l.views[7] = shardView(6050*ms, 3, -1, 2)
		}, judge.Inconclusive, "on which 1 shard was last seen"},
		{"a node goes with shards of which no pod was ended", func(l *bookkeeping, _ *recording) {
			l.views[5] = shardView(5200*ms, 2, 2, -1)
			l.views[5].Health = history.Yellow
		}, judge.Fail, "m-2 left the cluster with 3 shards on it"},
		{"a copy lacks a document", func(l *bookkeeping, _ *recording) { l.lose("replica-1", 170, 1) }, judge.Fail, "member replica-1 does not have 1 of 450"},
		{"the primary copies lack some", func(l *bookkeeping, _ *recording) { l.lose("primary", 100, 40) }, judge.Fail, "member primary does not have 40 of 450"},
		{"no document was acknowledged for too long", func(l *bookkeeping, _ *recording) {
			for i := 120; i < 400; i++ {
				l.writes[i].Ended = 8*time.Second + time.Duration(i)
			}
		}, judge.Fail, "no write was acknowledged for 5.6"},

		// What proves nothing.
		{"no node had a shard", func(l *bookkeeping, _ *recording) {
			for i := range l.views {
				for name := range l.views[i].Shards {
					l.views[i].Shards[name] = 0
				}
			}
		}, judge.Inconclusive, "that was ended had a shard"},
		{"no pod was ended", func(l *bookkeeping, r *recording) {
			r.forgetPod("m-0", time.Second, 20*time.Second)
			r.forgetPod("m-1", time.Second, 20*time.Second)
		}, judge.Inconclusive, "was ended while it was written: nothing was tested"},
		{"a node was never seen to leave", func(l *bookkeeping, _ *recording) { l.views = append(l.views[:7], l.views[8]) }, judge.Inconclusive, "m-1 was ended, and was not seen to leave"},
		{"a node was seen to leave shortly before its pod was seen to end", func(l *bookkeeping, _ *recording) {
			l.views[6].At, l.views[7].At, l.views[8].At = 5300*ms, 5350*ms, 5400*ms-1
		}, judge.Pass, "2 nodes left"},
		{"a copy was not read", func(l *bookkeeping, _ *recording) { l.unread("replica-1") }, judge.Inconclusive, "replica-1"},
		{"one copy alone", func(l *bookkeeping, _ *recording) { l.unread("replica-1"); l.closed.Members = l.closed.Members[:1] }, judge.Inconclusive, "should be on 2 members"},
		{"a copy was read in part", func(l *bookkeeping, _ *recording) { l.read("primary").Error = "timed out" }, judge.Inconclusive, "primary"},
		{"nothing was disturbed", func(_ *bookkeeping, r *recording) {
			r.forgetDisturbances()
			r.forgetEvictions(func(*history.Eviction) bool { return true })
		}, judge.Inconclusive, "nothing was tested"},
		{"the ledger is not whole", func(l *bookkeeping, _ *recording) { l.event.Lost = "it was cut" }, judge.Inconclusive, "it was cut"},
	}, ofHealth...))
}

// Nobody can tell how the store is for longer than it may keep silent.
func TestOpenSearchUnseen(t *testing.T) {
	for _, slug := range []string{opensearch.SlugDrain, opensearch.SlugPDB} {
		shardsJudged(t, slug, []shardCase{
			{"too long", func(l *bookkeeping, r *recording) {
				r.budgets(t, func(b *checks.Budgets) { b.Unseen = 700 * ms })
				l.views[4] = history.View{At: 4300 * ms, Error: "no node answers"}
			}, judge.Inconclusive, "nobody could tell for 900 ms how the store was (budget 700 ms)"},
			{"not too long", func(l *bookkeeping, r *recording) {
				r.budgets(t, func(b *checks.Budgets) { b.Unseen = time.Second })
				l.views[4] = history.View{At: 4300 * ms, Error: "no node answers"}
			}, judge.Pass, ""},
		})
	}
}

func TestOpenSearchPDB(t *testing.T) {
	shardsJudged(t, opensearch.SlugPDB, append([]shardCase{
		{"one at a time, each when all is green", func(*bookkeeping, *recording) {}, judge.Pass, "2 evictions of members, one at a time"},
		{"the second goes while it is yellow", func(l *bookkeeping, _ *recording) {
			l.views[4].Health, l.views[5].Health = history.Yellow, history.Yellow
			l.views[3].Health = history.Yellow
		}, judge.Fail, "the eviction of m-1 was accepted while the store was not green with all its nodes"},
		{"the second goes while the first is ready and not in the cluster", func(l *bookkeeping, _ *recording) {
			l.views[4], l.views[5] = shardView(5100*ms, -1, 3, 3), shardView(5200*ms, -1, 3, 3)
		}, judge.Fail, "the eviction of m-1 was accepted while the store was not green with all its nodes"},
		{"nobody could look at the second", func(l *bookkeeping, _ *recording) {
			l.views[4] = history.View{At: 4500 * ms, Error: "no node answers"}
			l.views = append(l.views[:5], l.views[7:]...)
		}, judge.Inconclusive, "nobody told how the store was when the eviction of m-1 was accepted"},
		{"the second is let through", func(_ *bookkeeping, r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Code == 429 })
			for i := range r.events {
				if e := &r.events[i]; e.At >= 6*time.Second && (e.Eviction != nil || e.Change != nil) {
					e.At -= 1900 * ms
				}
			}
		}, judge.Fail, "the eviction of m-1 was accepted while another member of statefulset nats/nats was not ready"},
		{"nobody was refused", func(_ *bookkeeping, r *recording) {
			r.forgetEvictions(func(e *history.Eviction) bool { return e.Code == 429 })
		}, judge.Inconclusive, "never put to the test"},
	}, ofHealth...))
}
