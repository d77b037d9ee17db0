package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// blobDir is the blobs of an OCI image layout. A file in it is whole and is what its name says: everything is written under a
// temporary name first. (go-containerregistry's layout package writes manifests in place, which an interrupt would leave half-written.)
type blobDir string

func (b blobDir) path(h v1.Hash) string { return filepath.Join(string(b), h.Algorithm, h.Hex) }

func (b blobDir) has(h v1.Hash) bool {
	info, err := os.Stat(b.path(h))
	return err == nil && info.Mode().IsRegular()
}

// write stores what r gives and returns its digest and size. A want that is not nil must be the digest.
func (b blobDir) write(r io.Reader, want *v1.Hash) (v1.Hash, int64, error) {
	dir := filepath.Join(string(b), "sha256")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return v1.Hash{}, 0, err
	}
	tmp, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return v1.Hash{}, 0, err
	}
	defer os.Remove(tmp.Name()) // gone already when renamed
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(tmp, sum), r)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return v1.Hash{}, 0, fmt.Errorf("write blob: %w", err)
	}
	h := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	if want != nil && h != *want {
		return h, size, fmt.Errorf("write blob: content has digest %s, want %s", h, *want)
	}
	return h, size, os.Rename(tmp.Name(), b.path(h))
}

// temporary begins the names of files that are not whole yet; prune removes what a killed process left of them.
const temporary = ".tmp-"

// addLayer compresses a tar stream into a layer, in one pass. The same stream gives the same layer.
func (b blobDir) addLayer(tarball io.Reader) (v1.Layer, error) {
	reader, writer := io.Pipe()
	diff := sha256.New()
	go func() {
		zip, err := gzip.NewWriterLevel(writer, gzip.BestSpeed)
		if err == nil {
			_, err = io.Copy(io.MultiWriter(zip, diff), tarball)
			err = errors.Join(err, zip.Close())
		}
		writer.CloseWithError(err)
	}()
	digest, size, err := b.write(reader, nil)
	reader.CloseWithError(err) // ends the writer when write gave up early
	if err != nil {
		return nil, err
	}
	diffID := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(diff.Sum(nil))}
	return b.layer(v1.Descriptor{MediaType: types.OCILayer, Digest: digest, Size: size}, diffID)
}

// layer is a layer whose blob is here.
func (b blobDir) layer(d v1.Descriptor, diffID v1.Hash) (v1.Layer, error) {
	return partial.CompressedToLayer(storedLayer{blobs: b, desc: d, diffID: diffID})
}

type storedLayer struct {
	blobs  blobDir
	desc   v1.Descriptor
	diffID v1.Hash
}

func (l storedLayer) Digest() (v1.Hash, error)            { return l.desc.Digest, nil }
func (l storedLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l storedLayer) Size() (int64, error)                { return l.desc.Size, nil }
func (l storedLayer) MediaType() (types.MediaType, error) { return l.desc.MediaType, nil }
func (l storedLayer) Compressed() (io.ReadCloser, error)  { return os.Open(l.blobs.path(l.desc.Digest)) }
func (l storedLayer) Descriptor() (*v1.Descriptor, error) { d := l.desc; return &d, nil }

// writeImage stores an image: layers that are not here yet, its configuration, and last its manifest.
func (b blobDir) writeImage(img v1.Image) (v1.Hash, error) {
	layers, err := img.Layers()
	if err != nil {
		return v1.Hash{}, err
	}
	for _, layer := range layers {
		if err := b.writeLayer(layer); err != nil {
			return v1.Hash{}, err
		}
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return v1.Hash{}, err
	}
	configName, err := img.ConfigName()
	if err != nil {
		return v1.Hash{}, err
	}
	if _, _, err := b.write(bytes.NewReader(config), &configName); err != nil {
		return v1.Hash{}, err
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	digest, _, err := b.write(bytes.NewReader(manifest), nil)
	return digest, err
}

func (b blobDir) writeLayer(layer v1.Layer) error {
	digest, err := layer.Digest()
	if err != nil {
		return err
	}
	if b.has(digest) {
		return nil
	}
	r, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	_, _, err = b.write(r, &digest)
	return err
}

// image opens a stored image by its manifest's digest.
func (b blobDir) image(digest v1.Hash) (v1.Image, error) {
	raw, err := os.ReadFile(b.path(digest))
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", digest, err)
	}
	return partial.CompressedToImage(storedImage{blobs: b, raw: raw, manifest: manifest})
}

type storedImage struct {
	blobs    blobDir
	raw      []byte
	manifest *v1.Manifest
}

