package mechanics

import (
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/run"
)

// PDBNoDeadlock drains a node to its end: a budget that protects must not protect for ever.
func PDBNoDeadlock(w bitvault.World) run.Scenario {
	return run.Scenario{
		Name:   "mechanics/pdb-no-deadlock",
		Proves: "a drain ends once replacements are ready",
		Labels: []string{"mechanics"},
		Needs:  run.Needs{Workers: 2},
		Stack:  bitvault.Stack{World: w},
		Before: 10 * time.Second,
		Acts:   []run.Act{w.Drain(4 * time.Minute)},
		After:  10 * time.Second,
		Checks: []string{"mechanics.pdb-no-deadlock"},
	}
}
