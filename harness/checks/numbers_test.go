package checks_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// numberedRuns are runs of which every number that a verdict tells is kept under testdata/numbers, besides the green ones.
var numberedRuns = map[string]func(testing.TB) *recording{
	"mixed drops": func(testing.TB) *recording {
		r := routed("/a", "/b/7", "/c")
		for _, h := range r.between("get", 4*time.Second, 4200*ms) {
			reset(h)
		}
		for _, h := range r.between("post", 4100*ms, 4150*ms) {
			h.Unsent, h.Code, h.Class, h.Reason, h.Version, h.Pod = true, 0, history.ClassHarness, "unsent", "", ""
		}
		for _, h := range r.between("post-close", 7*time.Second, 7030*ms) {
			h.Class, h.Code, h.Reason = history.ClassHarness, 0, "no sockets"
		}
		for _, h := range r.between("get", 8*time.Second, 8050*ms) {
			h.Masked = 1
		}
		reset(r.at("control", 4100*ms))
		r.window("post").Late = 2
		return r
	},
	"a dead path": func(testing.TB) *recording {
		r := routed("/a", "/b")
		withPath(r)
		refuseAll(r, 5*time.Second, 8*time.Second, "get", "post", "post-close", "control", "path")
		refuseAll(r, 2*time.Second, 2100*ms, "get")
		return r
	},
	"injected": func(t testing.TB) *recording {
		r := loadAndPods(t)
		r.at("get", 6600*ms).Version = "v2"
		status503(r.at("post", 6800*ms), "v2")
		return r
	},
	"stalls": func(testing.TB) *recording {
		r := busy()
		r.watchPath()
		for _, h := range r.between("get", 5*time.Second, 5600*ms) {
			h.Latency = 5700*ms - h.At
		}
		r.slowEach(4, "post", 9*time.Second, 12*time.Second)
		for _, h := range r.between("control", 15*time.Second, 15300*ms) {
			h.Latency = 15400*ms - h.At
		}
		r.window("get").Health.Nice = -5
		r.window("post").Health.StallMax = 700 * ms
		return r
	},
	"torn": func(t testing.TB) *recording {
		r := cleanRun()
		replacedPod(t, r)
		for _, h := range r.slow("get")[:3] {
			tear(h)
		}
		for _, h := range r.between("post", 4600*ms, 4620*ms) {
			h.Pod = "pod-a"
		}
		r.run.Checks = []string{mechanics.SlugReadiness, mechanics.SlugGraceful}
		return r
	},
	"a drain that takes too many": func(t testing.TB) *recording {
		r := cleanRun()
		drainedNode(t, r)
		for i := range r.events {
			if e := &r.events[i]; e.Change != nil && e.Change.Name == "pod-e" && e.At > 4*time.Second {
				e.At -= time.Second
			}
		}
		r.run.Checks = greenRuns["drain"].slugs
		return r
	},
	"an abort that leaks": func(t testing.TB) *recording {
		r := cleanRun()
		badErrors(t, r)
		for _, h := range r.between("get", 7*time.Second, 7100*ms) {
			h.Version = "v2"
		}
		r.run.Checks = []string{canary.SlugAbortsErrors, canary.SlugBlast, canary.SlugShare, canary.SlugSteps}
		return r
	},
	"shares that are not kept": func(t testing.TB) *recording {
		r := cleanRun()
		goodCanary(t, r)
		r.serve(40, 3500*ms, 5600*ms)
		r.run.Checks = []string{canary.SlugShare, canary.SlugPromotes, canary.SlugSteps, canary.SlugNoData}
		return r
	},
}

// Every number that a verdict tells: of what it was judged by, of what was found and when, and those that are told for themselves. Words are
// for people, and left out.
func TestTheNumbersOfAVerdict(t *testing.T) {
	runs := maps.Clone(numberedRuns)
	for name := range greenRuns {
		runs[name] = func(t testing.TB) *recording { return green(t, name) }
	}
	for name, build := range runs {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			got := numbers(judgeDir(t, build(t).record(t)))
			golden := filepath.Join("testdata", "numbers", strings.ReplaceAll(name, " ", "-")+".txt")
			if *update {
				must(t, os.MkdirAll(filepath.Dir(golden), 0o755))
				must(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if got != string(want) {
				t.Errorf("the numbers are\n%s\nwant\n%s\n(-update writes them anew)", got, want)
			}
		})
	}
}

// numbers is a result without its words, a line for each promise and what belongs to it.
func numbers(r judge.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Verdict)
	for _, p := range r.Promises {
		fmt.Fprintf(&b, "\n%s %s: %d hits, %d dropped, %d injected, %d masked, %d found\n", p.Slug, p.Verdict, p.Hits, p.Dropped, p.Injected, p.Masked, p.Found)
		if w := p.Power; w != nil {
			fmt.Fprintf(&b, "  power %d, %.6g, %.6g/s, %s\n", w.Hits, w.MaxLossShare, w.Rate, w.OutageSeen)
		}
		for _, f := range p.Figures {
			fmt.Fprintf(&b, "  %s: %.6g %s\n", f.Name, f.Value, f.Unit)
		}
		for _, o := range p.Routes {
			fmt.Fprintf(&b, "  route %s %s: %d sent, %d dropped, %d injected, %d masked, %d unsent, %d harness, %.6g\n", o.Name, o.Verdict, o.Sent, o.Dropped, o.Injected,
				o.Masked, o.Unsent, o.Harness, o.MaxLossShare)
		}
		for i, f := range p.Findings {
			if i == 12 {
				fmt.Fprintf(&b, "  and %d more\n", len(p.Findings)-i)
				break
			}
			fmt.Fprintf(&b, "  %s to %s %s\n", f.At, f.Until, strings.Join(slices.DeleteFunc([]string{f.Arm, f.Hit, f.Class, fmt.Sprint(len(f.Evidence))}, func(s string) bool { return s == "" }), " "))
		}
	}
	return b.String()
}
