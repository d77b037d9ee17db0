package stack

import (
	"bitvault.dev/rollproof/harness/judge"
)

// Budgets are the limits of the checks of this area.
type Budgets struct{ HealedBudgets }

// Defaults holds for scenarios that say nothing else.
func Defaults() Budgets { return Budgets{DefaultHealedBudgets()} }

// Checks are the promises of this area.
func Checks(b Budgets, tolerance judge.Tolerance) []judge.Check {
	return []judge.Check{Healed(b.HealedBudgets, tolerance)}
}
