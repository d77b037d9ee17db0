package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
)

// Converted is what was made of an access log.
type Converted struct {
	Entries []Entry // sorted by offset; the first is at 0
	Unsafe  int     // requests left out because an access log does not hold what they carried: POST and its like
	Blank   int     // lines without a request: probes that sent nothing
}

// logged is one line of an access log.
type logged struct {
	at      time.Time
	method  string
	path    string
	status  int
	instant bool // at is finer than a second
}

// logParser reads one line. nil means that the line holds no request.
type logParser func(line []byte) (*logged, error)

// logFormats are the access logs that can be converted. nginx's "combined" is the same as Apache's, and "common" is it without its
// last two fields.
var logFormats = map[string]logParser{
	"common":       parseCombined,
	"combined":     parseCombined,
	"nginx":        parseCombined,
	"traefik-json": parseTraefik,
}

// LogFormats lists the formats that Convert reads.
func LogFormats() []string { return slices.Sorted(maps.Keys(logFormats)) }

// Convert turns an access log into traffic. Requests are put in the order of time; those of one second, where the log is no finer, are
// spread evenly over it. An answer outside of 2xx that is not a server error becomes the status the replay expects. The whole log is
// held in memory. Errors name the line, what was expected and what was found.
func Convert(format string, log io.Reader) (*Converted, error) {
	parse, ok := logFormats[format]
	if !ok {
		nearest := slices.MinFunc(LogFormats(), func(a, b string) int {
			return levenshtein.ComputeDistance(format, a) - levenshtein.ComputeDistance(format, b)
		})
		return nil, fmt.Errorf("unknown log format %q: did you mean %q? The formats are %s", format, nearest, strings.Join(LogFormats(), ", "))
	}
	var out Converted
	all, err := readLog(log, parse, &out)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the log holds no request that can be replayed: %d unsafe ones and %d blank lines were left out", out.Unsafe, out.Blank)
	}
	slices.SortStableFunc(all, func(a, b logged) int { return a.at.Compare(b.at) })
	spread(all)
	for _, l := range all {
		out.Entries = append(out.Entries, l.entry(all[0].at))
	}
	return &out, nil
}

func readLog(log io.Reader, parse logParser, out *Converted) ([]logged, error) {
	var all []logged
	lines := bufio.NewReaderSize(log, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			out.Blank++
			continue
		}
		l, err := parse(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case l == nil:
			out.Blank++
		case !safe(l.method):
			out.Unsafe++
		default:
			all = append(all, *l)
		}
	}
}

// spread gives requests that the log puts at the same whole second a moment of their own within it.
func spread(all []logged) {
	for begin := 0; begin < len(all); {
		end := begin + 1
		for end < len(all) && all[end].at.Equal(all[begin].at) {
			end++
		}
		if !all[begin].instant {
			for i := begin; i < end; i++ {
				all[i].at = all[i].at.Add(time.Second * time.Duration(i-begin) / time.Duration(end-begin))
			}
		}
		begin = end
	}
}

func (l *logged) entry(start time.Time) Entry {
	e := Entry{Offset: l.at.Sub(start), Method: l.method, Path: l.path}
	if l.status >= 300 && l.status < 500 {
		e.Status = []int{l.status}
	}
	return e
}

// combined matches Common Log Format and what comes after it in Combined: host ident user [time] "request" status bytes …
// A quote inside the request is escaped with a backslash, by Apache and by nginx (as \x22).
var combined = regexp.MustCompile(`^\S+ \S+ .*?\[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)(?: .*)?$`)

const combinedTime = "02/Jan/2006:15:04:05 -0700"

func parseCombined(line []byte) (*logged, error) {
	m := combined.FindSubmatch(line)
	if m == nil {
		return nil, fmt.Errorf(`want a line like 127.0.0.1 - - [%s] "GET / HTTP/1.1" 200 612, found %s`, combinedTime, excerpt(line))
	}
	at, err := time.Parse(combinedTime, string(m[1]))
	if err != nil {
		return nil, fmt.Errorf("time [%s]: want it like [%s]", m[1], combinedTime)
	}
	status, _ := strconv.Atoi(string(m[3])) // three digits
	request := string(m[2])
	if status == 400 || status == 408 || request == "-" || request == "" {
		return nil, nil // what the server could not read as a request has none to replay
	}
	parts := strings.Split(request, " ")
	if len(parts) != 3 || !strings.HasPrefix(parts[2], "HTTP/") {
		return nil, fmt.Errorf(`request %q: want "METHOD /path HTTP/1.1"`, request)
	}
	return checkLogged(&logged{at: at, method: parts[0], path: parts[1], status: status})
}

// traefikLine is what is used of a line of Traefik's access log in JSON.
type traefikLine struct {
	StartUTC         time.Time
	RequestMethod    string
	RequestPath      string
	DownstreamStatus int
}

func parseTraefik(line []byte) (*logged, error) {
	var t traefikLine
	if err := json.Unmarshal(line, &t); err != nil {
		return nil, fmt.Errorf("want one JSON object of Traefik's access log, found %s: %w", excerpt(line), plain(err))
	}
	for _, field := range []struct {
		name    string
		missing bool
	}{{"StartUTC", t.StartUTC.IsZero()}, {"RequestMethod", t.RequestMethod == ""}, {"RequestPath", t.RequestPath == ""}} {
		if field.missing {
			return nil, fmt.Errorf("field %s is missing: keep it in Traefik's accessLog.fields, or name the right format", field.name)
		}
	}
	return checkLogged(&logged{at: t.StartUTC, method: t.RequestMethod, path: t.RequestPath, status: t.DownstreamStatus, instant: true})
}

func checkLogged(l *logged) (*logged, error) {
	if l.method == "" || strings.ToUpper(l.method) != l.method {
		return nil, fmt.Errorf("method %q: want an HTTP method like GET", l.method)
	}
	if l.at.Year() < 1970 || l.at.Year() > 2200 {
		return nil, errors.New("the time lies outside of the years 1970 to 2200")
	}
	l.path, _, _ = strings.Cut(l.path, "#")
	if l.method == "OPTIONS" && l.path == "*" {
		return nil, nil // asks the server, not a resource
	}
	if err := checkPath(l.path); err != nil {
		return nil, err
	}
	return l, nil
}
