package canary

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
)

// The tests of this file hold what the checks compute from a record at its bounds, and one step to each side of them.

var app = history.Workload{Namespace: "bitvault", Kind: "Rollout", Name: "app"}

func step(at time.Duration, stable, canary string, weight float64) timeline.Step {
	return timeline.Step{At: at, Step: history.Step{Workload: app, Name: fmt.Sprint(at), Stable: stable, Canary: canary, Weight: weight}}
}

// loaded is a timeline under load from one moment to another.
func loaded(from, until time.Duration, steps ...timeline.Step) *timeline.Timeline {
	w := &timeline.Window{Window: history.Window{Begin: from, Length: until - from}}
	return &timeline.Timeline{Arms: []*timeline.Arm{{Name: "get", Windows: []*timeline.Window{w}}}, Steps: steps, Known: timeline.Never, Broken: timeline.Never}
}

func TestTheShareOfAVersionInAStep(t *testing.T) {
	for _, c := range []struct {
		step timeline.Step
		want float64
	}{
		{step(0, "v1", "v2", 10), .1}, {step(0, "v2", "v1", 10), .9}, {step(0, "v1", "v3", 10), 0}, {step(0, "v2", "v2", 10), 1},
		{step(0, "v1", "v2", 0), 0}, {step(0, "v1", "v2", 100), 1}, {step(0, "v2", "v1", 100), 0}, {step(0, "v1", "v2", -10), 0},
	} {
		if got := weightOf(c.step, "v2"); got != c.want {
			t.Errorf("step %+v gives v2 %v, want %v", c.step, got, c.want)
		}
	}
}

// The larger share holds from shortly before a step, for its watch may be late, until routers follow the next one.
func TestTheLargestShareOfAMoment(t *testing.T) {
	tolerance := judge.Tolerance{Propagation: 50, Watch: 10}
	steps := []timeline.Step{step(0, "v1", "v2", 0), step(1000, "v1", "v2", 30), step(2000, "v1", "v2", 10), step(3000, "v1", "v2", 0)}
	for at, want := range map[time.Duration]float64{-11: 0, 989: 0, 990: .3, 1000: .3, 2000: .3, 2049: .3, 2050: .1, 2990: .1, 3049: .1, 3050: 0, 9000: 0} {
		if got := largestShare(steps, "v2", at, tolerance); got != want {
			t.Errorf("at %d v2 may have %v, want %v", at, got, want)
		}
	}
	if got := largestShare(nil, "v2", 5, tolerance); got != 0 {
		t.Errorf("without a step v2 may have %v", got)
	}
}

// An abort is the first step from the beginning of an injection on that takes all of a share.
func TestTheAbortOfAnExposure(t *testing.T) {
	tolerance := judge.Tolerance{Propagation: 50, Watch: 10}
	for name, c := range map[string]struct {
		from  time.Duration
		steps []timeline.Step
		abort time.Duration
	}{
		"taken back":                {100, []timeline.Step{step(0, "v1", "v2", 0), step(200, "v1", "v2", 10), step(500, "v1", "v2", 0)}, 500},
		"taken back twice":          {100, []timeline.Step{step(200, "v1", "v2", 10), step(500, "v1", "v2", 0), step(600, "v1", "v2", 0)}, 500},
		"taken back in part":        {100, []timeline.Step{step(200, "v1", "v2", 30), step(500, "v1", "v2", 10)}, timeline.Never},
		"nothing to take":           {100, []timeline.Step{step(200, "v1", "v2", 0)}, timeline.Never},
		"an earlier release":        {100, []timeline.Step{step(0, "v1", "v2", 10), step(99, "v1", "v2", 0), step(200, "v1", "v2", 10), step(500, "v1", "v2", 0)}, 500},
		"as it began":               {100, []timeline.Step{step(0, "v1", "v2", 10), step(100, "v1", "v2", 0), step(500, "v1", "v2", 0)}, 100},
		"a step at the same moment": {100, []timeline.Step{step(200, "v1", "v2", 0), step(200, "v1", "v2", 10)}, timeline.Never},
		"of another version":        {100, []timeline.Step{step(200, "v1", "v3", 10), step(500, "v1", "v3", 0)}, timeline.Never},
		"promoted, and replaced":    {100, []timeline.Step{step(200, "v1", "v2", 10), step(300, "v2", "v3", 0), step(500, "v2", "v3", 100)}, 500},
	} {
		t.Run(name, func(t *testing.T) {
			tl := loaded(0, 1000, c.steps...)
			e := exposureOf(tl, timeline.Injection{Identity: timeline.Identity{Workload: app, Version: "v2"}, From: c.from, Until: timeline.Never}, tolerance)
			over := timeline.Never
			if c.abort != timeline.Never {
				over = c.abort + tolerance.Propagation
			}
			if e.began != c.from || e.abort != c.abort || e.over != over {
				t.Errorf("began %d, aborted %d, over %d; want %d, %d, %d", e.began, e.abort, e.over, c.from, c.abort, over)
			}
			if !slices.Contains(e.cuts, c.from) || len(e.cuts) != 3*len(c.steps)+1 || len(e.shares) == 0 {
				t.Errorf("cuts %v, shares %v", e.cuts, e.shares)
			}
			for _, s := range c.steps {
				for _, at := range []time.Duration{s.At - tolerance.Watch, s.At, s.At + tolerance.Propagation} {
					if !slices.Contains(e.cuts, at) {
						t.Errorf("there is no cut at %d: %v", at, e.cuts)
					}
				}
			}
		})
	}
}

