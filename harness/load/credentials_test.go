package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// asked is what a server saw of a request, by the arm that sent it.
type asked struct{ authorization, key, host, kind string }

// echoing answers every request with 500 and its own headers, as pages for debugging do.
func echoing(t *testing.T) (string, func() map[string][]asked) {
	var mu sync.Mutex
	seen := map[string][]asked{}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		arm := strings.Split(r.Header.Get(HitHeader), "/")[1]
		mu.Lock()
		seen[arm] = append(seen[arm], asked{r.Header.Get("Authorization"), r.Header.Get("X-Key"), r.Host, r.Header.Get("Content-Type")})
		mu.Unlock()
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "you sent %v", r.Header)
	})
	return url, func() map[string][]asked {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// grep finds a text in the files of a directory.
func grep(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			files = append(files, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCredentialsAndHeadersAreSentAndInNoFile(t *testing.T) {
	url, seen := echoing(t)
	base := strings.TrimPrefix(url, "http://")
	armed := arms(t, "http://user:pass-word@"+base+"/x", "get", "get-close", "post")
	control, err := NewArm("control", url)
	if err != nil {
		t.Fatal(err)
	}
	given, err := ParseHeader([]string{"X-Key: key-of-ours", "Host: app.test", "Content-Type: text/secret"})
	if err != nil {
		t.Fatal(err)
	}
	r := record(t)
	if err := r.run(t.Context(), append(armed, control), Plan{Pacing: Constant{60}, Length: 200 * time.Millisecond, Header: given}); err != nil {
		t.Fatal(err)
	}
	want := asked{"Basic dXNlcjpwYXNzLXdvcmQ=", "key-of-ours", "app.test", "text/secret"}
	for arm, all := range seen() {
		expected := want
		if arm == "control" {
			expected = asked{host: base}
		}
		for _, got := range all {
			if got != expected {
				t.Errorf("arm %s sent %+v, want %+v", arm, got, expected)
			}
		}
	}
	if len(seen()) != 4 {
		t.Errorf("%d arms sent, want 4", len(seen()))
	}
	for _, secret := range []string{"pass-word", "user:", "dXNlcjpwYXNzLXdvcmQ", "key-of-ours", "text/secret"} {
		if files := grep(t, r.dir, secret); len(files) > 0 {
			t.Errorf("%q is in %s", secret, strings.Join(files, ", "))
		}
	}
	if files := grep(t, r.dir, "redacted"); len(files) == 0 {
		t.Error("what the server echoed was not kept, so nothing was tried")
	}
}

// A server can put what it was sent into any part of its answer, and write it as the language of that part wants it.
func TestCredentialsThatComeBackAreInNoFile(t *testing.T) {
	const password, key = `p@ss/"<&>word`, `k"<ey&/@ of+ours`
	userinfo := url.UserPassword("bob", password).String()
	raw := func(text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, text+"\r\n\r\n")
			conn.Close()
		}
	}
	failing := func(header, value, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set(header, value)
			w.WriteHeader(http.StatusFound)
			_, _ = io.WriteString(w, body)
		}
	}
	inJSON, err := json.Marshal([]string{password, key})
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]func(http.ResponseWriter){
		"redirect":        failing("Location", "http://"+userinfo+"@other.test/?key="+url.QueryEscape(key), ""),
		"version":         failing(DefaultVersionHeader, password, ""),
		"pod":             failing(DefaultPodHeader, key, ""),
		"page":            failing("X-Any", "1", html.EscapeString(password+key)),
		"page of JSON":    failing("X-Any", "1", string(inJSON)),
		"page of URLs":    failing("X-Any", "1", url.PathEscape(password)+" "+url.QueryEscape(password)+" "+url.PathEscape(key)),
		"no HTTP":         raw("HTTP/1.1 " + password), // of what follows a blank net/http quotes nothing
		"no header field": raw("HTTP/1.1 200 OK\r\n" + password + key),
		"no length":       raw("HTTP/1.1 200 OK\r\nContent-Length: " + key),
	} {
		t.Run(name, func(t *testing.T) {
			target := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w) })
			r := record(t)
			plan := Plan{Pacing: Constant{20}, Length: 100 * time.Millisecond, Header: http.Header{"X-Key": {key}}}
			if err := r.run(t.Context(), arms(t, strings.Replace(target, "://", "://"+userinfo+"@", 1), "get-close"), plan); err != nil {
				t.Fatal(err)
			}
			for _, trace := range []string{"p@ss", "p%40ss", "k\"", "k\\\"", "ey&", "k%22", "k&#34;", "ey\\u0026", "of+ours"} {
				if files := grep(t, r.dir, trace); len(files) > 0 {
					t.Errorf("%q is in %s", trace, strings.Join(files, ", "))
				}
			}
			if files := grep(t, r.dir, redacted); len(files) == 0 {
				t.Error("nothing of what came back was kept, so nothing was tried")
			}
		})
	}
}

