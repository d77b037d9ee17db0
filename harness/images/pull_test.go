package images

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// upstream starts a registry in this process and returns its address.
func upstream(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// withUpstream gives the component house an upstream image.
func withUpstream(t *testing.T, p *project, addr string) v1.Hash {
	t.Helper()
	img, err := random.Image(500, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(addr + "/upstream/house:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	digest, _ := img.Digest()
	p.component("house", "about: x\nversion: v0\nupstream: "+addr+"/upstream/house:v1@"+digest.String()+"\nfrom: floor\nfiles: [{path: roof, to: /}]\n")
	return digest
}

func TestPullTakesUpstreamImagesAndBuildsOurOwn(t *testing.T) {
	p := newProject(t)
	digest := withUpstream(t, p, upstream(t))
	made, err := p.open("pull").Ensure(t.Context(), "house", "tool")
	if err != nil {
		t.Fatal(err)
	}
	if made[0].Digest != digest.String() || made[0].Source != "pull" || made[0].Version != "v1" {
		t.Errorf("house %+v, want upstream's digest %s", made[0], digest)
	}
	if made[1].Source != "source" {
		t.Errorf("tool, which has no upstream: %+v", made[1])
	}
	if got := p.missing(); got != "floor house" {
		t.Errorf("building from source would make %q: pulling must neither build the base nor count as built", got)
	}
	states, err := p.open("auto").List(t.Context(), "house")
	if err != nil || !states[0].Cached || states[0].Source != "pull" {
		t.Errorf("list: %+v, %v", states, err)
	}
}

func TestPullOfAMissingImageSaysWhatToDo(t *testing.T) {
	p := newProject(t)
	p.component("house", "about: x\nversion: v1\nupstream: "+upstream(t)+"/no/such:v1\nfiles: [{path: roof, to: /}]\n")
	_, err := p.open("pull").Ensure(t.Context(), "house")
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "component house: pull") || !strings.Contains(err.Error(), "--images=source") {
		t.Errorf("error %v", err)
	}
}

func TestAutoPullsOnlyWhenTheRegistryAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		want   string
	}{
		"answers":   {nil, "pull"},
		"is silent": {errors.New("i/o timeout"), "source"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			withUpstream(t, p, upstream(t))
			s := p.open("auto")
			asked := 0
			s.reachable = func(ctx context.Context, _ string) error {
				asked++
				if _, bounded := ctx.Deadline(); !bounded {
					t.Error("asked without a deadline")
				}
				return c.answer
			}
			made, err := s.Ensure(t.Context(), "house")
			if err != nil || made[0].Source != c.want {
				t.Errorf("house: %+v, %v; want source %s", made, err, c.want)
			}
			if _, err := s.Ensure(t.Context(), "house"); err != nil || asked != 1 {
				t.Errorf("asked the registry %d times, want once: what is cached needs no network (%v)", asked, err)
			}
		})
	}
}

func TestRegistryAnswers(t *testing.T) {
	if err := registryAnswers(t.Context(), upstream(t)); err != nil {
		t.Errorf("a registry: %v", err)
	}
	s := httptest.NewServer(nil)
	s.Close()
	if err := registryAnswers(t.Context(), strings.TrimPrefix(s.URL, "http://")); err == nil {
		t.Error("a closed port answered")
	}
}

func TestPublishKeepsDigestsUnderTheUpstreamName(t *testing.T) {
	p := newProject(t)
	addr := upstream(t)
	p.component("house", "about: x\nversion: v1\nref: quay.io/some/house:v1\nfrom: floor\nfiles: [{path: roof, to: /}]\n")
	p.component("floor", "about: x\nversion: v1\nref: alpine:3\nfiles: [{path: etc, to: /etc}]\n")
	s := p.open("source")
	made, err := s.Ensure(t.Context(), "house", "floor", "tool")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"quay.io/some/house", "docker.io/library/alpine", "rollproof.local/tool"} {
		for range 2 {
			got, err := s.Publish(t.Context(), addr, made[i])
			if err != nil || got != want+"@"+made[i].Digest {
				t.Fatalf("published as %q, %v; want %s@%s", got, err, want, made[i].Digest)
			}
		}
		ref, err := name.NewDigest(addr + "/" + want + "@" + made[i].Digest)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(ref)
		if err != nil {
			t.Fatalf("pull %s by digest: %v", want, err)
		}
		if got, err := img.Digest(); err != nil || got.String() != made[i].Digest {
			t.Errorf("pulled digest %s, %v", got, err)
		}
	}
}

func TestPublishOfAPrunedImageSaysWhatToDo(t *testing.T) {
	s := newProject(t).open("source")
	gone := Image{Component: "tool", Ref: "rollproof.local/tool:x", Digest: "sha256:" + strings.Repeat("a", 64)}
	if _, err := s.Publish(t.Context(), "127.0.0.1:1", gone); err == nil || !strings.Contains(err.Error(), "rollproof images build tool") {
		t.Errorf("error %v", err)
	}
}