// The traffic that a version had all of, a part of, and none of, each counted for itself.
func TestWhatSharesAllow(t *testing.T) {
	var x exposed
	x.add(100, 0)
	if x.hits != 100 || x.allowed() != 0 || !x.tells() {
		t.Errorf("without a share %+v allow %d", x, x.allowed())
	}
	x.add(7, 1)
	if x.whole != 7 || x.allowed() != 7 || !x.tells() {
		t.Errorf("of all the traffic %+v allow %d", x, x.allowed())
	}
	x.add(1000, .1)
	x.add(500, .4)
	_, most := judge.Bounds(1500, .2, judge.FalseAlarm)
	if x.hits != 1607 || x.some != 1500 || x.mean() != .2 || x.allowed() != 7+most {
		t.Errorf("%+v in the mean %v allow %d, want %d", x, x.mean(), x.allowed(), 7+most)
	}
	var above exposed
	if above.add(9, 1.3); above.whole != 9 || above.some != 0 {
		t.Errorf("of more than all %+v", above)
	}
	// As many hits as tell twice the share, and one fewer: by search, for it is the exact distribution that says.
	tells := func(n uint64) bool {
		var x exposed
		x.add(3, 1)
		x.add(n, .1)
		return x.tells()
	}
	var mostly exposed
	mostly.add(1000, 1)
	if mostly.add(600, .1); !mostly.tells() {
		t.Error("with all of the traffic before, 600 hits do not tell twice a share of 10 %")
	}
	// A traffic that would just have shown twice the share tells it.
	just := 0
	for n := uint64(450); n < 600; n++ {
		x := exposed{hits: n, some: n, expected: .1 * float64(n)}
		if judge.SeenAbove(x.allowed(), n) != 2*x.mean() {
			continue
		}
		if just++; !x.tells() {
			t.Errorf("%d hits would just have shown twice a share of 10 %%, and do not tell it", n)
		}
	}
	if just == 0 {
		t.Error("no number of hits is at the bound: nothing was tried")
	}
	if tells(450) || !tells(600) {
		t.Errorf("450 hits tell twice a share of 10 %%: %v, 600: %v; about 520 must", tells(450), tells(600))
	}
}

