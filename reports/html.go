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
	"strconv"
	"strings"
	"time"

	"github.com/tsenart/vegeta/v12/lib/plot"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
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
	"known": known, "length": length, "share": shareText, "rate": rateText, "ownRate": ownRate,
	"hits": func(n uint64) string {
		if n == 1 {
			return "1 hit"
		}
		return count(n) + " hits"
	},
	"size":   func(n uint64) string { return sizeText(float64(n)) },
	"cores":  func(f float64) string { return fmt.Sprintf("%.2f", f) },
	"writes": func(n uint64) string { return words.Plural(n, "write") },
	"at":     func(from, until time.Duration) string { return anchor(judge.Finding{At: from, Until: until}) },
	"came":   func(at time.Duration) bool { return at != timeline.Never },
	"short":  shortMember,
	"less":   func(a, b uint64) uint64 { return max(a, b) - b },
	"uint":   func(n int) uint64 { return uint64(n) },
	"cells":  labelledCells,
	"shown":  func(p judged, open, example bool) shownPromise { return shownPromise{p, open, example} },
}

// page is what the template reads.
type page struct {
	Policy           string // Content-Security-Policy: these scripts and styles, and nothing from anywhere
	Scripts          []template.JS
	Styles           []template.CSS
	Data             template.JS
	Run              history.Run
	Title, Answer    string
	Headline         string
	Verdict          judge.Verdict
	ExitCode         int
	Loaded           bool   // the run had load, or was meant to
	Hits, Failed     uint64 // of the arms under test, as Rate and Latency are
	Rate             float64
	FailedShare      float64
	Latency          latencyRow
	Length           time.Duration
	Promises         []judged // all; Broken are those that are no pass and not skipped, Rest the others
	Broken, Rest     []judged
	Counts           []nameValue // of promises, by verdict
	Damage           []history.Damage
	Groups           []failureGroup
	GroupsBeyond     int
	Latencies        []latencyBody
	Disturbed        bool
	Powers           []armPower
	Windows          []history.Window
	Ledgers          []*written
	Writes           *ledgersSum // of all ledgers; nil without any
	Pacings          string
	Received         uint64
	SentBytes        uint64
	Versions         []nameValue
	Started, Machine string
	FailuresNotDrawn uint64
	BucketWidth      time.Duration
	AnyPower         bool
	AnyFigures       bool
}

type nameValue struct{ Name, Value string }

// latencyBody is the rows of one arm or version.
type latencyBody struct {
	of   string // "arm" or "version"
	Rows latencyTable
}

// shownPromise is a promise as the page shows it at first.
type shownPromise struct {
	judged
	Open    bool // its groups are seen
	Example bool // and its first group is unfolded
}

// BrokenTitle heads what is no pass: what could not be judged did not fail.
func (p *page) BrokenTitle() string {
	var failed, unjudged bool
	for _, b := range p.Broken {
		failed = failed || known(b.Verdict) == judge.Fail
		unjudged = unjudged || known(b.Verdict) == judge.Inconclusive
	}
	switch {
	case failed && unjudged:
		return "What failed or could not be judged"
	case failed:
		return "What failed"
	}
	return "What could not be judged"
}

// RestTitle heads the others: what was skipped did not hold.
func (p *page) RestTitle() string {
	held := slices.ContainsFunc(p.Rest, func(r judged) bool { return known(r.Verdict) == judge.Pass })
	switch {
	case held && len(p.Broken) > 0:
		return "What held"
	case !held && len(p.Rest) > 0:
		return "What was skipped"
	}
	return "Promises"
}

// FewBroken reports whether all that is broken can be unfolded without hiding one behind the other.
func (p *page) FewBroken() bool { return len(p.Broken) <= 2 }

// labelledCells are the figures of a row with the names of their columns, which a narrow screen shows beside each.
func labelledCells(r latencyRow) []nameValue {
	var cells []nameValue
	for i, text := range r.cells(figured) {
		cells = append(cells, nameValue{latencyColumns[i], text})
	}
	return cells
}

// IsBroken reports whether a promise belongs under what failed.
func (p judged) IsBroken() bool {
	v := known(p.Verdict)
	return v == judge.Fail || v == judge.Inconclusive
}

