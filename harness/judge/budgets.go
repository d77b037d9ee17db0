package judge

import (
	"encoding/json"
	"fmt"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Budgets are the limits that verdicts hang on. A scenario that needs others records them in run.json, so that judging the
// record again gives the same answer. Times are nanoseconds in JSON.
type Budgets struct {
	Lag    time.Duration `json:"lag"`    // worst start lag of a hit
	Stall  time.Duration `json:"stall"`  // longest time the generator's process did not run
	Files  float64       `json:"files"`  // share of the limit of open files in use
	Around uint64        `json:"around"` // hits before and after each disturbance, at least

	Settle      time.Duration `json:"settle"`      // after a step, before its share of traffic is judged
	Propagation time.Duration `json:"propagation"` // until routers follow a change of readiness or of weights
	Watch       time.Duration `json:"watch"`       // by how much a watch may tell of readiness later than routers act on it
	Abort       time.Duration `json:"abort"`       // from the start of a bad release to its abort
	Straddling  uint64        `json:"straddling"`  // requests seen in flight across a SIGTERM, at least

	Weights      []int32       `json:"weights"`      // percent of traffic a canary gets, one after another, before all of it
	Metrics      Metrics       `json:"metrics"`      // as the AnalysisTemplate names them
	Measurements int32         `json:"measurements"` // of the metric in question in an analysis that passed, at least
	Slow         time.Duration `json:"slow"`         // an answer that takes this long is a bad one where latency is injected
	Notice       time.Duration `json:"notice"`       // from the first bad answer of a release to its abort
	Drain        time.Duration `json:"drain"`        // from the beginning of a drain to its end
	Ending       time.Duration `json:"ending"`       // from the deletion of a pod to its end
}

// Metrics are the names of the metrics by which an analysis judges a release.
type Metrics struct {
	Errors  string `json:"errors"`
	Latency string `json:"latency"`
	CPU     string `json:"cpu"`
	Late    string `json:"late"` // the one that a fault which shows only later breaks
}

// DefaultBudgets holds for scenarios that say nothing else. Propagation covers Traefik's providersThrottleDuration of 2 s and
// a slow EndpointSlice update on a busy machine.
func DefaultBudgets() Budgets {
	return Budgets{
		Lag: 200 * time.Millisecond, Stall: 200 * time.Millisecond, Files: 0.9, Around: 10,
		Settle: 3 * time.Second, Propagation: 5 * time.Second, Watch: time.Second, Abort: 5 * time.Minute, Straddling: 10,
		Weights: []int32{10, 30}, Metrics: Metrics{Errors: "errors", Latency: "latency", CPU: "cpu", Late: "errors"},
		Measurements: 2, Slow: 500 * time.Millisecond, Notice: 5 * time.Minute, Drain: 5 * time.Minute, Ending: time.Minute,
	}
}

// BudgetsOf are the budgets a run was recorded with; what run.json does not name is the default.
func BudgetsOf(run history.Run) (Budgets, error) {
	b := DefaultBudgets()
	if len(run.Budgets) == 0 {
		return b, nil
	}
	if err := json.Unmarshal(run.Budgets, &b); err != nil {
		return b, fmt.Errorf("read the budgets in run.json of run %s: %w", run.ID, err)
	}
	return b, nil
}
