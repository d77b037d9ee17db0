package load

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/http/httpguts"
)

// Entry is one request of a traffic file. docs/traffic.md describes the file.
type Entry struct {
	Offset time.Duration // since the first moment of the recording
	Method string
	Path   string // with query, as it goes on the wire
	Header http.Header
	Body   []byte
	Status []int  // accepted; empty: those of Right
	Route  string // what verdicts call requests of this kind; empty: by method and path
}

// maxLine bounds a line of a traffic file in bytes, and with it what reading one costs.
const maxLine = 16 << 20

// wireEntry is an Entry as a line holds it.
type wireEntry struct {
	Offset     *wireOffset           `json:"offset"`
	Method     string                `json:"method"`
	Path       string                `json:"path"`
	Headers    map[string]wireValues `json:"headers,omitempty"`
	Body       *string               `json:"body,omitempty"`
	BodyBase64 *string               `json:"bodyBase64,omitempty"`
	Status     wireStatus            `json:"status,omitempty"`
	Route      string                `json:"route,omitempty"`
}

// wireOffset is a duration ("12ms") or a number of nanoseconds.
type wireOffset time.Duration

func (o *wireOffset) UnmarshalJSON(data []byte) error {
	text := string(data)
	if data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("offset %q: want a duration like \"12ms\" or a number of nanoseconds", text)
		}
		*o = wireOffset(d)
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("offset %s: want a duration like \"12ms\" or a whole number of nanoseconds", text)
	}
	*o = wireOffset(n)
	return nil
}

func (o wireOffset) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(o).String()) }

// wireValues is one value of a header, or a list of them.
type wireValues []string

func (v *wireValues) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		var one string
		err := json.Unmarshal(data, &one)
		*v = wireValues{one}
		return err
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return fmt.Errorf("header value %s: want a string or a list of strings", data)
	}
	*v = many
	return nil
}

func (v wireValues) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return json.Marshal(v[0])
	}
	return json.Marshal([]string(v))
}

// wireStatus is a list of accepted status codes, in which "2xx" stands for all from 200 to 299.
type wireStatus []int

const everySuccess = `"2xx"`

// Successes lists every status that says success, 200 to 299.
func Successes() []int {
	codes := make([]int, 100, 101)
	for i := range codes {
		codes[i] = 200 + i
	}
	return codes
}

func (s *wireStatus) UnmarshalJSON(data []byte) error {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return fmt.Errorf("status %s: want a list of HTTP status codes", data)
	}
	for _, item := range items {
		if string(item) == everySuccess {
			*s = append(*s, Successes()...)
			continue
		}
		code, err := strconv.Atoi(string(item))
		if err != nil {
			return fmt.Errorf("status %s: want HTTP status codes like 404, or \"2xx\"", item)
		}
		*s = append(*s, code)
	}
	return nil
}

func (s wireStatus) MarshalJSON() ([]byte, error) {
	every := s.holdsEverySuccess()
	items := []byte{'['}
	if every {
		items = append(append(items, everySuccess...), ',')
	}
	for _, code := range s {
		if !every || code < 200 || code > 299 {
			items = append(strconv.AppendInt(items, int64(code), 10), ',')
		}
	}
	return append(bytes.TrimSuffix(items, []byte{','}), ']'), nil
}

func (s wireStatus) holdsEverySuccess() bool {
	var seen [100]bool
	n := 0
	for _, code := range s {
		if code >= 200 && code <= 299 && !seen[code-200] {
			seen[code-200] = true
			n++
		}
	}
	return n == len(seen)
}

// Reader reads a traffic stream, one entry at a time.
type Reader struct {
	lines *bufio.Reader
	line  int
	last  time.Duration
}

// NewReader reads traffic in the format of docs/traffic.md.
func NewReader(r io.Reader) *Reader { return &Reader{lines: bufio.NewReaderSize(r, 64<<10)} }

// Next reads the next entry; io.EOF is the clean end. Every other error names the line, what was expected and what was found.
func (r *Reader) Next() (Entry, error) {
	for {
		line, err := readLine(r.lines)
		if err == io.EOF {
			return Entry{}, io.EOF
		}
		r.line++
		if err != nil {
			return Entry{}, fmt.Errorf("line %d: %w", r.line, err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		e, err := parseEntry(line)
		if err == nil && e.Offset < r.last {
			err = fmt.Errorf("offset %s comes after %s: want offsets that do not fall: sort the file by offset", e.Offset, r.last)
		}
		if err != nil {
			return Entry{}, fmt.Errorf("line %d: %w", r.line, err)
		}
		r.last = e.Offset
		return e, nil
	}
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(long)+len(part) > maxLine {
			return nil, fmt.Errorf("the line is longer than %d MiB", maxLine>>20)
		}
		switch {
		case err == nil && long == nil:
			return part, nil
		case err == nil, err == io.EOF && len(long)+len(part) > 0:
			return append(long, part...), nil
		case err == bufio.ErrBufferFull:
			long = append(long, part...)
		default:
			return nil, err
		}
	}
}

func parseEntry(line []byte) (Entry, error) {
	var w wireEntry
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return Entry{}, fmt.Errorf("want one JSON object like {\"offset\":\"12ms\",\"method\":\"GET\",\"path\":\"/\"}, found %s: %w",
			excerpt(line), plain(err))
	}
	if dec.InputOffset() != int64(len(line)) {
		return Entry{}, fmt.Errorf("want one JSON object a line, found more after it: %s", excerpt(line[dec.InputOffset():]))
	}
	return w.entry()
}

// plain rids an error of encoding/json of names from inside this package.
func plain(err error) error {
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %s cannot be a %s", mismatch.Field, mismatch.Value)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the object is cut off")
	}
	return err
}

