package reports

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/suite"
)

// MergedFile is the name of the file that tells programs of a whole suite.
const MergedFile = "merged.json"

// Unfinished is the outcome of a suite with runs that never got to a verdict. It is exit code 3.
const Unfinished = "not finished"

// Merged is the report over all runs of a suite, whichever shards performed them. As JSON it is merged.json.
type Merged struct {
	Format   int               `json:"format"`
	Command  string            `json:"command"`  // run or teeth
	Outcome  string            `json:"outcome"`  // a verdict, or Unfinished
	ExitCode int               `json:"exitCode"` // of the whole suite
	Answer   string            `json:"answer"`   // the same in a sentence
	Build    suite.Build       `json:"build"`
	Pace     string            `json:"pace"`
	Rate     float64           `json:"rate"` // hits per second
	Repeat   int               `json:"repeat"`
	Shards   int               `json:"shards"`
	Started  time.Time         `json:"started"` // of the shard that began first
	Images   map[string]string `json:"images,omitempty"`
	Runs     []MergedRun       `json:"runs"` // in the order of the suite's list

	cases []*rawSuite // of JUnit, for each run; nil for one without a verdict
}

// MergedRun is one run of a suite.
type MergedRun struct {
	suite.Run
	Nth      int             `json:"nth"` // which of its repetitions, from 1
	Shard    suite.Shard     `json:"shard,omitzero"`
	Again    bool            `json:"again,omitempty"` // it was broken off, or proved nothing, and another run stands in its place
	Check    string          `json:"check,omitempty"` // of a planted fault
	Planted  string          `json:"planted,omitempty"`
	Path     string          `json:"path,omitempty"`     // of its record, from the directory of this report
	Answer   string          `json:"answer,omitempty"`   // what happened, of a run that was judged
	Promises []MergedPromise `json:"promises,omitempty"` // that are neither kept nor skipped

	of, item int    // repetitions, and what was asked for by its place in the list
	resume   string // the command that goes on with its suite
}

// MergedPromise is a promise of a run that is no pass.
type MergedPromise struct {
	Slug    string        `json:"slug"`
	Verdict judge.Verdict `json:"verdict"`
	Reason  string        `json:"reason,omitempty"`
}

// NewMerged begins the report of a suite, of which these are all shards.
func NewMerged(shards []*suite.Suite) *Merged {
	first := shards[0]
	m := &Merged{
		Format: 1, Command: first.Command, Build: first.Build, Pace: first.Pace, Rate: first.Rate, Repeat: first.Repeat,
		Shards: len(shards), Started: first.Started, Images: map[string]string{},
	}
	for _, s := range shards {
		maps.Copy(m.Images, s.Images)
		if s.Started.Before(m.Started) {
			m.Started = s.Started
		}
	}
	return m
}

// Add takes a run into the report that has no verdict. dir is the directory of the report.
func (m *Merged) Add(p suite.Part, dir string) {
	m.Runs, m.cases = append(m.Runs, m.row(p, dir)), append(m.cases, nil)
}

// AddJudged takes a run into the report that was judged.
func (m *Merged) AddJudged(p suite.Part, dir string, t *Timeline, res judge.Result) error {
	run := m.row(p, dir)
	res = t.Mistrust(res)
	run.Answer = answer(t, res)
	for _, promise := range res.Promises {
		if v := known(promise.Verdict); v == judge.Fail || v == judge.Inconclusive {
			run.Promises = append(run.Promises, MergedPromise{promise.Slug, v, promise.Reason})
		}
	}
	cases, err := casesOf(t, res, p.Of.RecordOf(p.Run), run.name())
	if err != nil {
		return err
	}
	m.Runs, m.cases = append(m.Runs, run), append(m.cases, cases)
	return nil
}

func (m *Merged) row(p suite.Part, dir string) MergedRun {
	asked, nth, of := p.Of.AskedFor(p.Run)
	run := MergedRun{Run: p.Run, Nth: nth, Shard: p.Of.Shard, Check: asked.Check, Planted: asked.Planted, of: of, item: p.Position % len(p.Of.Asked)}
	run.resume = shellescape.QuoteCommand([]string{"rollproof", m.Command, "--resume", p.Of.Dir()})
	if n := len(m.Runs); n > 0 && m.Runs[n-1].Position == p.Position {
		m.Runs[n-1].Again = true
	}
	if p.Dir == "" {
		return run
	}
	run.Path = From(dir, p.Of.RecordOf(p.Run))
	return run
}

