//go:build bench

package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"golang.org/x/sync/errgroup"

	"bitvault.dev/rollproof/harness/history"
)

// The server and the generator under measurement are processes of their own: this test binary, told by its environment what to be.
const (
	envRole   = "ROLLPROOF_BENCH_ROLE" // serve, attack, outages, record
	envTarget = "ROLLPROOF_BENCH_TARGET"
	envOut    = "ROLLPROOF_BENCH_OUT"
	envLength = "ROLLPROOF_BENCH_LENGTH" // of one measurement, e.g. 5s
	envRounds = "ROLLPROOF_BENCH_ROUNDS"
	envHits   = "ROLLPROOF_BENCH_HITS"  // of the recording
	envPprof  = "ROLLPROOF_BENCH_PPROF" // file for a CPU profile of the generator
)

const benchWorkers = 32

func TestMain(m *testing.M) {
	role := map[string]func() error{"serve": benchServe, "attack": benchAttack, "outages": serveOutages, "record": benchRecord}[os.Getenv(envRole)]
	if role == nil {
		flag.Parse()
		if err := flag.Set("test.parallel", strconv.Itoa(sideBySide)); err != nil { // tries wait much more than they work
			panic(err)
		}
		os.Exit(m.Run())
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// benchServe answers every request with 900 bytes, their digest, a version and a pod, and prints its address first.
func benchServe() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, http.HandlerFunc(app))
}

// benchAttack saturates the target for a while, recording every hit.
func benchAttack() error {
	TuneMemory()
	length, err := time.ParseDuration(os.Getenv(envLength))
	if err != nil {
		return err
	}
	if file := os.Getenv(envPprof); file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	rec, err := history.Create(os.Getenv(envOut), history.Run{ID: "bench", Scenario: "bench"}, history.NewClock())
	if err != nil {
		return err
	}
	arm, err := NewArm("get", os.Getenv(envTarget))
	if err != nil {
		return err
	}
	if err := Run(context.Background(), rec, []Arm{arm}, Plan{Pacing: Saturate{}, Length: length, MaxWorkers: benchWorkers}); err != nil {
		return err
	}
	return rec.Close(history.EndFinished, "")
}

func benchSetting[T any](name string, fallback T, parse func(string) (T, error)) T {
	if v, err := parse(os.Getenv(name)); err == nil {
		return v
	}
	return fallback
}

// self makes a command of this binary in another role.
func self(ctx context.Context, role string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(append(os.Environ(), envRole+"="+role), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

func startBenchServer(t testing.TB) (url string) {
	t.Helper()
	server := self(t.Context(), "serve")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // it was killed
	})
	line := make([]byte, 64)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + strings.TrimSpace(string(line[:n])) + "/"
}

// score is one measurement of one generator.
type score struct {
	rate   float64 // hits a second
	cpu    float64 // seconds of CPU a hit
	memory float64 // most resident bytes
}

func scoreOf(state *os.ProcessState, hits uint64, took time.Duration) score {
	usage := state.SysUsage().(*syscall.Rusage)
	used := state.UserTime() + state.SystemTime()
	return score{float64(hits) / took.Seconds(), used.Seconds() / float64(hits), float64(usage.Maxrss) * 1024}
}

// contestant runs for about a length and says how it did.
type contestant struct {
	name string
	run  func(t testing.TB, url string, length time.Duration) score
}

func runRollproof(t testing.TB, url string, length time.Duration) score {
	out := filepath.Join(t.TempDir(), "run")
	cmd := self(t.Context(), "attack", envTarget+"="+url, envOut+"="+out, envLength+"="+length.String())
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	h, err := history.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	var hits uint64
	var first, last time.Duration
	for hit, err := range h.Hits("get") {
		if err != nil || hit.Failed() {
			t.Fatalf("hit %+v: %v", hit, err)
		}
		if hits == 0 {
			first = hit.At
		}
		hits++
		last = max(last, hit.End())
	}
	var checked uint64
	for e, err := range h.Events() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == history.KindNote {
			checked += uint64(e.Note.Data.(map[string]any)["checked"].(float64))
		}
	}
	if checked != hits {
		t.Fatalf("%d of %d answers were compared with their digest", checked, hits)
	}
	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
	return scoreOf(cmd.ProcessState, hits, last-first)
}

func buildTool(t testing.TB, name, pkg string) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "rollproof-bench", name)
	build := exec.CommandContext(t.Context(), "nice", "go", "build", "-o", bin, pkg)
	build.Dir = filepath.Join("bench", name)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return bin
}

