package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"bitvault.dev/rollproof/harness/words"
)

// registryPatience is how long --images=auto waits for a registry before it builds from source.
const registryPatience = 3 * time.Second

// pullLock locks a pulled image: its reference is all there is to know, and a reference by digest fixes all of it.
func pullLock(d *Definition) Lock { return Lock("component " + d.Name + "\npull " + d.Upstream + "\n") }

// pull takes a component's image from its upstream registry. Images that other components are made of are not needed then.
func (b *builder) pull(ctx context.Context, d *Definition) (*record, error) {
	if err := b.heavy.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer b.heavy.Release(1)
	step := b.show.Start("image " + d.Name + ": pull")
	step.Say("from %s", d.Upstream)
	digest, err := b.fetch(ctx, d)
	if err != nil {
		return nil, step.Done(fmt.Errorf("component %s: pull %s: %s; check upstream in fixtures/images/%s/%s, or use --images=source",
			d.Name, d.Upstream, words.OneLine(err.Error()), d.Name, definitionFile))
	}
	b.records.Lock()
	defer b.records.Unlock()
	r, err := b.keep(d, pullLock(d), digest, "pull")
	return r, step.Done(err)
}

func (b *builder) fetch(ctx context.Context, d *Definition) (v1.Hash, error) {
	ref, err := name.ParseReference(d.Upstream)
	if err != nil {
		return v1.Hash{}, err
	}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return v1.Hash{}, err
	}
	return b.blobs.writeImage(img)
}

// pick settles --images=auto: pull when the registries that are needed answer in time, else source. It returns the reason too.
func (s *Store) pick(ctx context.Context, names []string) (from, why string) {
	registries := s.upstreamRegistries(names)
	ctx, cancel := context.WithTimeout(ctx, registryPatience)
	defer cancel()
	for _, registry := range registries {
		if err := s.reachable(ctx, registry); err != nil {
			return "source", fmt.Sprintf("registry %s does not answer within %s: %s", registry, registryPatience, words.OneLine(err.Error()))
		}
	}
	return "pull", strings.Join(registries, ", ") + " answers"
}

// upstreamRegistries names the registries that pulling the components would need.
func (s *Store) upstreamRegistries(names []string) []string {
	var registries []string
	for _, n := range names {
		ref, err := name.ParseReference(s.defs[n].Upstream)
		if err != nil {
			continue // no upstream: a reference that is given was checked when it was read
		}
		if r := ref.Context().RegistryStr(); !slices.Contains(registries, r) {
			registries = append(registries, r)
		}
	}
	return registries
}

// upstreamVersion is the tag of the upstream image: it may be another patch release than what is built here.
func upstreamVersion(d *Definition) string {
	ref, _, _ := strings.Cut(d.Upstream, "@")
	if tag, err := name.NewTag(ref, name.StrictValidation); err == nil {
		return tag.TagStr()
	}
	return d.Version
}

// registryAnswers asks for the API's version (OCI distribution-spec, end-1): 200 and 401 both come from a registry.
func registryAnswers(ctx context.Context, registry string) error {
	r, err := name.NewRegistry(registry)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Scheme()+"://"+r.RegistryStr()+"/v2/", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// Publish puts an image into a plain-HTTP registry at addr (host:port), under the repository that containerd asks a mirror for when a
// pod names img.Ref: the upstream's name is the first part of the path. It returns the name with the digest, as a pod may use it.
// Blobs that the registry has already are not sent; publishing again does nothing.
func (s *Store) Publish(ctx context.Context, addr string, img Image) (digestRef string, err error) {
	stored, err := s.open(img)
	if err != nil {
		return "", err
	}
	repo, tag, err := mirrored(img.Ref)
	if err != nil {
		return "", fmt.Errorf("publish component %s: %w", img.Component, err)
	}
	target, err := name.ParseReference(addr+"/"+repo+tag, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("publish component %s: %s", img.Component, words.OneLine(err.Error()))
	}
	if strings.HasPrefix(tag, "@") && tag != "@"+img.Digest {
		return "", fmt.Errorf("publish component %s: its ref names digest %s, the image has %s", img.Component, tag[1:], img.Digest)
	}
	if err := remote.Write(target, stored, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("publish component %s to %s: %s", img.Component, addr, words.OneLine(err.Error()))
	}
	return repo + "@" + img.Digest, nil
}

// mirrored splits a reference into <upstream>/<repository> and its tag or digest, with containerd's idea of the upstream's name:
// docker.io, where go-containerregistry says index.docker.io.
func mirrored(ref string) (repo, tag string, err error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return "", "", errors.New(words.OneLine(err.Error()))
	}
	upstream := parsed.Context().RegistryStr()
	if upstream == name.DefaultRegistry {
		upstream = "docker.io"
	}
	separator := ":"
	if _, ok := parsed.(name.Digest); ok {
		separator = "@"
	}
	return upstream + "/" + parsed.Context().RepositoryStr(), separator + parsed.Identifier(), nil
}
