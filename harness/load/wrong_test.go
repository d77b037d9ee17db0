package load

import (
	"bufio"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// talker answers each request by what it says of it.
func talker(answer func(req *http.Request) string) func(*net.TCPConn, *bufio.Reader) {
	return func(conn *net.TCPConn, requests *bufio.Reader) {
		for {
			req, err := http.ReadRequest(requests)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			if _, err := io.WriteString(conn, answer(req)); err != nil {
				return
			}
		}
	}
}

// answerTo answers correctly but for the ids of hits it says it answers.
func answerTo(ids ...string) string {
	head := versioned
	for _, id := range ids {
		head += HitHeader + ": " + id + "\r\n"
	}
	return head + "\r\n0123456789"
}

func TestAnAnswerToAnotherHitIsWrong(t *testing.T) {
	wrong := fate{history.ClassApplication, "echo", 200, 0}
	var before atomic.Value
	before.Store("none")
	cases := map[string]struct {
		answer func(id string) string
		want   []fate
	}{
		"its own id":          {func(id string) string { return answerTo(id) }, []fate{ok, ok}},
		"none":                {func(string) string { return answerTo() }, []fate{ok, ok}},
		"shifted by one":      {func(id string) string { return answerTo(before.Swap(id).(string)) }, []fate{wrong, wrong, wrong}},
		"of another arm":      {func(id string) string { return answerTo(strings.Replace(id, "/get/", "/post/", 1)) }, []fate{wrong}},
		"of another run":      {func(id string) string { return answerTo("x" + id) }, []fate{wrong}},
		"cut":                 {func(id string) string { return answerTo(id[:len(id)-1]) }, []fate{wrong}},
		"empty":               {func(string) string { return answerTo("") }, []fate{wrong}},
		"its own and another": {func(id string) string { return answerTo(id, id+"0") }, []fate{wrong}},
		"with another status": {func(id string) string { return strings.Replace(answerTo(id+"0"), "200 OK", "503 No", 1) }, []fate{{history.ClassApplication, "echo", 503, 0}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, talker(func(req *http.Request) string { return c.answer(req.Header.Get(HitHeader)) }))
			assertFates(t, arms(t, url, "get")[0], Plan{}, c.want)
		})
	}
}

