package images

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// command runs in its own process group, so that cancelling it ends its children too: `go build` and debootstrap start many.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// lastLine is the last line of a program's output that says anything: as a rule the reason of its failure.
func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