// From is the path of a record as a page in a directory links to it, so that both can be carried elsewhere together.
func From(dir, record string) string {
	from, err1 := filepath.Abs(dir)
	whole, err2 := filepath.Abs(record)
	if relative, err := filepath.Rel(from, whole); err == nil && err1 == nil && err2 == nil {
		record = relative
	}
	return filepath.ToSlash(record)
}

// name is the scenario and which of its repetitions the run is.
func (r MergedRun) name() string {
	if r.of <= 1 {
		return r.Scenario
	}
	return fmt.Sprintf("%s (%d of %d)", r.Scenario, r.Nth, r.of)
}

// outcome is the verdict of a run, or how far it got.
func (r MergedRun) outcome() string {
	switch {
	case r.State == suite.Judged:
		return string(known(r.Verdict))
	case r.State == suite.Begun:
		return "not ended"
	}
	return string(r.State)
}

// Conclude works out what the whole suite came to. It is called once all runs are there.
func (m *Merged) Conclude() {
	var all []suite.Run
	for _, r := range m.Runs {
		all = append(all, r.Run)
	}
	verdict := suite.Worst(suite.Last(all))
	m.Answer = m.answer()
	if m.Command == "teeth" {
		verdict, m.Answer = m.bite()
	}
	m.Outcome, m.ExitCode = string(verdict), exitCode(verdict)
	if n := suite.Unfinished(all); n > 0 {
		m.Outcome, m.ExitCode = Unfinished, 3
	}
}

// bite is what planted faults came to: a check that did not see its fault broke its promise.
func (m *Merged) bite() (judge.Verdict, string) {
	matrix, open := &Teeth{}, 0
	for _, r := range m.counted() {
		matrix.Add(Tooth{Seen: r.Tooth != nil && r.Tooth.Seen})
		if !r.State.Finished() {
			open++
		}
	}
	answer := upper(matrix.KillRate()) + "."
	if open > 0 {
		answer = fmt.Sprintf("%d of %d planted faults never got to a verdict: go on with their suite by --resume.", open, matrix.Planted)
	}
	if !matrix.Sharp() {
		return judge.Fail, answer
	}
	return judge.Pass, answer
}

// answer says in one sentence how the runs fared, and which of them did not always fare alike.
func (m *Merged) answer() string {
	counts, all := map[string]int{}, 0
	for _, r := range m.counted() {
		all++
		if r.State.Finished() {
			counts[r.outcome()]++
		} else {
			counts[Unfinished]++
		}
	}
	pass, skipped := counts[string(judge.Pass)], counts[string(suite.Skipped)]
	var parts []string
	say := func(n int, one, many string) {
		if n > 0 {
			text := fmt.Sprintf("%d %s", n, many)
			if n == 1 {
				text = "1 " + one
			}
			if len(parts) == 0 {
				text = strings.Replace(text, " ", fmt.Sprintf(" of %s ", runs(all)), 1)
			}
			parts = append(parts, text)
		}
	}
	say(counts[Unfinished], "never got to a verdict", "never got to a verdict")
	say(counts[string(judge.Fail)], "broke a promise", "broke a promise")
	say(counts[string(judge.Inconclusive)], "proves nothing", "prove nothing")
	if len(parts) == 0 && pass == all {
		parts = append(parts, "all "+runs(all)+" passed")
		if all == 1 {
			parts = []string{"the one run passed"}
		}
	} else {
		say(pass, "passed", "passed")
		say(skipped, "was skipped", "were skipped")
	}
	sentence := strings.Join(parts, ", ") + "."
	switch n := m.nothingFirst(); n {
	case 0:
	case 1:
		sentence += " Before, 1 run proved nothing and was performed again."
	default:
		sentence += fmt.Sprintf(" Before, %d runs proved nothing and were performed again.", n)
	}
	if flakes := m.flakes(); len(flakes) > 0 {
		sentence += " Not always alike: " + strings.Join(flakes, "; ") + "."
	}
	return upper(sentence)
}

func runs(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}

// nothingFirst counts the runs that proved nothing, and in whose place another stands: no rerun is silent.
func (m *Merged) nothingFirst() (n int) {
	for _, r := range m.Runs {
		if r.Again && r.State == suite.Judged {
			n++
		}
	}
	return n
}

// counted are the runs that count: without those in whose place another stands.
func (m *Merged) counted() []MergedRun {
	return slices.DeleteFunc(slices.Clone(m.Runs), func(r MergedRun) bool { return r.Again })
}

