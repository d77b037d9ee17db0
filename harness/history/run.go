package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// FormatVersion is the version of the record this package writes. It reads every version from 1 up to this one; a record
// kept under testdata for each of them proves it.
const FormatVersion = 2

// Run says what a record is a record of. It is the content of run.json.
type Run struct {
	Format   int       `json:"format"`
	ID       string    `json:"id"`       // unique; part of every hit's id on the wire
	Scenario string    `json:"scenario"` // e.g. canary/promotes-good, attack, demo
	Pace     string    `json:"pace,omitempty"`
	Seed     uint64    `json:"seed,omitempty"`
	Started  time.Time `json:"started"` // wall time of the clock's zero
	Command  []string  `json:"command,omitempty"`
	// Versions names what took part: rollproof itself, images by digest, Kubernetes, Go.
	Versions map[string]string `json:"versions,omitempty"`
	Machine  Machine           `json:"machine"`

	// Checks are the promises that the run was made to judge, by slug. Judging the record again judges the same ones.
	Checks []string `json:"checks,omitempty"`
	// Disturbances names what the scenario plans to do to the stack: each must land, or the run proves nothing.
	Disturbances []string `json:"disturbances,omitempty"`
	// Probes names what the scenario plans to be at work meanwhile, e.g. ProbeLoad: one that left nothing in the record is missing. It is empty
	// where none is planned, and nil where nobody says.
	Probes []string `json:"probes,omitzero"`
	// Budgets are the limits that verdicts hang on where they differ from the defaults; package checks gives them their shape.
	Budgets json.RawMessage `json:"budgets,omitempty"`
}

// WithoutLoad reports whether the run planned to have no HTTP load.
func (r Run) WithoutLoad() bool { return r.Probes != nil && !slices.Contains(r.Probes, ProbeLoad) }

// ProbeLoad is the name of the probe that makes HTTP load.
const ProbeLoad = "load"

// Machine is where the run happened.
type Machine struct {
	OS     string `json:"os,omitempty"` // e.g. linux/amd64, Debian 12
	CPU    string `json:"cpu,omitempty"`
	Cores  int    `json:"cores,omitempty"`
	Memory uint64 `json:"memory,omitempty"` // bytes
}

// Damage is a part of a record that cannot be read, or that should be there and is not.
type Damage struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"` // bytes into the file up to which it is whole
	Text   string `json:"text"`
}

// Error makes Damage what an iterator yields last when a file is not whole.
func (d *Damage) Error() string {
	return fmt.Sprintf("%s: whole up to byte %d: %s", d.File, d.Offset, d.Text)
}