// Each verdict on an exposure at its bound, and one beyond.
func TestTheVerdictOnAnExposure(t *testing.T) {
	var traffic exposed
	traffic.add(1000, .1)
	most := traffic.allowed()
	few := exposed{}
	few.add(100, .1)
	f := &blast{t: loaded(0, 10_000), budgets: BlastBudgets{Abort: 500}}
	aborted := func(at time.Duration) exposure { return exposure{began: 100, abort: at, over: at + 50} }
	for name, c := range map[string]struct {
		e       exposure
		traffic exposed
		n       shown
		want    judge.Verdict
	}{
		"as many as its share explains":      {aborted(600), traffic, shown{reached: most, harmed: 1, later: judge.Enough}, judge.Pass},
		"one answer more":                    {aborted(600), traffic, shown{reached: most + 1, harmed: 1, later: judge.Enough}, judge.Fail},
		"as much harm as its share explains": {aborted(600), traffic, shown{harmed: most, later: judge.Enough}, judge.Pass},
		"one failure more":                   {aborted(600), traffic, shown{harmed: most + 1, later: judge.Enough}, judge.Fail},
		"one failure after the abort":        {aborted(600), traffic, shown{reached: 9, harmed: 1, after: 1, later: judge.Enough}, judge.Fail},
		"aborted a moment too late":          {aborted(601), traffic, shown{reached: 9, harmed: 1, later: judge.Enough}, judge.Fail},
		"never aborted, and too late":        {aborted(timeline.Never), traffic, shown{reached: 9, harmed: 1}, judge.Fail},
		"it hurt nobody":                     {aborted(600), traffic, shown{reached: 9, later: judge.Enough}, judge.Inconclusive},
		"one hit afterwards too few":         {aborted(600), traffic, shown{reached: 9, harmed: 1, later: judge.Enough - 1}, judge.Inconclusive},
		"too few to see twice its share":     {aborted(600), few, shown{reached: 9, harmed: 1, later: judge.Enough}, judge.Inconclusive},
	} {
		if got, text := f.verdict(&c.e, &c.traffic, c.n); got != c.want || text == "" {
			t.Errorf("%s: it is %s, want %s: %s", name, got, c.want, text)
		}
	}
	early := &blast{t: loaded(0, 300), budgets: BlastBudgets{Abort: 500}}
	e := exposure{began: 100, abort: timeline.Never, over: timeline.Never}
	if got, text := early.verdict(&e, &traffic, shown{reached: 9, harmed: 1}); got != judge.Inconclusive {
		t.Errorf("where the load ended before the abort was due it is %s: %s", got, text)
	}
}

// The time of a step in which its share must hold, and which steps say the same.
func TestTheTimeOfAStep(t *testing.T) {
	const settle, watch = 50, 10
	other := step(500, "v1", "v2", 10)
	other.Workload.Name = "other"
	for name, c := range map[string]struct {
		from, until time.Duration
		steps       []timeline.Step
		want        string // from-until/lasted of each
	}{
		"one after another":      {0, 1000, []timeline.Step{step(0, "v1", "v2", 0), step(200, "v1", "v2", 10), step(500, "v1", "v2", 0)}, "50-190/200 250-490/300 550-1000/500"},
		"the same again":         {0, 1000, []timeline.Step{step(200, "v1", "v2", 10), step(500, "v1", "v2", 10)}, "250-1000/800"},
		"another version":        {0, 1000, []timeline.Step{step(200, "v1", "v2", 10), step(500, "v1", "v3", 10)}, "250-490/300 550-1000/500"},
		"another workload":       {0, 1000, []timeline.Step{step(200, "v1", "v2", 10), other}, "250-1000/800 550-1000/500"},
		"too short by a moment":  {0, 1000, []timeline.Step{step(200, "v1", "v2", 10), step(200+settle+watch, "v1", "v2", 0)}, "250-250/60 310-1000/740"},
		"just long enough":       {0, 1000, []timeline.Step{step(200, "v1", "v2", 10), step(200+settle+watch+1, "v1", "v2", 0)}, "250-251/61 311-1000/739"},
		"at the end of the load": {0, 1000, []timeline.Step{step(999, "v1", "v2", 10), step(1000, "v1", "v2", 0)}, "1049-1049/1"},
		"over before the load":   {300, 1000, []timeline.Step{step(100, "v1", "v2", 10), step(300, "v1", "v2", 0)}, "350-1000/700"},
		"over as the load began": {300, 1000, []timeline.Step{step(100, "v1", "v2", 10), step(301, "v1", "v2", 0)}, "150-291/201 351-1000/699"},
	} {
		t.Run(name, func(t *testing.T) {
			text := ""
			for _, s := range settledSteps(loaded(c.from, c.until, c.steps...), settle, watch) {
				text += fmt.Sprintf(" %d-%d/%d", s.from, s.until, s.lasted)
			}
			if text != " "+c.want {
				t.Errorf("the steps are%s, want %s", text, c.want)
			}
		})
	}
	bare := loaded(0, 1000, step(200, "v1", "v2", 10), other)
	if bare.Run.Format = 1; len(settledSteps(bare, settle, watch)) != 1 {
		t.Error("in a record of format 1 steps are of one workload, and the second says what the first said")
	}
}

