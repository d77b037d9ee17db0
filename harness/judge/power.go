package judge

import (
	"fmt"

	"bitvault.dev/rollproof/harness/words"
)

// Enough is how many must be looked at before a zero says something: as many as show a share of 1 % at 95 %.
const Enough = 300

// ZeroPower says what nothing in n is worth. With none of n the true share is at most 3/n at 95 % (the rule of three).
func ZeroPower(n uint64, what string) *Power {
	if n == 0 {
		return nil
	}
	p := &Power{Hits: n, MaxLossShare: min(3/float64(n), 1)}
	p.Text = fmt.Sprintf("0 of %s %s: at most %s at 95 %%", words.Count(n), what, words.Percent(p.MaxLossShare))
	return p
}