func vegetaContestant(t testing.TB) contestant {
	bin := buildTool(t, "vegeta", "github.com/tsenart/vegeta/v12")
	return contestant{"vegeta", func(t testing.TB, url string, length time.Duration) score {
		out := filepath.Join(t.TempDir(), "results.bin")
		workers := strconv.Itoa(benchWorkers)
		cmd := exec.CommandContext(t.Context(), bin, "attack", "-rate", "0", "-workers", workers, "-max-workers", workers, "-max-body", "0",
			"-duration", length.String(), "-output", out)
		cmd.Stdin, cmd.Stderr = strings.NewReader("GET "+url+"\n"), os.Stderr
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		text, err := exec.CommandContext(t.Context(), bin, "report", "-type", "json", out).Output()
		if err != nil {
			t.Fatal(err)
		}
		var report struct {
			Requests uint64        `json:"requests"`
			Duration time.Duration `json:"duration"`
			Success  float64       `json:"success"`
		}
		if err := json.Unmarshal(text, &report); err != nil || report.Success != 1 {
			t.Fatalf("vegeta reports %s: %v", text, err)
		}
		if err := os.Remove(out); err != nil {
			t.Fatal(err)
		}
		return scoreOf(cmd.ProcessState, report.Requests, report.Duration)
	}}
}

const k6Script = `import http from 'k6/http';
export const options = { discardResponseBodies: true, summaryTrendStats: ['med'] };
export default function () { http.get(__ENV.TARGET); }
`

func k6Contestant(t testing.TB) contestant {
	bin := buildTool(t, "k6", "go.k6.io/k6")
	script := filepath.Join(t.TempDir(), "script.js")
	if err := os.WriteFile(script, []byte(k6Script), 0o644); err != nil {
		t.Fatal(err)
	}
	return contestant{"k6", func(t testing.TB, url string, length time.Duration) score {
		summary := filepath.Join(t.TempDir(), "summary.json")
		cmd := exec.CommandContext(t.Context(), bin, "run", "--quiet", "--no-usage-report", "--vus", strconv.Itoa(benchWorkers),
			"--duration", length.String(), "--summary-export", summary, "--env", "TARGET="+url, script)
		cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(summary)
		if err != nil {
			t.Fatal(err)
		}
		var report struct {
			Metrics struct {
				Requests struct {
					Count uint64  `json:"count"`
					Rate  float64 `json:"rate"`
				} `json:"http_reqs"`
				Failed struct {
					Value float64 `json:"value"`
				} `json:"http_req_failed"`
			} `json:"metrics"`
		}
		if err := json.Unmarshal(data, &report); err != nil || report.Metrics.Requests.Count == 0 || report.Metrics.Failed.Value != 0 {
			t.Fatalf("k6 reports %s: %v", data, err)
		}
		r := report.Metrics.Requests
		return scoreOf(cmd.ProcessState, r.Count, time.Duration(float64(r.Count)/r.Rate*float64(time.Second)))
	}}
}

// TestBenchSaturation compares recorded hits a second, and CPU a hit, with vegeta's and k6's on the same target, workers and cores. The
// contestants take turns, so that a busy machine is busy for all; what counts are ratios of medians.
func TestBenchSaturation(t *testing.T) {
	length := benchSetting(envLength, 5*time.Second, time.ParseDuration)
	rounds := benchSetting(envRounds, 5, strconv.Atoi)
	contestants := []contestant{{"rollproof", runRollproof}, vegetaContestant(t)}
	if !testing.Short() {
		contestants = append(contestants, k6Contestant(t))
	}
	url := startBenchServer(t)
	scores := map[string][]score{}
	for round := range rounds {
		for i := range contestants {
			c := contestants[(i+round)%len(contestants)]
			s := c.run(t, url, length)
			scores[c.name] = append(scores[c.name], s)
			t.Logf("round %d, %-9s %8.0f hits/s %6.1f us CPU a hit %5.0f MB", round+1, c.name, s.rate, s.cpu*1e6, s.memory/1e6)
		}
	}
	t.Logf("machine: %s", benchMachine())
	ours := medians(scores["rollproof"])
	t.Logf("rollproof: %s", summary(scores["rollproof"]))
	for _, c := range contestants[1:] {
		theirs := medians(scores[c.name])
		t.Logf("%-9s: %s", c.name, summary(scores[c.name]))
		t.Logf("rollproof / %s: hits/s %.2f, CPU a hit %.2f", c.name, ours.rate/theirs.rate, ours.cpu/theirs.cpu)
	}
	assertRatio(t, "hits/s of vegeta's", ours.rate/medians(scores["vegeta"]).rate, 0.95)
	assertRatio(t, "CPU a hit: vegeta's of ours", medians(scores["vegeta"]).cpu/ours.cpu, 1/1.1)
	if len(contestants) > 2 {
		assertRatio(t, "hits/s of k6's", ours.rate/medians(scores["k6"]).rate, 1.25)
	}
	if ours.memory > 200e6 {
		t.Errorf("memory %.0f MB, want at most 200", ours.memory/1e6)
	}
}

