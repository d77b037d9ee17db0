package run

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/disrupt"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/observe"
	"bitvault.dev/rollproof/harness/probe"
	"bitvault.dev/rollproof/harness/wait"
)

// theatre is a scenario without a cluster, every part of which can be made to fail, and the diary of what was called.
type theatre struct {
	fail    string // the part that fails
	failure error  // it fails with; errPlanted when nil
	panics  bool   // it panics instead
	cancel  context.CancelFunc
	url     string
	lost    chan struct{} // of the observer
	path    *load.Arm
	cut     *atomic.Bool  // nothing gets to the stack; nil: never
	probes  []probe.Probe // nil: load on url
	rest    *rest.Config  // of a cluster that is asked; nil: none is
	diary   []string
}

var errPlanted = errors.New("planted failure")

// part notes that a part of the run was reached, and fails there when that is planted.
func (th *theatre) part(ctx context.Context, name string) error {
	th.diary = append(th.diary, name)
	if th.fail != name {
		return nil
	}
	switch {
	case th.panics:
		panic("planted panic")
	case th.cancel != nil:
		th.cancel()
		return ctx.Err()
	case th.failure != nil:
		return th.failure
	}
	return errPlanted
}

func (th *theatre) Ready(ctx context.Context, c Cluster, _ Say) (Aim, error) {
	if err := th.part(ctx, "ready"); err != nil {
		return Aim{}, err
	}
	if th.probes != nil {
		return Aim{Probes: th.probes}, nil
	}
	arm, err := load.NewArm("get", th.url)
	return Aim{Probes: []probe.Probe{c.Load([]load.Arm{arm}, load.Plan{Pacing: load.Constant{PerSecond: 200}})}}, err
}

func (th *theatre) Settle(ctx context.Context, _ Cluster) error { return th.part(ctx, "settle") }

func (th *theatre) observe(ctx context.Context, _ *history.Recorder, _ Aim) (observer, error) {
	if err := th.part(ctx, "observe"); err != nil {
		return nil, err
	}
	return watcher{th}, nil
}

type watcher struct{ *theatre }

func (w watcher) Await(ctx context.Context, name string, _ time.Duration, _ func(observe.State) (bool, string)) error {
	if err := w.part(ctx, "await"); err != nil {
		return fmt.Errorf("wait for %s: saw last: nothing: %w", name, err)
	}
	return nil
}

func (w watcher) Lost() <-chan struct{} { return w.lost }

func (w watcher) Stop() error { return w.part(context.Background(), "unobserve") }

// shove is a disturbance that must be healed.
type shove struct{ *theatre }

func (shove) Name() string   { return "shove" }
func (shove) Target() string { return "the theatre" }

func (shove) Namespaces(context.Context, *disrupt.Env) ([]string, error) {
	return []string{"demo"}, nil
}

func (s shove) Do(ctx context.Context, a *disrupt.Act) ([]history.Evidence, error) {
	a.OnHeal("straighten it", time.Second, func(ctx context.Context) ([]history.Evidence, error) {
		err := s.part(ctx, "heal")
		return []history.Evidence{{What: "theatre", Saw: "straight"}}, err
	})
	if err := s.part(ctx, "disturb"); err != nil {
		return nil, err
	}
	return []history.Evidence{{What: "theatre", Saw: "crooked"}}, nil
}

func (th *theatre) scenario() Scenario {
	return Scenario{
		Name: "unit/theatre", Stack: th, Before: 300 * time.Millisecond, After: 300 * time.Millisecond,
		Acts:    []Act{Disturb{shove{th}}, Hold(50 * time.Millisecond), Await{Name: "applause", Bound: time.Second}},
		Budgets: func(b *checks.Budgets) { b.Fewest = 50 }, // hits, of a run of less than a second
	}
}

func (th *theatre) run(t *testing.T) (Outcome, error) {
	t.Helper()
	return th.perform(t, th.scenario())
}

func (th *theatre) perform(t *testing.T, s Scenario) (Outcome, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if th.cancel != nil {
		th.cancel = cancel
	}
	r := th.runnerAlone(t)
	if th.probes == nil {
		r = th.runner(t)
	}
	return r.Run(ctx, s)
}

// runner performs in the theatre, with a server to aim load at.
func (th *theatre) runner(t *testing.T) Runner {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if th.cut != nil && th.cut.Load() {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Rollproof-Version", "v1")
		fmt.Fprint(w, "well")
	}))
	t.Cleanup(server.Close)
	th.url = server.URL
	return th.runnerAlone(t)
}

