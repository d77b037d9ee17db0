package kind

import (
	"context"
	"time"

	"bitvault.dev/rollproof/harness/wait"
)

// poll asks until the answer is yes. The error is a *wait.Timeout: it names what was waited for and what was seen last.
func poll(ctx context.Context, what string, limit time.Duration, ask func(ctx context.Context) (done bool, seen string)) error {
	return wait.Until(ctx, what, limit, wait.Every, func(ctx context.Context) (bool, string, error) {
		done, seen := ask(ctx)
		return done, seen, nil
	})
}
