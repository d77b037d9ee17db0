package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bitvault.dev/rollproof/harness/load"
	"bitvault.dev/rollproof/harness/words"
)

// noArguments is for a command that takes flags only.
func noArguments(cmd *cobra.Command, args []string) error { return arguments(0, 0)(cmd, args) }

// arguments wants at least fewest arguments and at most most of them; a negative most is no limit. Its errors say what is missing or too much as
// the usage line of the command names it: cobra's "accepts 1 arg(s), received 0" does not.
func arguments(fewest, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < fewest:
			return fmt.Errorf("%s%s is missing: type `%s`, see `%s --help`", verb(cmd), wanted(cmd), usage(cmd), cmd.CommandPath())
		case most < 0 || len(args) <= most:
			return nil
		case most == 0:
			return fmt.Errorf("%sit takes no argument, and got %q: see `%s --help`", verb(cmd), load.Redact(args[0]), cmd.CommandPath())
		}
		return fmt.Errorf("%s%q is too much: type `%s`, see `%s --help`", verb(cmd), load.Redact(args[most]), usage(cmd), cmd.CommandPath())
	}
}

// verb is what a message about a command begins with; nothing for the program itself, whose name begins every message.
func verb(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ") + ": "
}

// usage is how a command is typed, flags apart.
func usage(cmd *cobra.Command) string { return strings.TrimSuffix(cmd.UseLine(), " [flags]") }

// wanted is the first argument that the usage line of a command names.
func wanted(cmd *cobra.Command) string {
	names := strings.Fields(cmd.Use)
	return names[min(1, len(names)-1)]
}

// verbsOnly makes `rollproof cluster upp` an error: cobra answers a mistyped verb of a group with its help and success.
func verbsOnly(group *cobra.Command) {
	group.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var verbs []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				verbs = append(verbs, c.Name())
			}
		}
		typed := load.Redact(args[0])
		return fmt.Errorf("%sthere is no command %q%s; see `%s --help`", verb(cmd), typed, words.Meant(typed, verbs), cmd.CommandPath())
	}
	group.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// explainFlag makes the error for a flag that is not there ask for the one that was probably meant. Behind a mistyped command every flag is one
// too many: then the command is what to mend.
func explainFlag(cmd *cobra.Command, err error) error {
	if before := cmd.Flags().Args(); cmd.HasSubCommands() && len(before) > 0 {
		return cmd.ValidateArgs(before)
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return fmt.Errorf("%s%w: see `%s --help`", verb(cmd), err, cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	typed := "--" + unknown.GetSpecifiedName()
	return fmt.Errorf("%sthere is no flag %s%s; see `%s --help`", verb(cmd), typed, words.Meant(typed, names), cmd.CommandPath())
}
