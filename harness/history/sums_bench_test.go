//go:build bench && unix

package history

import (
	"fmt"
	"hash"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// noSum is a hash that costs nothing: the recorder with it is the recorder without sums.
type noSum struct{ hash.Hash }

func (noSum) Write(p []byte) (int, error) { return len(p), nil }
func (noSum) Sum(b []byte) []byte         { return b }

// TestBenchSums says what the sums cost where nothing but recording is done: hits are made up, and no load is sent. The budget of 2 % is of
// a load that is recorded: package load measures that.
func TestBenchSums(t *testing.T) {
	const rounds, hits = 11, 400_000
	var ratios, with, without []float64
	for round := range rounds {
		order := []bool{round%2 == 0, round%2 != 0}
		cost := map[bool]float64{}
		for _, sums := range order { // in turns, so that a busy machine is busy for both
			cost[sums] = recordingCPU(t, hits, sums)
		}
		with, without = append(with, cost[true]), append(without, cost[false])
		ratios = append(ratios, cost[true]/cost[false])
	}
	t.Logf("CPU a hit, recording alone: %s ns with sums, %s ns without", spread(with), spread(without))
	t.Logf("with sums / without: %s", spread(ratios))
}

func spread(all []float64) string {
	slices.Sort(all)
	return fmt.Sprintf("median %.3f (%.3f to %.3f)", all[len(all)/2], all[0], all[len(all)-1])
}

// recordingCPU records hits and returns the CPU time of one, in nanoseconds.
func recordingCPU(t *testing.T, hits int, sums bool) float64 {
	t.Helper()
	rec, err := Create(filepath.Join(t.TempDir(), "run"), Run{ID: "bench"}, NewClock())
	if err != nil {
		t.Fatal(err)
	}
	w, err := rec.Arm("get")
	if err != nil {
		t.Fatal(err)
	}
	if !sums {
		rec.mu.Lock()
		rec.seal.sum = noSum{}
		rec.mu.Unlock()
		w.mu.Lock()
		w.sum = noSum{}
		w.mu.Unlock()
	}
	h := Hit{Code: 200, Latency: time.Millisecond, BytesIn: 900, Method: "GET", URL: "http://127.0.0.1:8080/", Window: 1, Version: "v1", Pod: "app-0"}
	began := ownCPU(t)
	for seq := range hits {
		h.Seq, h.At = uint64(seq), time.Duration(seq)*100*time.Microsecond
		h.Intended = h.At
		if err := w.Write(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := rec.Close(EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	return float64(ownCPU(t)-began) / float64(hits)
}

func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
