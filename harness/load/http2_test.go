package load

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"bitvault.dev/rollproof/harness/history"
)

// serveTLS starts a TLS server that speaks HTTP/2, and says how its clients trust it.
func serveTLS(t *testing.T, handler http.HandlerFunc, change func(*httptest.Server)) (string, *tls.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if change != nil {
		change(server)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	trust := &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	return server.URL, trust
}

// counted counts the connections that a server got.
func counted(server *httptest.Server) *atomic.Int64 {
	var conns atomic.Int64
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	return &conns
}

func TestHTTP2IsSpokenOnlyWhenAsked(t *testing.T) {
	var protocols sync.Map
	var conns *atomic.Int64
	url, trust := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		protocols.Store(r.Proto, true)
		app(w, r)
	}, func(s *httptest.Server) { conns = counted(s) })
	for _, c := range []struct {
		arm   string
		http2 bool
		want  string
		conns int64 // of 4 hits; 0 for any number
	}{{"get", false, "HTTP/1.1", 0}, {"get", true, "HTTP/2.0", 1}, {"get-close", true, "HTTP/2.0", 4}, {"post", true, "HTTP/2.0", 1}, {"post-close", true, "HTTP/2.0", 4}} {
		conns.Store(0)
		protocols.Clear()
		r := record(t)
		plan := Plan{Pacing: Constant{20}, Length: 200 * time.Millisecond, TLS: trust, HTTP2: c.http2, Grace: time.Minute, MaxWorkers: 1}
		if err := r.run(t.Context(), arms(t, url, c.arm), plan); err != nil {
			t.Fatal(err)
		}
		r.assertAccounted()
		for _, h := range r.hits()[c.arm] {
			if h.Failed() || h.Masked != 0 {
				t.Errorf("arm %s, HTTP/2 %v: %+v", c.arm, c.http2, h)
			}
		}
		if got := r.ended()[c.arm][0].Protocols; !slices.Equal(got, []string{c.want}) {
			t.Errorf("arm %s, HTTP/2 %v: recorded %v, want %s", c.arm, c.http2, got, c.want)
		}
		if _, spoken := protocols.Load(c.want); !spoken {
			t.Errorf("arm %s, HTTP/2 %v: the server was not spoken to in %s", c.arm, c.http2, c.want)
		}
		if got := conns.Load(); c.conns != 0 && got != c.conns {
			t.Errorf("arm %s, HTTP/2 %v: %d connections, want %d", c.arm, c.http2, got, c.conns)
		}
	}
	if trust.NextProtos != nil {
		t.Error("the plan's TLS configuration was written into")
	}
}

// Over plain http, and to servers without it, HTTP/1.1 is spoken though HTTP/2 was asked for: the record tells.
func TestHTTP2IsNotForcedUponAServer(t *testing.T) {
	old, trust := serveTLS(t, app, func(s *httptest.Server) { s.EnableHTTP2 = false })
	for _, url := range []string{serve(t, app), old} {
		r := record(t)
		if err := r.run(t.Context(), arms(t, url, "get"), Plan{Pacing: Constant{20}, Length: 100 * time.Millisecond, TLS: trust, HTTP2: true}); err != nil {
			t.Fatal(err)
		}
		if got := r.ended()["get"][0].Protocols; !slices.Equal(got, []string{"HTTP/1.1"}) {
			t.Errorf("%s: spoke %v", url, got)
		}
	}
}

