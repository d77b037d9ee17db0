package checks_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/worker"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

var testWorker = history.Workload{Namespace: "shop", Kind: "Deployment", Name: "worker"}

// workerLedger is that of a worker of which version v2 took over from v1: each message has one effect, and seven were delivered twice.
func workerLedger() *bookkeeping {
	l := cleanLedger("worker", false)
	l.event.Workload, l.event.Through, l.opened.Replicas = testWorker, []history.Workload{testNATS}, 1
	l.closed.Members = []string{"effects"}
	l.views = []history.View{{At: 1, Leader: "effects"}}
	l.found = []history.Found{{Member: "effects", Count: ledgerOps}}
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	l.reads = []history.MemberRead{{Name: "effects", At: 9500 * ms, Entries: ledgerOps, Effects: &history.Effects{
		Deliveries: ledgerOps + 7, Messages: ledgerOps, Redelivered: 9,
		Versions: []history.VersionEffects{
			{Version: "v1", Effects: 200, First: noon, Last: noon.Add(4 * time.Second), Together: 50},
			{Version: "v2", Effects: 250, First: noon.Add(2 * time.Second), Last: noon.Add(9 * time.Second), Together: 50},
		},
	}}}
	return l
}

func (l *bookkeeping) effects() *history.Effects { return l.reads[0].Effects }

// rolledWorker is the clean run with a ledger of a worker that is updated.
func rolledWorker(l *bookkeeping) *recording {
	r := withLedger(l)
	r.disturbances(func(d *history.Disturbance) { d.Name = history.RollName })
	return r
}

type workerCase struct {
	name  string
	spoil func(l *bookkeeping, r *recording)
	want  judge.Verdict
	tells string
}

func judgeWorkers(t *testing.T, slug string, cases []workerCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := workerLedger()
			r := rolledWorker(l)
			c.spoil(l, r)
			p := assertVerdict(t, r.judged(t, slug), slug, c.want)
			if text := p.Reason + textOf(p); !strings.Contains(text, c.tells) {
				t.Errorf("it tells %q, want %q", text, c.tells)
			}
		})
	}
}

// notTrusted is what no check of a worker says anything by.
func notTrusted(t testing.TB) []workerCase {
	return []workerCase{
		{"the effects were not read", func(l *bookkeeping, _ *recording) { l.unread("effects") }, judge.Inconclusive, "not read to the end: effects"},
		{"the effects were not read to their end", func(l *bookkeeping, _ *recording) { l.reads[0].Error = "nobody tells of the backlog" }, judge.Inconclusive, "nobody tells of the backlog"},
		{"its writer was lost", func(l *bookkeeping, _ *recording) { l.event.Lost, l.closed = "its writer did not answer", nil }, judge.Inconclusive, "did not answer"},
		{"nothing was disturbed", func(_ *bookkeeping, r *recording) { r.forgetDisturbances() }, judge.Inconclusive, "nothing was tested"},
		{"something else was disturbed", func(_ *bookkeeping, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Workload = testApp })
		}, judge.Inconclusive, "nothing was tested"},
		{"it did not land", func(_ *bookkeeping, r *recording) { r.forget(history.Landed) }, judge.Inconclusive, "nothing was tested"},
		{"too few messages", func(_ *bookkeeping, r *recording) {
			r.budgets(t, func(b *checks.Budgets) { b.FewestWrites = 451 })
		}, judge.Inconclusive, "at least 451"},
		{"an effect of a message that nobody published", func(l *bookkeeping, _ *recording) { l.reads[0].Foreign = 1 }, judge.Inconclusive, "nobody intended"},
		{"read before the last message was published", func(l *bookkeeping, _ *recording) { l.reads[0].At = 5 * time.Second }, judge.Inconclusive, "read before"},
		{"each message on no member", func(l *bookkeeping, _ *recording) { l.opened.Replicas = 0 }, judge.Inconclusive, "on 0 members"},
	}
}

