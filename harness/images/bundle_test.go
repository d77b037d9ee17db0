package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// bundled builds everything of a project and saves it.
func bundled(t *testing.T) (p *project, file string, saved []Image) {
	t.Helper()
	p = newProject(t)
	file = filepath.Join(t.TempDir(), "bundle.tar")
	saved, err := p.open("source").Save(t.Context(), file, "tool", "house")
	if err != nil {
		t.Fatal(err)
	}
	return p, file, saved
}

func TestSaveAndLoadOnAnEmptyCacheGivesTheSameDigests(t *testing.T) {
	p, file, saved := bundled(t)
	if len(saved) != 3 {
		t.Fatalf("saved %v, want tool, house and its base", saved)
	}
	p.cache = t.TempDir()
	s := p.open("source")
	loaded, err := s.Load(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range saved {
		if loaded[i].Digest != saved[i].Digest || loaded[i].Key != saved[i].Key || loaded[i].Source != "bundle" {
			t.Errorf("loaded %+v, saved %+v", loaded[i], saved[i])
		}
	}
	if got := p.missing(); got != "" {
		t.Errorf("after loading, %q would still be built", got)
	}
	if got := files(t, s, loaded[1]); got["etc/motd"] != "644 hello\n" {
		t.Errorf("the loaded image holds %q", got)
	}
	// Any OCI tool can read what we keep.
	l, err := layout.FromPath(s.LayoutDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, img := range loaded {
		if _, err := l.Image(hash(img.Digest)); err != nil {
			t.Errorf("as an OCI layout: %v", err)
		}
	}
}

func TestTheSameImagesMakeTheSameBlobsWhereverTheyAreSaved(t *testing.T) {
	_, file, _ := bundled(t)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	names := entryNames(t, data)
	if names[0] != bundleManifest || names[len(names)-1] != bundleSums {
		t.Errorf("entries %v, want %s first and %s last", names, bundleManifest, bundleSums)
	}
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			t.Errorf("%s is in the bundle twice", n)
		}
		seen[n] = true
	}
}

