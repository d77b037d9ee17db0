package load

import (
	"bitvault.dev/rollproof/harness/judge"
)

// Budgets are the limits of the checks of this area.
type Budgets struct{ HeldBudgets }

// Defaults holds for scenarios that say nothing else.
func Defaults() Budgets { return Budgets{DefaultHeldBudgets()} }

// Checks are the promises of this area, in the order they are reported in.
func Checks(b Budgets) []judge.Check {
	return []judge.Check{Complete(), Held(b.HeldBudgets), ZeroDropped()}
}
