package kind

import (
	"os"
	"path/filepath"
	"testing"
)

// Only what is frozen, and only below the container in question, is let go.
func TestThaw(t *testing.T) {
	root := t.TempDir()
	states := map[string]string{
		"docker/4b8a/freezer.state":                       "THAWED\n",
		"docker/4b8a/kubepods.slice/freezer.state":        "FREEZING\n",
		"docker/4b8a/kubepods.slice/pod-1/freezer.state":  "FROZEN\n",
		"docker/4b8a/kubepods.slice/pod-1/cgroup.procs":   "FROZEN\n",
		"docker/another/kubepods.slice/pod/freezer.state": "FROZEN\n",
	}
	for name, state := range states {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(state), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	thaw(root, "4b8a")
	states["docker/4b8a/kubepods.slice/pod-1/freezer.state"] = "THAWED"
	for name, want := range states {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s says %q (%v), want %q", name, got, err, want)
		}
	}
	thaw(filepath.Join(root, "nothing"), "4b8a") // cgroup v2
}
