package words

import "strings"

// OneLine puts a text of several lines, as errors of YAML and of commands are, on one line.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