// runnerAlone performs in the theatre without a server.
func (th *theatre) runnerAlone(t *testing.T) Runner {
	return Runner{
		Cluster: Cluster{REST: th.rest, Guard: disrupt.GuardFunc(func(context.Context, string) error { return nil }), Path: th.path},
		Out:     t.TempDir(), observe: th.observe, Say: t.Logf, Show: func(Status) {},
	}
}

func TestARunThatGoesWell(t *testing.T) {
	th := &theatre{}
	out, err := th.run(t)
	if err != nil || out.Early != nil {
		t.Fatalf("error %v, early %v", err, out.Early)
	}
	want := "ready observe disturb await heal settle unobserve"
	if got := strings.Join(th.diary, " "); got != want {
		t.Errorf("what happened: %s\nwant:          %s", got, want)
	}
	for _, p := range out.Result.Promises {
		if slices.Contains([]string{"load.zero-dropped", "disruption.landed", "record.complete"}, p.Slug) && p.Verdict != judge.Pass {
			t.Errorf("%s: %s: %s", p.Slug, p.Verdict, p.Reason)
		}
	}
	if run := out.History.Run(); run.Scenario != "unit/theatre" || !slices.Equal(run.Disturbances, []string{"shove"}) {
		t.Errorf("the record says %+v", run)
	}
}

// Whatever part fails, panics or is interrupted: the error names it, what was disturbed is healed, the observer is stopped, and
// the record is closed with the reason and is never green.
func TestEveryPartFailsInTurn(t *testing.T) {
	parts := []string{"ready", "observe", "disturb", "await", "heal", "settle", "unobserve"}
	ways := map[string]func(*theatre){
		"fails":       func(*theatre) {},
		"panics":      func(th *theatre) { th.panics = true },
		"interrupted": func(th *theatre) { th.cancel = func() {} },
	}
	for _, part := range parts {
		for way, prepare := range ways {
			if way == "panics" && (part == "ready" || part == "unobserve") || way == "interrupted" && part == "unobserve" {
				continue // before there is a record nothing is to be closed; and nobody interrupts the very end
			}
			t.Run(part+" "+way, func(t *testing.T) {
				th := &theatre{fail: part}
				prepare(th)
				out, err := th.run(t)
				th.verify(t, out, err)
			})
		}
	}
}

func (th *theatre) verify(t *testing.T, out Outcome, err error) {
	t.Helper()
	if err == nil && out.Early == nil {
		t.Fatal("the failure was not told")
	}
	if told := errors.Join(err, out.Early).Error(); strings.Contains(told, "%!") {
		t.Errorf("the failure is told as %q", told)
	}
	if th.fail == "ready" {
		if out.Dir != "" {
			t.Errorf("a record was begun in %s for a stack that never was ready", out.Dir)
		}
		return
	}
	reached := func(part string) bool { return slices.Contains(th.diary, part) }
	if reached("disturb") && !reached("heal") {
		t.Error("what was disturbed was not healed")
	}
	if th.fail != "observe" && !reached("unobserve") {
		t.Error("the observer was not stopped")
	}
	h, openErr := history.Open(out.Dir)
	if openErr != nil {
		t.Fatal(openErr)
	}
	if end := endOf(t, h); end.Outcome == history.EndFinished || end.Outcome == "" || end.Reason == "finished" || end.Reason == "" {
		t.Errorf("the record ends with %+v", end)
	}
	if len(out.Result.Promises) == 0 || out.Result.Verdict == judge.Pass {
		t.Errorf("the verdict is %q with %d promises", out.Result.Verdict, len(out.Result.Promises))
	}
}

func endOf(t *testing.T, h *history.History) history.End {
	t.Helper()
	for e, err := range h.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == history.KindEnd {
			return *e.End
		}
	}
	t.Error("the record has no end")
	return history.End{}
}

// How a run ended is recorded for judges, whatever the words for people are.
func TestTheOutcomeIsRecorded(t *testing.T) {
	cases := map[string]struct {
		theatre theatre
		want    history.Outcome
	}{
		"all goes well":          {theatre{}, history.EndFinished},
		"waited in vain":         {theatre{fail: "await", failure: &wait.Timeout{What: "applause", Bound: time.Second, Saw: "silence"}}, history.EndTimedOut},
		"the observation ended":  {theatre{fail: "await"}, history.EndFailed},
		"never at rest":          {theatre{fail: "settle"}, history.EndTimedOut},
		"a disturbance failed":   {theatre{fail: "disturb"}, history.EndFailed},
		"interrupted in waiting": {theatre{fail: "await", cancel: func() {}}, history.EndInterrupted},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out, _ := c.theatre.run(t)
			if end := endOf(t, out.History); end.Outcome != c.want || end.Reason == "" {
				t.Errorf("the record ends with %+v, want outcome %s", end, c.want)
			}
		})
	}
}

