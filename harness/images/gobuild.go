package images

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/mod/modfile"

	"bitvault.dev/rollproof/harness/words"
)

// goCommand is the go command in a folder, with nothing of the user's environment that would change what is built.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := command(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir, "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH,
		"GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "GOEXPERIMENT=", "GOAMD64=", "GOARM64=")
	return cmd
}

// buildFlags are the flags that decide what `go build` makes. They are part of the lock; how many compile at once is not.
func buildFlags(g GoBuild) []string {
	ld := "-s -w"
	for _, v := range slices.Sorted(maps.Keys(g.Vars)) {
		ld += fmt.Sprintf(" -X %s=%s", v, g.Vars[v])
	}
	// What the linker would drop (-s -w) need not be compiled: 10 % less time.
	flags := []string{"-mod=readonly", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags=" + ld}
	if len(g.Tags) > 0 {
		flags = append(flags, "-tags="+strings.Join(g.Tags, ","))
	}
	return flags
}

// compile makes the binaries of one build in the folder out, which must exist. log gets the go command's whole output.
func (s *Store) compile(ctx context.Context, d *Definition, g GoBuild, out, log string) error {
	dir, packages, err := s.buildPlace(ctx, d, g, out)
	if err != nil {
		return err
	}
	bin := filepath.Join(out, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return fmt.Errorf("compile %s: %w", d.label(g), err)
	}
	args := append([]string{"build", "-o", bin + "/", "-p", strconv.Itoa(runtime.NumCPU())}, buildFlags(g)...)
	if len(g.Overlay) > 0 {
		file, err := overlaid(ctx, dir, filepath.Join(out, "source"), g.Overlay)
		if err != nil {
			return fmt.Errorf("component %s: build %s: %w", d.Name, d.label(g), err)
		}
		args = append(args, "-modfile="+file)
	}
	cmd := goCommand(ctx, dir, append(args, packages...)...)
	cmd.Env = append(cmd.Env, compilerMemory...)
	if err := runLogged(cmd, log); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("component %s: build %s: %w", d.Name, d.label(g), ctx.Err())
		}
		return s.explain(d, g, log, err)
	}
	for from, to := range g.Rename {
		if err := os.Rename(filepath.Join(bin, from), filepath.Join(bin, to)); err != nil {
			return fmt.Errorf("component %s: rename what %s builds: %w", d.Name, d.label(g), err)
		}
	}
	return nil
}

// compilerMemory lets a compiler or linker collect no garbage before it has made 1 GiB of it. Each lives for a second or two: 14 % less
// CPU time for a cold build of crictl, for 1.0 GB of memory at most instead of 0.5.
var compilerMemory = []string{"GOGC=off", "GOMEMLIMIT=1GiB"}

// overlaid copies the modules of which files are overlaid into a folder, and writes a go.mod there that takes them from it. (The go
// command's own -overlay refuses files of the module cache.) Versions and checksums stay those of the go.mod and go.sum in dir.
func overlaid(ctx context.Context, dir, into string, overlays []Overlay) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	mod, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return "", err
	}
	for _, o := range overlays {
		copied := filepath.Join(into, filepath.FromSlash(o.Module))
		if err := overlay(ctx, dir, copied, o); err != nil {
			return "", fmt.Errorf("overlay of module %s: %w", o.Module, err)
		}
		if err := mod.AddReplace(o.Module, "", copied, ""); err != nil {
			return "", fmt.Errorf("overlay of module %s: %w", o.Module, err)
		}
	}
	if data, err = mod.Format(); err != nil {
		return "", err
	}
	sums, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return "", err
	}
	file := filepath.Join(into, "overlaid.mod")
	return file, errors.Join(os.WriteFile(file, data, 0o644), os.WriteFile(filepath.Join(into, "overlaid.sum"), sums, 0o644))
}

