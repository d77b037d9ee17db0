package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/fixtures/stack"
	"bitvault.dev/rollproof/fixtures/stack/bitvaultd"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/run"
	"bitvault.dev/rollproof/scenarios/teeth"
)

// Every file of an area is a scenario of the list, and every scenario says what a reader needs and judges checks that exist.
func TestTheListIsComplete(t *testing.T) {
	all := All(bitvault.World{})
	byFile := map[string]bool{}
	for _, s := range all {
		area, what, ok := strings.Cut(s.Name, "/")
		if !ok || s.Proves == "" || len(s.Labels) == 0 || len(s.Checks) == 0 || (s.Before == 0) != (s.After == 0) {
			t.Errorf("scenario %q is incomplete: %+v", s.Name, s)
		}
		if err := s.Valid(); err != nil {
			t.Error(err)
		}
		if !s.NoCluster && len(s.Disturbances()) == 0 {
			t.Errorf("scenario %s disturbs nothing", s.Name)
		}
		byFile[filepath.Join(area, strings.ReplaceAll(what, "-", "_")+".go")] = true
	}
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if filepath.Dir(file) != "teeth" && filepath.Base(file) != "doc.go" && !strings.HasSuffix(file, "_test.go") && !byFile[file] {
			t.Errorf("%s is no scenario of the list", file)
		}
	}
	for file := range byFile {
		if _, err := os.Stat(file); err != nil {
			t.Errorf("a scenario has no file of its own: %v", err)
		}
	}
}

// A scenario that stops, kills or signals processes says so: a cluster whose nodes nobody can reach must skip it, and not fail in the middle.
// Whoever measures CPU says that too.
func TestScenariosSayWhatTheyNeedOfACluster(t *testing.T) {
	w := bitvault.World{}
	all := All(w)
	for _, f := range teeth.All(w) {
		if err := f.Scenario.Valid(); err != nil {
			t.Error(err)
		}
		all = append(all, f.Scenario)
	}
	said := map[run.Capability]int{}
	for _, s := range all {
		for _, act := range s.Acts {
			for _, d := range act.Disturbances() {
				_, freezes := d.(disrupt.Freeze)
				_, signals := d.(disrupt.Unready)
				kill, _ := d.(disrupt.KillPod)
				if (freezes || signals || kill.How == disrupt.Killed) && !slices.Contains(s.Needs.Capabilities, run.NodeShell) {
					t.Errorf("%s: %s reaches for a node, and the scenario does not say that it needs %s", s.Name, d.Name(), run.NodeShell)
				}
				if d.Name() == history.NodeLossName && !slices.Contains(s.Needs.Capabilities, run.NodePower) {
					t.Errorf("%s: a node is stopped, and the scenario does not say that it needs %s", s.Name, run.NodePower)
				}
			}
		}
		if slices.Contains(s.Checks, "canary.aborts-on-cpu") && !slices.Contains(s.Needs.Capabilities, run.Metrics) {
			t.Errorf("%s: CPU is judged, and the scenario does not say that it needs %s", s.Name, run.Metrics)
		}
		for _, c := range s.Needs.Capabilities {
			said[c]++
		}
	}
	for _, c := range run.Capabilities() {
		if said[c] == 0 {
			t.Errorf("no scenario needs %s: a capability that nobody asks for is one too many", c)
		}
	}
}

// Each check that a scenario judges, and each that is always judged, has a fault that is planted under it.
func TestEveryCheckHasAPlantedFault(t *testing.T) {
	planted := map[string]bool{}
	for _, f := range teeth.All(bitvault.World{}) {
		planted[f.Check] = true
		if _, err := checks.All(checks.DefaultBudgets()).Find(f.Check); err != nil {
			t.Errorf("a fault is planted under nothing: %v", err)
		}
		if f.Planted == "" || f.Verdict != judge.Fail && f.Verdict != judge.Inconclusive {
			t.Errorf("the fault under %s is incomplete: %+v", f.Check, f)
		}
	}
	slugs := []string{"load.held", "load.zero-dropped", "load.responsive", "load.undisturbed", "disruption.landed", "stack.healed"}
	for _, s := range All(bitvault.World{}) {
		slugs = append(slugs, s.Checks...)
	}
	for _, check := range slugs {
		if !planted[check] {
			t.Errorf("no fault is planted under %s: nobody has seen it fail", check)
		}
	}
}

// waiting are the faults of stores whose checks, which they are to turn, have no scenario yet.
var waiting = map[string]string{
	"postgres-own-budgets": "postgres.pdb",
}