func TestWhatDoesNotComeTrueIsForTheJudges(t *testing.T) {
	th := &theatre{fail: "await"}
	out, err := th.run(t)
	if err != nil || out.Early == nil || !strings.Contains(out.Early.Error(), "applause") {
		t.Fatalf("error %v, early %v", err, out.Early)
	}
	if out.Result.Verdict == judge.Pass || len(out.Result.Promises) == 0 {
		t.Errorf("the verdict is %s with %d promises", out.Result.Verdict, len(out.Result.Promises))
	}
}

// Without a cluster nothing that is waited for will come: the acts end at once, and this is no verdict on a promise.
func TestALostClusterEndsTheActs(t *testing.T) {
	th := &theatre{lost: make(chan struct{})}
	scenario := th.scenario()
	scenario.Acts = []Act{Disturb{shove{th}}, loseCluster{theatre: th}, Hold(time.Hour)}
	out, err := th.perform(t, scenario)
	if err == nil || !strings.Contains(err.Error(), "the cluster no longer answers") || out.Early != nil {
		t.Errorf("error %v, early %v", err, out.Early)
	}
	th.verify(t, out, err)
	if out.Result.Verdict != judge.Inconclusive {
		t.Errorf("the verdict is %s, want inconclusive", out.Result.Verdict)
	}
}

// moment is what an act is that takes no time and disturbs nothing that anybody planned.
type moment struct{}

func (moment) Lasts() time.Duration                { return 0 }
func (moment) Disturbances() []disrupt.Disturbance { return nil }

// loseCluster is the end of the cluster in the middle of the acts.
type loseCluster struct {
	moment
	*theatre
}

func (loseCluster) String() string { return "the cluster is gone" }

func (l loseCluster) Do(context.Context, *Stage) error { close(l.lost); return nil }

// An interrupt in the middle of healing does not break it off: what was begun is healed, and only then the run ends.
func TestAnInterruptDoesNotBreakHealingOff(t *testing.T) {
	th := &theatre{fail: "heal", cancel: func() {}}
	out, err := th.run(t)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one that tells of the interrupt", err)
	}
	var phases []history.Phase
	for e, err := range out.History.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == history.KindDisturbance {
			phases = append(phases, e.Disturbance.Phase)
		}
	}
	if want := []history.Phase{history.Began, history.Landed, history.Healed}; !slices.Equal(phases, want) {
		t.Errorf("the disturbance is recorded as %v, want %v", phases, want)
	}
	th.verify(t, out, err)
}

// A stack that does not come to rest is tried once, and told as what it is: no error of the harness.
func TestAStackThatDoesNotComeToRestIsForTheJudges(t *testing.T) {
	th := &theatre{fail: "settle"}
	out, err := th.run(t)
	if err != nil || out.Early == nil || !strings.HasPrefix(out.Early.Error(), "wait for the stack to come to rest") {
		t.Fatalf("error %v, early %v", err, out.Early)
	}
	if tried := strings.Count(strings.Join(th.diary, " "), "settle"); tried != 1 {
		t.Errorf("it was waited for %d times, want once: %v", tried, th.diary)
	}
	th.verify(t, out, err)
}

