package nats

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/nats"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// Killed kills the process of the stream's leader with SIGKILL from its node: nobody steps down, the others have to miss it.
func Killed(w bitvault.World) run.Scenario {
	store := bitvault.NATS(3)
	return run.Scenario{
		Name:    "nats/killed",
		Proves:  "JetStream whose leader is killed loses no acknowledged message, and elects another one",
		Labels:  []string{"stores", "nats"},
		Needs:   run.Needs{Workers: 3, Capabilities: []run.Capability{run.NodeShell}},
		Stack:   bitvault.OfStores(w, store),
		Before:  10 * time.Second,
		Acts:    []run.Act{store.KillLeader(disrupt.Killed, bitvault.StreamLeader)},
		After:   10 * time.Second,
		Checks:  []string{nats.SlugNoAckedLoss, nats.SlugReElection},
		Budgets: missedLeader,
	}
}

// missedLeader is the budget of a leader that does not step down: it is missed after 4 s to 9 s only, and the election takes its time (server/raft.go).
func missedLeader(b *checks.Budgets) { b.PublishGap = 15 * time.Second }
