package load

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
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

	"bitvault.dev/rollproof/harness/history"
)

// rawServer hands each connection to a function that talks HTTP by hand and as badly as it likes.
func rawServer(t testing.TB, talk func(conn *net.TCPConn, requests *bufio.Reader)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				talk(conn.(*net.TCPConn), bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		open.Wait()
	})
	return "http://" + listener.Addr().String()
}

// readRequest takes in one whole request; false when the client hung up.
func readRequest(requests *bufio.Reader) bool {
	req, err := http.ReadRequest(requests)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

const (
	versioned = "HTTP/1.1 200 OK\r\nX-Rollproof-Version: v1\r\nContent-Length: 10\r\n"
	anonymous = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n"
)

// answering writes the same bytes to every request, and hangs up after it when told.
func answering(text string, hangUp bool) func(*net.TCPConn, *bufio.Reader) {
	return func(conn *net.TCPConn, requests *bufio.Reader) {
		for readRequest(requests) {
			if _, err := io.WriteString(conn, text); err != nil || hangUp {
				return
			}
		}
	}
}

// watchedDial makes connections that tell when they have read as far as the body.
func watchedDial(read chan<- struct{}) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &watchedConn{Conn: conn, read: read}, err
	}
}

type watchedConn struct {
	net.Conn
	read chan<- struct{}
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.read <- struct{}{}
	}
	return n, err
}

// fate is what a hit must be recorded as.
type fate struct {
	class  history.Class
	reason string
	code   uint16
	masked int
}

var (
	ok         = fate{history.ClassOK, "", 200, 0}
	maskedOnce = fate{history.ClassOK, "", 200, 1}
)

