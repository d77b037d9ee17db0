package run

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/observe/apitest"
	"bitvault.dev/rollproof/harness/probe"
)

// usher is a probe of the theatre, every part of which can be made to fail. It asks nothing.
type usher struct {
	*theatre
	name  string
	hangs bool // once stopped

	end   func()
	ended chan struct{}
	err   error // why it ended by itself
}

// ushers are two of them, in the theatre.
func ushers(th *theatre) []*usher {
	all := []*usher{{theatre: th, name: "left"}, {theatre: th, name: "right"}}
	th.probes = []probe.Probe{all[0], all[1]}
	return all
}

func (u *usher) Name() string { return u.name }

func (u *usher) Start(ctx context.Context, _ *history.Recorder) (probe.Running, error) {
	if err := u.part(ctx, "start "+u.name); err != nil {
		return nil, err
	}
	u.ended = make(chan struct{})
	u.end = sync.OnceFunc(func() { close(u.ended) })
	return u, nil
}

func (u *usher) Stop() {
	if u.part(context.Background(), "stop "+u.name); !u.hangs {
		u.end()
	}
}

// leave ends it by itself.
func (u *usher) leave(err error) {
	u.err = err
	u.end()
}

func (u *usher) Wait() error {
	<-u.ended
	return u.err
}

func (u *usher) Done() <-chan struct{} { return u.ended }

func (u *usher) Status() probe.Status { return probe.Status{Unit: "seats", Sent: 7} }

func TestProbesAreAtWorkFromBeforeTheFirstActUntilAllIsHealed(t *testing.T) {
	th := &theatre{}
	ushers(th)
	out, err := th.run(t)
	if err != nil || out.Early != nil {
		t.Fatalf("error %v, early %v", err, out.Early)
	}
	want := "ready, observe, start left, start right, disturb, await, heal, settle, stop left, stop right, unobserve"
	if got := strings.Join(th.diary, ", "); got != want {
		t.Errorf("what happened: %s\nwant:          %s", got, want)
	}
	if got := out.History.Run().Probes; !slices.Equal(got, []string{"left", "right"}) {
		t.Errorf("the record plans the probes %q", got)
	}
}

// Whatever becomes of the start of a probe, those that were started are stopped.
func TestAProbeThatDoesNotStart(t *testing.T) {
	for way, prepare := range map[string]func(*theatre){
		"fails":       func(*theatre) {},
		"panics":      func(th *theatre) { th.panics = true },
		"interrupted": func(th *theatre) { th.cancel = func() {} },
	} {
		t.Run(way, func(t *testing.T) {
			th := &theatre{fail: "start right"}
			prepare(th)
			ushers(th)
			out, err := th.run(t)
			if err == nil || out.Early != nil || !slices.Contains(th.diary, "stop left") || slices.Contains(th.diary, "disturb") {
				t.Errorf("error %v, early %v, it went: %v", err, out.Early, th.diary)
			}
			th.verify(t, out, err)
		})
	}
}

// Also when acts fail, panic or are interrupted, probes are stopped, and before the run heals what it left.
func TestProbesAreStoppedWhateverHappens(t *testing.T) {
	for name, th := range map[string]*theatre{
		"an act fails":  {fail: "disturb"},
		"an act panics": {fail: "await", panics: true},
		"an interrupt":  {fail: "await", cancel: func() {}},
	} {
		t.Run(name, func(t *testing.T) {
			ushers(th)
			out, err := th.run(t)
			th.verify(t, out, err)
			if diary := strings.Join(th.diary, ", "); !strings.Contains(diary, "stop left, stop right, heal") {
				t.Errorf("it went: %s", diary)
			}
		})
	}
}

// leave is an act in the middle of which a probe ends by itself.
type leave struct {
	moment
	who *usher
	why error
}

func (leave) String() string { return "a probe ends" }

func (l leave) Do(ctx context.Context, _ *Stage) error {
	l.who.leave(l.why)
	return nil
}