// A step holds at the fewest and the most answers that its share explains, and with as many as show half of it.
func TestTheVerdictOnAStep(t *testing.T) {
	settled := func(weight float64) settledStep {
		return settledStep{Step: step(0, "v1", "v2", weight), from: 10, until: 20, lasted: 20}
	}
	fewest, most := judge.Bounds(1227, .1, judge.FalseAlarm)
	short := settled(10)
	short.until = short.from
	nameless := settled(10)
	nameless.Canary = ""
	for name, c := range map[string]struct {
		step settledStep
		n    shareCount
		want judge.Verdict
	}{
		"the fewest":                   {settled(10), shareCount{canary: fewest, others: 1227 - fewest}, judge.Pass},
		"one fewer":                    {settled(10), shareCount{canary: fewest - 1, others: 1228 - fewest}, judge.Fail},
		"the most":                     {settled(10), shareCount{canary: most, others: 1227 - most}, judge.Pass},
		"one more":                     {settled(10), shareCount{canary: most + 1, others: 1226 - most}, judge.Fail},
		"an answer too few":            {settled(10), shareCount{canary: 122, others: 1104}, judge.Inconclusive},
		"too short":                    {short, shareCount{canary: 123, others: 1104}, judge.Inconclusive},
		"too short, and not its share": {short, shareCount{canary: most + 1, others: 1226 - most}, judge.Fail},
		"nothing":                      {settled(0), shareCount{others: judge.Enough}, judge.Pass},
		"nothing, one answer too few":  {settled(0), shareCount{others: judge.Enough - 1, nobody: 1}, judge.Inconclusive},
		"a leak":                       {settled(0), shareCount{canary: 1, others: judge.Enough}, judge.Fail},
		"all":                          {settled(100), shareCount{canary: judge.Enough}, judge.Pass},
		"all but one":                  {settled(100), shareCount{canary: judge.Enough, others: 1}, judge.Fail},
		"more than all":                {settled(100.1), shareCount{canary: judge.Enough}, judge.Inconclusive},
		"less than nothing":            {settled(-.1), shareCount{others: judge.Enough}, judge.Inconclusive},
		"of no version":                {nameless, shareCount{others: 2000}, judge.Inconclusive},
	} {
		if got, text := c.step.judge(c.n); got != c.want || text == "" {
			t.Errorf("%s: it is %s, want %s: %s", name, got, c.want, text)
		}
	}
	for want, shares := range map[uint64][]float64{judge.Enough: {0, 1}, 1227: {.1, .9}, 163: {.5}} {
		for _, share := range shares {
			if got := answersNeeded(share); got != want {
				t.Errorf("a share of %v needs %d answers, want %d", share, got, want)
			}
		}
	}
}

func TestWhatIsNoData(t *testing.T) {
	for value, want := range map[string]bool{"": true, "[]": true, "[ ]": true, "NaN": true, "[NaN]": true, "[1 NaN]": true, "0": false, "[0]": false, "[0.2]": false, "nan": false} {
		if isEmpty(value) != want {
			t.Errorf("the value %q is no data: %v, want %v", value, !want, want)
		}
	}
}

