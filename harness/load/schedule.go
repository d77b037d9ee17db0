package load

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// request is what a hit sends. It is shared by hits and never changed.
type request struct {
	method string
	url    *url.URL
	text   string // of url
	header http.Header
	body   []byte
	status []int  // accepted; empty: see Right
	route  string // as the traffic file names it; empty: method and path tell
}

func (r *request) getBody() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.body)), nil }

// right are the statuses of an answer that brings what was asked for, whole and from who was asked (RFC 9110, 15.3). The other ones of 2xx do
// not: 203 was changed on its way, 206 is a part, 207 and 208 tell of many things that may have failed, 226 is the difference to what a client
// has. One that no RFC names says nothing.
var right = []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent, http.StatusResetContent}

// Right are the statuses that are right where a traffic file names none. 206 is right besides where the request asks for a Range.
func Right() []int { return slices.Clone(right) }

func (r *request) expects(code int) bool {
	if len(r.status) > 0 {
		return slices.Contains(r.status, code)
	}
	return slices.Contains(right, code) || code == http.StatusPartialContent && len(r.header["Range"]) > 0
}

// wrongStatus says which status was expected and which came, and where a redirect leads.
func (r *request) wrongStatus(out *Outcome) string {
	want := "2xx"
	switch {
	case len(r.status) > 0:
		want = oneOf(r.status)
	case out.Code >= 200 && out.Code <= 299: // of which it is none that brings what was asked for
		want = oneOf(right)
	}
	text := strings.TrimSpace(fmt.Sprintf("expected %s, found %d %s", want, out.Code, http.StatusText(out.Code)))
	if out.Location != "" {
		text += ", which redirects to " + out.Location
	}
	return text
}

func oneOf(codes []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(codes), " ", " or "), "[]")
}

// intent is one intended hit: what is sent, and when. The three belong together from here on; vegeta's own sequence numbers,
// which two workers may take in another order than their targets, play no part.
type intent struct {
	seq      uint64        // of the arm, through the whole run
	intended time.Duration // since the run's start
	request  *request
}

// share is the part of the load that is one arm's: it is the first-th of every.
type share struct{ first, every uint64 }

// schedule yields the intended hits of one arm in one window, in the order of time.
type schedule interface {
	// next yields when the next hit is due, since the window's begin, and what it sends; io.EOF when none is left.
	next() (time.Duration, *request, error)
	close() error
}

// formula is a schedule of a timed pacing.
type formula struct {
	pacing   timed
	share    share
	length   time.Duration // 0: without end
	n        uint64
	requests source
}

func (f *formula) next() (time.Duration, *request, error) {
	at := f.pacing.at(f.share.first + f.n*f.share.every)
	if f.length > 0 && at >= f.length {
		return 0, nil, io.EOF
	}
	f.n++
	_, r, err := f.requests.next()
	return at, r, err
}

func (f *formula) close() error { return f.requests.close() }

// flood is the schedule of Saturate: every hit is due at once, until the window is over.
type flood struct {
	requests source
	until    time.Duration // 0: without end
	began    time.Time
}

func (f *flood) next() (time.Duration, *request, error) {
	if f.began.IsZero() {
		f.began = time.Now()
	}
	if f.until > 0 && time.Since(f.began) >= f.until {
		return 0, nil, io.EOF
	}
	_, r, err := f.requests.next()
	return 0, r, err
}

func (f *flood) close() error { return f.requests.close() }

// replay is a schedule with the times of a traffic file.
type replay struct {
	speed  float64
	length time.Duration // 0: to the end of the file, or without end in a loop
	file   *trafficSource
}

func (r *replay) next() (time.Duration, *request, error) {
	offset, req, err := r.file.next()
	if err != nil {
		return 0, nil, err
	}
	at := time.Duration(float64(offset) / r.speed)
	if r.length > 0 && at >= r.length {
		return 0, nil, io.EOF
	}
	return at, req, nil
}

func (r *replay) close() error { return r.file.close() }

// source yields what is sent, hit by hit, and its recorded offset where there is one.
type source interface {
	next() (time.Duration, *request, error)
	close() error
}

// fixedSource sends the same to each target in turn.
type fixedSource struct {
	requests []*request
	n        int
}

