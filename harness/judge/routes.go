package judge

import "time"

// Route is what became of the hits of one route over all arms but the control arms.
type Route struct {
	// Name is what the traffic file calls it, or its method and path, in which each number and id counts as {id}.
	Name     string  `json:"name"`
	Verdict  Verdict `json:"verdict"`
	Reason   string  `json:"reason"`
	Sent     uint64  `json:"sent"`
	Dropped  uint64  `json:"dropped"`            // of Sent, those that break the promise
	Injected uint64  `json:"injected,omitempty"` // of Sent, failures excepted because they were injected
	Masked   uint64  `json:"masked"`             // of Sent, those that Go's transport silently sent again
	Unsent   uint64  `json:"unsent,omitempty"`   // intended, and never sent
	Harness  uint64  `json:"harness,omitempty"`  // of Sent, those that failed on the harness's own account, or cannot be decided
	// MaxLossShare is what a zero is worth: with none dropped, the true share is at most this at 95 %.
	MaxLossShare float64  `json:"maxLossShare,omitempty"`
	Latency      *Latency `json:"latency,omitempty"` // of correct answers; nil without any
}

// Latency is how long answers took, in nanoseconds and with two digits.
type Latency struct {
	P50 time.Duration `json:"p50"`
	P90 time.Duration `json:"p90"`
	P95 time.Duration `json:"p95"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

// spoilRoutes takes the green from routes whose promise has none, or whose record is not whole.
func spoilRoutes(promises []Promise, whole bool) {
	for i := range promises {
		p := &promises[i]
		why := ""
		switch {
		case p.Verdict == Inconclusive:
			why = p.Reason
		case !whole:
			why = "the record is not complete"
		}
		for k := range p.Routes {
			if r := &p.Routes[k]; why != "" && r.Verdict == Pass {
				r.Verdict, r.Reason = Inconclusive, why
			}
		}
	}
}
