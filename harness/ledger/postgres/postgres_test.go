//go:build stores

package postgres_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/ledger/ledgertest"
	"bitvault.dev/rollproof/harness/ledger/postgres"
	"bitvault.dev/rollproof/harness/wait"
)

// patience bounds every wait of these tests: they share a machine with much else.
const patience = 5 * time.Minute

// nobody runs PostgreSQL where the tests run as root, whom it refuses.
const nobody = 65534

// instance is a real postgres, as a child of this process.
type instance struct {
	t    *testing.T
	dir  string
	port string
	user string // default postgres
	cmd  *exec.Cmd
}

func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		t.Fatal("there is no " + name + " on this machine: make test-stores says what it needs")
	}
	return found[len(found)-1]
}

func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := command(t, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// newInstance is a folder that PostgreSQL may use, and a free port.
func newInstance(t *testing.T) *instance {
	t.Helper()
	dir, err := os.MkdirTemp("", "ledger-pg-*") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return &instance{t: t, dir: filepath.Join(dir, "data"), port: port}
}

func (i *instance) start() {
	i.t.Helper()
	i.cmd = command(i.t, "postgres", "-D", i.dir, "-p", i.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
		"-c", "wal_retrieve_retry_interval=200ms")
	if err := i.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(i.kill)
	await(i.t, "postgres to answer", func() bool { return i.ask("SELECT 'yes'") == "yes" })
}

func (i *instance) kill() {
	if i.cmd.ProcessState == nil {
		_ = i.cmd.Process.Kill()
		_ = i.cmd.Wait()
	}
}

func (i *instance) address() string {
	return "postgres://" + cmp.Or(i.user, "postgres") + "@127.0.0.1:" + i.port + "/postgres"
}

// ask is the one value that a query gives; empty where it fails.
func (i *instance) ask(query string) string {
	conn, err := pgx.Connect(i.t.Context(), i.address())
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close(i.t.Context()) }()
	var value string
	if err := conn.QueryRow(i.t.Context(), query).Scan(&value); err != nil {
		return ""
	}
	return value
}

func (i *instance) exec(queries ...string) {
	i.t.Helper()
	conn, err := pgx.Connect(i.t.Context(), i.address())
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = conn.Close(i.t.Context()) }()
	for _, query := range queries {
		if _, err := conn.Exec(i.t.Context(), query); err != nil {
			i.t.Fatalf("%s: %v", query, err)
		}
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	err := wait.Until(t.Context(), what, patience, 50*time.Millisecond, func(context.Context) (bool, string, error) { return done(), "not yet", nil })
	if err != nil {
		t.Fatal(err)
	}
}

// cluster is a primary with two standbys. Where synchronous says so each commit waits for one of them.
func cluster(t *testing.T, synchronous bool) []*instance {
	t.Helper()
	primary := newInstance(t)
	run(t, "initdb", "-D", primary.dir, "-A", "trust", "-U", "postgres", "--no-sync")
	primary.start()
	all := []*instance{primary}
	for range 2 {
		standby := newInstance(t)
		run(t, "pg_basebackup", "-D", standby.dir, "-h", "127.0.0.1", "-p", primary.port, "-U", "postgres", "-R", "--checkpoint=fast", "--no-sync")
		standby.start()
		all = append(all, standby)
	}
	await(t, "two standbys", func() bool {
		return primary.ask("SELECT count(*)::text FROM pg_stat_replication WHERE state = 'streaming'") == "2"
	})
	if synchronous {
		primary.exec("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'", "SELECT pg_reload_conf()")
	}
	return all
}

