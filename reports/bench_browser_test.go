//go:build bench && browser

package reports_test

import (
	"os"
	"testing"
)

// BenchmarkOpen is how long Chromium takes from navigation to a drawn timeline.
func BenchmarkOpen(b *testing.B) {
	for name, failed := range map[string]int{"million hits, 10 000 failed": 10_000, "million hits, all failed": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			h := recordMany(b, 1_000_000, failed)
			t := openTab(b)
			path := sampleReport(b, h, sampleResult())
			for b.Loop() {
				t.show(path)
			}
			t.assertQuiet()
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size()), "bytes")
		})
	}
}
