package main

import (
	"strings"
	"testing"
)

// What is typed wrong is told in one line: what is missing, too much or not known, and how to mend it.
func TestWhatIsTypedWrongIsToldInOneLine(t *testing.T) {
	for typed, want := range map[string]string{
		"judge":                      "judge: DIR is missing: type `rollproof judge DIR`, see `rollproof judge --help`",
		"judge a b":                  "judge: \"b\" is too much: type `rollproof judge DIR`",
		"report":                     "report: DIR… is missing: type `rollproof report DIR…`",
		"report a b":                 "report: \"b\" is too much",
		"report --merge":             "report: DIR… is missing",
		"traffic check":              "traffic check: FILE is missing: type `rollproof traffic check FILE`",
		"images save":                "images save: FILE is missing: type `rollproof images save FILE [component...]`",
		"images load a b":            "images load: \"b\" is too much",
		"list a":                     "list: it takes no argument, and got \"a\"",
		"cluster up a":               "cluster up: it takes no argument, and got \"a\"",
		"cluster upp":                "cluster: there is no command \"upp\": did you mean up; see `rollproof cluster --help`",
		"reprot out/x":               "there is no command \"reprot\": did you mean report; see `rollproof --help`",
		"reprot out/x --out y":       "there is no command \"reprot\": did you mean report",
		"cluster upp --name x":       "cluster: there is no command \"upp\": did you mean up",
		"--versoin":                  "there is no flag --versoin: did you mean --version; see `rollproof --help`",
		"judge a --chekc x":          "judge: there is no flag --chekc: did you mean --check; see `rollproof judge --help`",
		"list -x":                    "list: unknown shorthand flag: 'x' in -x: see `rollproof list --help`",
		"report a --out":             "report: flag needs an argument: --out: see `rollproof report --help`",
		"run --repeat many":          "run: invalid argument \"many\" for \"--repeat\" flag",
		"list https://me:secret@h/":  "list: it takes no argument",
		"https://me:secret@h/ --out": "there is no command",
	} {
		code, stdout, stderr := rollproof(strings.Fields(typed)...)
		if code != exitCouldNotRun || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "rollproof: "+want) {
			t.Errorf("%s: exit code %d, printed %q, said %q; want %d and one line that begins with %q", typed, code, stdout, stderr, exitCouldNotRun, want)
		}
		if strings.Contains(stderr, "secret") {
			t.Errorf("%s: said %q", typed, stderr)
		}
	}
}

func TestAGroupWithoutAVerbShowsItsHelp(t *testing.T) {
	for typed, want := range map[string]string{"": "Available Commands:", "cluster": "rollproof cluster [command]", "stack": "render"} {
		code, stdout, stderr := rollproof(strings.Fields(typed)...)
		if code != exitPass || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("%q: exit code %d, printed %q, said %q; want its help", typed, code, stdout, stderr)
		}
	}
}

func TestListNamesWhatIsAlwaysJudged(t *testing.T) {
	_, stdout, _ := rollproof("list", "--config", "../../kind-config.yaml")
	last := stdout[strings.LastIndex(strings.TrimSpace(stdout), "\n")+1:]
	for _, slug := range append(alwaysJudged(), "record.complete", "load.undisturbed", "stack.healed") {
		if !strings.Contains(last, slug) {
			t.Errorf("%q does not name %s", last, slug)
		}
	}
}
