// Package docker finds the Docker engine that clusters run on, and starts one where none answers and this process may.
//
// An engine that answers is used untouched. Ours is Debian's docker.io started by hand (a restricted machine has no working
// systemctl) with its own data folder, and an OCI runtime that asks for no capability the machine lacks (package capset).
// The process table is the truth about whether ours runs: it is the dockerd whose command line names our pid file. A pid file left by
// a crash, or a pid that another program has now, therefore cannot mislead us.
package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"

	"bitvault.dev/rollproof/harness/flock"
	"bitvault.dev/rollproof/harness/wait"
)

const (
	startTimeout = 60 * time.Second // dockerd answers in 2-4 s; a loaded machine takes longer
	stopTimeout  = 60 * time.Second // it gives containers 15 s to end
	pollInterval = 100 * time.Millisecond
)

// noUserlandProxy lets the kernel lead mapped ports to their containers. Without it a program for each port does, which copies every byte, and
// which in dockerd before 23.0 dies whenever the thread that started it ends (moby#44215): under load that was seen after ten seconds.
const noUserlandProxy = "--userland-proxy=false"

// Say receives one line on what is happening now.
type Say func(format string, args ...any)

// Ensure returns an engine that answers. Where none does it installs and starts one (Debian or Ubuntu, root); otherwise the error is one
// line on what to do. It may be called twice, also at the same time.
func Ensure(ctx context.Context, say Say) (Engine, error) { return local().ensure(ctx, say) }

// Status describes the engine that answers, or returns ErrNoEngine or ErrPermission. It changes nothing.
func Status(ctx context.Context) (Engine, error) { return local().status(ctx) }

// Stop stops the engine that Ensure started, and reports whether there was one. It never touches another.
func Stop(ctx context.Context, say Say) (bool, error) { return local().stop(ctx, say) }

// host is the machine as this package sees it; tests give it another root.
type host struct {
	root      bool
	state     string // folder of what our engine keeps: data, log, pid file
	run       string // folder of what it keeps only while it runs
	proc      string // /proc
	osRelease string // /etc/os-release
	endpoint  func(context.Context) string
	connect   func(context.Context, string) (*client.Client, error)
	lookPath  func(string) (string, error)
	command   func(ctx context.Context, say Say, name string, args ...string) error
	runtime   func(context.Context) (string, error) // path of a built rollproof-oci
	launch    func(logPath, name string, args []string) error
}

func local() host {
	return host{
		root: os.Geteuid() == 0, state: "/var/lib/rollproof/docker", run: "/run/rollproof-docker", proc: "/proc", osRelease: "/etc/os-release",
		endpoint: Endpoint, connect: connect, lookPath: lookPath, command: runCommand, runtime: buildRuntime, launch: launchDetached,
	}
}

func (h host) pidFile() string { return filepath.Join(h.state, "dockerd.pid") }
func (h host) logFile() string { return filepath.Join(h.state, "dockerd.log") }

// lock keeps other processes from starting or stopping the engine.
func (h host) lock(ctx context.Context, say Say) (*flock.Lock, error) {
	return flock.Take(ctx, filepath.Join(h.state, "lock"), "a process that starts or stops the engine", func(holder string) {
		say("waiting for %s", holder)
	})
}

func (h host) status(ctx context.Context) (Engine, error) {
	api, err := h.connect(ctx, h.endpoint(ctx))
	if err != nil {
		return Engine{}, err
	}
	defer api.Close()
	engine, err := describe(ctx, api)
	engine.Ours = err == nil && engine.Endpoint == client.DefaultDockerHost && len(h.ours()) > 0
	return engine, err
}

