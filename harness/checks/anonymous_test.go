package checks_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// identified is the clean run with answers that carry all that tells who gave them, and to which hit.
func identified() *recording {
	r := cleanRun()
	for _, hits := range r.hits {
		for i := range hits {
			hits[i].Digest, hits[i].Echoed = true, true
		}
	}
	return r
}

func (r *recording) withoutWorkload() *recording {
	for i := range r.windows {
		r.windows[i].Workload = history.Workload{}
	}
	return r
}

func anonymousAnswer(h *history.Hit) {
	h.Version, h.Pod, h.Digest, h.Echoed, h.BytesIn = "", "", false, false, 0
}

func TestAnAnswerWithoutWhatOthersCarryIsADrop(t *testing.T) {
	const second = time.Second
	last := testLength - 10*time.Millisecond
	marks := map[string]func(*history.Hit){
		"version":              func(h *history.Hit) { h.Version = "" },
		"pod":                  func(h *history.Hit) { h.Pod = "" },
		"digest":               func(h *history.Hit) { h.Digest = false },
		"echo of the hit's id": func(h *history.Hit) { h.Echoed = false },
	}
	for name, lose := range marks {
		for _, at := range []time.Duration{0, 5 * second, last} {
			for _, run := range []*recording{identified(), identified().withoutWorkload()} {
				lose(run.at("get", at))
				p := assertVerdict(t, run.judged(t), load.SlugDropped, judge.Fail)
				if p.Dropped != 1 || len(p.Findings) != 1 || !strings.Contains(p.Findings[0].Text, "with no "+name+",") || p.Findings[0].Hit == "" {
					t.Errorf("no %s at %s: %d dropped, found %+v", name, at, p.Dropped, p.Findings)
				}
			}
		}
	}
}

func TestAnonymousAnswers(t *testing.T) {
	ingress404 := func(h *history.Hit) { anonymousAnswer(h); h.Code = 404 } // which the traffic file expects
	cases := []struct {
		name    string
		spoil   func(*recording)
		want    judge.Verdict
		dropped uint64
		reason  string
	}{
		{"none", func(*recording) {}, judge.Pass, 0, "0 of 3 000"},
		{"every second, empty and with status 200", func(r *recording) {
			for _, arm := range []string{"get", "post", "post-close"} {
				for i := range r.hits[arm] {
					if i%2 == 1 {
						anonymousAnswer(&r.hits[arm][i])
					}
				}
			}
		}, judge.Fail, 1500, "1 500 of 3 000 hits dropped"},
		{"all but the last", func(r *recording) {
			for i := range len(r.hits["get"]) - 1 {
				anonymousAnswer(&r.hits["get"][i])
			}
		}, judge.Fail, 999, "999 of"},
		{"an expected status that the ingress made", func(r *recording) { ingress404(r.at("get", time.Second)) }, judge.Fail, 1, "1 of"},
		{"correct answers never carry what failed ones do", func(r *recording) {
			for i := range r.hits["get"] {
				anonymousAnswer(&r.hits["get"][i])
			}
			status503(r.at("get", time.Second), "v1")
		}, judge.Fail, 1000, "1 000 of"},
		{"an arm whose answers never carry it", func(r *recording) {
			for i := range r.hits["post-close"] {
				anonymousAnswer(&r.hits["post-close"][i])
			}
		}, judge.Fail, 1000, "1 000 of 3 000"},
		{"no arm of the workload carries it", func(r *recording) {
			for _, arm := range []string{"get", "post", "post-close"} {
				for i := range r.hits[arm] {
					anonymousAnswer(&r.hits[arm][i])
				}
			}
		}, judge.Pass, 0, "0 of 3 000"},
		{"answers without a body have no digest", func(r *recording) {
			r.at("get", time.Second).Method, r.at("get", time.Second).Digest = "HEAD", false
			r.at("get", 2*time.Second).Code, r.at("get", 2*time.Second).Digest = 204, false
			r.at("get", 3*time.Second).Code, r.at("get", 3*time.Second).Digest = 304, false
		}, judge.Pass, 0, ""},
		{"one without a body still says who answered", func(r *recording) {
			r.at("get", time.Second).Method = "HEAD"
			anonymousAnswer(r.at("get", time.Second))
		}, judge.Fail, 1, ""},
		{"a lost answer carries nothing, and is one drop", func(r *recording) {
			reset(r.at("get", time.Second))
			r.at("get", time.Second).Digest, r.at("get", time.Second).Echoed = false, false
		}, judge.Fail, 1, ""},
		{"of the control arm", func(r *recording) { anonymousAnswer(r.at("control", time.Second)) }, judge.Inconclusive, 0, "the control arm"},
		{"bytes after an answer", func(r *recording) { r.window("get").Late = 3 }, judge.Fail, 3, "3 of"},
		{"bytes after an answer of the control arm", func(r *recording) { r.window("control").Late = 3 }, judge.Inconclusive, 0, "the control arm"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := identified()
			c.spoil(r)
			p := assertVerdict(t, r.judged(t), load.SlugDropped, c.want)
			if p.Dropped != c.dropped || !strings.Contains(p.Reason, c.reason) {
				t.Errorf("%d dropped, want %d; reason %q, want it to tell %q", p.Dropped, c.dropped, p.Reason, c.reason)
			}
			if c.want != judge.Pass && len(p.Findings) == 0 {
				t.Error("nothing was found")
			}
		})
	}
}

