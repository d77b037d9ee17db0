package run

import (
	"context"
	"errors"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// choosy is a stack, and a disturbance, that fits our own clusters alone.
type choosy struct{ why string }

func (c choosy) Unfit(on Cluster) string {
	if on.Ours {
		return ""
	}
	return c.why
}

func (choosy) Ready(context.Context, Cluster, Say) (Aim, error)             { return Aim{}, errPlanted }
func (choosy) Settle(context.Context, Cluster) error                        { return errPlanted }
func (choosy) Name() string                                                 { return "choosy" }
func (choosy) Target() string                                               { return "anything" }
func (choosy) Namespaces(context.Context, *disrupt.Env) ([]string, error)   { return nil, errPlanted }
func (choosy) Do(context.Context, *disrupt.Act) ([]history.Evidence, error) { return nil, errPlanted }

func TestAScenarioSaysWhatKeepsItOffACluster(t *testing.T) {
	act := Disturb{choosy{"of the act"}}
	for name, c := range map[string]struct {
		scenario Scenario
		cluster  Cluster
		want     string
	}{
		"nothing":                      {Scenario{Acts: []Act{Hold(time.Second)}}, Cluster{}, ""},
		"its needs":                    {Scenario{Needs: Needs{Workers: 2}, Stack: choosy{"of the stack"}}, Cluster{Workers: 1}, "2 workers needed, the cluster has 1 worker"},
		"its stack":                    {Scenario{Stack: choosy{"of the stack"}, Acts: []Act{act}}, Cluster{}, "of the stack"},
		"one of its acts":              {Scenario{Acts: []Act{Hold(time.Second), act}}, Cluster{}, "of the act"},
		"nothing on a cluster of ours": {Scenario{Stack: choosy{"of the stack"}, Acts: []Act{act}}, Cluster{Ours: true}, ""},
	} {
		if got := c.scenario.Unmet(c.cluster); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A scenario that does not fit is skipped before anything of it is touched.
func TestWhatDoesNotFitIsSkipped(t *testing.T) {
	out, err := (&Runner{Out: t.TempDir()}).Run(t.Context(), Scenario{Name: "a/b", Stack: choosy{"of the stack"}, Before: time.Second})
	if err != nil || out.Skipped != "of the stack" || out.Dir != "" {
		t.Errorf("outcome %+v, error %v", out, err)
	}
}

func TestWhatWasLeftIsTold(t *testing.T) {
	healed := func(findings ...judge.Finding) judge.Result {
		return judge.Result{Promises: []judge.Promise{
			{Slug: "load.held", Findings: []judge.Finding{{Text: "of another promise"}}}, {Slug: "stack.healed", Findings: findings},
		}}
	}
	for name, c := range map[string]struct {
		outcome Outcome
		want    string
	}{
		"what the judge found": {Outcome{Result: healed(judge.Finding{Text: "node n1 is left cordoned"}, judge.Finding{Text: "pod p is Pending"})},
			"a/b left it: node n1 is left cordoned; pod p is Pending"},
		"why the acts ended": {Outcome{Early: errors.New("the path is dead")}, "a/b left it: the path is dead"},
		"nobody looked":      {Outcome{}, "a/b left it: nobody saw whether all is healed"},
	} {
		c.outcome.Scenario = "a/b"
		if got := c.outcome.left(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
