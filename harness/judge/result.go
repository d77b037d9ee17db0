package judge

import (
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Verdict is the outcome of a check, and of a run.
type Verdict string

// The verdicts. Only Pass is green: an inconclusive run proves nothing and fails the build.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
	Skipped      Verdict = "skipped" // with a reason; the check does not apply to this run
)

// Result is the judgement of a run. As JSON it is verdict.json, a stable contract: fields are added, never renamed.
type Result struct {
	Verdict  Verdict          `json:"verdict"`
	Promises []Promise        `json:"promises"` // worst first
	Damage   []history.Damage `json:"damage,omitempty"`
	// Record is the sum of the record that was judged, see history.History.Sum.
	Record string `json:"record,omitempty"`
	// Unprotected says that the record has no sums and was judged all the same, because somebody asked for that.
	Unprotected bool `json:"unprotected,omitempty"`
}

// Promise is the judgement of one promise over one run.
type Promise struct {
	Slug    string  `json:"slug"`    // e.g. load.zero-dropped
	Text    string  `json:"promise"` // what was promised, in words
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // one line: why it is not a pass, or what the pass rests on
	// Reservations are what a pass leaves out of the promise: see Reserve.
	Reservations []string `json:"reservations,omitempty"`

	Hits     uint64 `json:"hits"`               // hits it was judged by
	Dropped  uint64 `json:"dropped"`            // of them, failures that break the promise
	Injected uint64 `json:"injected,omitempty"` // failures excepted because they were injected
	Masked   uint64 `json:"masked"`             // hits that Go's transport silently sent again

	// Findings are in the order of time. Found counts all of them, also those beyond the limit that is kept.
	Findings []Finding `json:"findings"`
	Found    uint64    `json:"found"`
	Power    *Power    `json:"power,omitempty"`
	Figures  []Figure  `json:"figures,omitempty"`
	Routes   []Route   `json:"routes,omitempty"` // of a load that has several
}

// Reserve notes what a pass leaves out of the promise: what was not judged, what was excepted, and what a budget of the scenario allows beyond
// the usual one. The reason names each of them too.
func (p *Promise) Reserve(reservations []string) {
	p.Reservations = append(p.Reservations, reservations...)
	p.Reason = strings.Join(append([]string{p.Reason}, reservations...), "; ")
}

// Finding is one piece of evidence against a promise, or against the worth of the run.
type Finding struct {
	At       time.Duration `json:"at"` // nanoseconds since the run's start
	Until    time.Duration `json:"until,omitempty"`
	Arm      string        `json:"arm,omitempty"`
	Hit      string        `json:"hit,omitempty"` // <arm>/<seq>, as the hit's id on the wire ends
	Class    string        `json:"class,omitempty"`
	Text     string        `json:"text"`
	Evidence []string      `json:"evidence,omitempty"`

	Bare bool          `json:"-"` // it tells of a hit that brought nothing of an answer, see IsBare
	Late time.Duration `json:"-"` // it tells of a whole answer that came so long after its deadline
}

// Power says what a zero is worth: what could have happened without being seen.
type Power struct {
	Hits         uint64        `json:"hits"`
	MaxLossShare float64       `json:"maxLossShare"` // at 95 % confidence, with nothing found: 3/n
	Rate         float64       `json:"rate"`         // hits per second while it ran
	OutageSeen   time.Duration `json:"outageSeen"`   // an outage this long or longer is always seen, in nanoseconds
	Text         string        `json:"text"`         // the same as one sentence
}

// Figure is a number worth reporting that no verdict hangs on.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}