// Several servers may stand behind one address, of which one tells who it is: nobody said that one workload answers.
func TestWhatAnswersCarryIsAskedOfARouteWhereNoWorkloadIsNamed(t *testing.T) {
	run := func(withWorkload bool) *recording {
		r := identified()
		if !withWorkload {
			r.withoutWorkload()
		}
		for i := range r.hits["get"] {
			h := &r.hits["get"][i]
			if h.Route = "page"; i%2 == 1 {
				h.Route = "file"
				anonymousAnswer(h)
			}
		}
		return r
	}
	assertVerdict(t, run(false).judged(t), load.SlugDropped, judge.Pass)
	if p := assertVerdict(t, run(true).judged(t), load.SlugDropped, judge.Fail); p.Dropped != 500 {
		t.Errorf("%d dropped of one workload's answers, want 500", p.Dropped)
	}
	mixed := run(false)
	anonymousAnswer(&mixed.hits["get"][4])
	p := assertVerdict(t, mixed.judged(t), load.SlugDropped, judge.Fail)
	for _, route := range p.Routes {
		if want := map[bool]judge.Verdict{true: judge.Fail, false: judge.Pass}[route.Name == "page"]; route.Verdict != want {
			t.Errorf("route %s is %s, want %s", route.Name, route.Verdict, want)
		}
	}
	if p.Dropped != 1 || len(p.Routes) < 3 {
		t.Errorf("%d dropped, of routes %+v", p.Dropped, p.Routes)
	}
}

// Whoever answers new connections only is seen by no arm with keep-alive.
func TestWhatAnswersCarryIsAskedOfARouteInEveryArm(t *testing.T) {
	r := identified().withoutWorkload()
	for i := range r.hits["post"] {
		r.hits["post"][i].Route, r.hits["post-close"][i].Route = "buy", "buy"
		anonymousAnswer(&r.hits["post-close"][i])
	}
	if p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Fail); p.Dropped != 1000 {
		t.Errorf("%d dropped, want all 1000 of one arm", p.Dropped)
	}
}

// The answers of a workload tell its version and its pod, in whichever arm and route they come. What a digest is of, and whether the id of a hit is
// repeated, belongs to what was asked for.
func TestWhatAnswersCarryIsAskedOfAWorkloadInEveryArm(t *testing.T) {
	other := func(r *recording, arm string, workload history.Workload, marks func(*history.Hit)) {
		r.window(arm).Workload = workload
		for i := range r.hits[arm] {
			r.hits[arm][i].Route = "of " + arm
			marks(&r.hits[arm][i])
		}
	}
	cases := map[string]struct {
		workload history.Workload
		lose     func(*history.Hit)
		dropped  uint64
	}{
		"no version":                         {testApp, func(h *history.Hit) { h.Version = "" }, 1000},
		"no pod":                             {testApp, func(h *history.Hit) { h.Pod = "" }, 1000},
		"no digest":                          {testApp, func(h *history.Hit) { h.Digest = false }, 0},
		"no echo":                            {testApp, func(h *history.Hit) { h.Echoed = false }, 0},
		"nothing, of another workload":       {page, anonymousAnswer, 0},
		"nothing, of nobody said whose":      {history.Workload{}, anonymousAnswer, 0},
		"nothing, of its name in another":    {history.Workload{Namespace: "x", Kind: testApp.Kind, Name: testApp.Name}, anonymousAnswer, 0},
		"nothing, of its name, another kind": {history.Workload{Namespace: testApp.Namespace, Kind: "Deployment", Name: testApp.Name}, anonymousAnswer, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := identified()
			other(r, "post-close", c.workload, c.lose)
			want := judge.Pass
			if c.dropped > 0 {
				want = judge.Fail
			}
			if p := assertVerdict(t, r.judged(t), load.SlugDropped, want); p.Dropped != c.dropped {
				t.Errorf("%d dropped, want %d", p.Dropped, c.dropped)
			}
		})
	}
}