// What a metric says of its data: that there was some, that there was none, or that it passed without.
func TestTheDataOfAMetric(t *testing.T) {
	measured := func(phase, value string) resource.MetricResult {
		return resource.MetricResult{Name: "m", Phase: phase, Count: 1, Measurements: []resource.Measurement{{Phase: phase, Value: value}}}
	}
	for name, c := range map[string]struct {
		m            resource.MetricResult
		needsTraffic bool
		real, none   bool
		blind        int
	}{
		"passed with data":               {measured("Successful", "[0]"), true, true, false, 0},
		"failed with data":               {measured("Failed", "[1]"), true, true, false, 0},
		"passed without data":            {measured("Successful", "[]"), true, false, false, 1},
		"failed without data":            {measured("Failed", "[NaN]"), true, false, true, 0},
		"had an error":                   {measured("Error", ""), true, false, true, 0},
		"was inconclusive":               {measured("Inconclusive", "[0]"), true, false, true, 0},
		"a guard failed":                 {measured("Failed", "[0]"), false, false, true, 0},
		"a guard passed":                 {measured("Successful", "[0]"), false, false, false, 0},
		"a guard passed without data":    {measured("Successful", "[]"), false, false, false, 1},
		"still measures":                 {measured("", "[0]"), true, false, false, 0},
		"a guard still measures":         {measured("Running", "[0]"), false, false, false, 0},
		"unmeasured, ended in an error":  {resource.MetricResult{Name: "m", Phase: "Error"}, true, false, true, 0},
		"unmeasured, with an error":      {resource.MetricResult{Name: "m", Phase: "Running", Error: 1}, true, false, true, 0},
		"unmeasured":                     {resource.MetricResult{Name: "m", Phase: "Successful"}, true, false, false, 0},
		"measured, with an error before": {resource.MetricResult{Name: "m", Error: 1, Measurements: []resource.Measurement{{Phase: "Successful", Value: "[0]"}}}, true, true, false, 0},
	} {
		var d dataSeen
		d.metric(&c.m, c.needsTraffic)
		if (d.real != "") != c.real || (d.none != "") != c.none || len(d.blind) != c.blind {
			t.Errorf("%s: data %q, none %q, blind %q", name, d.real, d.none, d.blind)
		}
	}
	first := dataSeen{reason: "told before"}
	first.metric(&resource.MetricResult{Message: "later", Measurements: []resource.Measurement{{Message: "later still"}}}, true)
	var own, of dataSeen
	own.metric(&resource.MetricResult{Message: "why", Measurements: []resource.Measurement{{Message: "later"}}}, true)
	of.metric(&resource.MetricResult{Measurements: []resource.Measurement{{}, {Message: "why"}, {Message: "later"}}}, true)
	if first.reason != "told before" || own.reason != "why" || of.reason != "why" {
		t.Errorf("the reasons are %q, %q and %q", first.reason, own.reason, of.reason)
	}
}

func TestAnAnalysisThatPassedBlind(t *testing.T) {
	for n, want := range map[int32]int{0: 1, 1: 0} {
		var d dataSeen
		d.passed("first", &resource.AnalysisRun{Metrics: []resource.MetricResult{{}, {Count: n}}})
		if len(d.blind) != want {
			t.Errorf("with %d measurements it is blind: %q", n, d.blind)
		}
	}
}

// What an analysis said counts while its release goes out.
func TestTheResultOfAnAnalysis(t *testing.T) {
	run := &timeline.Track[resource.AnalysisRun]{Seen: []timeline.Seen[resource.AnalysisRun]{
		{At: 10, Object: resource.AnalysisRun{Phase: "Running"}}, {At: 20, Object: resource.AnalysisRun{Phase: "Successful"}}}}
	for until, want := range map[time.Duration]string{5: "Running", 20: "Running", 21: "Successful", timeline.Never: "Successful"} {
		if got := resultOf(run, &timeline.Release{Until: until}).Phase; got != want {
			t.Errorf("of a release until %d it is %s, want %s", until, got, want)
		}
	}
}

// A step tells of a promotion where it is of the release's version, whole, and of its time.
func TestTheStepOfAPromotion(t *testing.T) {
	release := &timeline.Release{Identity: timeline.Identity{Workload: app, Version: "v2"}, Began: 100, Until: 500}
	other := step(300, "v1", "v2", 100)
	other.Workload.Name = "other"
	for name, c := range map[string]struct {
		step timeline.Step
		want time.Duration
	}{
		"promoted": {step(300, "v1", "v2", 100), 300}, "more than all": {step(300, "v1", "v2", 110), 300}, "in part": {step(300, "v1", "v2", 99.9), timeline.Never},
		"of another version": {step(300, "v1", "v3", 100), timeline.Never}, "of another workload": {other, timeline.Never},
		"as it began": {step(100, "v1", "v2", 100), 100}, "before it began": {step(99, "v1", "v2", 100), timeline.Never},
		"as it was over": {step(499, "v1", "v2", 100), 499}, "after it was over": {step(500, "v1", "v2", 100), timeline.Never},
	} {
		f := &noData{t: loaded(0, 1000, c.step, step(450, "v1", "v9", 100))}
		if got := f.promotedAt(release); got != c.want {
			t.Errorf("%s: promoted at %d, want %d", name, got, c.want)
		}
	}
	f := &noData{t: loaded(0, 1000, step(300, "v1", "", 100))}
	if got := f.promotedAt(&timeline.Release{Identity: timeline.Identity{Workload: app}, Until: timeline.Never}); got != timeline.Never {
		t.Errorf("a release whose version nobody knows is promoted at %d", got)
	}
	twice := &noData{t: loaded(0, 1000, step(300, "v1", "v2", 100), step(400, "v1", "v2", 100))}
	if got := twice.promotedAt(release); got != 300 {
		t.Errorf("promoted first at %d, want 300", got)
	}
}

