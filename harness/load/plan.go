package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// Names of header fields.
const (
	// HitHeader carries the id of a hit, <run>/<arm>/<seq>.
	HitHeader = "X-Rollproof-Hit"
	// DefaultVersionHeader and DefaultPodHeader are where an answer says which release and which pod made it.
	DefaultVersionHeader = "X-Rollproof-Version"
	DefaultPodHeader     = "X-Rollproof-Pod"
)

// Defaults of a Plan.
const (
	DefaultDeadline    = 5 * time.Second
	DefaultIdleTimeout = 15 * time.Second // below what servers and proxies usually keep an idle connection for
	minWorkers         = 32
	maxWorkers         = 8000
	maxIdleConns       = 512 // per host
	burst              = 10  // times its mean rate is what recorded traffic is taken to reach
)

// Plan is one window of load: the same for every arm, which the pacing is spread over. Control arms come on top: each runs at the
// mean rate of one of the others.
type Plan struct {
	Pacing   Pacing
	Length   time.Duration // 0: until Stop, or to the end of a recording that is not looped
	Traffic  *Traffic      // what is sent; nil: what each arm says
	Deadline time.Duration // of one hit, from its start to the last byte; 0: DefaultDeadline
	// Grace is how long after the window's end a late hit is still started before it is given up as unsent; 0: the deadline.
	Grace time.Duration
	// MaxWorkers bounds the hits in flight of each arm; 0: enough for every hit to take the whole deadline, at most 8 000.
	MaxWorkers uint64

	VersionHeader string        // "": DefaultVersionHeader
	PodHeader     string        // "": DefaultPodHeader
	IdleTimeout   time.Duration // after which an idle connection is closed; 0: DefaultIdleTimeout
	TLS           *tls.Config
	// Sources is how many addresses of this machine connections to its loopback range are made from; 0 and 1: the system's choice. See Sources.
	Sources int
	// Header goes with every hit but those of control arms, before what the arm or the traffic file says. Its values are secret: no
	// record holds them.
	Header http.Header
	// HTTP2 offers HTTP/2 to https targets; a server that does not speak it is spoken to in HTTP/1.1. One connection of an arm with
	// keep-alive then carries many hits at once, and what breaks it fails them all.
	HTTP2 bool

	dial dialFunc // nil: a net.Dialer; tests put sick sockets here
}

func (p Plan) withDefaults() Plan {
	orDuration := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	orDuration(&p.Deadline, DefaultDeadline)
	orDuration(&p.Grace, p.Deadline)
	orDuration(&p.IdleTimeout, DefaultIdleTimeout)
	if p.VersionHeader == "" {
		p.VersionHeader = DefaultVersionHeader
	}
	if p.PodHeader == "" {
		p.PodHeader = DefaultPodHeader
	}
	return p
}

func (p Plan) check() error {
	if p.Pacing == nil {
		return errors.New("plan load: no pacing is named")
	}
	if err := p.Pacing.check(); err != nil {
		return fmt.Errorf("plan load: %w", err)
	}
	if p.Length < 0 || p.Deadline < 0 || p.Grace < 0 || p.IdleTimeout < 0 {
		return errors.New("plan load: length, deadline, grace and idle time-out cannot be negative")
	}
	if p.Length > never {
		return fmt.Errorf("plan load: it lasts %s: want a hundred years at most", p.Length)
	}
	for _, name := range []string{p.VersionHeader, p.PodHeader} {
		if err := CheckFieldName(name); err != nil {
			return fmt.Errorf("plan load: %w", err)
		}
	}
	if _, recorded := p.Pacing.(Recorded); recorded && p.Traffic == nil {
		return errors.New("plan load: recorded pacing needs a traffic file")
	}
	return nil
}

