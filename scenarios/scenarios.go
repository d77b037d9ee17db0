// Package scenarios lists what can be run. A scenario is a value in a file of its own below one of the areas.
package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/harness/words"
	"bitvault.dev/rollproof/scenarios/canary"
	"bitvault.dev/rollproof/scenarios/mechanics"
	"bitvault.dev/rollproof/scenarios/nats"
	"bitvault.dev/rollproof/scenarios/opensearch"
	"bitvault.dev/rollproof/scenarios/postgres"
	"bitvault.dev/rollproof/scenarios/redis"
	"bitvault.dev/rollproof/scenarios/worker"
)

// All lists every scenario, in the order they are run in.
func All(w bitvault.World) []run.Scenario {
	return []run.Scenario{
		canary.PromotesGood(w),
		canary.AbortsOnErrors(w),
		canary.AbortsOnLatency(w),
		canary.AbortsOnCPU(w),
		canary.AbortsLate(w),
		canary.NoDataNoPromote(w),
		mechanics.Readiness(w),
		mechanics.Graceful(w),
		mechanics.ScaleDown(w),
		mechanics.PDB(w),
		mechanics.PDBNoDeadlock(w),
		mechanics.Freeze(w),
		mechanics.ReadinessLost(w),
		mechanics.NodeLoss(w),
		nats.Rolling(w),
		nats.ForceDeleted(w),
		nats.Killed(w),
		nats.PDB(w),
		redis.Rolling(w),
		redis.ForceDeleted(w),
		redis.Killed(w),
		redis.PDB(w),
		postgres.Rolling(w),
		postgres.Switchover(w),
		postgres.ForceDeleted(w),
		postgres.Killed(w),
		postgres.PDB(w),
		opensearch.Rolling(w),
		opensearch.PDB(w),
		worker.Rolling(w),
		worker.Redelivered(w),
		worker.Killed(w),
	}
}

// Select returns the scenarios of the given names and label; with neither, all of them.
func Select(all []run.Scenario, label string, names ...string) ([]run.Scenario, error) {
	var chosen []run.Scenario
	for _, name := range names {
		i := slices.IndexFunc(all, func(s run.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, unknown(name, all)
		}
		chosen = append(chosen, all[i])
	}
	if len(names) == 0 {
		chosen = slices.Clone(all)
	}
	if label != "" {
		chosen = slices.DeleteFunc(chosen, func(s run.Scenario) bool { return !s.Labelled(label) })
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no scenario carries the label %q: the labels are %s", label, strings.Join(Labels(all), ", "))
	}
	return chosen, nil
}

// Labels lists the labels that scenarios carry.
func Labels(all []run.Scenario) []string {
	var labels []string
	for _, s := range all {
		labels = append(labels, s.Labels...)
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// unknown is the error for a scenario that does not exist.
func unknown(name string, all []run.Scenario) error {
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return fmt.Errorf("there is no scenario %q%s; `rollproof list` shows all", name, words.Meant(name, names))
}