// Two requests wait for each other, and each gets the other's answer.
func TestAnswersSwappedBetweenTwoConnectionsAreWrong(t *testing.T) {
	type exchange struct {
		id    string
		other chan string
	}
	waiting := make(chan exchange)
	url := rawServer(t, talker(func(req *http.Request) string {
		own := exchange{req.Header.Get(HitHeader), make(chan string, 1)}
		select {
		case waiting <- own:
			return answerTo(<-own.other)
		case first := <-waiting:
			first.other <- own.id
			return answerTo(first.id)
		}
	}))
	r := record(t)
	if err := r.run(t.Context(), arms(t, url, "get", "get-close"), Plan{Pacing: Constant{40}, Length: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for arm, hits := range r.hits() {
		for _, h := range hits {
			n++
			if h.Reason != "echo" || !h.Echoed || !strings.Contains(h.Error, "test/") {
				t.Errorf("arm %s hit %d: %s %q %q", arm, h.Seq, h.Class, h.Reason, h.Error)
			}
		}
	}
	if n != 8 {
		t.Errorf("%d hits, want 8", n)
	}
}

// What the record says of an answer is what came, whatever became of the hit.
func TestWhatAnswersCarryIsRecorded(t *testing.T) {
	url := rawServer(t, talker(func(req *http.Request) string {
		switch req.URL.Path {
		case "/echo":
			return answerTo(req.Header.Get(HitHeader))
		case "/digest":
			return versioned + "Content-Digest: " + digestOf("0123456789") + "\r\n\r\n0123456789"
		case "/trailer":
			return chunked("", "Content-Digest: "+digestOf("0123456789"))
		case "/md5":
			return versioned + "Content-Digest: md5=:AAAA:\r\n\r\n0123456789"
		case "/empty":
			return versioned + "Content-Digest:\r\n\r\n0123456789"
		}
		return versioned + "\r\n0123456789"
	}))
	var all []string
	for _, path := range []string{"/", "/echo", "/digest", "/trailer", "/md5", "/empty"} {
		all = append(all, url+path)
	}
	arm, err := NewArm("get", all...)
	if err != nil {
		t.Fatal(err)
	}
	r := record(t)
	if err := r.run(t.Context(), []Arm{arm}, Plan{Pacing: Constant{60}, Length: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	want := map[string][2]bool{"/": {false, false}, "/md5": {false, false}, "/empty": {false, false}, "/echo": {true, false}, "/digest": {false, true}, "/trailer": {false, true}}
	hits := r.hits()["get"]
	for _, h := range hits {
		path := strings.TrimPrefix(h.URL, url)
		if got := [2]bool{h.Echoed, h.Digest}; got != want[path] || h.Failed() {
			t.Errorf("%s: echo and digest %v, want %v; %s", path, got, want[path], h.Error)
		}
	}
	if len(hits) != len(want) {
		t.Errorf("%d hits, want %d", len(hits), len(want))
	}
}

func digestOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func digest512Of(body string) string {
	sum := sha512.Sum512([]byte(body))
	return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// chunked is an answer of ten bytes in chunks, with a field in its head and one in its trailer.
func chunked(head, trailer string) string {
	for _, field := range []*string{&head, &trailer} {
		if *field != "" {
			*field += "\r\n"
		}
	}
	return "HTTP/1.1 200 OK\r\nX-Rollproof-Version: v1\r\nTransfer-Encoding: chunked\r\n" + head + "\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n" + trailer + "\r\n"
}

func TestWrongAnswers(t *testing.T) {
	app := history.ClassApplication
	digest, encoding, length := fate{app, "digest", 200, 0}, fate{app, "encoding", 200, 0}, fate{app, "length", 200, 0}
	announced := "Trailer: Content-Digest"
	right, wrong := digestOf("0123456789"), digestOf("0123456780")
	right512, wrong512 := digest512Of("0123456789"), digest512Of("0123456780")
	coded := func(coding string) string { return versioned + "Content-Encoding: " + coding + "\r\n\r\n0123456789" }
	cases := map[string]struct {
		text   string
		arm    string
		accept string // Accept-Encoding of the request
		want   fate
	}{
		"trailer":                               {chunked(announced, "Content-Digest: "+right), "get", "", ok},
		"trailer wrong":                         {chunked(announced, "Content-Digest: "+wrong), "get", "", digest},
		"trailer wrong, not announced":          {chunked("", "Content-Digest: "+wrong), "get", "", digest},
		"trailer of sha-512 wrong, unannounced": {chunked("", "Content-Digest: "+wrong512), "get", "", digest},
		"trailer of sha-512":                    {chunked(announced, "Content-Digest: "+right512), "get", "", ok},
		"trailer of sha-512 wrong":              {chunked(announced, "Content-Digest: "+wrong512), "get", "", digest},
		"trailer wrong after a right head":      {chunked(announced+"\r\nContent-Digest: "+right, "Content-Digest: "+wrong), "get", "", digest},
		"trailer right after a wrong head":      {chunked(announced+"\r\nContent-Digest: "+wrong, "Content-Digest: "+right), "get", "", digest},
		"trailer that is no structure":          {chunked(announced, "Content-Digest: sha-256=hello world"), "get", "", fate{app, "digest malformed", 200, 0}},
		"trailer announced that never came":     {chunked(announced, ""), "get", "", ok},
		"encoding":                              {coded("gzip"), "get", "", encoding},
		"encoding identity":                     {coded("identity"), "get", "", ok},
		"encoding asked for":                    {coded("gzip"), "get", "br, gzip;q=0.5", ok},
		"encoding by its other name":            {coded("x-gzip"), "get", "gzip", ok},
		"any encoding asked for":                {coded("zstd"), "get", "*", ok},
		"encoding ruled out":                    {coded("gzip"), "get", "*, gzip;q=0", encoding},
		"another encoding asked for":            {coded("br"), "get", "gzip", encoding},
		"two encodings, one asked for":          {coded("gzip, br"), "get", "gzip", encoding},
		"encoding of no body":                   {strings.Replace(strings.TrimSuffix(coded("gzip"), "0123456789"), "200 OK", "204 No Content", 1), "get", "", fate{history.ClassOK, "", 204, 0}},
		"one byte too many":                     {versioned + "\r\n0123456789X", "get", "", length},
		"one byte too many, new connection":     {versioned + "\r\n0123456789X", "get-close", "", length},
		"one byte too many, sent once":          {versioned + "\r\n0123456789X", "get-once", "", length},
		"a second answer at once":               {versioned + "\r\n0123456789" + versioned + "\r\n0123456789", "get", "", length},
		"a body where there is none":            {"HTTP/1.1 204 No Content\r\nX-Rollproof-Version: v1\r\n\r\nbody", "get", "", fate{app, "length", 204, 0}},
		"after early hints":                     {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + versioned + "\r\n0123456789", "get", "", ok},
		"too many after early hints":            {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + versioned + "\r\n0123456789X", "get", "", length},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			arm := arms(t, rawServer(t, answering(c.text, false)), c.arm)[0]
			if c.accept != "" {
				arm.Header = http.Header{"Accept-Encoding": {c.accept}}
			}
			assertFates(t, arm, Plan{}, []fate{c.want})
		})
	}
}

// Behind TLS, too, bytes beyond an answer are seen, and with HTTP/2 net/http says so itself.
func TestAnAnswerThatIsLongerThanItSaysOverTLS(t *testing.T) {
	tooLong := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(DefaultVersionHeader, "v1")
		conn, out, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return // HTTP/2
		}
		defer conn.Close()
		_, _ = out.WriteString(versioned + "\r\n0123456789X")
		_ = out.Flush()
	}
	url, trust := serveTLS(t, tooLong, nil)
	for _, name := range []string{"get", "get-close", "get-once"} {
		assertFates(t, arms(t, url, name)[0], Plan{TLS: trust}, []fate{{history.ClassApplication, "length", 200, 0}})
	}
}

// A body that fills more than net/http's buffer leaves the rest on the socket: it comes when the hit has ended, and the window tells.
func TestBytesAfterAnAnswerAreCounted(t *testing.T) {
	const size = 100_000
	text := fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Rollproof-Version: v1\r\nContent-Length: %d\r\n\r\n%0*d%s", size, size, 7, "rest")
	for _, name := range []string{"get", "get-once", "post"} {
		r := record(t)
		arm := arms(t, rawServer(t, answering(text, false)), name)[0]
		if err := r.run(t.Context(), []Arm{arm}, Plan{Pacing: Constant{40}, Length: 100 * time.Millisecond, MaxWorkers: 1, IdleTimeout: time.Minute}); err != nil {
			t.Fatal(err)
		}
		wrong := r.ended()[name][0].Late
		for _, h := range r.hits()[name] {
			if h.Failed() {
				wrong++
			}
		}
		if wrong == 0 {
			t.Errorf("arm %s: four answers were longer than they said, and none was seen", name)
		}
	}
}

// Nothing comes late of a server that is well, whatever is spoken.
func TestNothingIsLateOfAServerThatIsWell(t *testing.T) {
	secure, trust := serveTLS(t, app, nil)
	plain := serve(t, app)
	for name, c := range map[string]struct {
		url  string
		plan Plan
	}{"HTTP/1.1": {plain, Plan{}}, "TLS": {secure, Plan{TLS: trust}}, "HTTP/2": {secure, Plan{TLS: trust, HTTP2: true}}, "HTTP/2 without TLS": {plain, Plan{HTTP2: true}}} {
		r := record(t)
		c.plan.Pacing, c.plan.Length, c.plan.Deadline = Constant{400}, 200*time.Millisecond, time.Minute
		if err := r.run(t.Context(), arms(t, c.url, ArmNames()...), c.plan); err != nil {
			t.Fatal(err)
		}
		for arm, windows := range r.ended() {
			if windows[0].Late != 0 || windows[0].Sent == 0 {
				t.Errorf("%s, arm %s: %d connections with late bytes, of %d hits", name, arm, windows[0].Late, windows[0].Sent)
			}
		}
		for arm, hits := range r.hits() {
			for _, h := range hits {
				if h.Failed() {
					t.Errorf("%s, arm %s: %s %s", name, arm, h.Reason, h.Error)
				}
			}
		}
	}
}

func TestMeterFindsTheEndOfAHead(t *testing.T) {
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	for name, c := range map[string]struct {
		head string
		body string
	}{
		"plain":     {"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "0123"},
		"no body":   {"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", ""},
		"no fields": {"HTTP/1.1 200 OK\r\n\r\n", "\r\n\r\n"},
		"bare LF":   {"HTTP/1.1 200 OK\nA: b\n\n", "\n\n"},
		"hints":     {hints + "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "1"},
		"two hints": {hints + hints + "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "12"},
	} {
		text := c.head + c.body
		for cut := range len(text) {
			m := &meteredConn{late: &atomic.Uint64{}}
			turn := m.begin()
			for _, part := range []string{text[:cut], text[cut:]} {
				m.saw([]byte(part))
			}
			if got := m.end(turn, 0); got != uint64(len(c.body)) {
				t.Fatalf("%s, cut at %d: %d bytes of body, want %d", name, cut, got, len(c.body))
			}
		}
	}
}

func TestMeterCountsWhatNobodyAskedFor(t *testing.T) {
	for text, want := range map[string]uint64{
		"X": 1, "HTTP/1.1 200 OK\r\n": 1, "HTTP/1.1 408 Request Timeout\r\n": 0, "HTTP/1.0 408 Request Time-out\r\n": 0,
	} {
		var late atomic.Uint64
		m := &meteredConn{late: &late}
		turn := m.begin()
		m.saw([]byte("HTTP/1.1 200 OK\r\n\r\n0123"))
		if beyond := m.end(turn, 4); beyond != 0 {
			t.Fatalf("%d bytes beyond a whole answer", beyond)
		}
		m.saw([]byte(text))
		m.saw([]byte(text)) // one connection counts once
		if got := late.Load(); got != want {
			t.Errorf("%q after an answer counts %d, want %d", text, got, want)
		}
	}
	var late atomic.Uint64
	m := &meteredConn{late: &late}
	turn := m.begin()
	m.saw([]byte("HTTP/1.1 200 OK\r\n\r\n0123"))
	if m.end(turn, -1) != 0 || late.Load() != 0 {
		t.Error("an answer of unknown length has bytes beyond its end")
	}
}

// The transport gives a connection to the next hit as soon as an answer is whole: the hit that got it may come to its end later.
func TestMeterOfAConnectionThatIsAlreadyTheNextHits(t *testing.T) {
	var late atomic.Uint64
	m := &meteredConn{late: &late}
	first := m.begin()
	m.saw([]byte("HTTP/1.1 200 OK\r\n\r\n0123456"))
	second := m.begin()
	if beyond := m.end(first, 4); beyond != 3 {
		t.Errorf("%d bytes beyond the first answer, want 3", beyond)
	}
	m.saw([]byte("HTTP/1.1 200 OK\r\n\r\n01"))
	if beyond := m.end(second, 2); beyond != 0 || late.Load() != 0 {
		t.Errorf("%d bytes beyond the second answer, %d connections with late ones, want none", beyond, late.Load())
	}
}

// readAndReset answers the first request of a connection, and resets it when it has read the second.
func readAndReset(read *atomic.Int64) func(*net.TCPConn, *bufio.Reader) {
	return func(conn *net.TCPConn, requests *bufio.Reader) {
		if !readRequest(requests) {
			return
		}
		read.Add(1)
		if _, err := io.WriteString(conn, versioned+"\r\n0123456789"); err != nil || !readRequest(requests) {
			return
		}
		read.Add(1)
		_ = conn.SetLinger(0)
	}
}

// A server that resets every request it reads on a connection used before is answered by Go's transport with the same request again: a
// pass, whatever the request did. The arms that send once tell.
func TestWhatIsReadAndResetIsADropOfArmsThatSendOnce(t *testing.T) {
	lost := fate{history.ClassIngress, "reset", 0, 0}
	keyed := http.Header{"Idempotency-Key": {"k"}}
	for name, c := range map[string]struct {
		arm    string
		header http.Header
		method string
		body   []byte
		want   []fate
	}{
		"get":                       {"get", nil, "GET", nil, []fate{ok, maskedOnce, maskedOnce}},
		"post":                      {"post", nil, "POST", postBody, []fate{ok, maskedOnce, maskedOnce}},
		"get-once":                  {"get-once", nil, "GET", nil, []fate{ok, lost, ok, lost}},
		"HEAD sent once":            {"get-once", nil, "HEAD", nil, []fate{ok, lost, ok, lost}},
		"post-once":                 {"post-once", nil, "POST", postBody, []fate{ok, lost, ok, lost}},
		"post-once with a key":      {"post-once", keyed, "POST", postBody, []fate{ok, lost, ok, lost}},
		"DELETE with a key":         {"post-once", keyed, "DELETE", nil, []fate{ok, lost, ok, lost}},
		"POST of nothing, no key":   {"post-once", nil, "POST", nil, []fate{ok, lost, ok, lost}},
		"POST of nothing and a key": {"post-once", keyed, "POST", nil, []fate{ok, lost, ok, lost}},
	} {
		t.Run(name, func(t *testing.T) {
			var read atomic.Int64
			talk := readAndReset(&read)
			if c.method == "HEAD" {
				talk = func(conn *net.TCPConn, requests *bufio.Reader) {
					if readRequest(requests) {
						_, _ = io.WriteString(conn, versioned+"\r\n")
						if readRequest(requests) {
							_ = conn.SetLinger(0)
						}
					}
				}
			}
			arm := arms(t, rawServer(t, talk), c.arm)[0]
			arm.Method, arm.Body = c.method, c.body
			if c.header != nil {
				arm.Header = c.header
			}
			assertFates(t, arm, Plan{}, c.want)
		})
	}
}

// What is sent once looks on the wire as what is sent again, and its connection is kept.
func TestArmsThatSendOnceLookLikeOthers(t *testing.T) {
	type seen struct {
		length    int64
		encodings int
		body      string
	}
	var mu sync.Mutex
	got := map[string][]seen{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		got[r.URL.Path] = append(got[r.URL.Path], seen{r.ContentLength, len(r.TransferEncoding), string(body)})
		mu.Unlock()
		app(w, r)
	}))
	conns := counted(server)
	server.Start()
	t.Cleanup(server.Close)
	for _, name := range []string{"get", "get-once", "post", "post-once"} {
		before := conns.Load()
		assertFates(t, arms(t, server.URL+"/"+name, name)[0], Plan{}, []fate{ok, ok, ok})
		if opened := conns.Load() - before; opened != 1 {
			t.Errorf("arm %s opened %d connections for three hits, want 1", name, opened)
		}
	}
	for once, other := range map[string]string{"/get-once": "/get", "/post-once": "/post"} {
		if fmt.Sprint(got[once]) != fmt.Sprint(got[other]) || len(got[once]) != 3 {
			t.Errorf("%s sent %v, %s sent %v", once, got[once], other, got[other])
		}
	}
	url, trust := serveTLS(t, app, nil)
	assertFates(t, arms(t, url, "get-once")[0], Plan{HTTP2: true, TLS: trust}, []fate{ok, ok})
}
