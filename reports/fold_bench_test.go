//go:build bench

package reports

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// BenchmarkFold is the cost of one hit.
func BenchmarkFold(b *testing.B) {
	f := newFold("get", disturbed{})
	h := history.Hit{Code: 200, Version: "v1", Latency: 3 * time.Millisecond}
	for b.Loop() {
		h.At += 400 * time.Microsecond
		h.Latency = time.Millisecond + h.At*7919%(3*time.Millisecond)
		f.add(&h)
	}
}
