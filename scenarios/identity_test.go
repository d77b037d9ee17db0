package scenarios

import (
	"testing"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/fixtures/stack/bitvaultd"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/run"
)

// A release that is bad on purpose names its workload and what is bad: without them not one of its failures is excused. And the stack says what releases
// go out by: without that most checks on them say nothing.
func TestReleasesAreNotKnownByABareVersion(t *testing.T) {
	strategy, err := bitvaultd.StrategyAt("fast")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range All(bitvault.World{Strategy: strategy}) {
		for _, act := range s.Acts {
			for _, d := range act.Disturbances() {
				bad, ok := d.(disrupt.Injecting) // what is none of these injects nothing, by the record
				if !ok {
					continue
				}
				if version, fault := bad.Injects(); version != "" && (bad.Disturbs().IsZero() || fault.IsZero()) {
					t.Errorf("%s: %s injects failures and does not say of which workload, or which failures", s.Name, act)
				}
			}
		}
		stack, ok := s.Stack.(run.Strategist)
		if !ok {
			t.Errorf("%s: its stack does not say what releases go out by", s.Name)
			continue
		}
		if said := stack.Strategy(); len(said.Weights) == 0 || said.Slow == 0 || said.Metrics.Errors == "" || said.Metrics.Latency == "" ||
			said.Metrics.CPU == "" || said.Metrics.Late == "" {
			t.Errorf("%s: its stack says of the strategy only %+v", s.Name, said)
		}
	}
}