// write has a ledger written to it.
func write(t *testing.T, all []*instance) *ledgertest.Written {
	t.Helper()
	var hosts, addresses []string
	for _, i := range all {
		hosts = append(hosts, "127.0.0.1:"+i.port)
		addresses = append(addresses, i.address())
	}
	addresses = append([]string{"postgres://postgres@" + strings.Join(hosts, ",") + "/postgres?target_session_attrs=read-write"}, addresses...)
	w, err := ledgertest.Begin(t.Context(), t.TempDir(), postgres.Open, ledger.Plan{
		Store: postgres.Name, Target: ledger.Target{Addresses: addresses, Replicas: 2}, Rate: 100, InFlight: 64, Deadline: time.Minute, Try: 30 * time.Second,
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

func end(t *testing.T, w *ledgertest.Written) (acked int, lacks map[string]int, leaders []string) {
	t.Helper()
	lines, err := w.End()
	if err != nil {
		t.Fatal(err)
	}
	sum := ledgertest.Sum(lines)
	return len(sum.Acked), sum.Lacks(), sum.Leaders
}

// The primary of a cluster with quorum commit is killed, and a standby takes its place: whoever is left has all that was acknowledged.
func TestAPrimaryIsKilledAndNothingIsLost(t *testing.T) {
	all := cluster(t, true)
	w := write(t, all)
	awaitWrites(t, w, 100)
	all[0].kill()
	// The standby that has more is promoted, as an operator does.
	first, second := all[1], all[2]
	if first.ask(fmt.Sprintf("SELECT (pg_last_wal_receive_lsn() < '%s')::text", second.ask("SELECT pg_last_wal_receive_lsn()::text"))) == "true" {
		first, second = second, first
	}
	first.exec("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'", "SELECT pg_reload_conf()", "SELECT pg_promote()")
	second.exec("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port="+first.port+" user=postgres'", "SELECT pg_reload_conf()")
	awaitWrites(t, w, 100)
	acked, lacks, leaders := end(t, w)
	if len(lacks) != 2 || acked < 150 {
		t.Fatalf("%d acknowledged, lacks %v, want the two instances that are left", acked, lacks)
	}
	for member, n := range lacks {
		if n != 0 {
			t.Errorf("%s lacks %d of %d", member, n, acked)
		}
	}
	if len(leaders) < 2 || leaders[0] != "127.0.0.1:"+all[0].port || leaders[len(leaders)-1] != "127.0.0.1:"+first.port {
		t.Errorf("primaries were %v", leaders)
	}
}

// Replication is asynchronous, the standbys are cut off before the primary is killed: what was acknowledged meanwhile is gone, and the ledger shows it.
func TestALossIsSeen(t *testing.T) {
	all := cluster(t, false)
	w := write(t, all)
	awaitWrites(t, w, 50)
	for _, standby := range all[1:] {
		standby.exec("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	}
	await(t, "the standbys to be cut off", func() bool { return all[0].ask("SELECT count(*)::text FROM pg_stat_replication") == "0" })
	awaitWrites(t, w, 100)
	all[0].kill()
	all[1].exec("SELECT pg_promote()")
	awaitWrites(t, w, 50)
	acked, lacks, _ := end(t, w)
	if n := lacks["127.0.0.1:"+all[1].port]; n < 50 {
		t.Errorf("the new primary lacks %d of %d, and was cut off while at least 100 were acknowledged", n, acked)
	}
}

// Behind a Service an instance has another address for itself than that it is reached by: whoever acknowledged is named as the instance is, and the login
// of the target is for all addresses.
func TestInstancesGoByTheNamesTheyAreReachedBy(t *testing.T) {
	only := newInstance(t)
	run(t, "initdb", "-D", only.dir, "-A", "trust", "-U", "owner", "--no-sync")
	only.user = "owner"
	only.start()
	name := "localhost:" + only.port
	address := "postgres://" + name + "/postgres"
	w, err := ledgertest.Begin(t.Context(), t.TempDir(), postgres.Open, ledger.Plan{
		Store: postgres.Name, Target: ledger.Target{Addresses: []string{address, address}, User: "owner", Password: "hunter2", Replicas: 1}, Rate: 100,
	}, func(format string, args ...any) {
		if line := fmt.Sprintf(format, args...); strings.Contains(line, "hunter2") {
			t.Errorf("the writer tells the password: %s", line)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	awaitWrites(t, w, 50)
	lines, err := w.End()
	if err != nil {
		t.Fatal(err)
	}
	if sum := ledgertest.Sum(lines); !slices.Equal(sum.By, []string{name}) || !slices.Contains(sum.Leaders, name) {
		t.Errorf("%v acknowledged, %v led, want %s", sum.By, sum.Leaders, name)
	}
}

func TestBadTargets(t *testing.T) {
	for name, c := range map[string]struct {
		addresses []string
		tells     string
	}{
		"nobody listens":   {[]string{"postgres://postgres@127.0.0.1:1/postgres", "postgres://postgres@127.0.0.1:1/postgres"}, "in PostgreSQL at 127.0.0.1"},
		"no address":       {[]string{"postgres://::", "postgres://::"}, "read an address of PostgreSQL"},
		"no instances":     {[]string{"postgres://postgres@127.0.0.1:1/postgres"}, "that of each instance"},
		"a secret is told": {[]string{"postgres://me:hunter2@127.0.0.1:1/x", "postgres://me:hunter2@127.0.0.1:1/x"}, "in PostgreSQL at"},
	} {
		_, err := postgres.Open(t.Context(), ledger.Plan{Ledger: "postgres", Target: ledger.Target{Addresses: c.addresses}}, "postgres-w-")
		if err == nil || !strings.Contains(err.Error(), c.tells) || strings.ContainsAny(err.Error(), "\n\t") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want one line that tells %q and no secret", name, err, c.tells)
		}
	}
}
