package reports_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/joshdk/go-junit"

	"bitvault.dev/rollproof/reports"
)

// element is what the schema of Jenkins' xUnit plugin (junit-10.xsd) says of an element, as far as we write it.
type element struct {
	required, allowed []string // attributes
	children          []string
}

var junitSchema = map[string]element{
	"testsuites": {allowed: []string{"name", "time", "tests", "failures", "errors"}, children: []string{"testsuite"}},
	"testsuite": {required: []string{"name", "tests", "failures", "errors", "time"}, allowed: []string{"skipped", "timestamp", "hostname", "id", "package", "group", "file", "log", "url"},
		children: []string{"properties", "testcase", "system-out", "system-err"}},
	"properties": {children: []string{"property"}},
	"property":   {required: []string{"name", "value"}},
	"testcase":   {required: []string{"name", "classname", "time"}, allowed: []string{"group"}, children: []string{"failure", "error", "skipped", "system-out", "system-err"}},
	"failure":    {allowed: []string{"type", "message"}},
	"error":      {allowed: []string{"type", "message"}},
	"skipped":    {allowed: []string{"type", "message"}},
	"system-out": {},
}

// surefireTime is the schema's type of a time on a suite.
var surefireTime = regexp.MustCompile(`^(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?$`)

// assertSchema walks the XML and holds every element against the schema.
func assertSchema(t *testing.T, data []byte) {
	t.Helper()
	var open []string
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("the XML is not well-formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			assertElement(t, open, e)
			open = append(open, e.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
}

func assertElement(t *testing.T, open []string, e xml.StartElement) {
	t.Helper()
	name := e.Name.Local
	rules, known := junitSchema[name]
	if !known {
		t.Errorf("the schema has no element %s", name)
	}
	if n := len(open); n > 0 && !slices.Contains(junitSchema[open[n-1]].children, name) {
		t.Errorf("%s stands in %s", name, open[n-1])
	} else if n == 0 && name != "testsuites" {
		t.Errorf("the root is %s", name)
	}
	var attributes []string
	for _, a := range e.Attr {
		attributes = append(attributes, a.Name.Local)
		if a.Name.Local == "time" && !surefireTime.MatchString(a.Value) {
			t.Errorf("%s has the time %q", name, a.Value)
		}
		if !slices.Contains(rules.required, a.Name.Local) && !slices.Contains(rules.allowed, a.Name.Local) {
			t.Errorf("%s has an attribute %s, which the schema does not allow", name, a.Name.Local)
		}
	}
	for _, want := range rules.required {
		if !slices.Contains(attributes, want) {
			t.Errorf("%s has no %s", name, want)
		}
	}
}

func TestJUnit(t *testing.T) {
	timeline := sampleTimeline(t)
	for name, res := range results() {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			if err := reports.JUnit(&buf, timeline, res, sampleDir); err != nil {
				t.Fatal(err)
			}
			golden(t, "junit-"+name+".xml", buf.Bytes())
			assertSchema(t, buf.Bytes())
			assertRead(t, buf.Bytes(), name == "pass", timeline.End())
		})
	}
}

// assertRead reads the XML as a CI system does that counts the cases itself, and holds the counts in the attributes against it: some
// systems believe these.
func assertRead(t *testing.T, data []byte, green bool, length time.Duration) {
	t.Helper()
	suites, err := junit.Ingest(data)
	if err != nil {
		t.Fatalf("a reader of JUnit refuses it: %v", err)
	}
	if len(suites) != 1 {
		t.Fatalf("%d suites are read, want 1", len(suites))
	}
	s, sum := suites[0], junit.Totals{}
	for _, c := range s.Tests {
		sum.Tests++
		switch c.Status {
		case junit.StatusFailed:
			sum.Failed++
		case junit.StatusError:
			sum.Error++
		case junit.StatusSkipped:
			sum.Skipped++
		}
		if want := length.Round(time.Millisecond); c.Status != junit.StatusSkipped && c.Duration.Round(time.Millisecond) != want || c.Classname == "" {
			t.Errorf("case %s of %q takes %v, want the run's %v", c.Name, c.Classname, c.Duration, want)
		}
	}
	if (sum.Failed+sum.Error == 0) != green {
		t.Errorf("%d failures and %d errors are read, want green = %v", sum.Failed, sum.Error, green)
	}
	var said struct {
		Suite struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Skipped  int `xml:"skipped,attr"`
		} `xml:"testsuite"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Time     string `xml:"time,attr"`
	}
	if err := xml.Unmarshal(data, &said); err != nil {
		t.Fatal(err)
	}
	if a := said.Suite; a.Tests != sum.Tests || a.Failures != sum.Failed || a.Errors != sum.Error || a.Skipped != sum.Skipped ||
		said.Tests != sum.Tests || said.Failures != sum.Failed || said.Errors != sum.Error {
		t.Errorf("the attributes say %+v, the cases %+v", said, sum)
	}
	if took, err := strconv.ParseFloat(said.Time, 64); err != nil || took <= 0 {
		t.Errorf("the suites take %q", said.Time)
	}
}
