package reports_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/reports"
)

func (c storeCase) timeline(t *testing.T) *reports.Timeline {
	t.Helper()
	var s *storeSample
	if c.sample != nil {
		s = c.sample()
	}
	run := storeRun(c.loaded)
	run.Format = history.FormatVersion
	shown := aggregate(t, recordStore(t, s, c.loaded)).As(run)
	if damage := shown.Mistrust(c.result).Damage; len(damage) > 0 {
		t.Fatalf("the sample is damaged: %v", damage)
	}
	return shown
}

func TestTerminalOfStores(t *testing.T) {
	for name, c := range storeCases() {
		shown := c.timeline(t)
		for _, width := range []int{80, 140} {
			t.Run(fmt.Sprint(name, " ", width), func(t *testing.T) {
				var buf bytes.Buffer
				if err := reports.Terminal(&buf, shown, c.result, reports.TerminalOptions{Dir: sampleDir, Width: width}); err != nil {
					t.Fatal(err)
				}
				golden(t, fmt.Sprintf("terminal-stores-%s-%d.txt", name, width), buf.Bytes())
				for line := range strings.Lines(buf.String()) {
					if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width && strings.Contains(strings.TrimSpace(line), " ") {
						t.Errorf("a line of %d columns is not broken: %q", n, line)
					}
				}
				if told := strings.Contains(buf.String(), "request") || strings.Contains(buf.String(), "http_req"); told != c.loaded {
					t.Errorf("requests are told of: %v, and there were some: %v", told, c.loaded)
				}
				if c.result.Verdict != judge.Pass && strings.HasPrefix(buf.String(), "✓") {
					t.Errorf("%s is reported as a pass", name)
				}
			})
		}
	}
}

// What is not known of writes is never told as kept, and what is lost is never hidden.
func TestAnswerOfStores(t *testing.T) {
	pass, fail, unsure := storeResult(judge.Pass, ""), storeResult(judge.Fail, ""), storeResult(judge.Inconclusive, "")
	const rolled = "roll (statefulset redis/redis) landed and was over after 30 s; "
	cases := map[string]struct {
		sample *storeSample
		loaded bool
		result judge.Result
		want   string
	}{
		"kept":                      {newStoreSample(), false, pass, "0 of 5 792 acknowledged writes to redis lost (longest gap 412 ms)."},
		"kept, and something broke": {newStoreSample(), false, fail, "no loss was seen among 5 792 acknowledged writes to redis (longest gap 412 ms). Broken: redis.failover."},
		"kept, and nothing is proved": {newStoreSample(), false, unsure,
			"no loss was seen among 5 792 acknowledged writes to redis (longest gap 412 ms), but that proves nothing: redis.failover could not be judged."},
		"lost":                  {newStoreSample().losing(server(1), 34), false, fail, "34 of 5 792 acknowledged writes to redis were lost on redis-1. Broken: redis.failover."},
		"one lost":              {newStoreSample().losing(server(1), 1), false, fail, "1 of 5 792 acknowledged writes to redis was lost on redis-1. Broken: redis.failover."},
		"lost as was allowed":   {newStoreSample().losing(server(2), 2), false, pass, "2 of 5 792 acknowledged writes to redis were lost on redis-2."},
		"lost on two":           {newStoreSample().losing(server(1), 34).losing(server(2), 3), false, fail, "up to 34 of 5 792 acknowledged writes to redis were lost on each of 2 members. Broken: redis.failover."},
		"lost, and one unread":  {newStoreSample().losing(server(1), 34).unread(server(0)), false, fail, "34 of 5 792 acknowledged writes to redis were lost on redis-1 (1 of 3 members not read back). Broken: redis.failover."},
		"unread, judged a pass": {newStoreSample().unread(server(2)), false, pass, "no loss of 5 792 acknowledged writes to redis was seen on 2 of 3 members."},
		"unclosed": {newStoreSample().unclosed(), false, unsure,
			"5 792 acknowledged writes to redis were read back from no member, but that proves nothing: redis.failover could not be judged."},
		"two ledgers": {newStoreSample().named("a", newStoreSample().losing(server(1), 3)), false, fail,
			"no loss was seen among 5 792 acknowledged writes to a (longest gap 412 ms), 3 of 5 792 acknowledged writes to redis were lost on redis-1. Broken: redis.failover."},
		"refused":          {newStoreSample().refused(), false, fail, "none of 5 800 writes to redis was acknowledged. Broken: redis.failover."},
		"nothing recorded": {nil, false, unsure, "nothing was recorded of ledger-redis, but that proves nothing: redis.failover could not be judged."},
		"with load":        {newStoreSample(), true, pass, "12 of 13 500 requests failed, 0 of 5 792 acknowledged writes to redis lost (longest gap 412 ms)."},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := aggregate(t, recordStore(t, c.sample, c.loaded)).Answer(c.result); got != rolled+c.want {
				t.Errorf("the answer is\n%q, want\n%q", got, rolled+c.want)
			}
		})
	}
}

