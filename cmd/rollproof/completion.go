package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bitvault.dev/rollproof/fixtures/bitvault"
	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/scenarios"
	"bitvault.dev/rollproof/scenarios/teeth"
)

// completer proposes words for what is typed so far.
type completer = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// completion is what a command proposes: for its arguments, and for its flags.
type completion struct {
	args  completer
	flags map[string]completer
}

// completions says, by command, which words the shell proposes. Names of commands, flags and files need no entry: cobra proposes those.
func completions() map[string]completion {
	pace, output := fixed("fast", "spec"), fixed("text", "json")
	images := fixed("auto", "source", "pull", "bundle:")
	none := cobra.NoFileCompletions
	return map[string]completion{
		"run":            {args: several(scenarioNames), flags: map[string]completer{"label": proposing(scenarioLabels), "pace": pace, "images": images}},
		"list":           {args: none, flags: map[string]completer{"pace": pace}},
		"teeth":          {args: several(plantedChecks), flags: map[string]completer{"label": proposing(faultLabels), "pace": pace, "images": images}},
		"attack":         {args: none, flags: map[string]completer{"arms": commaList(mainArms), "target": none, "control": none, "header": none, "rate": none}},
		"judge":          {args: oneDirectory, flags: map[string]completer{"check": commaList(checkSlugs)}},
		"report":         {args: mergedDirs},
		"cluster up":     {args: none, flags: map[string]completer{"images": images}},
		"cluster status": {args: none, flags: map[string]completer{"output": output}},
		"images":         {flags: map[string]completer{"images": images}},
		"images list":    {flags: map[string]completer{"output": output}},
	}
}

// addCompletions registers completions with the commands below root. It panics when a command or a flag does not exist: that is a mistake in this
// file.
func addCompletions(root *cobra.Command) {
	for path, c := range completions() {
		cmd, rest, err := root.Find(strings.Fields(path))
		if err != nil || len(rest) > 0 {
			panic(fmt.Sprintf("completion of %q: there is no such command", path))
		}
		if c.args != nil {
			cmd.ValidArgsFunction = c.args
		}
		for flag, complete := range c.flags {
			if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
				panic(fmt.Sprintf("completion of %s --%s: %v", path, flag, err))
			}
		}
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios.All(bitvault.World{}) {
		names = append(names, s.Name+"\t"+s.Proves)
	}
	return names
}

func scenarioLabels() []string { return scenarios.Labels(scenarios.All(bitvault.World{})) }

func plantedChecks() []string {
	var checks []string
	for _, f := range teeth.All(bitvault.World{}) {
		checks = append(checks, f.Check)
	}
	slices.Sort(checks)
	return slices.Compact(checks)
}

func faultLabels() []string {
	var labels []string
	for _, f := range teeth.All(bitvault.World{}) {
		labels = append(labels, f.Scenario.Labels...)
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

func checkSlugs() []string {
	var slugs []string
	for _, c := range checks.All(checks.DefaultBudgets()) {
		slugs = append(slugs, c.Slug+"\t"+c.Promise)
	}
	return slugs
}

// mainArms are the arms that --arms takes: the control arm comes with --control.
func mainArms() []string {
	return slices.DeleteFunc(load.ArmNames(), func(name string) bool { return name == "control" })
}

func fixed(all ...string) completer { return proposing(func() []string { return all }) }

// proposing offers words that are computed only when the shell asks for them.
func proposing(all func() []string) completer {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return beginning(typed, all()), cobra.ShellCompDirectiveNoFileComp
	}
}

// several proposes arguments that are not there yet.
func several(all func() []string) completer {
	return func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		return beginning(typed, without(all(), args)), cobra.ShellCompDirectiveNoFileComp
	}
}

// commaList proposes the next of several words that commas part.
func commaList(all func() []string) completer {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		before := typed[:strings.LastIndex(typed, ",")+1]
		var proposed []string
		for _, word := range without(all(), strings.Split(before, ",")) {
			proposed = append(proposed, before+word)
		}
		return beginning(typed, proposed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// beginning keeps the words that begin with what was typed. Not every shell does that itself.
func beginning(typed string, words []string) []string {
	return slices.DeleteFunc(words, func(word string) bool { return !strings.HasPrefix(word, typed) })
}

// without leaves out words that are given already. A description follows a word after a tab.
func without(all, given []string) []string {
	return slices.DeleteFunc(all, func(proposed string) bool {
		word, _, _ := strings.Cut(proposed, "\t")
		return slices.Contains(given, word)
	})
}

func oneDirectory(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}
