package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/probe"
)

func TestDefaultsOfAPlan(t *testing.T) {
	empty := Plan{}.withDefaults()
	if empty.Deadline != 5*time.Second || empty.Grace != 5*time.Second || empty.IdleTimeout != 15*time.Second || empty.VersionHeader != DefaultVersionHeader || empty.PodHeader != DefaultPodHeader {
		t.Errorf("a plan that says nothing is %+v", empty)
	}
	said := Plan{Deadline: 1, Grace: 2, IdleTimeout: 3, VersionHeader: "V", PodHeader: "P"}.withDefaults()
	if said.Deadline != 1 || said.Grace != 2 || said.IdleTimeout != 3 || said.VersionHeader != "V" || said.PodHeader != "P" {
		t.Errorf("what a plan says is changed to %+v", said)
	}
	if got := (Plan{Deadline: 7}).withDefaults(); got.Grace != 7 {
		t.Errorf("the grace is %d, want the deadline", got.Grace)
	}
}

func TestPlansAtTheirBounds(t *testing.T) {
	arm := Arm{Name: "get", Method: "GET", Targets: []string{"http://h"}}
	control := Arm{Name: "control", Method: "GET", Targets: []string{"http://h"}, Control: true}
	named := func(name string) Arm { a := arm; a.Name = name; return a }
	for name, c := range map[string]struct {
		plan Plan
		arms []Arm
		good bool
	}{
		"plain":                    {Plan{Pacing: Constant{1}}, []Arm{arm}, true},
		"no pacing":                {Plan{}, []Arm{arm}, false},
		"a wrong pacing":           {Plan{Pacing: Constant{0}}, []Arm{arm}, false},
		"a negative length":        {Plan{Pacing: Constant{1}, Length: -1}, []Arm{arm}, false},
		"a negative deadline":      {Plan{Pacing: Constant{1}, Deadline: -1}, []Arm{arm}, false},
		"a negative grace":         {Plan{Pacing: Constant{1}, Grace: -1}, []Arm{arm}, false},
		"a negative idle time":     {Plan{Pacing: Constant{1}, IdleTimeout: -1}, []Arm{arm}, false},
		"a hundred years":          {Plan{Pacing: Constant{1e-9}, Length: never}, []Arm{arm}, true},
		"more than that":           {Plan{Pacing: Constant{1e-9}, Length: never + 1}, []Arm{arm}, false},
		"a recording without one":  {Plan{Pacing: Recorded{}}, []Arm{arm}, false},
		"no arm":                   {Plan{Pacing: Constant{1}}, nil, false},
		"a control arm alone":      {Plan{Pacing: Constant{1}}, []Arm{control}, false},
		"with a control arm":       {Plan{Pacing: Constant{1}}, []Arm{arm, control}, true},
		"two of one name":          {Plan{Pacing: Constant{1}}, []Arm{arm, arm}, false},
		"no target":                {Plan{Pacing: Constant{1}}, []Arm{{Name: "get", Method: "GET"}}, false},
		"a wrong target":           {Plan{Pacing: Constant{1}}, []Arm{{Name: "get", Method: "GET", Targets: []string{"http://h", "h"}}}, false},
		"a name of 41 letters":     {Plan{Pacing: Constant{1}}, []Arm{named(strings.Repeat("a", 41))}, true},
		"a name of 42 letters":     {Plan{Pacing: Constant{1}}, []Arm{named(strings.Repeat("a", 42))}, false},
		"a name with a dot":        {Plan{Pacing: Constant{1}}, []Arm{named("a.b")}, false},
		"a control arm of no rate": {Plan{Pacing: Saturate{}}, []Arm{arm, control}, false},
		"a path arm beside that":   {Plan{Pacing: Saturate{}}, []Arm{arm, PathArm("http://h", Path{})}, true},
	} {
		if err := c.plan.Check(c.arms); (err == nil) != c.good {
			t.Errorf("%s: %v, want good = %v", name, err, c.good)
		}
	}
}

