package main

import (
	"strings"

	"bitvault.dev/rollproof/harness/load"
)

// withoutSecrets is a command line as it may be recorded: without the passwords of URLs and the values of headers.
func withoutSecrets(args []string) []string {
	safe := make([]string, len(args))
	header := false // the argument before was --header
	for i, arg := range args {
		name, value, assigned := strings.Cut(arg, "=")
		switch {
		case header:
			safe[i] = withoutValue(arg)
		case assigned && name == "--header":
			safe[i] = name + "=" + withoutValue(value)
		case assigned && strings.HasPrefix(name, "--"):
			safe[i] = name + "=" + redactURL(value)
		default:
			safe[i] = redactURL(arg)
		}
		header = !header && arg == "--header"
	}
	return safe
}

func withoutValue(field string) string {
	name, _, found := strings.Cut(field, ":")
	if !found {
		return "redacted"
	}
	return name + ": redacted"
}

// redactURL leaves alone what is no URL: an @ is common in names of files.
func redactURL(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return load.Redact(text)
}
