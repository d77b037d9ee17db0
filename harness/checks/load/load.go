package load

import (
	"time"

	"bitvault.dev/rollproof/harness/judge"
)

// Budgets are the limits of the checks of this area.
type Budgets struct {
	HeldBudgets
	DroppedBudgets
	ResponsiveBudgets
}

// Defaults holds for scenarios that say nothing else.
func Defaults() Budgets {
	return Budgets{DefaultHeldBudgets(), DefaultDroppedBudgets(), DefaultResponsiveBudgets()}
}

// Checks are the promises of this area, in the order they are reported in. slow is from when on an answer is slow by the strategy; 0
// where the scenario does not say.
func Checks(b Budgets, slow time.Duration, tolerance judge.Tolerance) []judge.Check {
	return []judge.Check{Complete(), Held(b.HeldBudgets), ZeroDropped(b.DroppedBudgets, tolerance), Responsive(b.ResponsiveBudgets, slow), Undisturbed(tolerance)}
}
