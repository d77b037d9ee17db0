// Package images builds, keeps and hands out the container images of the stack, on machines with or without a registry.
//
// A component is a folder below fixtures/images with a component.yaml: Go binaries from pinned modules, files, Debian packages, or a
// Dockerfile on our own Debian base. What an image is made of is its Lock, whose hash is its key: the same key means no work, a changed
// one rebuilds this image and those made from it. Images live in an OCI image layout in the user's cache folder; only what needs
// Debian's package manager is built by a Docker engine, everything else is put together here, without one.
package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/semaphore"

	"bitvault.dev/rollproof/harness/progress"
)

// localRegistry is the registry part of names that exist on this machine and in its clusters only.
const localRegistry = "rollproof.local"

// sideBySide is how many builds run at once: linking and packing use one core each, compiling all of them.
const sideBySide = 2

// Options say where a Store lives and where its images come from. The zero value works inside of the repository.
type Options struct {
	Root     string            // the project's root; by default found from the working directory upwards
	Cache    string            // by default $ROLLPROOF_CACHE, else rollproof in the user's cache folder
	Source   string            // "source", "pull", "bundle:FILE" or "auto" (the default)
	Progress *progress.Display // by default nothing is shown
	// EnsureEngine makes a Docker engine answer before it is first needed. By default one must be running already.
	EnsureEngine func(ctx context.Context) error
}

// Image is a component's image in the cache.
type Image struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	Ref       string `json:"ref"`    // the name pods use
	Digest    string `json:"digest"` // of the manifest, as sha256:...
	Key       string `json:"key"`    // of its lock, 64 hex digits
	Size      int64  `json:"size"`   // bytes of manifest, configuration and compressed layers
	Source    string `json:"source"` // "source", "pull" or "bundle"
}

// Store is the cache of images of one project. It is safe for concurrent use; other processes are kept out while one builds.
type Store struct {
	root         string
	cache        string
	source       string
	bundle       string // file of --images=bundle:FILE
	defs         map[string]*Definition
	locker       *locker
	blobs        blobDir
	show         *progress.Display
	engine       engine
	ensureEngine func(ctx context.Context) error
	heavy        *semaphore.Weighted
	sources      aptSources
	reachable    func(ctx context.Context, registry string) error
}

// CacheDir is the folder everything of rollproof is cached in: $ROLLPROOF_CACHE, else rollproof in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("ROLLPROOF_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w; set ROLLPROOF_CACHE", err)
	}
	return filepath.Join(dir, "rollproof"), nil
}

// Open reads the components of a project and prepares its cache. It builds nothing.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{root: o.Root, cache: o.Cache, show: o.Progress, ensureEngine: o.EnsureEngine, engine: dockerCLI{},
		heavy: semaphore.NewWeighted(sideBySide), reachable: registryAnswers}
	if err := s.setSource(cmp.Or(o.Source, "auto")); err != nil {
		return nil, err
	}
	var err error
	if s.root == "" {
		if s.root, err = FindRoot("."); err != nil {
			return nil, err
		}
	}
	if s.cache == "" {
		if s.cache, err = CacheDir(); err != nil {
			return nil, err
		}
	}
	if s.defs, err = LoadDefinitions(s.root); err != nil {
		return nil, err
	}
	if s.show == nil {
		s.show = progress.Discard()
	}
	if s.sources, err = machineSources("/etc/apt"); err != nil {
		return nil, err
	}
	s.blobs = blobDir(filepath.Join(s.LayoutDir(), "blobs"))
	s.locker = &locker{root: s.root, platform: "linux/" + runtime.GOARCH, toolchain: toolchainVersion(ctx, s.root)}
	return s, s.prepareLayout()
}

func (s *Store) setSource(source string) error {
	kind, file, isBundle := strings.Cut(source, ":")
	switch {
	case slices.Contains([]string{"auto", "source", "pull"}, source):
		s.source = source
		return nil
	case kind == "bundle" && isBundle && file != "":
		s.source, s.bundle = kind, file
		return nil
	}
	return fmt.Errorf("--images=%s: choose source, pull, bundle:FILE or auto", source)
}

// LayoutDir is the OCI image layout that holds every image; a registry can serve its blobs as they are.
func (s *Store) LayoutDir() string { return filepath.Join(s.cache, "images", "layout") }