func (i storedImage) RawManifest() ([]byte, error)        { return i.raw, nil }
func (i storedImage) MediaType() (types.MediaType, error) { return i.manifest.MediaType, nil }
func (i storedImage) RawConfigFile() ([]byte, error) {
	return os.ReadFile(i.blobs.path(i.manifest.Config.Digest))
}

func (i storedImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	at := slices.IndexFunc(i.manifest.Layers, func(d v1.Descriptor) bool { return d.Digest == h })
	if at < 0 {
		return nil, fmt.Errorf("no layer %s in this image", h)
	}
	config, err := partial.ConfigFile(i)
	if err != nil {
		return nil, err
	}
	if len(config.RootFS.DiffIDs) != len(i.manifest.Layers) {
		return nil, fmt.Errorf("image has %d layers and %d diff ids", len(i.manifest.Layers), len(config.RootFS.DiffIDs))
	}
	return storedLayer{blobs: i.blobs, desc: i.manifest.Layers[at], diffID: config.RootFS.DiffIDs[at]}, nil
}

// descriptor describes a stored image's manifest.
func (b blobDir) descriptor(digest v1.Hash) (v1.Descriptor, error) {
	raw, err := os.ReadFile(b.path(digest))
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("read manifest %s: %w", digest, err)
	}
	return v1.Descriptor{MediaType: manifest.MediaType, Digest: digest, Size: int64(len(raw))}, nil
}

// members returns the digests of all blobs of a stored image, the manifest's own first, and the sum of their sizes in bytes.
func (b blobDir) members(digest v1.Hash) ([]v1.Hash, int64, error) {
	raw, err := os.ReadFile(b.path(digest))
	if err != nil {
		return nil, 0, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, 0, fmt.Errorf("read manifest %s: %w", digest, err)
	}
	all, size := []v1.Hash{digest}, int64(len(raw))
	for _, d := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		if !slices.Contains(all, d.Digest) {
			all, size = append(all, d.Digest), size+d.Size
		}
	}
	return all, size, nil
}

// complete reports whether every blob of a stored image is here with its size.
func (b blobDir) complete(digest v1.Hash) bool {
	raw, err := os.ReadFile(b.path(digest))
	if err != nil {
		return false
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return false
	}
	for _, d := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		if info, err := os.Stat(b.path(d.Digest)); err != nil || info.Size() != d.Size {
			return false
		}
	}
	return true
}

// entry is one file on its way into a layer.
type entry struct {
	path string // in the image, absolute
	from string // on this machine
	link string // what a symbolic link points to; then there is no from
}

// layerTar writes files as a tar whose bytes depend only on names and contents: sorted, owned by root, at the start of 1970.
func layerTar(w io.Writer, entries []entry) error {
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return strings.Compare(a.path, b.path) })
	out := tar.NewWriter(w)
	made := map[string]bool{".": true, "/": true}
	for i, e := range sorted {
		if i > 0 && e.path == sorted[i-1].path {
			return fmt.Errorf("two files want to be %s: %s and %s", e.path, sorted[i-1].from, e.from)
		}
		if err := addFolders(out, made, path.Dir(e.path)); err != nil {
			return err
		}
		add := addFile
		if e.link != "" {
			add = addLink
		}
		if err := add(out, e); err != nil {
			return fmt.Errorf("pack %s: %w", e.path, err)
		}
	}
	return out.Close()
}

func addFolders(out *tar.Writer, made map[string]bool, dir string) error {
	if made[dir] {
		return nil
	}
	made[dir] = true
	if err := addFolders(out, made, path.Dir(dir)); err != nil {
		return err
	}
	return out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o755, ModTime: time.Unix(0, 0)})
}

func addLink(out *tar.Writer, e entry) error {
	return out.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: strings.TrimPrefix(e.path, "/"), Linkname: e.link, Mode: 0o777, ModTime: time.Unix(0, 0)})
}

func addFile(out *tar.Writer, e entry) error {
	f, err := os.Open(e.from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode, err := modeFor(f)
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(e.path, "/"), Mode: mode, Size: info.Size(), ModTime: time.Unix(0, 0)}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return err
}

// modeFor is 0755 for what can be executed (a script or an ELF binary), else 0644: module zips carry no modes.
func modeFor(f *os.File) (int64, error) {
	head := make([]byte, 4)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if bytes.HasPrefix(head[:n], []byte("#!")) || bytes.Equal(head[:n], []byte("\x7fELF")) {
		return 0o755, nil
	}
	return 0o644, nil
}

// writeFile replaces a file as a whole: a reader sees the old or the new content, never a part.
func writeFile(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), temporary+"*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

func writeJSON(file string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(file, append(data, '\n'))
}