func (h host) ensure(ctx context.Context, say Say) (Engine, error) {
	engine, err := h.status(ctx)
	if err == nil {
		if h.endpoint(ctx) == client.DefaultDockerHost && h.older() {
			say("the engine was started by an older rollproof, with programs in the path of the load: `make docker-down docker` renews it")
		}
		return engine, checkDriver(engine)
	}
	if err := h.mayStart(ctx, err); err != nil {
		return Engine{}, err
	}
	lock, err := h.lock(ctx, say)
	if err != nil {
		return Engine{}, err
	}
	defer lock.Release()
	if engine, err := h.status(ctx); err == nil { // another process started it while this one waited
		return engine, checkDriver(engine)
	}
	if err := h.install(ctx, say); err != nil {
		return Engine{}, err
	}
	if engine, err := h.status(ctx); err == nil { // the package started one by itself, where systemd runs
		return engine, checkDriver(engine)
	}
	if err := h.start(ctx, say); err != nil {
		return Engine{}, err
	}
	engine, err = h.status(ctx)
	if err != nil {
		return Engine{}, err
	}
	return engine, checkDriver(engine)
}

// mayStart says in one line what to do where nothing answers and this process may not start an engine.
func (h host) mayStart(ctx context.Context, why error) error {
	if !errors.Is(why, ErrNoEngine) || ctx.Err() != nil {
		return why
	}
	if at := h.endpoint(ctx); at != client.DefaultDockerHost {
		return fmt.Errorf("%w; DOCKER_HOST or the docker context names that engine: start it, or unset them", why)
	}
	family, err := debianFamily(h.osRelease)
	switch {
	case err != nil || !family:
		return fmt.Errorf("%w; install Docker (on this system by hand: see docs/cluster.md) and start it", why)
	case !h.root:
		return fmt.Errorf("%w, and only root can start one; run `sudo make docker`, or `sudo apt-get install docker.io`", why)
	}
	return nil
}

func debianFamily(path string) (bool, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("read which system this is: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key != "ID" && key != "ID_LIKE" {
			continue
		}
		for id := range strings.FieldsSeq(strings.Trim(value, `"'`)) {
			if id == "debian" || id == "ubuntu" {
				return true, nil
			}
		}
	}
	return false, nil
}

// install brings in what is missing, and first mends an installation that was interrupted.
func (h host) install(ctx context.Context, say Say) error {
	var missing []string
	for program, pkg := range map[string]string{"dockerd": "docker.io", "runc": "runc", "iptables": "iptables"} {
		if _, err := h.lookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		say("installing %s", strings.Join(missing, ", "))
		if err := h.apt(ctx, say, append(missing, "ca-certificates")...); err != nil {
			return err
		}
	}
	if _, err := h.lookPath("docker"); err != nil { // newer Debian has the command in a package of its own
		say("installing docker-cli")
		if err := h.apt(ctx, say, "docker-cli"); err != nil {
			return err
		}
	}
	if _, err := h.lookPath("dockerd"); err != nil {
		return fmt.Errorf("install Docker: the package is there but dockerd is not in PATH; try `apt-get install --reinstall docker.io`")
	}
	return nil
}

func (h host) apt(ctx context.Context, say Say, packages ...string) error {
	if err := h.command(ctx, say, "dpkg", "--configure", "-a"); err != nil {
		return fmt.Errorf("finish an interrupted installation (`dpkg --configure -a`): %w", err)
	}
	options := []string{"-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"}
	if err := h.command(ctx, say, "apt-get", append(options, "update")...); err != nil {
		return fmt.Errorf("refresh the list of packages (`apt-get update`): %w", err)
	}
	if err := h.command(ctx, say, "apt-get", append(append(options, "install"), packages...)...); err != nil {
		return fmt.Errorf("install %s (`apt-get install`): %w", strings.Join(packages, ", "), err)
	}
	return nil
}

// start launches dockerd unless ours already runs, and waits until it answers. What a cancelled start launched is stopped again.
func (h host) start(ctx context.Context, say Say) (err error) {
	if len(h.ours()) == 0 {
		if err := h.launchEngine(ctx, say); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
				defer cancel()
				err = errors.Join(err, h.terminate(cleanup))
			}
		}()
	}
	say("waiting for dockerd to answer")
	return h.waitUntilAnswers(ctx)
}