// flakes names the scenarios whose repetitions did not all come to the same.
func (m *Merged) flakes() []string {
	var order []string
	outcomes := map[string]map[string]int{}
	for _, r := range m.counted() {
		if r.State != suite.Judged {
			continue
		}
		if outcomes[r.Scenario] == nil {
			outcomes[r.Scenario] = map[string]int{}
			order = append(order, r.Scenario)
		}
		outcomes[r.Scenario][r.outcome()]++
	}
	var flakes []string
	for _, scenario := range order {
		came := outcomes[scenario]
		if len(came) < 2 {
			continue
		}
		total := 0
		for _, n := range came {
			total += n
		}
		for _, v := range []judge.Verdict{judge.Fail, judge.Inconclusive} {
			if n := came[string(v)]; n > 0 {
				word := map[judge.Verdict]string{judge.Fail: "failed", judge.Inconclusive: "proved nothing"}[v]
				flakes = append(flakes, fmt.Sprintf("%s %s in %d of %d", scenario, word, n, total))
			}
		}
	}
	return flakes
}

// terms says in one line what was performed, and with what.
func (m *Merged) terms() string {
	parts := []string{"rollproof " + m.Command}
	if m.Shards > 1 {
		parts = append(parts, fmt.Sprintf("%d shards", m.Shards))
	}
	return strings.Join(append(parts, "pace "+m.Pace, fmt.Sprintf("%g/s", m.Rate), m.Build.String()), ", ")
}

// byWorst are the runs with the worst first, and runs of the same outcome in the order of what was asked for, with the repetitions together.
func (m *Merged) byWorst() []MergedRun {
	rank := func(r MergedRun) int {
		switch {
		case r.Again:
			return 4
		case r.open():
			return 0
		case r.State == suite.Skipped:
			return 6
		}
		return map[judge.Verdict]int{judge.Fail: 1, judge.Inconclusive: 2, judge.Pass: 5}[known(r.Verdict)]
	}
	return slices.SortedStableFunc(slices.Values(m.Runs), func(a, b MergedRun) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.item, b.item), cmp.Compare(a.Position, b.Position))
	})
}

