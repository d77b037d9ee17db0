package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree is a module whose tests leave one hole: nobody asks what happens at the limit.
var tree = map[string]string{
	"go.mod": "module example.test/tree\n\ngo 1.24\n",
	"rule/rule.go": `package rule

import "time"

// Limit is a constant: what uses it is changed, not itself.
const Limit = 2 * time.Second

// Late counts times that are over the limit.
func Late(all []time.Duration) (n int) {
	for _, d := range all {
		if d < 0 {
			continue
		}
		if d > Limit {
			n++
		}
	}
	return n
}

// Unused is reached by no test.
func Unused(a, b bool) bool { return a && !b }
`,
	"rule/rule_test.go": `package rule

import (
	"os"
	"testing"
	"time"
)

func TestLate(t *testing.T) {
	if n := Late([]time.Duration{-9 * time.Second, -1, 1500 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond}); n != 1 {
		t.Error(n)
	}
}

// Once it fails, as a test may on a busy machine, whatever mutant is on.
func TestThatFailsNowAndThen(t *testing.T) {
	Late([]time.Duration{1})
	if _, err := os.Stat(os.Getenv("ONCE")); os.Getenv("ROLLPROOF_MUTANT") != "" && err != nil {
		if err := os.WriteFile(os.Getenv("ONCE"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Error("once")
	}
}
`,
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Every change is made, what no test sees is told, and what fails now and then kills nothing.
func TestWhatLives(t *testing.T) {
	dir := write(t, tree)
	t.Chdir(dir)
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("ONCE", filepath.Join(dir, "once"))
	o := options{seed: 7, workers: 1, least: 95, out: "out.json", docs: "none.md"}
	if err := run(t.Context(), o, []string{"./..."}, []string{"./..."}); !errors.Is(err, errLived) {
		t.Fatalf("it ended with %v, want that too many lived", err)
	}
	data, err := os.ReadFile("out.json")
	if err != nil {
		t.Fatal(err)
	}
	var s summary
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	var killed, lived []string
	for _, r := range s.Results {
		change := r.Was + " -> " + r.Now
		if r.Killed {
			killed = append(killed, change)
			continue
		}
		lived = append(lived, change)
		if unused := r.Func == "Unused"; unused != (r.Tests == 0) {
			t.Errorf("%s of %s: %d tests reach it", change, r.Func, r.Tests)
		}
	}
	slices.Sort(killed)
	slices.Sort(lived)
	wantKilled := []string{"Limit -> (Limit) / 2", "Limit -> 2 * (Limit)", "d < 0 -> d >= 0", "d > Limit -> d <= Limit", "n++ -> nothing"}
	wantLived := []string{
		"!b -> b", "a && !b -> !b", "a && !b -> (a) || (!b)", "a && !b -> a", // nobody calls it
		"continue -> nothing", "d < 0 -> d <= 0", "d < 0 -> false", "d > Limit -> d >= Limit",
	}
	slices.Sort(wantLived)
	if !slices.Equal(killed, wantKilled) || !slices.Equal(lived, wantLived) {
		t.Errorf("killed\n%s\nlived\n%s", strings.Join(killed, "\n"), strings.Join(lived, "\n"))
	}
	if s.Killed != len(killed) || s.Seed != 7 {
		t.Errorf("the file says that %d were killed with seed %d", s.Killed, s.Seed)
	}
}

func TestTheDrawIsOfItsSeed(t *testing.T) {
	var all []*mutant
	for i := range 50 {
		all = append(all, &mutant{ID: i})
	}
	draw := func(seed uint64) string {
		chosen, err := options{n: 10, seed: seed}.choose(all)
		if err != nil || len(chosen) != 10 {
			t.Fatalf("%d mutants, %v", len(chosen), err)
		}
		text := ""
		for _, m := range chosen {
			text += string(rune('a' + m.ID))
		}
		return text
	}
	if first, again, other := draw(1), draw(1), draw(2); first != again || first == other {
		t.Errorf("the draws of seeds 1, 1 and 2 are %s, %s and %s", first, again, other)
	}
	if _, err := (options{}).choose(nil); err == nil {
		t.Error("a draw of none is no error: nothing would be proved")
	}
}

// What is laid over the tree is Go, and means what it meant with no mutant switched on: the survey asks that of every test.
func TestTheChangedTextIsGo(t *testing.T) {
	dir := write(t, tree)
	t.Chdir(dir)
	mutants, sources, err := mutate([]string{"./rule"})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) != 1 || len(mutants) != 13 {
		t.Fatalf("%d mutants in %d packages", len(mutants), len(sources))
	}
	for path, text := range sources[0].files {
		if _, err := format.Source([]byte(text)); err != nil {
			t.Errorf("%s: %v\n%s", path, err, text)
		}
		for i, m := range mutants {
			if m.ID != i || !strings.Contains(text, fmt.Sprintf("mutantIsOn(%d)", i)) {
				t.Errorf("mutant %d, %s, has no switch", i, m.Name())
			}
		}
	}
}
