package accesslog

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"bitvault.dev/rollproof/harness/load"
)

// Whatever a log holds, nothing panics, and what is made of it is what traffic check accepts.
func FuzzRead(f *testing.F) {
	for _, c := range publicLines {
		if len(c.line) < 2000 {
			f.Add(c.format, headers[c.format]+"\n"+c.line+"\n")
		}
	}
	f.Fuzz(func(t *testing.T, format, log string) {
		l, err := Read(strings.NewReader(log), Options{Format: format})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error of more than one line: %v", err)
			}
			return
		}
		defer l.Close()
		var out bytes.Buffer
		for e, err := range l.Entries() {
			if err == nil {
				err = e.Write(&out)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		r := load.NewReader(&out)
		for n := range l.Requests {
			if _, err := r.Next(); err != nil {
				t.Fatalf("traffic check refuses request %d of %q: %v", n, log, err)
			}
		}
		left := 0
		for _, c := range l.LeftOut {
			left += c.Lines
		}
		if l.Requests+left != l.Lines {
			t.Fatalf("%d requests and %d lines left out are not %d lines", l.Requests, left, l.Lines)
		}
	})
}

// The path of the replay, percent-decoded, is the bytes that the server saw, percent-decoded: whichever server wrote them down.
func FuzzPath(f *testing.F) {
	for _, path := range []string{"/", "/a b", "/caf\xc3\xa9", "/caf\xe9", `/a"b\c`, "/100%", "/%41%zz?x=%", "/?", "/a\tb\x00\x7f", "//x/../y;z", `/\x41\"`, "/a\v", "/a\u00a0"} {
		f.Add([]byte(path))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		if len(path) == 0 || path[0] != '/' || bytes.ContainsAny(path, "#") || len(path) > 1000 {
			return
		}
		if path[len(path)-1] == ' ' {
			return // a request line does not tell a blank at its end from the one before the version
		}
		for server, written := range map[string]string{
			"combined":   fmt.Sprintf(`192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET %s HTTP/1.1" 200 5`, asNginx(path)),
			"haproxy":    fmt.Sprintf(`192.0.2.1:1 [10/Oct/2025:13:55:36.655] in static/srv1 1/0/3/6/1 200 27 - - ---- 1/1/1/1/0 0/0 "GET %s HTTP/1.1"`, asHAProxy(path)),
			"nginx-json": fmt.Sprintf(`{"msec":"1760104536.1","request_method":"GET","request_uri":"%s","status":"200"}`, asJSON(path)),
		} {
			format, err := named(server)
			if err != nil {
				t.Fatal(err)
			}
			r, left, _, err := replayable(format.open(), []byte(written))
			if left == LostBytes && bytes.Contains(path, []byte("\ufffd")) {
				continue
			}
			if err != nil || left != "" {
				t.Fatalf("%s: %q was left out: %s %v", server, written, left, err)
			}
			decoded, err := url.PathUnescape(string(r.path))
			if err != nil {
				t.Fatalf("%s: %q is not percent-encoded", server, r.path)
			}
			if want := unescapeWith('%', path); decoded != string(want) {
				t.Fatalf("%s: %q was converted to %q: %q is asked for, want %q", server, written, r.path, decoded, want)
			}
		}
	})
}

// asNginx writes bytes as ngx_http_log_escape does.
func asNginx(path []byte) string {
	return escapedBy(path, func(c byte) bool { return c < ' ' || c >= 0x7f || c == '"' || c == '\\' }, `\x%02X`)
}

// asHAProxy writes bytes as HAProxy does (configuration manual, 8.6).
func asHAProxy(path []byte) string {
	return escapedBy(path, func(c byte) bool { return c < ' ' || c >= 0x7f || c == '"' || c == '#' }, `#%02X`)
}

// asJSON writes bytes as nginx does with escape=json: those beyond ASCII as they are.
func asJSON(path []byte) string {
	return escapedBy(bytes.ReplaceAll(path, []byte(`\`), []byte("\\u005c")), func(c byte) bool { return c < ' ' || c == '"' }, `\u%04x`)
}

func escapedBy(path []byte, must func(byte) bool, format string) string {
	var out strings.Builder
	for _, c := range path {
		if must(c) {
			fmt.Fprintf(&out, format, c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}
