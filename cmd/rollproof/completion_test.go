package main

import (
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	for typed, c := range map[string]struct {
		want, not string // words, each a line of its own
	}{
		"attack --arms ":                   {"get get-once get-close post post-once post-close", "control"},
		"attack --arms get,":               {"get,get-once get,get-close get,post", "get,get"},
		"attack --arms get,post-close,g":   {"get,post-close,get-once get,post-close,get-close", "get,post-close,get"},
		"run ":                             {"canary/promotes-good mechanics/graceful", ""},
		"run canary/promotes-good canary/": {"canary/aborts-late", "canary/promotes-good"},
		"run --label ":                     {"smoke canary", ""},
		"run --pace ":                      {"fast spec", ""},
		"teeth mechanics":                  {"mechanics.pdb mechanics.graceful", "canary.steps"},
		"teeth --label ":                   {"smoke", ""},
		"judge --check load":               {"load.held load.zero-dropped", "stack.healed"},
		"traffic convert --from ":          {"combined traefik-json", ""},
		"images --images ":                 {"auto source pull bundle:", ""},
		"list --pace ":                     {"fast spec", ""},
		"cluster status --output ":         {"text json", ""},
		"attack --ta":                      {"--target", ""},
		"tra":                              {"traffic", ""},
	} {
		t.Run(typed, func(t *testing.T) {
			code, out, _ := rollproofCommand(t.Context(), append([]string{"__complete"}, strings.Split(typed, " ")...)...)
			if code != exitPass {
				t.Errorf("exit code %d", code)
			}
			proposed := map[string]bool{}
			for line := range strings.Lines(out) {
				word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
				proposed[word] = true
			}
			for _, word := range strings.Fields(c.want) {
				if !proposed[word] {
					t.Errorf("%s is not proposed: %s", word, out)
				}
			}
			for _, word := range strings.Fields(c.not) {
				if proposed[word] {
					t.Errorf("%s is proposed: %s", word, out)
				}
			}
		})
	}
}

// What completion proposes for a choice, the command takes.
func TestEveryProposedWordIsTaken(t *testing.T) {
	for _, arm := range mainArms() {
		if _, err := (attackFlags{targets: []string{"http://h"}, arms: []string{arm}}).namedArms(); err != nil {
			t.Error(err)
		}
	}
	for _, pace := range []string{"fast", "spec"} {
		if code, _, stderr := rollproofCommand(t.Context(), "list", "--pace", pace); code != exitPass {
			t.Errorf("pace %s: exit code %d, %s", pace, code, stderr)
		}
	}
}
