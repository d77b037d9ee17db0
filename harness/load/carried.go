package load

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// Carried remembers the highest rates that this machine was seen to carry, in a small JSON file: hits per second by what the load went
// to. Losing the file costs a warning, so a damaged one counts as empty.
type Carried struct{ path string }

// OpenCarried remembers in the file at path, which is made when first needed.
func OpenCarried(path string) Carried { return Carried{path} }

// Most is the highest rate that was carried to a kind of target, 0 when none is known.
func (c Carried) Most(kind string) float64 { return c.read()[kind] }

// Saw notes that a load was carried: every hit was sent in time by a generator that was not starved.
func (c Carried) Saw(kind string, rate float64) error {
	all := c.read()
	if rate <= all[kind] {
		return nil
	}
	all[kind] = rate
	data, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(c.path), 0o755)
	}
	if err == nil {
		err = renameio.WriteFile(c.path, append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("remember that %g/s were carried: %w", rate, err)
	}
	return nil
}

// Beyond says in one line that a rate is higher than any this machine was seen to carry; "" when it is not, or nothing is known.
func (c Carried) Beyond(kind string, rate float64) string {
	most := c.Most(kind)
	if most == 0 || rate <= most {
		return ""
	}
	return fmt.Sprintf("%g/s is more than this machine was seen to carry (%g/s): should the generator starve, the run is inconclusive", rate, most)
}

func (c Carried) read() map[string]float64 {
	all := map[string]float64{}
	data, err := os.ReadFile(c.path)
	if err != nil || json.Unmarshal(data, &all) != nil || all == nil {
		return map[string]float64{}
	}
	return all
}

// PeakRate is the highest rate of all main arms together that the plan asks for, in hits per second; 0 when it is not known before.
func (p Plan) PeakRate() float64 {
	switch pacing := p.Pacing.(type) {
	case Constant:
		return pacing.PerSecond
	case Ramp:
		return max(pacing.From, pacing.To)
	case Recorded:
		if p.Traffic != nil && p.Traffic.Period > 0 {
			return float64(p.Traffic.Entries) / p.Traffic.Period.Seconds() * pacing.speed()
		}
	}
	return 0
}
