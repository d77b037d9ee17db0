package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A bundle is a tar of an OCI image layout for machines without a network. Its first file, bundle.json, lists the images with their
// locks; then come the blobs, each named by its digest; the last file, sums, has the sha256 of the files that are not. A bundle without
// it was cut short.
const (
	bundleManifest = "bundle.json"
	bundleSums     = "sums"
	bundleFormat   = 1
)

// bundleContent is bundle.json.
type bundleContent struct {
	Format  int       `json:"format"`
	Records []*record `json:"records"`
}

// maxBundleText bounds what is read into memory of a bundle's own files.
const maxBundleText = 16 << 20

// Save writes the named components (all when none is named) and all they are made of to a file, after making what is missing. The file
// appears under its name when it is whole.
func (s *Store) Save(ctx context.Context, file string, names ...string) ([]Image, error) {
	images, err := s.Ensure(ctx, names...)
	if err != nil {
		return nil, err
	}
	records, err := s.withDependencies(ctx, images)
	if err != nil {
		return nil, err
	}
	step := s.show.Start("save bundle")
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+temporary+"*")
	if err != nil {
		return nil, step.Done(fmt.Errorf("save bundle: %w", err))
	}
	defer os.Remove(tmp.Name())
	err = s.writeBundle(ctx, tmp, records)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return nil, step.Done(fmt.Errorf("save bundle %s: %w", file, err))
	}
	var saved []Image
	for _, r := range records {
		saved = append(saved, r.Image)
	}
	return saved, step.Done(nil)
}

// withDependencies returns the records of images and, where they are cached too, of the images they are made of: with those a machine
// without a network can compute the same locks.
func (s *Store) withDependencies(ctx context.Context, images []Image) ([]*record, error) {
	all, err := s.records()
	if err != nil {
		return nil, err
	}
	var names []string
	var out []*record
	for _, img := range images {
		r := find(all, img.Component, img.Key)
		if r == nil {
			return nil, fmt.Errorf("image of component %s vanished from the cache", img.Component)
		}
		out, names = append(out, r), append(names, img.Component)
	}
	steps, err := s.plan(ctx, "source", names)
	if err != nil {
		return nil, err
	}
	for _, st := range steps {
		if st.record != nil && find(out, st.def.Name, st.record.Key) == nil {
			out = append(out, st.record)
		}
	}
	slices.SortFunc(out, func(a, b *record) int { return strings.Compare(a.Component+a.Key, b.Component+b.Key) })
	return out, nil
}

func (s *Store) writeBundle(ctx context.Context, w io.Writer, records []*record) error {
	out := tar.NewWriter(w)
	sums := &strings.Builder{}
	text := func(name string, data []byte) error {
		h, _, err := v1.SHA256(strings.NewReader(string(data)))
		if err != nil {
			return err
		}
		fmt.Fprintf(sums, "%s  %s\n", h.Hex, name)
		return addBytes(out, name, data)
	}
	manifest, err := json.MarshalIndent(bundleContent{Format: bundleFormat, Records: records}, "", "  ")
	if err != nil {
		return err
	}
	index, err := s.indexOf(records)
	if err != nil {
		return err
	}
	rawIndex, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	if err := errors.Join(text(bundleManifest, manifest), text("oci-layout", []byte(layoutMarker)), text("index.json", rawIndex)); err != nil {
		return err
	}
	written := map[v1.Hash]bool{}
	for _, r := range records {
		members, _, err := s.blobs.members(hash(r.Digest))
		if err != nil {
			return err
		}
		for _, h := range members {
			if written[h] {
				continue
			}
			written[h] = true
			if err := errors.Join(ctx.Err(), s.bundleBlob(out, h)); err != nil {
				return err
			}
		}
	}
	return errors.Join(addBytes(out, bundleSums, []byte(sums.String())), out.Close())
}

func (s *Store) bundleBlob(out *tar.Writer, h v1.Hash) error {
	f, err := os.Open(s.blobs.path(h))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: blobName(h), Mode: 0o644, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return err
}

