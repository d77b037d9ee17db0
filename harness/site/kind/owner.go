package kind

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Labels of everything this package makes where it controls the labels. Nodes are made by kind, which sets only its own: they are known
// by the folder of ours that is mounted into them.
const (
	LabelOwner   = "rollproof.dev/owner"   // id of the run that made it
	LabelPID     = "rollproof.dev/pid"     // that run's process
	LabelStart   = "rollproof.dev/start"   // when that process started: boot id and clock ticks since boot, so a reused pid is not it
	LabelCluster = "rollproof.dev/cluster" // cluster it belongs to
	LabelState   = "rollproof.dev/state"   // state folder of the user that made it: another user's things are never ours to remove
)

// labelKind is how kind marks the nodes of a cluster.
const labelKind = "io.x-k8s.kind.cluster"

// Owner identifies a process for good: a pid alone is used again.
type Owner struct {
	Run   string `json:"run"`
	PID   int    `json:"pid"`
	Start string `json:"start"` // "<boot id>/<start in clock ticks since boot>", "" where there is no /proc
}

// thisProcess is the owner of what this process makes.
func thisProcess(proc, run string) Owner {
	return Owner{Run: run, PID: os.Getpid(), Start: processStart(proc, os.Getpid())}
}

// alive reports whether that very process still runs. Unknown counts as alive: nothing is ever removed on a guess.
func (o Owner) alive(proc string) bool {
	if o.Start == "" || o.PID <= 0 {
		return true
	}
	if _, err := os.Stat(filepath.Join(proc, "self")); err != nil {
		return true
	}
	return processStart(proc, o.PID) == o.Start
}

func (o Owner) labels() map[string]string {
	return map[string]string{LabelOwner: o.Run, LabelPID: strconv.Itoa(o.PID), LabelStart: o.Start}
}

func ownerFromLabels(labels map[string]string) Owner {
	pid, _ := strconv.Atoi(labels[LabelPID])
	return Owner{Run: labels[LabelOwner], PID: pid, Start: labels[LabelStart]}
}

// processStart returns "<boot id>/<field 22 of stat>", "" when there is no such process.
func processStart(proc string, pid int) string {
	stat, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	boot, err := os.ReadFile(filepath.Join(proc, "sys/kernel/random/boot_id"))
	if err != nil {
		return ""
	}
	// the program's name is in parentheses and may hold anything, spaces too; what follows the last one is fields 3, 4, …
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" { // a zombie owns nothing any more
		return ""
	}
	return fmt.Sprintf("%s/%s", strings.TrimSpace(string(boot)), fields[19])
}
