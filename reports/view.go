package reports

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
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
	if n := counts[judge.Fail]; n > 0 {
		parts = append(parts, fmt.Sprintf("%s broken", ofPromises(n, all, "was", "were")))
	}
	if unjudged > 0 {
		parts = append(parts, fmt.Sprintf("%s not be judged", ofPromises(unjudged, all, "could", "could")))
	}
	switch {
	case judged == 0:
		parts = append(parts, "nothing was judged")
	case len(parts) == 0 && res.Verdict == judge.Pass:
		parts = append(parts, fmt.Sprintf("%s held", ofPromises(judged, judged, "", "")))
	case len(parts) == 0:
		parts = append(parts, "no promise was broken, but the run proves nothing")
	}
	if n := counts[judge.Skipped]; n > 0 && judged > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped", n))
	}
	return strings.Join(parts, ", ")
}

func ofPromises(n, all int, one, many string) string {
	verb := many
	if n == 1 {
		verb = one
	}
	var s string
	switch {
	case n == all && n == 1:
		s = "the one promise"
	case n == all:
		s = fmt.Sprintf("all %d promises", n)
	default:
		s = fmt.Sprintf("%d of %d promises", n, all)
	}
	return strings.TrimSpace(s + " " + verb)
}

// known maps verdicts that this rollproof does not know to inconclusive: never green.
func known(v judge.Verdict) judge.Verdict {
	switch v {
	case judge.Pass, judge.Fail, judge.Inconclusive, judge.Skipped:
		return v
	}
	return judge.Inconclusive
}

// overall is the verdict of a run, mistrusted: a pass over no judged promise, or over one that is no pass, is none.
func overall(res judge.Result) judge.Verdict {
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

// moment writes when a finding was: a moment, or a span and its length.
func moment(f judge.Finding) string {
	if f.Until <= f.At {
		return clock(f.At)
	}
	return fmt.Sprintf("%s to %s, %s long", clock(f.At), clock(f.Until), (f.Until - f.At).Round(10*time.Microsecond))
}

// count writes a number with its thousands apart.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytesText writes an amount of memory.
func bytesText(n uint64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }

// figure writes a number as its unit wants it.
func figure(f judge.Figure) string {
	return strings.TrimSpace(strconv.FormatFloat(f.Value, 'g', 6, 64) + " " + f.Unit)
}

// anchor is where a finding is found in the HTML report: its hit, or its moment.
func anchor(f judge.Finding) string {
	if f.Hit != "" {
		return "#hit=" + strings.ReplaceAll(f.Hit, "%", "%25")
	}
	span := fmt.Sprintf("#at=%.6f", f.At.Seconds())
	if f.Until > f.At {
		span += fmt.Sprintf(",%.6f", f.Until.Seconds())
	}
	return span
}

// nextCommand is what to do about a promise that is no pass.
func nextCommand(dir string, run history.Run, p judge.Promise) string {
	if len(p.Findings) > 0 {
		return "open " + shellescape.Quote(filepath.Join(dir, HTMLFile)+anchor(p.Findings[0]))
	}
	if known(p.Verdict) == judge.Fail || len(run.Command) == 0 {
		return "open " + shellescape.Quote(filepath.Join(dir, HTMLFile))
	}
	return shellescape.QuoteCommand(run.Command)
}

// proof is the line that says what a verdict rests on.
func proof(p judge.Promise) string {
	var parts []string
	if p.Hits > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s hits dropped", count(p.Dropped), count(p.Hits)))
	}
	if p.Injected > 0 {
		parts = append(parts, fmt.Sprintf("%s more failed because that was injected", count(p.Injected)))
	}
	if p.Masked > 0 {
		parts = append(parts, fmt.Sprintf("%s sent again silently by Go's transport", count(p.Masked)))
	}
	return strings.Join(parts, "; ")
}

// whose says on whose account a class of failures goes.
func whose(class string) string {
	switch class {
	case "":
		return ""
	case "ambiguous":
		return "it cannot be told whose"
	}
	return "on the account of the " + class
}
