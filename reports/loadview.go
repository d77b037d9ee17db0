package reports

import (
	"fmt"
	"strings"
	"time"
)

// armLoad is what one arm sent and got, over all its windows.
type armLoad struct {
	Arm      string
	Control  bool
	Intended uint64 // Sent and those that were never started
	Sent     uint64
	Failed   uint64
	Masked   uint64
	Received uint64 // bytes of bodies
	Loaded   time.Duration
}

// PerSecond is the rate that was reached.
func (a armLoad) PerSecond() float64 {
	if a.Loaded <= 0 {
		return 0
	}
	return float64(a.Sent) / a.Loaded.Seconds()
}

// FailedShare is the share of the intended hits that failed: one that was never started is no success.
func (a armLoad) FailedShare() float64 {
	if a.Intended == 0 {
		return 0
	}
	return float64(a.Failed) / float64(a.Intended)
}

// loads is what every arm sent and got, in the order the arms are shown in.
func (t *Timeline) loads() []armLoad {
	var all []armLoad
	for _, f := range t.folds {
		a := armLoad{Arm: f.arm, Control: t.control(f.arm), Intended: f.hits, Sent: f.hits - f.unsent, Failed: f.failed, Masked: f.masked, Received: f.bytesIn}
		for _, w := range t.arm(f.arm).Windows {
			a.Loaded += w.Length
		}
		all = append(all, a)
	}
	return all
}

// armPower is what the figures of one arm can carry.
type armPower struct {
	Arm    string
	Hits   uint64
	Rate   float64
	Failed uint64
	Share  float64 // that failed
	Loss   float64 // share that may be lost in truth though nothing failed, at 95 %: 3/n; negative where hits failed
}

// powers is the power of each arm under test.
func (t *Timeline) powers() []armPower {
	var all []armPower
	for _, a := range t.loads() {
		if a.Control || a.Sent == 0 {
			continue
		}
		p := armPower{Arm: a.Arm, Hits: a.Sent, Rate: a.PerSecond(), Failed: a.Failed, Share: a.FailedShare(), Loss: -1}
		if a.Failed == 0 {
			p.Loss = min(1, 3/float64(a.Sent))
		}
		all = append(all, p)
	}
	return all
}

// rateText writes hits a second.
func rateText(f float64) string {
	if f <= 0 {
		return "–"
	}
	return significant(f) + "/s"
}

// shareText writes a share in percent.
func shareText(f float64) string { return significant(f*100) + " %" }

// sizeText writes an amount of data.
func sizeText(bytes float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for bytes >= 999.5 && i < len(units)-1 {
		bytes /= 1000
		i++
	}
	return significant(bytes) + " " + units[i]
}

// load writes what the arms sent and how long the answers took. It names the figures as k6's summary does where they are the same,
// so that its users find them.
func (s *summary) load(t *Timeline) {
	if len(t.folds) == 0 {
		return
	}
	s.totals(t)
	s.line("")
	rows := [][]string{{"arm", "sent", "rate", "failed", "sent again", "received"}}
	for _, a := range t.loads() {
		name := a.Arm
		if a.Control && name != "control" {
			name += " (control)"
		}
		rows = append(rows, []string{name, count(a.Sent), rateText(a.PerSecond()), fmt.Sprintf("%s (%s)", count(a.Failed), shareText(a.FailedShare())),
			count(a.Masked), sizeText(float64(a.Received))})
	}
	s.table(rows)
	s.line("")
	s.line("%s", s.paint(bold, "latency of good answers"))
	rows = [][]string{append([]string{""}, latencyColumns[:]...)}
	for _, part := range []struct {
		of    string
		table latencyTable
	}{{"arm ", t.latenciesByArm()}, {"version ", t.latenciesByVersion()}} {
		for _, r := range part.table {
			name := part.of + r.Of
			if r.Phase != "" {
				name = "  " + r.Phase
			}
			rows = append(rows, append([]string{name}, r.cells(tight)...))
		}
	}
	s.table(rows)
}

