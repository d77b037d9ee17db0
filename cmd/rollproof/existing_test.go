package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bitvault.dev/rollproof/harness/observe/apitest"
)

// foreignKubeconfig is a cluster that somebody else made, with the namespaces of the stack, annotated as given.
func foreignKubeconfig(t *testing.T, annotations map[string]any) *apitest.Server {
	t.Helper()
	api := apitest.New()
	t.Cleanup(api.Close)
	for name, annotated := range map[string]map[string]any{"kube-system": nil, "bitvault": annotations} {
		api.Put("namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "annotations": annotated}})
	}
	api.Put("nodes", map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n1"}, "spec": map[string]any{}})
	return api
}

// contexts writes a kubeconfig with a context for each server, and makes one of them the current one.
func contexts(t *testing.T, current string, servers map[string]*apitest.Server) string {
	t.Helper()
	var clusters, all []string
	for name, api := range servers {
		clusters = append(clusters, fmt.Sprintf("{name: %s, cluster: {server: %q}}", name, api.Config().Host))
		all = append(all, fmt.Sprintf("{name: %[1]s, context: {cluster: %[1]s}}", name))
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: %s, clusters: [%s], contexts: [%s]}", current, strings.Join(clusters, ", "), strings.Join(all, ", "))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// changes counts the requests to a server that change something.
func changes(api *apitest.Server) (n int) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		n += api.Requests(method, "")
	}
	return n
}

// asCommandOn runs the command in a process of its own, as a user with that kubeconfig would, without any container engine.
func asCommandOn(t *testing.T, kubeconfig string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	dir := t.TempDir()
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asCommand+"=1", "KUBECONFIG="+kubeconfig, "DOCKER_HOST=unix:///nonexistent/docker.sock",
		"ROLLPROOF_CACHE="+filepath.Join(dir, "cache"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	raw, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(raw)
}

// The cluster that the command names is asked, and the one of the current context is not, whatever KUBECONFIG says.
func TestTheCurrentContextIsNeverUsed(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"without consent": {[]string{"run", "mechanics/readiness", "--url", "http://127.0.0.1:1"},
			[]string{"refuse to disturb namespace bitvault of cluster named", "annotate namespace bitvault rollproof.dev/allow-disruption=true"}},
		"a release, and no image to release": {[]string{"run", "canary/promotes-good", "--url", "http://127.0.0.1:1"},
			[]string{"skipped", "canary/promotes-good", "--next"}},
		"too few workers": {[]string{"run", "mechanics/pdb", "--url", "http://127.0.0.1:1"}, []string{"2 workers needed, the cluster has 1 worker"}},
		"its status":      {[]string{"cluster", "status"}, []string{"named (existing): NOT ready"}},
	} {
		t.Run(name, func(t *testing.T) {
			named, current := foreignKubeconfig(t, nil), foreignKubeconfig(t, map[string]any{"rollproof.dev/allow-disruption": "true"})
			kubeconfig := contexts(t, "current", map[string]*apitest.Server{"named": named, "current": current})
			code, out := asCommandOn(t, kubeconfig, append(c.args, "--kubeconfig", kubeconfig, "--context", "named")...)
			if code == exitPass {
				t.Errorf("exit code %d", code)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q does not say %q", out, want)
				}
			}
			if n := current.Requests(http.MethodGet, ""); n > 0 {
				t.Errorf("the cluster of the current context was asked %d times", n)
			}
			if named.Requests(http.MethodGet, "") == 0 {
				t.Error("the named cluster was not asked: this test proves nothing")
			}
			if n := changes(named) + changes(current); n > 0 {
				t.Errorf("%d requests that change something", n)
			}
		})
	}
}

func TestAnExistingClusterIsNamedWhole(t *testing.T) {
	named := foreignKubeconfig(t, nil)
	kubeconfig := contexts(t, "named", map[string]*apitest.Server{"named": named})
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no context":        {[]string{"--kubeconfig", kubeconfig, "--url", "http://h"}, "--kubeconfig FILE and --context NAME together"},
		"no kubeconfig":     {[]string{"--context", "named", "--url", "http://h"}, "--kubeconfig FILE and --context NAME together"},
		"only a URL":        {[]string{"--url", "http://h"}, "--kubeconfig FILE and --context NAME together"},
		"no URL":            {[]string{"--kubeconfig", kubeconfig, "--context", "named"}, `--url "": name where the ingress`},
		"a URL that is not": {[]string{"--kubeconfig", kubeconfig, "--context", "named", "--url", "vault.example"}, `--url "vault.example"`},
		"a tag":             {[]string{"--kubeconfig", kubeconfig, "--context", "named", "--url", "http://h", "--next", "vault:v2"}, "--next vault:v2: it has no digest"},
		"another context":   {[]string{"--kubeconfig", kubeconfig, "--context", "nmaed", "--url", "http://h"}, `no context "nmaed": it has named`},
		"a cluster of ours": {[]string{"--kubeconfig", kubeconfig, "--context", "named", "--url", "http://h", "--name", "x"}, "name"},
	} {
		code, out := asCommandOn(t, kubeconfig, append([]string{"run", "mechanics/readiness"}, c.args...)...)
		if code != exitCouldNotRun || !strings.Contains(out, c.want) || strings.Count(strings.TrimSpace(out), "\n") > 0 {
			t.Errorf("%s: exit code %d, %q; want %d and one line with %q", name, code, out, exitCouldNotRun, c.want)
		}
	}
	if n := changes(named); n > 0 {
		t.Errorf("%d requests that change something", n)
	}
}

// After a crash nobody is told to remove a cluster of ours that the command was not about.
func TestACrashOnAnExistingClusterNamesNoneOfOurs(t *testing.T) {
	was := os.Args
	t.Cleanup(func() { os.Args = was })
	for args, want := range map[string]string{
		"run --name mine": "mine",
		"run":             "rollproof",
		"run --kubeconfig /k --context prod --url http://h": "",
	} {
		os.Args = append([]string{"rollproof"}, strings.Fields(args)...)
		if got := clusterOf(newRootCommand()); got != want {
			t.Errorf("%s: cluster %q, want %q", args, got, want)
		}
	}
}
