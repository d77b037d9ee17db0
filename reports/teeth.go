package reports

import (
	"fmt"
	"html/template"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Tooth is what became of one planted fault.
type Tooth struct {
	Check   string        `json:"check"`   // slug
	Planted string        `json:"planted"` // what was wrong on purpose
	Want    string        `json:"want"`    // verdict that shows that the check sees it
	Tried   bool          `json:"tried"`   // it was planted, and its check was asked; else nobody knows whether the check would have turned
	Seen    bool          `json:"seen"`
	Said    string        `json:"said"`          // what the check said, or why there is no answer
	Dir     string        `json:"dir,omitempty"` // of the run
	Path    string        `json:"-"`             // of the same, from the page
	Took    time.Duration `json:"took"`          // nanoseconds
}

// Teeth is the matrix of checks against planted faults. As JSON it is teeth.json.
type Teeth struct {
	Started time.Time `json:"started"`
	Seen    int       `json:"seen"`
	Planted int       `json:"planted"`
	Faults  []Tooth   `json:"faults"`
}

// Add takes one fault into the matrix.
func (t *Teeth) Add(tooth Tooth) {
	t.Planted++
	if tooth.Seen {
		t.Seen++
	}
	t.Faults = append(t.Faults, tooth)
}

// Sharp reports whether every planted fault was seen, and there was one.
func (t *Teeth) Sharp() bool { return t.Planted > 0 && t.Seen == t.Planted }

// KillRate says how many of the planted faults were seen.
func (t *Teeth) KillRate() string {
	if t.Planted == 0 {
		return "no fault was planted"
	}
	return fmt.Sprintf("%d of %d planted faults were seen (%.0f %%)", t.Seen, t.Planted, 100*float64(t.Seen)/float64(t.Planted))
}

// Outcome is what a row is called. A fault that survived shows a check that cannot be trusted; one that was not tried shows nothing.
func (t Tooth) Outcome() string {
	switch {
	case t.Seen:
		return "seen"
	case !t.Tried:
		return "not tried"
	}
	return "survived"
}

// TeethTerminal writes the matrix for people.
func TeethTerminal(w io.Writer, t *Teeth) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range t.Faults {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", shout(f), f.Check, f.Planted, short(f.Said, 90))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the matrix of planted faults: %w", err)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", t.KillRate())
	return err
}

// shout is the outcome as it catches the eye on a terminal where it is not the one that is wanted.
func shout(t Tooth) string {
	if t.Seen {
		return t.Outcome()
	}
	return strings.ToUpper(t.Outcome())
}

func short(s string, limit int) string {
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}

// TeethJUnit writes the matrix as JUnit XML: a fault that survived, or was not tried, is a failed test case.
func TeethJUnit(w io.Writer, t *Teeth) error {
	suite := junitSuite{Name: "rollproof teeth", Timestamp: t.Started.UTC().Format("2006-01-02T15:04:05")}
	for _, f := range t.Faults {
		c := junitCase{Class: "rollproof.teeth." + f.Check, Name: f.Check + " sees " + f.Planted, Time: seconds(f.Took)}
		if !f.Seen {
			text := fmt.Sprintf("want %s, but it said: %s\nrun: %s", f.Want, f.Said, f.Dir)
			c.Failure = &junitOutcome{Message: "planted fault: " + f.Outcome(), Type: strings.ReplaceAll(f.Outcome(), " ", "-"), Text: cdata(text)}
		}
		suite.Time += c.Time
		suite.add(c)
	}
	if err := suite.write(w); err != nil {
		return fmt.Errorf("write the JUnit file of planted faults: %w", err)
	}
	return nil
}

var teethPage = template.Must(template.New("teeth").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>rollproof teeth</title><style>
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}body{margin:2rem auto;max-width:70rem;padding:0 1rem}
h1{font-size:1.4rem;margin:0}table{border-collapse:collapse;width:100%;margin-top:1.5rem}th,td{text-align:left;padding:.45rem .6rem;
border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent);vertical-align:top}th{font-weight:600}
code{font:13px ui-monospace,monospace}small{opacity:.75}td:first-child{white-space:nowrap}a{color:#0b57d0}
.seen{color:#1a7f37}.survived{color:#c62828;font-weight:700}.untried{color:#8a5300;font-weight:700}
@media (prefers-color-scheme:dark){.seen{color:#57c46f}.survived{color:#ff7b72}.untried{color:#e0a84e}a{color:#8ab4f8}}</style></head><body>
<h1>{{.KillRate}}</h1><p><small>A fault was planted under each check on the real stack, {{.Started.Format "2006-01-02 15:04 UTC"}}. A check that
does not see its fault proves nothing when it is green.</small></p>
<table><thead><tr><th></th><th>check</th><th>planted fault</th><th>what the check said</th><th>run</th></tr></thead><tbody>
{{range .Faults}}<tr><td class="{{if .Seen}}seen{{else if .Tried}}survived{{else}}untried{{end}}">{{if .Seen}}✓{{else if .Tried}}✗{{else}}–{{end}} {{.Outcome}}</td>
<td><code>{{.Check}}</code></td><td>{{.Planted}}</td><td>{{.Said}}</td><td>{{with .Path}}<a href="{{.}}/report.html"><small>{{.}}</small></a>{{end}}</td></tr>
{{end}}</tbody></table></body></html>
`))

// TeethHTML writes the matrix as one page that needs no network.
func TeethHTML(w io.Writer, t *Teeth) error {
	if err := teethPage.Execute(w, t); err != nil {
		return fmt.Errorf("write the page of planted faults: %w", err)
	}
	return nil
}
