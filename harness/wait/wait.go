// Package wait waits for something that has a name and a bound, and remembers what was seen last of it.
package wait

import (
	"context"
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/words"
)

// Timeout says that what was waited for did not come.
type Timeout struct {
	What  string        // that was waited for, as "wait for …" goes on
	Bound time.Duration // how long it was waited for at most
	Saw   string        // last
	// Err is why it was waited for no longer although the bound was not used up: the cause of the context's end. It is nil when it was.
	Err error
}

func (t *Timeout) Error() string {
	if t.Err != nil {
		return fmt.Sprintf("wait for %s: %v: saw last: %s", t.What, t.Err, t.Saw)
	}
	return fmt.Sprintf("wait for %s: not within %s: saw last: %s", t.What, words.Span(t.Bound), t.Saw)
}

// Unwrap is why it was waited for no longer, nil when the bound was used up.
func (t *Timeout) Unwrap() error { return t.Err }

// Every is how often a cluster is looked at: often enough to cost no time, seldom enough to cost no CPU.
const Every = 250 * time.Millisecond

// Look says whether what is waited for is there, and what it saw. An error may pass: it counts as what was seen. ctx ends with the wait.
type Look func(ctx context.Context) (done bool, saw string, err error)

// Until looks at once and then every so often until look is done, for no longer than bound. The error is a *Timeout.
func Until(ctx context.Context, what string, bound, every time.Duration, look Look) error {
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	const nothing = "nothing"
	t := &Timeout{What: what, Bound: bound, Saw: nothing}
	for {
		done, saw, err := look(bounded)
		if err == nil && done {
			return nil
		}
		if bounded.Err() == nil || t.Saw == nothing { // what a look that was cut off says is mostly about the cut
			t.Saw = saw
			if err != nil {
				t.Saw = err.Error()
			}
		}
		select {
		case <-tick.C:
			continue
		case <-bounded.Done():
		}
		if ctx.Err() != nil {
			t.Err = context.Cause(ctx)
		}
		return t
	}
}

// Pause waits for a time, and less when ctx ends: then it returns the cause.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
