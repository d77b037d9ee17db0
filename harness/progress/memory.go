package progress

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// remembered is how many durations per step the median is taken of: few, so that a changed machine is believed soon.
const remembered = 5

// memory keeps the last few durations of each step. Losing it costs estimates only, so its errors are not reported.
type memory struct {
	mu   sync.Mutex
	path string // "" keeps nothing
}

func openMemory(path string) *memory { return &memory{path: path} }

// usual is the median of what is remembered of a step, 0 when nothing is.
func (m *memory) usual(step string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return median(m.read()[step])
}

// record adds one duration. The file is read again first: another process may have written meanwhile.
func (m *memory) record(step string, took time.Duration) {
	if m.path == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.read()
	last := append(all[step], took.Seconds())
	all[step] = last[max(0, len(last)-remembered):]
	m.write(all)
}

// read returns seconds by step name; an unreadable or damaged file counts as empty.
func (m *memory) read() map[string][]float64 {
	all := map[string][]float64{}
	data, err := os.ReadFile(m.path)
	if err != nil || json.Unmarshal(data, &all) != nil || all == nil {
		return map[string][]float64{}
	}
	return all
}

func (m *memory) write(all map[string][]float64) {
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil || os.MkdirAll(filepath.Dir(m.path), 0o755) != nil {
		return
	}
	_ = renameio.WriteFile(m.path, append(data, '\n'), 0o644) // it only costs the estimates
}

func median(seconds []float64) time.Duration {
	if len(seconds) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(seconds))
	return time.Duration(sorted[len(sorted)/2] * float64(time.Second))
}
