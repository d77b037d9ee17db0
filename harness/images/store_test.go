package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"bitvault.dev/rollproof/harness/progress"
)

// project is a small project of its own: a base of one file, a tool with its own Go module, and an image on top of the base.
type project struct {
	t     *testing.T
	root  string
	cache string
}

func newProject(t *testing.T) *project {
	t.Helper()
	p := &project{t: t, root: t.TempDir(), cache: t.TempDir()}
	p.write("go.mod", "module bitvault.dev/rollproof\n\ngo 1.26.0\n")
	p.component("floor", "about: a base\nversion: \"1\"\nfiles:\n- {path: etc, to: /etc}\n")
	p.write("fixtures/images/floor/etc/motd", "hello\n")
	p.component("tool", "about: a tool\nversion: v1.2.3\ngo:\n- module: .\n  install: {/usr/local/bin: [tool]}\nconfig:\n  entrypoint: [/usr/local/bin/tool]\n")
	p.write("fixtures/images/tool/go.mod", "module example.test/tool\n\ngo 1.26.0\n")
	p.write("fixtures/images/tool/main.go", "package main\n\nfunc main() { println(\"tool\") }\n")
	p.component("house", "about: on the base\nversion: \"1\"\nfrom: floor\nfiles:\n- {path: roof, to: /}\n")
	p.write("fixtures/images/house/roof", "#!/bin/sh\n")
	return p
}

func (p *project) write(file, text string) {
	p.t.Helper()
	full := filepath.Join(p.root, file)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) component(name, text string) {
	p.write(filepath.Join("fixtures/images", name, definitionFile), text)
}

func (p *project) open(source string) *Store {
	p.t.Helper()
	s, err := Open(p.t.Context(), Options{Root: p.root, Cache: p.cache, Source: source})
	if err != nil {
		p.t.Fatal(err)
	}
	s.engine = &fakeEngine{}
	s.sources = nil
	return s
}

func (p *project) ensure(names ...string) []Image {
	p.t.Helper()
	made, err := p.open("source").Ensure(p.t.Context(), names...)
	if err != nil {
		p.t.Fatal(err)
	}
	return made
}

// missing names what a plan would make, in order.
func (p *project) missing() string {
	p.t.Helper()
	s := p.open("source")
	steps, err := s.plan(p.t.Context(), "source", s.Components())
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, st := range steps {
		if st.record == nil {
			names = append(names, st.def.Name)
		}
	}
	return strings.Join(names, " ")
}

// fakeEngine keeps loaded images and "builds" by putting one layer with the whole build context on the base.
type fakeEngine struct {
	mu     sync.Mutex
	images map[string]v1.Image
	loads  int
	fails  error
	sent   []string // files of the last build context
}

func (f *fakeEngine) answers(context.Context) error { return f.fails }

func (f *fakeEngine) id(_ context.Context, tag string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.images[tag] == nil {
		return "", nil
	}
	h, err := f.images[tag].ConfigName()
	return h.String(), err
}

func (f *fakeEngine) load(_ context.Context, tag string, img v1.Image) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.images == nil {
		f.images = map[string]v1.Image{}
	}
	f.images[tag], f.loads = img, f.loads+1
	return nil
}

func (f *fakeEngine) build(_ context.Context, r io.Reader, tags buildTags, _ string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	f.sent = nil
	for in := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := in.Next()
		if err != nil {
			break
		}
		f.sent = append(f.sent, h.Name)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	if err != nil {
		return err
	}
	base := f.images[tags.base]
	if base == nil {
		return fmt.Errorf("no image %s", tags.base)
	}
	f.images[tags.result], err = mutate.AppendLayers(base, layer)
	return err
}

func (f *fakeEngine) save(_ context.Context, tag, file string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return tarball.WriteToFile(file, mustTag(tag), f.images[tag])
}

func (f *fakeEngine) forget(_ context.Context, _ string, tags ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range tags {
		delete(f.images, t)
	}
}

// files lists an image's flattened content as path to text.
func files(t *testing.T, s *Store, img Image) map[string]string {
	t.Helper()
	stored, err := s.open(img)
	if err != nil {
		t.Fatal(err)
	}
	r := mutate.Extract(stored)
	defer r.Close()
	found := map[string]string{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			found[h.Name] = fmt.Sprintf("%o %s", h.Mode, data)
		}
		if h.Typeflag == tar.TypeSymlink {
			found[h.Name] = "-> " + h.Linkname
		}
	}
}