// The weight of a child of a TraefikService; Traefik takes 1 where it is left out.
func TestTheWeightOfAChild(t *testing.T) {
	ten := int32(10)
	o := &resource.TraefikService{Services: []resource.WeightedService{{Name: "a"}, {Name: "b", Weight: &ten}}}
	for name, want := range map[string][2]any{"a": {int32(1), true}, "b": {int32(10), true}, "c": {int32(0), false}} {
		if weight, found := weightIn(o, name); weight != want[0] || found != want[1] {
			t.Errorf("child %s has %d, found: %v; want %v", name, weight, found, want)
		}
	}
}

// A trial lasts until the next release of its own workload.
func TestTheTimeOfATrial(t *testing.T) {
	release := func(name string, began time.Duration) *timeline.Release {
		w := app
		w.Name = name
		return &timeline.Release{Identity: timeline.Identity{Workload: w}, Began: began, States: []timeline.Seen[resource.Rollout]{{At: began + 5, Object: resource.Rollout{Abort: true}}}}
	}
	ours := release("app", 100)
	all := []*timeline.Release{release("app", 50), ours, release("other", 150), release("app", 900), release("app", 300)}
	if got := trialOf(ours, all, judge.Tolerance{Propagation: 20}); got.over != 125 || got.until != 300 {
		t.Errorf("the trial is over at %d, until %d, want 125 and 300", got.over, got.until)
	}
	ours.States[0].Object.Abort = false
	if got := trialOf(ours, all[:3], judge.Tolerance{Propagation: 20}); got.over != timeline.Never || got.until != timeline.Never {
		t.Errorf("the trial is over at %d, until %d, want never", got.over, got.until)
	}
}

// A metric that failed tells what was wrong where no other did.
func TestWhatFailedToo(t *testing.T) {
	for phase, want := range map[string]int{"Failed": 1, "Error": 1, "Inconclusive": 1, "Successful": 0, "Running": 0, "": 0} {
		o := resource.AnalysisRun{Metrics: []resource.MetricResult{{Name: "errors", Phase: "Failed"}, {Name: "latency", Phase: phase}}}
		if got := failedToo(&o, "errors"); len(got) != want {
			t.Errorf("beside another one that is %q, %v failed too", phase, got)
		}
	}
}

func TestWhetherEverythingWasMeasured(t *testing.T) {
	for _, c := range []struct {
		counts []int32
		want   bool
	}{{nil, false}, {[]int32{1}, true}, {[]int32{0}, false}, {[]int32{1, 0}, false}, {[]int32{2, 1}, true}} {
		var o resource.AnalysisRun
		for _, n := range c.counts {
			o.Metrics = append(o.Metrics, resource.MetricResult{Count: n})
		}
		if measured(&o) != c.want {
			t.Errorf("of the metrics with %v measurements all were measured: %v", c.counts, !c.want)
		}
	}
}

