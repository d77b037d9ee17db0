package images

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// record is what the cache knows of one image: the image, when it was made, and its lock. It is written after the last blob, so that
// an image with a record is whole.
type record struct {
	Image
	Built time.Time `json:"built"`
	Lock  Lock      `json:"lock"`
}

func (s *Store) recordDir() string { return filepath.Join(s.cache, "images", "records") }

func recordFile(component, key string) string { return component + "-" + key[:12] + ".json" }

// records reads all of them. One that cannot be read is an error: ignoring it would rebuild for minutes without saying why.
func (s *Store) records() ([]*record, error) {
	files, err := filepath.Glob(filepath.Join(s.recordDir(), "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	var all []*record
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read record: %w", err)
		}
		r := &record{}
		if err := json.Unmarshal(data, r); err != nil || r.Lock.Key() != r.Key {
			return nil, fmt.Errorf("record %s is damaged: remove it and build again", file)
		}
		all = append(all, r)
	}
	return all, nil
}

func find(records []*record, component, key string) *record {
	at := slices.IndexFunc(records, func(r *record) bool { return r.Component == component && r.Key == key })
	if at < 0 {
		return nil
	}
	return records[at]
}

// writeRecords adds records and brings the layout's index.json up to date.
func (s *Store) writeRecords(records ...*record) error {
	for _, r := range records {
		if err := writeJSON(filepath.Join(s.recordDir(), recordFile(r.Component, r.Key)), r); err != nil {
			return fmt.Errorf("record image of %s: %w", r.Component, err)
		}
	}
	return s.writeIndex()
}

// prepareLayout makes the cache an OCI image layout.
func (s *Store) prepareLayout() error {
	marker := filepath.Join(s.LayoutDir(), "oci-layout")
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(string(s.blobs), "sha256"), 0o755); err != nil {
		return fmt.Errorf("make the image cache: %w", err)
	}
	if err := s.writeIndex(); err != nil {
		return err
	}
	return writeFile(marker, []byte(layoutMarker))
}

// layoutMarker is the content of the file oci-layout (OCI image-spec, image-layout.md).
const layoutMarker = `{"imageLayoutVersion":"1.0.0"}`

// writeIndex lists all recorded images in index.json, so that any OCI tool can read the cache.
func (s *Store) writeIndex() error {
	records, err := s.records()
	if err != nil {
		return err
	}
	index, err := s.indexOf(records)
	if err != nil {
		return err
	}
	return writeJSON(filepath.Join(s.LayoutDir(), "index.json"), index)
}

func (s *Store) indexOf(records []*record) (*v1.IndexManifest, error) {
	index := &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	for _, r := range records {
		d, err := s.blobs.descriptor(hash(r.Digest))
		if err != nil {
			return nil, fmt.Errorf("image of component %s: %w", r.Component, err)
		}
		d.Annotations = map[string]string{
			"org.opencontainers.image.ref.name": r.Ref,
			"dev.rollproof.component":           r.Component,
			"dev.rollproof.key":                 r.Key,
		}
		index.Manifests = append(index.Manifests, d)
	}
	slices.SortFunc(index.Manifests, func(a, b v1.Descriptor) int {
		return strings.Compare(a.Annotations["dev.rollproof.component"]+a.Digest.Hex, b.Annotations["dev.rollproof.component"]+b.Digest.Hex)
	})
	return index, nil
}