// Components lists the names of all components, sorted.
func (s *Store) Components() []string {
	var names []string
	for n := range s.defs {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Ensure returns the images of the named components (all when none is named), after building, pulling or loading what is missing.
// It goes on where an interrupted call stopped. The result is in the order of the names.
func (s *Store) Ensure(ctx context.Context, names ...string) ([]Image, error) {
	if len(names) == 0 {
		names = s.Components()
	}
	if _, err := order(s.defs, names); err != nil { // an unknown name is said before anything is done
		return nil, err
	}
	if s.source == "bundle" {
		return s.ensureFromBundle(ctx, names)
	}
	from, found, err := s.choose(ctx, names)
	if err != nil || found != nil {
		return found, err
	}
	unlock, err := s.lockCache(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	made, err := s.make(ctx, from, names)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("interrupted while making images: %w; what was finished is kept, the same command goes on there", ctx.Err())
	}
	return made, err
}

// choose settles where images come from, and returns them at once when all are cached: that path neither locks nor asks any network.
func (s *Store) choose(ctx context.Context, names []string) (from string, found []Image, err error) {
	origins := []string{s.source}
	if s.source == "auto" {
		origins = []string{"source", "pull"}
	}
	for _, from = range origins {
		steps, err := s.plan(ctx, from, names)
		if err != nil {
			return "", nil, err
		}
		if found := cachedImages(steps, names); found != nil {
			return from, found, nil
		}
	}
	if s.source != "auto" {
		return s.source, nil, nil
	}
	if len(s.upstreamRegistries(names)) == 0 {
		return "source", nil, nil // there is no choice
	}
	step := s.show.Start("choose where images come from")
	from, why := s.pick(ctx, names)
	step.Say("%s, because %s", from, why)
	return from, nil, step.Done(nil)
}

// cachedImages returns the images of the names when every one of them is cached, else nil.
func cachedImages(steps []step, names []string) []Image {
	var found []Image
	for _, n := range names {
		at := slices.IndexFunc(steps, func(st step) bool { return st.def.Name == n })
		if at < 0 || steps[at].record == nil {
			return nil
		}
		found = append(found, steps[at].record.Image)
	}
	return found
}

// step is what a plan says of one component.
type step struct {
	def    *Definition
	lock   Lock    // empty when it cannot be known before a dependency is built
	record *record // nil: must be made
	why    string  // why it must be made
}

// plan says for the named components and all they are made of whether they are cached, and if not, why not. It changes nothing.
func (s *Store) plan(ctx context.Context, from string, names []string) ([]step, error) {
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	defs, err := s.needed(from, names)
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	var steps []step
	for _, d := range defs {
		st, err := s.planOne(ctx, from, d, digests, records)
		if err != nil {
			return nil, err
		}
		if st.record != nil {
			digests[d.Name] = st.record.Digest
		}
		steps = append(steps, st)
	}
	return steps, nil
}

func (s *Store) planOne(ctx context.Context, from string, d *Definition, digests map[string]string, records []*record) (step, error) {
	st := step{def: d}
	if pulled(from, d) {
		st.lock = pullLock(d)
	} else {
		for _, dep := range d.dependencies() {
			if digests[dep] == "" {
				st.why = fmt.Sprintf("component %s, which it is made of, is built first", dep)
				return st, nil
			}
		}
		lock, err := s.locker.image(ctx, d, digests)
		if errors.Is(err, errNoGo) {
			st.why = "the go command is missing, so that its sources cannot be compared: build with Go, or use --images=bundle:FILE"
			return st, nil
		}
		if err != nil {
			return step{}, err
		}
		st.lock = lock
	}
	if st.record = find(records, d.Name, st.lock.Key()); st.record != nil && !s.blobs.complete(hash(st.record.Digest)) {
		st.record, st.why = nil, "its blobs are not all in the cache"
	} else if st.record == nil {
		st.why = s.reason(records, d.Name, st.lock)
	}
	return st, nil
}

// reason compares a lock with that of the newest image of the component.
func (s *Store) reason(records []*record, component string, now Lock) string {
	var newest *record
	for _, r := range records {
		if r.Component == component && (newest == nil || r.Built.After(newest.Built)) {
			newest = r
		}
	}
	if newest == nil {
		return "never built here"
	}
	return firstDifference(newest.Lock, now)
}

// needed is the named components and those they are made of, unless they are pulled as a whole.
func (s *Store) needed(from string, names []string) ([]*Definition, error) {
	defs := map[string]*Definition{}
	for n, d := range s.defs {
		if pulled(from, d) {
			d = &Definition{Name: d.Name, Dir: d.Dir, About: d.About, Version: d.Version, Ref: d.Ref, Upstream: d.Upstream}
		}
		defs[n] = d
	}
	return order(defs, names)
}

func pulled(from string, d *Definition) bool { return from == "pull" && d.Upstream != "" }

// refOf is the name pods use for a component's image.
func refOf(d *Definition, lock Lock) string {
	return cmp.Or(d.Ref, localTag(d.Name, lock.Key()))
}

// localTag is the name of a component's image by its key, on this machine only.
func localTag(component, key string) string { return localRegistry + "/" + component + ":" + key[:12] }

// keep records a finished image. From here on it counts as cached.
func (s *Store) keep(d *Definition, lock Lock, digest v1.Hash, source string) (*record, error) {
	_, size, err := s.blobs.members(digest)
	if err != nil {
		return nil, fmt.Errorf("record image of %s: %w", d.Name, err)
	}
	version := d.Version
	if source == "pull" {
		version = upstreamVersion(d)
	}
	r := &record{Image: Image{Component: d.Name, Version: version, Ref: refOf(d, lock), Digest: digest.String(), Key: lock.Key(),
		Size: size, Source: source}, Built: time.Now().UTC().Truncate(time.Second), Lock: lock}
	return r, s.writeRecords(r)
}

// hash parses a digest of a record. A damaged one becomes the zero hash, which no blob has.
func hash(digest string) v1.Hash {
	h, err := v1.NewHash(digest)
	if err != nil {
		return v1.Hash{}
	}
	return h
}

// open returns a cached image for reading.
func (s *Store) open(img Image) (v1.Image, error) {
	got, err := s.blobs.image(hash(img.Digest))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("image %s of component %s is not in the cache any more: run `rollproof images build %s`",
			img.Digest, img.Component, img.Component)
	}
	return got, err
}
