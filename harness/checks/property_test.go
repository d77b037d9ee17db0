package checks_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/canary"
	"bitvault.dev/rollproof/harness/checks/disruption"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/checks/mechanics"
	"bitvault.dev/rollproof/harness/checks/nats"
	"bitvault.dev/rollproof/harness/checks/opensearch"
	"bitvault.dev/rollproof/harness/checks/postgres"
	"bitvault.dev/rollproof/harness/checks/redis"
	"bitvault.dev/rollproof/harness/checks/stack"
	"bitvault.dev/rollproof/harness/checks/worker"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"pgregory.net/rapid"
)

// everything asks for every check, so that nothing is skipped.
func everything() []string {
	var slugs []string
	for _, c := range checks.All(checks.DefaultBudgets()) {
		slugs = append(slugs, c.Slug)
	}
	return slugs
}

// anyRecording is a small run in which anything may have gone wrong, with counts that agree.
func anyRecording(t *rapid.T) *recording {
	r := &recording{clock: history.NewClock(), run: history.Run{ID: "r", Checks: everything()}, hits: map[string][]history.Hit{}, sent: map[string]uint64{},
		noEnd: map[string]bool{}, outcome: history.EndFinished}
	if rapid.IntRange(0, 9).Draw(t, "reason") == 0 {
		r.outcome = history.EndInterrupted
	}
	for _, arm := range []string{"get", "post", "control"}[:rapid.IntRange(1, 3).Draw(t, "arms")] {
		r.addArm(arm, rapid.IntRange(1, 30).Draw(t, "rate"), 2*time.Second)
		for i := range r.hits[arm] {
			anything(t, &r.hits[arm][i])
		}
	}
	at := func(name string) time.Duration {
		return time.Duration(rapid.IntRange(1, 2_000).Draw(t, name)) * time.Millisecond
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "disturbances") {
		began := at("began")
		r.disturbance(fmt.Sprint("d", i), "fault", rapid.SampledFrom([]string{"", "v2"}).Draw(t, "injects"), began, began+at("landed"), began+at("healed")+2*time.Second)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "steps") {
		r.step(at("step"), fmt.Sprint("step-", i), float64(rapid.SampledFrom([]int{0, 10, 50, 100}).Draw(t, "weight")))
	}
	for range rapid.IntRange(0, 6).Draw(t, "pod changes") {
		r.pod(at("pod"), rapid.SampledFrom([]string{"modified", "deleted"}).Draw(t, "change"), rapid.SampledFrom([]string{"pod-a", "pod-b"}).Draw(t, "name"),
			history.PodState{Ready: rapid.Bool().Draw(t, "ready"), Terminating: rapid.Bool().Draw(t, "terminating"), Signalled: rapid.Bool().Draw(t, "signalled")})
	}
	if rapid.Bool().Draw(t, "cluster") {
		anyCluster(t, r, at)
	}
	for i := range r.events { // moments that are all different: only then the order they are recorded in must not matter
		r.events[i].At += time.Duration(i * 10)
	}
	return r
}