// Without a probe nothing is proved: the acts end at once, with its reason.
func TestAProbeThatEndsByItselfEndsTheActs(t *testing.T) {
	cut := &probe.CutOffError{Err: errors.New("the street is closed")}
	for name, c := range map[string]struct {
		why   error
		early bool // it is for the judges
		says  string
	}{
		"without a reason":         {nil, false, "the probe right ended by itself"},
		"with a reason":            {errPlanted, false, "the probe right ended by itself: planted failure"},
		"it is cut off":            {cut, true, "the street is closed"},
		"cut off and without disk": {errors.Join(cut, errPlanted), true, "the street is closed"},
	} {
		for when, acts := range map[string]func(*theatre, leave) []Act{
			"between the acts":       func(th *theatre, l leave) []Act { return []Act{Disturb{shove{th}}, l, Hold(time.Hour)} },
			"in the middle of one":   func(th *theatre, l leave) []Act { return []Act{Disturb{shove{th}}, alongside{l}} },
			"at the end of the last": func(th *theatre, l leave) []Act { return []Act{Disturb{shove{th}}, l} },
			"while the acts are healed": func(th *theatre, l leave) []Act {
				return []Act{Disturb{shove{th}}, Disturb{leaveInHealing{shove{th}, l}}}
			},
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				th := &theatre{}
				all := ushers(th)
				scenario := th.scenario()
				scenario.After = 0
				scenario.Acts = acts(th, leave{who: all[1], why: c.why})
				out, err := th.perform(t, scenario)
				th.verify(t, out, err)
				told := err
				if c.early {
					told = out.Early
				}
				if told == nil || (out.Early != nil) != c.early || (err != nil) == c.early || strings.Count(told.Error(), c.says) != 1 {
					t.Errorf("error %v, early %v: want one that says once %q", err, out.Early, c.says)
				}
				if out.Healed() && c.early {
					t.Error("the cluster is given to the next scenario")
				}
				if end := endOf(t, out.History); end.Outcome != history.EndFailed {
					t.Errorf("the record ends with %+v", end)
				}
			})
		}
	}
}

// Where the path was lost nobody can say of the stack that it did not come to rest in time.
func TestAProbeThatIsCutOffWhileTheStackIsRestless(t *testing.T) {
	th := &theatre{fail: "settle"}
	who := ushers(th)[1]
	scenario := th.scenario()
	scenario.Acts = []Act{Disturb{leaveInHealing{shove{th}, leave{who: who, why: &probe.CutOffError{Err: errors.New("the street is closed")}}}}}
	out, err := th.perform(t, scenario)
	if end := endOf(t, out.History); err != nil || end.Outcome != history.EndFailed {
		t.Errorf("error %v, the record ends with %+v", err, end)
	}
}

// alongside is an act that goes on when the probe ends in it, and never ends by itself.
type alongside struct{ leave }

func (a alongside) Do(ctx context.Context, s *Stage) error {
	if err := a.leave.Do(ctx, s); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// leaveInHealing is a disturbance in the healing of which a probe ends.
type leaveInHealing struct {
	shove
	leave leave
}

func (l leaveInHealing) Do(ctx context.Context, a *disrupt.Act) ([]history.Evidence, error) {
	a.OnHeal("let the probe end", time.Minute, func(ctx context.Context) ([]history.Evidence, error) {
		return []history.Evidence{{What: "probe", Saw: "it ends"}}, l.leave.Do(ctx, nil)
	})
	return []history.Evidence{{What: "probe", Saw: "at work"}}, nil
}

// A probe that hangs, or panics, when it is stopped keeps the stack from nothing: it is healed all the same.
func TestAProbeThatDoesNotEndIsNotWaitedForForEver(t *testing.T) {
	for name, th := range map[string]*theatre{"it hangs": {}, "it panics": {fail: "stop left", panics: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := ushers(th)
				all[0].hangs = true
				scenario := th.scenario()
				scenario.Acts = append(scenario.Acts, breakDown{})
				out, err := th.perform(t, scenario)
				if err == nil || !strings.Contains(err.Error(), "the probe left did not end within 1 min of being stopped") {
					t.Errorf("error %v", err)
				}
				if diary := strings.Join(th.diary, ", "); !strings.Contains(diary, "stop right, heal") {
					t.Errorf("it went: %s", diary)
				}
				th.verify(t, out, err)
			})
		})
	}
}

// breakDown is an act that fails.
type breakDown struct{ moment }

func (breakDown) String() string { return "an act fails" }

func (breakDown) Do(context.Context, *Stage) error { return errPlanted }

