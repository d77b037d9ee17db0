//go:build unix

package load

import "golang.org/x/sys/unix"

// filesLimit is how many files this process may have open; 0 when that cannot be told.
func filesLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<31-1))
}
