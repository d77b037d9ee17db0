package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"
)

// rig is a bare machine: no engine, nothing installed, root on Debian. Starting the engine makes a server answer and puts a process into
// its /proc.
type rig struct {
	host
	mu        sync.Mutex
	server    *httptest.Server
	up        bool
	installed map[string]bool
	ran       []string
	launched  [][]string
	aptFails  error
	diesEarly bool
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{installed: map[string]bool{}}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if strings.HasSuffix(req.URL.Path, "/info") {
			fmt.Fprint(w, `{"ServerVersion":"20.10.24","Driver":"overlay2","DockerRootDir":"/data","DefaultRuntime":"rollproof"}`)
		}
	}))
	t.Cleanup(r.server.Close)
	osRelease := filepath.Join(dir, "os-release")
	write(t, osRelease, "ID=debian\n")
	write(t, filepath.Join(dir, "rollproof-oci"), "#!binary")
	r.host = host{
		root: true, state: filepath.Join(dir, "state"), run: filepath.Join(dir, "run"), proc: filepath.Join(dir, "proc"), osRelease: osRelease,
		endpoint: func(context.Context) string { return client.DefaultDockerHost },
		connect:  r.connect,
		lookPath: func(program string) (string, error) {
			if r.installed[program] {
				return "/usr/sbin/" + program, nil
			}
			return "", errors.New("not found")
		},
		command: r.command,
		runtime: func(context.Context) (string, error) { return filepath.Join(dir, "rollproof-oci"), nil },
		launch:  r.launch,
	}
	return r
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) connect(ctx context.Context, host string) (*client.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.up {
		return nil, classify(host, errors.New("connection refused"))
	}
	return client.New(client.WithHost("tcp://" + r.server.Listener.Addr().String()))
}

func (r *rig) command(_ context.Context, _ Say, name string, args ...string) error {
	line := strings.Join(append([]string{name}, args...), " ")
	r.ran = append(r.ran, line)
	if r.aptFails != nil && name == "apt-get" {
		return r.aptFails
	}
	if slices.Contains(args, "install") {
		for _, program := range []string{"dockerd", "runc", "iptables", "docker"} {
			r.installed[program] = true
		}
	}
	return nil
}

func (r *rig) launch(logPath, name string, args []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.launched = append(r.launched, args)
	if r.diesEarly {
		return os.WriteFile(logPath, []byte("starting\nno space left on device\n"), 0o600)
	}
	r.up = true
	return putProcess(r.proc, 4711, append([]string{name}, args...)...)
}

func putProcess(proc string, pid int, argv ...string) error {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cmdline"), []byte(strings.Join(argv, "\x00")+"\x00"), 0o644)
}

func silent(string, ...any) {}

func TestEnsureOnABareMachineInstallsAndStarts(t *testing.T) {
	r := newRig(t)
	// a pid file that a crash left: with a pid that another program has now
	write(t, r.pidFile(), "1\n")
	if err := putProcess(r.proc, 1, "/sbin/init"); err != nil {
		t.Fatal(err)
	}
	engine, err := r.ensure(context.Background(), silent)
	if err != nil {
		t.Fatal(err)
	}
	if engine.Version != "20.10.24" || engine.Driver != "overlay2" {
		t.Errorf("got %+v", engine)
	}
	want := []string{"dpkg --configure -a", "update", "install docker.io iptables runc ca-certificates"}
	for i, w := range want {
		if i >= len(r.ran) || !strings.HasSuffix(sortedPackages(r.ran[i]), sortedPackages(w)) {
			t.Fatalf("ran %q, want %q", r.ran, want)
		}
	}
	if _, err := os.Stat(r.pidFile()); !errors.Is(err, os.ErrNotExist) {
		t.Error("the stale pid file is still there: dockerd would refuse to start")
	}
	args := strings.Join(r.launched[0], " ")
	for _, w := range []string{"--pidfile " + r.pidFile(), "--default-runtime rollproof", "--userland-proxy=false", "--add-runtime rollproof=" + filepath.Join(r.state, "rollproof-oci")} {
		if !strings.Contains(args, w) {
			t.Errorf("dockerd %s lacks %q", args, w)
		}
	}
	if info, err := os.Stat(filepath.Join(r.state, "rollproof-oci")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the OCI runtime: %v %v", info, err)
	}
	if _, err := r.ensure(context.Background(), silent); err != nil || len(r.launched) != 1 {
		t.Errorf("a second call: %v, %d launches", err, len(r.launched))
	}
}