// What the command line says wins over the file, and the file over the user of the target.
func TestHeadersOfReplayedRequests(t *testing.T) {
	url, seen := echoing(t)
	traffic, err := OpenTraffic(writeFile(t, `{"offset":0,"method":"GET","path":"/","headers":{"Authorization":"of the file","X-Key":"of the file"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r := record(t)
	plan := Plan{Pacing: Recorded{}, Traffic: traffic, Header: http.Header{"X-Key": {"of the command"}}}
	if err := r.run(t.Context(), arms(t, strings.Replace(url, "://", "://u:p@", 1), "get"), plan); err != nil {
		t.Fatal(err)
	}
	if got, want := seen()["get"], (asked{"of the file", "of the command", url[len("http://"):], ""}); len(got) != 1 || got[0] != want {
		t.Errorf("the server saw %+v, want %+v", got, want)
	}
}

// An idle connection on which bytes come that nobody asked for fails no hit: Go logs it, and the record notes it.
func TestUnsolicitedBytesAreANoteAndTearNoDisplay(t *testing.T) {
	var display bytes.Buffer
	before := log.Writer()
	log.SetOutput(&display)
	defer log.SetOutput(before)
	url := rawServer(t, func(conn *net.TCPConn, requests *bufio.Reader) {
		for readRequest(requests) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokand bytes that nobody asked for")
		}
	})
	r := record(t)
	plan := Plan{Pacing: Constant{20}, Length: 500 * time.Millisecond}
	release := CatchLog(arms(t, url, "get"), plan)
	err := Run(t.Context(), r.rec, arms(t, url, "get"), plan)
	if err := release(r.rec); err != nil {
		t.Error(err)
	}
	if closed := r.rec.Close(history.EndFinished, ""); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
	log.Print("given back")
	if got := display.String(); !strings.HasSuffix(got, "given back\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("the display shows %q", got)
	}
	lines := 0.0
	for e, err := range r.open().Events() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != history.KindNote {
			continue
		}
		if n, ok := e.Note.Data.(map[string]any)["lines"].(float64); ok {
			lines += n
		}
	}
	if lines == 0 {
		t.Error("the record has no note of it")
	}
}

func TestTheProtocolThatWasSpokenIsRecorded(t *testing.T) {
	r := record(t)
	url := rawServer(t, answering("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", true))
	plain, err := NewArm("get-close", serve(t, app))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.run(t.Context(), append(arms(t, url, "get"), plain), Plan{Pacing: Constant{40}, Length: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	for arm, want := range map[string]string{"get": "HTTP/1.0", "get-close": "HTTP/1.1"} {
		if got := r.ended()[arm][0].Protocols; !slices.Equal(got, []string{want}) {
			t.Errorf("arm %s spoke %v, want %s", arm, got, want)
		}
	}
}

// What Go's library logs is what a server sent, and may repeat a secret: whole, cut where a line is, or cut where the reading was.
func TestTheLogOfGoHoldsNoSecret(t *testing.T) {
	const key = "of ours and secret"
	arm := arms(t, "http://127.0.0.1:1", "get")[0]
	for name, c := range map[string]struct{ line, want string }{
		"whole":         {"starting with \"key " + key + "\"; err=<nil>\n", "starting with \"key redacted\"; err=<nil>"},
		"read in part":  {"starting with \"key " + key[:15] + "\"; err=<nil>\n", "starting with \"key redacted\"; err=<nil>"},
		"a long line":   {strings.Repeat("x", keptLogLine-10) + key + key, strings.Repeat("x", keptLogLine-10) + "redactedre"},
		"cut within it": {strings.Repeat("x", keptLogLine-10) + key[:17], strings.Repeat("x", keptLogLine-10) + "redacted"},
		"nothing of it": {"a line\n", "a line"},
	} {
		r := record(t)
		release := CatchLog([]Arm{arm}, Plan{Header: http.Header{"X-Key": {key}}})
		log.Writer().Write([]byte(c.line))
		if err := errors.Join(release(r.rec), r.rec.Close(history.EndFinished, "")); err != nil {
			t.Fatal(err)
		}
		var got string
		for e, err := range r.open().Events() {
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind == history.KindNote {
				got = e.Note.Data.(map[string]any)["first"].([]any)[0].(string)
			}
		}
		if got != c.want {
			t.Errorf("%s: kept %q, want %q", name, got, c.want)
		}
	}
}

// A text that is cut before its secrets are replaced keeps what stands across the cut.
func TestAnExcerptIsCutWhenItsSecretsAreReplaced(t *testing.T) {
	const key = "0123456789-of-ours"
	for name, header := range map[string]string{"an echo": HitHeader, "a coding": "Content-Encoding"} {
		for _, before := range []int{0, 80, 90, 95, 100, 150} {
			target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(header, strings.Repeat("x", before)+key+"-and-more")
				_, _ = io.WriteString(w, "0123456789")
			})
			r := record(t)
			plan := Plan{Pacing: Constant{20}, Length: 50 * time.Millisecond, Header: http.Header{"X-Key": {key}}}
			if err := r.run(t.Context(), arms(t, target, "get"), plan); err != nil {
				t.Fatal(err)
			}
			for _, h := range r.hits()["get"] {
				if !h.Failed() || !strings.Contains(h.Error, "xxx") && before > 0 || strings.Contains(h.Error, "0123") {
					t.Errorf("%s, %d bytes before the secret: %q", name, before, h.Error)
				}
			}
		}
	}
}
