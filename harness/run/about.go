package run

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/load"
)

// About is what every record says of the machine and the binary: where it runs, with which versions, by which command.
func About(ctx context.Context) history.Run {
	command := append([]string{os.Args[0]}, load.ReadCommandLine(os.Args[1:]).Args...)
	return history.Run{Command: command, Machine: machine(ctx), Versions: versions()}
}

// machine describes where this runs. What the system does not tell stays empty.
func machine(ctx context.Context) history.Machine {
	m := history.Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU()}
	if platform, _, version, err := host.PlatformInformationWithContext(ctx); err == nil {
		m.OS += ", " + strings.TrimSpace(platform+" "+version)
	}
	if cpus, err := cpu.InfoWithContext(ctx); err == nil && len(cpus) > 0 {
		m.CPU = cpus[0].ModelName
	}
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		m.Memory = memory.Total
	}
	return m
}

// versions names rollproof itself and what it was built with.
func versions() map[string]string {
	v := map[string]string{"go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		v["rollproof"] = info.Main.Version
	}
	return v
}
