// Package flock is a lock between processes: a file that one of them holds, and that says who. The kernel gives it back when its
// holder ends, however that ends, so no lock is ever stale.
package flock

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

const poll = 200 * time.Millisecond

// Lock is a lock that is held.
type Lock struct{ file *os.File }

// Release gives the lock back.
func (l *Lock) Release() error { return l.file.Close() }

// HeldError says that another process holds the lock.
type HeldError struct {
	Path   string
	Holder string // as it called itself
}

func (e *HeldError) Error() string { return fmt.Sprintf("%s is held by %s", e.Path, e.Holder) }

// Try takes the lock, or returns *HeldError. holder is how others get to know who holds it: name what is done, too.
func Try(path, holder string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("take lock %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("take lock %s: %w", path, err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(&HeldError{Path: path, Holder: heldBy(file)}, file.Close())
	}
	if err == nil {
		err = sign(file, holder)
	}
	if err != nil {
		return nil, fmt.Errorf("take lock %s: %w", path, errors.Join(err, file.Close()))
	}
	return &Lock{file}, nil
}

// Take waits for the lock as long as ctx lives. waiting is told once who holds it.
func Take(ctx context.Context, path, holder string, waiting func(holder string)) (*Lock, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for told := false; ; {
		lock, err := Try(path, holder)
		var held *HeldError
		if !errors.As(err, &held) {
			return lock, err
		}
		if !told {
			waiting(held.Holder)
			told = true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for lock %s, held by %s: %w", path, held.Holder, context.Cause(ctx))
		}
	}
}

func sign(file *os.File, holder string) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(fmt.Sprintf("%s (process %d)\n", holder, os.Getpid())), 0)
	return err
}

// heldBy reads who holds the lock; a holder that has just taken it may not have signed yet.
func heldBy(file *os.File) string {
	text, err := os.ReadFile(file.Name())
	if name := strings.TrimSpace(string(text)); err == nil && name != "" {
		return name
	}
	return "another process"
}
