package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockCache keeps other processes from changing the cache until unlock is called. The lock ends with its process, however that ends.
// Waiting for another process is said, with its id, and ends with ctx.
func (s *Store) lockCache(ctx context.Context) (unlock func(), err error) {
	file := filepath.Join(s.cache, "images", "lock")
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the image cache: %w", err)
	}
	if err := s.flock(ctx, f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the image cache %s: %w", file, err)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(fmt.Sprintf("%d\n", os.Getpid())), 0) // only for the message of who waits
	}
	return func() { f.Close() }, nil
}

func (s *Store) flock(ctx context.Context, f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	holder, _ := os.ReadFile(f.Name())
	step := s.show.Start("wait for the image cache")
	step.Say("process %s is building or pruning", strings.TrimSpace(string(holder)))
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for errors.Is(err, unix.EWOULDBLOCK) {
		select {
		case <-ctx.Done():
			return step.Done(fmt.Errorf("waiting for process %s: %w", strings.TrimSpace(string(holder)), ctx.Err()))
		case <-poll.C:
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
	}
	return step.Done(err)
}
