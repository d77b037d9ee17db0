//go:build bench

package load

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// mostSums is the share of the CPU of a recorded load that the sums of its record may cost.
const mostSums = 0.02

// TestBenchSumsOfALoad compares what the sums of a record cost with what the load cost whose record it is, by CPU time: the bytes of its
// files, hashed as the recorder does, against the process that sent and recorded it.
func TestBenchSumsOfALoad(t *testing.T) {
	url := startBenchServer(t)
	var ratios []float64
	for range 5 {
		out := filepath.Join(t.TempDir(), "run")
		cmd := self(t.Context(), "attack", envTarget+"="+url, envOut+"="+out, envLength+"=3s")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		load := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		sums, bytes := hashingCPU(t, out)
		ratios = append(ratios, sums.Seconds()/load.Seconds())
		t.Logf("sums of %d bytes: %s of CPU, beside %s of the load", bytes, sums, load)
	}
	slices.Sort(ratios)
	t.Logf("sums / load: median %.4f (%.4f to %.4f)", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
	assertRatio(t, "room left of what sums may cost", mostSums-ratios[len(ratios)/2], 0)
}

// hashingCPU hashes the files of a record, as often as it takes to measure it, and returns the CPU time of once.
func hashingCPU(t *testing.T, dir string) (time.Duration, int64) {
	t.Helper()
	const times = 10
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	var spent time.Duration
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		bytes += int64(len(data))
		began := selfCPU(t)
		for range times {
			sum := sha256.New()
			for block := range slices.Chunk(data, 256<<10) {
				sum.Write(block)
				_, _ = io.Discard.Write(sum.Sum(nil))
			}
		}
		spent += selfCPU(t) - began
	}
	return spent / times, bytes
}

func selfCPU(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
