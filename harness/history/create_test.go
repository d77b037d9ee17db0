package history

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// Several runs that begin in one directory at the same moment: one has it, and its record is as if nobody else had been there.
func TestOnlyOneRunGetsADirectory(t *testing.T) {
	const runs = 8
	for range 50 {
		dir := filepath.Join(t.TempDir(), "run")
		begin := make(chan struct{})
		recorders, errs := [runs]*Recorder{}, [runs]error{}
		var all sync.WaitGroup
		for i := range runs {
			all.Go(func() {
				<-begin
				recorders[i], errs[i] = Create(dir, Run{ID: fmt.Sprint("run-", i)}, NewClock())
			})
		}
		close(begin)
		all.Wait()
		var winners []string
		for i := range runs {
			if errs[i] == nil {
				winners = append(winners, recorders[i].Run().ID)
				if err := recorders[i].Close(EndFinished, ""); err != nil {
					t.Error(err)
				}
			}
		}
		if len(winners) != 1 {
			t.Fatalf("%d runs have the directory: %v, %v", len(winners), winners, errs)
		}
		h, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if h.Run().ID != winners[0] || len(h.Damage()) > 0 {
			t.Fatalf("the record is of %s, with damage %v, want %s's", h.Run().ID, h.Damage(), winners[0])
		}
	}
}