func newFixedSource(arm Arm, given http.Header) (*fixedSource, error) {
	s := &fixedSource{}
	for _, raw := range arm.Targets {
		t, err := parseTarget(raw)
		if err != nil {
			return nil, err
		}
		header := headerOf(arm.Header, given, t.auth)
		s.requests = append(s.requests, &request{method: arm.Method, url: t.url, text: t.text, header: header, body: arm.Body})
	}
	return s, nil
}

// headerOf is what goes with a request: its own fields, those that the plan gives every request before them, and the credentials of
// the target where neither says others.
func headerOf(own, given http.Header, auth string) http.Header {
	if len(given) == 0 && auth == "" {
		return own
	}
	header := http.Header{}
	maps.Copy(header, own)
	maps.Copy(header, given)
	if auth != "" && header.Get("Authorization") == "" {
		header["Authorization"] = []string{auth}
	}
	return header
}

func (s *fixedSource) next() (time.Duration, *request, error) {
	r := s.requests[s.n]
	s.n = (s.n + 1) % len(s.requests)
	return 0, r, nil
}

func (s *fixedSource) close() error { return nil }

// trafficSource sends what a traffic file says. Of the entries of the arm's kind, safe methods or the others, it takes its share.
type trafficSource struct {
	traffic *Traffic
	targets []base
	given   http.Header // by the plan
	safe    bool
	share   share
	loop    bool

	file  *os.File
	lines *Reader
	turn  time.Duration // offset at which this turn of the loop began
	seen  uint64        // entries of the arm's kind in this turn
	n     int
	urls  map[string]*url.URL
}

// base is a target with which the paths of a traffic file begin, and its credentials.
type base struct{ text, auth string }

// maxURLs bounds the parsed URLs that a trafficSource keeps.
const maxURLs = 1 << 12

func newTrafficSource(t *Traffic, arm Arm, given http.Header, part share, loop bool) (*trafficSource, error) {
	s := &trafficSource{traffic: t, given: given, safe: safe(arm.Method), share: part, loop: loop, urls: map[string]*url.URL{}}
	for _, raw := range arm.Targets {
		target, err := parseTarget(raw)
		if err != nil {
			return nil, err
		}
		text, err := target.base()
		if err != nil {
			return nil, err
		}
		s.targets = append(s.targets, base{text: text, auth: target.auth})
	}
	return s, s.rewind()
}

func (s *trafficSource) rewind() (err error) {
	if s.file == nil {
		s.file, err = os.Open(s.traffic.File)
	} else {
		_, err = s.file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("read traffic: %w", err)
	}
	s.lines, s.seen = NewReader(s.file), 0
	return nil
}

func (s *trafficSource) next() (time.Duration, *request, error) {
	for {
		e, err := s.lines.Next()
		switch {
		case err == io.EOF && s.loop && s.seen <= s.share.first: // or it would go round for ever
			return 0, nil, fmt.Errorf("traffic file %s: it no longer holds a request of this arm", s.traffic.File)
		case err == io.EOF && s.loop:
			s.turn += s.traffic.Period
			if err := s.rewind(); err != nil {
				return 0, nil, err
			}
			continue
		case err == io.EOF:
			return 0, nil, io.EOF
		case err != nil:
			return 0, nil, fmt.Errorf("traffic file %s: %w", s.traffic.File, err)
		}
		if safe(e.Method) != s.safe {
			continue
		}
		mine := s.seen%s.share.every == s.share.first
		s.seen++
		if !mine {
			continue
		}
		r, err := s.request(&e)
		return s.turn + e.Offset, r, err
	}
}

func (s *trafficSource) request(e *Entry) (*request, error) {
	target := s.targets[s.n]
	text := target.text + e.Path
	s.n = (s.n + 1) % len(s.targets)
	u, ok := s.urls[text]
	if !ok {
		var err error
		if u, err = url.Parse(text); err != nil {
			return nil, fmt.Errorf("traffic file %s: path %q: %w", s.traffic.File, e.Path, err)
		}
		if len(s.urls) >= maxURLs {
			clear(s.urls)
		}
		s.urls[text] = u
	}
	return &request{
		method: e.Method, url: u, text: text, header: headerOf(e.Header, s.given, target.auth), body: e.Body, status: e.Status, route: e.Route,
	}, nil
}

func (s *trafficSource) close() error { return s.file.Close() }
