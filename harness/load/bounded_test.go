package load

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// neverEnding writes again and again, until the client hangs up.
func neverEnding(first, again string) func(*net.TCPConn, *bufio.Reader) {
	return func(conn *net.TCPConn, requests *bufio.Reader) {
		if !readRequest(requests) {
			return
		}
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = requests.ReadByte() // returns when the client hangs up
		}()
		_, _ = io.WriteString(conn, first)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-gone:
				return
			case <-tick.C:
			}
			if _, err := io.WriteString(conn, again); err != nil {
				return
			}
		}
	}
}

// silent reads and never answers: of a client that speaks TLS it gets the first message.
func silent(_ *net.TCPConn, requests *bufio.Reader) { _, _ = io.Copy(io.Discard, requests) }

// Whatever a server does, a hit ends at its deadline at the latest, and with the last hit the window.
func TestEveryReadIsBoundedByTheDeadline(t *testing.T) {
	switching := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
	ambiguous := history.ClassAmbiguous
	cases := map[string]struct {
		talk func(*net.TCPConn, *bufio.Reader)
		arms []string
		want fate
	}{
		"switches protocols and says nothing more": {answering(switching, false), []string{"get", "post-close"}, fate{ambiguous, "status 101", 101, 0}},
		"switches protocols and talks for ever":    {neverEnding(switching, "x"), []string{"get", "post-close"}, fate{ambiguous, "status 101", 101, 0}},
		"switches protocols without an upgrade":    {answering("HTTP/1.1 101 What\r\n\r\n", false), []string{"get"}, fate{ambiguous, "status 101", 101, 0}},
		"a body that trickles":                     {neverEnding("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", "x"), []string{"get", "get-close"}, fate{ambiguous, "deadline in body", 0, 0}},
		"a body in chunks without end":             {neverEnding("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"), []string{"get", "get-close"}, fate{ambiguous, "deadline in body", 0, 0}},
		"a body until the connection closes":       {neverEnding("HTTP/1.1 200 OK\r\n\r\n", "x"), []string{"get"}, fate{ambiguous, "deadline in body", 0, 0}},
		"a body that never comes":                  {answering(anonymous+"\r\n", false), []string{"get"}, fate{ambiguous, "deadline in body", 0, 0}},
		"trailers without end":                     {neverEnding("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n"), []string{"get"}, fate{ambiguous, "deadline in body", 0, 0}},
		"a header that trickles":                   {neverEnding("HTTP/1.1 200 OK\r\nX-Long: ", "x"), []string{"get", "get-close"}, fate{ambiguous, "deadline", 0, 0}},
		"header fields that trickle":               {neverEnding("HTTP/1.1 200 OK\r\n", "X-Many: x\r\n"), []string{"get"}, fate{ambiguous, "deadline", 0, 0}},
		"a status line that trickles":              {neverEnding("", "H"), []string{"get"}, fate{ambiguous, "deadline", 0, 0}},
		"a flood of informational answers":         {neverEnding("", "HTTP/1.1 103 Early Hints\r\n\r\n"), []string{"get"}, fate{ambiguous, "deadline", 0, 0}},
		"continue for ever, a body unasked":        {neverEnding("", "HTTP/1.1 100 Continue\r\n\r\n"), []string{"post", "post-close"}, fate{ambiguous, "deadline", 0, 0}},
		"reads and never answers":                  {silent, []string{"get", "get-close", "post"}, fate{ambiguous, "deadline", 0, 0}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := rawServer(t, c.talk)
			for _, arm := range c.arms {
				assertFates(t, arms(t, url, arm)[0], Plan{Deadline: 400 * time.Millisecond}, []fate{c.want, c.want})
			}
		})
	}
}

func TestATLSHandshakeThatHangsIsBoundedByTheDeadline(t *testing.T) {
	url := "https" + strings.TrimPrefix(rawServer(t, silent), "http")
	connecting := fate{history.ClassAmbiguous, "deadline connecting", 0, 0}
	for _, http2 := range []bool{false, true} {
		assertFates(t, arms(t, url, "get")[0], Plan{Deadline: 400 * time.Millisecond, HTTP2: http2}, []fate{connecting, connecting})
	}
}

// A proxy of the environment would be one more thing that can hang, or drop, and be blamed on the product: none is used.
func TestNoProxyIsUsed(t *testing.T) {
	asked := make(chan string, 100)
	proxy := serve(t, func(_ http.ResponseWriter, r *http.Request) { asked <- r.Method })
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, proxy)
	}
	h := newHitter(Plan{}.withDefaults(), arms(t, "https://rollproof.invalid/", "get")[0], history.NewClock(), "test", 1, &connCount{}, 1)
	if h.transport.Proxy != nil {
		t.Error("the transport asks for a proxy")
	}
	assertFates(t, arms(t, serve(t, app), "get")[0], Plan{}, []fate{ok, ok})
	if len(asked) > 0 {
		t.Errorf("the proxy was asked for %s", <-asked)
	}
}

// The file of the case that hung a run for ever, against every signal.
func TestOneSwitchedProtocolInTheMiddleOfAReplay(t *testing.T) {
	url := rawServer(t, func(conn *net.TCPConn, requests *bufio.Reader) {
		for {
			request, err := http.ReadRequest(requests)
			if err != nil {
				return
			}
			answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
			if request.URL.Path == "/ws" {
				answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
			}
			_, _ = io.WriteString(conn, answer)
		}
	})
	traffic, err := OpenTraffic(writeFile(t, `{"offset":"0s","method":"GET","path":"/a"}
{"offset":"10ms","method":"GET","path":"/ws"}
{"offset":"20ms","method":"GET","path":"/b"}
`))
	if err != nil {
		t.Fatal(err)
	}
	r := record(t)
	if err := r.run(t.Context(), arms(t, url, "get"), Plan{Pacing: Recorded{}, Traffic: traffic, Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	r.assertAccounted()
	got := map[string]uint16{}
	for _, h := range r.hits()["get"] {
		got[h.URL[len(url):]] = h.Code
	}
	if want := (map[string]uint16{"/a": 200, "/ws": 101, "/b": 200}); !maps.Equal(got, want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
}
