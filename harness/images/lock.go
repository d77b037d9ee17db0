package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/modfile"
	"sigs.k8s.io/yaml"

	"bitvault.dev/rollproof/harness/words"
)

// assembly is part of every key. Raise it when a change of this package changes what comes out of the same inputs.
const assembly = "1"

// A Lock says what an image is made of, one fact per line, in an order that does not depend on the machine. The sha256 of the text is
// the image's key: the same key means no work.
//
// What a lock does not fix: the versions of Debian packages. Debian's mirrors keep one version of a suite and move on, so a lock
// names the packages and the digest of the base they were installed on. Two machines may therefore build different digests under
// one key on different days; one machine never builds a key twice.
type Lock string

// Key is the cache key of what the lock describes: 64 hex digits.
func (l Lock) Key() string {
	sum := sha256.Sum256([]byte(l))
	return hex.EncodeToString(sum[:])
}

// firstDifference says in one line why something locked as was must be made again to be now.
func firstDifference(was, now Lock) string {
	a, b := strings.Split(string(was), "\n"), strings.Split(string(now), "\n")
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a) || a[i] == "" && i < len(b) && b[i] != "":
			return fmt.Sprintf("new: %s", b[i])
		case i >= len(b) || b[i] == "" && a[i] != "":
			return fmt.Sprintf("gone: %s", a[i])
		case a[i] != b[i]:
			return fmt.Sprintf("was %q, is %q", a[i], b[i])
		}
	}
	return ""
}

// lockWriter collects a lock's lines.
type lockWriter struct{ lines []string }

func (w *lockWriter) add(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *lockWriter) lock() Lock { return Lock(strings.Join(w.lines, "\n") + "\n") }

// locker computes locks of one project on one machine. Nothing it does changes anything.
type locker struct {
	root      string   // of the project
	platform  string   // as linux/amd64
	toolchain string   // version of Go that builds
	packages  sync.Map // package of ours to the []string of its lock: asking the go command takes a second on a busy machine
}

// errNoGo is why a package of the project itself cannot be locked on a machine without Go. Nothing can be built there either.
var errNoGo = errors.New("the go command is missing")

// toolchainVersion is the version of the go command, or of the Go that built rollproof on a machine without one: a machine that only loads
// bundles must still find the images of the same lock.
func toolchainVersion(ctx context.Context, root string) string {
	out, err := goCommand(ctx, root, "env", "GOVERSION").Output()
	if v := strings.TrimSpace(string(out)); err == nil && v != "" {
		return v
	}
	return runtime.Version()
}

// image locks a component. digests has the image digest of each dependency.
func (l *locker) image(ctx context.Context, d *Definition, digests map[string]string) (Lock, error) {
	w := &lockWriter{}
	w.add("component %s", d.Name)
	w.add("assembly %s", assembly)
	for _, dep := range d.dependencies() {
		w.add("component %s is %s", dep, digests[dep])
	}
	made := *d
	made.About, made.Upstream = "", "" // they change nothing in what is built
	text, err := yaml.Marshal(made)
	if err != nil {
		return "", fmt.Errorf("lock component %s: %w", d.Name, err)
	}
	for line := range strings.Lines(string(text)) {
		w.add("%s: %s", definitionFile, strings.TrimRight(line, "\n"))
	}
	for _, g := range d.Go {
		build, err := l.goBuild(ctx, d, g)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(build)) {
			w.add("go %s: %s", d.label(g), strings.TrimRight(line, "\n"))
		}
	}
	for _, m := range d.Maven {
		files, err := l.maven(d, m)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(files)) {
			w.add("maven: %s", strings.TrimRight(line, "\n"))
		}
	}
	for _, f := range d.Files {
		if err := l.files(w, d, f); err != nil {
			return "", fmt.Errorf("lock component %s: %w", d.Name, err)
		}
	}
	if d.Dockerfile != "" {
		if err := addFiles(w, d.Dockerfile, filepath.Join(d.Dir, d.Dockerfile)); err != nil {
			return "", fmt.Errorf("lock component %s: %w", d.Name, err)
		}
	}
	return w.lock(), nil
}