// drawnStore is what the page reads of a ledger.
type drawnStore struct {
	Name, Workload      string
	Begin, Until, Width int64
	Base                int64
	Acked, Other        []uint64
	Gaps                []struct{ From, Until int64 }
	GapsBeyond          int
	Leads               []struct {
		From, Until          int64
		Leader, Short, After string
	}
	Health []struct {
		From, Until  int64
		UpToDate, Of int
		Error        string
	}
	Members []struct {
		Name       string
		Pods       []struct{ States []struct{ State string } }
		Led        []struct{ From, Until int64 }
		Lost       []struct{ At int64 }
		LostBeyond uint64
	}
}

func drawStores(t *testing.T, shown *reports.Timeline) []drawnStore {
	t.Helper()
	data, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	var d struct{ Ledgers []drawnStore }
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d.Ledgers
}

func TestTimelineOfStores(t *testing.T) {
	h := recordStore(t, newStoreSample().losing(server(1), 34), false)
	all := drawStores(t, aggregate(t, h))
	if len(all) != 1 || all[0].Name != "redis" || all[0].Workload != "statefulset redis/redis" || all[0].Begin != 2e6 || all[0].Until != 60e6 {
		t.Fatalf("ledgers %+v", all)
	}
	d := all[0]
	var acked, other uint64
	for i := range d.Acked {
		acked, other = acked+d.Acked[i], other+d.Other[i]
	}
	if acked != storeAcked || other != storeUnknown {
		t.Errorf("%d writes are drawn as acknowledged and %d as others, want %d and %d", acked, other, storeAcked, storeUnknown)
	}
	if stalled := (30_200_000 / d.Width) - d.Base; d.Acked[stalled] != 0 {
		t.Errorf("at 30.2 s, in the hand-over, %d writes are drawn as acknowledged", d.Acked[stalled])
	}
	if got := fmt.Sprint(d.Gaps); got != "[{29991000 30402800} {44991000 45121000}]" {
		t.Errorf("the gaps are drawn as %s", got)
	}
	var leads []string
	for _, l := range d.Leads {
		leads = append(leads, fmt.Sprintf("%.1f %s<%s", float64(l.From)/1e6, l.Short, l.After))
	}
	if got, want := strings.Join(leads, " "), "2.0 redis-0< 30.1 < 30.4 redis-1<"+server(0)+" 45.0 redis-0<"+server(1); got != want {
		t.Errorf("who led is drawn as\n%s, want\n%s", got, want)
	}
	assertMembers(t, d)
	assertHandovers(t, d, h)
}

func assertMembers(t *testing.T, d drawnStore) {
	t.Helper()
	var health []string
	for _, s := range d.Health {
		health = append(health, fmt.Sprintf("%.0f:%d/%d%s", float64(s.From)/1e6, s.UpToDate, s.Of, s.Error))
	}
	if got, want := strings.Join(health, " "), "2:3/3 22:2/3 26:3/3 30:0/3no sentinel names a master 30:2/3 38:3/3"; got != want {
		t.Errorf("how many members were up to date is drawn as %s, want %s", got, want)
	}
	if len(d.Members) != 3 {
		t.Fatalf("members %+v", d.Members)
	}
	for i, led := range []int{2, 1, 0} {
		m := d.Members[i]
		if m.Name != fmt.Sprint("redis-", i) || len(m.Pods) != 2 || len(m.Led) != led {
			t.Errorf("member %d is drawn as %+v, want two pods, one after the other, and %d times as leader", i, m, led)
		}
	}
	lost := d.Members[1]
	if len(lost.Lost) != 20 || lost.LostBeyond != 14 || lost.Lost[0].At != 29_661_000 {
		t.Errorf("redis-1 lost %d writes and %d more, the first at %v", len(lost.Lost), lost.LostBeyond, lost.Lost)
	}
}

// assertHandovers holds the hand-overs that are drawn against those that judges count.
func assertHandovers(t *testing.T, d drawnStore, h *history.History) {
	t.Helper()
	record, err := timeline.Read(h)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range d.Leads {
		if l.After != "" {
			n++
		}
	}
	if want := len(record.Ledger("redis").Elections()); n != want || want != 2 {
		t.Errorf("%d hand-overs are drawn, judges count %d, want 2", n, want)
	}
}

