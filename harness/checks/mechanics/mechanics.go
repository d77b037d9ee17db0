package mechanics

import (
	"bitvault.dev/rollproof/harness/judge"
)

// Budgets are the limits of the checks of this area.
type Budgets struct {
	GracefulBudgets
	DeadlockBudgets
	LostBudgets
	NodeLossBudgets
}

// Defaults holds for scenarios that say nothing else.
func Defaults() Budgets {
	return Budgets{DefaultGracefulBudgets(), DefaultDeadlockBudgets(), DefaultLostBudgets(), DefaultNodeLossBudgets()}
}

// Checks are the promises of this area, in the order they are reported in.
func Checks(b Budgets, tolerance judge.Tolerance) []judge.Check {
	return []judge.Check{
		Readiness(tolerance),
		Graceful(b.GracefulBudgets, tolerance),
		ScaleDown(b.GracefulBudgets, tolerance),
		PDB(tolerance),
		PDBNoDeadlock(b.DeadlockBudgets),
		ReadinessLost(b.LostBudgets, tolerance),
		NodeLoss(b.NodeLossBudgets, tolerance),
	}
}