// sortedPackages makes the comparison independent of the order of packages.
func sortedPackages(line string) string {
	before, packages, ok := strings.Cut(line, "install ")
	if !ok {
		return line
	}
	list := strings.Fields(packages)
	slices.Sort(list)
	_ = before
	return "install " + strings.Join(list, " ")
}

func TestEnsureSideBySideStartsOne(t *testing.T) {
	r := newRig(t)
	for _, program := range []string{"dockerd", "runc", "iptables", "docker"} {
		r.installed[program] = true
	}
	errs := make(chan error, 4)
	for range 4 {
		go func() { _, err := r.ensure(context.Background(), silent); errs <- err }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if len(r.launched) != 1 || len(r.ran) != 0 {
		t.Errorf("%d launches, ran %q", len(r.launched), r.ran)
	}
}

func TestAnEngineThatAnswersIsUntouched(t *testing.T) {
	r := newRig(t)
	r.up = true
	if _, err := r.ensure(context.Background(), silent); err != nil {
		t.Fatal(err)
	}
	stopped, err := r.stop(context.Background(), silent)
	if stopped || err != nil || len(r.launched)+len(r.ran) != 0 {
		t.Errorf("stopped %v %v, launched %v, ran %v", stopped, err, r.launched, r.ran)
	}
	if _, err := os.Stat(r.state); !errors.Is(err, os.ErrNotExist) {
		t.Error("something was written")
	}
}

func TestWhereNothingMayBeStartedOneLineSaysWhatToDo(t *testing.T) {
	cases := map[string]struct {
		plant func(*rig)
		want  []string
	}{
		"not root":        {func(r *rig) { r.root = false }, []string{"no Docker engine answers", "sudo make docker"}},
		"another system":  {func(r *rig) { _ = os.WriteFile(r.osRelease, []byte("ID=fedora\n"), 0o644) }, []string{"no Docker engine answers", "install Docker"}},
		"unknown system":  {func(r *rig) { r.osRelease = "/nonexistent" }, []string{"install Docker"}},
		"named elsewhere": {func(r *rig) { r.endpoint = func(context.Context) string { return "tcp://far:2376" } }, []string{"tcp://far:2376", "DOCKER_HOST"}},
		"no permission": {func(r *rig) {
			r.host.connect = func(_ context.Context, host string) (*client.Client, error) {
				return nil, classify(host, errors.New("permission denied while trying to connect"))
			}
		}, []string{"permission denied", "usermod -aG docker"}},
		"apt fails":     {func(r *rig) { r.aptFails = errors.New("exit status 100: no network") }, []string{"apt-get update", "no network"}},
		"dies starting": {func(r *rig) { r.diesEarly = true }, []string{"ended while starting", "no space left on device"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c.plant(r)
			_, err := r.ensure(context.Background(), silent)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestUbuntuIsOfTheFamily(t *testing.T) {
	cases := map[string]bool{
		"ID=debian\n": true, "NAME=x\nID=ubuntu\n": true, "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n": true,
		"ID=fedora\nID_LIKE=\"rhel\"\n": false, "": false, "NAME=debian\n": false, "ID=notdebian\n": false,
	}
	for text, want := range cases {
		path := filepath.Join(t.TempDir(), "os-release")
		write(t, path, text)
		if got, err := debianFamily(path); got != want || err != nil {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
}

func TestOursIsTheDockerdThatNamesOurPidFile(t *testing.T) {
	r := newRig(t)
	for pid, argv := range map[int][]string{
		10: {"/usr/sbin/dockerd", "-H", "fd://"},
		11: {"/usr/sbin/dockerd", "--pidfile", r.pidFile()},
		12: {"dockerd", "--pidfile=" + r.pidFile()},
		13: {"/usr/bin/vim", r.pidFile()},
		14: {"/usr/sbin/dockerd", "--pidfile", "/var/run/docker.pid"},
		15: {"grep", "dockerd", "--pidfile", r.pidFile()},
		16: {"/usr/sbin/dockerd", "--pidfile"},
	} {
		if err := putProcess(r.proc, pid, argv...); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(r.proc, "17", "cmdline"), "") // a zombie
	got := r.ours()
	slices.Sort(got)
	if !slices.Equal(got, []int{11, 12}) {
		t.Errorf("got %v, want 11 and 12", got)
	}
}

// An engine of ours that an older rollproof started still has a program in the path of the load: it is used, and said.
func TestAnOlderEngineOfOursIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		argv []string
		told bool
	}{
		"older":     {[]string{"dockerd", "--pidfile", "PID"}, true},
		"as today":  {[]string{"dockerd", "--pidfile", "PID", "--userland-proxy=false"}, false},
		"not of us": {[]string{"dockerd", "--pidfile", "/other"}, false},
	} {
		r := newRig(t)
		r.up = true
		argv := slices.Clone(c.argv)
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "PID", r.pidFile())
		}
		if err := putProcess(r.proc, 11, argv...); err != nil {
			t.Fatal(err)
		}
		told := false
		_, err := r.ensure(context.Background(), func(format string, _ ...any) { told = told || strings.Contains(format, "older rollproof") })
		if err != nil || told != c.told {
			t.Errorf("%s: told %v, error %v", name, told, err)
		}
	}
}

func TestACancelledWaitForTheLockEnds(t *testing.T) {
	r := newRig(t)
	lock, err := r.lock(context.Background(), silent)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	ctx, cancel := context.WithCancel(context.Background())
	_, err = r.ensure(ctx, func(format string, _ ...any) {
		if strings.Contains(format, "waiting") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(r.launched) != 0 {
		t.Errorf("got %v, %d launches", err, len(r.launched))
	}
}

func TestEnginesThatCopyImagesAreRefused(t *testing.T) {
	for driver, ok := range map[string]bool{"overlay2": true, "overlayfs": true, "btrfs": true, "zfs": true, "vfs": false, "devicemapper": false} {
		if err := checkDriver(Engine{Driver: driver}); (err == nil) != ok {
			t.Errorf("%s: %v", driver, err)
		}
	}
}

func TestInotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "max_user_instances")
	cases := map[string]struct {
		raised bool
		after  string
	}{"128\n": {true, "1024"}, "1024\n": {false, "1024\n"}, "8192\n": {false, "8192\n"}}
	for before, c := range cases {
		write(t, path, before)
		raised, err := ensureInotify(path, os.WriteFile)
		after, _ := os.ReadFile(path)
		if err != nil || raised != c.raised || string(after) != c.after {
			t.Errorf("%q: raised %v, %v, now %q", before, raised, err, after)
		}
	}
	if _, err := ensureInotify(filepath.Join(t.TempDir(), "none"), os.WriteFile); err != nil {
		t.Errorf("a system without it: %v", err)
	}
	write(t, path, "128\n")
	_, err := ensureInotify(path, func(string, []byte, os.FileMode) error { return os.ErrPermission })
	if err == nil || !strings.Contains(err.Error(), "is 128, too few") || !strings.Contains(err.Error(), "sudo sysctl -w fs.inotify.max_user_instances=1024") {
		t.Errorf("not root: %v", err)
	}
	dir := t.TempDir()
	if _, err := ensureInotify(dir, os.WriteFile); err == nil {
		t.Error("unreadable: no error")
	}
}
