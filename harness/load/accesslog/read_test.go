package accesslog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/load"
)

// convert gives the traffic that is made of a log, one line a request.
func convert(t *testing.T, log string, o Options) (traffic string, _ Summary) {
	t.Helper()
	l, err := Read(strings.NewReader(log), o)
	if err != nil {
		t.Fatal(err)
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
	return out.String(), l.Summary
}

// Each log of testdata stands for a kind that people post; beside it lies the traffic that is right. UPDATE_GOLDEN=1 writes that.
func TestWholeLogs(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatalf("no log in testdata: %v", err)
	}
	for _, file := range logs {
		t.Run(filepath.Base(file), func(t *testing.T) {
			log, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := convert(t, string(log), Options{})
			golden := strings.TrimSuffix(file, ".log") + ".jsonl"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("converted to\n%swant\n%s", got, want)
			}
			if _, err := load.OpenTraffic(golden); err != nil {
				t.Errorf("traffic check refuses it: %v", err)
			}
		})
	}
}

func TestWhatIsLeftOutIsCounted(t *testing.T) {
	log, err := os.ReadFile("testdata/scanned.log")
	if err != nil {
		t.Fatal(err)
	}
	_, s := convert(t, string(log), Options{Format: "nginx"})
	want := []Count{
		{TLSHandshake, 2, 2}, {Connect, 1, 3}, {NotHTTP, 1, 4}, {OtherProtocol, 1, 5}, {HTTP09, 1, 6}, {Preface, 1, 7}, {EmptyRequest, 1, 8},
		{NoStatus, 1, 9}, {ErrorLog, 1, 10}, {MethodCase, 1, 11}, {Blank, 1, 16}, {Unsafe, 1, 17},
	}
	if !slices.Equal(s.LeftOut, want) {
		t.Errorf("left out %v, want %v", s.LeftOut, want)
	}
	if want := []Count{{Escaped, 2, 13}, {AbsoluteURI, 1, 14}}; !slices.Equal(s.Mended, want) {
		t.Errorf("changed %v, want %v", s.Mended, want)
	}
	if s.Format != "nginx" || s.Detected || s.Lines != 18 || s.Requests != 5 || s.Span != 3*time.Second {
		t.Errorf("summary %+v", s)
	}
	for _, c := range slices.Concat(s.LeftOut, s.Mended) {
		if c.Reason.Text() == "" {
			t.Errorf("reason %s has no text", c.Reason)
		}
	}
}

// line is one of combined at a second after moment.
func line(second int, request string, status int) string {
	return fmt.Sprintf("192.0.2.1 - - [%s] \"%s\" %d 5 \"-\" \"-\"\n", moment.Add(time.Duration(second)*time.Second).Format(timeLayouts[0]), request, status)
}

func get(second int, path string) string { return line(second, "GET "+path+" HTTP/1.1", 200) }

func TestStrictEndsAtTheFirstOddLine(t *testing.T) {
	usual := get(0, "/") + "\n" + line(0, "POST / HTTP/1.1", 201) + line(0, "-", 408) + line(0, "GET /x HTTP/1.1", 400) + line(0, "OPTIONS * HTTP/1.1", 200)
	if _, s := convert(t, usual, Options{Strict: true}); s.Requests != 1 || len(s.LeftOut) != 5 {
		t.Errorf("of usual lines %d requests were taken and %v left out", s.Requests, s.LeftOut)
	}
	for odd, want := range map[string]string{
		"2025/10/10 13:55:37 [error] 31#31: *46 open() failed": "line 7: want a line like 192.0.2.1",
		line(0, "GET / HTTP/1.1", 101):                         "line 7: switched-protocols",
		line(0, `\x16\x03\x01`, 400):                           "line 7: tls-handshake",
		get(0, "/100%"):                                        "line 7: escaped",
		get(0, "http://example.org/"):                          "line 7: absolute-uri",
		strings.Repeat("a", maxLine+1):                         "line 7: too-long",
	} {
		_, err := Read(strings.NewReader(usual+odd+"\n"), Options{Strict: true})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %q", odd, err, want)
		}
	}
}