// anyCluster adds changes of Kubernetes objects, evictions and gaps, whether they make sense together or not.
func anyCluster(t *rapid.T, r *recording, at func(string) time.Duration) {
	hash := func(name string) string { return rapid.SampledFrom([]string{"", "h1", "h2"}).Draw(t, name) }
	typ := func() string { return rapid.SampledFrom([]string{"added", "modified", "deleted"}).Draw(t, "type") }
	small := func(name string) int32 { return rapid.Int32Range(0, 3).Draw(t, name) }
	phase := func() string {
		return rapid.SampledFrom([]string{"", "Healthy", "Degraded", "Successful", "Failed", "Error"}).Draw(t, "phase")
	}
	metric := func() string {
		return rapid.SampledFrom([]string{"errors", "latency", "guard"}).Draw(t, "metric")
	}
	r.node(0, "n1", resource.Node{Ready: true, Unschedulable: rapid.Bool().Draw(t, "cordoned")})
	r.replicaSet(1, "added", "v1", "h1", 1, "")
	r.replicaSet(2, "added", "v2", "h2", 1, "")
	for range rapid.IntRange(0, 5).Draw(t, "rollouts") {
		r.rollout(at("rollout"), hash("stable"), hash("current"), rapid.SampledFrom([]int32{-1, 0, 10, 30, 100}).Draw(t, "weight"), func(o *resource.Rollout) {
			if o.Abort = rapid.Bool().Draw(t, "abort"); o.Abort {
				o.AbortedAt, o.Message = "then", "RolloutAborted: errors"
			}
			if o.Phase = phase(); rapid.Bool().Draw(t, "weightless") {
				o.Weights = nil
			}
		})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "analyses") {
		began := at("analysis")
		r.analysis(fmt.Sprint("run-", i), rapid.SampledFrom([]string{"", "1", "3"}).Draw(t, "step"), began, began+at("took"), phase(),
			measuredAs(metric(), phase(), rapid.SampledFrom([]string{"", "[]", "[NaN]", "[0.1]"}).Draw(t, "value")))
	}
	for range rapid.IntRange(0, 6).Draw(t, "pods") {
		r.podOf(at("pod"), typ(), rapid.SampledFrom([]string{"pod-a", "pod-b"}).Draw(t, "name"), "rs-h1", "n1", history.PodState{
			Ready: rapid.Bool().Draw(t, "ready"), Terminating: rapid.Bool().Draw(t, "terminating")}, "")
	}
	for range rapid.IntRange(0, 3).Draw(t, "budgets") {
		r.budget(at("budget"), small("healthy"), small("allowed"))
	}
	if rapid.Bool().Draw(t, "drain") {
		r.disturbance("d9", history.DrainName, "", at("began"), at("landed")+time.Second, at("healed")+2*time.Second)
	}
	for range rapid.IntRange(0, 3).Draw(t, "evictions") {
		r.evict(at("eviction"), "pod-a", rapid.SampledFrom([]int{0, 201, 404, 429, 500}).Draw(t, "code"))
	}
	if rapid.Bool().Draw(t, "gap") {
		r.gap(rapid.SampledFrom([]string{"*", "pods", "rollouts"}).Draw(t, "resource"), at("from"), at("to")+2*time.Second, rapid.Bool().Draw(t, "lost"))
	}
}

// A gap over the whole run leaves a verdict as it was or makes it inconclusive, and lets nothing pass that rests on what it hides.
func TestAGapLetsNothingPass(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		r := anyRecording(rt)
		before := judgeDir(t, r.recordIn(t, scratch(rt, parent)))
		r.gap("*", 0, time.Hour, true)
		after := judgeDir(t, r.recordIn(t, scratch(rt, parent)))
		for _, c := range checks.All(checks.DefaultBudgets()) {
			b, a := promise(t, before, c.Slug), promise(t, after, c.Slug)
			rests := len(c.Rests) > 0
			if b.Verdict != a.Verdict && (!rests || a.Verdict != judge.Inconclusive) || rests && a.Verdict == judge.Pass {
				rt.Fatalf("%s was %s and is %s with a gap: %s", c.Slug, b.Verdict, a.Verdict, a.Reason)
			}
		}
	})
}

// A record of a good run that was cut between two events never shows a failure: what had not happened yet is not known.
func TestCutBetweenEventsNeverFails(t *testing.T) {
	t.Parallel()
	for name := range greenRuns {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := green(t, name).record(t)
			path := filepath.Join(dir, "events.jsonl")
			whole, err := os.ReadFile(path)
			must(t, err)
			for cut := bytes.LastIndexByte(whole[:len(whole)-1], '\n'); cut > 0; cut = bytes.LastIndexByte(whole[:cut], '\n') {
				must(t, os.Truncate(path, int64(cut)+1))
				for _, p := range judgeDir(t, dir).Promises {
					if p.Verdict == judge.Fail {
						t.Errorf("cut at byte %d: %s fails: %s", cut, p.Slug, p.Reason)
					}
				}
			}
		})
	}
}

