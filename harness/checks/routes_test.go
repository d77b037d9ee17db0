package checks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks/load"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// routed is the clean run with its hits spread over paths in turn, in each arm alike.
func routed(paths ...string) *recording {
	r := cleanRun()
	for arm := range r.hits {
		for i := range r.hits[arm] {
			h := &r.hits[arm][i]
			h.URL = "http://127.0.0.1" + paths[i%len(paths)]
		}
	}
	return r
}

func routesIn(t *testing.T, r *recording) []judge.Route {
	t.Helper()
	return promise(t, r.judged(t), load.SlugDropped).Routes
}

func route(t *testing.T, routes []judge.Route, name string) judge.Route {
	t.Helper()
	i := slices.IndexFunc(routes, func(r judge.Route) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no route %q among %+v", name, routes)
	}
	return routes[i]
}

func TestOneBadRouteIsNamedAndTheOthersHold(t *testing.T) {
	r := routed("/items/17?page=2", "/items/18", "/health", "/users/0b4c1e0a-6a3c-4d7e-9f55-0a1b2c3d4e5f")
	bad := 0
	for _, h := range r.between("get", time.Second, 3*time.Second) {
		if strings.Contains(h.URL, "/items/") {
			h.Latency = 300 * time.Millisecond
			reset(h)
			bad++
		}
	}
	result := r.judged(t)
	if result.Verdict != judge.Fail {
		t.Errorf("the run is %s, want the worst of its routes", result.Verdict)
	}
	routes := promise(t, result, load.SlugDropped).Routes
	var names []string
	for _, route := range routes {
		names = append(names, fmt.Sprintf("%s %s %d/%d", route.Verdict, route.Name, route.Dropped, route.Sent))
	}
	want := []string{fmt.Sprintf("fail GET /items/{id} %d/1500", bad), "pass GET /health 0/750", "pass GET /users/{id} 0/750"}
	if !slices.Equal(names, want) || bad != 100 {
		t.Errorf("routes\n%s, want\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
	for _, route := range routes {
		l := route.Latency
		if l == nil || l.P50 < 4900*time.Microsecond || l.P50 > 5100*time.Microsecond || l.Max < l.P99 || l.Max > 6*time.Millisecond {
			t.Errorf("latency of %s is %+v: want 5ms, of correct answers only", route.Name, l)
		}
	}
	if health := route(t, routes, "GET /health"); health.MaxLossShare != 3.0/750 || !strings.Contains(health.Reason, "0 of 750 hits: at most 0.4 %") {
		t.Errorf("route %+v does not say what its zero is worth", health)
	}
}

func TestRoutesOfTargetsAndOfNames(t *testing.T) {
	if routes := routesIn(t, routed("/a")); routes != nil {
		t.Errorf("a run of one route names %+v", routes)
	}
	// Targets are told apart as they are; of paths below them, ids are not.
	r := routed("/a/1", "/a/2", "/b/1", "/b/2")
	for i := range r.windows {
		r.windows[i].Targets = []string{"http://127.0.0.1/a/1", "http://127.0.0.1/a/2", "http://127.0.0.1"}
	}
	var names []string
	for _, route := range routesIn(t, r) {
		names = append(names, route.Name)
	}
	if slices.Sort(names); strings.Join(names, ", ") != "GET /a/1, GET /a/2, GET /b/{id}" {
		t.Errorf("routes %q", names)
	}
	// Of several hosts each route names its own.
	r = routed("/a")
	for i := range r.windows {
		r.windows[i].Targets = []string{"http://127.0.0.1/a", "http://other:8080/a"}
	}
	for _, h := range r.between("get", 0, testLength) {
		h.URL = "http://other:8080/a"
	}
	routes := routesIn(t, r)
	if a, b := route(t, routes, "GET 127.0.0.1/a"), route(t, routes, "GET other:8080/a"); a.Sent != 2000 || b.Sent != 1000 {
		t.Errorf("routes %+v", routes)
	}
	// A name of the traffic file wins, also over equal paths.
	r = routed("/graphql")
	for i, h := range r.between("post", 0, testLength) {
		h.Route = []string{"query items", "mutation buy"}[i%2]
	}
	routes = routesIn(t, r)
	if route(t, routes, "mutation buy").Sent != 500 || route(t, routes, "query items").Sent != 500 || route(t, routes, "GET /graphql").Sent != 2000 {
		t.Errorf("routes %+v", routes)
	}
}

func TestARouteIsNoGreenerThanItsPromiseAndItsRecord(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*recording)
		want  judge.Verdict
	}{
		"clean":                      {func(*recording) {}, judge.Pass},
		"the record is cut short":    {func(r *recording) { r.abandon = true }, judge.Inconclusive},
		"the control arm failed too": {func(r *recording) { reset(r.at("control", time.Second)) }, judge.Inconclusive},
		"none of it was sent": {func(r *recording) {
			for _, h := range r.between("get", time.Second, 2*time.Second) {
				h.Unsent, h.Code, h.Class = true, 0, history.ClassHarness
			}
		}, judge.Inconclusive},
		"cut short, and another route failed": {func(r *recording) {
			r.abandon = true
			reset(r.at("get", time.Second+10*time.Millisecond))
		}, judge.Inconclusive},
		"another route failed": {func(r *recording) { reset(r.at("get", time.Second+10*time.Millisecond)) }, judge.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			r := routed("/a", "/b")
			c.spoil(r)
			if got := route(t, routesIn(t, r), "GET /a"); got.Verdict != c.want {
				t.Errorf("route %+v, want %s", got, c.want)
			}
		})
	}
}