func TestEachSicknessHasItsClassAndReason(t *testing.T) {
	app, ingress, ambiguous, harness := history.ClassApplication, history.ClassIngress, history.ClassAmbiguous, history.ClassHarness
	digest := func(field string) string { return versioned + "Content-Digest: " + field + "\r\n\r\n0123456789" }
	sum512 := sha512.Sum512([]byte("0123456789"))
	right512 := base64.StdEncoding.EncodeToString(sum512[:])
	sum256 := func(body string) string {
		sum := sha256.Sum256([]byte(body))
		return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	right, wrong := sum256("0123456789"), sum256("0123456780")
	bodyRead := make(chan struct{}, 1000)

	cases := map[string]struct {
		talk func(*net.TCPConn, *bufio.Reader)
		arm  string
		dial dialFunc
		want []fate
	}{
		"healthy":                {answering(digest(right), false), "get", nil, []fate{ok, ok, ok}},
		"sha-512":                {answering(digest("sha-512=:"+right512+":"), false), "get", nil, []fate{ok}},
		"two digests":            {answering(digest(right+", sha-512=:"+right512+":;why=\"both\""), false), "get", nil, []fate{ok}},
		"second digest wrong":    {answering(digest("sha-512=:"+right512+":, "+wrong), false), "get", nil, []fate{{app, "digest", 200, 0}}},
		"unknown digest alone":   {answering(digest("crc32c=:AAAAAA==:"), false), "get", nil, []fate{ok}},
		"wrong content":          {answering(digest(wrong), false), "get", nil, []fate{{app, "digest", 200, 0}}},
		"digest is no structure": {answering(digest("sha-256=hello world"), false), "get", nil, []fate{{app, "digest malformed", 200, 0}}},
		"digest too short":       {answering(digest("sha-256=:AAAA:"), false), "get", nil, []fate{{app, "digest malformed", 200, 0}}},
		"wrong content, nobody's": {
			answering(anonymous+"Content-Digest: "+wrong+"\r\n\r\n0123456789", false), "get", nil, []fate{{ambiguous, "digest", 200, 0}},
		},
		"truncated":              {answering(versioned+"\r\n01234", true), "get", nil, []fate{{app, "truncated", 0, 0}}},
		"truncated by ingress":   {answering(anonymous+"\r\n01234", true), "get", nil, []fate{{ingress, "truncated", 0, 0}}},
		"truncated chunks":       {answering("HTTP/1.1 200 OK\r\nX-Rollproof-Version: v1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n", true), "get", nil, []fate{{app, "truncated", 0, 0}}},
		"hangs up at once":       {answering("", true), "get", nil, []fate{{ingress, "eof", 0, 0}}},
		"no HTTP":                {answering("SSH-2.0-what\r\n\r\n", true), "get", nil, []fate{{ingress, "malformed", 0, 0}}},
		"two lengths":            {answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 11\r\n\r\n0123456789", true), "get", nil, []fate{{ingress, "malformed", 0, 0}}},
		"an odd length":          {answering("HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n0123456789", true), "get", nil, []fate{{ingress, "malformed", 0, 0}}},
		"two encodings":          {answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n", true), "get", nil, []fate{{ingress, "malformed", 0, 0}}},
		"too long a head":        {answering("HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("x", 11<<20)+"\r\n\r\n", true), "get", nil, []fate{{ingress, "malformed", 0, 0}}},
		"chunks of no size":      {answering("HTTP/1.1 200 OK\r\nX-Rollproof-Version: v1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", true), "get", nil, []fate{{app, "malformed", 0, 0}}},
		"redirect":               {answering("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", false), "get", nil, []fate{{ambiguous, "status 302", 302, 0}}},
		"503 by the ingress":     {answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", false), "get", nil, []fate{{ingress, "status 503", 503, 0}}},
		"503 by the application": {answering("HTTP/1.1 503 Service Unavailable\r\nX-Rollproof-Version: v1\r\nContent-Length: 0\r\n\r\n", false), "get", nil, []fate{{app, "status 503", 503, 0}}},
		"slow head":              {func(_ *net.TCPConn, r *bufio.Reader) { readRequest(r); readRequest(r) }, "get", nil, []fate{{ambiguous, "deadline", 0, 0}}},
		"slow body": {func(c *net.TCPConn, r *bufio.Reader) {
			readRequest(r)
			_, _ = io.WriteString(c, versioned+"\r\n01234")
			readRequest(r) // until the client hangs up
		}, "get", nil, []fate{{ambiguous, "deadline in body", 0, 0}}},
		"reset before the head": {func(c *net.TCPConn, r *bufio.Reader) {
			readRequest(r)
			_ = c.SetLinger(0)
		}, "post-close", nil, []fate{{ingress, "reset", 0, 0}}},
		"reset in the body": {func(c *net.TCPConn, r *bufio.Reader) {
			readRequest(r)
			_ = c.SetLinger(0)
			_, _ = io.WriteString(c, versioned+"\r\n01234")
			<-bodyRead // a reset overtakes what was not read yet
		}, "get", watchedDial(bodyRead), []fate{{app, "reset in body", 0, 0}}},
		"no local address": {answering(digest(right), false), "get", func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}).DialContext(ctx, network, addr)
		}, []fate{{harness, "no local address", 0, 0}}},
		"no such name": {answering(digest(right), false), "get", func(ctx context.Context, network, addr string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}
		}, []fate{{harness, "name", 0, 0}}},

		// Each connection answers one request and hangs up on the second: the worst moment to close an idle connection.
		"idle close under GET":               {oneAnswer(digest(right)), "get", nil, []fate{ok, maskedOnce, maskedOnce, maskedOnce}},
		"idle close under POST with key":     {oneAnswer(digest(right)), "post", nil, []fate{ok, maskedOnce, maskedOnce, maskedOnce}},
		"idle close under plain POST":        {oneAnswer(digest(right)), "plain", nil, []fate{ok, {ingress, "eof", 0, 0}, ok, {ingress, "eof", 0, 0}}},
		"idle close without keep-alive":      {oneAnswer(digest(right)), "post-close", nil, []fate{ok, ok, ok, ok}},
		"masked, and then wrong nonetheless": {oneAnswer(digest(wrong)), "get", nil, []fate{{app, "digest", 200, 0}, {app, "digest", 200, 1}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, c.talk)
			arm := Arm{Name: "plain", Method: "POST", KeepAlive: true, Body: postBody, Targets: []string{url}}
			if c.arm != "plain" {
				arm = arms(t, url, c.arm)[0]
			}
			plan := Plan{dial: c.dial}
			if strings.HasPrefix(name, "slow") {
				plan.Deadline = 500 * time.Millisecond
			}
			assertFates(t, arm, plan, c.want)
		})
	}
}

// oneAnswer answers the first request of a connection and hangs up when the second has arrived.
func oneAnswer(text string) func(*net.TCPConn, *bufio.Reader) {
	return func(conn *net.TCPConn, requests *bufio.Reader) {
		if readRequest(requests) {
			_, _ = io.WriteString(conn, text)
			readRequest(requests)
		}
	}
}

// assertFates sends as many hits as there are fates, one at a time, and compares.
func assertFates(t *testing.T, arm Arm, plan Plan, want []fate) {
	t.Helper()
	r := record(t)
	plan.Pacing, plan.Length, plan.MaxWorkers = Constant{40}, time.Duration(len(want))*25*time.Millisecond, 1
	plan.Grace = time.Minute
	if err := r.run(t.Context(), []Arm{arm}, plan); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	hits := r.hits()[arm.Name]
	if len(hits) != len(want) {
		t.Fatalf("%d hits, want %d", len(hits), len(want))
	}
	for i, h := range hits {
		if got := (fate{h.Class, h.Reason, h.Code, h.Masked}); got != want[i] {
			t.Errorf("hit %d: %+v, want %+v; error %q", i, got, want[i], h.Error)
		}
		if h.Failed() && h.Error == "" {
			t.Errorf("hit %d failed and its error is empty", i)
		}
	}
}

func TestRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	_ = listener.Close()
	refused := fate{history.ClassIngress, "refused", 0, 0}
	assertFates(t, arms(t, url, "get")[0], Plan{}, []fate{refused, refused})
}