// A route of a workload is held to what it carries in another arm, digests too.
func TestADigestIsAskedOfARouteOfAWorkloadInEveryArm(t *testing.T) {
	r := identified()
	for i := range r.hits["post-close"] {
		r.hits["post-close"][i].Digest = false
	}
	if p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Fail); p.Dropped != 1000 {
		t.Errorf("%d dropped, want all 1000 of one arm", p.Dropped)
	}
}

// Beyond the routes that are known one by one, the answers of a workload are held to what the arm carries, and those of nobody knows whom are not.
func TestWhatAnswersCarryBeyondTheRoutesThatAreKnown(t *testing.T) {
	for name, c := range map[string]struct {
		workload history.Workload
		dropped  uint64
	}{"of a workload": {testApp, 1}, "of nobody said whose": {history.Workload{}, 0}} {
		r := identified()
		r.window("get").Workload = c.workload
		r.addRoutes("get", 1<<10+20)
		anonymousAnswer(&r.hits["get"][len(r.hits["get"])-1])
		want := map[bool]judge.Verdict{true: judge.Fail, false: judge.Pass}[c.dropped > 0]
		if p := assertVerdict(t, r.judged(t), load.SlugDropped, want); p.Dropped != c.dropped {
			t.Errorf("%s: %d dropped, want %d", name, p.Dropped, c.dropped)
		}
	}
}

// addRoutes makes an arm one of so many routes, each hit once.
func (r *recording) addRoutes(arm string, routes int) {
	w := r.window(arm)
	w.Planned, w.Rate = uint64(routes), float64(routes)/testLength.Seconds()
	first := r.hits[arm][0]
	r.hits[arm] = nil
	for i := range routes {
		h := first
		h.Seq, h.Route = uint64(i), fmt.Sprintf("page %d", i)
		h.Intended = testLength * time.Duration(i) / time.Duration(routes)
		h.At = h.Intended + time.Millisecond
		r.hits[arm] = append(r.hits[arm], h)
	}
}

// Routes that are counted together, because there are many, are not held to one another.
func TestWhatAnswersCarryIsAskedOfEachOfManyRoutes(t *testing.T) {
	run := func() *recording {
		r := identified().withoutWorkload()
		for i := range r.hits["get"] {
			h := &r.hits["get"][i]
			if h.Route = fmt.Sprintf("page %d", i%200); i%2 == 1 {
				anonymousAnswer(h)
			}
		}
		return r
	}
	assertVerdict(t, run().judged(t), load.SlugDropped, judge.Pass)
	mixed := run()
	anonymousAnswer(&mixed.hits["get"][198])
	if p := assertVerdict(t, mixed.judged(t), load.SlugDropped, judge.Fail); p.Dropped != 1 {
		t.Errorf("%d dropped, want the one", p.Dropped)
	}
}

func TestAPassNamesWhatWasMasked(t *testing.T) {
	r := cleanRun()
	for i := range 7 {
		r.hits["get"][i].Masked = 1
	}
	r.hits["post"][0].Masked = 2
	p := assertVerdict(t, r.judged(t), load.SlugDropped, judge.Pass)
	want := "8 hits were answered only because Go's transport sent them again (arm get: 7, arm post: 1)"
	if !strings.Contains(p.Reason, want) {
		t.Errorf("reason %q, want it to tell %q", p.Reason, want)
	}
	if len(p.Reservations) != 1 || p.Reservations[0] != want {
		t.Errorf("reservations %q, want %q alone", p.Reservations, want)
	}
	if p := promise(t, cleanRun().judged(t), load.SlugDropped); strings.Contains(p.Reason, "again") || len(p.Reservations) > 0 {
		t.Errorf("nothing was masked, and the reason is %q with reservations %q", p.Reason, p.Reservations)
	}
}