// A log that cannot be converted is refused in one line that says how to go on.
func TestRefusedLogs(t *testing.T) {
	traefik := Formats()[1].Example + "\n"
	zipped := gzipped(t, strings.Repeat(get(0, "/"), 1000))
	for name, c := range map[string]struct{ format, log, want string }{
		"unknown format":                   {"traefic-json", "", `there is no log format "traefic-json": did you mean traefik-json?`},
		"empty":                            {"", "", "it is empty: want lines like 192.0.2.1"},
		"blank lines":                      {"", "\n \n", "it holds no line of a log"},
		"only unsafe requests":             {"", line(0, "POST / HTTP/1.1", 200), "it holds no request that can be replayed: left out 1 unsafe-method"},
		"another format":                   {"combined", strings.Repeat(traefik, 3), "3 of 3 lines are not of the format combined; traefik-json fits better: use --from traefik-json (line 1: want"},
		"one line more that is odd":        {"combined", get(0, "/") + traefik + traefik, "2 of 3 lines are not of the format combined; traefik-json fits better"},
		"text":                             {"", "hello\nworld\n", `none of its first 2 lines is of a known format (combined, traefik-json,`},
		"text by name":                     {"haproxy", "hello\nworld\n", "2 of 2 lines are not of the format haproxy; no other known format fits better"},
		"mostly text":                      {"", "hello\nworld\n" + get(0, "/"), "no known format fits: combined fits best, and only 1 of the first 3 lines"},
		"odd after the sample":             {"", strings.Repeat(get(0, "/"), 4000) + strings.Repeat("hello\n", 5000), "5000 of 9000 lines are not of the format combined"},
		"another format, by its beginning": {"combined", strings.Repeat(traefik, 3000) + strings.Repeat("hello\n", 100_000), "traefik-json fits better"},
		"two formats":                      {"", get(0, "/") + traefik, "it may be combined or traefik-json: name the format by --from"},
		"binary":                           {"", "\x00\x01\x02\xff\n\x00", "none of its first 2 lines is of a known format"},
		"UTF-16":                           {"", "\xff\xfeh\x00i\x00", "it is UTF-16"},
		"zstd":                             {"", "\x28\xb5\x2f\xfd....", "it is compressed: use zstd -dc FILE"},
		"gzip cut off":                     {"", zipped[:len(zipped)-20], "the compressed log is cut off"},
		"gzip of nothing":                  {"", gzipped(t, ""), "it is empty"},
		"no gzip after all":                {"", "\x1f\x8bxxxxxxxxxxxxxxx", "it is compressed by gzip: gzip: invalid header"},
		"Traefik without the method":       {"traefik-json", `{"DownstreamStatus":200,"StartUTC":"2025-10-10T13:55:36Z","RequestPath":"/"}`, "field RequestMethod is missing: keep it"},
		"IIS without its fields":           {"iis", "2025-10-10 13:55:36 GET / - 200", "want a line #Fields: before the first request"},
		"IIS without queries":              {"iis", "#Fields: date time cs-method cs-uri-stem sc-status\n2025-10-10 13:55:36 GET / 200", "field cs-uri-query is missing"},
		"CloudFront, named as of IIS":      {"iis", edgeFields + "\n" + "x", "a log with field x-edge-location is of format cloudfront"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(c.log), Options{Format: c.format})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}

// As many odd lines as good ones are still left out.
func TestHalfOddIsTaken(t *testing.T) {
	_, s := convert(t, get(0, "/")+"hello\n"+get(1, "/")+"world\n", Options{})
	if want := []Count{{OtherAny, 2, 2}}; s.Requests != 2 || !slices.Equal(s.LeftOut, want) {
		t.Errorf("%d requests, left out %v; want 2 and %v", s.Requests, s.LeftOut, want)
	}
}

// What lies around the text of a log changes nothing.
func TestWraps(t *testing.T) {
	log := get(0, "/a") + get(1, "/b")
	want, _ := convert(t, log, Options{})
	for name, wrapped := range map[string]string{
		"gzip":            gzipped(t, log),
		"gzip, two files": gzipped(t, get(0, "/a")) + gzipped(t, get(1, "/b")),
		"byte-order mark": "\xef\xbb\xbf" + log,
		"Windows lines":   strings.ReplaceAll(log, "\n", "\r\n"),
		"no last newline": strings.TrimSuffix(log, "\n"),
		"blank lines":     "\n\n" + log + "\n\n",
	} {
		if got, _ := convert(t, wrapped, Options{}); got != want {
			t.Errorf("%s: converted to\n%swant\n%s", name, got, want)
		}
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Requests of one moment are spread up to the next one, and over a second at most.
func TestSpread(t *testing.T) {
	for name, c := range map[string]struct {
		log  string
		want []time.Duration
	}{
		"a second apart": {get(0, "/") + get(0, "/") + get(1, "/"), []time.Duration{0, 500 * time.Millisecond, time.Second}},
		"a gap":          {get(0, "/") + get(0, "/") + get(60, "/"), []time.Duration{0, 500 * time.Millisecond, time.Minute}},
		"the last":       {get(0, "/") + get(1, "/") + get(1, "/") + get(1, "/") + get(1, "/"), []time.Duration{0, 1e9, 125e7, 15e8, 175e7}},
		"out of order":   {get(2, "/") + get(0, "/") + get(1, "/"), []time.Duration{0, time.Second, 2 * time.Second}},
		"a millisecond": {strings.ReplaceAll(get(0, "/")+get(0, "/"), ":36 ", ":36.500 ") + strings.ReplaceAll(get(0, "/"), ":36 ", ":36.501 "),
			[]time.Duration{0, 500 * time.Microsecond, time.Millisecond}},
	} {
		l, err := Read(strings.NewReader(c.log), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		for e, err := range l.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Offset)
		}
		if !slices.Equal(got, c.want) || l.Close() != nil {
			t.Errorf("%s: offsets %v, want %v", name, got, c.want)
		}
	}
}

// A sort in memory and one on disk give the same, and requests of one moment stay in the order of the log.
func TestSortOnDisk(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var order []string
	for _, limit := range []int{1 << 20, 100} {
		s := newSorter(limit)
		for i := range 1000 {
			at := int64(i * 7919 % 100)
			if err := s.add(request{at: at, method: "HEAD", status: 404, path: fmt.Appendf(nil, "/%d/%d", at, i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.done(); err != nil {
			t.Fatal(err)
		}
		if onDisk := s.file != nil; onDisk != (limit == 100) {
			t.Fatalf("with %d bytes of memory, on disk: %v", limit, onDisk)
		}
		m, err := s.merge()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for r := m.peek(); r != nil; r = m.peek() {
			got = append(got, fmt.Sprintf("%3d %s %s %d", r.at, r.method, r.path, r.status))
			if err := m.pop(); err != nil {
				t.Fatal(err)
			}
		}
		if order == nil {
			order = got
		}
		if !slices.Equal(got, order) || len(got) != 1000 || !strings.HasPrefix(got[0], "  0 HEAD /0/0 404") || !strings.HasPrefix(got[1], "  0 HEAD /0/100 ") {
			t.Errorf("with %d bytes of memory: %d requests, first %q; want those of the sort in memory", limit, len(got), got[:2])
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
			t.Errorf("left on disk: %v", left)
		}
	}
}

func TestNoRoomToSort(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	s := newSorter(10)
	err := s.add(request{path: []byte("/"), method: "GET"})
	if err == nil {
		err = s.add(request{path: []byte("/"), method: "GET"})
	}
	if err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("got %v, want an error that says where the temporary file goes", err)
	}
}

// A few bytes that unpack to a disk full of them are refused in one line, whatever they unpack to. A log that packs well is read.
func TestACompressedLogThatUnpacksWithoutEndIsRefused(t *testing.T) {
	line := `192.0.2.1 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 200 5` + "\n"
	for name, c := range map[string]struct {
		text  string
		bytes int64
		bad   bool
	}{
		"one line that never ends":    {"x", freelyUnpacked * 5 / 4, true},
		"the same line, not so often": {line, freelyUnpacked / 8, false},
	} {
		in, out := io.Pipe()
		go func() {
			packed := gzip.NewWriter(out)
			block := []byte(line + strings.Repeat(c.text, (64<<10)/len(c.text)))
			var err error
			for n := int64(0); n < c.bytes && err == nil; n += int64(len(block)) {
				_, err = packed.Write(block)
			}
			out.CloseWithError(errors.Join(err, packed.Close()))
		}()
		log, err := Read(in, Options{Format: "combined"})
		if err == nil {
			if err := log.Close(); err != nil || c.bad {
				t.Errorf("%s: it was read, and closed with error %v", name, err)
			}
		} else if !c.bad || !strings.Contains(err.Error(), "times its size") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		in.Close()
	}
}