// A path that is lost while the acts are healed is noticed, also where no load was to follow: the load is at work until all is healed.
func TestAPathLostDuringHealingIsNoticed(t *testing.T) {
	end := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(end.Close)
	path := load.PathArm(end.URL, load.Path{Node: "n1"})
	th := &theatre{path: &path, cut: &atomic.Bool{}}
	scenario := th.scenario()
	scenario.After, scenario.Stack = 0, restless{th, end}
	out, err := th.perform(t, scenario)
	if lost := (*load.PathLostError)(nil); err != nil || !errors.As(out.Early, &lost) || lost.Node != "n1" {
		t.Errorf("error %v, early %v", err, out.Early)
	}
	th.verify(t, out, err)
	if out.Result.Verdict == judge.Pass || out.Healed() {
		t.Errorf("verdict %s, healed %v", out.Result.Verdict, out.Healed())
	}
}

// restless is a theatre to which the path is cut as it comes to rest, which takes as long as anybody waits.
type restless struct {
	*theatre
	end *httptest.Server
}

func (r restless) Settle(ctx context.Context, c Cluster) error {
	if !r.cut.Swap(true) {
		r.end.Close()
		<-ctx.Done()
	}
	return r.theatre.Settle(ctx, c)
}

// A path whose end is what the acts disturb is not lost by that.
func TestAPathToADisturbedNodeEndsNothing(t *testing.T) {
	end := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(end.Close)
	path := load.PathArm(end.URL, load.Path{Node: "n1"})
	api := apitest.New() // is asked what runs on the node
	t.Cleanup(api.Close)
	th := &theatre{path: &path, cut: &atomic.Bool{}, rest: api.Config()}
	scenario := th.scenario()
	scenario.Acts = []Act{Disturb{onNode{shove{th}}}, shut{server: end, theatre: th}, Hold(2 * time.Second)}
	out, err := th.perform(t, scenario)
	if err != nil || out.Early != nil {
		t.Errorf("error %v, early %v", err, out.Early)
	}
}

// onNode is a disturbance of the node at the end of the path.
type onNode struct{ shove }

func (onNode) Nodes() []string { return []string{"n1"} }

// What a stack names to be probed and what the scenario says must fit: load that is not there proves nothing, and nobody may find out only
// later.
func TestAStackThatNamesOtherProbesThanTheScenarioWants(t *testing.T) {
	th := &theatre{}
	one := ushers(th)[0]
	for name, c := range map[string]struct {
		before time.Duration
		probes []probe.Probe
		says   string
	}{
		"none where load is wanted": {time.Second, []probe.Probe{}, "the stack names no probe, and the scenario wants load for 1 s before its first act"},
		"one where none is wanted":  {0, []probe.Probe{one}, "the stack names the probes left, and the scenario says no time for them"},
		"two alike":                 {time.Second, []probe.Probe{one, one}, "two probes alike: left, left"},
	} {
		t.Run(name, func(t *testing.T) {
			th := &theatre{}
			runner := th.runner(t)
			th.probes = c.probes
			scenario := th.scenario()
			scenario.Before, scenario.After, scenario.Checks = c.before, 0, []string{"canary.steps"}
			out, err := runner.Run(t.Context(), scenario)
			if err == nil || !strings.Contains(err.Error(), c.says) || out.Dir != "" {
				t.Errorf("error %v, record %q: want %q", err, out.Dir, c.says)
			}
		})
	}
}

// A load that was planned and left nothing in the record is no green, nor is it skipped.
func TestAPlannedLoadThatNeverRan(t *testing.T) {
	dir := t.TempDir() + "/run"
	rec, err := history.Create(dir, history.Run{ID: "x", Scenario: "unit", Probes: []string{history.ProbeLoad}}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Close(history.EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	h, err := history.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	result, err := checks.Recorded(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range result.Promises {
		if slices.Contains([]string{"load.held", "load.zero-dropped"}, p.Slug) && p.Verdict != judge.Inconclusive {
			t.Errorf("%s is %s: %s", p.Slug, p.Verdict, p.Reason)
		}
	}
}

func TestTheStatusTellsOfEachProbe(t *testing.T) {
	th := &theatre{}
	shown := make(chan Status, 100)
	synctest.Test(t, func(t *testing.T) {
		ushers(th)
		scenario := th.scenario()
		scenario.Acts = append(scenario.Acts, Hold(5*time.Second))
		r := th.runnerAlone(t)
		r.Show = func(s Status) { shown <- s }
		if _, err := r.Run(t.Context(), scenario); err != nil {
			t.Fatal(err)
		}
	})
	close(shown)
	for s := range shown {
		if len(s.Probes) != 2 || s.Probes[1] != (probe.Status{Unit: "seats", Sent: 7}) {
			t.Errorf("status %+v", s)
		}
	}
}
