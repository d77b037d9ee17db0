package stage

import (
	"strings"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"bitvault.dev/rollproof/harness/run"
)

// A scenario that go test would kill half-way is not begun, and the reason names the flag that gives it the time.
func TestAScenarioThatDoesNotFitIsNotBegun(t *testing.T) {
	scenario := run.Scenario{Name: "canary/slow", Before: 30 * time.Second, After: 30 * time.Second, Acts: []run.Act{run.Hold(time.Minute)}}
	needed := 3*time.Minute + spare // half as long again as the two minutes it usually takes, and what comes after it
	if why := tooShort(scenario, needed); why != "" {
		t.Errorf("with %v left: %q, want nothing", needed, why)
	}
	why := tooShort(scenario, needed-time.Second)
	for _, want := range []string{"canary/slow", "usually takes 2 min", "-timeout 60m"} {
		if !strings.Contains(why, want) {
			t.Errorf("%q does not say %q", why, want)
		}
	}
	if why := (&Stage{}).NoTimeFor(scenario); why != "" {
		t.Errorf("without a deadline: %q, want nothing", why)
	}
}

// A suite in which everything was skipped must not be green.
func TestASuiteThatRanNothingIsIdle(t *testing.T) {
	for name, c := range map[string]struct {
		stage *Stage
		want  bool
	}{"nothing ran": {&Stage{}, true}, "one ran": {&Stage{ran: 1}, false}, "it could not begin": {nil, false}} {
		if got := c.stage.Idle(); got != c.want {
			t.Errorf("%s: idle %v, want %v", name, got, c.want)
		}
	}
}

// Who says nothing gets what is labelled smoke; who chooses gets what was chosen.
func TestWithoutFlagsASuiteRunsSmoke(t *testing.T) {
	listed := []run.Scenario{{Name: "a/smoke", Labels: []string{"smoke", "a"}}, {Name: "a/long", Labels: []string{"a"}}, {Name: "b/bare"}}
	for name, c := range map[string]struct {
		config types.SuiteConfig
		every  bool
		filter string
		chosen string
	}{
		"nothing is said": {types.SuiteConfig{}, false, "smoke", "a/smoke"},
		"all":             {types.SuiteConfig{}, true, "", "a/smoke a/long b/bare"},
		"a label":         {types.SuiteConfig{LabelFilter: "a"}, false, "a", "a/smoke a/long"},
		"a name":          {types.SuiteConfig{FocusStrings: []string{"bare"}}, false, "", "a/smoke a/long b/bare"},
	} {
		filter := filterOf(c.config, c.every)
		var names []string
		for _, s := range chosen(listed, filter) {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); filter != c.filter || got != c.chosen {
			t.Errorf("%s: filter %q and scenarios %q, want %q and %q", name, filter, got, c.filter, c.chosen)
		}
	}
}

// A suite that ran a part must not look as if it had run the whole.
func TestTheSummaryTellsWhatWasLeftOut(t *testing.T) {
	spec := func(text string, state types.SpecState, said string) types.SpecReport {
		return types.SpecReport{LeafNodeType: types.NodeTypeIt, LeafNodeText: text, State: state, Failure: types.Failure{Message: said}}
	}
	report := ginkgo.Report{SuiteDescription: "conformance", SpecReports: types.SpecReports{
		{LeafNodeType: types.NodeTypeBeforeSuite, State: types.SpecStatePassed},
		spec("canary/good", types.SpecStatePassed, ""),
		spec("canary/bad", types.SpecStateFailed, "fail"),
		spec("canary/long", types.SpecStateSkipped, "no time"),
		spec("mechanics/pdb", types.SpecStateSkipped, ""),
	}}
	const want = `conformance: ran 2 of 4, skipped 1, left out 1
  passed      canary/good
  failed      canary/bad
  skipped     canary/long: no time
  left out    mechanics/pdb
  only what matches the label filter "smoke" was to run
  all of it: go test -all
`
	if got := summary(report, "smoke", "go test -all"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