// A store that says something else all the time, and one that writes seldom, are bounded and drawn for what they are.
func TestCrowdsOfViewsAreBounded(t *testing.T) {
	s := newStoreSample()
	s.views = nil
	for i := range 2000 {
		s.views = append(s.views, history.View{At: time.Duration(i+1) * 20 * ms, Leader: server(i % 2)})
	}
	d := drawStores(t, aggregate(t, recordStore(t, s, false)))[0]
	if len(d.Leads) != 300 || len(d.Health) != 1 {
		t.Errorf("%d stretches of leaders and %d of health are drawn", len(d.Leads), len(d.Health))
	}
	slow := newStoreSample()
	slow.event.Rate = 2 // the gaps of the sample are but pauses then
	if d := drawStores(t, aggregate(t, recordStore(t, slow, false)))[0]; len(d.Gaps) != 0 || d.GapsBeyond != 0 {
		t.Errorf("at two writes a second %v are drawn as gaps", d.Gaps)
	}
}

func TestHTMLOfStores(t *testing.T) {
	about := []string{`id="h-latency"`, `id="h-load"`, "<dt>requests</dt>", "<dt>rate</dt>", "on the failed hits", "latencies are", "request"}
	for name, c := range storeCases() {
		t.Run(name, func(t *testing.T) {
			var s *storeSample
			if c.sample != nil {
				s = c.sample()
			}
			page := render(t, recordStore(t, s, c.loaded), c.result)
			text, _, _ := strings.Cut(page, `<script type="application/json"`)
			text = regexp.MustCompile(`(?s)<style>.*?</style>`).ReplaceAllString(text, "")
			for _, phrase := range about {
				if strings.Contains(text, phrase) != c.loaded {
					t.Errorf("the page holds %q: %v, with load: %v", phrase, !c.loaded, c.loaded)
				}
			}
			want := []string{"What was written", "5 792 of 5 800", "longest gap", "412 ms", "hand-overs", "5 792 writes"}
			want = append(want, map[string][]string{
				"fail":         {"34 of 5 792 writes", "Acknowledged, and not on redis-1", `href="#at%3d29.661000"`, "redis-w-2766", "redis-w-2785", "and 14 writes more"},
				"effects":      {"effects of messages", "delivered again", ">7</td>", ">12</td>", `num missing" data-label="backlog">3</td>`, "with others at work", ">240</td>", ">2 992</td>"},
				"inconclusive": {"not read back: it does not answer", "<dd>not known</dd>"},
			}[name]...)
			for _, phrase := range want {
				if !strings.Contains(text, phrase) {
					t.Errorf("the page does not say %q", phrase)
				}
			}
			if name == "fail" && strings.Contains(text, "redis-w-2786") {
				t.Error("more than 20 losses are listed")
			}
			if lost := strings.Contains(text, `class="losses"`); lost != (name == "fail") {
				t.Errorf("losses are listed: %v", lost)
			}
		})
	}
}

func TestHTMLEscapesLedgers(t *testing.T) {
	page := render(t, recordStore(t, newStoreSample().hostile(), false), storeCases()["fail"].result)
	for _, raw := range []string{"<img", "</script><script>window", "onerror=window.pwned=1>"} {
		if strings.Contains(page, raw) {
			t.Errorf("the page holds %q as it was recorded", raw)
		}
	}
	if !strings.Contains(page, "is not whole: &lt;/script&gt;") || !strings.Contains(page, "not read back: &lt;/script&gt;") {
		t.Error("the page does not tell the hostile texts: the test proves nothing")
	}
}

// The views that are no page tell of no request either.
func TestJUnitOfStoresTellsOfNoRequests(t *testing.T) {
	var buf bytes.Buffer
	c := storeCases()["fail"]
	if err := reports.JUnit(&buf, c.timeline(t), c.result, sampleDir); err != nil {
		t.Fatal(err)
	}
	assertSchema(t, buf.Bytes())
	if text := buf.String(); strings.Contains(text, "request") || !strings.Contains(text, "were lost on redis-1") {
		t.Errorf("JUnit says\n%s", text)
	}
}

// The sample is what the tests above take it for.
func TestRunsOfTheSampleSayWhetherTheyHaveLoad(t *testing.T) {
	if storeRun(true).WithoutLoad() || !storeRun(false).WithoutLoad() {
		t.Error("the sample does not say whether it has load")
	}
}
