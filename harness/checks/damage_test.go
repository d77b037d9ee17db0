package checks_test

import (
	"bytes"
	"cmp"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// damagedRuns is how many random damages the table tries; the seed makes them the same ones every time.
const damagedRuns, damageSeed = 1000, 12

// damage changes the files of a record, by name, in one way. other is the record of another run of the same kind.
type damage struct {
	name string
	do   func(rng *rand.Rand, files, other map[string][]byte)
}

var damages = []damage{
	{"a bit is flipped", func(rng *rand.Rand, files, _ map[string][]byte) {
		name := anyFile(rng, files)
		files[name][rng.IntN(len(files[name]))] ^= 1 << rng.IntN(8)
	}},
	{"several bytes are written over", func(rng *rand.Rand, files, _ map[string][]byte) {
		name := anyFile(rng, files)
		at := rng.IntN(len(files[name]))
		for i := at; i < min(at+8, len(files[name])); i++ {
			files[name][i] ^= byte(1 + rng.IntN(255))
		}
	}},
	{"a file is cut", func(rng *rand.Rand, files, _ map[string][]byte) {
		name := anyFile(rng, files)
		files[name] = files[name][:rng.IntN(len(files[name]))]
	}},
	{"a file is longer", func(rng *rand.Rand, files, _ map[string][]byte) {
		name := anyFile(rng, files)
		files[name] = append(files[name], files[name][rng.IntN(len(files[name])):]...)
	}},
	{"a file is missing", func(rng *rand.Rand, files, _ map[string][]byte) { delete(files, anyFile(rng, files)) }},
	{"a file is a directory", func(rng *rand.Rand, files, _ map[string][]byte) { files[anyFile(rng, files)] = nil }},
	{"a file is of another run", func(rng *rand.Rand, files, other map[string][]byte) {
		name := anyFile(rng, files)
		files[name] = bytes.Clone(other[name])
	}},
	{"two arms are swapped", func(_ *rand.Rand, files, _ map[string][]byte) {
		files["hits-get.bin"], files["hits-post.bin"] = files["hits-post.bin"], files["hits-get.bin"]
	}},
	{"a line is missing", func(rng *rand.Rand, files, _ map[string][]byte) {
		editLines(files, func(lines []string) []string { i := rng.IntN(len(lines)); return slices.Delete(lines, i, i+1) })
	}},
	{"a line is doubled", func(rng *rand.Rand, files, _ map[string][]byte) {
		editLines(files, func(lines []string) []string {
			return slices.Insert(lines, rng.IntN(len(lines)+1), lines[rng.IntN(len(lines))])
		})
	}},
	{"two lines change places", func(rng *rand.Rand, files, _ map[string][]byte) {
		editLines(files, func(lines []string) []string {
			i := rng.IntN(len(lines) - 1)
			lines[i], lines[i+1] = lines[i+1], lines[i]
			return lines
		})
	}},
	{"an arm and its events are cut out", func(_ *rand.Rand, files, _ map[string][]byte) {
		delete(files, "hits-post.bin")
		editLines(files, func(lines []string) []string {
			return slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, `"arm":"post"`) })
		})
	}},
	{"a digit of a text file is another", func(rng *rand.Rand, files, _ map[string][]byte) {
		name := []string{"run.json", "events.jsonl"}[rng.IntN(2)]
		for _, i := range rng.Perm(len(files[name])) {
			if c := files[name][i]; c >= '0' && c <= '9' {
				files[name][i] = '0' + (c-'0'+byte(1+rng.IntN(9)))%10
				return
			}
		}
	}},
}

func anyFile(rng *rand.Rand, files map[string][]byte) string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names[rng.IntN(len(names))]
}

func editLines(files map[string][]byte, edit func([]string) []string) {
	lines := strings.SplitAfter(strings.TrimSuffix(string(files["events.jsonl"]), "\n")+"\n", "\n")
	files["events.jsonl"] = []byte(strings.Join(edit(lines[:len(lines)-1]), ""))
}

func readFiles(t testing.TB, dir string) map[string][]byte {
	files := map[string][]byte{}
	for _, name := range filesOf(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		files[name] = data
	}
	return files
}

