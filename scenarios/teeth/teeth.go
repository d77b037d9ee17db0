// Package teeth plants a fault under each check on the real stack. A check that does not turn is worth nothing, and fails the build.
package teeth

import (
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/scenarios/canary"
	"bitvault.dev/rollproof/scenarios/mechanics"
	"bitvault.dev/rollproof/scenarios/nats"
	"bitvault.dev/rollproof/scenarios/opensearch"
	"bitvault.dev/rollproof/scenarios/postgres"
	"bitvault.dev/rollproof/scenarios/redis"
	"bitvault.dev/rollproof/scenarios/worker"
)

// Fault is one planted fault, and what the check under it must say.
type Fault struct {
	Check    string        // slug
	Planted  string        // what is wrong on purpose
	Scenario run.Scenario  // under which it is planted
	Verdict  judge.Verdict // Fail, or Inconclusive where the check can only say that nothing is proved
}

// Seen reports whether the check turned as it must, and what it said.
func (f Fault) Seen(result judge.Result) (bool, string) {
	i := slices.IndexFunc(result.Promises, func(p judge.Promise) bool { return p.Slug == f.Check })
	if i < 0 {
		return false, "it was not judged"
	}
	p := result.Promises[i]
	return p.Verdict == f.Verdict, string(p.Verdict) + ": " + p.Reason
}

// All lists every fault. The last one leaves the cluster broken.
func All(w bitvault.World) []Fault {
	return []Fault{
		plant(canary.AbortsOnErrors(w), "canary.aborts-on-errors", "a success condition that is always true", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"errors-always-pass"} }, "smoke"),
		plant(mechanics.Readiness(w), "load.zero-dropped", "no preStop, and an end without grace", judge.Fail,
			func(s *bitvault.Stack) { s.Faults, s.BaseArgs = []string{"no-pre-stop"}, []string{"-exit-at-once"} }, "smoke"),
		plant(mechanics.Readiness(w), "load.held", "a generator with one worker, and a slow target", judge.Inconclusive,
			func(s *bitvault.Stack) { s.Starve, s.BaseArgs = true, []string{"-latency=100ms"} }, "smoke"),
		aimedAtNothing(w),
		plant(mechanics.Readiness(w), "load.responsive", "every answer held back 4 s, under a deadline of 5 s", judge.Fail,
			func(s *bitvault.Stack) { s.BaseArgs = []string{"-latency=4s"} }),
		undeclaredFreeze(w),
		undeclaredDeletion(w),

		plant(canary.PromotesGood(w), "canary.steps", "the step to 30 % is left out", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"skip-second-weight"} }),
		plant(canary.PromotesGood(w), "canary.traffic-share", "the router splits evenly, whatever the controller says", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"static-weights"} }),
		neverReady(w),
		plant(canary.AbortsOnLatency(w), "canary.aborts-on-latency", "a threshold of 50 s", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"lax-latency"} }),
		plant(canary.AbortsOnCPU(w), "canary.aborts-on-cpu", "the metric is not in the template", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"no-cpu-metric"} }),
		plant(canary.AbortsLate(w), "canary.aborts-late", "the second analysis is left out", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"no-second-analysis"} }),
		noDataPasses(w),
		slowRouter(w),

		plant(mechanics.Readiness(w), "mechanics.readiness", "no readiness probe, and an application that takes time to load", judge.Fail,
			func(s *bitvault.Stack) {
				s.Faults, s.BaseArgs = []string{"no-readiness-probe"}, []string{"-load-time=5s"}
			}),
		plant(mechanics.ReadinessLost(w), "mechanics.readiness-lost", "no readiness probe", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"no-readiness-probe"} }),
		plant(mechanics.Graceful(w), "mechanics.graceful", "the process ends at once on SIGTERM", judge.Fail,
			func(s *bitvault.Stack) { s.BaseArgs = []string{"-exit-at-once"} }),
		plant(mechanics.ScaleDown(w), "mechanics.scale-down", "no preStop", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"no-pre-stop"} }),
		plant(mechanics.PDB(w), "mechanics.pdb", "no disruption budget", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"no-budget"} }),
		plant(mechanics.PDB(w), "mechanics.pdb", "a disruption budget that selects other pods", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"wrong-budget"} }),
		rigidBudget(w),
		plant(mechanics.NodeLoss(w), "mechanics.node-loss", "a single replica", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"single-replica"} }),

		plant(redis.Rolling(w), "redis.failover", "a hand-over that does not pause writes", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"redis-no-pause"} }),
		plant(redis.Killed(w), "redis.failover", "one sentinel, where two must agree", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"redis-one-sentinel"} }),
		plant(redis.PDB(w), "redis.pdb", "a disruption budget that selects other pods", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"redis-wrong-budget"} }),
		wipedStream(w),
		plant(nats.PDB(w), "nats.re-election", "all servers gone at once, as a disruption budget lets them", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"nats-lax-budget"} }),
		plant(nats.PDB(w), "nats.pdb", "a disruption budget that lets all servers go", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"nats-lax-budget"} }),
		plant(postgres.Rolling(w), "postgres.rolling", "a primary that is started anew without handing over", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"postgres-restart"} }),
		plant(postgres.Killed(w), "postgres.no-acked-loss", "commits that are acknowledged before they are on any disk", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"postgres-asynchronous"} }),
		killedBetween(w),
		withoutOperator(w),
		plant(postgres.PDB(w), "postgres.pdb", "no disruption budget", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"postgres-no-budget"} }),
		plant(opensearch.Rolling(w), "opensearch.drain", "a node that ends with its shards on it", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"opensearch-no-drain"} }),
		plant(opensearch.PDB(w), "opensearch.pdb", "a disruption budget that lets all nodes go", judge.Fail,
			func(s *bitvault.Stack) { s.Faults = []string{"opensearch-lax-budget"} }),
		plant(worker.Killed(w), "worker.no-lost-message", "messages that are acknowledged before their effect", judge.Fail,
			func(s *bitvault.Stack) { s.WorkerArgs = []string{"-ack-first"} }),
		plant(worker.Redelivered(w), "worker.idempotent", "effects whose key is new with each delivery", judge.Fail,
			func(s *bitvault.Stack) { s.WorkerArgs = []string{"-no-unique-key"} }),
		renamedField(w),

		leftCordoned(w),
	}
}