func TestUnmetNeedsSkipWithTheReason(t *testing.T) {
	th := &theatre{}
	s := th.scenario()
	s.Needs = Needs{Workers: 2}
	r := Runner{Out: t.TempDir(), Cluster: Cluster{Workers: 1}}
	out, err := r.Run(t.Context(), s)
	if err != nil || out.Skipped != "2 workers needed, the cluster has 1 worker" || len(th.diary) != 0 {
		t.Errorf("skipped %q, error %v, reached %v", out.Skipped, err, th.diary)
	}
	if entries, err := os.ReadDir(r.Out); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// shoves disturbs twice in one act.
type shoves struct{ *theatre }

func (shoves) String() string { return "two shoves" }

func (s shoves) Lasts() time.Duration { return time.Minute }

func (s shoves) Disturbances() []disrupt.Disturbance {
	return []disrupt.Disturbance{shove(s), shove(s)}
}

func (s shoves) Do(ctx context.Context, stage *Stage) error {
	for _, d := range s.Disturbances() {
		if err := stage.Disrupt.Perform(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// Disturbances in turn that are alike are told of once, with how many they are.
func TestDisturbancesInTurnAreToldOfOnce(t *testing.T) {
	one := Disturb{shove{}}.String()
	if got, want := (InTurn{shove{}, shove{}}).String(), "one after the other: "+one+", 2 times"; got != want {
		t.Errorf("two are %q, want %q", got, want)
	}
	if got, want := (InTurn{shove{}}).String(), "one after the other: "+one; got != want {
		t.Errorf("one is %q, want %q", got, want)
	}
}

// An act that the runner never heard of says how long it lasts and what it disturbs, and each of its disturbances must land.
func TestAnActOfAnyKindIsPlanned(t *testing.T) {
	th := &theatre{}
	s := th.scenario()
	s.Acts = []Act{shoves{th}}
	if got, want := s.Usually(), time.Minute+600*time.Millisecond; got != want {
		t.Errorf("usually %v, want %v", got, want)
	}
	out, err := th.perform(t, s)
	if err != nil || out.Early != nil {
		t.Fatalf("error %v, early %v", err, out.Early)
	}
	if got := out.History.Run().Disturbances; !slices.Equal(got, []string{"shove", "shove"}) {
		t.Errorf("the record plans the disturbances %q, want two", got)
	}
}

func TestAScenarioSaysWhatItPlans(t *testing.T) {
	s := (&theatre{}).scenario()
	if got, want := s.Usually(), 30*time.Second+650*time.Millisecond; got != want {
		t.Errorf("usually %v, want %v", got, want)
	}
	var said []string
	for _, act := range s.Acts {
		said = append(said, act.String())
	}
	want := "shove: the theatre; load goes on for 50 ms; waiting for applause, at most 1 s"
	if got := strings.Join(said, "; "); got != want {
		t.Errorf("the acts say %q, want %q", got, want)
	}
}

// Load that no longer gets to the cluster ends the acts at once. The record shows it, so it is for the judges and no error of the run, and
// the cluster is not given to the next scenario.
func TestALostPathEndsTheActs(t *testing.T) {
	end := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(end.Close)
	path := load.PathArm(end.URL, load.Path{Node: "n1"})
	acts := map[string]func(*theatre) Act{
		"while load goes on":          func(*theatre) Act { return Hold(time.Hour) },
		"while a disturbance is done": func(th *theatre) Act { return Disturb{endless{shove{th}}} },
	}
	for name, act := range acts {
		t.Run(name, func(t *testing.T) {
			th := &theatre{path: &path, cut: &atomic.Bool{}}
			scenario := th.scenario()
			scenario.Acts = []Act{Disturb{shove{th}}, shut{server: end, theatre: th}, act(th)}
			out, err := th.perform(t, scenario)
			if lost := (*load.PathLostError)(nil); err != nil || !errors.As(out.Early, &lost) {
				t.Errorf("error %v, early %v", err, out.Early)
			}
			th.verify(t, out, err)
			if out.Result.Verdict == judge.Pass || out.Healed() {
				t.Errorf("verdict %s, healed %v", out.Result.Verdict, out.Healed())
			}
		})
	}
}

// shut closes the end of the path.
type shut struct {
	moment
	server *httptest.Server
	*theatre
}

func (shut) String() string { return "the path is cut" }

func (s shut) Do(context.Context, *Stage) error {
	s.cut.Store(true)
	s.server.Close()
	return nil
}

// endless is a disturbance that lands only when it is broken off, and then says nothing of why.
type endless struct{ shove }

func (e endless) Do(ctx context.Context, a *disrupt.Act) ([]history.Evidence, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Disturbances in turn are healed, and the stack comes to rest, before the next begins.
func TestDisturbancesInTurn(t *testing.T) {
	th := &theatre{}
	s := th.scenario()
	s.Acts = []Act{InTurn{shove{th}, shove{th}}}
	out, err := th.perform(t, s)
	if err != nil || out.Early != nil {
		t.Fatalf("error %v, early %v", err, out.Early)
	}
	want := "ready observe disturb heal settle disturb heal settle settle unobserve"
	if got := strings.Join(th.diary, " "); got != want {
		t.Errorf("what happened: %s\nwant:          %s", got, want)
	}
	if got := out.History.Run().Disturbances; !slices.Equal(got, []string{"shove", "shove"}) {
		t.Errorf("the record plans %q", got)
	}
}

// What goes wrong with one of them ends the acts: the next is not begun.
func TestADisturbanceInTurnThatGoesWrong(t *testing.T) {
	for part, early := range map[string]bool{"disturb": false, "heal": false, "settle": true} {
		t.Run(part, func(t *testing.T) {
			th := &theatre{fail: part}
			s := th.scenario()
			s.Acts = []Act{InTurn{shove{th}, shove{th}}}
			out, err := th.perform(t, s)
			if (out.Early != nil) != early || (err != nil) == early {
				t.Errorf("early %v, error %v", out.Early, err)
			}
			begun := 0
			for _, what := range th.diary {
				if what == "disturb" {
					begun++
				}
			}
			if begun != 1 {
				t.Errorf("what happened: %s", strings.Join(th.diary, " "))
			}
		})
	}
}
