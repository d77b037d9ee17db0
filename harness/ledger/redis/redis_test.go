//go:build stores

package redis_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	driver "github.com/redis/go-redis/v9"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/ledger/redis"
	"bitvault.dev/rollproof/harness/probe"
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
	await(t, "the sentinel to see the replicas", func() bool {
		known, err := driver.NewSentinelClient(&driver.Options{Addr: r.sentinel.address, Protocol: 2}).Replicas(t.Context(), "bitvault").Result()
		return err == nil && len(known) == 2
	})
	return r
}

// write has a ledger written to it, by a real writer over HTTP.
func write(t *testing.T, r *redisOf) (running probe.Running, end func() []history.LedgerLine) {
	t.Helper()
	writer := &ledger.Server{Stores: map[string]ledger.Opener{redis.Name: redis.Open}, Dir: t.TempDir(), Idle: patience, Log: t.Logf}
	front := httptest.NewServer(writer)
	t.Cleanup(func() { front.Close(); writer.Close() })
	dir := filepath.Join(t.TempDir(), "run")
	rec, err := history.Create(dir, history.Run{ID: "r1"}, history.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	p := ledger.Probe{Client: http.DefaultClient, Writer: front.URL, Plan: ledger.Plan{
		Ledger: "redis", Store: redis.Name, Target: ledger.Target{Addresses: []string{r.sentinel.address}, Name: "bitvault", Replicas: 3}, Rate: 200, Deadline: time.Minute,
	}}
	if running, err = p.Start(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	return running, func() []history.LedgerLine {
		running.Stop()
		if err := running.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := rec.Close(history.EndFinished, ""); err != nil {
			t.Fatal(err)
		}
		h, err := history.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var lines []history.LedgerLine
		for line, err := range h.Ledger("redis") {
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, *line)
		}
		return lines
	}
}

func awaitWrites(t *testing.T, running probe.Running, more uint64) {
	t.Helper()
	from := running.Status().Sent
	await(t, "writes", func() bool { return running.Status().Sent >= from+more })
}

// missing is how many acknowledged writes each member lacks that was read to its end.
func missing(lines []history.LedgerLine) (acked int, lacks map[string]int, by []string) {
	has := map[string]map[uint64]bool{}
	var ops []uint64
	for _, line := range lines {
		switch {
		case line.Write != nil && line.Write.Outcome == history.WriteAcked:
			ops = append(ops, line.Write.Op)
			if len(by) == 0 || by[len(by)-1] != line.Write.By {
				by = append(by, line.Write.By)
			}
		case line.Found != nil:
			if has[line.Found.Member] == nil {
				has[line.Found.Member] = map[uint64]bool{}
			}
			for i := range line.Found.Count {
				has[line.Found.Member][line.Found.Op+i] = true
			}
		case line.Member != nil && line.Member.Error == "":
			if has[line.Member.Name] == nil {
				has[line.Member.Name] = map[uint64]bool{}
			}
		}
	}
	lacks = map[string]int{}
	for member, set := range has {
		lacks[member] = 0
		for _, op := range ops {
			if !set[op] {
				lacks[member]++
			}
		}
	}
	return len(ops), lacks, by
}

// Nothing happens, and every server has all.
func TestEveryServerIsRead(t *testing.T) {
	r := startAll(t)
	running, end := write(t, r)
	awaitWrites(t, running, 200)
	acked, lacks, by := missing(end())
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
	running, end := write(t, r)
	awaitWrites(t, running, 100)
	for _, replica := range r.replicas {
		replica.signal(syscall.SIGSTOP)
	}
	if err := r.master.client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "replica").Err(); err != nil { // else their kernel takes on what is sent
		t.Fatal(err)
	}
	awaitWrites(t, running, 100)
	r.master.kill()
	for _, replica := range r.replicas {
		replica.signal(syscall.SIGCONT)
	}
	await(t, "another master", func() bool {
		return r.replicas[0].info("role") == "master" || r.replicas[1].info("role") == "master"
	})
	awaitWrites(t, running, 100)
	lines := end()
	acked, lacks, by := missing(lines)
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
	last := lines[len(lines)-1].Closed
	if last == nil || len(last.Members) != 3 {
		t.Errorf("the ledger ended as %+v, want three members known", last)
	}
}

func TestBadTargets(t *testing.T) {
	_, err := redis.Open(t.Context(), ledger.Plan{Ledger: "redis", Target: ledger.Target{Addresses: []string{"127.0.0.1:1"}, Name: "bitvault"}}, "redis-w-")
	if err == nil || !strings.Contains(err.Error(), `find master "bitvault" of Redis by the sentinels at 127.0.0.1:1`) {
		t.Errorf("%v", err)
	}
}
