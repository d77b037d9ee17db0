//go:build stores

package redis_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	driver "github.com/redis/go-redis/v9"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/ledger/ledgertest"
	"bitvault.dev/rollproof/harness/ledger/redis"
	"bitvault.dev/rollproof/harness/wait"
)

// patience bounds every wait of these tests: they share a machine with much else.
const patience = 3 * time.Minute

// server is a real redis-server, or a sentinel, as a child of this process.
type server struct {
	t       *testing.T
	address string
	cmd     *exec.Cmd
	client  *driver.Client
}

func start(t *testing.T, config ...string) *server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("there is no redis-server on this machine: make test-stores says what it needs")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "redis.conf")
	lines := append([]string{"port " + port, "bind 127.0.0.1", "dir " + dir}, config...)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{file}
	if strings.HasPrefix(strings.Join(config, "\n"), "sentinel") {
		args = append(args, "--sentinel")
	}
	s := &server{t: t, address: address, cmd: exec.Command(program, args...), client: driver.NewClient(&driver.Options{Addr: address, Protocol: 2})}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.signal(syscall.SIGCONT)
		s.kill()
		_ = s.client.Close()
	})
	await(t, "redis-server to answer", func() bool { return s.client.Ping(t.Context()).Err() == nil })
	return s
}

func (s *server) signal(what syscall.Signal) { _ = s.cmd.Process.Signal(what) } // one that is gone needs none

func (s *server) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

