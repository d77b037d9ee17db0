package nats_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/ledger/nats"
	"bitvault.dev/rollproof/harness/probe"
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

// written is a ledger of a cluster that is being written, by a real writer over HTTP.
type written struct {
	t       *testing.T
	dir     string
	rec     *history.Recorder
	running probe.Running
}

func write(t *testing.T, c *cluster, replicas int) *written {
	t.Helper()
	writer := &ledger.Server{Stores: map[string]ledger.Opener{nats.Name: nats.Open}, Dir: t.TempDir(), Idle: patience, Log: t.Logf}
	front := httptest.NewServer(writer)
	t.Cleanup(func() { front.Close(); writer.Close() })
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := history.Create(dir, history.Run{ID: "r1"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	p := ledger.Probe{Client: http.DefaultClient, Writer: front.URL, Plan: ledger.Plan{
		Ledger: "nats", Store: nats.Name, Target: ledger.Target{Addresses: c.addresses(), Replicas: replicas}, Rate: 200, Deadline: time.Minute,
	}}
	var running probe.Running
	c.await("the ledger to begin", func() bool {
		if running, err = p.Start(t.Context(), rec); err != nil {
			t.Log(err)
		}
		return err == nil
	})
	return &written{t, dir, rec, running}
}

// awaitWrites waits until so many more writes have ended.
func (w *written) awaitWrites(c *cluster, more uint64) {
	w.t.Helper()
	from := w.running.Status().Sent
	c.await("writes", func() bool { return w.running.Status().Sent >= from+more })
}

// end stops the writer and returns all lines of the record.
func (w *written) end() []history.LedgerLine {
	w.t.Helper()
	w.running.Stop()
	if err := w.running.Wait(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.rec.Close(history.EndFinished, ""); err != nil {
		w.t.Fatal(err)
	}
	h, err := history.Open(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	var lines []history.LedgerLine
	for line, err := range h.Ledger("nats") {
		if err != nil {
			w.t.Fatal(err)
		}
		lines = append(lines, *line)
	}
	return lines
}

// tally is what a ledger comes to.
type tally struct {
	acked   map[uint64]uint64            // sequence of each acknowledged operation
	has     map[string]map[uint64]uint64 // by member: operation of each sequence
	whole   map[string]bool
	closed  *history.LedgerClosed
	leaders []string
}

func tallyOf(lines []history.LedgerLine) tally {
	sum := tally{acked: map[uint64]uint64{}, has: map[string]map[uint64]uint64{}, whole: map[string]bool{}}
	for _, line := range lines {
		switch {
		case line.Write != nil && line.Write.Outcome == history.WriteAcked:
			sum.acked[line.Write.Op] = line.Write.Position
		case line.Found != nil:
			f := line.Found
			if sum.has[f.Member] == nil {
				sum.has[f.Member] = map[uint64]uint64{}
			}
			for i := range f.Count {
				sum.has[f.Member][f.Position+i] = f.Op + i
			}
		case line.Member != nil:
			sum.whole[line.Member.Name] = line.Member.Error == "" && line.Member.Foreign == 0
		case line.View != nil && line.View.Leader != "":
			sum.leaders = append(sum.leaders, line.View.Leader)
		case line.Closed != nil:
			sum.closed = line.Closed
		}
	}
	return sum
}

// missing is how many acknowledged operations a member does not have at their sequence.
func (s tally) missing(member string) int {
	n := 0
	for op, at := range s.acked {
		if got, ok := s.has[member][at]; !ok || got != op {
			n++
		}
	}
	return n
}

// A stream of three replicas on three real servers, whose leader ends under it and comes back: every member has all that was acknowledged, at its
// sequence, and another leader was seen.
func TestALeaderGoesAndNothingIsLost(t *testing.T) {
	c := startCluster(t, 3)
	w := write(t, c, 3)
	w.awaitWrites(c, 100)
	leader := c.leader()
	c.kill(leader)
	w.awaitWrites(c, 200)
	c.start(leader)
	w.awaitWrites(c, 100)
	sum := tallyOf(w.end())
	if sum.closed == nil || sum.closed.Error != "" || len(sum.closed.Members) != 3 || len(sum.acked) < 300 {
		t.Fatalf("the ledger ended as %+v, with %d writes acknowledged", sum.closed, len(sum.acked))
	}
	for _, member := range sum.closed.Members {
		if n := sum.missing(member); n > 0 || !sum.whole[member] {
			t.Errorf("member %s lacks %d of %d acknowledged messages, read to its end = %v", member, n, len(sum.acked), sum.whole[member])
		}
	}
	if len(sum.leaders) < 2 || sum.leaders[0] != c.options[leader].ServerName || sum.leaders[len(sum.leaders)-1] == "" {
		t.Errorf("leaders were %v, the first of which ended", sum.leaders)
	}
}

// A stream with one replica, whose volume is wiped: what was acknowledged is gone, and the ledger shows it.
func TestAWipedVolumeIsSeen(t *testing.T) {
	c := startCluster(t, 1)
	w := write(t, c, 1)
	w.awaitWrites(c, 100)
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
	w.awaitWrites(c, 100)
	sum := tallyOf(w.end())
	if sum.closed == nil || len(sum.closed.Members) != 1 || !sum.whole[sum.closed.Members[0]] {
		t.Fatalf("the ledger ended as %+v, read to the end: %v", sum.closed, sum.whole)
	}
	if n := sum.missing(sum.closed.Members[0]); n < 50 {
		t.Errorf("%d acknowledged messages are missed, the volume with all of them was wiped", n)
	}
}

// What a ledger makes in the store goes with it.
func TestTheStreamIsRemoved(t *testing.T) {
	c := startCluster(t, 1)
	w := write(t, c, 1)
	w.awaitWrites(c, 10)
	w.end()
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
