package words

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Unknown is the error for a name that is none of those there are: it asks for the one that was probably meant, and lists all of them.
func Unknown(what, name string, names []string) error {
	text := fmt.Sprintf("there is no %s %q%s", what, name, DidYouMean(name, names))
	switch {
	case len(names) == 0:
		return fmt.Errorf("%s: there are none", text)
	case strings.HasSuffix(text, "?"):
		return fmt.Errorf("%s There are %s", text, List(names))
	}
	return fmt.Errorf("%s: there are %s", text, List(names))
}

// DidYouMean asks for the name that a mistyped one most probably means, to be put behind what says that there is no such name:
// ": did you mean get?". It is empty when none is near.
func DidYouMean(typed string, names []string) string {
	if meant := Meant(typed, names); meant != "" {
		return meant + "?"
	}
	return ""
}

// Meant is DidYouMean for a sentence that goes on after it: ": did you mean get".
func Meant(typed string, names []string) string {
	nearest, distance := "", len([]rune(typed))/2+2
	for _, name := range names {
		if d := levenshtein.ComputeDistance(typed, name); d < distance {
			nearest, distance = name, d
		}
	}
	if nearest == "" {
		return ""
	}
	return ": did you mean " + nearest
}

// List puts names into a sentence: a, b and c.
func List(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
