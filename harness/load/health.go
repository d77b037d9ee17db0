package load

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/process"

	"bitvault.dev/rollproof/harness/history"
)

const (
	stallTick   = 5 * time.Millisecond
	sampleEvery = 500 * time.Millisecond
)

// monitor watches how the generator itself fares: a starved one proves nothing. What the machine does not tell stays 0.
type monitor struct {
	conns *connCount
	path  *pathWatch // is told of stalls
	clock history.Clock
	self  *process.Process
	began time.Time
	own   float64 // CPU seconds of this process at the begin
	busy  float64 // of the machine
	total float64

	quit    chan struct{}
	ended   sync.WaitGroup
	last    time.Time // when the watch woke last
	sampled time.Time // when it looked at the files last
	stall   time.Duration
	kept    history.Stalls
	files   int

	nice    int    // priority that this process got
	restore func() // the one before
}

func startMonitor(conns *connCount, path *pathWatch, clock history.Clock) *monitor {
	m := &monitor{conns: conns, path: path, clock: clock, began: time.Now(), quit: make(chan struct{})}
	m.nice, m.restore = raisePriority()
	if self, err := process.NewProcess(int32(os.Getpid())); err == nil {
		m.self = self
	}
	m.own = m.ownCPU()
	m.busy, m.total = machineCPU()
	m.last = time.Now()
	m.ended.Go(m.watch)
	return m
}

// watch sees by its own lateness that the whole process did not run, and looks at the open files now and then.
func (m *monitor) watch() {
	tick := time.NewTicker(stallTick)
	defer tick.Stop()
	for {
		select {
		case <-m.quit:
			return
		case <-tick.C:
			m.woke(time.Now())
		}
	}
}

// woke takes the moment of a tick. The process stood still for as long as the tick is late.
func (m *monitor) woke(now time.Time) {
	m.stood(now.Sub(m.last) - stallTick)
	m.last = now
	if now.Sub(m.sampled) >= sampleEvery {
		m.sampled = now
		m.countFiles()
	}
}

// stood takes how long the process has not run until now.
func (m *monitor) stood(stall time.Duration) {
	m.stall = max(m.stall, stall)
	if stall >= history.StallLeast {
		m.kept.Add(history.Stall{At: m.clock.Now() - stall, Length: stall})
	}
	if stall > pathStall {
		m.path.stalled()
	}
}

func (m *monitor) countFiles() {
	if m.self == nil {
		return
	}
	if n, err := m.self.NumFDs(); err == nil {
		m.files = max(m.files, int(n))
	}
}

// stop ends the watch and says how the process fared. Start lags and workers are each arm's own.
func (m *monitor) stop() history.Health {
	close(m.quit)
	m.ended.Wait()
	m.restore()
	m.countFiles()
	h := history.Health{StallMax: m.stall, Stalls: m.kept.Longest(), SocketsMax: int(m.conns.most.Load()), FilesMax: m.files, FilesLimit: filesLimit(), Nice: m.nice}
	if seconds := time.Since(m.began).Seconds(); seconds > 0 {
		h.CPU = (m.ownCPU() - m.own) / seconds
	}
	busy, total := machineCPU()
	h.CPUBusy = shareOfTime(busy-m.busy, total-m.total)
	return h
}

// shareOfTime is the part of a time that was busy, from 0 to 1; 0 where no time passed. The kernel's counters may go back a little.
func shareOfTime(busy, total float64) float64 {
	if total <= 0 {
		return 0
	}
	return min(max(busy/total, 0), 1)
}

func (m *monitor) ownCPU() float64 {
	if m.self == nil {
		return 0
	}
	times, err := m.self.TimesWithContext(context.Background())
	if err != nil {
		return 0
	}
	return times.User + times.System
}

// machineCPU is the CPU time the machine spent working, and all of it, in seconds over all cores. Both are 0 where it does not tell.
func machineCPU() (busy, total float64) {
	times, _ := cpu.Times(false)
	for _, t := range times { // one, which is of all cores
		b, all := busyAndAll(t)
		busy, total = busy+b, total+all
	}
	return busy, total
}

// busyAndAll adds up the times of a CPU. The kernel counts those of guests as user and nice time already.
func busyAndAll(t cpu.TimesStat) (busy, total float64) {
	busy = t.User + t.System + t.Nice + t.Irq + t.Softirq + t.Steal
	return busy, busy + t.Idle + t.Iowait
}