func TestEnsureBuildsOnceAndDeterministically(t *testing.T) {
	p := newProject(t)
	first := p.ensure("tool", "house")
	s := p.open("source")
	if got := files(t, s, first[1]); got["etc/motd"] != "644 hello\n" || got["roof"] != "755 #!/bin/sh\n" {
		t.Errorf("house holds %q", got)
	}
	if first[0].Version != "v1.2.3" || first[0].Ref != "rollproof.local/tool:"+first[0].Key[:12] || first[0].Source != "source" || first[0].Size == 0 {
		t.Errorf("image %+v", first[0])
	}
	// A second call must not even start the go command: without one in the PATH it still has everything.
	before := listTree(t, p.cache)
	again, err := s.Ensure(t.Context(), "tool", "house")
	if err != nil || fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("second call: %v, %v; want %v", again, err, first)
	}
	if after := listTree(t, p.cache); after != before {
		t.Errorf("a second call changed the cache:\n%s\nwas\n%s", after, before)
	}
	// Another cache, the same digests.
	p.cache = t.TempDir()
	if other := p.ensure("tool", "house"); fmt.Sprint(other) != fmt.Sprint(first) {
		t.Errorf("built again from nothing: %v, want %v", other, first)
	}
}

func listTree(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if !info.IsDir() {
			fmt.Fprintf(&all, "%s %d %d\n", p, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestOnlyWhatChangedIsRebuilt(t *testing.T) {
	cases := map[string]struct {
		change func(p *project)
		want   string
	}{
		"nothing": {func(*project) {}, ""},
		"a comment in component.yaml": {func(p *project) {
			p.component("floor", "# a comment\nabout: a base\nversion: \"1\"\nfiles:\n- {path: etc, to: /etc}\n")
		}, ""},
		"what it is about, and its upstream": {func(p *project) {
			p.component("floor", "about: other\nversion: \"1\"\nupstream: example.test/floor:1\nfiles:\n- {path: etc, to: /etc}\n")
		}, ""},
		"a test":             {func(p *project) { p.write("fixtures/images/tool/main_test.go", "package main\n") }, ""},
		"code":               {func(p *project) { p.write("fixtures/images/tool/main.go", "package main\n\nfunc main() {}\n") }, "tool"},
		"a go directive":     {func(p *project) { p.write("fixtures/images/tool/go.mod", "module example.test/tool\n\ngo 1.25.0\n") }, "tool"},
		"a file of the base": {func(p *project) { p.write("fixtures/images/floor/etc/motd", "bye\n") }, "floor house"},
		"a new file on top": {func(p *project) {
			p.component("house", "about: on the base\nversion: \"2\"\nfrom: floor\nfiles:\n- {path: roof, to: /}\n")
		}, "house"},
		"a flag": {func(p *project) {
			p.component("tool", "about: a tool\nversion: v1.2.3\ngo:\n- {module: ., tags: [x], install: {/usr/local/bin: [tool]}}\nconfig:\n  entrypoint: [/usr/local/bin/tool]\n")
		}, "tool"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			p.ensure()
			if got := p.missing(); got != "" {
				t.Fatalf("right after building, %q would be built", got)
			}
			c.change(p)
			if got := p.missing(); got != c.want {
				t.Errorf("would build %q, want %q", got, c.want)
			}
		})
	}
}

func TestTheGoVersionIsPartOfTheKey(t *testing.T) {
	p := newProject(t)
	p.ensure()
	s := p.open("source")
	s.locker.toolchain = "go9.99"
	states, err := s.List(t.Context(), "tool", "floor")
	if err != nil {
		t.Fatal(err)
	}
	if states[0].Cached || !strings.Contains(states[0].Why, "go9.99") {
		t.Errorf("tool with another Go: %+v", states[0])
	}
	if !states[1].Cached {
		t.Error("an image without Go code is rebuilt for another Go version")
	}
}

func TestARebuildOfTheBaseReachesWhatStandsOnIt(t *testing.T) {
	p := newProject(t)
	before := p.ensure("house")[0]
	p.write("fixtures/images/floor/etc/motd", "bye\n")
	after := p.ensure("house")[0]
	if before.Key == after.Key || before.Digest == after.Digest {
		t.Error("house did not change although its base did")
	}
	if got := files(t, p.open("source"), after)["etc/motd"]; got != "644 bye\n" {
		t.Errorf("house still has the old base: %q", got)
	}
}

func TestAnInterruptedBuildGoesOn(t *testing.T) {
	p := newProject(t)
	p.component("engine", "about: x\nversion: \"1\"\nfrom: floor\ndockerfile: Dockerfile\ngo:\n- {module: bin, install: {/bin: [bin]}}\n")
	p.write("fixtures/images/engine/Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY rootfs/ /\n")
	p.write("fixtures/images/engine/bin/go.mod", "module example.test/bin\n\ngo 1.26.0\n")
	p.write("fixtures/images/engine/bin/main.go", "package main\n\nfunc main() {}\n")
	s := p.open("source")
	s.engine = &fakeEngine{fails: errors.New("pulled the plug")}
	if _, err := s.Ensure(t.Context(), "engine"); err == nil || !strings.Contains(err.Error(), "pulled the plug") {
		t.Fatalf("error %v", err)
	}
	if got := p.missing(); got != "engine house tool" {
		t.Errorf("after the interrupt %q would be built, want all but floor, which was finished", got)
	}
	builds, _ := os.ReadDir(s.binDir())
	if len(builds) != 1 {
		t.Fatalf("%d builds of binaries are kept, want the one that was finished", len(builds))
	}
	was, _ := builds[0].Info()
	s = p.open("source")
	fake := s.engine.(*fakeEngine)
	made, err := s.Ensure(t.Context(), "engine")
	if err != nil {
		t.Fatal(err)
	}
	builds, _ = os.ReadDir(s.binDir())
	if is, _ := builds[0].Info(); len(builds) != 1 || !is.ModTime().Equal(was.ModTime()) {
		t.Error("the finished binary was built again")
	}
	if got := strings.Join(fake.sent, " "); got != "Dockerfile rootfs/ rootfs/bin/ rootfs/bin/bin" {
		t.Errorf("the engine was sent %q", got)
	}
	if len(fake.images) != 0 {
		t.Errorf("the build left %d images in the engine", len(fake.images))
	}
	if left, _ := os.ReadDir(filepath.Join(p.cache, "images", "tmp")); len(left) != 0 {
		t.Errorf("scratch folders were left: %v", left)
	}
	if got := files(t, s, made[0]); got["etc/motd"] == "" {
		t.Errorf("the image is not on its base: %v", got)
	}
}

func TestPackageSourcesAreNotInTheImage(t *testing.T) {
	p := newProject(t)
	p.component("floor", "about: a base\nversion: \"1\"\nfiles:\n- {path: etc, to: /etc}\n")
	p.component("engine", "about: x\nversion: \"1\"\nfrom: floor\ndockerfile: Dockerfile\n")
	p.write("fixtures/images/engine/Dockerfile", "ARG BASE\nFROM ${BASE}\n")
	s := p.open("source")
	s.sources = parseList([]byte("deb http://mirror.invalid/debian bookworm main\n"))
	s.defs["floor"].Debootstrap = nil
	made, err := s.Ensure(t.Context(), "engine")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files(t, s, made[0]) {
		if strings.Contains(text, "mirror.invalid") || strings.Contains(name, "sources.list") {
			t.Errorf("%s in the image names the machine's mirror", name)
		}
	}
}

func TestCancelledBuildLeavesNothingHalfWritten(t *testing.T) {
	p := newProject(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := p.open("source")
	if _, err := s.Ensure(ctx, "tool", "house"); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled call ended with %v", err)
	}
	if got := p.missing(); got != "floor house tool" {
		t.Errorf("after a cancelled call %q would be built, want everything", got)
	}
	if left, _ := os.ReadDir(filepath.Join(p.cache, "images", "tmp")); len(left) != 0 {
		t.Errorf("scratch folders were left: %v", left)
	}
	p.ensure("tool", "house")
}

func TestDamagedBlobIsNoticedAndRebuilt(t *testing.T) {
	p := newProject(t)
	img := p.ensure("house")[0]
	s := p.open("source")
	members, _, err := s.blobs.members(hash(img.Digest))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.blobs.path(members[len(members)-1]), 3); err != nil {
		t.Fatal(err)
	}
	states, err := s.List(t.Context(), "house")
	if err != nil || states[0].Cached {
		t.Errorf("a cut blob: %+v, %v", states, err)
	}
	p.ensure("house")
	if states, err = s.List(t.Context(), "house"); err != nil || !states[0].Cached {
		t.Errorf("after building again: %+v, %v", states, err)
	}
}

func TestLoadIntoEngineOnlyOnce(t *testing.T) {
	p := newProject(t)
	img := p.ensure("house")[0]
	s := p.open("source")
	fake := s.engine.(*fakeEngine)
	for range 2 {
		tag, err := s.LoadIntoEngine(t.Context(), img)
		if err != nil || tag != "rollproof.local/house:"+img.Key[:12] {
			t.Fatalf("tag %q, %v", tag, err)
		}
	}
	if fake.loads != 1 {
		t.Errorf("loaded %d times, want once", fake.loads)
	}
	fake.fails = errors.New("no engine")
	if _, err := s.LoadIntoEngine(t.Context(), img); err == nil || !strings.Contains(err.Error(), "make docker") {
		t.Errorf("without an engine: %v, want what to do", err)
	}
}

func TestAnEngineIsStartedOnlyWhereNoneAnswers(t *testing.T) {
	p := newProject(t)
	img := p.ensure("house")[0]
	s := p.open("source")
	fake := s.engine.(*fakeEngine)
	started := 0
	s.ensureEngine = func(context.Context) error { started++; fake.fails = nil; return nil }
	if _, err := s.LoadIntoEngine(t.Context(), img); err != nil || started != 0 {
		t.Errorf("an engine that answers: %v, started %d times", err, started)
	}
	fake.fails = errors.New("connection refused")
	if _, err := s.LoadIntoEngine(t.Context(), img); err != nil || started != 1 {
		t.Errorf("an engine that does not: %v, started %d times", err, started)
	}
	s.ensureEngine = func(context.Context) error { return errors.New("not root") }
	fake.fails = errors.New("connection refused")
	if _, err := s.LoadIntoEngine(t.Context(), img); err == nil || !strings.Contains(err.Error(), "not root") {
		t.Errorf("an engine that cannot be started: %v", err)
	}
}

func TestOneProcessBuildsAtATime(t *testing.T) {
	p := newProject(t)
	s := p.open("source")
	unlock, err := s.lockCache(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	other := p.open("source")
	other.show = progress.New(&said, "")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := other.Ensure(ctx, "house")
		result <- err
	}()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for the lock ended with %v, want the context's end", err)
	}
	if want := fmt.Sprintf("process %d", os.Getpid()); said.Len() > 0 && !strings.Contains(said.String(), want) {
		t.Errorf("said %q, want the holder %s", said.String(), want)
	}
	unlock()
	if _, err := other.Ensure(t.Context(), "house"); err != nil {
		t.Errorf("after the lock was free: %v", err)
	}
}

