package reports

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

func bitten() *Teeth {
	t := &Teeth{Started: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
	t.Add(Tooth{Check: "load.held", Planted: "one worker", Want: "inconclusive", Seen: true, Said: "inconclusive: late", Took: 61 * time.Second})
	t.Add(Tooth{Check: "mechanics.pdb", Planted: `a budget <b>of "none"</b>`, Want: "fail", Said: "pass: fine", Dir: "out/x"})
	return t
}

func TestASurvivorIsRedInEveryView(t *testing.T) {
	teeth := bitten()
	if teeth.Sharp() || (&Teeth{}).Sharp() {
		t.Error("teeth that let a fault through, or were never tried, are called sharp")
	}
	var terminal, junit, page bytes.Buffer
	for _, err := range []error{TeethTerminal(&terminal, teeth), TeethJUnit(&junit, teeth), TeethHTML(&page, teeth)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"SURVIVED  mechanics.pdb", "seen      load.held", "1 of 2 planted faults were seen (50 %)"} {
		if !strings.Contains(terminal.String(), want) {
			t.Errorf("the terminal lacks %q:\n%s", want, terminal.String())
		}
	}
	var suite teethSuite
	if err := xml.Unmarshal(junit.Bytes(), &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 2 || suite.Failures != 1 || suite.Cases[0].Failure != nil || suite.Cases[1].Failure == nil {
		t.Errorf("the JUnit file reads %+v", suite)
	}
	if text := page.String(); !strings.Contains(text, "✗ survived") || strings.Contains(text, "<b>of") {
		t.Errorf("the page: %s", text)
	}
}