func anything(t *rapid.T, h *history.Hit) {
	h.Latency = time.Duration(rapid.IntRange(1, 800).Draw(t, "latency")) * time.Millisecond
	if rapid.IntRange(0, 3).Draw(t, "odd") != 0 {
		return
	}
	h.Version = rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(t, "version")
	h.Pod = rapid.SampledFrom([]string{"", "pod-a", "pod-b"}).Draw(t, "pod")
	h.Class = history.Class(rapid.IntRange(0, 5).Draw(t, "class"))
	h.Code = rapid.SampledFrom([]uint16{0, 200, 503}).Draw(t, "code")
	h.Unsent = rapid.IntRange(0, 9).Draw(t, "unsent") == 0
	h.Masked = rapid.IntRange(0, 1).Draw(t, "masked")
}

// scratch is a new directory for one try of a property.
func scratch(t *rapid.T, parent string) string {
	dir, err := os.MkdirTemp(parent, "run-")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func asJSON(t testing.TB, r judge.Result) string {
	data, err := json.MarshalIndent(r, "", " ")
	must(t, err)
	return string(data)
}

// The same record always gets the same judgement, and neither the order of events nor that of hits in the files matters.
func TestJudgingIsDeterministicAndBlindToOrder(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		r := anyRecording(rt)
		dir := r.recordIn(t, scratch(rt, parent))
		judged := func(dir string) string {
			result := judgeDir(t, dir)
			result.Record = "" // names the very bytes
			return asJSON(t, result)
		}
		first := judged(dir)
		if again := judged(dir); again != first {
			rt.Fatalf("judged twice, first\n%s\nthen\n%s", first, again)
		}
		r.reversed = true
		if reversed := judged(r.recordIn(t, scratch(rt, parent))); reversed != first {
			rt.Fatalf("recorded in the order of time it is judged\n%s\nbackwards\n%s", first, reversed)
		}
	})
}

// A further failed hit, in a record that counts it, never makes the verdict better, nor that on dropped hits. It is one that
// nobody injected: an injected failure shows that the fault is there, and may rightly turn inconclusive into pass.
func TestAFailedHitNeverImproves(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		r := anyRecording(rt)
		before := judgeDir(t, r.recordIn(t, scratch(rt, parent)))
		arm := rapid.SampledFrom(r.windows).Draw(rt, "arm").Arm
		last := r.hits[arm][len(r.hits[arm])-1]
		h := last
		anything(rt, &h)
		h.Seq, h.Unsent = last.Seq+1, false
		h.Class = history.Class(rapid.IntRange(1, 4).Draw(rt, "failure"))
		if h.Version == "v2" {
			h.Version = "v1"
		}
		r.hits[arm] = append(r.hits[arm], h)
		r.window(arm).Planned++
		after := judgeDir(t, r.recordIn(t, scratch(rt, parent)))
		if after.Verdict.Rank() < before.Verdict.Rank() {
			rt.Fatalf("the run was %s and is %s with a further failed hit:\n%s", before.Verdict, after.Verdict, asJSON(t, after))
		}
		b, a := promise(t, before, load.SlugDropped), promise(t, after, load.SlugDropped)
		if a.Verdict.Rank() < b.Verdict.Rank() || a.Verdict == judge.Pass {
			rt.Fatalf("%s was %s and is %s with a further failed hit: %s", load.SlugDropped, b.Verdict, a.Verdict, a.Reason)
		}
	})
}

// loadAndPods is a run in which every check on load, steps and pods has what it needs, and passes.
func loadAndPods(t testing.TB) *recording {
	r := cleanRun()
	r.addArm("more", testRate, testLength)
	r.run.Checks = greenRuns["load and pods"].slugs
	r.events = nil
	r.disturbance("d1", "regression", "v2", 2*time.Second, 3*time.Second, 7*time.Second)
	r.replicaSet(1700*time.Millisecond, "added", "v2", "h2", 1, "")
	r.step(0, "stable", 0)
	r.step(2*time.Second, "canary-10", 10)
	r.step(6*time.Second, "aborted", 0)
	r.pod(0, "added", "pod-a", history.PodState{})
	r.pod(50*time.Millisecond, "modified", "pod-a", history.PodState{Ready: true}) // one that changes, and answers often enough
	r.pod(1800*time.Millisecond, "added", "pod-c", history.PodState{})
	r.pod(1900*time.Millisecond, "modified", "pod-c", history.PodState{Ready: true})
	r.pod(7*time.Second, "modified", "pod-c", history.PodState{Terminating: true})
	r.serve(10, 2*time.Second, 6*time.Second)
	for _, h := range r.between("get", 6900*time.Millisecond, 7*time.Second) { // in flight at the end of pod-c
		h.Pod, h.Latency = "pod-c", 300*time.Millisecond
	}
	r.injure(5)
	r.budgets(t, func(b *checks.Budgets) {
		b.Settle, b.Propagation, b.Watch = 500*time.Millisecond, 500*time.Millisecond, 100*time.Millisecond
	})
	return r
}

