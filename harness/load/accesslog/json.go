package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonKeys are the members of an object that hold what is needed; of several names the first that is there counts. A dot leads into an
// inner object.
type jsonKeys struct {
	at, method, target, protocol, status []string
	line                                 []string // a whole request line, instead of method, target and protocol
}

var (
	traefikKeys = jsonKeys{at: []string{"StartUTC", "StartLocal"}, method: []string{"RequestMethod"}, target: []string{"RequestPath"},
		protocol: []string{"RequestProtocol"}, status: []string{"DownstreamStatus", "OriginStatus"}}
	caddyKeys = jsonKeys{at: []string{"ts"}, method: []string{"request.method"}, target: []string{"request.uri"},
		protocol: []string{"request.proto"}, status: []string{"status"}}
	nginxKeys = jsonKeys{at: []string{"time_iso8601", "time_local", "msec", "time", "timestamp", "@timestamp", "ts"}, line: []string{"request"},
		method: []string{"request_method", "method"}, target: []string{"request_uri"}, protocol: []string{"server_protocol"}, status: []string{"status"}}
	envoyKeys = jsonKeys{at: []string{"start_time"}, method: []string{"method"}, target: []string{"path"},
		protocol: []string{"protocol"}, status: []string{"response_code"}}
)

func jsonFormat(name, about string, keys jsonKeys, example string) Format {
	return Format{Name: name, About: about, Example: example, open: func() parser { return (&jsonLines{jsonKeys: keys}).parse }}
}

// jsonLines reads a log of objects. What it found in the line before is written over.
type jsonLines struct {
	jsonKeys
	found members
}

// parse reads the object that the line ends with; what stands before it (the time of kubectl logs, a syslog header) is passed over.
func (k *jsonLines) parse(line []byte) (l logged, _ Reason, _ error) {
	i := bytes.IndexByte(line, '{')
	if i < 0 {
		return l, "", errors.New("want one JSON object a line")
	}
	k.found = k.found[:0]
	if err := k.found.read(line[i:], ""); err != nil {
		return l, "", err
	}
	at := k.found.first(k.at)
	status := k.found.first(k.status)
	switch {
	case at == nil:
		return l, "", fmt.Errorf("field %s is missing: keep it in the server's log format", k.at[0])
	case status == nil:
		return l, "", fmt.Errorf("field %s is missing: keep it in the server's log format", k.status[0])
	}
	var ok bool
	if l.at, ok = jsonTime(at); !ok {
		return l, "", fmt.Errorf("field %s: want a time, found %s", k.at[0], excerpt(at))
	}
	text, _ := jsonText(status)
	if l.status, ok = readStatus(text); !ok && len(text) > 0 { // nginx writes "" where there is none
		return l, "", fmt.Errorf("field %s: want an HTTP status, found %s", k.status[0], excerpt(status))
	}
	return k.request(l)
}

func (k *jsonLines) request(l logged) (logged, Reason, error) {
	if line, ok := jsonText(k.found.first(k.line)); ok {
		reason := l.split(line)
		if reason == "" && lost(line) {
			reason = LostBytes
		}
		return l, reason, nil
	}
	var ok bool
	if l.method, ok = jsonText(k.found.first(k.method)); !ok {
		return l, "", fmt.Errorf("field %s is missing: keep it in the server's log format", k.method[0])
	}
	if l.target, ok = jsonText(k.found.first(k.target)); !ok {
		return l, "", fmt.Errorf("field %s is missing: keep it in the server's log format", k.target[0])
	}
	l.protocol, _ = jsonText(k.found.first(k.protocol))
	switch {
	case len(l.method) == 0:
		return l, EmptyRequest, nil
	case lost(l.target):
		return l, LostBytes, nil
	case !versioned(l.protocol):
		l.protocol = nil
	}
	return l, "", nil
}

// lost reports whether a logger replaced bytes that are no UTF-8 by U+FFFD: what was asked for is not known any more.
func lost(text []byte) bool {
	return bytes.ContainsRune(text, utf8.RuneError) && bytes.Contains(text, []byte("\uFFFD"))
}

// members are those of a JSON object, values as they stand there. encoding/json is not used: it replaces bytes that are no UTF-8, and
// nginx writes the bytes of a path as they came.
type members []member

