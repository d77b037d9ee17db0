package existing

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bitvault.dev/rollproof/harness/observe/apitest"
)

// theirs is a cluster that somebody else made: two nodes, one of which they cordoned. It returns its API server and a kubeconfig.
func theirs(t *testing.T) (api *apitest.Server, kubeconfig string) {
	t.Helper()
	api = apitest.New()
	t.Cleanup(api.Close)
	api.Put("namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kube-system", "uid": "u1"}})
	for name, cordoned := range map[string]bool{"n1": false, "n2": true} {
		api.Put("nodes", map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": name},
			"spec":   map[string]any{"unschedulable": cordoned},
			"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}, "nodeInfo": map[string]any{"kubeletVersion": "v1.35.1"}}})
	}
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: %q}}], contexts: [{name: prod, context: {cluster: c}}]}", api.Config().Host)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return api, kubeconfig
}

func TestAnExistingClusterIsUsedAsItIs(t *testing.T) {
	api, kubeconfig := theirs(t)
	s, err := Open(t.Context(), kubeconfig, "prod")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.Ours || c.UID != "u1" || c.Registry != "" || c.Nodes != nil || strings.Join(c.Workers, " ") != "n1 n2" || c.Versions["node n1"] != "v1.35.1" {
		t.Errorf("cluster %+v", c)
	}
	if err := c.Guard.Allow(t.Context(), "kube-system"); err == nil {
		t.Error("a namespace that nobody annotated may be disturbed")
	}
	s.Break("mechanics/pdb left it: node n1 is left cordoned")
	s.Break("mechanics/graceful left it: rollout shop is left Degraded")
	for range 2 { // for good
		_, err = s.Ready(t.Context())
		for _, want := range []string{"nothing further is run on cluster prod", "node n1 is left cordoned", "rollout shop is left Degraded"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("broken: %v, want %q", err, want)
			}
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if n := api.Requests(method, ""); n > 0 {
			t.Errorf("%d %s requests: the site changes nothing", n, method)
		}
	}
}

func TestAClusterThatCannotBeUsedIsToldAtOnce(t *testing.T) {
	api, kubeconfig := theirs(t)
	if _, err := Open(t.Context(), kubeconfig, ""); err == nil || !strings.Contains(err.Error(), "name both") {
		t.Errorf("without a context: %v", err)
	}
	s, err := Open(t.Context(), kubeconfig, "prod")
	if err != nil {
		t.Fatal(err)
	}
	api.Delete("namespaces", "", "kube-system")
	if _, err := Open(t.Context(), kubeconfig, "prod"); err == nil || !strings.Contains(err.Error(), "identity") {
		t.Errorf("without an identity: %v", err)
	}
	api.Down(true)
	if _, err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "API server does not answer") {
		t.Errorf("a server that is down: %v", err)
	}
}
