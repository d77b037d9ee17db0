package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// defaultPath is the PATH of images that set none: kubeadm's static pods name their binary without a folder.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// layered is a base (none: scratch) with one layer of files on top. It needs no engine and depends on nothing but its inputs.
func (s *Store) layered(from string, deps map[string]*record, files []entry, config Config, into blobDir) (v1.Image, error) {
	img := scratchImage()
	if from != "" {
		base, err := s.open(deps[from].Image)
		if err != nil {
			return nil, err
		}
		img = base
	}
	if len(files) > 0 {
		reader, writer := io.Pipe()
		go func() { writer.CloseWithError(layerTar(writer, files)) }()
		layer, err := into.addLayer(reader)
		reader.CloseWithError(err)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "rollproof images build"}}); err != nil {
			return nil, err
		}
	}
	return configured(img, config)
}

// scratchImage is an OCI image without layers, for this machine's architecture.
func scratchImage() v1.Image {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	file := &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}}}
	if with, err := mutate.ConfigFile(img, file); err == nil {
		return with
	}
	return img // cannot be: an empty image takes any configuration
}

func configured(img v1.Image, c Config) (v1.Image, error) {
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config := *file.Config.DeepCopy()
	env := map[string]string{"PATH": defaultPath}
	maps.Copy(env, c.Env)
	config.Env = nil
	for _, k := range slices.Sorted(maps.Keys(env)) {
		config.Env = append(config.Env, k+"="+env[k])
	}
	config.Entrypoint, config.Cmd, config.User, config.WorkingDir = c.Entrypoint, c.Cmd, c.User, c.WorkDir
	for _, port := range c.Ports {
		if config.ExposedPorts == nil {
			config.ExposedPorts = map[string]struct{}{}
		}
		config.ExposedPorts[port] = struct{}{}
	}
	return mutate.Config(img, config)
}

// named is an image with the full name it gets where it is imported.
type named struct {
	ref string
	img v1.Image
}

// preload makes the images that go into preload.tar. Those of binaries are put together here; their layers go to scratch blobs.
func (b *builder) preload(in *inputs, blobs blobDir) ([]named, error) {
	var all []named
	for _, p := range in.def.Preload {
		img, err := b.preloaded(in, p, blobs)
		if err != nil {
			return nil, fmt.Errorf("preload %s: %w", p.As, err)
		}
		all = append(all, named{ref: p.As, img: img})
	}
	return all, nil
}

func (b *builder) preloaded(in *inputs, p Preload, blobs blobDir) (v1.Image, error) {
	if p.Component != "" {
		return b.open(in.deps[p.Component].Image)
	}
	var files []entry
	for _, n := range p.Binaries {
		if in.binaries[n] == "" {
			return nil, fmt.Errorf("no build makes the binary %s", n)
		}
		files = append(files, entry{path: "/usr/local/bin/" + n, from: in.binaries[n]})
	}
	return b.layered(p.From, in.deps, files, p.Config, blobs)
}

// writeArchive writes images as a tar of an OCI layout, each blob once. Digests stay what they are; containerd takes the names from
// the annotation.
func writeArchive(w io.Writer, images []named) error {
	out := tar.NewWriter(w)
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	written := map[v1.Hash]bool{}
	for _, n := range images {
		d, err := partial.Descriptor(n.img)
		if err != nil {
			return fmt.Errorf("%s: %w", n.ref, err)
		}
		d.Annotations = map[string]string{"io.containerd.image.name": n.ref, "org.opencontainers.image.ref.name": n.ref}
		index.Manifests = append(index.Manifests, *d)
		if err := archiveImage(out, n.img, written); err != nil {
			return fmt.Errorf("%s: %w", n.ref, err)
		}
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return errors.Join(addBytes(out, "oci-layout", []byte(layoutMarker)), addBytes(out, "index.json", raw), out.Close())
}

func archiveImage(out *tar.Writer, img v1.Image, written map[v1.Hash]bool) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		h, err := l.Digest()
		if err != nil {
			return err
		}
		if written[h] {
			continue
		}
		written[h] = true
		if err := archiveLayer(out, l, h); err != nil {
			return err
		}
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return err
	}
	for _, raw := range [][]byte{config, manifest} {
		h, _, err := v1.SHA256(bytes.NewReader(raw))
		if err != nil {
			return err
		}
		if written[h] {
			continue
		}
		written[h] = true
		if err := addBytes(out, blobName(h), raw); err != nil {
			return err
		}
	}
	return nil
}

func archiveLayer(out *tar.Writer, l v1.Layer, h v1.Hash) error {
	size, err := l.Size()
	if err != nil {
		return err
	}
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: blobName(h), Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return err
}

// blobName is a blob's path in an OCI layout.
func blobName(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

func addBytes(out *tar.Writer, name string, data []byte) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
		return err
	}
	_, err := out.Write(data)
	return err
}

