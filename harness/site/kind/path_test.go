package kind

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestPathEndIsTheNodeThatKindNames(t *testing.T) {
	const head = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n"
	const port = "\n  extraPortMappings: [{hostPort: 1, containerPort: 30081}]\n"
	cases := map[string]string{
		"- role: control-plane" + port + "- role: worker\n":                                 "x-control-plane",
		"- role: control-plane\n- role: worker" + port:                                      "x-worker",
		"- role: control-plane\n- role: worker\n- role: worker" + port:                      "x-worker2",
		"- role: worker\n- role: worker" + port + "- role: control-plane\n":                 "x-worker2",
		"- role: worker\n- role: worker\n- role: worker" + port + "- role: control-plane\n": "x-worker3",
	}
	for text, want := range cases {
		if got := mustParse(t, head+text).pathEnd("x"); got != want {
			t.Errorf("%q: the path ends at %q, want %q", text, got, want)
		}
	}
}

// configAt is a configuration whose ports of this machine are those of the listeners: the probe's first.
func configAt(t *testing.T, addresses ...string) *Config {
	t.Helper()
	text := "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n  extraPortMappings:\n"
	for i, address := range addresses {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		node := []string{"30081", "30080"}[i]
		text += "  - {listenAddress: 127.0.0.1, hostPort: " + port + ", containerPort: " + node + "}\n"
	}
	return mustParse(t, text)
}

// A port behind which nothing listens and that takes a connection all the same is taken for the node by a program; one that refuses it is not.
func TestDoorsAreWhereAProgramTakesConnections(t *testing.T) {
	program, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other := "127.0.0.1:9"
	config := configAt(t, program.Addr().String(), other)
	if got, want := config.findDoors(t.Context()), []string{program.Addr().String(), other}; !slices.Equal(got, want) {
		t.Errorf("doors %q, want %q", got, want)
	}
	program.Close()
	if got := config.findDoors(t.Context()); got != nil {
		t.Errorf("doors %q where the connection is refused", got)
	}
}

// responder answers for a node as the probe image does.
func responder(t *testing.T, node string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(identity{Node: node})
	}))
	t.Cleanup(s.Close)
	return s
}

func TestCheckPath(t *testing.T) {
	good, other := responder(t, "n1"), responder(t, "n2")
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	address := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	cases := map[string]struct {
		cluster Cluster
		want    string // part of the error; "" for none
	}{
		"no responder":           {Cluster{}, ""},
		"answers":                {Cluster{pathNode: "n1", probeAddr: address(good)}, ""},
		"answers, doors open":    {Cluster{pathNode: "n1", probeAddr: address(good), doors: []string{address(page)}}, ""},
		"a door is shut":         {Cluster{pathNode: "n1", probeAddr: address(good), doors: []string{address(page), address(gone)}}, "no longer takes connections at " + address(gone)},
		"nobody is there":        {Cluster{pathNode: "n1", probeAddr: address(gone)}, "the path to it is dead"},
		"another node answers":   {Cluster{pathNode: "n1", probeAddr: address(other)}, "want the responder on node n1"},
		"something else answers": {Cluster{pathNode: "n1", probeAddr: address(page)}, "answered 404"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := c.cluster.CheckPath(t.Context())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestNodesYieldTheCPU(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"x-control-plane", "x-worker"} {
		f.engine.add(runningContainer{Name: name, Labels: map[string]string{labelKind: "x"}})
	}
	f.engine.add(runningContainer{Name: "stranger"})
	if got := f.yieldNodes(t.Context(), "x"); got != nodeShares {
		t.Errorf("the nodes got %d shares, want %d", got, nodeShares)
	}
	want := map[string]int64{"id-x-control-plane": nodeShares, "id-x-worker": nodeShares}
	if !maps.Equal(f.engine.shares, want) {
		t.Errorf("shares %v, want %v", f.engine.shares, want)
	}
	f.engine.yieldErr = errPlanted
	if got := f.yieldNodes(t.Context(), "x"); got != 0 {
		t.Errorf("an engine that cannot: %d shares are told", got)
	}
}
