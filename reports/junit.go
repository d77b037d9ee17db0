package reports

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// The types below are what the two schemas that CI systems check by have in common: JUnit 10 of Jenkins' xUnit plugin (junit-10.xsd),
// which is the stricter one, and what Ant's and Surefire's readers take. It allows "skipped" on a suite and not on the suites, and
// "file" on a suite and not on a case.
type junitSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Time     seconds    `xml:"time,attr"`
	Suite    junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       seconds         `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	File       string          `xml:"file,attr,omitempty"` // the judgement that the cases are a view of
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

// seconds is a time as JUnit writes it.
type seconds time.Duration

// MarshalText writes seconds with three decimals and no sign.
func (s seconds) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, max(0, time.Duration(s).Seconds()), 'f', 3, 64), nil
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    seconds       `xml:"time,attr"` // all promises are watched side by side, each for the whole run; 0 for one that was skipped
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
// say. dir is the directory of the reports, for the addresses to go on with.
func JUnit(w io.Writer, t *Timeline, res judge.Result, dir string) error {
	res = t.Mistrust(res)
	suite := junitSuite{
		Name: cmp.Or(t.run.Scenario, "rollproof"), Time: seconds(t.end), Timestamp: t.run.Started.UTC().Format("2006-01-02T15:04:05"),
		File: filepath.ToSlash(filepath.Join(dir, VerdictFile)), Properties: properties(t, res),
	}
	for _, p := range t.judgedPromises(res) {
		suite.add(promiseCase(dir, t, p))
	}
	if verdict := Overall(res); suite.Failures+suite.Errors == 0 && verdict != judge.Pass {
		suite.add(runCase(t, res, suite.Name, verdict))
	}
	if err := suite.write(w); err != nil {
		return fmt.Errorf("write the JUnit report of run %s: %w", t.run.ID, err)
	}
	return nil
}

// write writes the suite as the one suite of a file.
func (s *junitSuite) write(w io.Writer) error {
	all := junitSuites{Name: "rollproof", Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Time: s.Time, Suite: *s}
	data, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, data)
	return err
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

func promiseCase(dir string, t *Timeline, p judged) junitCase {
	c := junitCase{Class: "rollproof." + strings.ReplaceAll(cmp.Or(t.run.Scenario, "run"), "/", "."), Name: p.Slug, Time: seconds(t.end)}
	message := cmp.Or(p.Reason, p.Text)
	switch known(p.Verdict) {
	case judge.Fail:
		c.Failure = &junitOutcome{message, "broken promise", cdata(account(dir, t.run, p))}
	case judge.Inconclusive:
		c.Error = &junitOutcome{message, "inconclusive", cdata(account(dir, t.run, p))}
	case judge.Skipped:
		c.Skipped, c.Time = &junitOutcome{Message: message}, 0
	case judge.Pass:
		if text := cdata(basis(p.Promise)); text != "" {
			c.Output = &junitText{text}
		}
	}
	return c
}

// runCase is the test case of a run that is no pass although none of its promises says so.
func runCase(t *Timeline, res judge.Result, suite string, verdict judge.Verdict) junitCase {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n%s\n", answer(t, res), headline(res))
	for _, d := range res.Damage {
		fmt.Fprintf(&text, "damaged: %s\n", d.Error())
	}
	if again := runAgain(t.run); again != "" {
		fmt.Fprintf(&text, "next: %s\n", again)
	}
	c := junitCase{Class: "rollproof." + strings.ReplaceAll(suite, "/", "."), Name: "run", Time: seconds(t.end)}
	outcome := &junitOutcome{"the run as a whole is no pass: " + string(verdict), string(verdict), cdata(text.String())}
	if verdict == judge.Fail {
		c.Failure = outcome
	} else {
		c.Error = outcome
	}
	return c
}

// account tells a broken promise: what was promised, what was found by kind, when and on whose account, and what to do next.
func account(dir string, run history.Run, p judged) string {
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
	line("", proof(p.Promise))
	for _, g := range p.Groups {
		line("found", g.title()+"; "+strings.Join(g.facts(), "; "))
		if g.Expected != "" {
			line("", "expected "+g.Expected)
			line("", "found    "+g.Found)
		}
		line("", "e.g. "+when(g.Example)+": "+g.Example.Text)
		for _, e := range g.Example.Evidence {
			line("", "| "+e)
		}
		if g.Again != "" {
			line("", "again: "+g.Again)
		}
	}
	line("power", power(p.Promise))
	line("next", next(dir, run, p.Promise))
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

func properties(t *Timeline, res judge.Result) []junitProperty {
	run := t.run
	props := []junitProperty{
		{"verdict", string(Overall(res))}, {"answer", answer(t, res)}, {"run", run.ID}, {"scenario", run.Scenario}, {"pace", run.Pace},
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
