// Command mutants asks what the tests of the judges, of the load and of the record are worth. It changes one condition or bound at a time,
// such as < into <=, and runs the tests that reach it: a mutant that no test kills is a defect that no test would see.
//
// All mutants are compiled once, each behind a switch, into the test programs (go test -overlay: no file of the tree is changed). A run of
// every test by itself tells which mutants it reaches. Then each mutant is switched on for the tests that reach it, until one fails.
//
//	go run ./cmd/mutants -n 300 -seed 1
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mutated are the packages whose conditions are changed, and tested are those with the tests that have to notice.
var (
	mutated = []string{"./harness/history", "./harness/timeline", "./harness/judge", "./harness/checks/...", "./harness/load"}
	tested  = []string{"./harness/history", "./harness/timeline", "./harness/judge", "./harness/checks/...", "./harness/load"}
)

type options struct {
	n       int
	seed    uint64
	workers int
	least   float64
	out     string
	docs    string
	again   bool
	match   string
}

func main() {
	var o options
	flag.IntVar(&o.n, "n", 300, "how many mutants to try, drawn by chance; 0 for all")
	flag.Uint64Var(&o.seed, "seed", 1, "of the draw")
	flag.IntVar(&o.workers, "workers", 2, "mutants at once")
	flag.Float64Var(&o.least, "least", 95, "percent that must be killed")
	flag.StringVar(&o.out, "out", "out/mutants.json", "file for the results")
	flag.StringVar(&o.docs, "docs", "docs/mutants.md", "file that says why a mutant may live")
	flag.BoolVar(&o.again, "again", false, "try only those that lived by the results of the last run")
	flag.StringVar(&o.match, "match", "", "draw only of those whose name holds this, such as 'held.go Hit: '")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, mutated, tested); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1)
	}
}

// errLived is the end of a run in which too many mutants lived.
var errLived = errors.New("the tests let too many mutants live")

func run(ctx context.Context, o options, mutated, tested []string) error {
	started := time.Now()
	all, sources, err := mutate(mutated)
	if err != nil {
		return err
	}
	chosen, err := o.choose(all)
	if err != nil {
		return err
	}
	fmt.Printf("%d mutants of %d, seed %d\n", len(chosen), len(all), o.seed)
	scratch, err := os.MkdirTemp("", "rollproof-mutants-")
	if err != nil {
		return fmt.Errorf("make a folder for the test programs: %w", err)
	}
	defer os.RemoveAll(scratch)
	programs, err := build(ctx, scratch, sources, len(all), mutated, tested)
	if err != nil {
		return err
	}
	suite, err := survey(ctx, scratch, programs, o.workers)
	if err != nil {
		return err
	}
	fmt.Printf("%d tests in %d programs, after %s\n", len(suite.tests), len(programs), time.Since(started).Round(time.Second))
	results := suite.try(ctx, chosen, o.workers)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("try the mutants: %w", context.Cause(ctx))
	}
	took := time.Since(started).Round(time.Second)
	return o.report(all, results, took)
}

// choose draws the mutants to try.
func (o options) choose(all []*mutant) ([]*mutant, error) {
	if o.again {
		return o.lived(all)
	}
	chosen := slices.Clone(all)
	if o.match != "" {
		chosen = slices.DeleteFunc(chosen, func(m *mutant) bool { return !strings.Contains(m.Name(), o.match) })
	}
	rng := rand.New(rand.NewPCG(o.seed, 0))
	rng.Shuffle(len(chosen), func(i, k int) { chosen[i], chosen[k] = chosen[k], chosen[i] })
	if o.n > 0 {
		chosen = chosen[:min(o.n, len(chosen))]
	}
	if len(chosen) == 0 {
		return nil, errors.New("there is no mutant to try")
	}
	return chosen, nil
}

// lived are the mutants that lived in the last run and are still there.
func (o options) lived(all []*mutant) ([]*mutant, error) {
	data, err := os.ReadFile(o.out)
	if err != nil {
		return nil, fmt.Errorf("read which mutants lived: %w", err)
	}
	var last summary
	if err := json.Unmarshal(data, &last); err != nil {
		return nil, fmt.Errorf("read which mutants lived in %s: %w", o.out, err)
	}
	names := map[string]bool{}
	for _, r := range last.Results {
		if !r.Killed {
			names[r.Name()] = true
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(m *mutant) bool { return !names[m.Name()] })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("none of the %d mutants that lived by %s is there any more", len(names), o.out)
	}
	return chosen, nil
}

// summary is the file of results.
type summary struct {
	Seed    uint64   `json:"seed"`
	Of      int      `json:"of"` // mutants there are
	Killed  int      `json:"killed"`
	Percent float64  `json:"percent"`
	Took    string   `json:"took"`
	Results []result `json:"results"`
}

func (o options) report(all []*mutant, results []result, took time.Duration) error {
	s := summary{Seed: o.seed, Of: len(all), Took: took.String(), Results: results}
	rooms := map[string]*[2]int{} // killed, tried
	for _, r := range results {
		room := rooms[r.Package]
		if room == nil {
			room = new([2]int)
			rooms[r.Package] = room
		}
		room[1]++
		if r.Killed {
			room[0]++
			s.Killed++
		}
	}
	s.Percent = 100 * float64(s.Killed) / float64(len(results))
	for _, name := range sortedKeys(rooms) {
		room := rooms[name]
		fmt.Printf("%5d of %4d killed  %5.1f %%  %s\n", room[0], room[1], 100*float64(room[0])/float64(room[1]), name)
	}
	docs, _ := os.ReadFile(o.docs) // without it no survivor is explained
	for _, r := range results {
		if r.Killed {
			continue
		}
		why := "not explained in " + o.docs
		if strings.Contains(string(docs), "`"+strings.ReplaceAll(r.Name(), "|", `\|`)+"`") { // as a table writes it
			why = "explained"
		}
		fmt.Printf("lived  %s:%d  %s  (%d tests reach it; %s)\n", r.File, r.Line, r.Name(), r.Tests, why)
	}
	fmt.Printf("%d of %d killed, %.1f %%, seed %d, in %s\n", s.Killed, len(results), s.Percent, s.Seed, s.Took)
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.WriteFile(o.out, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if s.Percent < o.least {
		return fmt.Errorf("%w: %.1f %% were killed, %g %% must be", errLived, s.Percent, o.least)
	}
	return nil
}
