package accesslog

import (
	"bytes"
	"errors"
	"strconv"
)

var errHAProxy = errors.New(`want a line like 192.0.2.1:33317 [10/Oct/2025:13:55:36.655] http-in static/srv1 10/0/30/69/109 200 2750 … "GET / HTTP/1.1"`)

// parseHAProxy reads option httplog (HAProxy's configuration manual, 8.2.3): a time in brackets, frontend, backend/server, timers, status,
// and last the request between quotes. Quotes, # and bytes that cannot be printed are written as #HH (8.6).
func parseHAProxy(line []byte) (l logged, _ Reason, _ error) {
	open, end := bytes.IndexByte(line, '['), -1
	for open >= 0 {
		if end = bytes.IndexByte(line[open:], ']'); end < 0 {
			return l, "", errHAProxy
		}
		var ok bool
		if l.at, ok = readTime(line[open+1 : open+end]); ok {
			break
		}
		next := bytes.IndexByte(line[open+1:], '[') // haproxy[4711] of syslog
		if next < 0 {
			return l, "", errHAProxy
		}
		open += 1 + next
	}
	if open < 0 {
		return l, "", errHAProxy
	}
	rest := line[open+end+1:]
	fields := bytes.Fields(rest)
	if len(fields) < 5 || bytes.Count(fields[2], []byte{'/'}) != 4 || bytes.IndexByte(fields[1], '/') < 0 {
		return l, "", errHAProxy
	}
	status, err := strconv.Atoi(string(fields[3])) // -1 or 0 where none was sent
	quote := bytes.IndexByte(rest, '"')
	if err != nil || quote < 0 {
		return l, "", errHAProxy
	}
	l.status = max(status, 0)
	request, _, closed := bytes.Cut(rest[quote+1:], []byte{'"'})
	switch {
	case string(request) == "<BADREQ>":
		return l, BadRequest, nil
	case !closed:
		return l, CutOff, nil
	}
	return l, l.split(unescapeWith('#', request)), nil
}

var errELB = errors.New(`want a line like http 2025-10-10T13:55:36.186641Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 192.0.2.2:80 ` +
	`0.000 0.001 0.000 200 200 34 366 "GET http://example.org:80/ HTTP/1.1"`)

// parseELB reads the log of AWS Application Load Balancers, and of classic ones, which have no type before the time.
func parseELB(line []byte) (l logged, _ Reason, _ error) {
	head, request, ok := bytes.Cut(line, []byte(` "`))
	fields := bytes.Fields(head)
	if len(fields) == 12 { // http, https, h2, grpcs, ws, wss
		fields = fields[1:]
	}
	if !ok || len(fields) != 11 {
		return l, "", errELB
	}
	if l.at, ok = readTime(fields[0]); !ok {
		return l, "", errELB
	}
	if l.status, ok = readStatus(fields[7]); !ok {
		return l, "", errELB
	}
	end := closing(request, 0)
	if end < 0 {
		return l, CutOff, nil
	}
	l.absolute = true
	return l, l.split(unescape(request[:end])), nil
}

var errHeroku = errors.New(`want a line like 2025-10-10T13:55:36.120000+00:00 heroku[router]: at=info method=GET path="/" status=200`)

// parseHeroku reads the lines of the router among those of the dynos, as `heroku logs` and log drains write them.
func parseHeroku(line []byte) (l logged, _ Reason, _ error) {
	dated := false
	for i, field := range bytes.Fields(line[:min(len(line), 128)]) {
		if l.at, dated = readTime(field); dated || i == 2 { // a drain has the priority and its length before it
			break
		}
	}
	switch router := bytes.Contains(line, []byte(" heroku[router]: ")) || bytes.Contains(line, []byte(" heroku router - ")); {
	case !dated:
		return l, "", errHeroku
	case router:
	case bytes.Contains(line, []byte(" app[")) || bytes.Contains(line, []byte(" heroku[")) || bytes.Contains(line, []byte(" app ")):
		return l, OtherProgram, nil
	default:
		return l, "", errHeroku
	}
	method, target := logfmt(line, " method="), logfmt(line, " path=")
	status, ok := readStatus(logfmt(line, " status="))
	if !ok || len(method) == 0 {
		return l, "", errHeroku
	}
	l.method, l.target, l.status = method, target, status
	return l, "", nil
}

// logfmt gives the value after a key, without its quotes.
func logfmt(line []byte, key string) []byte {
	_, value, ok := bytes.Cut(line, []byte(key))
	if !ok || len(value) == 0 {
		return nil
	}
	if value[0] == '"' {
		if end := closing(value, 1); end >= 0 {
			return unescape(value[1:end])
		}
		return nil
	}
	value, _, _ = bytes.Cut(value, []byte{' '})
	return value
}
