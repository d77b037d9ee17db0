package canary

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
)

// NoDataNoPromote releases a good version while nothing can be measured.
func NoDataNoPromote(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "canary/no-data-no-promote",
		Proves: "without metrics nothing is promoted, and the reason is told",
		Labels: []string{"canary"},
		Stack:  bitvault.Stack{World: w},
		Before: 10 * time.Second,
		Acts: []run.Act{
			bitvault.SilencePrometheus(), w.GoodReverted(), w.Decided(), run.Hold(10 * time.Second),
		},
		After:  10 * time.Second,
		Checks: []string{"canary.no-data-no-promote"},
	}
}
