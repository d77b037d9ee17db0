package nats_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/ledger/ledgertest"
	"bitvault.dev/rollproof/harness/ledger/nats"
	"bitvault.dev/rollproof/harness/wait"
)

// patience bounds every wait of these tests: they share a machine with much else.
const patience = 3 * time.Minute

// cluster is a NATS cluster of real servers in this process.
type cluster struct {
	t       *testing.T
	servers []*server.Server
	options []*server.Options
}

func startCluster(t *testing.T, size int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var routes []*url.URL
	var ports []int
	for range size {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range size {
		o := &server.Options{
			ServerName: fmt.Sprint("nats-", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		}
		if size > 1 {
			o.Cluster, o.Routes = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}, routes
		}
		c.options = append(c.options, o)
		c.servers = append(c.servers, nil)
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.kill(i)
		}
	})
	c.await("a cluster with a leader", func() bool {
		for _, s := range c.servers {
			if size > 1 && s.JetStreamIsLeader() {
				return true
			}
		}
		return size == 1
	})
	return c
}

func (c *cluster) start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.options[i])
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	c.servers[i] = s
	c.await("a server", func() bool { return s.ReadyForConnections(time.Second) })
	if o := c.options[i]; o.Port == server.RANDOM_PORT {
		o.Port = s.Addr().(*net.TCPAddr).Port // where it is found again
	}
}

func (c *cluster) kill(i int) {
	c.servers[i].Shutdown()
	c.servers[i].WaitForShutdown()
}

func (c *cluster) addresses() []string {
	var all []string
	for _, o := range c.options {
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return all
}

func (c *cluster) await(what string, done func() bool) {
	c.t.Helper()
	err := wait.Until(c.t.Context(), what, patience, 20*time.Millisecond, func(context.Context) (bool, string, error) { return done(), "not yet", nil })
	if err != nil {
		c.t.Fatal(err)
	}
}

// leader is the server that leads the stream of the only ledger.
func (c *cluster) leader() int {
	c.t.Helper()
	leads := -1
	c.await("a leader of the stream", func() bool {
		for i, s := range c.servers {
			if !s.Running() {
				continue
			}
			info, err := s.Jsz(&server.JSzOptions{Streams: true})
			if err != nil {
				continue
			}
			for _, account := range info.AccountDetails {
				for _, stream := range account.Streams {
					if stream.Cluster != nil && stream.Cluster.Leader == c.options[i].ServerName {
						leads = i
					}
				}
			}
		}
		return leads >= 0
	})
	return leads
}

// write has a ledger written to it.
func write(t *testing.T, c *cluster, replicas int) *ledgertest.Written {
	t.Helper()
	w, err := ledgertest.Begin(t.Context(), t.TempDir(), nats.Open, ledger.Plan{
		Store: nats.Name, Target: ledger.Target{Addresses: c.addresses(), Replicas: replicas}, Rate: 200, Deadline: time.Minute,
	}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func awaitWrites(t *testing.T, w *ledgertest.Written, more uint64) {
	t.Helper()
	if err := w.Await(t.Context(), more); err != nil {
		t.Fatal(err)
	}
}

func end(t *testing.T, w *ledgertest.Written) ledgertest.Tally {
	t.Helper()
	lines, err := w.End()
	if err != nil {
		t.Fatal(err)
	}
	return ledgertest.Sum(lines)
}

// A stream of three replicas on three real servers, whose leader ends under it and comes back: every member has all that was acknowledged, at its
// sequence, and another leader was seen.
func TestALeaderGoesAndNothingIsLost(t *testing.T) {
	c := startCluster(t, 3)
	w := write(t, c, 3)
	awaitWrites(t, w, 100)
	leader := c.leader()
	c.kill(leader)
	awaitWrites(t, w, 200)
	c.start(leader)
	awaitWrites(t, w, 100)
	sum := end(t, w)
	if sum.Closed == nil || sum.Closed.Error != "" || len(sum.Closed.Members) != 3 || len(sum.Acked) < 300 {
		t.Fatalf("the ledger ended as %+v, with %d writes acknowledged", sum.Closed, len(sum.Acked))
	}
	for _, member := range sum.Closed.Members {
		if n := sum.Missing(member); n > 0 || !sum.Whole[member] {
			t.Errorf("member %s lacks %d of %d acknowledged messages, read to its end = %v", member, n, len(sum.Acked), sum.Whole[member])
		}
	}
	if len(sum.Leaders) < 2 || sum.Leaders[0] != c.options[leader].ServerName || sum.Leaders[len(sum.Leaders)-1] == "" {
		t.Errorf("leaders were %v, the first of which ended", sum.Leaders)
	}
}

// A stream with one replica, whose volume is wiped: what was acknowledged is gone, and the ledger shows it.
func TestAWipedVolumeIsSeen(t *testing.T) {
	c := startCluster(t, 1)
	w := write(t, c, 1)
	awaitWrites(t, w, 100)
	dir := c.options[0].StoreDir
	c.kill(0)
	messages, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*", "msgs", "*"))
	if err != nil || len(messages) == 0 {
		t.Fatalf("no messages are in %s: %v", dir, err)
	}
	for _, file := range messages {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	c.start(0)
	awaitWrites(t, w, 100)
	sum := end(t, w)
	if sum.Closed == nil || len(sum.Closed.Members) != 1 || !sum.Whole[sum.Closed.Members[0]] {
		t.Fatalf("the ledger ended as %+v, read to the end: %v", sum.Closed, sum.Whole)
	}
	if n := sum.Missing(sum.Closed.Members[0]); n < 50 {
		t.Errorf("%d acknowledged messages are missed, the volume with all of them was wiped", n)
	}
}

// What a ledger makes in the store goes with it.
func TestTheStreamIsRemoved(t *testing.T) {
	c := startCluster(t, 1)
	w := write(t, c, 1)
	awaitWrites(t, w, 10)
	end(t, w)
	info, err := c.servers[0].Jsz(&server.JSzOptions{Streams: true})
	if err != nil || info.Streams != 0 {
		t.Errorf("%d streams are left: %v", info.Streams, err)
	}
}

func TestBadTargets(t *testing.T) {
	c := startCluster(t, 1)
	for name, bad := range map[string]struct {
		target ledger.Target
		tells  string
	}{
		"nobody listens":  {ledger.Target{Addresses: []string{"nats://127.0.0.1:1"}, Replicas: 1}, "connect to NATS at nats://127.0.0.1:1"},
		"too few members": {ledger.Target{Addresses: c.addresses(), Replicas: 3}, "with 3 replicas"},
	} {
		_, err := nats.Open(t.Context(), ledger.Plan{Run: "r", Ledger: "nats", Target: bad.target}, "nats-w-")
		if err == nil || !strings.Contains(err.Error(), bad.tells) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line that tells %q", name, err, bad.tells)
		}
	}
}
