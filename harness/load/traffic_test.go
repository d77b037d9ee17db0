package load

import (
	"bytes"
	"io"
	"reflect"
	"slices"
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
		"status in words":   {`{"offset":0,"method":"GET","path":"/","status":["ok"]}`, `status "ok": want HTTP status codes like 404, or "2xx"`},
		"status no list":    {`{"offset":0,"method":"GET","path":"/","status":200}`, "status 200: want a list"},
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

// "2xx" in a list of statuses stands for all of them, and is written so again.
func TestEverySuccessIsOneWord(t *testing.T) {
	const line = `{"offset":"0s","method":"GET","path":"/?a=1&b=<2>","status":["2xx",304]}` + "\n"
	e, err := NewReader(strings.NewReader(line)).Next()
	if err != nil {
		t.Fatal(err)
	}
	if want := append(Successes(), 304); !slices.Equal(e.Status, want) {
		t.Errorf("accepts %v, want %v", e.Status, want)
	}
	var out bytes.Buffer
	if err := e.Write(&out); err != nil || out.String() != line {
		t.Errorf("wrote %s, %v, want %s", &out, err, line)
	}
	e.Status = e.Status[1:]
	out.Reset()
	if err := e.Write(&out); err != nil || strings.Contains(out.String(), "2xx") {
		t.Errorf("wrote %s, %v for a list without 200", &out, err)
	}
}

// What the reader takes, the writer writes so that it reads the same again.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"offset":"5ms","method":"GET","path":"/","headers":{"A":["b","c"]},"body":"x","status":[200]}` + "\n"))
	f.Add([]byte(`{"offset":5,"method":"GET","path":"/?a=%20","status":["2xx",404]}` + "\n\n" + `{"offset":5,"method":"PUT","path":"/","bodyBase64":"AA=="}`))
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
			if err != nil || again.Path != e.Path || again.Offset != e.Offset || !bytes.Equal(again.Body, e.Body) || len(again.Header) != len(e.Header) ||
				!sameStatuses(again.Status, e.Status) {
				t.Fatalf("%+v was read back as %+v, %v", e, again, err)
			}
		}
	})
}

// sameStatuses ignores order and repetition.
func sameStatuses(a, b []int) bool {
	set := func(codes []int) []int {
		codes = slices.Clone(codes)
		slices.Sort(codes)
		return slices.Compact(codes)
	}
	return slices.Equal(set(a), set(b))
}
