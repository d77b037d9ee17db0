//go:build bench

package checks_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/words"
)

// TestBenchJudging measures judging by every check there is, against vegeta report on the same hits, each as a process of its own, in
// turns; and rollproof judge, which writes the HTML report too. ROLLPROOF_BENCH_HITS sets the size of the record (10 000 000),
// ROLLPROOF_BENCH_ROUNDS how often (3).
func TestBenchJudging(t *testing.T) {
	hits, rounds := number(t, "ROLLPROOF_BENCH_HITS", 10_000_000), number(t, "ROLLPROOF_BENCH_ROUNDS", 3)
	tools := t.TempDir()
	rollproof, vegeta := buildRollproof(t, tools), buildVegeta(t, tools)
	for _, arms := range []int{1, 2} {
		dir := filepath.Join(t.TempDir(), "run")
		recordSynthetic(t, dir, arms, hits)
		var files []string
		for i := range arms {
			files = append(files, filepath.Join(dir, fmt.Sprintf("hits-arm%d.bin", i)))
		}
		for _, cores := range []int{1, 2} {
			var ours, theirs, whole []usage
			measure(t, cores, benchDir+"="+dir, os.Args[0]) // nobody pays for bringing the record into memory
			for range rounds {
				ours = append(ours, measure(t, cores, benchDir+"="+dir, os.Args[0]))
				theirs = append(theirs, measure(t, cores, "", vegeta, append([]string{"report"}, files...)...))
				whole = append(whole, measure(t, cores, "", rollproof, "judge", dir))
			}
			report(t, fmt.Sprintf("%d arms, %d cores", arms, cores), hits, median(ours), median(theirs), median(whole))
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func number(t *testing.T, name string, otherwise int) int {
	text := cmp.Or(os.Getenv(name), strconv.Itoa(otherwise))
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number above 0", name, text)
	}
	return n
}

func buildRollproof(t *testing.T, into string) string {
	out := filepath.Join(into, "rollproof")
	run(t, "", "go", "build", "-o", out, "bitvault.dev/rollproof/cmd/rollproof")
	return out
}

// buildVegeta builds the command of the version that go.mod pins, in a module of its own: it needs more modules than its library.
func buildVegeta(t *testing.T, into string) string {
	const path = "github.com/tsenart/vegeta/v12"
	version := strings.TrimSpace(run(t, "", "go", "list", "-m", "-f", "{{.Version}}", path))
	module := filepath.Join(into, "vegeta-module")
	must(t, os.Mkdir(module, 0o755))
	must(t, os.WriteFile(filepath.Join(module, "go.mod"), []byte("module bench\n\ngo 1.26\n"), 0o644))
	run(t, module, "go", "get", path+"@"+version)
	out := filepath.Join(into, "vegeta")
	run(t, module, "go", "build", "-o", out, path)
	return out
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return string(out)
}

// recordSynthetic records a run in which every check has something to do: steps, pods that come and go, a bad release, answers in
// an order other than that of the requests, and one failure in 10 000.
func recordSynthetic(t *testing.T, dir string, arms, hits int) {
	const rate = 10_000
	each := hits / arms
	length := time.Duration(each) * time.Second / rate
	r := &recording{clock: history.NewClock(), run: history.Run{ID: "bench", Checks: everything()}}
	r.disturbance("d1", "regression", "v2", length/4, length/4+time.Second, length*3/4)
	for i, weight := range []float64{0, 10, 30, 0} {
		r.step(time.Duration(i)*length/4+1, fmt.Sprint("step", i), weight)
	}
	for i := range 8 {
		name := fmt.Sprint("bitvaultd-5d9c7f6b4-pod", i)
		r.pod(1, "added", name, history.PodState{Ready: true})
		r.pod(length-time.Duration(i+1)*time.Second, "modified", name, history.PodState{Terminating: true, Signalled: true})
	}
	rec, err := history.Create(dir, r.run, r.clock)
	must(t, err)
	for i := range arms {
		w := history.Window{Arm: fmt.Sprint("arm", i), Index: 1, Length: length, Rate: rate, Planned: uint64(each), Deadline: 5 * time.Second}
		r.events = append(r.events, history.Event{At: 1, Kind: history.KindWindow, Window: &w})
		ended := w
		ended.Ended, ended.Sent, ended.Health = true, uint64(each), &history.Health{}
		r.events = append(r.events, history.Event{At: length, Kind: history.KindWindow, Window: &ended})
		writeSynthetic(t, rec, w.Arm, each, rate)
	}
	for _, e := range r.events {
		must(t, rec.Append(e))
	}
	must(t, rec.Close(history.EndFinished, ""))
}

func writeSynthetic(t *testing.T, rec *history.Recorder, arm string, hits, rate int) {
	w, err := rec.Arm(arm)
	must(t, err)
	pods := make([]string, 8)
	for i := range pods {
		pods[i] = fmt.Sprint("bitvaultd-5d9c7f6b4-pod", i)
	}
	for i := range hits {
		seq := i
		if block := i &^ 15; block+16 <= hits {
			seq = block + (i*7)&15 // sixteen in flight end in another order
		}
		at := time.Duration(seq) * time.Second / time.Duration(rate)
		h := history.Hit{
			Seq: uint64(seq), Code: 200, Intended: at, At: at + 37*time.Microsecond, Latency: 1234567 + time.Duration(seq%97)*1000, Window: 1,
			BytesIn: 900, BytesOut: 20, Method: "GET", URL: "http://127.0.0.1:8080/vaults/42/items", Version: "v1", Pod: pods[seq*5&7],
		}
		if seq%10 == 3 {
			h.Version = "v2"
		}
		if seq%10_000 == 9_999 {
			h.Class, h.Code, h.Error, h.Reason = history.ClassApplication, 503, "503 Service Unavailable", "status 503"
		}
		must(t, w.Write(&h))
	}
}

// usage is what one process took.
type usage struct {
	wall, cpu time.Duration
	memory    int64 // bytes, at most at once
}

// benchDir names the record that a process of the test binary is to judge, and nothing else.
const benchDir = "ROLLPROOF_BENCH_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(benchDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := judgeOnly(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func judgeOnly(dir string) error {
	h, err := history.Open(dir)
	if err != nil {
		return err
	}
	result, err := checks.Recorded(context.Background(), h)
	if err == nil && len(result.Promises) != len(everything()) {
		err = fmt.Errorf("judged %d promises, want %d", len(result.Promises), len(everything()))
	}
	return err
}

func measure(t *testing.T, cores int, env, name string, args ...string) usage {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", cores), env)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	wall := time.Since(begin)
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 1 { // 1: the record holds failures, and so it is judged
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	state := cmd.ProcessState
	return usage{wall: wall, cpu: state.UserTime() + state.SystemTime(), memory: state.SysUsage().(*syscall.Rusage).Maxrss * 1024}
}

func median(all []usage) usage {
	slices.SortFunc(all, func(a, b usage) int { return cmp.Compare(a.wall, b.wall) })
	return all[len(all)/2]
}

func report(t *testing.T, what string, hits int, ours, theirs, whole usage) {
	show := func(u usage) string {
		return fmt.Sprintf("%.2f s, %.2f s of CPU, %d MB", u.wall.Seconds(), u.cpu.Seconds(), u.memory>>20)
	}
	t.Logf("%s: judging %s (%s hits a second); vegeta report %s; %.2f x as fast, by CPU %.2f x; rollproof judge with every report %s",
		what, show(ours), words.Count(uint64(float64(hits)/ours.wall.Seconds())), show(theirs), theirs.wall.Seconds()/ours.wall.Seconds(),
		theirs.cpu.Seconds()/ours.cpu.Seconds(), show(whole))
}
