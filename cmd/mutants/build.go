package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is the compiled tests of one package.
type program struct {
	pkg, dir string
	path     string
	flags    []string // of libraries that the tests are made with
}

const (
	envOn      = "ROLLPROOF_MUTANT"         // the mutant that is switched on
	envReached = "ROLLPROOF_MUTANT_REACHED" // a file that takes the numbers of the mutants that were reached
)

// switches is added to every package with mutants. What was reached is told once for each mutant and package.
const switches = `package %s

import (
	mutantos "os"
	mutantstrconv "strconv"
	mutantatomic "sync/atomic"
)

var mutantOn = func() int {
	if n, err := mutantstrconv.Atoi(mutantos.Getenv(%q)); err == nil {
		return n
	}
	return -1
}()

var (
	mutantTells = mutantos.Getenv(%[3]q) != ""
	mutantTold  [%[4]d]mutantatomic.Bool
)

func mutantIsOn(id int) bool {
	if mutantTells && !mutantTold[id].Load() {
		mutantTell(id)
	}
	return id == mutantOn
}

func mutantTell(id int) {
	if mutantTold[id].Swap(true) {
		return
	}
	f, err := mutantos.OpenFile(mutantos.Getenv(%[3]q), mutantos.O_CREATE|mutantos.O_WRONLY|mutantos.O_APPEND, 0o644)
	if err == nil {
		_, err = f.WriteString(mutantstrconv.Itoa(id) + "\n")
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		panic(err)
	}
}
`

// build compiles the tests of every package with all mutants in them. The tree is not touched: the changed files lie over it.
func build(ctx context.Context, scratch string, sources []source, mutants int, mutated, tested []string) ([]program, error) {
	overlay, err := lay(scratch, sources, mutants)
	if err != nil {
		return nil, err
	}
	packages := exec.CommandContext(ctx, "go", append([]string{"build", "-overlay", overlay}, mutated...)...)
	if out, err := packages.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the mutants: %w\n%s", err, out)
	}
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-f",
		`{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{"\t"}}{{.Dir}}{{"\t"}}{{join .TestImports " "}} {{join .XTestImports " "}}{{end}}`}, tested...)...)
	list.Stderr = os.Stderr
	listed, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages with tests: %w", err)
	}
	var programs []program
	for line := range strings.Lines(string(listed)) {
		part := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(part) < 3 {
			continue
		}
		p := program{pkg: part[0], dir: part[1], path: filepath.Join(scratch, fmt.Sprintf("%d.test", len(programs)))}
		if strings.Contains(part[2], "pgregory.net/rapid") { // it would write into the tree, and take its time to find the smallest failure
			p.flags = []string{"-rapid.nofailfile", "-rapid.shrinktime=1ms"}
		}
		compile := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", p.path, p.pkg)
		if out, err := compile.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("compile the tests of %s with the mutants: %w\n%s", p.pkg, err, out)
		}
		programs = append(programs, p)
	}
	return programs, nil
}

// lay writes the changed files and tells go which ones they stand for.
func lay(scratch string, sources []source, mutants int) (string, error) {
	over := map[string]string{}
	put := func(path, text string) error {
		over[path] = filepath.Join(scratch, fmt.Sprintf("%d.go", len(over)))
		return os.WriteFile(over[path], []byte(text), 0o644)
	}
	for _, s := range sources {
		if err := put(filepath.Join(s.dir, "mutant_switches.go"), fmt.Sprintf(switches, s.name, envOn, envReached, mutants)); err != nil {
			return "", fmt.Errorf("write the mutants: %w", err)
		}
		for _, path := range sortedKeys(s.files) {
			if err := put(path, s.files[path]); err != nil {
				return "", fmt.Errorf("write the mutants: %w", err)
			}
		}
	}
	data, err := json.Marshal(map[string]any{"Replace": over})
	if err != nil {
		return "", fmt.Errorf("write the mutants: %w", err)
	}
	path := filepath.Join(scratch, "overlay.json")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return "", fmt.Errorf("write the mutants: %w", err)
	}
	return path, nil
}