// greenRuns are runs in which everything asked for passes. Together they ask for every check there is.
var greenRuns = map[string]struct {
	slugs []string
	build func(testing.TB, *recording)
}{
	"load and pods": {[]string{load.SlugComplete, load.SlugHeld, load.SlugDropped, load.SlugResponsive,
		disruption.SlugLanded, canary.SlugShare, canary.SlugBlast, mechanics.SlugReadiness, mechanics.SlugGraceful}, nil},
	"ready again": {[]string{mechanics.SlugReadinessLost}, func(t testing.TB, r *recording) { *r = *lostReadiness(t) }},
	"scaled in":   {[]string{mechanics.SlugScaleDown}, func(t testing.TB, r *recording) { *r = *scaledIn(t) }},
	"node lost":   {[]string{mechanics.SlugNodeLoss}, lostNode},
	"good":        {[]string{canary.SlugSteps, canary.SlugPromotes, stack.SlugHealed}, goodCanary},
	"errors":      {[]string{canary.SlugAbortsErrors, stack.SlugHealed}, func(t testing.TB, r *recording) { badCanary(t, r, "errors", "[0.2]") }},
	"latency":     {[]string{canary.SlugAbortsLatency}, func(t testing.TB, r *recording) { badCanary(t, r, "latency", "[0.7]") }},
	"cpu":         {[]string{canary.SlugAbortsCPU}, func(t testing.TB, r *recording) { badCanary(t, r, "cpu", "[0.95]") }},
	"late":        {[]string{canary.SlugAbortsLate}, lateCanary},
	"no data":     {[]string{canary.SlugNoData}, blindCanary},
	"accounted":   {[]string{load.SlugUndisturbed}, accountedRelease},
	"drain":       {[]string{mechanics.SlugPDB, mechanics.SlugNoDeadlock, stack.SlugHealed}, drainedNode},
	"nats":        {[]string{nats.SlugNoAckedLoss, nats.SlugReElection, nats.SlugPDB}, drainedStore(func() *bookkeeping { return cleanLedger("nats", true) })},
	"redis":       {[]string{redis.SlugFailover, redis.SlugPDB}, drainedStore(redisLedger)},
	"postgres": {[]string{postgres.SlugNoAckedLoss, postgres.SlugSwitchover, postgres.SlugFailover, postgres.SlugPDB},
		drainedStore(func() *bookkeeping { return handedOver(20) })},
	"worker":           {[]string{worker.SlugNoLostMessage, worker.SlugIdempotent, worker.SlugTwoVersions}, func(_ testing.TB, r *recording) { *r = *rolledWorker(workerLedger()) }},
	"postgres updated": {[]string{postgres.SlugRolling}, rolledPrimary},
	"opensearch":       {[]string{opensearch.SlugDrain, opensearch.SlugPDB}, drainedStore(shardLedger)},
}

// drainedStore is a run with a ledger alone, in which two members of the store are drained.
func drainedStore(of func() *bookkeeping) func(testing.TB, *recording) {
	return func(_ testing.TB, r *recording) {
		*r = *withLedger(of())
		twoDrains(r)
	}
}

// greenRun is the first of them.
func greenRun(t testing.TB) *recording { return green(t, "load and pods") }

func green(t testing.TB, name string) *recording {
	if build := greenRuns[name].build; build != nil {
		r := cleanRun()
		build(t, r)
		r.run.Checks = greenRuns[name].slugs
		return r
	}
	return loadAndPods(t)
}

