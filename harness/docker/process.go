package docker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// processes lists, out of a /proc folder, the pids whose command line match accepts. Zombies have none and are left out.
func processes(proc string, match func(argv []string) bool) []int {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(proc, entry.Name(), "cmdline"))
		if err != nil || len(raw) == 0 {
			continue
		}
		if match(strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// runCommand runs a program whose output is worth seeing only when it fails. On cancel it gets SIGINT first: a package manager
// that is killed leaves a half-finished installation.
func runCommand(ctx context.Context, say Say, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	var tail lastLines
	cmd.Stdout, cmd.Stderr = &tail, &tail
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, tail.String())
	}
	return nil
}

// lastLines keeps the last few lines written to it.
type lastLines struct{ text []byte }

func (l *lastLines) Write(p []byte) (int, error) {
	const keep = 600
	l.text = append(l.text, p...)
	if len(l.text) > keep {
		l.text = l.text[len(l.text)-keep:]
	}
	return len(p), nil
}

func (l *lastLines) String() string {
	lines := strings.Split(strings.TrimSpace(string(l.text)), "\n")
	return strings.Join(lines[max(0, len(lines)-2):], "; ")
}

// launchDetached starts a program that outlives this process, in a session of its own so that Ctrl-C does not reach it.
func launchDetached(logPath, name string, args []string) error {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", filepath.Base(name), err)
	}
	defer log.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go cmd.Wait() // reap it should it end before we do
	return nil
}

// buildRuntime returns the path of rollproof-oci: the one beside this program, else one built from this module.
func buildRuntime(ctx context.Context) (string, error) {
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), "rollproof-oci"); exists(beside) {
			return beside, nil
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder to build rollproof-oci in: %w", err)
	}
	path := filepath.Join(cache, "rollproof", "bin", "rollproof-oci")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "bitvault.dev/rollproof/cmd/rollproof-oci")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build rollproof-oci, which is not beside this program (`make build` puts it there): %w: %s",
			err, firstLine(string(out)))
	}
	return path, nil
}

// writeFile replaces path at once: a running program may still execute the old one.
func writeFile(path string, raw []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(path, raw, mode)
}

// lastLine returns the last line of a log that is worth showing.
func lastLine(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return "no log"
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > 8192 {
		file.Seek(-8192, io.SeekEnd)
	}
	last := "empty log"
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			last = line
		}
	}
	return last
}
