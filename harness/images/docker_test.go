//go:build docker

package images

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"bitvault.dev/rollproof/harness/progress"
)

// real opens the project's own components on the user's cache: these tests are about the images that clusters use.
func real(t *testing.T) *Store {
	t.Helper()
	show := progress.New(os.Stderr, "")
	t.Cleanup(show.Close)
	s, err := Open(t.Context(), Options{Progress: show, Source: "source"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// startRegistry runs the registry image on the cache's layout and returns its address on this machine.
func startRegistry(t *testing.T, s *Store, data string) (container, addr string) {
	t.Helper()
	made, err := s.Ensure(t.Context(), "registry")
	if err != nil {
		t.Fatal(err)
	}
	tag, err := s.LoadIntoEngine(t.Context(), made[0])
	if err != nil {
		t.Fatal(err)
	}
	container = docker(t, "run", "--detach", "--label", "dev.rollproof.test="+t.Name(), "--publish", "127.0.0.1::5000",
		"--volume", s.LayoutDir()+":/layout:ro", "--volume", data+":/data", tag)
	t.Cleanup(func() {
		_ = exec.Command("docker", "rm", "--force", "--volumes", container).Run() // not t.Context(): it has ended by now
	})
	return container, await(t, container)
}

// await returns the registry's published address once it answers.
func await(t *testing.T, container string) string {
	t.Helper()
	addr := strings.Split(docker(t, "port", container, "5000/tcp"), "\n")[0]
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var last string
	for poll := time.NewTicker(50 * time.Millisecond); ; {
		resp, err := http.Get("http://" + addr + "/healthz")
		if err == nil {
			resp.Body.Close()
			if last = resp.Status; resp.StatusCode == http.StatusOK {
				poll.Stop()
				return addr
			}
		} else {
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the registry did not get healthy: last %s; logs: %s", last, docker(t, "logs", container))
		case <-poll.C:
		}
	}
}

func TestPushToTheRegistryAndPullByDigest(t *testing.T) {
	s := real(t)
	data := t.TempDir()
	container, addr := startRegistry(t, s, data)
	made, err := s.Ensure(t.Context(), "probe")
	if err != nil {
		t.Fatal(err)
	}
	ref, err := s.Publish(t.Context(), addr, made[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := "rollproof.local/probe@" + made[0].Digest; ref != want {
		t.Errorf("published as %s, want %s", ref, want)
	}
	if copied, _ := filepath.Glob(filepath.Join(data, "blobs", "*", "*")); len(copied) != 0 {
		t.Errorf("publishing copied %d blobs that the layout has", len(copied))
	}
	pullByDigest(t, addr+"/"+ref, made[0].Digest)
	// As containerd asks a mirror: the upstream's name is in ?ns=, not in the path.
	resp, err := http.Get("http://" + addr + "/v2/probe/manifests/" + made[0].Digest + "?ns=rollproof.local")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Docker-Content-Digest"); resp.StatusCode != http.StatusOK || got != made[0].Digest {
		t.Errorf("by mirror name: status %s, digest %s", resp.Status, got)
	}
	docker(t, "restart", "--time", "10", container)
	pullByDigest(t, await(t, container)+"/"+ref, made[0].Digest)
}

func pullByDigest(t *testing.T, ref, digest string) {
	t.Helper()
	parsed, err := name.NewDigest(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(parsed)
	if err != nil {
		t.Fatalf("pull %s: %v", ref, err)
	}
	if n, err := io.Copy(io.Discard, mutate.Extract(img)); err != nil || n < 1_000_000 {
		t.Errorf("pulled %d bytes: %v", n, err)
	}
	if got, err := img.Digest(); err != nil || got.String() != digest {
		t.Errorf("pulled digest %s, %v; want %s", got, err, digest)
	}
}

// The image runs: what was put together without an engine is a whole image to one.
func TestProbeImageRuns(t *testing.T) {
	s := real(t)
	made, err := s.Ensure(t.Context(), "probe")
	if err != nil {
		t.Fatal(err)
	}
	tag, err := s.LoadIntoEngine(t.Context(), made[0])
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("docker", "run", "--rm", "--network", "none", tag, "dial", "127.0.0.1:1", "--timeout", "2s").Output()
	var r struct{ Check, Outcome string }
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
		t.Errorf("a refused dial ended with %v, want exit code 1", err)
	}
	if err := json.Unmarshal(out, &r); err != nil || r.Check != "dial" || r.Outcome != "refused" {
		t.Errorf("probe printed %q (%v)", out, err)
	}
}

// The node's budget is 1.2 GB as docker counts, and its containerd must look at the mirrors and preload what kubeadm asks for.
func TestNodeImage(t *testing.T) {
	s := real(t)
	made, err := s.Ensure(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	tag, err := s.LoadIntoEngine(t.Context(), made[0])
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := strconv.ParseInt(docker(t, "image", "inspect", "--format", "{{.Size}}", tag), 10, 64)
	if err != nil || bytes > 1_200_000_000 || bytes < 300_000_000 {
		t.Errorf("node image has %d bytes (%v), budget 1.2 GB", bytes, err)
	}
	fmt.Fprintf(os.Stderr, "node image: %d MB\n", bytes/1_000_000)
	for _, want := range []struct{ command, in string }{
		{"kubelet --version", "Kubernetes v1.36.3"},
		{"cat /kind/version", "v1.36.3"},
		{"containerd config dump", "config_path = '/etc/containerd/certs.d'"},
		{"containerd config dump", "restrict_oom_score_adj = true"},
		{"containerd config dump", "conf_template = '/etc/cni/template.conflist'"},
		{"containerd --version", "v2.4.2"},
		{"cat /etc/apt/sources.list; ls /etc/apt/sources.list.d; echo none", "none"},
	} {
		out := docker(t, "run", "--rm", "--entrypoint", "sh", tag, "-c", want.command)
		if !strings.Contains(out, want.in) {
			t.Errorf("%s: no %q in\n%s", want.command, want.in, out)
		}
	}
	if out := docker(t, "run", "--rm", "--entrypoint", "sh", tag, "-c", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true"); out != "" {
		t.Errorf("the node names a package mirror: %q", out)
	}
}