// Write writes the report of a whole suite into a directory: merged.json, junit.xml and report.html, each whole or not at all. Of planted
// faults it writes merged.json alone: their matrix has views of its own.
func (m *Merged) Write(dir string) error {
	if err := history.WriteSealed(filepath.Join(dir, MergedFile), m); err != nil || m.Command == "teeth" {
		return err
	}
	for name, view := range map[string]func(io.Writer) error{JUnitFile: m.junit, HTMLFile: m.page} {
		var buf bytes.Buffer
		if err := view(&buf); err != nil {
			return fmt.Errorf("write the report of the suite: %w", err)
		}
		if err := history.WriteFile(filepath.Join(dir, name), buf.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// MergedTerminal writes the report of a whole suite for people: the answer, each run that is no pass with its promises, then the others.
func MergedTerminal(w io.Writer, m *Merged, opts TerminalOptions) error {
	s := summary{opts: opts}
	mark, color := sign(judge.Verdict(m.Outcome))
	s.hang(2, "%s %s", s.paint(color, mark+" "+m.Outcome+":"), m.Answer)
	s.hang(2, "  %s", s.paint(faint, fmt.Sprintf("%s, exit code %d", m.terms(), m.ExitCode)))
	width := 0
	var rest []MergedRun
	for _, r := range m.byWorst() {
		if r.broken() {
			s.brokenRun(r, opts.Dir)
			continue
		}
		rest, width = append(rest, r), max(width, len(r.name()))
	}
	if len(rest) > 0 {
		s.line("")
	}
	for _, r := range rest {
		s.otherRun(r, width)
	}
	if _, err := w.Write(s.buf.Bytes()); err != nil {
		return fmt.Errorf("write the summary of the suite: %w", err)
	}
	return nil
}

// open reports whether a run never got to a verdict, and none stands in its place.
func (r MergedRun) open() bool { return !r.State.Finished() && !r.Again }

// broken reports whether a run is told at length: it is no pass, or has no verdict.
func (r MergedRun) broken() bool {
	return r.open() || !r.Again && r.State == suite.Judged && known(r.Verdict) != judge.Pass
}

// brokenRun writes a run that is no pass: what happened, and each promise with its reason.
func (s *summary) brokenRun(r MergedRun, dir string) {
	mark, color := sign(r.Verdict) // without a verdict it is a question mark
	s.line("")
	s.hang(2, "%s  %s", s.paint(color, mark+" "+r.outcome()+": "+r.name()), s.paint(faint, r.place()))
	if r.open() {
		s.field("", r.Reason)
		s.field("next", "go on with "+cmp.Or(r.place(), "the suite")+": "+r.resume)
		return
	}
	s.field("", r.Answer)
	for _, p := range r.Promises {
		s.hang(4, "  %s %s", s.paint(bold, p.Slug+":"), p.Reason)
	}
	s.field("next", pageURL(filepath.Join(dir, filepath.FromSlash(r.Path)), ""))
}

// otherRun writes a run that passed, was skipped or performed again, in one line.
func (s *summary) otherRun(r MergedRun, width int) {
	mark, color := sign(r.Verdict)
	if r.State == suite.Skipped {
		mark, color = sign(judge.Skipped)
	}
	s.hang(width+4, "%s %s  %s", s.paint(color, mark), fmt.Sprintf("%-*s", width, r.name()), s.paint(faint, r.about()))
}

// about says in one line how a run fared that is not told at length, where, and how long it took.
func (r MergedRun) about() string {
	var fared string
	if r.State != suite.Judged || r.Again {
		fared = r.outcome()
	}
	if r.Again {
		fared += " and performed again"
	}
	if r.Reason != "" {
		fared += ": " + r.Reason
	}
	where := []string{r.place()}
	if r.Took > 0 {
		where = append(where, length(r.Took))
	}
	some := func(parts []string) []string { return slices.DeleteFunc(parts, func(s string) bool { return s == "" }) }
	return strings.Join(some([]string{fared, strings.Join(some(where), ", ")}), "; ")
}

// place is the shard that performed a run.
func (r MergedRun) place() string {
	if r.Shard.Of == 0 {
		return ""
	}
	return "shard " + r.Shard.String()
}

// rawSuite is a suite of JUnit as another view wrote it.
type rawSuite struct {
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Others   []xml.Attr `xml:",any,attr"`
	Inner    string     `xml:",innerxml"`
}

// casesOf is the suite that JUnit writes of a run, under the name that the run has here.
func casesOf(t *Timeline, res judge.Result, dir, name string) (*rawSuite, error) {
	var buf bytes.Buffer
	if err := JUnit(&buf, t, res, dir); err != nil {
		return nil, err
	}
	var all struct {
		Suites []rawSuite `xml:"testsuite"`
	}
	if err := xml.Unmarshal(buf.Bytes(), &all); err != nil {
		return nil, fmt.Errorf("read the JUnit report of run %s: %w", t.run.ID, err)
	}
	if len(all.Suites) != 1 {
		return nil, fmt.Errorf("read the JUnit report of run %s: it holds %d suites, want 1", t.run.ID, len(all.Suites))
	}
	all.Suites[0].Name = name
	return &all.Suites[0], nil
}

// withoutVerdict is the suite of a run that has none: one that was never finished is an error, so that no CI shows it green.
func (r MergedRun) withoutVerdict(started time.Time) junitSuite {
	c := junitCase{Class: "rollproof." + strings.ReplaceAll(r.Scenario, "/", "."), Name: "run", Time: seconds(r.Took)}
	switch {
	case r.State == suite.Skipped:
		c.Skipped, c.Time = &junitOutcome{Message: r.Reason}, 0
	case r.Again:
		c.Skipped, c.Time = &junitOutcome{Message: r.about()}, 0
	default:
		c.Error = &junitOutcome{r.about(), Unfinished, cdata(r.Reason)}
	}
	return suiteOfCase(r.name(), started, c)
}

func suiteOfCase(name string, started time.Time, c junitCase) junitSuite {
	s := junitSuite{Name: name, Time: c.Time, Timestamp: started.UTC().Format("2006-01-02T15:04:05")}
	s.add(c)
	return s
}

// junit writes the suites of all runs into one file. A suite of runs that is no pass has at least one failure or error.
func (m *Merged) junit(w io.Writer) error {
	all := struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Time     seconds  `xml:"time,attr"`
		Suites   []any    `xml:"testsuite"`
	}{Name: "rollproof"}
	count := func(suite any, tests, failures, errors int) {
		all.Suites = append(all.Suites, suite)
		all.Tests, all.Failures, all.Errors = all.Tests+tests, all.Failures+failures, all.Errors+errors
	}
	for i, r := range m.Runs {
		all.Time += seconds(r.Took)
		if s := m.cases[i]; s != nil && !r.Again {
			count(s, s.Tests, s.Failures, s.Errors)
			continue
		}
		s := r.withoutVerdict(m.Started)
		count(s, s.Tests, s.Failures, s.Errors)
	}
	if all.Failures+all.Errors == 0 && m.ExitCode != 0 {
		s := suiteOfCase("suite", m.Started, junitCase{
			Class: "rollproof.suite", Name: "suite", Error: &junitOutcome{m.Answer, m.Outcome, cdata(m.Answer)},
		})
		count(s, s.Tests, s.Failures, s.Errors)
	}
	data, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, data)
	return err
}

var mergedPage = template.Must(template.New("merged").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<title>{{.Outcome}}: rollproof {{.Command}}</title><style>
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif;--good:#1a7f37;--bad:#c62828;--open:#8a5a00}
@media (prefers-color-scheme:dark){:root{--good:#57c46f;--bad:#ff7b72;--open:#e3b341}}
body{margin:2rem auto;max-width:70rem;padding:0 1rem}h1{font-size:1.4rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .25rem}p{margin:.4rem 0}
.badge{border:2px solid;border-radius:.4rem;padding:0 .5rem;margin-right:.4rem;white-space:nowrap}
.pass{color:var(--good)}.fail{color:var(--bad)}.open{color:var(--open)}
table{border-collapse:collapse;width:100%;margin-top:.5rem}th,td{text-align:left;padding:.45rem .6rem;vertical-align:top;
border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent)}th{font-weight:600}td:first-child{white-space:nowrap;font-weight:600}
ul{margin:.3rem 0 0;padding-left:1.1rem}code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}small{opacity:.75}a{color:inherit}
</style></head><body>
<h1><span class="badge {{.Ink .Outcome}}">{{.Mark .Outcome}} {{.Outcome}}</span>{{.Answer}}</h1>
<p><small>{{.Terms}}; begun {{.Started.Format "2006-01-02 15:04 UTC"}}; exit code {{.ExitCode}}</small></p>
<table><thead><tr><th>outcome</th><th>run</th><th>what happened</th>{{if gt .Shards 1}}<th>shard</th>{{end}}<th>took</th><th>report</th></tr></thead><tbody>
{{range .ByWorst}}<tr><td class="{{$.Ink .Outcome}}">{{$.Mark .Outcome}} {{.Outcome}}</td><td><code>{{.Name}}</code></td>
<td>{{if .Answer}}{{.Answer}}{{else}}{{.Reason}}{{end}}{{if .Again}} It was performed again: see the run of the same name.{{end}}
{{if .Promises}}<ul>{{range .Promises}}<li><code>{{.Slug}}</code>: {{.Reason}}</li>{{end}}</ul>{{end}}</td>
{{if gt $.Shards 1}}<td>{{.Shard}}</td>{{end}}<td>{{if .Took}}{{.Lasted}}{{end}}</td><td>{{if .Link}}<a href="{{.Link}}">open</a>{{end}}</td></tr>
{{end}}</tbody></table>
<h2>What all runs share</h2>
<table><tbody><tr><td>build</td><td>{{.Build}}, version {{.Build.Version}}</td></tr>
{{range $name, $digest := .Images}}<tr><td>{{$name}}</td><td><code>{{$digest}}</code></td></tr>
{{end}}</tbody></table></body></html>
`))

// page writes the report as one page that needs no network. It links to the reports of the runs where they are beside it.
func (m *Merged) page(w io.Writer) error { return mergedPage.Execute(w, mergedView{m}) }

// mergedView is what the template reads.
type mergedView struct{ *Merged }

// Terms says what was performed, and with what.
func (v mergedView) Terms() string { return v.terms() }

// ByWorst are the runs, the worst first.
func (v mergedView) ByWorst() []mergedRow {
	var rows []mergedRow
	for _, r := range v.byWorst() {
		rows = append(rows, mergedRow{r})
	}
	return rows
}

// Ink is the class of an outcome.
func (mergedView) Ink(outcome string) string {
	switch judge.Verdict(outcome) {
	case judge.Pass:
		return "pass"
	case judge.Fail:
		return "fail"
	}
	return "open"
}

// Mark is the sign of an outcome.
func (mergedView) Mark(outcome string) string {
	mark, _ := sign(judge.Verdict(outcome))
	return mark
}

type mergedRow struct{ MergedRun }

// Name is the scenario, and which of its repetitions the run is.
func (r mergedRow) Name() string { return r.name() }

// Outcome is the verdict of the run, or how far it got.
func (r mergedRow) Outcome() string { return r.outcome() }

// Lasted is how long the run took.
func (r mergedRow) Lasted() string { return length(r.Took) }

// Link is the address of the run's own page; empty for one that has none.
func (r mergedRow) Link() string {
	if r.Path == "" || r.State != suite.Judged {
		return ""
	}
	return (&url.URL{Path: r.Path + "/" + HTMLFile}).String()
}