type member struct{ key, value []byte }

func (m members) first(keys []string) []byte {
	for _, key := range keys {
		for _, member := range m {
			if string(member.key) == key {
				return member.value
			}
		}
	}
	return nil
}

var errJSON = errors.New("want one whole JSON object a line")

// read takes the members of an object, and those of the objects inside of it, one level deep, with prefix before their names.
func (m *members) read(object []byte, prefix string) error {
	rest := skipBlanks(object[1:])
	for first := true; len(rest) == 0 || rest[0] != '}'; first = false {
		if !first {
			if len(rest) == 0 || rest[0] != ',' {
				return errJSON
			}
			rest = skipBlanks(rest[1:])
		}
		key, after, ok := cutValue(rest)
		if !ok || key[0] != '"' {
			return errJSON
		}
		after = skipBlanks(after)
		if len(after) == 0 || after[0] != ':' {
			return errJSON
		}
		value, after, ok := cutValue(skipBlanks(after[1:]))
		if !ok {
			return errJSON
		}
		name := key[1 : len(key)-1]
		if prefix != "" {
			name = append([]byte(prefix), name...)
		}
		*m = append(*m, member{key: name, value: value})
		if value[0] == '{' && prefix == "" && string(name) == "request" { // Caddy's
			if err := m.read(value, "request."); err != nil {
				return err
			}
		}
		rest = skipBlanks(after)
	}
	if prefix == "" && len(bytes.TrimSpace(rest[1:])) > 0 {
		return errJSON
	}
	return nil
}

func skipBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

// cutValue parts the JSON value that b begins with from what follows. Of an object or array only strings and brackets are looked at.
func cutValue(b []byte) (value, rest []byte, ok bool) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			end := closing(b, i+1)
			if end < 0 {
				return nil, nil, false
			}
			i = end
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return b[:i], b[i:], i > 0
			}
		case ',', ' ', '\t', ':':
			if depth == 0 {
				return b[:i], b[i:], i > 0
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return b[:i+1], b[i+1:], true
		}
	}
	return nil, nil, false
}

// jsonText gives the bytes of a string, or of a number as it stands there.
func jsonText(value []byte) ([]byte, bool) {
	if len(value) == 0 || string(value) == "null" {
		return nil, false
	}
	if value[0] != '"' {
		return value, digit(value[0]) || value[0] == '-'
	}
	value = value[1 : len(value)-1]
	if bytes.IndexByte(value, '\\') < 0 {
		return value, true
	}
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' || i+1 == len(value) {
			out = append(out, value[i])
			continue
		}
		i++
		switch value[i] {
		case 'u':
			r, n := jsonRune(value[i-1:])
			out = utf8.AppendRune(out, r)
			i += n - 2
		case 'n', 'r', 't', 'b':
			out = append(out, plainEscapes[value[i]])
		case 'f':
			out = append(out, '\f')
		default:
			out = append(out, value[i])
		}
	}
	return out, true
}

// jsonRune reads a \uXXXX, or two that are one character, and says how many bytes it took.
func jsonRune(b []byte) (rune, int) {
	one := func(b []byte) (rune, bool) {
		if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
		return rune(n), err == nil
	}
	r, ok := one(b)
	if !ok {
		return utf8.RuneError, 2
	}
	if utf16.IsSurrogate(r) {
		if low, ok := one(b[6:]); ok {
			return utf16.DecodeRune(r, low), 12
		}
		return utf8.RuneError, 6
	}
	return r, 6
}

// jsonTime reads a time as text, or as a number since 1970: of seconds, milliseconds, microseconds or nanoseconds, by its size.
func jsonTime(value []byte) (time.Time, bool) {
	text, ok := jsonText(value)
	if !ok {
		return time.Time{}, false
	}
	if at, ok := readTime(text); ok {
		return at, true
	}
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return time.Time{}, false
	}
	for n > 1e11 { // seconds reach this in the year 5138
		n /= 1000
	}
	if !(n >= 0 && n < 7.2e9) { // the year 2198; NaN too
		return time.Time{}, false
	}
	return time.UnixMicro(int64(math.Round(n * 1e6))).UTC(), true
}
