package disruption

import (
	"bitvault.dev/rollproof/harness/judge"
)

// Checks are the promises of this area.
func Checks() []judge.Check { return []judge.Check{Landed()} }
