package canary

import (
	"time"
)

// Strategy is what a scenario says of the strategy that releases go out by. It has no defaults: a check that needs a part which
// the scenario does not say is inconclusive.
type Strategy struct {
	Weights []int32       `json:"weights,omitempty"` // percent of traffic a canary gets, one after another, before all of it
	Metrics Metrics       `json:"metrics,omitzero"`  // as the AnalysisTemplate names them: errors, latency, cpu, and late, the one that a fault which shows only later breaks
	Slow    time.Duration `json:"slow,omitempty"`    // an answer that takes this long is a bad one where latency is injected
}

// Metrics are the names of the metrics by which an analysis judges a release.
type Metrics struct {
	Errors  string `json:"errors,omitempty"`
	Latency string `json:"latency,omitempty"`
	CPU     string `json:"cpu,omitempty"`
	Late    string `json:"late,omitempty"` // the one that a fault which shows only later breaks
}

// said is a part of the strategy that a check needs.
type said struct {
	what string // that completes "the scenario does not say"
	told bool
}

func (s Strategy) weights() said {
	return said{"by which shares of the traffic a release goes out", len(s.Weights) > 0}
}

func (s Strategy) slow() said { return said{"from when on an answer is slow", s.Slow > 0} }

// metricSaid is the name of the metric of something, e.g. of errors.
func metricSaid(name, of string) said {
	return said{"which metric is that of " + of, name != ""}
}

// unsaid is what the scenario left out of what a check needs.
func unsaid(needed ...said) []string {
	var all []string
	for _, s := range needed {
		if !s.told {
			all = append(all, s.what)
		}
	}
	return all
}
