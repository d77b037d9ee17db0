package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

const (
	keptBody   = 512 // bytes of a failed hit's answer that are kept
	readBuffer = 16 << 10
)

// hitter sends hits and says what became of them. It follows no redirect, uses no proxy, and asks for no compression: what is
// checked is what came over the wire. Every hit ends at its deadline at the latest.
type hitter struct {
	plan      Plan
	arm       Arm
	clock     history.Clock
	window    int
	prefix    string // of hit ids: "<run>/<arm>/"
	transport *http.Transport
	states    sync.Pool
	secrets   secrets
	conns     *conns

	digests   tally
	protocols protocols
	late      atomic.Uint64 // connections over which bytes came after an answer was whole
}

// tally counts what the digest check rests on.
type tally struct {
	checked atomic.Uint64 // answers whose body was compared with a digest
	unknown atomic.Uint64 // answers whose digests are all of algorithms that are not checked
}

// state is what a hit needs and the next one can use again. It is given back only after a whole, correct answer on the first
// connection tried: only then has the transport surely let go of the request.
type state struct {
	hit      history.Hit
	header   http.Header
	id       []string
	trace    context.Context
	gotConn  int
	conn     *meteredConn // the last that was had; nil for one that is not metered
	turn     uint64       // on it
	kept     []byte
	sum      [sha256.Size]byte
	h256     hash.Hash
	h512     hash.Hash
	idBuffer []byte
}

var userAgent = []string{"rollproof"}

func newHitter(plan Plan, arm Arm, clock history.Clock, run string, window int, count *connCount, workers uint64) *hitter {
	plan = plan.forArm(arm)
	h := &hitter{plan: plan, arm: arm, clock: clock, window: window, prefix: run + "/" + arm.Name + "/"}
	h.conns = newConns(plan.dial, count)
	h.secrets = secretsOf(arm.Targets, plan.header(arm))
	h.transport = &http.Transport{
		DialContext:         h.metered(h.conns.DialContext),
		TLSClientConfig:     plan.TLS.Clone(), // the transport writes into it
		Protocols:           offered(plan.HTTP2),
		TLSHandshakeTimeout: plan.Deadline,
		DisableKeepAlives:   !arm.KeepAlive,
		DisableCompression:  true,
		MaxIdleConnsPerHost: int(min(workers, maxIdleConns)),
		IdleConnTimeout:     plan.IdleTimeout,
	}
	if !plan.HTTP2 { // whose connections net/http must know as TLS; HTTP/2 tells itself where an answer ends
		h.transport.DialTLSContext = h.metered(h.overTLS(h.conns.DialContext))
	}
	h.states.New = func() any { return newState() }
	return h
}

func newState() *state {
	s := &state{h256: sha256.New(), header: http.Header{}, id: make([]string, 1)}
	s.trace = httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		// Called in the goroutine of the hit, once for each connection the transport tries it on.
		GotConn: func(info httptrace.GotConnInfo) {
			s.gotConn++
			if s.conn, _ = info.Conn.(*meteredConn); s.conn != nil {
				s.turn = s.conn.begin()
			}
		},
	})
	return s
}

// close ends every connection. It is called when all hits have ended: what the transport still holds for one of HTTP/2, or was just
// about to open, would otherwise stay until it has been idle for its time.
func (h *hitter) close() {
	h.transport.CloseIdleConnections()
	h.conns.close()
}

// hit sends one hit and calls record with what became of it; the hit is valid during the call.
func (h *hitter) hit(in intent, record func(*history.Hit)) {
	s := h.states.Get().(*state)
	r := in.request
	start := time.Now()
	s.gotConn, s.conn, s.kept = 0, nil, s.kept[:0]
	s.hit = history.Hit{
		Seq: in.seq, At: h.clock.At(start), Intended: in.intended, Window: h.window, Method: r.method, URL: r.text,
		BytesOut: uint64(len(r.body)), Route: r.route,
	}
	ctx, cancel := context.WithDeadline(s.trace, start.Add(h.plan.Deadline))
	out := h.exchange(ctx, s, in)
	cancel()
	s.hit.Latency = time.Since(start)
	s.hit.Masked = max(s.gotConn-1, 0)
	if out != nil {
		h.judge(s, in, out)
	} else if s.hit.Code >= http.StatusInternalServerError {
		s.hit.Reason = history.ReasonExpected
	}
	record(&s.hit)
	if out == nil && s.gotConn == 1 {
		h.states.Put(s)
	}
}

// exchange sends the request and reads the whole answer. It returns nil when all is as it should be.
func (h *hitter) exchange(ctx context.Context, s *state, in intent) *Outcome {
	resp, err := h.transport.RoundTrip(h.request(ctx, s, in))
	if err != nil {
		return &Outcome{Err: err, Connected: s.gotConn > 0}
	}
	h.protocols.saw(resp)
	s.hit.Version = h.secrets.scrubText(resp.Header.Get(h.plan.VersionHeader))
	s.hit.Pod = h.secrets.scrubText(resp.Header.Get(h.plan.PodHeader))
	out := Outcome{Connected: true, Answered: true, Code: resp.StatusCode, Version: s.hit.Version, Location: resp.Header.Get("Location")}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// What follows is not HTTP, and has no end: the transport has handed the connection over, and no deadline bounds reading it.
		_ = resp.Body.Close() // nobody uses the connection any more
		s.hit.Code = uint16(resp.StatusCode)
		return &out
	}
	s.hit.Echoed = len(resp.Header[HitHeader]) > 0
	bodyless := in.request.method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
	digests := digestsOf(resp, bodyless, &s.sum)
	out.Err = s.read(resp.Body, digests.hashed)
	if err := resp.Body.Close(); out.Err == nil {
		out.Err = err
	}
	if out.Err != nil {
		return &out
	}
	s.hit.Code = uint16(resp.StatusCode)
	digests.addTrailer(resp)
	s.hit.Digest = digests.comparable()
	length := resp.ContentLength
	if bodyless {
		length = 0
	}
	var beyond uint64
	if s.conn != nil {
		beyond = s.conn.end(s.turn, length)
	}
	if out.Mismatch = h.mismatch(s, in.request, resp, &digests, beyond); out.Mismatch == "" && in.request.expects(resp.StatusCode) {
		return nil
	}
	return &out
}

