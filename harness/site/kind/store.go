package kind

import (
	"context"
	"fmt"

	"bitvault.dev/rollproof/harness/images"
)

// storeImages takes a cluster's images from the image store, building or pulling what is missing.
type storeImages struct{ store *images.Store }

// FromStore makes a store the source of a cluster's images.
func FromStore(store *images.Store) Images { return storeImages{store} }

func (s storeImages) Load(ctx context.Context, component string) (tag, key string, err error) {
	image, err := s.ensure(ctx, component)
	if err != nil {
		return "", "", err
	}
	tag, err = s.store.LoadIntoEngine(ctx, image)
	if err != nil {
		return "", "", fmt.Errorf("load image %s into the engine: %w", component, err)
	}
	return tag, image.Key, nil
}

func (s storeImages) Publish(ctx context.Context, registry, component string) (string, error) {
	image, err := s.ensure(ctx, component)
	if err != nil {
		return "", err
	}
	ref, err := s.store.Publish(ctx, registry, image)
	if err != nil {
		return "", fmt.Errorf("publish image %s: %w", component, err)
	}
	return ref, nil
}

func (s storeImages) LayoutDir() string { return s.store.LayoutDir() }

func (s storeImages) ensure(ctx context.Context, component string) (images.Image, error) {
	ready, err := s.store.Ensure(ctx, component)
	if err != nil {
		return images.Image{}, err
	}
	for _, image := range ready {
		if image.Component == component {
			return image, nil
		}
	}
	return images.Image{}, fmt.Errorf("the image store made no image of component %s", component)
}