// total is what all arms under test sent and got.
type total struct {
	armLoad
	BytesOut uint64
	Latency  latencyRow
}

func (t *Timeline) total() total {
	sum := total{Latency: t.allLatencies().row("", "")}
	for _, a := range t.loads() {
		if !a.Control {
			sum.Intended, sum.Sent, sum.Failed = sum.Intended+a.Intended, sum.Sent+a.Sent, sum.Failed+a.Failed
			sum.Masked, sum.Received = sum.Masked+a.Masked, sum.Received+a.Received
			sum.Loaded = max(sum.Loaded, a.Loaded) // arms send side by side
		}
	}
	for _, f := range t.folds {
		if !t.control(f.arm) {
			sum.BytesOut += f.bytesOut
		}
	}
	return sum
}

// totals are the lines that k6 ends with.
func (s *summary) totals(t *Timeline) {
	sum := t.total()
	if sum.Sent == 0 || sum.Loaded <= 0 {
		return
	}
	data := func(n uint64) string {
		return sizeText(float64(n)) + "  " + sizeText(float64(n)/sum.Loaded.Seconds()) + "/s"
	}
	r := sum.Latency
	s.line("")
	for _, line := range [][2]string{
		{"http_reqs", count(sum.Sent) + "  " + rateText(sum.PerSecond())},
		{"http_req_failed", fmt.Sprintf("%s  %s out of %s", shareText(sum.FailedShare()), count(sum.Failed), count(sum.Intended))},
		{"http_req_duration", fmt.Sprintf("avg=%s min=%s med=%s max=%s p(90)=%s p(95)=%s p(99)=%s", tight(r.Avg), tight(r.Min), tight(r.P50),
			tight(r.Max), tight(r.P90), tight(r.P95), tight(r.P99))},
		{"data_received", data(sum.Received)},
		{"data_sent", data(sum.BytesOut)},
	} {
		s.hang(21, "%s %s", line[0]+strings.Repeat(".", 19-len(line[0]))+":", line[1])
	}
}

// tight writes a span of time without a blank, for tables.
func tight(d time.Duration) string { return strings.ReplaceAll(figured(d), " ", "") }

// latencyColumns names what cells holds.
var latencyColumns = [...]string{"avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"}

// cells are the figures of a row, "–" where there are too few answers.
func (r latencyRow) cells(write func(time.Duration) string) []string {
	var cells []string
	for _, d := range []time.Duration{r.Avg, r.Min, r.P50, r.P90, r.P95, r.P99, r.P999, r.Max} {
		text := write(d)
		if r.Good == 0 || d < 0 {
			text = "–"
		}
		cells = append(cells, text)
	}
	return cells
}

// table writes rows in columns: the first one to the left, figures to the right. Columns that a narrow screen has no room for go to a
// second table below, under the same names.
func (s *summary) table(rows [][]string) {
	const gap = 2
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], visible(cell))
		}
	}
	for first := 1; first < len(widths); {
		used, last := widths[0], first
		for last < len(widths) && (last == first || s.opts.Width <= 0 || used+gap+widths[last] <= s.opts.Width) {
			used += gap + widths[last]
			last++
		}
		for i, row := range rows {
			s.row(i == 0, row, widths, first, last)
		}
		first = last
	}
}

func (s *summary) row(head bool, row []string, widths []int, first, last int) {
	text := pad(row[0], widths[0], false)
	for i := first; i < last; i++ {
		text += "  " + pad(row[i], widths[i], true)
	}
	if head {
		s.buf.WriteString(string(s.paint(faint, strings.TrimRight(text, " "))) + "\n")
		return
	}
	s.buf.WriteString(strings.TrimRight(printable(text), " ") + "\n")
}

func pad(text string, width int, right bool) string {
	blanks := strings.Repeat(" ", max(0, width-visible(text)))
	if right {
		return blanks + text
	}
	return text + blanks
}
