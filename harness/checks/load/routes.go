package load

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// Bounds of what is told of routes, so that neither memory nor verdict grow with the paths of a replay.
const (
	maxRoutes    = 50  // that are told apart in a verdict
	maxArmRoutes = 128 // that are counted apart in one arm
	maxRouteURLs = 1 << 14
	otherRoutes  = "other routes"

	maxIdentities = 1 << 10 // routes of an arm of which it is known what their answers carry
)

// armRoutes counts the hits of one arm by route.
type armRoutes struct {
	targets  map[string]bool // that are hit as they are; the paths of others come from a traffic file
	manyHost bool
	routes   map[string]*routeCounts
	// identities are of the answers of each route, by its name. They are more than routes: what is counted together must not be held to one
	// another.
	identities map[string]*identity
	known      map[routeKey]routed
	last       routeKey
	lastOf     routed
}

// routed is what a hit belongs to.
type routed struct {
	*routeCounts
	identity *identity // nil: there are too many routes to know
}

// routeKey is all that a route follows from.
type routeKey struct{ route, method, url string }

type routeCounts struct {
	judge.Route
	latencies *hdrhistogram.Histogram // in microseconds
	unreached unreached               // of Dropped
}

// newArmRoutes counts the routes of an arm. arms are all of the run: where they go to several hosts, a route names its own.
func newArmRoutes(arm *timeline.Arm, arms []*timeline.Arm) armRoutes {
	r := armRoutes{targets: map[string]bool{}, routes: map[string]*routeCounts{}, identities: map[string]*identity{}, known: map[routeKey]routed{}}
	for _, w := range arm.Windows {
		for _, target := range w.Targets {
			r.targets[target] = true
		}
	}
	hosts := map[string]bool{}
	for _, other := range arms {
		if other.Control {
			continue
		}
		for _, w := range other.Windows {
			for _, target := range w.Targets {
				if u, err := url.Parse(target); err == nil {
					hosts[u.Host] = true
				}
			}
		}
	}
	r.manyHost = len(hosts) > 1
	return r
}

// of is the route of a hit.
func (r *armRoutes) of(h *history.Hit) routed {
	key := routeKey{h.Route, h.Method, h.URL}
	if r.lastOf.routeCounts == nil || key != r.last {
		r.last, r.lastOf = key, r.find(key)
	}
	return r.lastOf
}

func (r *armRoutes) find(key routeKey) routed {
	if to, ok := r.known[key]; ok {
		return to
	}
	name := r.name(key)
	to := routed{r.counts(name), r.identity(name)}
	if len(r.known) >= maxRouteURLs {
		clear(r.known)
	}
	r.known[key] = to
	return to
}

// counts is where the hits of a route are counted.
func (r *armRoutes) counts(name string) *routeCounts {
	c, ok := r.routes[name]
	if !ok && len(r.routes) >= maxArmRoutes {
		name = otherRoutes
		c, ok = r.routes[name]
	}
	if !ok {
		c = &routeCounts{Route: judge.Route{Name: name}, latencies: newLatencies(), unreached: unreached{}}
		r.routes[name] = c
	}
	return c
}

// identity is what is known of the answers of a route.
func (r *armRoutes) identity(name string) *identity {
	i := r.identities[name]
	if i == nil && len(r.identities) < maxIdentities {
		i = &identity{}
		r.identities[name] = i
	}
	return i
}

// name is the route of a hit in words.
func (r *armRoutes) name(key routeKey) string {
	if key.route != "" {
		return key.route
	}
	u, err := url.Parse(key.url)
	if err != nil {
		return key.method + " " + key.url
	}
	path := cmp.Or(u.EscapedPath(), "/")
	if !r.targets[key.url] {
		path = pattern(path)
	}
	if r.manyHost {
		path = u.Host + path
	}
	return key.method + " " + path
}

// pathOf is the path of a URL, or the URL itself where it is none.
func pathOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	return cmp.Or(u.EscapedPath(), "/")
}

// pattern puts {id} in the place of what tells one thing of a kind from another: numbers, UUIDs, and hexadecimal numbers as long as
// hashes are.
func pattern(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if isID(segment) {
			segments[i] = "{id}"
		}
	}
	return strings.Join(segments, "/")
}

func isID(segment string) bool {
	const leastHash = 16
	digits, hexes, dashes := 0, 0, 0
	for _, c := range segment {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hexes++
		case c == '-':
			dashes++
		default:
			return false
		}
	}
	switch dashes {
	case 0:
		return digits > 0 && (hexes == 0 || digits+hexes >= leastHash)
	case 4: // RFC 9562
		return len(segment) == 36 && segment[8] == '-' && segment[13] == '-' && segment[18] == '-' && segment[23] == '-'
	}
	return false
}

