package images

import (
	"context"
	"fmt"
	"path/filepath"

	"bitvault.dev/rollproof/harness/flock"
	"bitvault.dev/rollproof/harness/progress"
)

// lockCache keeps other processes from changing the cache until unlock is called. Waiting for another process is said, with its id,
// and ends with ctx.
func (s *Store) lockCache(ctx context.Context) (unlock func(), err error) {
	var step *progress.Step
	lock, err := flock.Take(ctx, filepath.Join(s.cache, "images", "lock"), "a build or clean-up of images", func(holder string) {
		step = s.show.Start("wait for the image cache")
		step.Say("%s uses it", holder)
	})
	if step != nil {
		step.Done(err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the image cache: %w", err)
	}
	return func() { _ = lock.Release() }, nil
}
