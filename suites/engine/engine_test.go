package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/load"
)

// fault is one planted sabotage and what must become of it.
type fault struct {
	name    string
	talk    func(c *net.TCPConn, n, nth uint64) bool
	meddle  func(s *server)   // done once, in the middle of the load
	plan    func(*load.Plan)  // makes the generator sick
	child   func(*os.Process) // runs the generator in a process of its own and does this to it
	limit   uint64            // of open files in that process
	until   uint64            // load runs until the server had so many requests, as fast as it can
	check   string            // the judge that must see it
	verdict judge.Verdict     // what it must say
	finding string            // and in which words
	masked  bool              // silent retries must have been seen
	arms    func([]load.Arm) []load.Arm
}

func well(c *net.TCPConn, _, _ uint64) bool { return say(c, right) }

// every lets each nth request over all connections go wrong.
func every(n uint64, wrong func(c *net.TCPConn) bool) func(*net.TCPConn, uint64, uint64) bool {
	return func(c *net.TCPConn, count, _ uint64) bool {
		if count%n == 0 {
			return wrong(c)
		}
		return say(c, right)
	}
}

var faults = []fault{
	{name: "no fault at all", talk: well, check: "load.zero-dropped", verdict: judge.Pass},
	{name: "reset in the middle of the body", check: "load.zero-dropped", verdict: judge.Fail, finding: "reset",
		talk: every(50, func(c *net.TCPConn) bool { return say(c, answer(body[:20], len(body))) && reset(c) })},
	{name: "truncated body with status 200", check: "load.zero-dropped", verdict: judge.Fail, finding: "truncated",
		talk: every(50, func(c *net.TCPConn) bool { return say(c, answer(body[:20], len(body))) && false })},
	{name: "wrong content with status 200", check: "load.zero-dropped", verdict: judge.Fail, finding: "digest",
		talk: every(50, func(c *net.TCPConn) bool { return say(c, answer(strings.ToUpper(body), len(body))) })},
	{name: "slow headers", check: "load.zero-dropped", verdict: judge.Fail, finding: "deadline",
		plan: func(p *load.Plan) { p.Deadline = 300 * time.Millisecond },
		talk: every(50, func(c *net.TCPConn) bool { return !awaitHangUp(c) })},
	{name: "idle connections closed under POSTs without a key", check: "load.zero-dropped", verdict: judge.Fail,
		arms: func(arms []load.Arm) []load.Arm { arms[1].IdempotencyKey = false; return arms },
		talk: func(c *net.TCPConn, _, nth uint64) bool { return nth%20 != 0 && say(c, right) }},
	{name: "idle connections closed under GETs, which hides them", check: "load.zero-dropped", verdict: judge.Pass, masked: true,
		arms: func(arms []load.Arm) []load.Arm { return arms[:1] },
		talk: func(c *net.TCPConn, _, nth uint64) bool { return nth%20 != 0 && say(c, right) }},
	{name: "refused for 10 ms", talk: well, check: "load.zero-dropped", verdict: judge.Fail, finding: "refused",
		// Three times: on a busy machine the generator itself may pause for so long and honestly see nothing.
		meddle: func(s *server) {
			for range 3 {
				s.refuse(10 * time.Millisecond)
				takeTime(200 * time.Millisecond)
			}
		}},
	{name: "one 503 in 100 000", check: "load.zero-dropped", verdict: judge.Fail, finding: "503", until: 100_000,
		talk: every(100_000, func(c *net.TCPConn) bool { return say(c, unavailable) })},
	{name: "one worker and a slow server", check: "load.held", verdict: judge.Inconclusive, finding: "late",
		plan: func(p *load.Plan) { p.MaxWorkers = 1 },
		talk: func(c *net.TCPConn, _, _ uint64) bool { takeTime(30 * time.Millisecond); return say(c, right) }},
	{name: "no files left for sockets", check: "load.zero-dropped", verdict: judge.Inconclusive, limit: 40,
		child: func(*os.Process) {},
		talk:  func(c *net.TCPConn, _, _ uint64) bool { takeTime(500 * time.Millisecond); return say(c, right) }},
	{name: "generator paused for a second", talk: well, check: "load.held", verdict: judge.Inconclusive, finding: "did not run",
		child: func(p *os.Process) {
			_ = p.Signal(syscall.SIGSTOP) // the verdict tells whether it worked
			takeTime(time.Second)
			_ = p.Signal(syscall.SIGCONT)
		}},
}

// takeTime is what a slow server does.
func takeTime(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// awaitHangUp says nothing until the client gives up.
func awaitHangUp(c *net.TCPConn) bool {
	_, err := c.Read(make([]byte, 1))
	return err != nil
}

// Each fault is seen by the judge that must see it; the clean run is green. The matrix is printed at the end.
func TestEachFaultIsSeen(t *testing.T) {
	var mu sync.Mutex
	rows := map[string]string{}
	t.Run("faults", func(t *testing.T) {
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				result := judged(t, f)
				p := promise(t, result, f.check)
				mu.Lock()
				rows[f.name] = fmt.Sprintf("%-52s  %-18s  %-13s %s", f.name, f.check, p.Verdict, p.Reason)
				mu.Unlock()
				f.verify(t, result, p)
			})
		}
	})
	seen := 0
	for _, f := range faults {
		t.Log(rows[f.name])
		if strings.Contains(rows[f.name], string(f.verdict)) {
			seen++
		}
	}
	t.Logf("%d of %d as they must be", seen, len(faults))
}

