package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// make builds or pulls the named components and what they are made of. The caller holds the cache's lock.
func (s *Store) make(ctx context.Context, from string, names []string) ([]Image, error) {
	steps, err := s.plan(ctx, from, names)
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	b := &builder{Store: s, from: from, results: map[string]*result{}}
	for _, st := range steps {
		b.results[st.def.Name] = &result{ready: make(chan struct{})}
	}
	for _, st := range steps {
		group.Go(func() error { return b.run(ctx, st) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var made []Image
	for _, n := range names {
		made = append(made, b.results[n].record.Image)
	}
	return made, nil
}

// builder is one call of Ensure: every component of the plan has a goroutine that waits for those it is made of.
type builder struct {
	*Store
	from    string
	results map[string]*result
	records sync.Mutex // index.json is written by one at a time
}

// result is what a component's goroutine hands to those that wait for it. record is set before ready is closed.
type result struct {
	ready  chan struct{}
	record *record
}

func (b *builder) run(ctx context.Context, st step) error {
	r, err := b.component(ctx, st)
	if err != nil {
		return err
	}
	b.results[st.def.Name].record = r
	close(b.results[st.def.Name].ready)
	return nil
}

func (b *builder) component(ctx context.Context, st step) (*record, error) {
	if st.record != nil {
		return st.record, nil
	}
	if pulled(b.from, st.def) {
		return b.pull(ctx, st.def)
	}
	// Compiling needs no other image: it starts before those are ready.
	binaries, err := b.compileAll(ctx, st.def)
	if err != nil {
		return nil, err
	}
	jars, err := b.mavenAll(ctx, st.def)
	if err != nil {
		return nil, err
	}
	deps, err := b.await(ctx, st.def)
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for n, r := range deps {
		digests[n] = r.Digest
	}
	lock, err := b.locker.image(ctx, st.def, digests)
	if err != nil {
		return nil, err
	}
	return b.assemble(ctx, &inputs{def: st.def, lock: lock, deps: deps, binaries: binaries, jars: jars})
}

// await waits for the components this one is made of. One that fails cancels ctx.
func (b *builder) await(ctx context.Context, d *Definition) (map[string]*record, error) {
	deps := map[string]*record{}
	for _, n := range d.dependencies() {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-b.results[n].ready:
			deps[n] = b.results[n].record
		}
	}
	return deps, nil
}

// compileAll makes all Go binaries of a component, side by side as far as the machine allows, and returns where each is.
func (b *builder) compileAll(ctx context.Context, d *Definition) (map[string]string, error) {
	group, ctx := errgroup.WithContext(ctx)
	dirs := make([]string, len(d.Go))
	for i, g := range d.Go {
		group.Go(func() (err error) {
			dirs[i], err = b.binaries(ctx, d, g)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := map[string]string{}
	for i, dir := range dirs {
		files, err := regularFiles(dir)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", d.Name, err)
		}
		for _, f := range files {
			if all[f] != "" {
				return nil, fmt.Errorf("component %s: go build %s makes a second binary %q: use rename", d.Name, d.label(d.Go[i]), f)
			}
			all[f] = filepath.Join(dir, f)
		}
	}
	return all, nil
}

func (s *Store) binDir() string { return filepath.Join(s.cache, "images", "bin") }

// binaries returns the folder with what one `go build` makes. It is kept by the build's own key, so that an interrupted build of a
// component goes on where it stopped, and two components can share one.
func (b *builder) binaries(ctx context.Context, d *Definition, g GoBuild) (string, error) {
	lock, err := b.locker.goBuild(ctx, d, g)
	if errors.Is(err, errNoGo) {
		return "", b.explain(d, g, "", exec.ErrNotFound)
	}
	if err != nil {
		return "", err
	}
	final := filepath.Join(b.binDir(), lock.Key()[:16])
	if _, err := os.Stat(final); err == nil {
		return filepath.Join(final, "bin"), nil
	}
	if err := b.heavy.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer b.heavy.Release(1)
	step := b.show.Start(fmt.Sprintf("image %s: build %s", d.Name, d.label(g)))
	scratch, err := b.scratch()
	if err != nil {
		return "", step.Done(err)
	}
	defer os.RemoveAll(scratch)
	log := filepath.Join(b.cache, "images", "logs", d.Name+"-"+d.label(g)+".log")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return "", step.Done(err)
	}
	if err := b.compile(ctx, d, g, scratch, log); err != nil {
		return "", step.Done(err)
	}
	return filepath.Join(final, "bin"), step.Done(b.keepBinaries(scratch, final, lock))
}

func (b *builder) keepBinaries(scratch, final string, lock Lock) error {
	if err := os.WriteFile(filepath.Join(scratch, "lock"), []byte(lock), 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(scratch, "source")); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return err
	}
	// Another component with the same build (bitvaultd and bitvaultd-next) may have been quicker: the same lock names the same binaries.
	if err := os.Rename(scratch, final); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// scratch makes a folder for unfinished work, on the cache's file system so that it can be renamed into place.
func (s *Store) scratch() (string, error) {
	dir := filepath.Join(s.cache, "images", "tmp")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make a scratch folder: %w", err)
	}
	scratch, err := os.MkdirTemp(dir, temporary+"*")
	if err != nil {
		return "", fmt.Errorf("make a scratch folder: %w", err)
	}
	return scratch, os.Chmod(scratch, 0o755)
}

// assemble makes the image and records it.
func (b *builder) assemble(ctx context.Context, in *inputs) (*record, error) {
	if err := b.heavy.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer b.heavy.Release(1)
	d := in.def
	step := b.show.Start("image " + d.Name + ": put together")
	in.say = step.Say
	digest, err := b.image(ctx, in)
	if err != nil {
		return nil, step.Done(fmt.Errorf("component %s: %w", d.Name, err))
	}
	b.records.Lock()
	defer b.records.Unlock()
	r, err := b.keep(d, in.lock, digest, "source")
	return r, step.Done(err)
}

// inputs is everything one image is made of.
type inputs struct {
	def      *Definition
	lock     Lock
	deps     map[string]*record
	binaries map[string]string // name to file
	jars     []string          // folders with the files of each Maven project
	say      func(format string, args ...any)
}

func (b *builder) image(ctx context.Context, in *inputs) (v1.Hash, error) {
	if in.def.Debootstrap != nil {
		return b.debootstrap(ctx, in)
	}
	files, err := b.entries(ctx, in)
	if err != nil {
		return v1.Hash{}, err
	}
	if in.def.Dockerfile != "" {
		return b.buildInEngine(ctx, in, files)
	}
	img, err := b.layered(in.def.From, in.deps, files, in.def.Config, b.blobs)
	if err != nil {
		return v1.Hash{}, err
	}
	return b.blobs.writeImage(img)
}

// entries lists what goes into the image: installed binaries, files and links.
func (b *builder) entries(ctx context.Context, in *inputs) ([]entry, error) {
	var all []entry
	for _, g := range in.def.Go {
		for dir, names := range g.Install {
			for _, n := range names {
				if in.binaries[n] == "" {
					return nil, fmt.Errorf("install %s: no build makes it; made are %s", n, strings.Join(slices.Sorted(maps.Keys(in.binaries)), ", "))
				}
				all = append(all, entry{path: path.Join(dir, n), from: in.binaries[n]})
			}
		}
	}
	for i, m := range in.def.Maven {
		found, err := below(in.jars[i], m.To)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	for _, f := range in.def.Files {
		root, err := b.filesRoot(ctx, in.def, f)
		if err != nil {
			return nil, err
		}
		found, err := below(root, f.To)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	for at, to := range in.def.Links {
		all = append(all, entry{path: at, link: to})
	}
	return all, nil
}

// below lists the files of a folder, or the one file, as they lie in a folder of the image.
func below(root, to string) ([]entry, error) {
	found, err := regularFiles(root)
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, rel := range found {
		name := rel
		if rel == "." {
			name = filepath.Base(root)
		}
		all = append(all, entry{path: path.Join(to, name), from: filepath.Join(root, filepath.FromSlash(rel))})
	}
	return all, nil
}

// filesRoot is where a Files entry is on this machine: in the component's folder, or in the module cache.
func (b *builder) filesRoot(ctx context.Context, d *Definition, f Files) (string, error) {
	if f.Module == "" {
		return filepath.Join(d.Dir, filepath.FromSlash(f.Path)), nil
	}
	var mod struct{ Dir string }
	if err := goJSON(ctx, b.root, &mod, "mod", "download", "-json", f.Module); err != nil {
		return "", fmt.Errorf("files of module %s: %w; check its version in go.mod and GOPROXY", f.Module, err)
	}
	return filepath.Join(mod.Dir, filepath.FromSlash(f.Path)), nil
}
