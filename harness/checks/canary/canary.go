package canary

import (
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/judge"
)

// Budgets are the limits of the checks of this area, and what they need to know of the strategy.
type Budgets struct {
	Strategy
	ShareBudgets
	BlastBudgets
	AbortBudgets
}

// Defaults holds for scenarios that say nothing else. The strategy has no defaults.
func Defaults() Budgets {
	return Budgets{ShareBudgets: DefaultShareBudgets(), BlastBudgets: DefaultBlastBudgets(), AbortBudgets: DefaultAbortBudgets()}
}

// Checks are the promises of this area, in the order they are reported in. drops are the limits of load.zero-dropped, which is one half of a promotion.
func Checks(b Budgets, drops load.DroppedBudgets, tolerance judge.Tolerance) []judge.Check {
	return []judge.Check{
		TrafficShare(b.ShareBudgets, tolerance),
		BlastRadius(b.BlastBudgets, tolerance),
		Steps(b.Strategy, tolerance),
		PromotesGood(drops, tolerance),
		AbortsOnErrors(b.Strategy, b.AbortBudgets, tolerance),
		AbortsOnLatency(b.Strategy, b.AbortBudgets, tolerance),
		AbortsOnCPU(b.Strategy, b.AbortBudgets, tolerance),
		AbortsLate(b.Strategy, b.AbortBudgets, tolerance),
		NoDataNoPromote(b.Strategy, tolerance),
	}
}