// Title and Facts make a group readable for the template.
func (g *group) Title() string   { return g.title() }
func (g *group) Facts() []string { return g.facts() }

// Count, First and Last make a failure group readable for the template.
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
	verdict := Overall(res)
	p := &page{
		Scripts: []template.JS{template.JS(chart.script), template.JS(pageJS)},
		Styles:  []template.CSS{template.CSS(chart.style), template.CSS(pageCSS)},
		Data:    template.JS(data),
		Run:     t.run, Title: cmp.Or(scenarioOf(t.run), t.run.ID, "run"), Answer: answer(t, res), Headline: headline(res),
		Verdict: verdict, ExitCode: exitCode(verdict), Length: t.end, Damage: res.Damage, Disturbed: t.disturbed.any(),
		Groups: t.failureGroups(), Powers: t.powers(), Windows: t.windows, Started: t.run.Started.UTC().Format("2006-01-02 15:04:05 UTC"),
		Machine: machine(t.run.Machine), BucketWidth: t.width,
	}
	p.Policy = policy(p)
	p.addPromises(t.judgedPromises(res))
	p.addLoad(t)
	p.Ledgers, p.Writes = t.ledgers, t.sumOfLedgers()
	if len(p.Groups) > maxGroups {
		p.GroupsBeyond = len(p.Groups) - maxGroups
		p.Groups = p.Groups[:maxGroups]
	}
	for _, name := range slices.Sorted(maps.Keys(t.run.Versions)) {
		p.Versions = append(p.Versions, nameValue{name, t.run.Versions[name]})
	}
	return p, nil
}

func (p *page) addPromises(all []judged) {
	p.Promises = all
	counts := map[judge.Verdict]int{}
	for _, promise := range all {
		counts[known(promise.Verdict)]++
		p.AnyPower = p.AnyPower || promise.Power != nil
		p.AnyFigures = p.AnyFigures || len(promise.Figures) > 0
		if promise.IsBroken() {
			p.Broken = append(p.Broken, promise)
		} else {
			p.Rest = append(p.Rest, promise)
		}
	}
	p.Counts = []nameValue{{"all", strconv.Itoa(len(all))}}
	for _, v := range []judge.Verdict{judge.Fail, judge.Inconclusive, judge.Pass, judge.Skipped} {
		if counts[v] > 0 {
			p.Counts = append(p.Counts, nameValue{string(v), strconv.Itoa(counts[v])})
		}
	}
}

func (p *page) addLoad(t *Timeline) {
	sum := t.total()
	p.Loaded = len(t.folds) > 0
	p.Hits, p.Failed, p.Rate, p.FailedShare, p.Latency = sum.Intended, sum.Failed, sum.PerSecond(), sum.FailedShare(), sum.Latency
	for _, f := range t.folds {
		p.FailuresNotDrawn += f.failures.beyond
		p.Received += f.bytesIn
		p.SentBytes += f.bytesOut
	}
	for _, part := range []latencyBody{{"arm", t.latenciesByArm()}, {"version", t.latenciesByVersion()}} {
		for _, row := range part.Rows {
			if row.Phase == "" { // the row of the whole run begins a body
				p.Latencies = append(p.Latencies, latencyBody{of: part.of})
			}
			row.Of = part.of + " " + row.Of
			body := &p.Latencies[len(p.Latencies)-1]
			body.Rows = append(body.Rows, row)
		}
	}
	var pacings []string
	for _, w := range t.windows {
		if w.Pacing != "" && !slices.Contains(pacings, w.Pacing) {
			pacings = append(pacings, w.Pacing)
		}
	}
	p.Pacings = joined(pacings, 3, "more")
}

// ownRate is the rate that one arm was given, not that of all arms together.
func ownRate(w history.Window) string {
	if w.Length <= 0 {
		return "–"
	}
	return rateText(float64(w.Planned) / w.Length.Seconds())
}

// policy lets the browser use the scripts and styles of this page, named by their hashes, and load nothing else. Text of a record that slipped
// through as markup would stay dead.
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