// mismatch says in a short and stable word what is wrong with a whole answer but its status; "" when nothing is. Of an answer that has not the
// expected status only one thing is asked: whether it is another hit's.
func (h *hitter) mismatch(s *state, r *request, resp *http.Response, digests *digests, beyond uint64) string {
	length := resp.ContentLength
	echo := resp.Header[HitHeader]
	switch {
	case len(echo) > 0 && !slices.Equal(echo, s.id):
		s.hit.Error = "the answer is to hit " + h.secrets.excerpt(strings.Join(echo, ", "))
		return "echo"
	case !r.expects(resp.StatusCode):
		return ""
	case beyond > 0:
		s.hit.Error = fmt.Sprintf("%d bytes too many came after the end of the answer", beyond)
		return "length"
	case digests.bodyless:
		return ""
	case length >= 0 && s.hit.BytesIn != uint64(length):
		s.hit.Error = "the body has not the length its Content-Length says"
		return "length"
	case digests.malformed != nil:
		s.hit.Error = digests.malformed.Error()
		return "digest malformed"
	case h.mismatches(s, digests):
		return "digest"
	}
	if coding := uninvited(r.header, resp.Header); coding != "" {
		s.hit.Error = fmt.Sprintf("the body came in content coding %s, which was not asked for", h.secrets.excerpt(coding))
		return "encoding"
	}
	return ""
}

func (h *hitter) request(ctx context.Context, s *state, in intent) *http.Request {
	r := in.request
	s.idBuffer = strconv.AppendUint(append(s.idBuffer[:0], h.prefix...), in.seq, 10)
	s.id[0] = string(s.idBuffer)
	header := s.header
	if len(r.header) > 0 {
		header = make(http.Header, len(r.header)+3)
		for name, values := range r.header {
			header[name] = values
		}
	}
	if _, own := header["User-Agent"]; !own {
		header["User-Agent"] = userAgent
	}
	header[HitHeader] = s.id
	if _, own := header["Idempotency-Key"]; h.arm.IdempotencyKey && (!own || len(r.header) == 0) {
		header["Idempotency-Key"] = s.id
	}
	req := &http.Request{
		Method: r.method, URL: r.url, Host: r.url.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if host := r.header.Get("Host"); host != "" {
		req.Host = host
	}
	if len(r.body) > 0 {
		req.ContentLength, req.GetBody = int64(len(r.body)), r.getBody
		req.Body = io.NopCloser(bytes.NewReader(r.body))
	}
	if h.arm.Once {
		sentOnce(req)
	}
	return req.WithContext(ctx)
}

// buffers are held only while a body is read: of the thousands of hits that wait when a server hangs, none needs one.
var buffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// read takes in the whole body: counts it, hashes it, and keeps its beginning.
func (s *state) read(body io.Reader, hashed hashed) error {
	if hashed.sha256 {
		s.h256.Reset()
	}
	if hashed.sha512 {
		if s.h512 == nil {
			s.h512 = sha512.New()
		}
		s.h512.Reset()
	}
	buf := buffers.Get().(*[readBuffer]byte)
	defer buffers.Put(buf)
	for {
		n, err := body.Read(buf[:])
		part := buf[:n]
		s.hit.BytesIn += uint64(n)
		if room := keptBody - len(s.kept); room > 0 {
			s.kept = append(s.kept, part[:min(room, n)]...)
		}
		if hashed.sha256 {
			s.h256.Write(part)
		}
		if hashed.sha512 {
			s.h512.Write(part)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (h *hitter) mismatches(s *state, digests *digests) bool {
	if !digests.carried {
		return false
	}
	compared, unlike := digests.compare(s.h256, s.h512)
	if !compared {
		h.digests.unknown.Add(1)
		return false
	}
	h.digests.checked.Add(1)
	if unlike == "" {
		return false
	}
	s.hit.Error = fmt.Sprintf("the body of %d bytes does not match the answer's %s Content-Digest", s.hit.BytesIn, unlike)
	return true
}

// judge fills in what is recorded of a failed hit.
func (h *hitter) judge(s *state, in intent, out *Outcome) {
	s.hit.Class, s.hit.Reason = Classify(*out)
	s.hit.Body = h.secrets.scrubBeginning(s.kept)
	switch {
	case s.hit.Error != "":
	case out.Err != nil:
		s.hit.Error = out.Err.Error()
	default:
		s.hit.Error = in.request.wrongStatus(out)
	}
	s.hit.Error = h.secrets.scrubText(s.hit.Error) // it may quote what came: what is no HTTP, where an answer redirects to
}