func newLatencies() *hdrhistogram.Histogram {
	const digits = 2
	return hdrhistogram.New(1, int64(time.Hour/time.Microsecond), digits)
}

// add counts a hit of a deadline, with what the promise made of it.
func (c *routeCounts) add(h *history.Hit, deadline time.Duration, what outcome, injected bool) {
	if what == unsent {
		c.Unsent++
		return
	}
	c.Sent++
	if h.Masked > 0 {
		c.Masked++
	}
	switch {
	case what == dropped:
		c.Dropped++
		c.unreached.add(h, deadline)
	case what == answered:
		_ = c.latencies.RecordValue(min(h.Latency.Microseconds(), c.latencies.HighestTrackableValue())) // so it is in range
	case injected:
		c.Injected++
	default:
		c.Harness++
	}
}

// blamePath puts what a dead path to the cluster explains on the harness's account.
func (r *armRoutes) blamePath(dark []timeline.Span) {
	for _, c := range r.routes {
		n := c.unreached.explainedBy(dark)
		c.Dropped -= n
		c.Harness += n
	}
}

// merge adds the same route of another arm.
func (c *routeCounts) merge(o *routeCounts) {
	c.Sent += o.Sent
	c.Dropped += o.Dropped
	c.Injected += o.Injected
	c.Masked += o.Masked
	c.Unsent += o.Unsent
	c.Harness += o.Harness
	c.latencies.Merge(o.latencies)
}

// routesOf are the routes of all arms: those with drops first, then those with most hits. It is nil where there is one route only: the
// promise itself says what became of it. Below fewest hits without a drop a route says nothing.
func routesOf(arms []*armDrops, fewest uint64) []judge.Route {
	all := map[string]*routeCounts{}
	for _, arm := range arms {
		for name, c := range arm.routes.routes {
			if sum, ok := all[name]; ok {
				sum.merge(c)
				continue
			}
			all[name] = c
		}
	}
	if len(all) < 2 {
		return nil
	}
	sorted := slices.SortedFunc(maps.Values(all), func(a, b *routeCounts) int {
		return cmp.Or(cmp.Compare(b.Dropped, a.Dropped), cmp.Compare(b.Sent, a.Sent), cmp.Compare(a.Name, b.Name))
	})
	sorted = bounded(sorted)
	routes := make([]judge.Route, len(sorted))
	for i, c := range sorted {
		routes[i] = c.judged(fewest)
	}
	return routes
}

// bounded adds up what is beyond the limit.
func bounded(sorted []*routeCounts) []*routeCounts {
	if len(sorted) <= maxRoutes {
		return sorted
	}
	rest := &routeCounts{Route: judge.Route{Name: otherRoutes}, latencies: newLatencies(), unreached: unreached{}}
	var kept []*routeCounts
	for _, c := range sorted {
		if c.Name == otherRoutes || len(kept) >= maxRoutes-1 {
			rest.merge(c)
			continue
		}
		kept = append(kept, c)
	}
	return append(kept, rest)
}

// judged says whether the promise held for this route.
func (c *routeCounts) judged(fewest uint64) judge.Route {
	r := c.Route
	if c.latencies.TotalCount() > 0 {
		at := func(percentile float64) time.Duration {
			return time.Duration(c.latencies.ValueAtPercentile(percentile)) * time.Microsecond
		}
		r.Latency = &judge.Latency{P50: at(50), P90: at(90), P95: at(95), P99: at(99), Max: at(100)}
	}
	judged := r.Sent - r.Injected - r.Harness
	switch {
	case r.Dropped > 0:
		r.Verdict, r.Reason = judge.Fail, fmt.Sprintf("%s of %s dropped", words.Count(r.Dropped), words.Plural(r.Sent, "hit"))
	case r.Harness+r.Unsent > 0:
		r.Verdict, r.Reason = judge.Inconclusive, fmt.Sprintf("%s failed in the harness itself or cannot be decided, %s never sent", words.Plural(r.Harness, "hit"), words.Count(r.Unsent))
	case judged < fewest || judged == 0:
		r.Verdict, r.Reason = judge.Inconclusive, fmt.Sprintf("%s without a drop: too few to say anything", words.Plural(judged, "hit"))
	default:
		power := judge.ZeroPower(judged, "hits")
		r.Verdict, r.Reason, r.MaxLossShare = judge.Pass, power.Text, power.MaxLossShare
	}
	return r
}