// Scenarios are those of some faults, in their order.
func Scenarios(faults []Fault) []run.Scenario {
	var all []run.Scenario
	for _, f := range faults {
		all = append(all, f.Scenario)
	}
	return all
}

// plant puts a fault under a scenario.
func plant(s run.Scenario, check, planted string, verdict judge.Verdict, change func(*bitvault.Stack), labels ...string) Fault {
	stack := s.Stack.(bitvault.Stack)
	change(&stack)
	s.Stack = stack
	return named(s, check, planted, verdict, labels...)
}

func named(s run.Scenario, check, planted string, verdict judge.Verdict, labels ...string) Fault {
	s.Name = "teeth/" + strings.ReplaceAll(check, ".", "-")
	s.Proves = "with " + planted + ", " + check + " turns"
	s.Labels = append([]string{"teeth"}, labels...)
	if !slices.Contains(s.Checks, check) {
		s.Checks = append(slices.Clone(s.Checks), check)
	}
	return Fault{Check: check, Planted: planted, Scenario: s, Verdict: verdict}
}

func aimedAtNothing(w bitvault.World) Fault {
	s := mechanics.Readiness(w)
	s.Acts = []run.Act{w.KillOf("nobody", disrupt.Deleted)}
	return named(s, "disruption.landed", "a kill that is aimed at nothing", judge.Inconclusive, "smoke")
}

func undeclaredFreeze(w bitvault.World) Fault {
	s := mechanics.Freeze(w)
	s.Budgets = nil
	return named(s, "load.responsive", "one pod of four that stands still for 3 s, which nobody declared", judge.Fail)
}

func undeclaredDeletion(w bitvault.World) Fault {
	s := mechanics.Readiness(w)
	s.Acts = []run.Act{w.Kill(disrupt.Deleted), run.Hold(5 * time.Second), w.DeleteByHand(), run.Hold(15 * time.Second)}
	return named(s, "load.undisturbed", "a pod deleted by hand meanwhile", judge.Inconclusive)
}