// overlay copies a module, unless another overlay has, and puts one file in the place of another.
func overlay(ctx context.Context, dir, copied string, o Overlay) error {
	if _, err := os.Stat(copied); errors.Is(err, fs.ErrNotExist) {
		var mod struct{ Dir string }
		if err := goJSON(ctx, dir, &mod, "mod", "download", "-json", o.Module); err != nil {
			return err
		}
		if err := os.CopyFS(copied, os.DirFS(mod.Dir)); err != nil {
			return err
		}
	}
	file := filepath.Join(copied, filepath.FromSlash(o.File))
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("it has no file %s: the overlay would change nothing", o.File)
	}
	with, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(o.With)))
	if err != nil {
		return err
	}
	return os.WriteFile(file, with, 0o644)
}

// buildPlace returns the folder to build in and the packages to build. scratch is a folder that is thrown away afterwards.
func (s *Store) buildPlace(ctx context.Context, d *Definition, g GoBuild, scratch string) (dir string, packages []string, err error) {
	switch {
	case g.Package != "":
		return s.root, []string{g.Package}, nil
	case g.Source != nil:
		dir = filepath.Join(scratch, "source")
		return dir, g.Source.Packages, s.copySource(ctx, d, g.Source, dir)
	}
	dir = filepath.Join(d.Dir, filepath.FromSlash(g.Module))
	mod, err := readModule(dir)
	if err != nil {
		return "", nil, fmt.Errorf("component %s: %w", d.Name, err)
	}
	if len(mod.Tool) > 0 {
		return dir, []string{"tool"}, nil
	}
	return dir, []string{"."}, nil
}

// runLogged runs a command with its output in a file, at a lower priority than what the user does meanwhile.
func runLogged(cmd *exec.Cmd, log string) error {
	f, err := os.Create(log)
	if err != nil {
		return fmt.Errorf("keep the output of %s: %w", filepath.Base(cmd.Path), err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, 10) // only a courtesy
	return cmd.Wait()
}

var (
	// The go command puts module@version: in front of what went wrong with getting it; an error in its code names a path there.
	unresolved = regexp.MustCompile(`(?i)[\w./!~-]+@v[0-9][\w.+-]*: |unknown revision|not found|no matching versions|missing go\.sum entry|checksum mismatch|` +
		`dial tcp|no such host|disabled by GOPROXY|updates to go\.mod needed|cannot find module|no required module`)
	moduleAt = regexp.MustCompile(`([A-Za-z0-9][\w./!~-]*\.[\w./!~-]*)@(v[0-9][\w.+-]*)`)
)

// explain turns a failed `go build` into one line: component, module, version, what went wrong, what to do.
func (s *Store) explain(d *Definition, g GoBuild, log string, failed error) error {
	if errors.Is(failed, exec.ErrNotFound) {
		return fmt.Errorf("component %s: building %s needs the go command (package golang-go, or https://go.dev/dl), or use --images=bundle:FILE", d.Name, d.label(g))
	}
	lines := tellingLines(log)
	for _, line := range lines {
		if !unresolved.MatchString(line) {
			continue
		}
		module := s.pinned(d, g)
		if m := moduleAt.FindStringSubmatch(line); m != nil {
			module = m[1] + "@" + m[2]
		}
		return fmt.Errorf("component %s: module %s does not resolve: %s; check the version in %s and what GOPROXY serves (log: %s)",
			d.Name, module, line, s.pinFile(d, g), log)
	}
	if len(lines) > 0 {
		return fmt.Errorf("component %s: go build %s: %s (log: %s)", d.Name, d.label(g), lines[0], log)
	}
	return fmt.Errorf("component %s: go build %s: %w (log: %s)", d.Name, d.label(g), failed, log)
}

// tellingLines returns the lines of a build log that are neither downloads nor package headings.
func tellingLines(log string) []string {
	f, err := os.Open(log)
	if err != nil {
		return nil
	}
	defer f.Close()
	var lines []string
	for scan := bufio.NewScanner(f); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		if line != "" && !strings.HasPrefix(line, "go: downloading") && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// pinned is the module a build is about, as module@version.
func (s *Store) pinned(d *Definition, g GoBuild) string {
	if g.Source != nil {
		return g.Source.Module + "@" + g.Source.Version
	}
	mod, err := readModule(filepath.Join(d.Dir, filepath.FromSlash(g.Module)))
	if err != nil || len(mod.Require) == 0 {
		return d.label(g)
	}
	direct := slices.IndexFunc(mod.Require, func(r *modfile.Require) bool { return !r.Indirect })
	return mod.Require[max(0, direct)].Mod.String()
}

// pinFile is where the version is written that a reader would change.
func (s *Store) pinFile(d *Definition, g GoBuild) string {
	switch {
	case g.Package != "":
		return "go.mod"
	case g.Source != nil:
		return path.Join("fixtures/images", d.Name, definitionFile)
	}
	return path.Join("fixtures/images", d.Name, g.Module, "go.mod")
}

// copySource puts a writable copy of an upstream module into dir, with its replace lines edited. Its own go.mod and go.sum stay in
// charge of every version: `go mod tidy` is never run, because it follows tests of dependencies into modules that may not be had.
func (s *Store) copySource(ctx context.Context, d *Definition, src *Source, dir string) error {
	from, err := s.downloadModule(ctx, src)
	if err != nil {
		return fmt.Errorf("component %s: %w", d.Name, err)
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return fmt.Errorf("component %s: copy %s: %w", d.Name, src.Module, err)
	}
	for _, not := range []string{"go.work", "go.work.sum", "vendor"} {
		if err := os.RemoveAll(filepath.Join(dir, not)); err != nil {
			return fmt.Errorf("component %s: %w", d.Name, err)
		}
	}
	if err := editModule(filepath.Join(dir, "go.mod"), src); err != nil {
		return fmt.Errorf("component %s: %w", d.Name, err)
	}
	if src.GoSum == "" {
		return nil
	}
	more, err := os.ReadFile(filepath.Join(d.Dir, filepath.FromSlash(src.GoSum)))
	if err != nil {
		return fmt.Errorf("component %s: %w", d.Name, err)
	}
	have, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), slices.Concat(have, more), 0o644)
}

