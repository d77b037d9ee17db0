package load

import (
	"fmt"
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

// autogroup is where the kernel tells and takes the nice value of the session that this process belongs to (sched(7), "The autogroup feature").
// Where sessions are scheduled against each other, as Debian's kernels do, a process's own nice value counts inside its session alone, and
// does not lift the generator above the containers.
const autogroup = "/proc/self/autogroup"

// reniceSession sets the nice value of this process's session and returns the one before. It does nothing where there are no autogroups.
func reniceSession(nice int) (before int, ok bool) {
	text, err := os.ReadFile(autogroup)
	if err != nil {
		return 0, false
	}
	var group int
	if _, err := fmt.Sscanf(string(text), "/autogroup-%d nice %d", &group, &before); err != nil {
		return 0, false
	}
	return before, os.WriteFile(autogroup, []byte(strconv.Itoa(nice)), 0) == nil
}
