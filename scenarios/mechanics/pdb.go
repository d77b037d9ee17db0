package mechanics

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
)

// PDB drains a node that holds more pods than may be missing at once.
func PDB(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "mechanics/pdb",
		Proves: "a drain takes no more pods at once than the disruption budget allows",
		Labels: []string{"mechanics"},
		Needs:  run.Needs{Workers: 2},
		Stack:  bitvault.Stack{World: w},
		Before: 10 * time.Second,
		Acts:   []run.Act{w.Drain(4 * time.Minute)},
		After:  10 * time.Second,
		Checks: []string{"mechanics.pdb", "mechanics.readiness"},
	}
}