func TestNoLostMessage(t *testing.T) {
	judgeWorkers(t, worker.SlugNoLostMessage, append(notTrusted(t), []workerCase{
		{"each has an effect", func(*bookkeeping, *recording) {}, judge.Pass, "0 of 450 writes acknowledged lost, on each of 1 member"},
		{"one has none", func(l *bookkeeping, _ *recording) { l.lose("effects", 170, 1) }, judge.Fail, "member effects does not have 1 of 450"},
		{"the last has none", func(l *bookkeeping, _ *recording) { l.lose("effects", ledgerOps-1, 1) }, judge.Fail, "1 of 450"},
		{"some have none yet: they are in the backlog", func(l *bookkeeping, _ *recording) { l.lose("effects", 300, 150); l.effects().Backlog = 150 }, judge.Fail, "150 of 450"},
		{"none has any", func(l *bookkeeping, _ *recording) { l.lose("effects", 0, ledgerOps) }, judge.Fail, "450 of 450"},
		{"lost, and nothing was disturbed", func(l *bookkeeping, r *recording) { r.forgetDisturbances(); l.lose("effects", 170, 1) }, judge.Fail, "1 of 450"},
		{"lost, of a table that was not read to its end", func(l *bookkeeping, _ *recording) {
			l.lose("effects", 170, 1)
			l.reads[0].Error = "it was cut off"
		}, judge.Inconclusive, "it was cut off"},
		{"unknown, without an effect", func(l *bookkeeping, _ *recording) {
			l.writes[170].Outcome = history.WriteUnknown
			l.lose("effects", 170, 1)
		}, judge.Pass, "1 unknown"},
		{"somebody else's messages are in the backlog", func(l *bookkeeping, _ *recording) { l.effects().Backlog = 3 }, judge.Pass, "0 of 450"},
		{"a store was disturbed that messages go through", func(_ *bookkeeping, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Workload = testNATS })
		}, judge.Pass, "0 of 450"},
		{"a pod of that store was killed", func(_ *bookkeeping, r *recording) { r.killServer("m-1", "uid-m-1") }, judge.Pass, "0 of 450"},
		{"a store was disturbed that they do not go through", func(l *bookkeeping, r *recording) {
			l.event.Through = nil
			r.disturbances(func(d *history.Disturbance) { d.Workload = testNATS })
		}, judge.Inconclusive, "nothing was tested"},
	}...))
}

func TestIdempotent(t *testing.T) {
	judgeWorkers(t, worker.SlugIdempotent, append(notTrusted(t), []workerCase{
		{"one effect of each", func(*bookkeeping, *recording) {}, judge.Pass, "450 effects, of one message each; 7 deliveries came to where"},
		{"two effects of one", func(l *bookkeeping, _ *recording) { l.double(170) }, judge.Fail, "1 effect too many"},
		{"two effects of one that was not acknowledged", func(l *bookkeeping, _ *recording) {
			l.writes[170].Outcome = history.WriteUnknown
			l.double(170)
		}, judge.Fail, "1 effect too many"},
		{"two effects of one, and nothing was disturbed", func(l *bookkeeping, r *recording) { r.forgetDisturbances(); l.double(170) }, judge.Fail, "1 effect too many"},
		{"nothing was delivered again", func(l *bookkeeping, _ *recording) { l.effects().Deliveries = ledgerOps }, judge.Inconclusive, "nothing was tested"},
		{"only the broker counts deliveries again", func(l *bookkeeping, _ *recording) {
			l.effects().Deliveries, l.effects().Redelivered = ledgerOps, 50
		}, judge.Inconclusive, "nothing was tested"},
		{"nothing is told of deliveries", func(l *bookkeeping, _ *recording) { l.reads[0].Effects = nil }, judge.Inconclusive, "does not tell how effects came about"},
		{"more messages are told of than were read", func(l *bookkeeping, _ *recording) { l.effects().Messages++ }, judge.Inconclusive, "are told of"},
		{"one message is lost, and no effect is doubled", func(l *bookkeeping, _ *recording) {
			l.lose("effects", 170, 1)
			l.effects().Messages--
			l.effects().Versions[0].Effects--
		}, judge.Pass, "449 effects"},
		{"an effect came in while they were read", func(l *bookkeeping, _ *recording) {
			l.effects().Deliveries++
			l.effects().Versions[0].Effects++
		}, judge.Inconclusive, "one came in between"},
		{"a message may be delivered again still", func(l *bookkeeping, _ *recording) { l.effects().Backlog = 1 }, judge.Inconclusive, "1 message is left in the backlog"},
	}...))
}

