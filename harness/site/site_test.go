package site

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// server is an API server that knows one namespace, and counts who asks.
func server(t *testing.T, uid string) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":%q}}`, uid)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheCurrentContextHasNoSay(t *testing.T) {
	named, _ := server(t, "the named one")
	current, asked := server(t, "the current one")
	path := write(t, fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: current
clusters: [{name: named, cluster: {server: %q}}, {name: current, cluster: {server: %q}}]
contexts: [{name: named, context: {cluster: named, user: u}}, {name: current, context: {cluster: current, user: u}}]
users: [{name: u, user: {}}]
`, named, current))
	t.Setenv("KUBECONFIG", path)
	h, err := Handle{Kubeconfig: path, Context: "named"}.Connect()
	if err != nil {
		t.Fatal(err)
	}
	if uid, err := h.UID(t.Context()); err != nil || uid != "the named one" {
		t.Errorf("%q answered, error %v", uid, err)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the cluster of the current context was asked %d times", n)
	}
	for name, h := range map[string]Handle{"no context": {Kubeconfig: path}, "no file": {Context: "named"}, "nothing": {}} {
		if _, err := h.Connect(); err == nil || !strings.Contains(err.Error(), "name both") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Inside of a pod client-go would fall back to the cluster that the pod runs in.
func TestThereIsNoOtherClusterToFallBackTo(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "1")
	for name, c := range map[string]struct{ path, want string }{
		"an empty file":            {write(t, ""), "has no context \"prod\": it has none"},
		"no such file":             {"/nonexistent/kubeconfig", "read kubeconfig /nonexistent/kubeconfig for context prod"},
		"no kubeconfig":            {write(t, "a: [b"), "for context prod"},
		"another context":          {write(t, "{apiVersion: v1, kind: Config, current-context: dev, contexts: [{name: test, context: {}}, {name: dev, context: {}}]}"), `no context "prod": it has dev, test`},
		"a context of no cluster":  {write(t, "{apiVersion: v1, kind: Config, contexts: [{name: prod, context: {cluster: gone}}]}"), "read context prod"},
		"a cluster without server": {write(t, "{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {}}], contexts: [{name: prod, context: {cluster: c}}]}"), "read context prod"},
	} {
		h, err := Handle{Kubeconfig: c.path, Context: "prod"}.Connect()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, c.want)
		}
		if h.Config != nil || h.Client != nil {
			t.Errorf("%s: there is a client", name)
		}
	}
}
