package reports

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tsenart/vegeta/v12/lib/plot"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

var (
	//go:embed assets/report.html.tmpl
	pageText string
	//go:embed assets/report.css
	pageCSS string
	//go:embed assets/report.js
	pageJS string
)

const maxGroups = 40 // rows of the table of what failed

// HTML writes the report of a run as one file that needs no network: the verdicts, the timeline of the whole record, and each
// finding with its evidence.
func HTML(ctx context.Context, w io.Writer, h *history.History, res judge.Result) error {
	t, err := Aggregate(ctx, h)
	if err != nil {
		return fmt.Errorf("make the report of the run in %s: %w", h.Dir(), err)
	}
	return Page(w, t, res)
}

// Page writes the report of a run whose record is boiled down already.
func Page(w io.Writer, t *Timeline, res judge.Result) error {
	p, err := newPage(t, res)
	if err != nil {
		return fmt.Errorf("make the report of run %s: %w", t.run.ID, err)
	}
	page, err := template.New("report").Funcs(pageFuncs).Parse(pageText)
	if err == nil {
		err = page.Execute(w, p)
	}
	if err != nil {
		return fmt.Errorf("write the report of run %s: %w", t.run.ID, err)
	}
	return nil
}

var pageFuncs = template.FuncMap{
	"anchor": anchor, "clock": clock, "moment": moment, "count": count, "proof": proof, "whose": whose, "figure": figure,
	"known": known, "length": length,
	"share": func(f float64) string { return fmt.Sprintf("%.3g %%", f*100) },
	"cores": func(f float64) string { return fmt.Sprintf("%.2f", f) },
	"less":  func(a, b uint64) uint64 { return max(a, b) - b },
	"uint":  func(n int) uint64 { return uint64(n) },
}

// page is what the template reads.
type page struct {
	Policy            string // Content-Security-Policy: these scripts and styles, and nothing from anywhere
	Scripts           []template.JS
	Styles            []template.CSS
	Data              template.JS
	Run               history.Run
	Title, Headline   string
	Verdict           judge.Verdict
	Hits, Failed      uint64
	Length            time.Duration
	Arms              int
	Promises          []judge.Promise
	Damage            []history.Damage
	Groups            []failureGroup
	GroupsBeyond      int
	Windows           []history.Window
	Versions          []nameValue
	Started, Machine  string
	FailuresNotDrawn  uint64
	BucketWidth       time.Duration
	AnyPower, AnyWhat bool
}

type nameValue struct{ Name, Value string }

// Count, First and Last make a group readable for the template.
func (g failureGroup) Count() uint64        { return g.count }
func (g failureGroup) First() time.Duration { return g.first }
func (g failureGroup) Last() time.Duration  { return g.last }

func newPage(t *Timeline, res judge.Result) (*page, error) {
	res = t.Mistrust(res)
	chart, err := chartAssets()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(t) // it escapes <, > and &: no text can end the script element it stands in
	if err != nil {
		return nil, fmt.Errorf("encode the timeline: %w", err)
	}
	p := &page{
		Scripts: []template.JS{template.JS(chart.script), template.JS(pageJS)},
		Styles:  []template.CSS{template.CSS(chart.style), template.CSS(pageCSS)},
		Data:    template.JS(data),
		Run:     t.run, Title: cmp.Or(t.run.Scenario, t.run.ID, "run"), Headline: headline(res), Verdict: Overall(res),
		Length: t.end, Arms: len(t.folds), Promises: res.Promises, Damage: res.Damage,
		Groups: t.failureGroups(), Windows: t.windows, Started: t.run.Started.UTC().Format("2006-01-02 15:04:05 UTC"),
		Machine: machine(t.run.Machine), BucketWidth: t.width,
	}
	p.Policy = policy(p)
	if len(p.Groups) > maxGroups {
		p.GroupsBeyond = len(p.Groups) - maxGroups
		p.Groups = p.Groups[:maxGroups]
	}
	for _, f := range t.folds {
		p.Hits += f.hits
		p.Failed += f.failed
		p.FailuresNotDrawn += f.failures.beyond
	}
	for _, name := range slices.Sorted(maps.Keys(t.run.Versions)) {
		p.Versions = append(p.Versions, nameValue{name, t.run.Versions[name]})
	}
	for _, promise := range res.Promises {
		p.AnyPower = p.AnyPower || promise.Power != nil
		p.AnyWhat = p.AnyWhat || len(promise.Findings) > 0
	}
	return p, nil
}

// policy lets the browser run and style with what this page carries, told by hash, and load nothing: should a text from a
// record ever slip through as markup, it stays dead.
func policy(p *page) string {
	var scripts, styles []string
	for _, s := range p.Scripts {
		scripts = append(scripts, hash(string(s)))
	}
	for _, s := range p.Styles {
		styles = append(styles, hash(string(s)))
	}
	return "default-src 'none'; script-src " + strings.Join(scripts, " ") + "; style-src " + strings.Join(styles, " ") +
		"; img-src data:; base-uri 'none'; form-action 'none'"
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

type chart struct{ script, style string }

// chartAssets takes uPlot from vegeta's module, where go.mod pins it.
func chartAssets() (chart, error) {
	var c chart
	for name, to := range map[string]*string{"uPlot.min.js": &c.script, "uPlot.min.css": &c.style} {
		f, err := plot.Assets.Open(name)
		if err != nil {
			return c, fmt.Errorf("open vegeta's %s: %w", name, err)
		}
		data, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return c, fmt.Errorf("read vegeta's %s: %w", name, err)
		}
		if *to = string(data); strings.Contains(strings.ToLower(*to), "</s") {
			return c, fmt.Errorf("vegeta's %s would end the element it stands in", name)
		}
	}
	return c, nil
}