var armName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,40}$`)

func checkArms(arms []Arm) error {
	seen, main := map[string]bool{}, 0
	for _, arm := range arms {
		switch {
		case !armName.MatchString(arm.Name):
			return fmt.Errorf("arm %q: want a name of lower-case letters, digits and dashes", arm.Name)
		case seen[arm.Name]:
			return fmt.Errorf("arm %s is named twice", arm.Name)
		case len(arm.Targets) == 0:
			return fmt.Errorf("arm %s has no target", arm.Name)
		}
		for _, target := range arm.Targets {
			if _, err := parseTarget(target); err != nil {
				return fmt.Errorf("arm %s: %w", arm.Name, err)
			}
		}
		seen[arm.Name] = true
		if !arm.Control {
			main++
		}
	}
	if main == 0 {
		return errors.New("no arm sends load: name at least one that is no control arm")
	}
	return nil
}

// armPlan is what one arm does in one window.
type armPlan struct {
	arm      Arm
	schedule schedule
	rate     float64 // hits per second, averaged over the window; 0 when not known
	peak     float64 // hits per second when there are most
	planned  uint64  // hits intended; unless endless
	length   time.Duration
	pacing   string

	endless    bool // the window ends when it is stopped: what is planned is what was due by then
	saturating bool
}

// deal splits a plan among the arms.
func (p Plan) deal(arms []Arm) ([]armPlan, error) {
	var plans []armPlan
	for i := range arms {
		var plan armPlan
		var err error
		if arms[i].Control {
			plan, err = p.control(arms, i)
		} else {
			plan, err = p.main(arms, i)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("plan arm %s: %w", arms[i].Name, err), closeAll(plans))
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

// shareOf is the part of the whole load that arm i has, among the arms that like returns true for.
func shareOf(arms []Arm, i int, like func(Arm) bool) share {
	var s share
	for j, arm := range arms {
		if !like(arm) {
			continue
		}
		if j < i {
			s.first++
		}
		s.every++
	}
	return s
}

func isMain(a Arm) bool { return !a.Control }

// header is what the plan gives every request of an arm.
func (p Plan) header(arm Arm) http.Header {
	if arm.Control {
		return nil
	}
	return p.Header
}

func (p Plan) main(arms []Arm, i int) (armPlan, error) {
	plan := armPlan{arm: arms[i], length: p.Length, pacing: p.Pacing.String()}
	recorded, isRecorded := p.Pacing.(Recorded)
	requests, err := p.source(arms, i, !isRecorded || recorded.Loop)
	if err != nil {
		return plan, err
	}
	part := shareOf(arms, i, isMain)
	switch pacing := p.Pacing.(type) {
	case timed:
		plan.schedule = &formula{pacing: pacing, share: part, length: p.Length, requests: requests}
		if plan.endless = p.Length == 0; !plan.endless {
			plan.planned = dueBefore(pacing, p.Length, part.first, part.every)
		}
	case Saturate:
		plan.schedule = &flood{requests: requests, until: p.Length}
		plan.endless, plan.saturating = true, true
	case Recorded:
		plan.schedule = &replay{speed: pacing.speed(), length: p.Length, file: requests.(*trafficSource)}
		if p.Length == 0 && !pacing.Loop {
			plan.length = time.Duration(float64(p.Traffic.Last) / pacing.speed())
		}
		if plan.endless = p.Length == 0 && pacing.Loop; !plan.endless {
			if plan.planned, err = p.countReplay(arms, i); err != nil {
				return plan, err
			}
		}
	}
	plan.rate = p.rate(part, plan)
	plan.peak = plan.rate
	switch pacing := p.Pacing.(type) {
	case Ramp:
		plan.peak = max(pacing.From, pacing.To) / float64(part.every)
	case Recorded:
		plan.peak = burst * plan.rate
	}
	return plan, nil
}

func (p Plan) rate(part share, plan armPlan) float64 {
	if plan.planned > 0 && plan.length > 0 {
		return float64(plan.planned) / plan.length.Seconds()
	}
	switch pacing := p.Pacing.(type) {
	case Constant:
		return pacing.PerSecond / float64(part.every)
	case Ramp:
		return pacing.To / float64(part.every)
	case Recorded:
		if p.Traffic.Period > 0 {
			return float64(p.Traffic.Entries) / p.Traffic.Period.Seconds() * pacing.speed() / float64(part.every)
		}
	}
	return 0
}

// source is what arm i sends.
func (p Plan) source(arms []Arm, i int, loop bool) (source, error) {
	arm := arms[i]
	if p.Traffic == nil {
		return newFixedSource(arm, p.header(arm))
	}
	part := shareOf(arms, i, func(a Arm) bool { return isMain(a) && safe(a.Method) == safe(arm.Method) })
	kind, have := "safe (GET and its like)", p.Traffic.Entries-p.Traffic.Unsafe
	if !safe(arm.Method) {
		kind, have = "unsafe (POST and its like)", p.Traffic.Unsafe
	}
	if have <= part.first {
		return nil, fmt.Errorf("traffic file %s holds %d %s requests, too few for %d arms that send them: leave this arm out",
			p.Traffic.File, have, kind, part.every)
	}
	if loop && p.Traffic.Period <= 0 && !isTimed(p.Pacing) {
		return nil, fmt.Errorf("loop over traffic file %s: all its entries are at one offset, so a turn has no length", p.Traffic.File)
	}
	return newTrafficSource(p.Traffic, arm, p.header(arm), part, loop)
}

func isTimed(p Pacing) bool {
	_, recorded := p.(Recorded)
	return !recorded
}

// countReplay goes through the schedule once without sending, so that what is planned is exactly what will be intended.
func (p Plan) countReplay(arms []Arm, i int) (n uint64, err error) {
	recorded := p.Pacing.(Recorded)
	requests, err := p.source(arms, i, recorded.Loop)
	if err != nil {
		return 0, err
	}
	dry := &replay{speed: recorded.speed(), length: p.Length, file: requests.(*trafficSource)}
	defer func() { err = errors.Join(err, dry.close()) }()
	for {
		switch _, _, err := dry.next(); err {
		case nil:
			n++
		case io.EOF:
			return n, nil
		default:
			return 0, err
		}
	}
}

// control runs at the mean rate of one other arm, half a step beside the first of them. A path arm has a rate of its own.
func (p Plan) control(arms []Arm, i int) (armPlan, error) {
	requests, err := newFixedSource(arms[i], p.header(arms[i]))
	if err != nil {
		return armPlan{}, err
	}
	rate, length := p.controlRate(arms)
	if arms[i].Path != nil {
		rate = pathRate
	}
	if rate == 0 {
		return armPlan{}, fmt.Errorf("a control arm has no rate to run at when the load is %s", p.Pacing)
	}
	// Of twice the rate it takes every other hit, from the second on: the shift by half a step.
	pacing, part := Constant{PerSecond: 2 * rate}, share{first: 1, every: 2}
	plan := armPlan{arm: arms[i], length: length, rate: rate, peak: rate, pacing: Constant{rate}.String()}
	plan.schedule = &formula{pacing: pacing, share: part, length: length, requests: requests}
	if plan.endless = length == 0; !plan.endless {
		plan.planned = dueBefore(pacing, length, part.first, part.every)
	}
	return plan, nil
}

func (p Plan) controlRate(arms []Arm) (float64, time.Duration) {
	mains := shareOf(arms, len(arms), isMain).every
	part := share{every: mains}
	length := p.Length
	whole := armPlan{length: length}
	switch pacing := p.Pacing.(type) {
	case timed:
		if length > 0 {
			whole.planned = dueBefore(pacing, length, 0, mains)
		}
	case Recorded:
		if length == 0 && !pacing.Loop {
			length = time.Duration(float64(p.Traffic.Last) / pacing.speed())
		}
	}
	return p.rate(part, whole), length
}

// workers is how many hits of one arm may be in flight.
func (p Plan) workers(peak float64) uint64 {
	if p.MaxWorkers > 0 {
		return p.MaxWorkers
	}
	return min(max(uint64(1.2*peak*p.Deadline.Seconds())+1, minWorkers), maxWorkers)
}

// Check says what is wrong with the plan for these arms, without sending or recording anything.
func (p Plan) Check(arms []Arm) error {
	if err := checkArms(arms); err != nil {
		return err
	}
	p = p.withDefaults()
	if err := p.check(); err != nil {
		return err
	}
	plans, err := p.deal(arms)
	return errors.Join(err, closeAll(plans))
}

func closeAll(plans []armPlan) (err error) {
	for _, plan := range plans {
		err = errors.Join(err, plan.schedule.close())
	}
	return err
}

// Reach connects once to every target of the arms, so that a mistyped address is told before load is recorded.
func Reach(ctx context.Context, arms []Arm) error {
	reached := map[string]bool{}
	for _, arm := range arms {
		for _, raw := range arm.Targets {
			t, err := parseTarget(raw)
			if err != nil {
				return fmt.Errorf("arm %s: %w", arm.Name, err)
			}
			if reached[t.url.Host] {
				continue
			}
			if err := reach(ctx, t.url); err != nil {
				return fmt.Errorf("reach %s before the load: %w: is the server up, and the address right?", t.text, err)
			}
			reached[t.url.Host] = true
		}
	}
	return nil
}

func reach(ctx context.Context, u *url.URL) error {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	conn, err := (&net.Dialer{Timeout: DefaultDeadline}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}
