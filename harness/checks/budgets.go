package checks

import (
	"encoding/json"
	"fmt"

	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/checks/nats"
	"bitvault.dev/rollproof/harness/checks/opensearch"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/checks/redis"
	"bitvault.dev/rollproof/harness/checks/stack"
	"bitvault.dev/rollproof/harness/checks/store"
	"bitvault.dev/rollproof/harness/checks/worker"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// Budgets are the limits that verdicts hang on, each owned by the check that it is for. What a scenario changes is recorded in run.json,
// so that judging the record again gives the same answer. In JSON all of them are fields of one object; times are nanoseconds.
type Budgets struct {
	judge.Tolerance
	loadBudgets
	canaryBudgets
	mechanicsBudgets
	stackBudgets
	store.LedgerBudgets
	postgresBudgets
	redisBudgets
	natsBudgets
	opensearchBudgets
	workerBudgets
}

// The budgets of the areas are embedded, so that all of them are fields of one object. Go asks for a name of its own for each.
type (
	loadBudgets       = load.Budgets
	canaryBudgets     = canary.Budgets
	mechanicsBudgets  = mechanics.Budgets
	stackBudgets      = stack.Budgets
	postgresBudgets   = postgres.Budgets
	redisBudgets      = redis.Budgets
	natsBudgets       = nats.Budgets
	opensearchBudgets = opensearch.Budgets
	workerBudgets     = worker.Budgets
)

// DefaultBudgets holds for scenarios that say nothing else. The strategy has no defaults.
func DefaultBudgets() Budgets {
	return Budgets{judge.DefaultTolerance(), load.Defaults(), canary.Defaults(), mechanics.Defaults(), stack.Defaults(),
		store.DefaultLedgerBudgets(), postgres.Defaults(), redis.Defaults(), nats.Defaults(), opensearch.Defaults(), worker.Defaults()}
}

// BudgetsOf are the budgets a run was recorded with; what run.json does not name is the default.
func BudgetsOf(run history.Run) (Budgets, error) {
	b := DefaultBudgets()
	if run.Format == 1 {
		b.Strategy = strategyOfFormat1()
		// What it takes for a zero to say something, and how long one may wait, was not asked then.
		b.DroppedBudgets, b.ResponsiveBudgets = load.DroppedBudgets{}, load.ResponsiveBudgets{}
	}
	if len(run.Budgets) == 0 {
		return b, nil
	}
	if err := json.Unmarshal(run.Budgets, &b); err != nil {
		return b, fmt.Errorf("read the budgets in run.json of run %s: %w", run.ID, err)
	}
	return b, nil
}
