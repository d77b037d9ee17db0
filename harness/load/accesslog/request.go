package accesslog

import (
	"bytes"
	"net/http"
	"time"

	"golang.org/x/net/http/httpguts"
)

// logged is what a format finds in a line: the bytes that the client sent, with the log's own escapes undone.
type logged struct {
	at       time.Time
	method   []byte
	target   []byte
	protocol []byte // empty where the format has none
	status   int    // 0: none is recorded
	absolute bool   // the format writes every target as an absolute URI
}

// request is what is replayed of a line.
type request struct {
	at     int64 // nanoseconds since 1970
	method string
	path   []byte // percent-encoded, with the query
	status int
}

// safeMethods are those that promise to change nothing (RFC 9110, 9.2.1).
var safeMethods = []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}

// split takes a request line apart. The reason tells why it is none of HTTP/1.0 or later. A blank inside the target is kept: scanners
// and careless clients send it, and servers answer.
func (l *logged) split(line []byte) Reason {
	line = bytes.Trim(line, " ") // only blanks: what else counts as white space may be bytes of the path
	switch {
	case len(line) == 0, line[0] == '-' && len(bytes.Trim(line, "- ")) == 0:
		return EmptyRequest
	case bytes.HasPrefix(line, []byte{0x16, 0x03}): // a TLS record of type handshake (RFC 8446, 5.1)
		return TLSHandshake
	}
	method, rest, ok := bytes.Cut(line, []byte{' '})
	switch {
	case ok && string(method) == "-": // AWS: "- http://example.org:80- -"
		return EmptyRequest
	case !ok || !token(method):
		return NotHTTP
	}
	last := bytes.LastIndexByte(rest, ' ')
	l.method, l.target, l.protocol = method, bytes.Trim(rest[:max(last, 0)], " "), rest[last+1:]
	if last < 0 || !versioned(l.protocol) {
		if rest[0] == '/' {
			return HTTP09
		}
		return NotHTTP
	}
	return ""
}

// refused says why a request is not replayed, by its method, protocol and status; "" if it may be. The path is judged by pathOf.
func (l *logged) refused() Reason {
	method := string(l.method)
	switch {
	case len(l.protocol) > 0 && !bytes.HasPrefix(l.protocol, []byte("HTTP/")):
		return OtherProtocol
	case method == "PRI" && string(l.target) == "*": // RFC 9113, 3.4
		return Preface
	case method == http.MethodConnect:
		return Connect
	case method == "-":
		return EmptyRequest
	case !token(l.method):
		return NotHTTP
	case bytes.ContainsFunc(l.method, func(r rune) bool { return r >= 'a' && r <= 'z' }):
		return MethodCase
	case method == http.MethodOptions && string(l.target) == "*":
		return ServerWide
	case safeMethod(l.method) == "":
		return Unsafe
	}
	return statusRefused(l.status)
}

// safeMethod gives the method as one of safeMethods, or "".
func safeMethod(method []byte) string {
	for _, m := range safeMethods {
		if string(method) == m {
			return m
		}
	}
	return ""
}

func token(b []byte) bool { return httpguts.ValidHeaderFieldName(string(b)) } // both are tokens (RFC 9110, 5.1 and 9.1)

// versioned reports whether b names a protocol and its version: HTTP/1.1, HTTP/2, RTSP/1.0.
func versioned(b []byte) bool {
	name, version, ok := bytes.Cut(b, []byte{'/'})
	if !ok || len(name) == 0 || len(version) != 1 && (len(version) != 3 || version[1] != '.') {
		return false
	}
	for _, c := range name {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return digit(version[0]) && digit(version[len(version)-1])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
