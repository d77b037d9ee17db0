package stage

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
)

// summary says what a suite ran, what it left out and how to run that.
func summary(report ginkgo.Report, filter, everything string) string {
	var ran, skipped, left []string
	for _, spec := range report.SpecReports {
		switch {
		case spec.LeafNodeType != types.NodeTypeIt:
		case spec.State != types.SpecStateSkipped && spec.State != types.SpecStatePending:
			ran = append(ran, fmt.Sprintf("%-11s %s", spec.State, spec.LeafNodeText))
		case spec.Failure.Message != "": // it was chosen, and skipped itself
			skipped = append(skipped, fmt.Sprintf("%-11s %s: %s", "skipped", spec.LeafNodeText, spec.Failure.Message))
		default:
			left = append(left, fmt.Sprintf("%-11s %s", "left out", spec.LeafNodeText))
		}
	}
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s: ran %d of %d, skipped %d, left out %d\n", report.SuiteDescription, len(ran), len(ran)+len(skipped)+len(left), len(skipped), len(left))
	for _, lines := range [][]string{ran, skipped, left} {
		for _, line := range lines {
			fmt.Fprintln(b, "  "+line)
		}
	}
	if len(left) > 0 {
		if filter != "" {
			fmt.Fprintf(b, "  only what matches the label filter %q was to run\n", filter)
		}
		fmt.Fprintf(b, "  all of it: %s\n", everything)
	}
	return b.String()
}

// Tell shows a summary in the output of the test. go test keeps that to itself when a package passes, so a terminal is told directly too.
func Tell(text string) {
	fmt.Print(text)
	tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	if err != nil {
		return // there is no terminal: a CI job reads the output
	}
	defer tty.Close()
	_, _ = io.WriteString(tty, text) // the output has it anyway
}