// Load takes a bundle into the cache. All of it is checked before anything of it counts: on an error the cache is as it was.
func (s *Store) Load(ctx context.Context, file string) ([]Image, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("load bundle: %w", err)
	}
	defer f.Close()
	unlock, err := s.lockCache(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	step := s.show.Start("load bundle")
	images, err := s.load(ctx, f)
	if err != nil {
		err = fmt.Errorf("load bundle %s: %w; nothing was loaded", file, err)
	}
	return images, step.Done(err)
}

func (s *Store) load(ctx context.Context, r io.Reader) ([]Image, error) {
	scratch, err := s.scratch()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	unpacked := blobDir(filepath.Join(scratch, "blobs"))
	content, err := readBundle(ctx, r, unpacked)
	if err != nil {
		return nil, err
	}
	if err := content.check(unpacked); err != nil {
		return nil, err
	}
	return s.adopt(content, unpacked)
}

// adopt moves checked blobs into the cache and then records their images.
func (s *Store) adopt(content *bundleContent, unpacked blobDir) ([]Image, error) {
	var images []Image
	for _, r := range content.Records {
		members, _, err := unpacked.members(hash(r.Digest))
		if err != nil {
			return nil, err
		}
		for _, h := range members {
			// A link, because two images of the bundle may share a blob.
			if err := os.Link(unpacked.path(h), s.blobs.path(h)); err != nil && !errors.Is(err, os.ErrExist) {
				return nil, err
			}
		}
		r.Source, r.Built = "bundle", time.Now().UTC().Truncate(time.Second)
		images = append(images, r.Image)
	}
	return images, s.writeRecords(content.Records...)
}

var blobEntry = regexp.MustCompile(`^blobs/sha256/([0-9a-f]{64})$`)

// readBundle unpacks a bundle's blobs and checks every byte of it against a digest.
func readBundle(ctx context.Context, r io.Reader, blobs blobDir) (*bundleContent, error) {
	in := tar.NewReader(r)
	texts := map[string][]byte{}
	var order []string
	for ctx.Err() == nil {
		header, err := in.Next()
		if errors.Is(err, io.EOF) && texts[bundleSums] == nil {
			return nil, errors.New("it is truncated: its end is missing")
		}
		if errors.Is(err, io.EOF) {
			return parseBundle(texts, order)
		}
		if err != nil {
			return nil, fmt.Errorf("it is truncated or no bundle: %w", err)
		}
		if texts[bundleSums] != nil {
			return nil, fmt.Errorf("it is altered: %q comes after its end", header.Name)
		}
		if err := readBundleEntry(in, header, blobs, texts); err != nil {
			return nil, err
		}
		order = append(order, header.Name)
	}
	return nil, ctx.Err()
}

func readBundleEntry(in *tar.Reader, header *tar.Header, blobs blobDir, texts map[string][]byte) error {
	// Save writes plain files only. A sparse one could unpack to far more than the bundle's size.
	if header.Typeflag != tar.TypeReg || len(header.PAXRecords) > 0 {
		return fmt.Errorf("it is altered or no bundle: %q is not a plain file", header.Name)
	}
	if m := blobEntry.FindStringSubmatch(header.Name); m != nil {
		_, _, err := blobs.write(in, &v1.Hash{Algorithm: "sha256", Hex: m[1]})
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it is truncated in the middle of a blob")
		}
		if err != nil {
			return fmt.Errorf("it is altered: %w", err)
		}
		return nil
	}
	if !slices.Contains([]string{bundleManifest, "oci-layout", "index.json", bundleSums}, header.Name) || texts[header.Name] != nil {
		return fmt.Errorf("it is altered or no bundle: unexpected file %q", header.Name)
	}
	data, err := io.ReadAll(io.LimitReader(in, maxBundleText+1))
	if err != nil {
		return fmt.Errorf("it is truncated in %s: %w", header.Name, err)
	}
	if len(data) > maxBundleText {
		return fmt.Errorf("it is no bundle: %s is larger than %d bytes", header.Name, maxBundleText)
	}
	texts[header.Name] = append([]byte{}, data...)
	return nil
}

