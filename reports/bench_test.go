//go:build bench

package reports_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/reports"
)

// benchHits is how many hits the benchmarks read, over four arms: ROLLPROOF_BENCH_HITS, or a million.
func benchHits(b *testing.B) int {
	text := os.Getenv("ROLLPROOF_BENCH_HITS")
	if text == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < len(sampleArms) {
		b.Fatalf("ROLLPROOF_BENCH_HITS=%s: want a number of hits", text)
	}
	return n
}

// recordMany records n hits over four arms, 10,000 a second in all; of each million `failed` fail.
func recordMany(b testing.TB, n, failed int) *history.History {
	dir := filepath.Join(b.TempDir(), "run")
	r, err := history.Create(dir, history.Run{ID: "bench", Scenario: "bench"}, history.NewClock())
	if err != nil {
		b.Fatal(err)
	}
	var arms sync.WaitGroup
	for _, arm := range sampleArms {
		w, err := r.Arm(arm)
		if err != nil {
			b.Fatal(err)
		}
		arms.Go(func() {
			for seq := range n / len(sampleArms) {
				at := time.Duration(seq) * 400 * time.Microsecond
				h := history.Hit{
					Seq: uint64(seq), Code: 200, Intended: at, At: at + 80*time.Microsecond, Latency: ms + time.Duration(seq*7919%3_000_000), BytesIn: 900, Window: 1,
					Method: "GET", URL: "http://127.0.0.1:8080/api/v1/vaults", Version: "v1", Pod: "bitvaultd-6c9f-" + string(rune('a'+seq%3)),
				}
				if failed > 0 && seq%(1_000_000/failed) == 0 {
					h.Code, h.Class, h.Reason, h.Error = 0, history.ClassApplication, "reset", "read tcp 127.0.0.1:"+strconv.Itoa(32768+seq%28000)+": read: connection reset by peer"
				}
				if err := w.Write(&h); err != nil {
					b.Error(err)
				}
			}
		})
	}
	arms.Wait()
	if err := r.Close(history.EndFinished, ""); err != nil {
		b.Fatal(err)
	}
	return open(b, dir)
}

// read is a pass over the record that does nothing: what Aggregate costs above it is its own.
func read(b *testing.B, h *history.History) {
	var arms sync.WaitGroup
	for _, arm := range sampleArms {
		arms.Go(func() {
			for _, err := range h.Hits(arm) {
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	arms.Wait()
}

func BenchmarkReport(b *testing.B) {
	n := benchHits(b)
	h := recordMany(b, n, 100)
	perHit := func(b *testing.B, before time.Duration) {
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "hits/s")
		b.ReportMetric(float64(cpuTime(b)-before)/float64(n)/float64(b.N), "cpu-ns/hit")
	}
	b.Run("read", func(b *testing.B) {
		before := cpuTime(b)
		for b.Loop() {
			read(b, h)
		}
		perHit(b, before)
	})
	b.Run("aggregate", func(b *testing.B) {
		before := cpuTime(b)
		for b.Loop() {
			if _, err := reports.Aggregate(context.Background(), h); err != nil {
				b.Fatal(err)
			}
		}
		perHit(b, before)
	})
	b.Run("html", func(b *testing.B) {
		var buf bytes.Buffer
		before := cpuTime(b)
		for b.Loop() {
			buf.Reset()
			if err := reports.HTML(context.Background(), &buf, h, sampleResult()); err != nil {
				b.Fatal(err)
			}
		}
		perHit(b, before)
		b.ReportMetric(float64(buf.Len()), "bytes")
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		b.ReportMetric(float64(mem.Sys)/(1<<20), "MiB-sys")
	})
}

// cpuTime is what this process has used so far: on a shared machine it tells more than the clock on the wall.
func cpuTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