func (l *locker) files(w *lockWriter, d *Definition, f Files) error {
	if f.Module == "" {
		return addFiles(w, f.Path, filepath.Join(d.Dir, filepath.FromSlash(f.Path)))
	}
	mod, err := readModule(l.root)
	if err != nil {
		return err
	}
	version, sum := mod.pin(f.Module)
	if version == "" {
		return fmt.Errorf("files of module %s: the project's go.mod does not require it", f.Module)
	}
	w.add("module %s %s %s %s", f.Module, version, sum, f.Path)
	return nil
}

// addFiles adds each file's content hash. Of the mode only what gets into the image counts, and that follows from the content.
func addFiles(w *lockWriter, label, root string) error {
	files, err := regularFiles(root)
	if err != nil {
		return err
	}
	for _, rel := range files {
		sum, err := hashFile(filepath.Join(root, filepath.FromSlash(rel)))
		if err != nil {
			return err
		}
		w.add("file %s %s", strings.TrimSuffix(filepath.ToSlash(filepath.Join(label, rel)), "/."), sum)
	}
	return nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// goBuild locks one `go build`: toolchain, flags, and everything that is compiled.
func (l *locker) goBuild(ctx context.Context, d *Definition, g GoBuild) (Lock, error) {
	w := &lockWriter{}
	w.add("%s %s", l.toolchain, l.platform)
	w.add("%s", strings.Join(buildFlags(g), " "))
	for _, o := range g.Overlay {
		w.add("overlay %s %s with %s", o.Module, o.File, o.With) // its content is among the folder's files
	}
	var err error
	switch {
	case g.Module != "":
		err = l.moduleFolder(w, filepath.Join(d.Dir, filepath.FromSlash(g.Module)))
	case g.Package != "":
		err = l.ownPackage(ctx, w, g.Package)
	default:
		err = l.source(w, d, g.Source)
	}
	if err != nil {
		return "", fmt.Errorf("lock component %s, go build %s: %w", d.Name, d.label(g), err)
	}
	return w.lock(), nil
}

// moduleFolder locks a folder with its own go.mod. A go.mod since Go 1.17 lists every module that is needed to build, so that with
// go.sum it fixes all of it; code of our own in the folder counts by content.
func (l *locker) moduleFolder(w *lockWriter, dir string) error {
	mod, err := readModule(dir)
	if err != nil {
		return err
	}
	mod.lock(w)
	files, err := regularFiles(dir)
	if err != nil {
		return err
	}
	for _, rel := range files {
		if slices.Contains([]string{"go.mod", "go.sum", definitionFile}, rel) || strings.HasSuffix(rel, "_test.go") {
			continue
		}
		sum, err := hashFile(filepath.Join(dir, filepath.FromSlash(rel)))
		if err != nil {
			return err
		}
		w.add("file %s %s", rel, sum)
	}
	return nil
}

// ownPackage locks a package of the project's module: the files of all packages of ours that it needs, and the modules of the others.
// The whole go.mod would rebuild it whenever any other part of the project changes a dependency.
func (l *locker) ownPackage(ctx context.Context, w *lockWriter, pkg string) error {
	if known, ok := l.packages.Load(pkg); ok {
		w.lines = append(w.lines, known.([]string)...)
		return nil
	}
	found := &lockWriter{}
	if err := l.listPackage(ctx, found, pkg); err != nil {
		return err
	}
	l.packages.Store(pkg, found.lines)
	w.lines = append(w.lines, found.lines...)
	return nil
}

func (l *locker) listPackage(ctx context.Context, w *lockWriter, pkg string) error {
	cmd := goCommand(ctx, l.root, "list", "-mod=readonly", "-deps",
		"-json=ImportPath,Dir,Module,Standard,GoFiles,EmbedFiles,SFiles,HFiles", pkg)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return errNoGo
	}
	if err != nil {
		return fmt.Errorf("go list %s: %w: %s", pkg, err, lastLine(stderr.String()))
	}
	mod, err := readModule(l.root)
	if err != nil {
		return err
	}
	modules := map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var p struct {
			ImportPath, Dir                     string
			Standard                            bool
			Module                              *struct{ Path, Version string }
			GoFiles, EmbedFiles, SFiles, HFiles []string
		}
		if err := decoder.Decode(&p); err != nil {
			return fmt.Errorf("read go list %s: %w", pkg, err)
		}
		switch {
		case p.Standard || p.Module == nil:
		case p.Module.Path != projectModule:
			modules[fmt.Sprintf("module %s %s %s", p.Module.Path, p.Module.Version, mod.sums[p.Module.Path+" "+p.Module.Version])] = true
		default:
			for _, f := range slices.Concat(p.GoFiles, p.EmbedFiles, p.SFiles, p.HFiles) {
				sum, err := hashFile(filepath.Join(p.Dir, f))
				if err != nil {
					return err
				}
				w.add("file %s/%s %s", p.ImportPath, f, sum)
			}
		}
	}
	w.lines = append(w.lines, slices.Sorted(maps.Keys(modules))...)
	return nil
}