func TestTLSFailures(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(app))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the handshakes that are meant to fail
	server.StartTLS()
	t.Cleanup(server.Close)
	tlsFault := []fate{{history.ClassAmbiguous, "tls", 0, 0}}
	assertFates(t, arms(t, server.URL, "get")[0], Plan{}, tlsFault) // a certificate nobody knows
	plain := serve(t, app)
	assertFates(t, arms(t, "https"+plain[len("http"):], "get")[0], Plan{}, tlsFault)
	trusting := server.Client().Transport.(*http.Transport).TLSClientConfig
	assertFates(t, arms(t, server.URL, "get")[0], Plan{TLS: trusting}, []fate{ok, ok})
}

// One bad answer among many is found, and it alone; the first bytes of its body are kept.
func TestOneBadAnswerAmongMany(t *testing.T) {
	const bad = 137
	var served atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == bad {
			w.Header().Set(DefaultVersionHeader, "v2")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, "%0600d", 7)
			return
		}
		app(w, r)
	})
	r := record(t)
	if err := r.run(t.Context(), arms(t, url, "get", "post"), Plan{Pacing: Constant{1000}, Length: 500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	var failed []history.Hit
	for _, hits := range r.hits() {
		for _, h := range hits {
			if h.Failed() {
				failed = append(failed, h)
			}
		}
	}
	if len(failed) != 1 || failed[0].Reason != "status 503" || failed[0].Version != "v2" || len(failed[0].Body) != keptBody || failed[0].BytesIn != 600 {
		t.Errorf("failed hits: %+v", failed)
	}
}

func TestRequestsOfATrafficFile(t *testing.T) {
	type seen struct{ method, path, body, kind, host string }
	var mu sync.Mutex
	var got []seen
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		got = append(got, seen{r.Method, r.URL.RequestURI(), string(body), r.Header.Get("X-Kind"), r.Host})
		mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "/gone") && r.Method == http.MethodGet {
			w.WriteHeader(http.StatusGone)
		}
	})
	file := writeFile(t, `{"offset":"0s","method":"GET","path":"/a?q=1","headers":{"X-Kind":"first","Host":"bitvault.test"}}
{"offset":1000000,"method":"POST","path":"/b","body":"text"}

{"offset":"2ms","method":"GET","path":"/gone","status":[410]}
{"offset":"3ms","method":"PUT","path":"/c","bodyBase64":"AAE="}
{"offset":"4ms","method":"HEAD","path":"/gone"}
`)
	traffic, err := OpenTraffic(file)
	if err != nil {
		t.Fatal(err)
	}
	r := record(t)
	if err := r.run(t.Context(), arms(t, url+"/base/", "get", "post")[:2], Plan{Pacing: Recorded{Speed: 0.1}, Traffic: traffic}); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	base := url[len("http://"):]
	want := []seen{
		{"GET", "/base/a?q=1", "", "first", "bitvault.test"}, {"POST", "/base/b", "text", "", base}, {"GET", "/base/gone", "", "", base},
		{"PUT", "/base/c", "\x00\x01", "", base}, {"HEAD", "/base/gone", "", "", base},
	}
	byPath := func(a, b seen) int { return strings.Compare(a.path+a.method, b.path+b.method) } // on a busy machine arms overtake each other
	slices.SortFunc(got, byPath)
	slices.SortFunc(want, byPath)
	if !slices.Equal(got, want) {
		t.Errorf("the server saw\n%q, want\n%q", got, want)
	}
	for arm, hits := range r.hits() {
		for _, h := range hits {
			if due := h.Intended - r.ended()[arm][0].Begin; due%(10*time.Millisecond) != 0 {
				t.Errorf("arm %s hit %d is due at %s, want a multiple of 10ms", arm, h.Seq, due)
			}
		}
	}
}
