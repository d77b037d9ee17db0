package reports_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"bitvault.dev/rollproof/reports"
)

func TestTry(t *testing.T) {
	h := recordSample(t)
	out := filepath.Join("..", "out")
	_ = os.MkdirAll(out, 0o755)
	if _, err := reports.WriteAll(context.Background(), out, h, sampleResult()); err != nil {
		t.Fatal(err)
	}
	if err := reports.Terminal(os.Stdout, h.Run(), sampleResult(), reports.TerminalOptions{Dir: "out/x", Color: true}); err != nil {
		t.Fatal(err)
	}
}