func (h host) launchEngine(ctx context.Context, say Say) error {
	runtime, err := h.installRuntime(ctx, say)
	if err != nil {
		return err
	}
	// No running dockerd names this pid file (see ours), so it is stale. dockerd refuses to start while it is there.
	if err := os.Remove(h.pidFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stale pid file: %w", err)
	}
	dockerd, err := h.lookPath("dockerd")
	if err != nil {
		return fmt.Errorf("find dockerd: %w", err)
	}
	say("starting dockerd, log in %s", h.logFile())
	return h.launch(h.logFile(), dockerd, []string{
		"--host", client.DefaultDockerHost, "--pidfile", h.pidFile(),
		"--data-root", filepath.Join(h.state, "data"), "--exec-root", h.run,
		"--storage-driver", "overlay2",
		noUserlandProxy,
		"--add-runtime", "rollproof=" + runtime, "--default-runtime", "rollproof",
	})
}

// installRuntime copies rollproof-oci to a path that outlives bin/: the engine executes it for every container.
func (h host) installRuntime(ctx context.Context, say Say) (string, error) {
	built, err := h.runtime(ctx)
	if err != nil {
		return "", err
	}
	raw, err := os.ReadFile(built)
	if err != nil {
		return "", fmt.Errorf("read the OCI runtime: %w", err)
	}
	path := filepath.Join(h.state, "rollproof-oci")
	if err := writeFile(path, raw, 0o755); err != nil {
		return "", fmt.Errorf("install the OCI runtime: %w", err)
	}
	say("OCI runtime installed as %s", path)
	return path, nil
}

func (h host) waitUntilAnswers(ctx context.Context) error {
	var ended error
	err := wait.Until(ctx, "dockerd to answer", startTimeout, pollInterval, func(ctx context.Context) (bool, string, error) {
		api, err := h.connect(ctx, client.DefaultDockerHost)
		if err == nil {
			return true, "", api.Close()
		}
		if len(h.ours()) == 0 && h.everStarted() {
			ended = fmt.Errorf("dockerd ended while starting: %q (%s)", lastLine(h.logFile()), h.logFile())
			return true, "", nil
		}
		return false, fmt.Sprintf("%v; its log ends with %q (%s)", err, lastLine(h.logFile()), h.logFile()), nil
	})
	return errors.Join(err, ended)
}

// everStarted reports whether dockerd has begun to run. A process that was just forked is not in the process table under its own name yet, but its
// log tells.
func (h host) everStarted() bool {
	info, err := os.Stat(h.logFile())
	return err == nil && info.Size() > 0
}

func (h host) stop(ctx context.Context, say Say) (bool, error) {
	if len(h.ours()) == 0 {
		return false, nil
	}
	lock, err := h.lock(ctx, say)
	if err != nil {
		return false, err
	}
	defer lock.Release()
	say("stopping dockerd")
	return true, h.terminate(ctx)
}

func (h host) terminate(ctx context.Context) error {
	for _, pid := range h.ours() {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop dockerd (pid %d): %w", pid, err)
		}
	}
	return wait.Until(ctx, "dockerd to end after SIGTERM", stopTimeout, pollInterval, func(context.Context) (bool, string, error) {
		left := h.ours()
		return len(left) == 0, fmt.Sprintf("pid %v; its log ends with %q (%s)", left, lastLine(h.logFile()), h.logFile()), nil
	})
}

// older reports whether an engine of ours runs with other flags than it would be started with now.
func (h host) older() bool {
	return len(processes(h.proc, func(argv []string) bool { return h.isOurs(argv) && !slices.Contains(argv, noUserlandProxy) })) > 0
}

// ours lists the processes that are a dockerd with our pid file on its command line.
func (h host) ours() []int {
	return processes(h.proc, h.isOurs)
}

func (h host) isOurs(argv []string) bool {
	if filepath.Base(argv[0]) != "dockerd" {
		return false
	}
	for i, arg := range argv[1:] {
		if arg == "--pidfile="+h.pidFile() || arg == h.pidFile() && argv[i] == "--pidfile" {
			return true
		}
	}
	return false
}

func lookPath(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} { // not in every user's PATH
		if path := filepath.Join(dir, program); exists(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not found", program)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