// A route that was asked for a few times and never failed may fail one time in ten: that is no green. The run is judged by all hits.
func TestAFewHitsOfARouteSayNothing(t *testing.T) {
	r := routed("/a")
	for i, h := range r.between("get", 0, 590*time.Millisecond) {
		if h.URL = "http://127.0.0.1/seldom"; i < 29 {
			h.URL = "http://127.0.0.1/rare"
		}
	}
	result := r.judged(t)
	routes := promise(t, result, load.SlugDropped).Routes
	rare, seldom := route(t, routes, "GET /rare"), route(t, routes, "GET /seldom")
	if rare.Verdict != judge.Inconclusive || rare.MaxLossShare != 0 || seldom.Verdict != judge.Pass || seldom.MaxLossShare != 0.1 || result.Verdict != judge.Pass {
		t.Errorf("the run is %s, routes %+v, %+v", result.Verdict, rare, seldom)
	}
}

// Of a replay of thousands of paths, those that failed are told apart in any case: the bound takes the others.
func TestRoutesAreBounded(t *testing.T) {
	const most = 50 // that are told apart in a verdict
	var paths []string
	for i := range 100 {
		paths = append(paths, fmt.Sprintf("/page-%d", i))
	}
	r := routed(paths...)
	reset(r.at("get", 990*time.Millisecond))
	routes := routesIn(t, r)
	if len(routes) != most || routes[0].Name != "GET /page-99" || routes[0].Verdict != judge.Fail || routes[most-1].Name != "other routes" {
		t.Errorf("%d routes, the first %+v, the last %+v", len(routes), routes[0], routes[len(routes)-1])
	}
	var sent uint64
	for _, route := range routes {
		sent += route.Sent
	}
	if sent != 3000 {
		t.Errorf("routes add up to %d hits, want 3000", sent)
	}
}

// What was never sent says nothing: of 300 hits of which 190 were not, nothing in 110 is known.
func TestPowerCountsWhatWasSent(t *testing.T) {
	r := cleanRun()
	r.windows = r.windows[:1] // get alone
	r.hits = map[string][]history.Hit{"get": r.hits["get"][:300]}
	r.windows[0].Planned = 300
	for i := range r.hits["get"] {
		if h := &r.hits["get"][i]; i >= 110 {
			h.Unsent, h.Code, h.Class = true, 0, history.ClassHarness
		}
	}
	p := promise(t, r.judged(t), load.SlugDropped)
	if p.Power == nil || p.Power.Hits != 110 || !strings.Contains(p.Power.Text, "0 of 110 hits: at most 2.7 %") || p.Verdict != judge.Inconclusive {
		t.Errorf("%s, power %+v", p.Verdict, p.Power)
	}
}
