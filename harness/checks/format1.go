package checks

import (
	"time"

	"bitvault.dev/rollproof/harness/checks/canary"
)

// strategyOfFormat1 is the strategy that records of format 1 were judged by where their run.json says nothing else: it was built in.
func strategyOfFormat1() canary.Strategy {
	return canary.Strategy{
		Weights: []int32{10, 30}, Metrics: canary.Metrics{Errors: "errors", Latency: "latency", CPU: "cpu", Late: "errors"}, Slow: 500 * time.Millisecond,
	}
}