// A server that shuts down under load sends GOAWAY and ends, and another takes its place behind the same address. What Go's server
// drops then, as a connection that it takes for idle while a request is on its way, is told for what it is, and the arms go on with
// connections to the new one. What becomes of each kind of GOAWAY is in the next test.
func TestAShutdownUnderHTTP2(t *testing.T) {
	var first *httptest.Server
	var served [2]atomic.Int64
	enough := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	answer := func(i int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if served[i].Add(1) == 20 {
				close(enough[i])
			}
			app(w, r)
		}
	}
	url, trust := serveTLS(t, answer(0), func(s *httptest.Server) { first = s })
	second, _ := serveTLS(t, answer(1), nil)
	var switched atomic.Bool // the dial is the router
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if switched.Load() {
			addr = second[len("https://"):]
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	r := record(t)
	g, err := New(r.rec, arms(t, url, "get", "post"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := g.Start(t.Context(), Plan{Pacing: Constant{100}, TLS: trust, HTTP2: true, dial: dial, Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	<-enough[0]
	switched.Store(true)
	if err := first.Config.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-enough[1]
	w.Stop()
	if err := w.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := r.rec.Close(history.EndFinished, ""); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	known := []string{"", "eof", "goaway", "reset", "refused"}
	for arm, hits := range r.hits() {
		for _, h := range hits {
			if !slices.Contains(known, h.Reason) {
				t.Errorf("arm %s: %+v", arm, h)
			}
		}
		if got := r.ended()[arm][0].Protocols; !slices.Equal(got, []string{"HTTP/2.0"}) {
			t.Errorf("arm %s spoke %v", arm, got)
		}
	}
}

// What breaks one stream, or the connection under it. What the server promises not to have touched Go sends again, also a POST without
// a key: such a hit is masked.
func TestEachSicknessOfHTTP2HasItsReason(t *testing.T) {
	ingress := history.ClassIngress
	onlyFirst := func(sick func(stream)) func(stream) {
		return func(s stream) {
			if s.first {
				sick(s)
				return
			}
			s.ok()
		}
	}
	for name, c := range map[string]struct {
		answer func(stream)
		want   []fate
	}{
		"healthy":                     {stream.ok, []fate{ok, ok}},
		"stream refused":              {onlyFirst(func(s stream) { _ = s.WriteRSTStream(s.id, http2.ErrCodeRefusedStream) }), []fate{maskedOnce, ok}},
		"goes away before the stream": {onlyFirst(func(s stream) { _ = s.WriteGoAway(0, http2.ErrCodeNo, nil) }), []fate{maskedOnce, ok}},
		"goes away after the answer": {onlyFirst(func(s stream) {
			s.ok()
			_ = s.WriteGoAway(s.id, http2.ErrCodeNo, nil)
		}), []fate{ok, ok}},
		"goes away with the stream": {onlyFirst(func(s stream) {
			_ = s.WriteGoAway(s.id, http2.ErrCodeEnhanceYourCalm, nil)
			_ = s.conn.Close()
		}), []fate{{ingress, "goaway", 0, 0}, ok}},
		"stream reset": {onlyFirst(func(s stream) { _ = s.WriteRSTStream(s.id, http2.ErrCodeInternal) }), []fate{{ingress, "reset", 0, 0}, ok}},
		"hangs up":     {onlyFirst(func(s stream) { _ = s.conn.Close() }), []fate{{ingress, "eof", 0, 0}, ok}},
	} {
		t.Run(name, func(t *testing.T) {
			url, trust := rawHTTP2(t, c.answer)
			arm := Arm{Name: "plain", Method: "POST", KeepAlive: true, Targets: []string{url}, Body: postBody}
			assertFates(t, arm, Plan{TLS: trust, HTTP2: true}, c.want)
		})
	}
}

// What is checked of an answer is checked in HTTP/2 too.
func TestWrongAnswersOfHTTP2(t *testing.T) {
	const body, digest = "0123456789", "content-digest"
	app, ambiguous, ingress := history.ClassApplication, history.ClassAmbiguous, history.ClassIngress
	echo := strings.ToLower(HitHeader)
	right, wrong := digestOf(body), digestOf(body[1:])
	whole := func(more ...string) func(stream) {
		return func(s stream) {
			s.head(false, more...)
			s.data(true, body)
		}
	}
	trailed := func(trailer string, more ...string) func(stream) {
		return func(s stream) {
			s.head(false, more...)
			s.data(false, body)
			s.fields(true, digest, trailer)
		}
	}
	for name, c := range map[string]struct {
		answer func(stream)
		want   fate
	}{
		"whole":                      {whole("content-length", "10", digest, right), ok},
		"its own id":                 {func(s stream) { whole(echo, s.hit)(s) }, ok},
		"another hit's":              {func(s stream) { whole(echo, s.hit+"0")(s) }, fate{app, "echo", 200, 0}},
		"another hit's, of nobody":   {func(s stream) { s.fields(true, ":status", "200", echo, s.hit+"0") }, fate{ambiguous, "echo", 200, 0}},
		"another body":               {whole(digest, wrong), fate{app, "digest", 200, 0}},
		"no structure":               {whole(digest, "sha-256=0"), fate{app, "digest malformed", 200, 0}},
		"a coding":                   {whole("content-encoding", "gzip"), fate{app, "encoding", 200, 0}},
		"a part":                     {func(s stream) { s.fields(false, ":status", "206"); s.data(true, body) }, fate{ambiguous, "status 206", 206, 0}},
		"trailer":                    {trailed(right, "trailer", digest), ok},
		"trailer wrong":              {trailed(wrong, "trailer", digest), fate{app, "digest", 200, 0}},
		"trailer wrong, unannounced": {trailed(wrong), fate{app, "digest", 200, 0}},
		"trailer, length said":       {trailed(right, "content-length", "10"), ok},
		"trailer wrong, length said": {trailed(wrong, "content-length", "10"), fate{app, "digest", 200, 0}},
		"trailer wrong, head right":  {trailed(wrong, "content-length", "10", digest, right), fate{app, "digest", 200, 0}},
		"trailer of sha-512 wrong":   {trailed(digest512Of(body[1:]), "content-length", "10", digest, right), fate{app, "digest", 200, 0}},
		"shorter than it says":       {whole("content-length", "11"), fate{app, "truncated", 0, 0}},
		"longer than it says":        {whole("content-length", "9"), fate{app, "malformed", 0, 0}},
		"nothing of what it says":    {func(s stream) { s.head(true, "content-length", "10") }, fate{app, "truncated", 0, 0}},
		"reset in the body":          {func(s stream) { s.head(false); s.data(false, body); _ = s.WriteRSTStream(s.id, http2.ErrCodeInternal) }, fate{app, "reset in body", 0, 0}},
		"reset in the body, of nobody": {func(s stream) {
			s.fields(false, ":status", "200")
			s.data(false, body)
			_ = s.WriteRSTStream(s.id, http2.ErrCodeCancel)
		}, fate{ingress, "reset in body", 0, 0}},
		"reset after the end": {func(s stream) { whole()(s); _ = s.WriteRSTStream(s.id, http2.ErrCodeNo) }, ok},
		"goes away in the body": {func(s stream) {
			s.head(false)
			s.data(false, body)
			_ = s.WriteGoAway(s.id, http2.ErrCodeInternal, nil)
			_ = s.conn.Close()
		}, fate{app, "goaway", 0, 0}},
		"hangs up in the body": {func(s stream) { s.head(false); s.data(false, body); _ = s.conn.Close() }, fate{app, "truncated", 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			url, trust := rawHTTP2(t, c.answer)
			arm := Arm{Name: "plain", Method: "GET", KeepAlive: true, Targets: []string{url}}
			assertFates(t, arm, Plan{TLS: trust, HTTP2: true}, []fate{c.want})
		})
	}
}

// A server that wants a client certificate refuses in TLS.
func TestClientCertificates(t *testing.T) {
	url, trust := serveTLS(t, app, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	})
	for _, http2 := range []bool{false, true} {
		if !http2 { // of HTTP/2 Go tells, now and then, only that no connection came about
			refused := fate{history.ClassAmbiguous, "tls", 0, 0}
			assertFates(t, arms(t, url, "get")[0], Plan{TLS: trust}, []fate{refused, refused})
		}
		with := trust.Clone()
		with.Certificates = []tls.Certificate{selfSigned(t)}
		assertFates(t, arms(t, url, "get")[0], Plan{TLS: with, HTTP2: http2}, []fate{ok, ok})
	}
}