// parseBundle checks the files that are not named by their digest against sums.
func parseBundle(texts map[string][]byte, order []string) (*bundleContent, error) {
	var want strings.Builder
	for _, n := range order {
		if n == bundleSums || blobEntry.MatchString(n) {
			continue
		}
		h, _, err := v1.SHA256(strings.NewReader(string(texts[n])))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&want, "%s  %s\n", h.Hex, n)
	}
	if want.String() != string(texts[bundleSums]) {
		return nil, errors.New("it is altered: the files in it do not have the checksums it was saved with")
	}
	content := &bundleContent{}
	if err := json.Unmarshal(texts[bundleManifest], content); err != nil {
		return nil, fmt.Errorf("it is no bundle: %s: %w", bundleManifest, err)
	}
	if content.Format != bundleFormat {
		return nil, fmt.Errorf("its format is %d, this rollproof reads %d: save it again with this version", content.Format, bundleFormat)
	}
	return content, nil
}

// check makes sure that every image of the bundle is whole and is what its lock says.
func (c *bundleContent) check(blobs blobDir) error {
	if len(c.Records) == 0 {
		return errors.New("it has no images")
	}
	for _, r := range c.Records {
		if r == nil || !plainName.MatchString(r.Component) || r.Lock.Key() != r.Key {
			return errors.New("it is altered: an image does not have the key of its lock")
		}
		if !blobs.complete(hash(r.Digest)) {
			return fmt.Errorf("it is not whole: blobs of component %s are missing", r.Component)
		}
	}
	return nil
}

// ensureFromBundle returns the images of --images=bundle:FILE, and loads the bundle if the cache does not have them yet.
func (s *Store) ensureFromBundle(ctx context.Context, names []string) ([]Image, error) {
	content, err := peekBundle(s.bundle)
	if err != nil {
		return nil, fmt.Errorf("--images=bundle:%s: %w", s.bundle, err)
	}
	have, err := s.records()
	if err != nil {
		return nil, err
	}
	var found []Image
	missing := false
	for _, n := range names {
		at := slices.IndexFunc(content.Records, func(r *record) bool { return r.Component == n })
		if at < 0 {
			return nil, fmt.Errorf("--images=bundle:%s has no component %s: it has %s", s.bundle, n, content.components())
		}
		img := content.Records[at].Image
		img.Source = "bundle"
		cached := find(have, n, img.Key)
		missing = missing || cached == nil || cached.Digest != img.Digest || !s.blobs.complete(hash(img.Digest))
		found = append(found, img)
	}
	if missing {
		if _, err := s.Load(ctx, s.bundle); err != nil {
			return nil, err
		}
	}
	return found, s.sayDifferences(ctx, content, names)
}

// sayDifferences tells where a bundle's images are not what this project would build: it is used all the same, as was asked for.
func (s *Store) sayDifferences(ctx context.Context, content *bundleContent, names []string) error {
	steps, err := s.plan(ctx, "source", names)
	if err != nil {
		return err
	}
	for _, r := range content.Records {
		st := stepOf(steps, r.Component)
		if !slices.Contains(names, r.Component) || st.lock == "" || st.lock.Key() == r.Key {
			continue
		}
		step := s.show.Start("image " + r.Component + " of the bundle")
		step.Say("it is not what this project would build: %s", firstDifference(r.Lock, st.lock))
		_ = step.Done(nil)
	}
	return nil
}

// peekBundle reads only bundle.json, which comes first. What it says is trusted no further than the digests in it.
func peekBundle(file string) (*bundleContent, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := tar.NewReader(f)
	header, err := in.Next()
	if err != nil || header.Name != bundleManifest {
		return nil, fmt.Errorf("it is no bundle: its first file is not %s", bundleManifest)
	}
	content := &bundleContent{}
	if err := json.NewDecoder(io.LimitReader(in, maxBundleText)).Decode(content); err != nil {
		return nil, fmt.Errorf("it is no bundle: %s: %w", bundleManifest, err)
	}
	if slices.Contains(content.Records, nil) {
		return nil, errors.New("it is no bundle: an empty record")
	}
	return content, nil
}

func (c *bundleContent) components() string {
	var names []string
	for _, r := range c.Records {
		names = append(names, r.Component)
	}
	return strings.Join(names, ", ")
}
