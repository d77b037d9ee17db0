package run

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/probe"
)

// What proves nothing, or cannot be, is refused before anything is made for it.
func TestScenariosThatCannotBeAreRefused(t *testing.T) {
	th := &theatre{}
	for name, c := range map[string]struct {
		scenario Scenario
		says     string // "": nothing
	}{
		"load on a cluster":                 {Scenario{Stack: th, Before: 1}, ""},
		"load without a cluster":            {Scenario{Stack: th, Before: 1, NoCluster: true}, ""},
		"a check without load":              {Scenario{Stack: th, Checks: []string{"canary.steps"}}, ""},
		"a check without load or cluster":   {Scenario{NoCluster: true, Checks: []string{"canary.steps"}}, ""},
		"neither load nor a check":          {Scenario{Stack: th}, "it would prove nothing"},
		"only what is always judged":        {Scenario{Stack: th, Checks: []string{"record.complete", "load.zero-dropped", "stack.healed"}}, "it would prove nothing"},
		"a check that there is not":         {Scenario{Stack: th, Before: 1, Checks: []string{"canary.step"}}, `"canary.step"`},
		"a cluster without a stack":         {Scenario{Checks: []string{"canary.steps"}}, "it names no stack"},
		"no cluster, and workers":           {Scenario{NoCluster: true, Needs: Needs{Workers: 2}, Checks: []string{"canary.steps"}}, "it needs 2 workers, and says NoCluster"},
		"load that begins after the acts":   {Scenario{Stack: th, After: 1, Checks: []string{"canary.steps"}}, "say Before"},
		"a capability that there is not":    {Scenario{Stack: th, Before: 1, Needs: Needs{Capabilities: []Capability{Metrics, "netem"}}}, `no capability "netem": a cluster can have metrics, node-shell`},
		"a capability without any cluster":  {Scenario{Before: 1, NoCluster: true, Needs: Needs{Capabilities: []Capability{Metrics}}}, "it needs metrics, and says NoCluster"},
		"an end without anything before it": {Scenario{NoCluster: true, After: time.Second}, "say Before"},
	} {
		t.Run(name, func(t *testing.T) {
			c.scenario.Name = "unit/this"
			err := c.scenario.Valid()
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want %q", err, c.says)
			}
			if c.says == "" {
				return
			}
			if !strings.HasPrefix(err.Error(), "scenario unit/this: ") {
				t.Errorf("error %q does not name the scenario", err)
			}
			runner := Runner{Out: t.TempDir()}
			if _, err := runner.Run(t.Context(), c.scenario); err == nil || len(th.diary) > 0 {
				t.Errorf("it was run: error %v, reached %v", err, th.diary)
			}
			performed, err := Performer{Site: nowhere{t}}.Perform(t.Context(), c.scenario)
			if err == nil || len(performed) != 1 || !performed[0].NotBegun {
				t.Errorf("it was performed: %+v, error %v", performed, err)
			}
		})
	}
}

// nowhere is a site that nobody may ask.
type nowhere struct{ *testing.T }

func (n nowhere) Ready(context.Context) (Cluster, error) {
	n.Error("the site was asked for a cluster")
	return Cluster{}, nil
}

func (n nowhere) Break(by string) { n.Errorf("the site is said to be broken by %s", by) }

func TestNeedsThatAClusterLacks(t *testing.T) {
	all := Needs{Workers: 2, Capabilities: []Capability{Metrics, NodeShell}}
	for name, c := range map[string]struct {
		needs   Needs
		cluster Cluster
		lacks   string
	}{
		"nothing is needed": {Needs{}, Cluster{}, ""},
		"all is there":      {all, Cluster{Workers: 3, Capabilities: Capabilities()}, ""},
		"too few workers":   {all, Cluster{Workers: 1, Capabilities: Capabilities()}, "2 workers needed, the cluster has 1 worker"},
		"no metrics":        {all, Cluster{Workers: 2, Capabilities: []Capability{NodeShell}}, "metrics needed, the cluster does not have it"},
		"nothing at all": {all, Cluster{},
			"2 workers needed, the cluster has 0 workers; metrics needed, the cluster does not have it; node-shell needed, the cluster does not have it"},
	} {
		if got := c.needs.Unmet(c.cluster); got != c.lacks {
			t.Errorf("%s: it lacks %q, want %q", name, got, c.lacks)
		}
	}
	if got := all.String(); got != "2 workers, metrics, node-shell" {
		t.Errorf("the needs are told as %q", got)
	}
}

func TestWhetherAnyScenarioNeedsACluster(t *testing.T) {
	if NeedCluster(nil) || NeedCluster([]Scenario{{NoCluster: true}}) || !NeedCluster([]Scenario{{NoCluster: true}, {}}) {
		t.Error("a scenario needs a cluster unless it says otherwise")
	}
}

// A cluster that probes no longer get to is not given to the next scenario, however whole it is.
func TestAClusterThatWasCutOffIsNotHealed(t *testing.T) {
	whole := judge.Result{Promises: []judge.Promise{{Slug: "stack.healed", Verdict: judge.Pass}}}
	for name, c := range map[string]struct {
		early error
		want  bool
	}{
		"to plan":          {nil, true},
		"waited in vain":   {&VainError{errPlanted}, true},
		"a path was lost":  {&probeEndedError{"load", &probe.CutOffError{Err: errPlanted}}, false},
		"and restless too": {errors.Join(&restlessError{errPlanted}, &probe.CutOffError{Err: errPlanted}), false},
	} {
		if got := (Outcome{Early: c.early, Result: whole}).Healed(); got != c.want {
			t.Errorf("%s: healed %v, want %v", name, got, c.want)
		}
	}
}