func TestEveryCheckCanBeGreen(t *testing.T) {
	asked := map[string]bool{}
	for name, run := range greenRuns {
		result := judgeDir(t, green(t, name).record(t))
		if result.Verdict != judge.Pass {
			t.Errorf("the run %q is %s:\n%s", name, result.Verdict, asJSON(t, result))
		}
		for _, slug := range run.slugs {
			asked[slug] = true
			if p := promise(t, result, slug); p.Verdict != judge.Pass {
				t.Errorf("in the run %q %s is %s: %s", name, slug, p.Verdict, p.Reason)
			}
		}
	}
	for _, slug := range everything() {
		if !asked[slug] {
			t.Errorf("no run shows that %s can be green", slug)
		}
	}
}

// A run of two seconds, cut at every byte of every file.
func TestCutAnywhereIsInconclusive(t *testing.T) {
	t.Parallel()
	r := &recording{clock: history.NewClock(), run: history.Run{ID: "r", Scenario: "test/short"}, hits: map[string][]history.Hit{}, sent: map[string]uint64{},
		noEnd: map[string]bool{}, outcome: history.EndFinished}
	r.addArm("get", 6, 2*time.Second)
	r.addArm("control", 1, 2*time.Second)
	r.fewSuffice(t)
	dir := r.record(t)
	if got := judgeDir(t, dir); got.Verdict != judge.Pass {
		t.Fatalf("uncut the run is %s:\n%s", got.Verdict, asJSON(t, got))
	}
	for _, name := range filesOf(t, dir) {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		must(t, err)
		for _, cut := range cutsOf(whole) {
			must(t, os.Truncate(path, int64(cut)))
			assertCut(t, dir, name, cut)
		}
		must(t, os.WriteFile(path, whole, 0o644))
	}
}

// cutsOf are lengths to cut a file to, longest first: every one about the end of a line, where a record looks whole, and at its two ends, and one in
// seven of those inside of a line, which are all alike.
func cutsOf(whole []byte) []int {
	var cuts []int
	for cut := len(whole) - 1; cut >= 0; cut-- {
		about := whole[max(cut-2, 0):min(cut+2, len(whole))]
		if bytes.IndexByte(about, '\n') >= 0 || cut < 16 || cut > len(whole)-16 || cut%7 == 0 {
			cuts = append(cuts, cut)
		}
	}
	return cuts
}

// Runs in which every check is green, cut at random.
func TestCutAnywhereWithEveryCheck(t *testing.T) {
	t.Parallel()
	for name := range greenRuns {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cutAtRandom(t, green(t, name).record(t))
		})
	}
}

func cutAtRandom(t *testing.T, dir string) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, name := range filesOf(t, dir) {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		must(t, err)
		cuts := []int{len(whole) - 1, 0}
		for range 20 {
			cuts = append(cuts, rng.IntN(len(whole)))
		}
		slices.SortFunc(cuts, func(a, b int) int { return cmp.Compare(b, a) })
		for _, cut := range cuts {
			must(t, os.Truncate(path, int64(cut)))
			assertCut(t, dir, name, cut)
		}
		must(t, os.WriteFile(path, whole, 0o644))
	}
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

func filesOf(t testing.TB, dir string) []string {
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) < 3 {
		t.Fatalf("the run holds only %v", names)
	}
	return names
}

func assertCut(t *testing.T, dir, name string, cut int) {
	t.Helper()
	result := judgeDir(t, dir)
	if result.Verdict != judge.Inconclusive {
		t.Errorf("%s cut at byte %d: the run is %s:\n%s", name, cut, result.Verdict, asJSON(t, result))
	}
	for _, p := range result.Promises {
		if p.Verdict == judge.Pass {
			t.Errorf("%s cut at byte %d: %s passes", name, cut, p.Slug)
		}
	}
}

func TestCancelledJudgingIsAnError(t *testing.T) {
	h, err := history.Open(cleanRun().record(t))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := judge.Run(ctx, h, checks.All(checks.DefaultBudgets()), nil); err == nil {
		t.Error("judging went on though it was cancelled")
	}
}