// dealt says what each arm does: how many hits are planned, at which rate and peak, for how long, and the moments of its first two.
func dealt(t *testing.T, plan Plan, arms []Arm) []string {
	t.Helper()
	plans, err := plan.withDefaults().deal(arms)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range plans {
		text := fmt.Sprintf("%s %d at %.4g/s, %.4g/s at most, %s:", p.arm.Name, p.planned, p.rate, p.peak, p.length)
		if p.endless {
			text = "endless " + text
		}
		for range 2 {
			switch at, r, err := p.schedule.next(); err {
			case nil:
				text += fmt.Sprintf(" %s %s %s", at.Round(time.Microsecond), r.method, r.url.Path)
			case io.EOF:
				text += " end"
			default:
				t.Fatal(err)
			}
		}
		all = append(all, text)
	}
	if err := closeAll(plans); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatEachArmIsDealt(t *testing.T) {
	day, err := OpenTraffic(writeFile(t, `{"offset":"0s","method":"GET","path":"/0"}
{"offset":"10ms","method":"GET","path":"/1"}
{"offset":"20ms","method":"POST","path":"/2"}
{"offset":"40ms","method":"GET","path":"/3"}
`))
	if err != nil {
		t.Fatal(err)
	}
	moment, err := OpenTraffic(writeFile(t, `{"offset":"0s","method":"GET","path":"/0"}`+"\n"+`{"offset":"0s","method":"GET","path":"/1"}`+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	const s = time.Second
	all := arms(t, "http://h", "get", "control", "post")
	reads := arms(t, "http://h", "get", "get-close")
	for name, c := range map[string]struct {
		plan Plan
		arms []Arm
		want []string
	}{
		"constant": {Plan{Pacing: Constant{10}, Length: 2 * s}, all, []string{
			"get 10 at 5/s, 5/s at most, 2s: 0s GET  200ms GET ", "control 10 at 5/s, 5/s at most, 2s: 100ms GET  300ms GET ", "post 10 at 5/s, 5/s at most, 2s: 100ms POST  300ms POST "}},
		"constant, endless": {Plan{Pacing: Constant{10}}, all, []string{
			"endless get 0 at 5/s, 5/s at most, 0s: 0s GET  200ms GET ", "endless control 0 at 5/s, 5/s at most, 0s: 100ms GET  300ms GET ", "endless post 0 at 5/s, 5/s at most, 0s: 100ms POST  300ms POST "}},
		"ramp": {Plan{Pacing: Ramp{From: 40, To: 10, Over: 2 * s}, Length: 2 * s}, all, []string{
			"get 25 at 12.5/s, 20/s at most, 2s: 0s GET  50.478ms GET ", "control 25 at 12.5/s, 12.5/s at most, 2s: 40ms GET  120ms GET ", "post 25 at 12.5/s, 20/s at most, 2s: 25.118ms POST  76.085ms POST "}},
		"ramp, endless": {Plan{Pacing: Ramp{From: 10, To: 40, Over: 2 * s}}, reads, []string{
			"endless get 0 at 20/s, 20/s at most, 0s: 0s GET  176.607ms GET ", "endless get-close 0 at 20/s, 20/s at most, 0s: 93.45ms GET  252.27ms GET "}},
		"saturating": {Plan{Pacing: Saturate{}, Length: time.Hour}, reads, []string{
			"endless get 0 at 0/s, 0/s at most, 1h0m0s: 0s GET  0s GET ", "endless get-close 0 at 0/s, 0/s at most, 1h0m0s: 0s GET  0s GET "}},
		"recorded": {Plan{Pacing: Recorded{Speed: 2}, Traffic: day}, all, []string{
			"get 3 at 150/s, 1500/s at most, 20ms: 0s GET /0 5ms GET /1", "control 2 at 75/s, 75/s at most, 20ms: 6.667ms GET  20ms GET ", "post 1 at 50/s, 500/s at most, 20ms: 10ms POST /2 end"}},
		"recorded, cut": {Plan{Pacing: Recorded{}, Traffic: day, Length: 10 * time.Millisecond}, reads, []string{
			"get 1 at 100/s, 1000/s at most, 10ms: 0s GET /0 end", "get-close 0 at 37.5/s, 375/s at most, 10ms: end end"}},
		"recorded, cut, with all arms": {Plan{Pacing: Recorded{}, Traffic: day, Length: 30 * time.Millisecond}, all, []string{
			"get 2 at 66.67/s, 666.7/s at most, 30ms: 0s GET /0 10ms GET /1", "control 1 at 37.5/s, 37.5/s at most, 30ms: 13.333ms GET  end", "post 1 at 33.33/s, 333.3/s at most, 30ms: 20ms POST /2 end"}},
		"recorded, in a loop": {Plan{Pacing: Recorded{Loop: true}, Traffic: day}, reads, []string{
			"endless get 0 at 37.5/s, 375/s at most, 0s: 0s GET /0 40ms GET /3", "endless get-close 0 at 37.5/s, 375/s at most, 0s: 10ms GET /1 63.333ms GET /1"}},
		"of one moment": {Plan{Pacing: Recorded{}, Traffic: moment}, reads, []string{
			"get 1 at 0/s, 0/s at most, 0s: 0s GET /0 end", "get-close 1 at 0/s, 0/s at most, 0s: 0s GET /1 end"}},
		"entries at a rate": {Plan{Pacing: Constant{10}, Traffic: day, Length: s}, reads, []string{
			"get 5 at 5/s, 5/s at most, 1s: 0s GET /0 200ms GET /3", "get-close 5 at 5/s, 5/s at most, 1s: 100ms GET /1 300ms GET /1"}},
		"entries of one moment at a rate": {Plan{Pacing: Constant{10}, Traffic: moment, Length: s}, reads, []string{
			"get 5 at 5/s, 5/s at most, 1s: 0s GET /0 200ms GET /0", "get-close 5 at 5/s, 5/s at most, 1s: 100ms GET /1 300ms GET /1"}},
	} {
		if got := dealt(t, c.plan, c.arms); strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestWorkersOfAnArm(t *testing.T) {
	for _, c := range []struct {
		plan Plan
		peak float64
		want uint64
	}{
		{Plan{Deadline: time.Second}, 0, 32}, {Plan{Deadline: time.Second}, 25, 32}, {Plan{Deadline: time.Second}, 100, 121}, {Plan{Deadline: 2 * time.Second}, 100, 241},
		{Plan{Deadline: time.Second}, 1e6, 8000}, {Plan{Deadline: time.Second, MaxWorkers: 1}, 100, 1}, {Plan{Deadline: time.Second, MaxWorkers: 9000}, 100, 9000},
	} {
		if got := c.plan.workers(c.peak); got != c.want {
			t.Errorf("%d workers for %g/s in %s, want %d", got, c.peak, c.plan.Deadline, c.want)
		}
	}
}

func TestSchedulesEndWithTheirWindow(t *testing.T) {
	one := &fixedSource{requests: []*request{{}}}
	for name, c := range map[string]struct {
		schedule schedule
		want     int
	}{
		"a formula whose next hit is due at the end": {&formula{pacing: Constant{10}, share: share{0, 1}, length: 300 * time.Millisecond, requests: one}, 3},
		"a formula whose last hit is just before":    {&formula{pacing: Constant{10}, share: share{0, 1}, length: 300*time.Millisecond + 1, requests: one}, 4},
		"a flood that is over":                       {&flood{requests: one, until: time.Minute, began: time.Now().Add(-2 * time.Minute)}, 0},
		"a flood that is not":                        {&flood{requests: one, until: time.Hour, began: time.Now()}, 9},
		"a flood that has just begun":                {&flood{requests: one, until: time.Hour}, 9},
		"a flood without an end":                     {&flood{requests: one, began: time.Now().Add(-time.Hour)}, 9},
	} {
		n := 0
		for n < 9 {
			if _, _, err := c.schedule.next(); err != nil {
				break
			}
			n++
		}
		if n != c.want {
			t.Errorf("%s yields %d hits, want %d", name, n, c.want)
		}
	}
}

func TestTargetsAreHitInTurn(t *testing.T) {
	arm := Arm{Name: "get", Method: "GET", Targets: []string{"http://a", "http://b", "http://u:p@c"}, Header: http.Header{"X": {"y"}}}
	s, err := newFixedSource(arm, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for range 4 {
		_, r, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		got += r.text + r.header.Get("Authorization") + " "
	}
	if want := "http://a http://b http://cBasic dTpw http://a "; got != want {
		t.Errorf("hit %s, want %s", got, want)
	}
	got = ""
	file := &trafficSource{traffic: &Traffic{}, targets: []base{{text: "http://a"}, {text: "http://b"}, {text: "http://c", auth: "x"}}, urls: map[string]*url.URL{}}
	for range 4 {
		r, err := file.request(&Entry{Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		got += r.text + r.header.Get("Authorization") + " "
	}
	if want := "http://a/ http://b/ http://c/x http://a/ "; got != want {
		t.Errorf("with a file hit %s, want %s", got, want)
	}
}

// A file that is cut while it is replayed in a loop is an error, and no load without an end that sends nothing.
func TestALoopOverAFileThatLostItsRequests(t *testing.T) {
	file := writeFile(t, `{"offset":"0s","method":"GET","path":"/0"}`+"\n"+`{"offset":"9ms","method":"GET","path":"/1"}`+"\n")
	traffic, err := OpenTraffic(file)
	if err != nil {
		t.Fatal(err)
	}
	arm := arms(t, "http://h", "get", "post")
	for _, c := range []struct {
		arm   Arm
		first uint64
		good  bool
	}{{arm[0], 0, true}, {arm[0], 1, true}, {arm[0], 2, false}, {arm[1], 0, false}} {
		s, err := newTrafficSource(traffic, c.arm, nil, share{c.first, 3}, true)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, _, err = s.next()
		}
		if (err == nil) != c.good {
			t.Errorf("arm %s, the %d-th of 3: %v, want good = %v", c.arm.Name, c.first, err, c.good)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

// However many paths a file holds, few parsed URLs are kept.
func TestMemoryOfURLsIsBounded(t *testing.T) {
	s := &trafficSource{traffic: &Traffic{}, targets: []base{{text: "http://h"}}, urls: map[string]*url.URL{}}
	for i := range maxURLs {
		if _, err := s.request(&Entry{Path: fmt.Sprint("/", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.urls) != maxURLs {
		t.Errorf("%d URLs are kept of %d, want all", len(s.urls), maxURLs)
	}
	if r, err := s.request(&Entry{Path: "/more"}); err != nil || r.url.Path != "/more" || len(s.urls) != 1 {
		t.Errorf("%d URLs are kept after one too many, %v", len(s.urls), err)
	}
	if r, err := s.request(&Entry{Path: "/more"}); err != nil || r.url != s.urls["http://h/more"] {
		t.Errorf("a URL that is known is parsed again: %v", err)
	}
}

// A target is reached once, at its port or at that of its scheme, and an error says which one was not.
func TestTargetsAreReachedBeforeTheLoad(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	shut, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := shut.Addr().String()
	shut.Close()
	good := Arm{Name: "get", Targets: []string{"http://" + l.Addr().String() + "/a", "http://" + l.Addr().String() + "/b"}}
	if err := Reach(t.Context(), []Arm{good}); err != nil {
		t.Errorf("a server that is up: %v", err)
	}
	for _, target := range []string{"http://" + dead, "no URL"} {
		if err := Reach(t.Context(), []Arm{good, {Name: "post", Targets: []string{target}}}); err == nil {
			t.Errorf("%s is reached", target)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Reach(cancelled, []Arm{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever cancels is told %v", err)
	}
}

func TestCommandLinesAtTheirBounds(t *testing.T) {
	for name, c := range map[string]struct{ args, want []string }{
		"a header torn twice":        {[]string{"--header", "A:", "secret", "--loop", "day"}, []string{"--header", "A: redacted", "redacted", "--loop", "day"}},
		"a header that was whole":    {[]string{"--header", "A: secret", "day"}, []string{"--header", "A: redacted", "day"}},
		"assigned and whole":         {[]string{"--header=A: secret", "day"}, []string{"--header=A: redacted", "day"}},
		"a flag that takes no value": {[]string{"--loop", "--out", "day"}, []string{"--loop", "--out", "day"}},
		"a lone -H":                  {[]string{"-H", "A: secret"}, []string{"-H", "A: redacted"}},
		"-H with a sign":             {[]string{"-H=A: secret", "day"}, []string{"-HA: redacted", "day"}},
		"a flag with a slash":        {[]string{"-a/b=http://u:secret@h"}, []string{"-a/b=http://redacted@h"}},
		"what is no flag":            {[]string{"H", "a: b", "header", "a: b"}, []string{"H", "a: b", "header", "a: b"}},
		"another flag that ends so":  {[]string{"--out=dir:", "day", "--out", "dir:", "day"}, []string{"--out=dir:", "day", "--out", "dir:", "day"}},
		"an @ without a scheme":      {[]string{"--target", "secret@h", "--out", "me@h"}, []string{"--target", "redacted@h", "--out", "me@h"}},
		"a password alone":           {[]string{"u:secret@h"}, []string{"redacted@h"}},
	} {
		line := ReadCommandLine(c.args)
		got := strings.Join(line.Args, "|")
		if name == "-H with a sign" { // how it is shown does not matter: that it is not told does
			if strings.Contains(got, "secret") || line.IsOpen() {
				t.Errorf("%s: %s", name, got)
			}
			continue
		}
		if got != strings.Join(c.want, "|") {
			t.Errorf("%s: got %q, want %q", name, line.Args, c.want)
		}
	}
	for text, want := range map[string]bool{"http://u:p@h": true, "u:p@h": false, "h": false, "Authorization: x": true, "X-Api-Key: x": true, "Accept: x": false, "http://auth:80": false} {
		if got := HoldsSecret(text); got != want {
			t.Errorf("%q holds a secret: %v, want %v", text, got, want)
		}
	}
	// A secret of less than six bytes is taken out only where it stands quoted, a longer one wherever it stands.
	for length, want := range map[int]bool{minSecret - 1: false, minSecret: true} {
		word := strings.Repeat("z", length)
		line := ReadCommandLine([]string{"--header", word})
		if got := !strings.Contains(line.Redact("in a text "+word+" of words"), word); got != want {
			t.Errorf("a secret of %d bytes is taken out of a text: %v, want %v", length, got, want)
		}
		if got := line.Redact(fmt.Sprintf("%q", word)); strings.Contains(got, word) {
			t.Errorf("a secret of %d bytes is repeated in quotes: %s", length, got)
		}
	}
	for arg, part := range map[string]string{"Authorization: Bearer secret-token": "secret-token", "http://u:p%61ssword@h": "p%61ssword", "http://u:p%61ssphrase@h": "passphrase"} {
		if got := ReadCommandLine([]string{arg}).Redact("it says " + part + " alone"); strings.Contains(got, part) {
			t.Errorf("of %s a part is repeated in %q", arg, got)
		}
	}
	open := ReadCommandLine([]string{"attack"})
	if w := open.Writer(io.Discard); w != io.Discard {
		t.Error("a command line without a secret is looked for in what is written")
	}
	secret := ReadCommandLine([]string{"--header", "A: secret-value"})
	if w, ok := secret.Writer(io.Discard).(interface{ Unwrap() io.Writer }); !ok || w.Unwrap() != io.Discard {
		t.Error("what is written to in the end is not told")
	}
}

// Of hits that were never sent as many are recorded one by one as the bound says, and all are counted.
func TestHitsThatWereNeverSent(t *testing.T) {
	r := record(t)
	g, err := New(r.rec, arms(t, "http://127.0.0.1", "get"))
	if err != nil {
		t.Fatal(err)
	}
	a := &attack{window: &Window{gen: g}, state: g.arms[0], index: 1, unsent: maxUnsent - 2}
	for seq := range uint64(4) {
		a.giveUp(intent{seq: seq, request: &request{method: http.MethodGet}}, 5)
	}
	if err := r.rec.Close(history.EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	if hits := r.hits()["get"]; len(hits) != 2 || hits[0].Seq != 0 || hits[1].Seq != 1 || !hits[1].Unsent {
		t.Errorf("beyond %d hits %+v are recorded, want the next two", maxUnsent-2, hits)
	}
	if got := g.Status()[0].Unsent; got != 4 || a.unsent != maxUnsent+2 {
		t.Errorf("%d are counted, and %d of the window", got, a.unsent)
	}
}

// What was due before a stop is sent after it where the stop is the end, and not where a worker that is free makes the next hit due.
func TestWhatGoesOnToItsStop(t *testing.T) {
	for plan, want := range map[[2]bool]bool{{false, false}: false, {false, true}: false, {true, false}: true, {true, true}: false} {
		a := &attack{plan: armPlan{endless: plan[0], saturating: plan[1]}}
		if got := a.goesOnToItsStop(); got != want {
			t.Errorf("endless: %v, saturating: %v: it goes on: %v", plan[0], plan[1], got)
		}
	}
}

// What a probe tells is the sum over its arms, without those that nothing disturbs.
func TestTheStatusOfAProbe(t *testing.T) {
	g := &Generator{arms: []*armState{{}, {arm: Arm{Control: true}}, {}}}
	for i, n := range []uint64{1, 100, 2} {
		c := &g.arms[i].counts
		c.sent.Store(n * 10)
		c.failed.Store(n * 3)
		c.unsent.Store(n)
	}
	want := probe.Status{Unit: "hits", Sent: 30, Failed: 9, Unsent: 3}
	if got := (&atWork{Window: &Window{gen: g}}).Status(); got != want {
		t.Errorf("it tells %+v, want %+v", got, want)
	}
}
