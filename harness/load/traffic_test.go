package load

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBrokenTrafficNamesLineAndExpectation(t *testing.T) {
	const good = `{"offset":"5ms","method":"GET","path":"/"}` + "\n"
	for name, c := range map[string]struct{ file, want string }{
		"empty":             {"", "is empty: want at least one line"},
		"blank lines":       {"\n \n\t\n", "is empty"},
		"no JSON":           {good + "GET /\n", `line 2: want one JSON object like {"offset":"12ms"`},
		"cut off":           {good + good + `{"offset":"6ms","met`, "line 3: want one JSON object like"},
		"two objects":       {strings.TrimSpace(good) + good, `line 1: want one JSON object a line, found more after it: "{\"offset`},
		"unknown field":     {`{"offset":"1s","method":"GET","path":"/","pth":1}`, `unknown field "pth"`},
		"offset missing":    {`{"method":"GET","path":"/"}`, "line 1: field offset is missing"},
		"offset in words":   {`{"offset":"soon","method":"GET","path":"/"}`, `offset "soon": want a duration like "12ms"`},
		"offset a fraction": {`{"offset":1.5,"method":"GET","path":"/"}`, `offset 1.5: want`},
		"offset negative":   {`{"offset":"-1ms","method":"GET","path":"/"}`, "line 1: offset -1ms is negative"},
		"offset falls":      {good + "\n" + `{"offset":"4ms","method":"GET","path":"/"}`, "line 3: offset 4ms comes after 5ms: want offsets that do not fall"},
		"method missing":    {`{"offset":0,"path":"/"}`, `method "": want an HTTP method`},
		"method with space": {`{"offset":0,"method":"GE T","path":"/"}`, `method "GE T"`},
		"path without /":    {`{"offset":0,"method":"GET","path":"x"}`, `path "x": want a path that starts with /`},
		"path with space":   {`{"offset":0,"method":"GET","path":"/a b"}`, `path "/a b"`},
		"path of bad %":     {`{"offset":0,"method":"GET","path":"/%zz"}`, `path "/%zz"`},
		"header name":       {`{"offset":0,"method":"GET","path":"/","headers":{"a b":"c"}}`, `header "a b"`},
		"header value":      {`{"offset":0,"method":"GET","path":"/","headers":{"A":"c\n"}}`, "header A: its value holds"},
		"header a number":   {`{"offset":0,"method":"GET","path":"/","headers":{"A":1}}`, "header value 1: want a string"},
		"header is ours":    {`{"offset":0,"method":"GET","path":"/","headers":{"x-rollproof-hit":"1"}}`, "leave it out"},
		"two bodies":        {`{"offset":0,"method":"PUT","path":"/","body":"a","bodyBase64":"YQ=="}`, "both body and bodyBase64"},
		"bad base64":        {`{"offset":0,"method":"PUT","path":"/","bodyBase64":"*"}`, "want standard base64"},
		"status 42":         {`{"offset":0,"method":"GET","path":"/","status":[42]}`, "status 42: want final"},
		"too long a line":   {good + `{"offset":0,"method":"PUT","path":"/","body":"` + strings.Repeat("a", maxLine) + `"}`, "line 2: the line is longer than 16 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenTraffic(writeFile(t, c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
	if _, err := OpenTraffic("/does/not/exist"); err == nil {
		t.Error("a file that does not exist was opened")
	}
}

func TestTrafficThatIsTooSmallForAnArm(t *testing.T) {
	traffic, err := OpenTraffic(writeFile(t, `{"offset":0,"method":"GET","path":"/"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		arms   []string
		pacing Pacing
		want   string
	}{
		"no POST":       {[]string{"get", "post"}, Constant{1}, "plan arm post: traffic file"},
		"too few":       {[]string{"get", "get-close"}, Constant{1}, "plan arm get-close: traffic file"},
		"endless turns": {[]string{"get"}, Recorded{Loop: true}, "so a turn has no length"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Plan{Pacing: c.pacing, Length: time.Second, Traffic: traffic}.withDefaults().deal(arms(t, "http://127.0.0.1:1", c.arms...))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A loop goes on at the pace of the file, and every entry is some arm's, once a turn.
func TestReplayInALoopIsDealtWhole(t *testing.T) {
	traffic, err := OpenTraffic(writeFile(t, `{"offset":"0s","method":"GET","path":"/0"}
{"offset":"10ms","method":"GET","path":"/1"}
{"offset":"20ms","method":"POST","path":"/2"}
{"offset":"30ms","method":"GET","path":"/3"}
`))
	if err != nil {
		t.Fatal(err)
	}
	plan := Plan{Pacing: Recorded{Speed: 2, Loop: true}, Length: 50 * time.Millisecond, Traffic: traffic}
	plans, err := plan.withDefaults().deal(arms(t, "http://h", "get", "get-close", "post", "control"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[time.Duration]string{}
	var planned, yielded uint64
	for _, p := range plans[:3] {
		planned += p.planned
		for {
			at, r, err := p.schedule.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			yielded++
			got[at] = p.arm.Name + r.url.Path
		}
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	want := map[time.Duration]string{
		0: "get/0", ms(5): "get-close/1", ms(10): "post/2", ms(15): "get/3",
		ms(20): "get/0", ms(25): "get-close/1", ms(30): "post/2", ms(35): "get/3",
		ms(40): "get/0", ms(45): "get-close/1",
	}
	if !reflect.DeepEqual(got, want) || planned != 10 || yielded != 10 {
		t.Errorf("dealt %v with %d planned and %d yielded, want %v", got, planned, yielded, want)
	}
	if plans[3].planned != 3 { // 4 hits in 40 ms at double speed are 200/s; a third is 66/s: due at 7.5, 22.5 and 37.5 ms
		t.Errorf("the control arm plans %d hits, want 3", plans[3].planned)
	}
}

func TestConvert(t *testing.T) {
	const combinedLog = `127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326
10.0.0.1 - - [10/Oct/2000:13:55:37 -0700] "GET /b?q=%20 HTTP/1.1" 404 - "http://ref/" "Mozilla/5.0 (\"quoted\")"
10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /late HTTP/1.1" 503 0 "-" "-"
10.0.0.1 - some body [10/Oct/2000:13:55:38 -0700] "POST /buy HTTP/1.1" 201 5 "-" "-"
10.0.0.1 - - [10/Oct/2000:13:55:38 -0700] "\x16\x03\x01" 400 150 "-" "-"
10.0.0.1 - - [10/Oct/2000:13:55:39 -0700] "-" 408 0 "-" "-"
`
	const traefikLog = `{"ClientAddr":"10.0.0.1:1","StartUTC":"2026-11-22T10:00:01.25Z","RequestMethod":"GET","RequestPath":"/second","DownstreamStatus":302,"Duration":1}
{"StartUTC":"2026-11-22T10:00:01Z","RequestMethod":"GET","RequestPath":"/first","DownstreamStatus":200}
{"StartUTC":"2026-11-22T10:00:01Z","RequestMethod":"DELETE","RequestPath":"/x","DownstreamStatus":204}
`
	for name, c := range map[string]struct {
		format, log   string
		want          string
		unsafe, blank int
	}{
		"combined": {"combined", combinedLog, `{"offset":"0s","method":"GET","path":"/apache_pb.gif"}
{"offset":"500ms","method":"GET","path":"/late"}
{"offset":"1s","method":"GET","path":"/b?q=%20","status":[404]}
`, 1, 2},
		"traefik": {"traefik-json", traefikLog, `{"offset":"0s","method":"GET","path":"/first"}
{"offset":"250ms","method":"GET","path":"/second","status":[302]}
`, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Convert(c.format, strings.NewReader(c.log))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			for _, e := range got.Entries {
				if err := e.Write(&out); err != nil {
					t.Fatal(err)
				}
			}
			if out.String() != c.want || got.Unsafe != c.unsafe || got.Blank != c.blank {
				t.Errorf("converted to\n%swith %d unsafe and %d blank, want\n%swith %d and %d", &out, got.Unsafe, got.Blank, c.want, c.unsafe, c.blank)
			}
		})
	}
}

func TestConvertNamesTheBrokenLine(t *testing.T) {
	const good = `h - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1` + "\n"
	for name, c := range map[string]struct{ format, log, want string }{
		"unknown format":  {"traefic-json", good, `did you mean "traefik-json"?`},
		"no request":      {"combined", "\n", "holds no request that can be replayed"},
		"other text":      {"combined", good + "hello\n", `line 2: want a line like 127.0.0.1 - - [`},
		"bad time":        {"combined", `h - - [yesterday] "GET / HTTP/1.0" 200 1`, "line 1: time [yesterday]: want it like"},
		"bad request":     {"combined", good + `h - - [10/Oct/2000:13:55:36 -0700] "GET" 200 1`, `line 2: request "GET": want "METHOD /path`},
		"bad path":        {"combined", `h - - [10/Oct/2000:13:55:36 -0700] "GET http://x/ HTTP/1.1" 200 1`, `path "http://x/"`},
		"traefik no JSON": {"traefik-json", good, "line 1: want one JSON object of Traefik's access log"},
		"traefik fields":  {"traefik-json", `{"StartUTC":"2026-11-22T10:00:01Z","RequestPath":"/"}`, "field RequestMethod is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Convert(c.format, strings.NewReader(c.log))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// What the reader takes, the writer writes so that it reads the same again.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"offset":"5ms","method":"GET","path":"/","headers":{"A":["b","c"]},"body":"x","status":[200]}` + "\n"))
	f.Add([]byte(`{"offset":5,"method":"GET","path":"/?a=%20"}` + "\n\n" + `{"offset":5,"method":"PUT","path":"/","bodyBase64":"AA=="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data))
		last := time.Duration(0)
		for {
			e, err := r.Next()
			if err != nil {
				if err != io.EOF && !strings.HasPrefix(err.Error(), "line ") {
					t.Fatalf("error %v names no line", err)
				}
				return
			}
			if e.Offset < last {
				t.Fatalf("offset %s after %s", e.Offset, last)
			}
			last = e.Offset
			var out bytes.Buffer
			if err := e.Write(&out); err != nil {
				t.Fatal(err)
			}
			again, err := NewReader(&out).Next()
			if err != nil || again.Path != e.Path || again.Offset != e.Offset || !bytes.Equal(again.Body, e.Body) || len(again.Header) != len(e.Header) {
				t.Fatalf("%+v was read back as %+v, %v", e, again, err)
			}
		}
	})
}

// What a converter makes of any log, the reader takes.
func FuzzConvert(f *testing.F) {
	f.Add("combined", `h - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 404 1`)
	f.Add("traefik-json", `{"StartUTC":"2026-11-22T10:00:01Z","RequestMethod":"GET","RequestPath":"/","DownstreamStatus":200}`)
	f.Fuzz(func(t *testing.T, format, log string) {
		c, err := Convert(format, strings.NewReader(log))
		if err != nil {
			return
		}
		var out bytes.Buffer
		for _, e := range c.Entries {
			if err := e.Write(&out); err != nil {
				t.Fatal(err)
			}
		}
		r := NewReader(&out)
		for range c.Entries {
			if _, err := r.Next(); err != nil {
				t.Fatalf("the reader refuses %q: %v", log, err)
			}
		}
	})
}