// Each fault that can be planted in the manifests is planted by a tooth, which builds with it at every pace; and no tooth names one that there
// is not.
func TestEveryFaultOfTheManifestsIsPlanted(t *testing.T) {
	faults, err := stack.Faults()
	if err != nil {
		t.Fatal(err)
	}
	ofTheAPI, err := bitvaultd.Component().Faults()
	if err != nil {
		t.Fatal(err)
	}
	planted := map[string]bool{}
	for _, f := range teeth.All(bitvault.World{}) {
		for _, name := range f.Scenario.Stack.(bitvault.Stack).Faults {
			planted[name] = true
			if !slices.Contains(faults, name) {
				t.Errorf("%s: there is no fault %s", f.Scenario.Name, name)
			}
		}
	}
	for _, name := range faults {
		switch check := waiting[name]; {
		case planted[name] && check != "":
			t.Errorf("a tooth plants %s: it waits no longer", name)
		case !planted[name] && check == "":
			t.Errorf("no tooth plants %s", name)
		}
		if !slices.Contains(ofTheAPI, name) {
			continue // the strategy is bitvaultd's
		}
		for _, pace := range []string{"fast", "spec"} {
			if _, err := bitvaultd.StrategyAt(pace, name); err != nil {
				t.Errorf("pace %s with %s: %v", pace, name, err)
			}
		}
	}
}

// The slow router is not disturbed while the installation may still wait in it.
func TestTheSlowRouterIsQuietFirst(t *testing.T) {
	strategy, err := bitvaultd.StrategyAt("fast")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range teeth.All(bitvault.World{Strategy: strategy}) {
		if f.Check == "canary.blast-radius" && f.Scenario.Before != 65*time.Second { // twice its throttle of 30 s, and 5 s
			t.Errorf("it begins after %v", f.Scenario.Before)
		}
	}
}

// Judges are told the shares of the traffic that the manifests have.
func TestJudgesAreToldTheWeights(t *testing.T) {
	strategy, err := bitvaultd.StrategyAt("fast")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range All(bitvault.World{Strategy: strategy}) {
		if !s.Labelled("canary") {
			continue
		}
		told := s.Stack.(bitvault.Stack).Strategy()
		if !slices.Equal(told.Weights, []int32{10, 30}) {
			t.Errorf("%s: weights %v, want those of the manifests", s.Name, told.Weights)
		}
	}
}

// What judges are told of the metrics is what the templates ask.
func TestJudgesAreToldTheMetrics(t *testing.T) {
	strategy, err := bitvaultd.StrategyAt("spec")
	if err != nil {
		t.Fatal(err)
	}
	told := bitvault.Stack{World: bitvault.World{Strategy: strategy}}.Strategy()
	for n := range 2 {
		asked := map[string]string{}
		for _, m := range strategy.Analysis(n).Metrics {
			asked[m.Name] = m.Success
		}
		for _, name := range []string{told.Metrics.Errors, told.Metrics.Latency, told.Metrics.CPU, told.Metrics.Late} {
			if asked[name] == "" {
				t.Errorf("analysis %d asks nothing called %q: %v", n, name, asked)
			}
		}
		if want := fmt.Sprintf("result[0] < %g", told.Slow.Seconds()); !strings.Contains(asked[told.Metrics.Latency], want) {
			t.Errorf("analysis %d: the condition of %s is %q, and judges are told %v", n, told.Metrics.Latency, asked[told.Metrics.Latency], told.Slow)
		}
	}
}

// At the strategy's own pace the second analysis measures twice about ten minutes after the release: no limit on an abort may be shorter
// than that. It was, and nobody saw it at pace fast.
func TestALateAbortIsInTimeAtEveryPace(t *testing.T) {
	for _, pace := range []string{"fast", "spec"} {
		strategy, err := bitvaultd.StrategyAt(pace)
		if err != nil {
			t.Fatal(err)
		}
		late, err := Select(All(bitvault.World{Strategy: strategy}), "", "canary/aborts-late")
		if err != nil {
			t.Fatal(err)
		}
		b := checks.DefaultBudgets()
		late[0].Budgets(&b)
		second := strategy.Analysis(1)
		if needed := strategy.Analysis(0).Lasts() + second.Delay() + second.Interval(); b.Abort <= needed {
			t.Errorf("pace %s: a release must be aborted within %v, and its second analysis needs %v", pace, b.Abort, needed)
		}
	}
}

func TestSelect(t *testing.T) {
	all := All(bitvault.World{})
	cases := []struct {
		label string
		names []string
		want  int
		err   string
	}{
		{"", nil, len(all), ""},
		{"smoke", nil, 2, ""},
		{"", []string{"canary/aborts-late"}, 1, ""},
		{"", []string{"canary/abort-late"}, 0, "did you mean canary/aborts-late;"},
		{"smok", nil, 0, "the labels are canary, mechanics, nats, opensearch, postgres, redis, smoke, stores, worker"},
	}
	for _, c := range cases {
		got, err := Select(all, c.label, c.names...)
		if c.err == "" && (err != nil || len(got) != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("select %q %q: %d scenarios, error %v", c.label, c.names, len(got), err)
		}
	}
}