// downloadModule returns the folder of the module in the module cache, once its checksum is the pinned one.
func (s *Store) downloadModule(ctx context.Context, src *Source) (string, error) {
	var found struct{ Dir, Sum, Error string }
	if err := goJSON(ctx, s.cache, &found, "mod", "download", "-json", src.Module+"@"+src.Version); err != nil {
		return "", fmt.Errorf("module %s@%s does not resolve: %s; check version and GOPROXY", src.Module, src.Version,
			cmp.Or(lastLine(found.Error), words.OneLine(err.Error())))
	}
	if found.Sum != src.Sum {
		return "", fmt.Errorf("module %s@%s has checksum %s, pinned is %s: refusing to build it", src.Module, src.Version, found.Sum, src.Sum)
	}
	return found.Dir, nil
}

func editModule(file string, src *Source) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	mod, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return fmt.Errorf("%s: %s", src.Module, words.OneLine(err.Error()))
	}
	for _, gone := range src.DropReplace {
		if err := mod.DropReplace(gone, ""); err != nil {
			return fmt.Errorf("drop replace %s: %w", gone, err)
		}
	}
	for _, from := range slices.Sorted(maps.Keys(src.Replace)) {
		to, version, _ := strings.Cut(src.Replace[from], "@")
		if err := mod.AddReplace(from, "", to, version); err != nil {
			return fmt.Errorf("replace %s: %w", from, err)
		}
	}
	out, err := mod.Format()
	if err != nil {
		return err
	}
	return os.WriteFile(file, out, 0o644)
}

// goJSON runs a go command and reads its JSON answer, which some commands give along with a failure.
func goJSON(ctx context.Context, dir string, into any, args ...string) error {
	cmd := goCommand(ctx, dir, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	failed := cmd.Run()
	if err := json.Unmarshal(stdout.Bytes(), into); err != nil && failed == nil {
		return fmt.Errorf("read the answer of go %s: %w", args[0], err)
	}
	if failed != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), failed, lastLine(stderr.String()))
	}
	return nil
}