func (f fault) verify(t *testing.T, result judge.Result, p judge.Promise) {
	if p.Verdict != f.verdict {
		t.Errorf("%s says %s (%s), want %s", f.check, p.Verdict, p.Reason, f.verdict)
	}
	if f.verdict != judge.Pass && result.Verdict == judge.Pass {
		t.Error("the run is green")
	}
	if f.finding != "" && !slices.ContainsFunc(p.Findings, func(x judge.Finding) bool { return strings.Contains(x.Text, f.finding) }) {
		t.Errorf("no finding of %s speaks of %q: %+v", f.check, f.finding, p.Findings)
	}
	if f.masked && p.Masked == 0 {
		t.Error("the retries that Go's transport hides were not seen")
	}
	if p.Verdict == judge.Pass && p.Power == nil {
		t.Error("a pass without power: nobody knows what the zero is worth")
	}
}

func promise(t *testing.T, result judge.Result, slug string) judge.Promise {
	for _, p := range result.Promises {
		if p.Slug == slug {
			return p
		}
	}
	t.Fatalf("%s was not judged", slug)
	return judge.Promise{}
}

// judged runs load against the fault and judges the record.
func judged(t *testing.T, f fault) judge.Result {
	s := serve(t, f.talk)
	dir := filepath.Join(t.TempDir(), "run")
	if f.child != nil {
		inChild(t, f, s, dir)
	} else if err := f.record(t.Context(), dir, s); err != nil {
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
	return result
}

const length = 2 * time.Second

func (f fault) record(ctx context.Context, dir string, s *server) error {
	rec, err := history.Create(dir, history.Run{ID: "engine", Scenario: "engine"}, history.NewClock())
	if err != nil {
		return err
	}
	return errors.Join(f.load(ctx, rec, s.url(), func(w *load.Window) { f.disturb(s, w) }), rec.Close(history.EndFinished, ""))
}

// disturb does what the fault does while the load runs.
func (f fault) disturb(s *server, w *load.Window) {
	if f.meddle != nil {
		takeTime(length / 2)
		f.meddle(s)
	}
	if f.until > 0 {
		poll := time.NewTicker(10 * time.Millisecond)
		defer poll.Stop()
		for s.requests.Load() < f.until {
			select {
			case <-poll.C:
			case <-w.Done():
				return
			}
		}
		w.Stop()
	}
}

// load sends 300 hits a second, or as many as the machine makes where the fault is rare.
func (f fault) load(ctx context.Context, rec *history.Recorder, url string, during func(*load.Window)) error {
	var arms []load.Arm
	for _, name := range []string{"get", "post", "post-close"} {
		arm, err := load.NewArm(name, url)
		if err != nil {
			return err
		}
		arms = append(arms, arm)
	}
	if f.arms != nil {
		arms = f.arms(arms)
	}
	plan := load.Plan{Pacing: load.Constant{PerSecond: 300}, Length: length}
	if f.until > 0 {
		plan = load.Plan{Pacing: load.Saturate{}, Length: 2 * time.Minute, MaxWorkers: 16}
		arms = arms[:1]
	}
	if f.plan != nil {
		f.plan(&plan)
	}
	g, err := load.New(rec, arms)
	if err != nil {
		return err
	}
	w, err := g.Start(ctx, plan)
	if err != nil {
		return err
	}
	during(w)
	return w.Wait()
}

var child = flag.String("engine.child", "", "for the tests themselves: record a run of this fault, directory and target given as arguments")

// inChild records the run in a process of its own, so that the fault can be done to the generator's whole process.
func inChild(t *testing.T, f fault, s *server, dir string) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-engine.child", f.name, dir, s.url())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // one byte says that the load runs
		t.Fatalf("wait for the generator's load: %v", err)
	}
	f.child(cmd.Process)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the generator's process: %v", err)
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	if *child == "" {
		os.Exit(m.Run())
	}
	if err := runChild(*child, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runChild(name, dir, url string) error {
	i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
	if i < 0 {
		return fmt.Errorf("no fault is named %q", name)
	}
	rec, err := history.Create(dir, history.Run{ID: "engine", Scenario: "engine"}, history.NewClock())
	if err != nil {
		return err
	}
	if limit := faults[i].limit; limit > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return fmt.Errorf("lower the limit of open files: %w", err)
		}
	}
	began := func(*load.Window) {
		takeTime(length / 4)
		fmt.Print("!")
	}
	return errors.Join(faults[i].load(context.Background(), rec, url, began), rec.Close(history.EndFinished, ""))
}
