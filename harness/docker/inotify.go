package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// InotifyInstances is what several kind clusters at once need: Linux's default of 128 starves the kubelets of the second one, and
// its kubeadm times out without naming the cause.
const InotifyInstances = 1024

const inotifyPath = "/proc/sys/fs/inotify/max_user_instances"

// EnsureInotify raises fs.inotify.max_user_instances to InotifyInstances where it is lower. Without the right to do so the error
// names the command to run. It reports whether it changed anything. On a system without that setting there is nothing to do.
func EnsureInotify() (raised bool, err error) {
	return ensureInotify(inotifyPath, os.WriteFile)
}

func ensureInotify(path string, write func(path string, data []byte, mode os.FileMode) error) (bool, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read fs.inotify.max_user_instances: %w", err)
	}
	have, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return false, fmt.Errorf("read fs.inotify.max_user_instances: %w", err)
	}
	if have >= InotifyInstances {
		return false, nil
	}
	if err := write(path, []byte(strconv.Itoa(InotifyInstances)), 0o644); err != nil {
		return false, fmt.Errorf("fs.inotify.max_user_instances is %d, too few for another cluster: run `sudo sysctl -w fs.inotify.max_user_instances=%d`",
			have, InotifyInstances)
	}
	return true, nil
}
