package load

import (
	"os"
	"runtime/debug"
)

// TuneMemory sets the garbage collector of this process up for making load: it trades memory for CPU time, which a generator must
// not be short of. There is no memory limit on purpose: a collector that runs against one takes the CPU just when thousands of hits
// hang. It is for main functions to call; GOGC and GOMEMLIMIT in the environment win.
func TuneMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(300)
	}
}
