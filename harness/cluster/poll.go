package cluster

import (
	"context"
	"fmt"
	"time"
)

// pollEvery is short: what is waited for is usually a second away, and the API server is ours alone.
const pollEvery = 250 * time.Millisecond

// poll asks until the answer is yes. When time is up, or ctx ends, the error names what was waited for and what was seen last.
func poll(ctx context.Context, what string, limit time.Duration, ask func(ctx context.Context) (done bool, seen string)) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	last := "nothing yet"
	for {
		done, seen := ask(limited)
		if done {
			return nil
		}
		if limited.Err() == nil || last == "nothing yet" { // an answer cut short by the deadline says nothing about the cluster
			last = seen
		}
		if err := pause(limited, pollEvery); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w; seen last: %s", what, ctx.Err(), last)
			}
			return fmt.Errorf("%s: not within %s; seen last: %s", what, limit, last)
		}
	}
}
