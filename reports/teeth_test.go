package reports_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/joshdk/go-junit"

	"bitvault.dev/rollproof/reports"
)

func bitten() *reports.Teeth {
	t := &reports.Teeth{Started: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
	t.Add(reports.Tooth{Check: "load.held", Planted: "one worker", Want: "inconclusive", Tried: true, Seen: true, Said: "inconclusive: late", Took: 61 * time.Second})
	t.Add(reports.Tooth{Check: "mechanics.pdb", Planted: `a budget <b>of "none"</b>`, Want: "fail", Tried: true, Said: "pass: fine", Dir: "out/x", Path: "../x y"})
	t.Add(reports.Tooth{Check: "stack.healed", Planted: "a node that is left cordoned", Want: "fail", Said: "not planted: the run ended before"})
	return t
}

func TestASurvivorIsRedInEveryView(t *testing.T) {
	teeth := bitten()
	if teeth.Sharp() || (&reports.Teeth{}).Sharp() {
		t.Error("teeth that let a fault through, or were never tried, are called sharp")
	}
	var terminal, cases, page bytes.Buffer
	for _, err := range []error{reports.TeethTerminal(&terminal, teeth), reports.TeethJUnit(&cases, teeth), reports.TeethHTML(&page, teeth)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"SURVIVED   mechanics.pdb", "seen       load.held", "NOT TRIED  stack.healed", "1 of 3 planted faults were seen (33 %)"} {
		if !strings.Contains(terminal.String(), want) {
			t.Errorf("the terminal lacks %q:\n%s", want, terminal.String())
		}
	}
	assertSchema(t, cases.Bytes())
	suites, err := junit.Ingest(cases.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if sum := suites[0].Totals; sum.Tests != 3 || sum.Failed != 2 || suites[0].Tests[1].Status != junit.StatusFailed || suites[0].Tests[1].Classname != "rollproof.teeth.mechanics.pdb" || suites[0].Tests[0].Duration != 61*time.Second {
		t.Errorf("the JUnit file reads %+v", suites)
	}
	if text := page.String(); !strings.Contains(text, "✗ survived") || !strings.Contains(text, "– not tried") || !strings.Contains(text, `<a href="../x%20y/report.html">`) || strings.Contains(text, "<b>of") {
		t.Errorf("the page: %s", text)
	}
}
