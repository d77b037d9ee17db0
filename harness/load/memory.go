package load

import (
	"os"
	"runtime/debug"
)

// TuneMemory sets the garbage collector of this process up for making load: it trades memory for CPU time, which a generator must
// not be short of, and bounds the memory. It is for main functions to call; GOGC and GOMEMLIMIT in the environment win.
func TuneMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(128 << 20)
	}
}
