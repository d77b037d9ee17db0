package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// suite is every test, with what it reaches.
type suite struct {
	scratch string
	tests   []test
}

// test is one test of a program.
type test struct {
	program *program
	name    string
	took    time.Duration
	reaches map[int]bool // mutants
}

// survey runs every test by itself, with no mutant switched on: it must pass.
func survey(ctx context.Context, scratch string, programs []program, workers int) (*suite, error) {
	s := &suite{scratch: scratch}
	for i := range programs {
		names, err := programs[i].tests(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			s.tests = append(s.tests, test{program: &programs[i], name: name})
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range s.tests {
		group.Go(func() error {
			t := &s.tests[i]
			path := filepath.Join(scratch, fmt.Sprintf("reached-%d", i))
			begin := time.Now()
			ended := s.run(ctx, []test{*t}, envReached+"="+path, 10*time.Minute)
			if !ended.passed { // once may come of a busy machine
				begin = time.Now()
				ended = s.run(ctx, []test{*t}, envReached+"="+path, 10*time.Minute)
			}
			if t.took = time.Since(begin); !ended.passed {
				return fmt.Errorf("%s of %s does not pass although nothing was changed:\n%s", t.name, t.program.pkg, ended.output)
			}
			var err error
			t.reaches, err = readReached(path)
			return err
		})
	}
	return s, group.Wait()
}

func readReached(path string) (map[int]bool, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a test may reach none
		return nil, fmt.Errorf("read what a test reached: %w", err)
	}
	reached := map[int]bool{}
	for _, word := range strings.Fields(string(data)) {
		id, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("read what a test reached: %w", err)
		}
		reached[id] = true
	}
	return reached, nil
}

// tests names what go test would run.
func (p *program) tests(ctx context.Context) ([]string, error) {
	list := exec.CommandContext(ctx, p.path, "-test.list", "^(Test|Fuzz|Example)")
	list.Dir = p.dir
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests of %s: %w", p.pkg, err)
	}
	return strings.Fields(string(out)), nil
}

// result is what became of a mutant.
type result struct {
	mutant
	Killed bool     `json:"killed"`
	By     []string `json:"by,omitempty"`   // the tests one of which failed
	Hung   bool     `json:"hung,omitempty"` // killed, for they did not end
	Tests  int      `json:"tests"`          // that reach it
}

// try switches on one mutant after the other, and prints what became of it.
func (s *suite) try(ctx context.Context, mutants []*mutant, workers int) []result {
	results := make([]result, len(mutants))
	var (
		mu   sync.Mutex
		done int
	)
	group := errgroup.Group{}
	group.SetLimit(workers)
	for i, m := range mutants {
		group.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			r := s.tryOne(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			results[i] = r
			done++
			if ctx.Err() == nil {
				fmt.Printf("%d/%d  %s  %s:%d  %s\n", done, len(mutants), r.outcome(), m.File, m.Line, m.Name())
			}
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	return results
}

func (r result) outcome() string {
	switch {
	case r.Hung:
		return "hung  "
	case r.Killed:
		return "killed"
	}
	return "LIVED "
}

func (s *suite) tryOne(ctx context.Context, m *mutant) result {
	r := result{mutant: *m}
	var reaching []test
	for _, t := range s.tests {
		if t.reaches[m.ID] {
			reaching = append(reaching, t)
		}
	}
	r.Tests = len(reaching)
	for _, batch := range batches(reaching, m.Package) {
		switch s.fails(ctx, batch, m) {
		case hung:
			r.Hung = true
			fallthrough
		case failed:
			r.Killed = true
			for _, t := range batch {
				r.By = append(r.By, t.name)
			}
			return r
		}
	}
	return r
}

// batches sorts tests by how soon they are likely to tell: those of the mutant's own package first, and the quick ones before the slow. A
// batch is of one program, and later batches are larger.
func batches(tests []test, own string) [][]test {
	slices.SortFunc(tests, func(a, b test) int {
		rank := func(t test) int {
			if t.program.pkg == own {
				return 0
			}
			return 1
		}
		return cmp.Or(rank(a)-rank(b), cmp.Compare(a.program.pkg, b.program.pkg), cmp.Compare(a.took, b.took), cmp.Compare(a.name, b.name))
	})
	var all [][]test
	size := 4
	for i, t := range tests {
		last := len(all) - 1
		if i == 0 || t.program != tests[i-1].program || len(all[last]) == size {
			if i > 0 && t.program == tests[i-1].program {
				size *= 2
			} else {
				size = 4
			}
			all = append(all, nil)
			last++
		}
		all[last] = append(all[last], t)
	}
	return all
}

type end int

const (
	passed end = iota
	failed
	hung
)

// fails says what becomes of tests with a mutant switched on. What kills it has to come twice: a failure that comes once, or an end that
// is long in coming, may come of a busy machine.
func (s *suite) fails(ctx context.Context, batch []test, m *mutant) end {
	var usual time.Duration
	for _, t := range batch {
		usual += t.took
	}
	patience := 30*time.Second + 10*usual
	last := failed
	for range 2 {
		ended := s.run(ctx, batch, fmt.Sprintf("%s=%d", envOn, m.ID), patience)
		switch {
		case ended.passed:
			return passed
		case ended.hung:
			last, patience = hung, 3*patience
		default:
			last = failed
		}
	}
	return last
}

type ended struct {
	passed, hung bool
	output       []byte
}

// mostMemory is of one test program, in KiB of addresses: a mutant may well ask for memory without an end.
const mostMemory = 16 << 20

// run runs tests of one program in a process of their own, in the folder of their package.
func (s *suite) run(ctx context.Context, batch []test, env string, patience time.Duration) ended {
	p := batch[0].program
	var names []string
	for _, t := range batch {
		names = append(names, regexp.QuoteMeta(t.name))
	}
	tmp, err := os.MkdirTemp(s.scratch, "tmp-")
	if err != nil {
		return ended{output: []byte(err.Error())}
	}
	defer os.RemoveAll(tmp)
	args := append([]string{"-c", fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, mostMemory), p.path, "-test.timeout=0", "-test.failfast",
		"-test.run=^(" + strings.Join(names, "|") + ")$"}, p.flags...)
	cmd := exec.Command("sh", args...)
	var output bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, &output, &output
	cmd.Env = append(os.Environ(), env, "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // tests start processes of their own
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return ended{output: []byte(err.Error())}
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }() // and what is left of them; there may be none
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	waited, last := time.Duration(0), time.Now()
	for {
		select {
		case err := <-done:
			return ended{passed: err == nil, output: output.Bytes()}
		case <-ctx.Done():
		case now := <-tick.C:
			waited += min(now.Sub(last), 2*time.Second) // a machine that stands still is no test that hangs
			last = now
			if waited < patience {
				continue
			}
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		return ended{hung: true, output: output.Bytes()}
	}
}