// double gives an operation a second effect.
func (l *bookkeeping) double(op uint64) {
	l.found = append(l.found, history.Found{Member: "effects", Op: op, Count: 1})
	l.reads[0].Entries++
}

// What was done twice is named.
func TestADoubledEffectIsNamed(t *testing.T) {
	l := workerLedger()
	l.double(170)
	p := assertVerdict(t, rolledWorker(l).judged(t, worker.SlugIdempotent), worker.SlugIdempotent, judge.Fail)
	if got := p.Findings[0].Evidence; !slices.Equal(got, []string{"message worker-w-170"}) {
		t.Errorf("the evidence is %q", got)
	}
}

func TestTwoVersions(t *testing.T) {
	judgeWorkers(t, worker.SlugTwoVersions, append(notTrusted(t), []workerCase{
		{"both at once", func(*bookkeeping, *recording) {}, judge.Pass, "50 effects of v1 and 50 effects of v2 with the other at work"},
		{"the backlog stays", func(l *bookkeeping, _ *recording) { l.effects().Backlog = 1 }, judge.Fail, "1 message is left in the backlog"},
		{"the new version takes none, and the backlog stays", func(l *bookkeeping, _ *recording) {
			l.lose("effects", 200, 250)
			l.effects().Backlog, l.effects().Versions = 250, l.effects().Versions[:1]
		}, judge.Fail, "250 messages are left in the backlog"},
		{"messages stay without an effect", func(l *bookkeeping, _ *recording) { l.lose("effects", 170, 1); l.effects().Versions[0].Effects-- }, judge.Fail, "1 of 450"},
		{"one version alone", func(l *bookkeeping, _ *recording) {
			l.effects().Versions = l.effects().Versions[:1]
			l.effects().Versions[0].Effects = ledgerOps
		}, judge.Inconclusive, "version v1 alone made effects"},
		{"one after the other", func(l *bookkeeping, _ *recording) {
			v := l.effects().Versions
			v[0].Together, v[1].Together = 0, 0
		}, judge.Inconclusive, "one after the other"},
		{"too few by one of them", func(l *bookkeeping, _ *recording) { l.effects().Versions[1].Together = 19 }, judge.Inconclusive, "version v2 made 19 effects while"},
		{"as few as are enough", func(l *bookkeeping, _ *recording) { l.effects().Versions[1].Together = 20 }, judge.Pass, "20 effects of v2"},
		{"no version at all", func(l *bookkeeping, _ *recording) { l.effects().Versions = nil }, judge.Inconclusive, "no version made an effect"},
		{"more effects than were read", func(l *bookkeeping, _ *recording) { l.effects().Versions[0].Effects++ }, judge.Inconclusive, "are told to have made 451 effects"},
		{"nothing is told of versions", func(l *bookkeeping, _ *recording) { l.reads[0].Effects = nil }, judge.Inconclusive, "does not tell how effects came about"},
		{"no update, but a kill", func(_ *bookkeeping, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Name = history.KilledName })
		}, judge.Inconclusive, "no rolling update of"},
		{"an update of a store that messages go through", func(_ *bookkeeping, r *recording) {
			r.disturbances(func(d *history.Disturbance) { d.Workload = testNATS })
		}, judge.Inconclusive, "no rolling update of"},
	}...))
}
