package reports

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

type junitSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Suite    junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitOutcome `xml:"failure,omitempty"`
	Error   *junitOutcome `xml:"error,omitempty"`
	Skipped *junitOutcome `xml:"skipped,omitempty"`
	Output  *junitText    `xml:"system-out,omitempty"`
}

type junitOutcome struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",cdata"`
}

type junitText struct {
	Text string `xml:",cdata"`
}

// cdata makes a text of unknown origin fit for a CDATA section, which encoding/xml takes as it is: only characters that XML
// allows (https://www.w3.org/TR/xml/#charsets). encoding/xml itself sees to "]]>".
func cdata(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r != 0xFFFE && r != 0xFFFF {
			return r
		}
		return '\uFFFD'
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// JUnit writes the judgement of a run as JUnit XML: a promise is a test case, a broken one a failure and an inconclusive one
// an error, so that no CI shows it green. A run that is no pass has at least one failure or error, whatever its promises
// say. dir is the directory of the run, for the commands to go on with.
func JUnit(w io.Writer, run history.Run, res judge.Result, dir string) error {
	suite := junitSuite{
		Name: cmp.Or(run.Scenario, "rollproof"), Timestamp: run.Started.UTC().Format("2006-01-02T15:04:05"),
		Properties: properties(run, res),
	}
	for _, p := range res.Promises {
		suite.add(promiseCase(dir, run, p))
	}
	if verdict := Overall(res); suite.Failures+suite.Errors == 0 && verdict != judge.Pass {
		suite.add(runCase(run, res, suite.Name, verdict))
	}
	all := junitSuites{
		Name: "rollproof", Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Skipped: suite.Skipped, Suite: suite,
	}
	data, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, data)
	}
	if err != nil {
		return fmt.Errorf("write the JUnit report of run %s: %w", run.ID, err)
	}
	return nil
}

func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

func promiseCase(dir string, run history.Run, p judge.Promise) junitCase {
	c := junitCase{Class: "rollproof." + strings.ReplaceAll(cmp.Or(run.Scenario, "run"), "/", "."), Name: p.Slug}
	message := cmp.Or(p.Reason, p.Text)
	switch known(p.Verdict) {
	case judge.Fail:
		c.Failure = &junitOutcome{message, "broken promise", cdata(account(dir, run, p))}
	case judge.Inconclusive:
		c.Error = &junitOutcome{message, "inconclusive", cdata(account(dir, run, p))}
	case judge.Skipped:
		c.Skipped = &junitOutcome{Message: message}
	case judge.Pass:
		if text := cdata(basis(p)); text != "" {
			c.Output = &junitText{text}
		}
	}
	return c
}

// runCase is the case of a run that is no pass though none of its promises says so.
func runCase(run history.Run, res judge.Result, suite string, verdict judge.Verdict) junitCase {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n", headline(res))
	for _, d := range res.Damage {
		fmt.Fprintf(&text, "damaged: %s\n", d.Error())
	}
	if again := runAgain(run); again != "" {
		fmt.Fprintf(&text, "next: %s\n", again)
	}
	c := junitCase{Class: "rollproof." + strings.ReplaceAll(suite, "/", "."), Name: "run"}
	outcome := &junitOutcome{"the run as a whole is no pass: " + string(verdict), string(verdict), cdata(text.String())}
	if verdict == judge.Fail {
		c.Failure = outcome
	} else {
		c.Error = outcome
	}
	return c
}

// account tells a broken promise: what was promised, what was seen when and on whose account, and what to do next.
func account(dir string, run history.Run, p judge.Promise) string {
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			if name != "" {
				name += ":"
			}
			fmt.Fprintf(&b, "%-9s %s\n", name, text)
		}
	}
	line("promised", p.Text)
	line("seen", cmp.Or(p.Reason, string(p.Verdict)))
	line("", proof(p))
	for _, f := range p.Findings {
		line("at", when(f))
		line("", f.Text)
		for _, e := range f.Evidence {
			line("", "| "+e)
		}
	}
	if kept := uint64(len(p.Findings)); p.Found > kept {
		line("", fmt.Sprintf("and %s more", count(p.Found-kept)))
	}
	line("power", power(p))
	line("next", nextCommand(dir, run, p))
	return b.String()
}

// basis tells what a pass rests on.
func basis(p judge.Promise) string {
	lines := []string{p.Reason, proof(p)}
	if text := power(p); text != "" {
		lines = append(lines, "power: "+text)
	}
	for _, f := range p.Figures {
		lines = append(lines, f.Name+": "+figure(f))
	}
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "\n")
}

func properties(run history.Run, res judge.Result) []junitProperty {
	props := []junitProperty{
		{"verdict", string(Overall(res))}, {"run", run.ID}, {"scenario", run.Scenario}, {"pace", run.Pace},
		{"seed", strconv.FormatUint(run.Seed, 10)}, {"started", run.Started.UTC().Format(time.RFC3339Nano)},
		{"command", strings.Join(run.Command, " ")}, {"machine", machine(run.Machine)},
	}
	for _, name := range slices.Sorted(maps.Keys(run.Versions)) {
		props = append(props, junitProperty{"version." + name, run.Versions[name]})
	}
	return slices.DeleteFunc(props, func(p junitProperty) bool { return p.Value == "" })
}

// machine writes where a run happened in one line.
func machine(m history.Machine) string {
	var parts []string
	if m.Cores > 0 {
		parts = append(parts, fmt.Sprintf("%d cores", m.Cores))
	}
	if m.Memory > 0 {
		parts = append(parts, bytesText(m.Memory))
	}
	for _, s := range []string{m.CPU, m.OS} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}