func (w *wireEntry) entry() (Entry, error) {
	e := Entry{Method: w.Method, Path: w.Path, Status: w.Status, Route: w.Route}
	if w.Offset == nil {
		return e, errors.New("field offset is missing: want a duration like \"12ms\" since the start of the recording")
	}
	if e.Offset = time.Duration(*w.Offset); e.Offset < 0 {
		return e, fmt.Errorf("offset %s is negative: want 0 or more", e.Offset)
	}
	if !httpguts.ValidHeaderFieldName(e.Method) || e.Method == http.MethodConnect { // both are tokens (RFC 9110, 9.1)
		return e, fmt.Errorf("method %q: want an HTTP method like GET", e.Method)
	}
	if err := checkPath(e.Path); err != nil {
		return e, err
	}
	if err := w.header(&e); err != nil {
		return e, err
	}
	if err := checkRoute(e.Route); err != nil {
		return e, err
	}
	for _, code := range e.Status {
		if code < 200 || code > 599 {
			return e, fmt.Errorf("status %d: want final HTTP status codes, 200 to 599", code)
		}
	}
	return e, w.body(&e)
}

func checkPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("path %q: want a path that starts with /", path)
	}
	if _, err := url.ParseRequestURI("http://host" + path); err != nil || strings.ContainsAny(path, "# ") {
		return fmt.Errorf("path %q: want a path with an optional query, escaped as on the wire", path)
	}
	return nil
}

// maxRoute bounds the name of a route in bytes: it is in every hit of it.
const maxRoute = 80

func checkRoute(name string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(name) > maxRoute || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unprintable) {
		return fmt.Errorf("route %q: want a name of at most %d printable bytes", name, maxRoute)
	}
	return nil
}

// reserved are header fields that belong to the connection or to the harness.
var reserved = map[string]bool{
	"Connection": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true, "Upgrade": true, HitHeader: true,
}

func (w *wireEntry) header(e *Entry) error {
	if len(w.Headers) == 0 {
		return nil
	}
	e.Header = make(http.Header, len(w.Headers))
	for name, values := range w.Headers {
		if err := checkField(name, values); err != nil {
			return err
		}
		name = http.CanonicalHeaderKey(name)
		e.Header[name] = append(e.Header[name], values...)
	}
	return nil
}

// checkField says what is wrong with a header field of a request. Values are not quoted: they may be secret.
func checkField(name string, values []string) error {
	if err := CheckFieldName(name); err != nil {
		return err
	}
	if name = http.CanonicalHeaderKey(name); reserved[name] {
		return fmt.Errorf("header %s is set by the connection or by rollproof: leave it out", name)
	}
	for _, v := range values {
		if !httpguts.ValidHeaderFieldValue(v) {
			return fmt.Errorf("header %s: its value holds a character that no header may hold", name)
		}
	}
	return nil
}

func (w *wireEntry) body(e *Entry) (err error) {
	switch {
	case w.Body != nil && w.BodyBase64 != nil:
		return errors.New("both body and bodyBase64 are set: want one of them")
	case w.Body != nil:
		e.Body = []byte(*w.Body)
	case w.BodyBase64 != nil:
		if e.Body, err = base64.StdEncoding.DecodeString(*w.BodyBase64); err != nil {
			return fmt.Errorf("bodyBase64: want standard base64: %w", err)
		}
	}
	return nil
}

// Write writes an entry as one line of a traffic file.
func (e *Entry) Write(w io.Writer) error {
	offset := wireOffset(e.Offset)
	out := wireEntry{Offset: &offset, Method: e.Method, Path: e.Path, Status: e.Status, Route: e.Route}
	if len(e.Header) > 0 {
		out.Headers = make(map[string]wireValues, len(e.Header))
		for name, values := range e.Header {
			out.Headers[name] = values
		}
	}
	if len(e.Body) > 0 {
		text := base64.StdEncoding.EncodeToString(e.Body)
		out.BodyBase64 = &text
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // & stands between the parameters of a query
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write entry %s %s: %w", e.Method, e.Path, err)
	}
	_, err := w.Write(line.Bytes())
	return err
}

func excerpt(line []byte) string {
	const limit = 60
	if len(line) > limit {
		return strconv.Quote(string(line[:limit])) + "…"
	}
	return strconv.Quote(string(line))
}

// Traffic is a traffic file that was read once from end to end, so that a broken line is told before any load runs.
type Traffic struct {
	File    string
	Entries uint64
	Unsafe  uint64        // entries whose method may change something: POST and its like
	Last    time.Duration // offset of the last entry
	// Period is how long one turn of a loop takes: up to the last entry, and the mean gap between two entries after it.
	Period time.Duration
}

// OpenTraffic checks a traffic file. Its errors name file, line, what was expected and what was found.
func OpenTraffic(file string) (*Traffic, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open traffic: %w", err)
	}
	defer f.Close()
	t := &Traffic{File: file}
	first := time.Duration(0)
	for r := NewReader(f); ; {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("traffic file %s: %w", file, err)
		}
		if t.Entries == 0 {
			first = e.Offset
		}
		if !safe(e.Method) {
			t.Unsafe++
		}
		t.Entries++
		t.Last = e.Offset
	}
	if t.Entries == 0 {
		return nil, fmt.Errorf("traffic file %s: it is empty: want at least one line like "+
			"{\"offset\":\"0s\",\"method\":\"GET\",\"path\":\"/\"}", file)
	}
	t.Period = t.Last
	if t.Entries > 1 {
		t.Period += (t.Last - first) / time.Duration(t.Entries-1)
	}
	return t, nil
}