func TestPruneKeepsWhatIsNamedAndSaysWhatItFreed(t *testing.T) {
	p := newProject(t)
	kept := p.ensure()
	before := listTree(t, filepath.Join(p.cache, "images", "layout"))
	s := p.open("source")
	if freed, err := s.Prune(t.Context()); err != nil || freed != (Freed{}) {
		t.Errorf("nothing to prune: %+v, %v", freed, err)
	}
	p.write("fixtures/images/tool/main.go", "package main\n\nfunc main() {}\n")
	p.ensure()
	p.write("fixtures/images/tool/main.go", "package main\n\nfunc main() { println(\"tool\") }\n")
	if err := os.WriteFile(filepath.Join(p.cache, "images/layout/blobs/sha256", temporary+"killed"), make([]byte, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	s = p.open("source")
	freed, err := s.Prune(t.Context())
	if err != nil || freed.Images != 2 || freed.Bytes < 100_000 {
		t.Errorf("pruned %+v, %v; want one image, one build and the leftover", freed, err)
	}
	if got := p.missing(); got != "" {
		t.Errorf("prune removed %q, which the present locks name", got)
	}
	if again := p.ensure(); fmt.Sprint(again) != fmt.Sprint(kept) {
		t.Errorf("after prune: %v, want %v", again, kept)
	}
	strip := func(tree string) string { return strings.Join(strings.Fields(tree)[:1], "") }
	if strip(listTree(t, filepath.Join(p.cache, "images", "layout"))) != strip(before) {
		t.Error("the layout changed")
	}
}

func mustTag(tag string) name.Tag {
	ref, err := name.NewTag(tag)
	if err != nil {
		panic(err)
	}
	return ref
}