// The shares that a release was given, up to its promotion or abort.
func TestTheSharesOfARelease(t *testing.T) {
	state := func(at time.Duration, hash string, weight int32, change func(*resource.Rollout)) timeline.Seen[resource.Rollout] {
		o := resource.Rollout{StableRS: "h1", CurrentPodHash: "h2", Weights: &resource.Weights{Canary: resource.Weight{Weight: weight, PodTemplateHash: hash}}}
		if change != nil {
			change(&o)
		}
		return timeline.Seen[resource.Rollout]{At: at, Object: o}
	}
	aborted := func(o *resource.Rollout) { o.Abort = true }
	promoted := func(o *resource.Rollout) { o.StableRS = "h2" }
	for name, c := range map[string]struct {
		until  time.Duration
		states []timeline.Seen[resource.Rollout]
		want   []taken
	}{
		"one after another":        {timeline.Never, []timeline.Seen[resource.Rollout]{state(10, "h2", 0, nil), state(20, "h2", 10, nil), state(30, "h2", 10, nil), state(40, "h2", 30, nil)}, []taken{{10, 20, 40}, {30, 40, timeline.Never}}},
		"told of another release":  {timeline.Never, []timeline.Seen[resource.Rollout]{state(10, "h1", 50, nil), state(20, "h2", 10, nil)}, []taken{{10, 20, timeline.Never}}},
		"promoted":                 {timeline.Never, []timeline.Seen[resource.Rollout]{state(20, "h2", 10, nil), state(40, "h2", 100, nil), state(50, "h2", 0, promoted)}, []taken{{10, 20, 40}}},
		"aborted":                  {timeline.Never, []timeline.Seen[resource.Rollout]{state(20, "h2", 10, nil), state(40, "h2", 0, aborted)}, []taken{{10, 20, 40}}},
		"replaced":                 {40, []timeline.Seen[resource.Rollout]{state(20, "h2", 10, nil), state(40, "h2", 30, nil)}, []taken{{10, 20, 40}}},
		"taken back and again":     {timeline.Never, []timeline.Seen[resource.Rollout]{state(20, "h2", 10, nil), state(30, "h2", 0, nil), state(40, "h2", 10, nil)}, []taken{{10, 20, 30}, {0, 30, 40}, {10, 40, timeline.Never}}},
		"all and part of it again": {timeline.Never, []timeline.Seen[resource.Rollout]{state(20, "h2", 100, nil), state(30, "h2", 10, nil)}, []taken{{100, 20, 30}, {10, 30, timeline.Never}}},
		"nothing":                  {timeline.Never, []timeline.Seen[resource.Rollout]{state(20, "h2", 0, nil)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := &timeline.Release{Identity: timeline.Identity{Workload: app, Hash: "h2"}, Stable: "h1", Until: c.until, States: c.states}
			if got := sharesOf(r); !slices.Equal(got, c.want) {
				t.Errorf("the shares are %v, want %v", got, c.want)
			}
		})
	}
}

// A strategy that says nothing lets a check that needs it say so.
func TestWhatAStrategyLeavesUnsaid(t *testing.T) {
	var none Strategy
	all := Strategy{Weights: []int32{1}, Slow: 1}
	if got := unsaid(none.weights(), none.slow(), metricSaid("", "errors")); len(got) != 3 {
		t.Errorf("unsaid: %q, want three", got)
	}
	if got := unsaid(all.weights(), all.slow(), metricSaid("e", "errors")); len(got) != 0 {
		t.Errorf("unsaid: %q, want nothing", got)
	}
}

// A record without a step has no share that could be judged, and one without a release nothing that could be held back.
func TestWhatTheChecksNeed(t *testing.T) {
	record := func(change func(*timeline.Timeline)) *timeline.Timeline {
		tl := loaded(0, 1000)
		tl.Arms[0].Windows[0].Sent = 10
		change(tl)
		return tl
	}
	without := record(func(*timeline.Timeline) {})
	for slug, c := range map[string]struct {
		check judge.Check
		with  *timeline.Timeline
	}{
		SlugShare: {TrafficShare(DefaultShareBudgets(), tolerance), record(func(tl *timeline.Timeline) { tl.Steps = []timeline.Step{step(0, "v1", "v2", 10)} })},
		SlugNoData: {NoDataNoPromote(Strategy{}, tolerance), record(func(tl *timeline.Timeline) {
			tl.Cluster.Rollouts = []*timeline.Track[resource.Rollout]{{Namespace: app.Namespace, Name: app.Name, Seen: []timeline.Seen[resource.Rollout]{state(100, nil)}, Gone: timeline.Never}}
		})},
	} {
		met := func(tl *timeline.Timeline) bool {
			return !slices.ContainsFunc(c.check.Needs, func(n judge.Need) bool { return !n.Met(tl) })
		}
		if !met(c.with) || met(without) {
			t.Errorf("%s: its needs are met with what it judges: %v, without it: %v", slug, met(c.with), met(without))
		}
	}
}
