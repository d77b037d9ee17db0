package reports

import (
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/words"
)

// The names of the files that WriteAll writes.
const (
	VerdictFile = "verdict.json"
	JUnitFile   = "junit.xml"
	HTMLFile    = "report.html"
)

// headline says in one line how the promises fared.
func headline(res judge.Result) string {
	counts := map[judge.Verdict]int{}
	for _, p := range res.Promises {
		counts[p.Verdict]++
	}
	all := len(res.Promises)
	judged := all - counts[judge.Skipped]
	unjudged := judged - counts[judge.Pass] - counts[judge.Fail] // also verdicts that this rollproof does not know
	var parts []string
	switch broken := counts[judge.Fail]; {
	case judged == 0:
		return "nothing was judged"
	case broken > 0:
		parts = append(parts, ofPromises(broken, all)+" "+wasOrWere(uint64(broken))+" broken")
		if unjudged > 0 {
			parts = append(parts, fmt.Sprintf("%d could not be judged", unjudged))
		}
	case unjudged > 0:
		parts = append(parts, ofPromises(unjudged, all)+" could not be judged")
	case Overall(res) == judge.Pass:
		parts = append(parts, ofPromises(judged, judged)+" held")
	default:
		parts = append(parts, "no promise was broken, but the run proves nothing")
	}
	if n := counts[judge.Skipped]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", n))
	}
	return strings.Join(parts, ", ")
}

func ofPromises(n, all int) string {
	switch {
	case n == all && n == 1:
		return "the one promise"
	case n == all:
		return fmt.Sprintf("all %d promises", n)
	}
	return fmt.Sprintf("%d of %d promises", n, all)
}

func wasOrWere(n uint64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// known maps verdicts that this rollproof does not know to inconclusive: never green.
func known(v judge.Verdict) judge.Verdict {
	switch v {
	case judge.Pass, judge.Fail, judge.Inconclusive, judge.Skipped:
		return v
	}
	return judge.Inconclusive
}

// Overall is the verdict of a run as every view shows it, mistrusted: a pass over nothing judged, over a promise that is no
// pass or over a damaged record is none.
func Overall(res judge.Result) judge.Verdict {
	verdict, judged := known(res.Verdict), 0
	for _, p := range res.Promises {
		switch known(p.Verdict) {
		case judge.Fail:
			return judge.Fail
		case judge.Inconclusive:
			judged++
			if verdict == judge.Pass {
				verdict = judge.Inconclusive
			}
		case judge.Pass:
			judged++
		}
	}
	if verdict == judge.Skipped || verdict == judge.Pass && (judged == 0 || len(res.Damage) > 0) {
		return judge.Inconclusive
	}
	return verdict
}

// clock writes a time since the run's start.
func clock(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	d = d.Round(time.Millisecond)
	s, ms := int(d/time.Second), int(d%time.Second/time.Millisecond)
	switch {
	case s < 60:
		return fmt.Sprintf("%s%d.%03d s", sign, s, ms)
	case s < 3600:
		return fmt.Sprintf("%s%d:%02d.%03d", sign, s/60, s%60, ms)
	}
	return fmt.Sprintf("%s%d:%02d:%02d.%03d", sign, s/3600, s/60%60, s%60, ms)
}

// moment writes when a finding was, and how long it lasted.
func moment(f judge.Finding) string {
	if f.Until <= f.At {
		return clock(f.At)
	}
	return fmt.Sprintf("%s for %s", clock(f.At), length(f.Until-f.At))
}

// length writes a span of time; a dash where there is none.
func length(d time.Duration) string {
	if d < 0 {
		return "–"
	}
	return words.Span(d)
}

// figured is length for a column of latencies.
func figured(d time.Duration) string {
	if d < 0 {
		return "–"
	}
	return words.Column(d)
}

// significant writes a number in three significant digits, never with an exponent.
func significant(f float64) string {
	switch a := math.Abs(f); {
	case a >= 99.95:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case a == 0:
		return "0"
	case a >= 0.9995:
		return strconv.FormatFloat(f, 'f', 2, 64)
	}
	return strconv.FormatFloat(f, 'g', 3, 64)
}

// count writes a number with its thousands apart, as the judge does.
func count(n uint64) string { return words.Count(n) }

// bytesText writes an amount of memory.
func bytesText(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

// figure writes a number as its unit wants it.
func figure(f judge.Figure) string {
	value := significant(f.Value)
	if f.Value == math.Trunc(f.Value) && math.Abs(f.Value) < 1e15 { // a count is told whole
		value = strconv.FormatFloat(f.Value, 'f', -1, 64)
	}
	return strings.TrimSpace(value + " " + f.Unit)
}

// anchor is where a finding is found in the HTML report, as the fragment of its address: its hit, or its moment.
func anchor(f judge.Finding) string {
	if f.Hit != "" {
		return "hit=" + f.Hit
	}
	span := fmt.Sprintf("at=%.6f", f.At.Seconds())
	if f.Until > f.At {
		span += fmt.Sprintf(",%.6f", f.Until.Seconds())
	}
	return span
}

// next is what to do about a promise that is no pass: where to look, or what to run again.
func next(dir string, run history.Run, p judge.Promise) string {
	switch {
	case len(p.Findings) > 0:
		return pageURL(dir, anchor(p.Findings[0]))
	case known(p.Verdict) == judge.Fail || len(run.Command) == 0:
		return pageURL(dir, "")
	}
	return runAgain(run)
}

// pageURL is the address of the HTML report in a directory, which every browser and most terminals open. A path with a fragment
// would be none: a shell's open command looks for a file of that name.
func pageURL(dir, fragment string) string {
	path := filepath.Join(dir, HTMLFile)
	if whole, err := filepath.Abs(path); err == nil { // without a working directory the path stays as it was given
		path = whole
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), Fragment: fragment}).String()
}

// runAgain is the command that made the run, empty where it is not known.
func runAgain(run history.Run) string { return shellescape.QuoteCommand(run.Command) }

// when says in one line when a finding was, what it is about and whose account it goes on.
func when(f judge.Finding) string {
	about := f.Hit
	if about == "" && f.Arm != "" {
		about = "arm " + f.Arm
	}
	parts := []string{moment(f), about, whose(f.Class)}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// proof is the line of figures that stands beside the reason of a verdict, and in its place where there is none.
func proof(p judge.Promise) string {
	var parts []string
	if p.Hits > 0 && p.Reason == "" {
		parts = append(parts, fmt.Sprintf("%s of %s hits dropped", count(p.Dropped), count(p.Hits)))
	}
	if len(p.Reservations) > 0 {
		return strings.Join(parts, "; ") // the reason tells what else there was
	}
	if p.Injected > 0 {
		parts = append(parts, fmt.Sprintf("%s failed because that was injected", count(p.Injected)))
	}
	if p.Masked > 0 {
		parts = append(parts, fmt.Sprintf("%s sent again silently by Go's transport", count(p.Masked)))
	}
	return strings.Join(parts, "; ")
}

// whose says on whose account a class goes; a class that is no account is itself.
func whose(class string) string {
	switch class {
	case history.ClassHarness.String(), history.ClassIngress.String(), history.ClassApplication.String():
		return "charged to the " + class
	case history.ClassAmbiguous.String():
		return "ambiguous: charged to nobody"
	}
	return class
}

// power is the sentence of a promise's power, unless the reason says it already.
func power(p judge.Promise) string {
	if p.Power == nil || strings.Contains(p.Reason, p.Power.Text) {
		return ""
	}
	return p.Power.Text
}