// benchRecord writes made-up hits of three arms as fast as it can.
func benchRecord() error {
	TuneMemory()
	hits, err := strconv.ParseUint(os.Getenv(envHits), 10, 64)
	if err != nil {
		return err
	}
	rec, err := history.Create(os.Getenv(envOut), history.Run{ID: "bench", Scenario: "bench"}, history.NewClock())
	if err != nil {
		return err
	}
	var arms errgroup.Group
	for _, name := range []string{"get", "post", "post-close"} {
		w, err := rec.Arm(name)
		if err != nil {
			return err
		}
		arms.Go(func() error {
			for seq := range hits / 3 {
				at := time.Duration(seq) * 100 * time.Microsecond
				h := history.Hit{
					Seq: seq, Code: 200, At: at, Intended: at, Latency: time.Millisecond, BytesIn: 900, Method: "GET", URL: "http://127.0.0.1:8080/",
					Window: 1, Version: "v1", Pod: fmt.Sprintf("app-%d", seq%5),
				}
				if seq%1000 == 0 {
					h.Code, h.Class, h.Reason, h.Error = 0, history.ClassIngress, "refused", fmt.Sprintf("dial tcp: connection refused, %d", seq)
				}
				if err := w.Write(&h); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return errors.Join(arms.Wait(), rec.Close(history.EndFinished, ""))
}

// TestBenchRecordingMemory: ten times the hits take no more memory but for what the collector leaves lying (32 MB), and never more than 200 MB.
func TestBenchRecordingMemory(t *testing.T) {
	most := benchSetting(envHits, 10_000_000, strconv.Atoi)
	memory := map[int]float64{}
	for _, hits := range []int{most / 10, most} {
		out := filepath.Join(t.TempDir(), "run")
		cmd := self(t.Context(), "record", envOut+"="+out, envHits+"="+strconv.Itoa(hits))
		began := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		s := scoreOf(cmd.ProcessState, uint64(hits), time.Since(began))
		memory[hits] = s.memory
		t.Logf("%d hits: %.0f hits/s, %.2f us CPU a hit, %.0f MB resident at most", hits, s.rate, s.cpu*1e6, s.memory/1e6)
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
	}
	if memory[most] > 200e6 || memory[most] > memory[most/10]+32e6 {
		t.Errorf("recording %d hits took %.0f MB, a tenth of them %.0f MB: want at most 200 MB, and flat", most, memory[most]/1e6, memory[most/10]/1e6)
	}
}

func assertRatio(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < want {
		t.Errorf("%s: %.3f, want at least %.3f", what, got, want)
	}
}

func medians(all []score) score {
	return score{median(all, rateOf), median(all, cpuOf), median(all, memoryOf)}
}

func rateOf(s score) float64   { return s.rate }
func cpuOf(s score) float64    { return s.cpu }
func memoryOf(s score) float64 { return s.memory }

func sorted(all []score, of func(score) float64) []float64 {
	var values []float64
	for _, s := range all {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values
}

func median(all []score, of func(score) float64) float64 {
	values := sorted(all, of)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func spreadOf(all []score, of func(score) float64, unit float64) string {
	values := sorted(all, of)
	return fmt.Sprintf("median %.1f (%.1f to %.1f)", median(all, of)*unit, values[0]*unit, values[len(values)-1]*unit)
}

func summary(all []score) string {
	return fmt.Sprintf("hits/s %s, us CPU a hit %s, MB %s", spreadOf(all, rateOf, 1), spreadOf(all, cpuOf, 1e6), spreadOf(all, memoryOf, 1e-6))
}

func benchMachine() string {
	model := "unknown CPU"
	if info, err := cpu.Info(); err == nil && len(info) > 0 {
		model = info[0].ModelName
	}
	load, _ := os.ReadFile("/proc/loadavg") // only Linux has it
	return fmt.Sprintf("%d cores of %s, %s, load average %s", runtime.NumCPU(), model, runtime.Version(), bytes.TrimSpace(load))
}