func (s *server) info(field string) string {
	text, err := s.client.Info(s.t.Context(), "replication").Result()
	if err != nil {
		return ""
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	err := wait.Until(t.Context(), what, patience, 20*time.Millisecond, func(context.Context) (bool, string, error) { return done(), "not yet", nil })
	if err != nil {
		t.Fatal(err)
	}
}

// redisOf is a master with two replicas and a sentinel.
type redisOf struct {
	master   *server
	replicas []*server
	sentinel *server
}

func startAll(t *testing.T) *redisOf {
	t.Helper()
	server := []string{`save ""`, "repl-diskless-sync-delay 0", "repl-timeout 5"}
	r := &redisOf{master: start(t, server...)}
	host, port, _ := net.SplitHostPort(r.master.address)
	for range 2 {
		r.replicas = append(r.replicas, start(t, append(server, "replicaof "+host+" "+port)...))
	}
	await(t, "the replicas to follow", func() bool { return r.master.info("connected_slaves") == "2" })
	r.sentinel = start(t, "sentinel monitor bitvault "+host+" "+port+" 1", "sentinel down-after-milliseconds bitvault 1000",
		"sentinel failover-timeout bitvault 5000")
	r.awaitReplicas("")
	return r
}

// awaitReplicas waits until the sentinel knows two replicas, of which gone, where it is told, is one: an old master becomes a replica for it once it is
// done with the failover.
func (r *redisOf) awaitReplicas(gone string) {
	t := r.sentinel.t
	t.Helper()
	client := driver.NewSentinelClient(&driver.Options{Addr: r.sentinel.address, Protocol: 2})
	defer client.Close()
	await(t, "the sentinel to know two replicas", func() bool {
		known, err := client.Replicas(t.Context(), "bitvault").Result()
		return err == nil && len(known) == 2 && (gone == "" || slices.ContainsFunc(known, func(k map[string]string) bool {
			return net.JoinHostPort(k["ip"], k["port"]) == gone
		}))
	})
}

// write has a ledger written to it.
func write(t *testing.T, r *redisOf) *ledgertest.Written {
	t.Helper()
	w, err := ledgertest.Begin(t.Context(), t.TempDir(), redis.Open, ledger.Plan{
		Store: redis.Name, Target: ledger.Target{Addresses: []string{r.sentinel.address}, Name: "bitvault", Replicas: 3}, Rate: 200, Deadline: time.Minute,
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

// Nothing happens, and every server has all.
func TestEveryServerIsRead(t *testing.T) {
	r := startAll(t)
	w := write(t, r)
	awaitWrites(t, w, 200)
	sum := end(t, w)
	acked, lacks, by := len(sum.Acked), sum.Lacks(), sum.By
	if len(lacks) != 3 || acked < 200 || len(by) != 1 || by[0] != r.master.address {
		t.Fatalf("%d acknowledged by %v, lacks %v, want three servers read", acked, by, lacks)
	}
	for member, n := range lacks {
		if n != 0 {
			t.Errorf("%s lacks %d of %d", member, n, acked)
		}
	}
	if left := r.master.client.DBSize(t.Context()).Val(); left != 0 {
		t.Errorf("%d keys are left", left)
	}
}

// The master acknowledges writes that no replica gets, and is gone: what replaces it lacks them, and the ledger shows it. The lost master is a
// member that was not read.
func TestALossIsSeen(t *testing.T) {
	r := startAll(t)
	w := write(t, r)
	awaitWrites(t, w, 100)
	for _, replica := range r.replicas {
		replica.signal(syscall.SIGSTOP)
	}
	if err := r.master.client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "replica").Err(); err != nil { // else their kernel takes on what is sent
		t.Fatal(err)
	}
	awaitWrites(t, w, 100)
	r.master.kill()
	for _, replica := range r.replicas {
		replica.signal(syscall.SIGCONT)
	}
	await(t, "another master", func() bool {
		return r.replicas[0].info("role") == "master" || r.replicas[1].info("role") == "master"
	})
	awaitWrites(t, w, 100)
	r.awaitReplicas(r.master.address)
	sum := end(t, w)
	acked, lacks, by := len(sum.Acked), sum.Lacks(), sum.By
	if len(by) < 2 || by[0] != r.master.address || by[len(by)-1] == r.master.address {
		t.Errorf("acknowledged by %v, the first of which was %s", by, r.master.address)
	}
	read := 0
	for member, n := range lacks {
		read++
		if member == r.master.address {
			t.Errorf("%s is gone, and was read", member)
		}
		if n < 50 {
			t.Errorf("%s lacks %d of %d, and was cut off while at least 100 were acknowledged", member, n, acked)
		}
	}
	if read != 2 {
		t.Errorf("%d servers were read, want the two that are left", read)
	}
	last := sum.Closed
	if last == nil || len(last.Members) != 3 {
		t.Errorf("the ledger ended as %+v, want three members known", last)
	}
}

// viewOfTwo is what the store of a ledger says of a Redis one of whose replicas is made a master by hand, while the first master goes on, and takes writes
// or holds them back.
func viewOfTwo(t *testing.T, paused bool) (view history.View, masters []string) {
	t.Helper()
	r := startAll(t)
	store, err := redis.Open(t.Context(), ledger.Plan{Ledger: "redis", Target: ledger.Target{Addresses: []string{r.sentinel.address}, Name: "bitvault"}}, "redis-w-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(context.Background()) }) // the servers are gone with the test
	await(t, "a look at one master", func() bool {
		view = store.View(t.Context())
		return view.Leader == r.master.address && slices.Equal(view.Masters, []string{r.master.address}) && view.Writable == nil
	})
	if paused {
		if err := r.master.client.Do(t.Context(), "CLIENT", "PAUSE", "600000", "WRITE").Err(); err != nil {
			t.Fatal(err)
		}
	}
	masters = slices.Sorted(slices.Values([]string{r.master.address, r.replicas[0].address}))
	await(t, "a look at two masters", func() bool {
		if err := r.replicas[0].client.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil { // a sentinel may have taken it back
			t.Fatal(err)
		}
		view = store.View(t.Context())
		return slices.Equal(view.Masters, masters) && (paused || view.Writable != nil)
	})
	return view, masters
}

// A server that leads besides the one that the sentinels name is told of, and that both take writes.
func TestTwoMastersAreSeen(t *testing.T) {
	if view, masters := viewOfTwo(t, false); !slices.Equal(view.Writable, masters) {
		t.Errorf("%v take writes, and the view is %+v", masters, view)
	}
}

// A master whose writes are paused, as before a hand-over, takes none.
func TestAPausedMasterTakesNoWrites(t *testing.T) {
	if view, masters := viewOfTwo(t, true); view.Writable != nil {
		t.Errorf("one of %v is paused, and the view is %+v", masters, view)
	}
}

func TestBadTargets(t *testing.T) {
	_, err := redis.Open(t.Context(), ledger.Plan{Ledger: "redis", Target: ledger.Target{Addresses: []string{"127.0.0.1:1"}, Name: "bitvault"}}, "redis-w-")
	if err == nil || !strings.Contains(err.Error(), `find master "bitvault" of Redis by the sentinels at 127.0.0.1:1`) {
		t.Errorf("%v", err)
	}
}