func entryNames(t *testing.T, data []byte) []string {
	t.Helper()
	var names []string
	for in := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

// edit copies a tar entry by entry through change, which returns false to drop one.
func edit(t *testing.T, data []byte, change func(h *tar.Header, content []byte) ([]byte, bool)) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for in := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return out.Bytes()
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		content, keep := change(h, content)
		if !keep {
			continue
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTruncatedAndAlteredBundlesAreRefused(t *testing.T) {
	p, file, _ := bundled(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(name string) func(h *tar.Header, content []byte) ([]byte, bool) {
		return func(h *tar.Header, content []byte) ([]byte, bool) {
			if strings.HasPrefix(h.Name, name) {
				content[len(content)/2] ^= 1
			}
			return content, true
		}
	}
	drop := func(name string) func(h *tar.Header, content []byte) ([]byte, bool) {
		return func(h *tar.Header, content []byte) ([]byte, bool) { return content, !strings.HasPrefix(h.Name, name) }
	}
	replace := func(name, old, new string) func(h *tar.Header, content []byte) ([]byte, bool) {
		return func(h *tar.Header, content []byte) ([]byte, bool) {
			if h.Name == name {
				content = bytes.ReplaceAll(content, []byte(old), []byte(new))
			}
			return content, true
		}
	}
	cases := map[string][]byte{
		"empty":                {},
		"no tar":               []byte(strings.Repeat("no tar at all ", 100)),
		"a flipped blob":       edit(t, whole, flip("blobs/")),
		"a flipped manifest":   edit(t, whole, flip(bundleManifest)),
		"flipped sums":         edit(t, whole, flip(bundleSums)),
		"another index":        edit(t, whole, replace("index.json", "rollproof", "someone")),
		"another key":          edit(t, whole, replace(bundleManifest, `"key": "`, `"key": "0`)),
		"without its blobs":    edit(t, whole, drop("blobs/")),
		"without its end":      edit(t, whole, drop(bundleSums)),
		"without its manifest": edit(t, whole, drop(bundleManifest)),
		"a file that escapes": edit(t, whole, func(h *tar.Header, c []byte) ([]byte, bool) {
			h.Name = strings.Replace(h.Name, "blobs/", "blobs/../../", 1)
			return c, true
		}),
		"a newer format":          edit(t, whole, replace(bundleManifest, `"format": 1`, `"format": 2`)),
		"something after its end": append(bytes.TrimRight(whole, "\x00"), edit(t, whole, drop("blobs/"))...),
	}
	for at := 1; at < len(whole); at += len(whole)/25 + 1 {
		cases[fmt.Sprintf("cut after %d bytes", at)] = whole[:at]
	}
	p.cache = t.TempDir()
	before := p.missing()
	for name, data := range cases {
		bad := filepath.Join(t.TempDir(), "bad.tar")
		if err := os.WriteFile(bad, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s := p.open("source")
		_, err := s.Load(t.Context(), bad)
		if err == nil {
			t.Errorf("%s: loaded", name)
			continue
		}
		if msg := err.Error(); strings.Contains(msg, "\n") || !strings.Contains(msg, bad) || !strings.Contains(msg, "nothing was loaded") {
			t.Errorf("%s: said %q, want one line with the file", name, msg)
		}
		if _, err := p.open("bundle:"+bad).Ensure(t.Context(), "tool"); err == nil {
			t.Errorf("%s: used by --images=bundle", name)
		}
		if blobs, _ := os.ReadDir(filepath.Join(string(s.blobs), "sha256")); len(blobs) != 0 {
			t.Fatalf("%s: left %d blobs", name, len(blobs))
		}
	}
	if got := p.missing(); got != before {
		t.Errorf("bad bundles changed what would be built from %q to %q", before, got)
	}
}

func TestBundleAsSource(t *testing.T) {
	p, file, saved := bundled(t)
	p.cache = t.TempDir()
	s := p.open("bundle:" + file)
	got, err := s.Ensure(t.Context(), "house")
	if err != nil || got[0].Digest != saved[1].Digest && got[0].Digest != saved[0].Digest {
		t.Fatalf("house of the bundle: %v, %v; saved %v", got, err, saved)
	}
	if got[0].Source != "bundle" {
		t.Errorf("source %q, want bundle", got[0].Source)
	}
	// What the project would build now does not matter: the bundle was asked for.
	p.write("fixtures/images/house/roof", "changed")
	again, err := p.open("bundle:"+file).Ensure(t.Context(), "house")
	if err != nil || again[0].Digest != got[0].Digest {
		t.Errorf("after a change: %v, %v", again, err)
	}
	p.component("shed", "about: x\nversion: \"1\"\nfrom: floor\n")
	if _, err := p.open("bundle:"+file).Ensure(t.Context(), "shed"); err == nil || !strings.Contains(err.Error(), "has no component shed: it has floor, house, tool") {
		t.Errorf("a component that the bundle lacks: %v", err)
	}
	if _, err := p.open("bundle:"+file+".nowhere").Ensure(t.Context(), "house"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a bundle that does not exist: %v", err)
	}
}

func TestSaveIntoAMissingFolderLeavesNothing(t *testing.T) {
	p := newProject(t)
	dir := t.TempDir()
	if _, err := p.open("source").Save(t.Context(), filepath.Join(dir, "no", "bundle.tar"), "house"); err == nil {
		t.Error("saved into a folder that does not exist")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func FuzzBundle(f *testing.F) {
	var small bytes.Buffer
	w := tar.NewWriter(&small)
	for _, name := range []string{bundleManifest, "oci-layout", "blobs/sha256/" + strings.Repeat("0", 64), bundleSums} {
		if err := addBytes(w, name, []byte("{}")); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(small.Bytes())
	f.Add([]byte{})
	unpacked, empty := blobDir(f.TempDir()), blobDir(f.TempDir())
	f.Fuzz(func(t *testing.T, data []byte) {
		content, err := readBundle(t.Context(), bytes.NewReader(data), unpacked)
		if err == nil && content.check(empty) == nil {
			t.Error("a bundle without its blobs was accepted")
		}
	})
}
