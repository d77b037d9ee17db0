//go:build kind

package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTerminalOnACluster looks at the commands that need an engine, on the cluster that is there or is made for it: `make smoke` keeps it
// until then, and removes it afterwards. Images are cached already. What a run shows is looked at, and not its verdict: a machine that stands still
// for a second makes it inconclusive, and `make smoke` has wanted a pass before.
func TestTerminalOnACluster(t *testing.T) {
	out := t.TempDir()
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TERM=") || strings.HasPrefix(v, "NO_COLOR=") })
	env = append(env, "TERM=xterm-256color")
	for _, s := range []session{
		{"images build", []string{"images", "build", "node", "registry", "probe"}, "", []int{exitPass}, "COMPONENT"},
		{"cluster up", []string{"cluster", "up"}, "", []int{exitPass}, "kubectl --kubeconfig"},
		{"run", []string{"run", "canary/promotes-good", "--out", out}, "before the first act", []int{exitPass, exitInconclusive}, "exit code of the verdict"},
		{"teeth", []string{"teeth", "disruption.landed", "--out", out}, "fault 1 of 1", []int{exitPass}, "planted faults were seen"},
	} {
		for _, l := range looks() {
			t.Run(s.name+" "+l.name, func(t *testing.T) {
				if s.midway != "" && l.name == "NO_COLOR" {
					t.Skip("it takes minutes, and prints by the same code as attack does, which make test looks at")
				}
				s.run(t, env, l)
			})
		}
	}
}
