package accesslog

import (
	"bytes"
	"errors"
	"time"
)

var errCombined = errors.New(`want a line like 192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 612`)

// parseCombined reads what has a time in brackets, then a request between quotes, its status and at least one field more. What stands
// before the time and what comes last differs from server to server, and is not looked at.
func parseCombined(line []byte) (l logged, _ Reason, _ error) {
	for from := 0; ; {
		open := bytes.IndexByte(line[from:], '[')
		if open < 0 {
			return l, "", errCombined
		}
		from += open + 1
		end := bytes.IndexByte(line[from:], ']') // a user may be called "[x]": only what reads as a time is one
		if end < 0 {
			return l, "", errCombined
		}
		at, ok := readTime(line[from : from+end])
		if !ok {
			continue
		}
		raw, status, ok := requestAndStatus(line[from+end+1:])
		if !ok {
			return l, "", errCombined
		}
		l.at, l.status = at, status
		return l, l.split(unescape(raw)), nil
	}
}

// requestAndStatus finds the first field between quotes that a status follows. Fields before it are passed over: nginx users put $host
// there, S3 the operation.
func requestAndStatus(rest []byte) (request []byte, status int, ok bool) {
	for i := 0; i < len(rest); i++ {
		if rest[i] != '"' {
			continue
		}
		end := closing(rest, i+1)
		for ; end >= 0; end = closing(rest, end+1) {
			if status, ok = statusThen(rest[end+1:]); ok {
				return rest[i+1 : end], status, true
			}
			if !beginsRequest(rest[i+1 : end]) { // else a quote that the server did not escape, inside of the request
				break
			}
		}
		if end < 0 {
			return nil, 0, false
		}
		i = end
	}
	return nil, 0, false
}

// closing finds the next quote that no backslash escapes.
func closing(b []byte, from int) int {
	end := bytes.IndexByte(b[from:], '"')
	if end < 0 {
		return -1
	}
	first := bytes.IndexByte(b[from:from+end], '\\')
	if first < 0 {
		return from + end
	}
	for i := from + first; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// beginsRequest reports whether a field between quotes looks like the first half of a request line.
func beginsRequest(field []byte) bool {
	method, rest, ok := bytes.Cut(field, []byte{' '})
	return ok && token(method) && bytes.IndexByte(rest, '/') >= 0 && !bytes.Contains(rest, []byte(" HTTP/"))
}

// statusThen reads " 200 " or " - ", and wants a field after it: in a log that has sizes but no status (mod_ssl's ssl_request_log) the size
// would be taken for one.
func statusThen(b []byte) (status int, ok bool) {
	field, rest, more := bytes.Cut(bytes.TrimLeft(b, " "), []byte{' '})
	if !more || len(rest) == 0 || len(b) == 0 || b[0] != ' ' {
		return 0, false
	}
	return readStatus(field)
}

// readStatus reads up to three digits. "-" is 0: none was recorded.
func readStatus(field []byte) (int, bool) {
	if string(field) == "-" {
		return 0, true
	}
	status := 0
	for _, c := range field {
		if !digit(c) {
			return 0, false
		}
		status = 10*status + int(c-'0')
	}
	return status, len(field) == 3 || string(field) == "0"
}

// timeLayouts are how servers write a moment. Go reads a fraction of a second after each of them. Without a zone it is taken as UTC:
// only differences count.
var timeLayouts = []string{
	"02/Jan/2006:15:04:05 -0700", // Apache, nginx $time_local
	time.RFC3339,                 // Envoy, nginx $time_iso8601, AWS
	"02/Jan/2006:15:04:05",       // HAProxy
	"02/Jan/2006 15:04:05",       // Python's http.server, Flask
	"2006-01-02T15:04:05-0700",   // Caddy's iso8601
	"2006-01-02T15:04:05",        // Envoy with a format of its own
	"2006-01-02 15:04:05",        // IIS, CloudFront
	"2006/01/02 15:04:05",        // Caddy's wall
}

func readTime(b []byte) (time.Time, bool) {
	if len(b) < len("2006-01-02 15:04:05") || len(b) > 40 || !digit(b[0]) {
		return time.Time{}, false
	}
	text := string(b)
	for _, layout := range timeLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, at.Year() >= 1970 && at.Year() <= 2200
		}
	}
	return time.Time{}, false
}
