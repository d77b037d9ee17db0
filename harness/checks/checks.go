package checks

import (
	"context"
	"slices"

	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/checks/disruption"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/checks/nats"
	"bitvault.dev/rollproof/harness/checks/opensearch"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/checks/redis"
	"bitvault.dev/rollproof/harness/checks/stack"
	"bitvault.dev/rollproof/harness/checks/worker"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// All is the catalogue of every check with the given budgets.
func All(b Budgets) judge.Catalogue {
	return slices.Concat(
		load.Checks(b.loadBudgets, b.Strategy.Slow, b.Tolerance),
		disruption.Checks(),
		canary.Checks(b.canaryBudgets, b.DroppedBudgets, b.Tolerance),
		mechanics.Checks(b.mechanicsBudgets, b.Tolerance),
		stack.Checks(b.stackBudgets, b.Tolerance),
		postgres.Checks(b.postgresBudgets, b.LedgerBudgets, b.Tolerance),
		redis.Checks(b.redisBudgets, b.LedgerBudgets, b.Tolerance),
		nats.Checks(b.natsBudgets, b.LedgerBudgets, b.Tolerance),
		opensearch.Checks(b.opensearchBudgets, b.LedgerBudgets, b.Tolerance),
		worker.Checks(b.workerBudgets, b.LedgerBudgets),
	)
}

// Of is the catalogue with the budgets that a run was recorded with.
func Of(run history.Run) (judge.Catalogue, error) {
	b, err := BudgetsOf(run)
	if err != nil {
		return nil, err
	}
	return All(b), nil
}

// Recorded judges a record by the checks that it was made for, with its own budgets.
func Recorded(ctx context.Context, h *history.History) (judge.Result, error) {
	catalogue, err := Of(h.Run())
	if err != nil {
		return judge.Result{}, err
	}
	return judge.Run(ctx, h, catalogue, catalogue.For(h.Run()))
}