func (l *locker) source(w *lockWriter, d *Definition, s *Source) error {
	w.add("source %s %s %s", s.Module, s.Version, s.Sum)
	for _, from := range slices.Sorted(maps.Keys(s.Replace)) {
		w.add("replace %s %s", from, s.Replace[from])
	}
	for _, dropped := range slices.Sorted(slices.Values(s.DropReplace)) {
		w.add("dropreplace %s", dropped)
	}
	if s.GoSum == "" {
		return nil
	}
	return addFiles(w, s.GoSum, filepath.Join(d.Dir, filepath.FromSlash(s.GoSum)))
}

// moduleFile is a parsed go.mod with its go.sum.
type moduleFile struct {
	*modfile.File
	sums map[string]string // "path version" to its h1: sum
}

func readModule(dir string) (*moduleFile, error) {
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return nil, err
	}
	f, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", dir, words.OneLine(err.Error()))
	}
	sums := map[string]string{}
	text, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if part := strings.Fields(line); len(part) == 3 {
			sums[part[0]+" "+part[1]] = part[2]
		}
	}
	return &moduleFile{File: f, sums: sums}, nil
}

// pin returns the required version of a module and its checksum, empty when it is not required.
func (m *moduleFile) pin(path string) (version, sum string) {
	for _, r := range m.Require {
		if r.Mod.Path == path {
			return r.Mod.Version, m.sums[path+" "+r.Mod.Version]
		}
	}
	return "", ""
}

// lock writes what of a go.mod and go.sum decides the build, in order.
func (m *moduleFile) lock(w *lockWriter) {
	if m.Go != nil {
		w.add("language %s", m.Go.Version)
	}
	var lines []string
	for _, g := range m.Godebug {
		lines = append(lines, "godebug "+g.Key+"="+g.Value)
	}
	for _, t := range m.Tool {
		lines = append(lines, "tool "+t.Path)
	}
	for _, r := range m.Require {
		lines = append(lines, fmt.Sprintf("require %s %s %s", r.Mod.Path, r.Mod.Version, m.sums[r.Mod.Path+" "+r.Mod.Version]))
	}
	for _, r := range m.Replace {
		lines = append(lines, fmt.Sprintf("replace %s %s => %s %s %s", r.Old.Path, r.Old.Version, r.New.Path, r.New.Version,
			m.sums[r.New.Path+" "+r.New.Version]))
	}
	slices.Sort(lines)
	w.lines = append(w.lines, lines...)
}
