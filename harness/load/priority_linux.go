package load

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness is the nice value of the calling thread, and of the whole process as long as nobody gave its threads different ones.
func niceness() int {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return 20 - raw // as the system call tells it
}

// renice sets the nice value of every thread of this process: on Linux priority is a thread's own, and a new thread has that of the one that
// starts it. It looks again until no thread is new, and reports whether it was allowed to.
func renice(nice int) bool {
	done := map[int]bool{}
	for {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return false
		}
		fresh := false
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil || done[id] {
				continue
			}
			done[id], fresh = true, true
			// One that has ended meanwhile is no reason to stop; what is refused for one is refused for all.
			if err := unix.Setpriority(unix.PRIO_PROCESS, id, nice); err == unix.EACCES || err == unix.EPERM {
				return false
			}
		}
		if !fresh {
			return true
		}
	}
}