// writeFiles makes dir hold the files and nothing else; nil is a directory.
func writeFiles(t testing.TB, dir string, files map[string][]byte) {
	must(t, os.RemoveAll(dir))
	must(t, os.Mkdir(dir, 0o755))
	for name, data := range files {
		if data == nil {
			must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
			continue
		}
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
}

// smallRun is a run of two arms and a control arm that passes.
func smallRun(t testing.TB, id string) *recording {
	r := &recording{clock: history.NewClock(), run: history.Run{ID: id, Scenario: "test/short"}, hits: map[string][]history.Hit{}, sent: map[string]uint64{},
		noEnd: map[string]bool{}, outcome: history.EndFinished}
	for _, arm := range []string{"get", "post", "control"} {
		r.addArm(arm, 6, 2*time.Second)
	}
	r.fewSuffice(t)
	return r
}

// A record that was changed anywhere, by anything but a hand that makes its sums anew, never passes, never panics, and fails nothing that the
// whole record does not fail.
func TestADamagedRecordNeverPasses(t *testing.T) {
	t.Parallel()
	dir := smallRun(t, "r1").record(t)
	if got := judgeDir(t, dir); got.Verdict != judge.Pass {
		t.Fatalf("whole the run is %s:\n%s", got.Verdict, asJSON(t, got))
	}
	whole, other := readFiles(t, dir), readFiles(t, smallRun(t, "r2").record(t))
	rng := rand.New(rand.NewPCG(damageSeed, 0))
	for i := range damagedRuns {
		d := damages[i%len(damages)]
		files := map[string][]byte{}
		for name, data := range whole {
			files[name] = bytes.Clone(data)
		}
		d.do(rng, files, other)
		if same(files, whole) {
			continue
		}
		writeFiles(t, dir, files)
		h, err := history.Open(dir)
		if err != nil {
			continue // no record, or one of a newer format: nothing is judged
		}
		result, err := checks.Recorded(context.Background(), h)
		if err != nil {
			continue
		}
		if result.Verdict != judge.Inconclusive {
			t.Errorf("damage %d of seed %d: %s: the run is %s:\n%s", i, damageSeed, d.name, result.Verdict, asJSON(t, result))
		}
		for _, p := range result.Promises {
			if p.Verdict == judge.Pass {
				t.Errorf("damage %d of seed %d: %s: %s passes", i, damageSeed, d.name, p.Slug)
			}
		}
	}
}

func same(a, b map[string][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for name, data := range a {
		if (data == nil) != (b[name] == nil) || !bytes.Equal(data, b[name]) {
			return false
		}
	}
	return true
}

// Any bytes in the place of a file: judging neither panics nor passes.
func FuzzDamagedRecord(f *testing.F) {
	whole := readFiles(f, smallRun(f, "r1").record(f))
	for i, name := range fuzzed {
		f.Add(i, whole[name])
	}
	f.Fuzz(func(t *testing.T, file int, data []byte) {
		name := fuzzed[uint(file)%uint(len(fuzzed))]
		if bytes.Equal(data, whole[name]) {
			return
		}
		dir := filepath.Join(t.TempDir(), "run")
		files := map[string][]byte{}
		for n, d := range whole {
			files[n] = d
		}
		files[name] = append([]byte{}, data...)
		writeFiles(t, dir, files)
		for _, options := range [][]history.Option{nil, {history.AcceptUnprotected()}} {
			h, err := history.Open(dir, options...)
			if err != nil {
				continue
			}
			if result, err := checks.Recorded(context.Background(), h); err == nil && result.Verdict == judge.Pass {
				t.Errorf("%s is changed, and the run passes:\n%s", name, asJSON(t, result))
			}
		}
	})
}

var fuzzed = []string{"run.json", "events.jsonl", "hits-get.bin"}

// A record whose sums fit may still tell of what cannot be: somebody made it by hand, or a harness had a fault.
func TestWhatCannotBeIsNotWhole(t *testing.T) {
	cases := []verdictCase{
		{name: "before the run", spoil: func(r *recording) { r.at("get", time.Second).At = -time.Second }, reason: "began before the run did"},
		{name: "intended before the run", spoil: func(r *recording) { r.at("get", time.Second).Intended = -1 }, reason: "began before the run did"},
		{name: "ended before it began", spoil: func(r *recording) { r.at("get", time.Second).Latency = -time.Millisecond }, reason: "ended before it began"},
		{name: "after the end", spoil: func(r *recording) { r.ends = 10*time.Second + 1; r.at("get", 9*time.Second).Latency = 2 * time.Second },
			reason: "ended after the run did"},
		{name: "at the end of time", spoil: func(r *recording) { h := r.at("get", time.Second); h.At, h.Latency = 1<<63-1, 0; r.ends = time.Minute },
			reason: "ended after the run did"},
		{name: "a class that does not exist", spoil: func(r *recording) { r.at("get", time.Second).Class = 9 }, run: judge.Fail, reason: "class that does not exist"},
		{name: "correct with an error", spoil: func(r *recording) { r.at("get", time.Second).Error = "EOF" }, reason: "has an error"},
		{name: "correct with 503", spoil: func(r *recording) { r.at("get", time.Second).Code = 503 }, reason: "status 503"},
		{name: "correct and unsent", spoil: func(r *recording) { r.at("get", time.Second).Unsent = true }, reason: "and never sent"},
		{name: "an event after the end", spoil: func(r *recording) { r.ends = 9 * time.Second }, reason: "after its end"},
		{name: "two windows of one index", spoil: func(r *recording) {
			again := *r.window("get")
			again.Ended = false
			r.events = append(r.events, history.Event{At: time.Second, Kind: history.KindWindow, Window: &again})
		}, reason: "several load windows 1"},
		{name: "healed before it began", spoil: func(r *recording) {
			r.events = nil
			r.disturbance("d1", "kill", "", 5*time.Second, 6*time.Second, 3*time.Second)
		}, reason: "came about before it began"},
		{name: "a gap backwards", spoil: func(r *recording) { r.gap("pods", 2*time.Second, time.Second, false) }, reason: "ended before it began"},
		{name: "a stall before the run", spoil: stalled(history.Stall{At: -1, Length: 2 * time.Second}), reason: "cannot be"},
		{name: "a stall after the run", spoil: stalled(history.Stall{At: testLength, Length: 2 * time.Second}), reason: "cannot be"},
		{name: "a stall at the end of time", spoil: stalled(history.Stall{At: 1<<63 - 1, Length: 2 * time.Second}), reason: "cannot be"},
		{name: "a stall longer than the longest", spoil: stalled(history.Stall{At: time.Second, Length: 2*time.Second + 1}), reason: "cannot be"},
		{name: "a stall shorter than is told of", spoil: stalled(history.Stall{At: time.Second, Length: history.StallLeast - 1}), reason: "cannot be"},
		{name: "stalls out of order", spoil: stalled(history.Stall{At: 2 * time.Second, Length: time.Second}, history.Stall{At: time.Second, Length: time.Second}), reason: "cannot be"},
		{name: "a window backwards", spoil: func(r *recording) { r.window("get").Length = -time.Second }, reason: "ended before it began"},
	}
	for _, c := range cases {
		c.slug, c.want = load.SlugComplete, judge.Inconclusive
		c.run = cmp.Or(c.run, judge.Inconclusive)
		c.check(t)
	}
}

// stalled says when the generator of an arm did not run. The longest stall is of two seconds.
func stalled(stalls ...history.Stall) func(*recording) {
	return func(r *recording) {
		h := *r.window("get").Health
		h.StallMax, h.Stalls = 2*time.Second, stalls
		r.window("get").Health = &h
	}
}

// Stalls that can be are none of what is missing.
func TestStallsThatCanBe(t *testing.T) {
	r := cleanRun()
	stalled(history.Stall{At: 0, Length: history.StallLeast}, history.Stall{At: testLength - 2*time.Second, Length: 2 * time.Second})(r)
	assertVerdict(t, r.judged(t), load.SlugComplete, judge.Pass)
}

// A status of a server that failed is correct where the traffic file expects it.
func TestAStatusThatIsExpectedCanBe(t *testing.T) {
	r := cleanRun()
	h := r.at("get", time.Second)
	h.Code, h.Reason = 503, history.ReasonExpected
	assertVerdict(t, r.judged(t), load.SlugComplete, judge.Pass)
}