// buildInEngine builds a Dockerfile with the Docker engine and brings the result into the cache.
//
// Where apt gets its packages from is the machine's business and must not end up in an image. So the engine builds on the base plus
// one layer with the machine's package sources, and that layer is left out of what is kept.
func (b *builder) buildInEngine(ctx context.Context, in *inputs, files []entry) (v1.Hash, error) {
	if err := b.needEngine(ctx); err != nil {
		return v1.Hash{}, err
	}
	scratch, err := b.scratch()
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(scratch)
	base, err := b.open(in.deps[in.def.From].Image)
	if err != nil {
		return v1.Hash{}, err
	}
	tags := buildTags{base: localTag(in.def.Name, in.lock.Key()) + "-base", result: localTag(in.def.Name, in.lock.Key()) + "-build"}
	defer b.engine.forget(context.WithoutCancel(ctx), in.def.Name, tags.base, tags.result)
	in.say("hand the base to the engine")
	if err := b.loadBase(ctx, base, tags.base, scratch); err != nil {
		return v1.Hash{}, err
	}
	if err := b.runBuild(ctx, in, files, tags, scratch); err != nil {
		return v1.Hash{}, err
	}
	in.say("take the result into the cache")
	saved := filepath.Join(scratch, "saved.tar")
	if err := b.engine.save(ctx, tags.result, saved); err != nil {
		return v1.Hash{}, err
	}
	return b.importOn(base, saved)
}

type buildTags struct{ base, result string }

// loadBase loads the base with the machine's package sources on top.
func (b *builder) loadBase(ctx context.Context, base v1.Image, tag, scratch string) error {
	list := filepath.Join(scratch, "sources.list")
	if err := os.WriteFile(list, []byte(b.aptList()), 0o644); err != nil {
		return err
	}
	blobs := blobDir(filepath.Join(scratch, "blobs"))
	var packed bytes.Buffer
	if err := layerTar(&packed, []entry{{path: "/etc/apt/sources.list.d/rollproof.list", from: list}}); err != nil {
		return err
	}
	layer, err := blobs.addLayer(&packed)
	if err != nil {
		return err
	}
	with, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "package sources of the building machine"}})
	if err != nil {
		return err
	}
	return b.engine.load(ctx, tag, with)
}

// runBuild sends the build context: the Dockerfile, rootfs/ with all files where they belong, and preload.tar if the component has one.
func (b *builder) runBuild(ctx context.Context, in *inputs, files []entry, tags buildTags, scratch string) error {
	sent := []entry{{path: "/Dockerfile", from: filepath.Join(in.def.Dir, in.def.Dockerfile)}}
	for _, f := range files {
		sent = append(sent, entry{path: path.Join("/rootfs", f.path), from: f.from})
	}
	if len(in.def.Preload) > 0 {
		archive := filepath.Join(scratch, "preload.tar")
		if err := b.writePreload(in, archive, blobDir(filepath.Join(scratch, "blobs"))); err != nil {
			return err
		}
		sent = append(sent, entry{path: "/preload.tar", from: archive})
	}
	in.say("build the Dockerfile")
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(layerTar(writer, sent)) }()
	defer reader.Close()
	log := filepath.Join(b.cache, "images", "logs", in.def.Name+"-dockerfile.log")
	return b.engine.build(ctx, reader, tags, log)
}

func (b *builder) writePreload(in *inputs, file string, blobs blobDir) error {
	in.say("pack the images that are preloaded")
	images, err := b.preload(in, blobs)
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(writeArchive(f, images), f.Close())
}

// importOn takes the layers that a build put on top of base and its sources layer, and puts them on base itself. The layers of base
// stay the same blobs, so that a node stores them once however many images use them.
func (b *builder) importOn(base v1.Image, saved string) (v1.Hash, error) {
	built, err := tarball.ImageFromPath(saved, nil)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("read what the engine built: %w", err)
	}
	file, err := built.ConfigFile()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("read what the engine built: %w", err)
	}
	below, err := base.Layers()
	if err != nil {
		return v1.Hash{}, err
	}
	skip := len(below) + 1
	if len(file.RootFS.DiffIDs) < skip {
		return v1.Hash{}, fmt.Errorf("the Dockerfile is not FROM ${BASE}: its result has %d layers, the base %d", len(file.RootFS.DiffIDs), skip)
	}
	if want, err := below[len(below)-1].DiffID(); err != nil || want != file.RootFS.DiffIDs[skip-2] {
		return v1.Hash{}, fmt.Errorf("the Dockerfile is not FROM ${BASE}: layer %d differs from the base's", skip-2)
	}
	img := base
	for _, diffID := range file.RootFS.DiffIDs[skip:] {
		if img, err = b.importLayer(img, built, diffID); err != nil {
			return v1.Hash{}, err
		}
	}
	if img, err = mutate.Config(img, file.Config); err != nil {
		return v1.Hash{}, err
	}
	return b.blobs.writeImage(img)
}

func (b *builder) importLayer(onto, built v1.Image, diffID v1.Hash) (v1.Image, error) {
	from, err := built.LayerByDiffID(diffID)
	if err != nil {
		return nil, fmt.Errorf("layer %s of what the engine built: %w", diffID, err)
	}
	r, err := from.Uncompressed()
	if err != nil {
		return nil, fmt.Errorf("layer %s of what the engine built: %w", diffID, err)
	}
	defer r.Close()
	layer, err := b.blobs.addLayer(r)
	if err != nil {
		return nil, err
	}
	if got, err := layer.DiffID(); err != nil || got != diffID {
		return nil, fmt.Errorf("layer %s of what the engine built has content %s", diffID, got)
	}
	return mutate.Append(onto, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "Dockerfile"}})
}