func neverReady(w bitvault.World) Fault {
	s := canary.PromotesGood(w)
	s.Acts = []run.Act{w.GoodReverted("-never-ready"), w.Decided()}
	return named(s, "canary.promotes-good", "a release that never gets ready", judge.Fail)
}

// noDataPasses makes Prometheus answer that it knows nothing. Without any Prometheus the question itself would fail, and no condition can take that
// for good data.
func noDataPasses(w bitvault.World) Fault {
	s := canary.NoDataNoPromote(w)
	s.Acts = []run.Act{w.GoodUnmeasured(), w.Decided(), run.Hold(10 * time.Second)}
	return plant(s, "canary.no-data-no-promote", "conditions that take no data for good data", judge.Fail,
		func(s *bitvault.Stack) { s.Faults = []string{"no-data-passes"} })
}

// slowRouter begins only when nothing of the installation can still wait in the router: two of its waits later. Otherwise the moment at which the
// router applies the abort would depend on when the installation ended. Once it came to be the moment of the abort itself, and nothing was late.
func slowRouter(w bitvault.World) Fault {
	s := canary.AbortsOnErrors(w)
	// The analyses wait one throttle longer than without the fault.
	throttle := w.Planted("slow-router").Analysis(0).Delay() - w.Strategy.Analysis(0).Delay()
	s.Before = 2*throttle + 5*time.Second
	return plant(s, "canary.blast-radius", "a router that is slow to take new weights", judge.Fail,
		func(s *bitvault.Stack) { s.Faults = []string{"slow-router"} })
}

func rigidBudget(w bitvault.World) Fault {
	s := mechanics.PDBNoDeadlock(w)
	s.Acts = []run.Act{w.Drain(45 * time.Second)}
	return plant(s, "mechanics.pdb-no-deadlock", "a budget of as many pods as there are replicas", judge.Fail,
		func(s *bitvault.Stack) { s.Faults = []string{"rigid-budget"} })
}

// wipedStream takes the only copy of what was acknowledged.
func wipedStream(w bitvault.World) Fault {
	s := nats.Killed(w)
	alone := bitvault.NATS(1)
	s.Stack, s.Acts = bitvault.OfStores(w, alone), []run.Act{alone.WipeLeader(bitvault.StreamLeader)}
	return named(s, "nats.no-acked-loss", "a stream with one replica, whose volume is wiped", judge.Fail)
}

// killedBetween kills the primary between planned hand-overs, where commits are acknowledged before they are on any disk. A hand-over itself loses none
// of them: whoever stops in good order waits for its standbys.
func killedBetween(w bitvault.World) Fault {
	s := postgres.Switchover(w)
	s.Needs.Capabilities = []run.Capability{run.NodeShell}
	s.Acts = []run.Act{bitvault.SwitchOver(1), bitvault.Postgres().KillLeader(disrupt.Killed, bitvault.Primary)}
	return plant(s, "postgres.switchover", "a kill between hand-overs, of a primary that acknowledges commits before they are on any disk", judge.Fail,
		func(s *bitvault.Stack) { s.Faults = []string{"postgres-asynchronous"} })
}

// withoutOperator leaves nobody to promote a standby for longer than a failover may take.
func withoutOperator(w bitvault.World) Fault {
	s := postgres.ForceDeleted(w)
	s.Acts = bitvault.WithoutOperator(time.Minute, s.Acts...)
	return named(s, "postgres.failover", "no operator", judge.Fail)
}

// renamedField leaves messages that the version before could take, once that is gone.
func renamedField(w bitvault.World) Fault {
	s := worker.Rolling(w)
	s.Acts = []run.Act{w.RollWorker("-renamed-field")}
	return named(s, "worker.two-versions", "a new version that calls a field of the messages by another name", judge.Fail)
}

func leftCordoned(w bitvault.World) Fault {
	s := mechanics.Readiness(w)
	s.Acts = []run.Act{w.LeaveCordoned(0), run.Hold(5 * time.Second)}
	return named(s, "stack.healed", "a node that is left cordoned", judge.Fail)
}
