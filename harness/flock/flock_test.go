package flock

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestOneHolderAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "lock")
	first, err := Try(path, "the first run")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Try(path, "the second run")
	var held *HeldError
	if !errors.As(err, &held) || !strings.HasPrefix(held.Holder, "the first run (process ") {
		t.Fatalf("the second got %v", err)
	}

	said := make(chan string, 10)
	taken := make(chan error, 1)
	go func() {
		lock, err := Take(t.Context(), path, "the second run", func(holder string) { said <- holder })
		if err == nil {
			err = lock.Release()
		}
		taken <- err
	}()
	if holder := <-said; holder != held.Holder {
		t.Errorf("it waits for %q, want %q", holder, held.Holder)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil || len(said) != 0 {
		t.Errorf("the second got %v and said %d things more", err, len(said))
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := Try(path, "the first run")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Take(ctx, path, "the second run", func(string) { cancel() })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the first run") {
		t.Errorf("error %v, want one that is cancelled and names the holder", err)
	}
}
