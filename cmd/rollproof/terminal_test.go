package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
)

// What each command leaves on a terminal. Where there is no engine the commands that want one must say so in one line.
func TestTerminal(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	for _, l := range looks() {
		dir := t.TempDir()
		attack := []string{"attack", "--target", server.URL, "--rate", "20/s", "--duration", "3s", "--out", filepath.Join(dir, "attack")}
		midway := map[string]string{"attack": "[", "demo": "replicas of v1"}
		if l.name == "dumb" {
			midway["attack"] = "" // plain lines come every 10 s
		}
		// On a loaded machine the load of attack and demo is late, and they are inconclusive.
		for _, s := range []session{
			{"attack", attack, midway["attack"], []int{exitPass, exitInconclusive}, "report " + filepath.Join(dir, "attack")},
			{"demo", []string{"demo", "--out", filepath.Join(dir, "demo")}, midway["demo"], []int{exitPass, exitInconclusive}, "What it set out to show:"},
			{"run", []string{"run", "canary/promotes-good", "--out", dir}, "", []int{exitCouldNotRun}, "rollproof: no Docker engine answers"},
			{"teeth", []string{"teeth", "mechanics.pdb", "--out", dir}, "", []int{exitCouldNotRun}, "rollproof: no Docker engine answers"},
			{"cluster up", []string{"cluster", "up"}, "", []int{exitCouldNotRun}, "rollproof: no Docker engine answers"},
			{"images build", []string{"images", "build", "--images", "bundle:/nonexistent.tar"}, "", []int{exitCouldNotRun}, "/nonexistent.tar"},
		} {
			t.Run(s.name+" "+l.name, func(t *testing.T) {
				t.Parallel()
				s.run(t, offline(t), l)
			})
		}
	}
}

// newStepsCommand shows steps as images and clusters do: several at once, with messages that are wider than any screen, until a GET of
// the URL is answered.
func newStepsCommand() *cobra.Command {
	return &cobra.Command{Use: "steps URL", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		display := displayOf(cmd)
		display.Say("a line that stays, and that is so long that a terminal of eighty columns would break it in the middle of a word somewhere")
		node, probe := display.Start("image node: build kubelet"), display.Start("image probe: 証明するものは何も落とさない")
		node.Say("%s", strings.Repeat("compile a package with a long name, ", 8))
		probe.Say("%s", strings.Repeat("証明", 100))
		display.Status(strings.Repeat("how far it is, ", 20), "what it does:\x1b[31m red and \t a tab")
		released, err := http.Get(args[0])
		if err != nil {
			return err
		}
		defer released.Body.Close()
		err = errors.Join(probe.Done(nil), node.Done(nil))
		display.Status()
		return err
	}}
}

// A row that is redrawn is cut to the screen, also after a resize, and a line that stays is broken between words.
func TestTerminalSteps(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	term := inTerminal(t, offline(t), "steps", server.URL)
	term.shows("what it does:")
	drawn := func(row string, columns int) string { return runewidth.Truncate(row, columns-1, "…") }
	status := strings.Repeat("how far it is, ", 20)
	term.shows(drawn(status, narrow) + "\n")
	term.resize(wide)
	term.shows(drawn(status, wide) + "\n")
	close(release)
	text := term.ends(exitPass)
	for _, want := range []string{"image node: build kubelet: done in ", "of eighty\n          columns would break it"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, text)
		}
	}
	if strings.Contains(text, "how far") || coloured.MatchString(term.raw.String()) {
		t.Errorf("the status is left, or a message has coloured the terminal:\n%s", text)
	}
}

func TestTerminalVersionFlag(t *testing.T) {
	_, flag := runCommand("--version")
	if code, command := runCommand("version"); code != exitPass || flag != command || !strings.HasPrefix(flag, "rollproof ") {
		t.Errorf("--version says %q, version %q with exit code %d", flag, command, code)
	}
}
