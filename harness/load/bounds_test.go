package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/net/http2"

	"bitvault.dev/rollproof/harness/history"
)

func TestWhatEachArmIsLike(t *testing.T) {
	for name, want := range map[string]string{
		"get": "GET keep", "post": "POST keep key", "post-close": "POST", "get-close": "GET", "get-once": "GET keep once", "post-once": "POST keep once", "control": "GET keep control",
	} {
		arm, err := NewArm(name, "http://h")
		if err != nil {
			t.Fatal(err)
		}
		got := arm.Method
		for word, is := range map[string]bool{" keep": arm.KeepAlive, " key": arm.IdempotencyKey, " once": arm.Once, " control": arm.Control} {
			if is != strings.Contains(want, word) {
				t.Errorf("arm %s:%s is %v, want %s", name, word, is, want)
			}
		}
		if !strings.HasPrefix(want, got) || (len(arm.Body) > 0) != (got == "POST") || !slices.Equal(arm.Targets, []string{"http://h"}) {
			t.Errorf("arm %s sends %s of %d bytes to %q, want %s", name, got, len(arm.Body), arm.Targets, want)
		}
	}
	if len(ArmNames()) != 7 {
		t.Errorf("arms %q, want 7", ArmNames())
	}
	for method, want := range map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "POST": false, "PUT": false, "DELETE": false, "PATCH": false} {
		if safe(method) != want {
			t.Errorf("%s is safe: %v, want %v", method, !want, want)
		}
	}
}

func TestClassifyAtTheBoundsOfItsRules(t *testing.T) {
	app, ingress, ambiguous, harness := history.ClassApplication, history.ClassIngress, history.ClassAmbiguous, history.ClassHarness
	for name, c := range map[string]struct {
		outcome Outcome
		class   history.Class
		reason  string
	}{
		"a name that is unknown":             {Outcome{Err: &net.DNSError{IsNotFound: true}}, harness, "name"},
		"a version without an answer":        {Outcome{Err: io.EOF, Connected: true, Version: "v1"}, ingress, "eof"},
		"an answer without a version":        {Outcome{Err: io.EOF, Connected: true, Answered: true}, ingress, "truncated"},
		"cut in a versioned body":            {Outcome{Err: io.ErrUnexpectedEOF, Connected: true, Answered: true, Version: "v1"}, app, "truncated"},
		"cut in an anonymous body":           {Outcome{Err: io.ErrUnexpectedEOF, Connected: true, Answered: true}, ingress, "truncated"},
		"end before the head":                {Outcome{Err: io.EOF, Connected: true}, ingress, "eof"},
		"reset before the head":              {Outcome{Err: syscall.ECONNRESET, Connected: true}, ingress, "reset"},
		"reset in a versioned body":          {Outcome{Err: syscall.ECONNABORTED, Connected: true, Answered: true, Version: "v1"}, app, "reset in body"},
		"stream reset in a body":             {Outcome{Err: http2.StreamError{}, Connected: true, Answered: true}, ingress, "reset in body"},
		"going away":                         {Outcome{Err: errors.New("http2: server sent GOAWAY"), Connected: true}, ingress, "goaway"},
		"unknown, of a system call":          {Outcome{Err: syscall.EIO, Connected: true}, ambiguous, "other"},
		"unknown, closed by ourselves":       {Outcome{Err: net.ErrClosed, Connected: true}, ambiguous, "other"},
		"unknown, cancelled":                 {Outcome{Err: context.Canceled, Connected: true}, ambiguous, "other"},
		"unknown, of a versioned connection": {Outcome{Err: net.ErrClosed, Connected: true, Answered: true, Version: "v1"}, app, "other"},
		"unknown, never connected":           {Outcome{Err: errors.New("x")}, ambiguous, "other"},
		"deadline with a connection":         {Outcome{Err: context.DeadlineExceeded, Connected: true}, ambiguous, "deadline"},
		"timed out by the network":           {Outcome{Err: &net.OpError{Op: "read", Err: syscall.ETIMEDOUT}, Connected: true}, ambiguous, "deadline"},
		"timed out by an error that says so": {Outcome{Err: &net.DNSError{IsTimeout: true}, Connected: true}, ambiguous, "deadline"},
		"a certificate nobody trusts":        {Outcome{Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, Connected: true}, ambiguous, "tls"},
		"no TLS":                             {Outcome{Err: tls.RecordHeaderError{Msg: "x"}, Connected: true}, ambiguous, "tls"},
		"an alert":                           {Outcome{Err: tls.AlertError(40), Connected: true}, ambiguous, "tls"},
		"an alert of ours":                   {Outcome{Err: &net.OpError{Op: "local error", Err: errors.New("x")}, Connected: true}, ambiguous, "tls"},
		"HTTP where HTTPS was asked":         {Outcome{Err: http.ErrSchemeMismatch, Connected: true}, ambiguous, "tls"},
		"503 by the ingress":                 {Outcome{Answered: true, Code: 503}, ingress, "status 503"},
		"505 by nobody knows":                {Outcome{Answered: true, Code: 505}, ambiguous, "status 505"},
		"wrong digest of the application":    {Outcome{Answered: true, Code: 502, Mismatch: "digest", Version: "v1"}, app, "digest"},
	} {
		if class, reason := Classify(c.outcome); class != c.class || reason != c.reason {
			t.Errorf("%s: %s, %q, want %s, %q", name, class, reason, c.class, c.reason)
		}
	}
}

// The network failed where an error says so, however deep it is.
func TestWhatIsOfTheNetwork(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EIO: true, net.ErrClosed: true, context.Canceled: true, &net.DNSError{}: true, errors.New("what is this"): false, io.EOF: false,
	} {
		for _, err := range []error{err, fmt.Errorf("read: %w", err)} {
			if isTransport(err) != want {
				t.Errorf("%T %v is of the network: %v", err, err, !want)
			}
		}
	}
}

func TestContentCodings(t *testing.T) {
	for _, c := range []struct{ accept, coding, want string }{
		{"", "gzip", "gzip"}, {"", "identity", ""}, {"gzip", "gzip", ""}, {"gzip;q=0", "gzip", "gzip"}, {"gzip;q=0.0", "gzip", "gzip"}, {"gzip;q=0.001", "gzip", ""},
		{"gzip;q=x", "gzip", "gzip"}, {"gzip;level=1", "gzip", ""}, {"br", "gzip", "gzip"}, {"*", "br", ""}, {"*;q=0", "br", "br"}, {"*;q=0, br", "br", ""},
		{"*, br;q=0", "br", "br"}, {"compress", "x-compress", ""}, {"x-compress", "compress", ""}, {"gzip", "gzip, br", "br"}, {"GZIP", " gzip ,,", ""}, {"x-gzip", "x-gzip", ""},
	} {
		asked, answer := http.Header{}, http.Header{"Content-Encoding": {c.coding}}
		if c.accept != "" {
			asked.Set("Accept-Encoding", c.accept)
		}
		if got := uninvited(asked, answer); got != c.want {
			t.Errorf("%q was asked for, and %q came: %q was not invited, want %q", c.accept, c.coding, got, c.want)
		}
	}
}

func TestAProcessThatStoodStill(t *testing.T) {
	told := 0
	m := &monitor{clock: history.StoppedClock(time.Now(), time.Minute), path: newPathWatch(func(error) { told++ })}
	failing := func() { m.path.see(&Path{}, &history.Hit{Class: history.ClassAmbiguous}) }
	for _, c := range []struct {
		stall           time.Duration
		kept, forgotten bool
	}{
		{0, false, false}, {history.StallLeast - 1, false, false}, {history.StallLeast, true, false}, {pathStall, true, false}, {pathStall + 1, true, true}, {time.Second, true, true}, {time.Millisecond, false, false},
	} {
		m.kept = nil
		failing()
		m.stood(c.stall)
		if kept := len(m.kept) == 1 && m.kept[0] == (history.Stall{At: time.Minute - c.stall, Length: c.stall}); kept != c.kept || len(m.kept) > 1 {
			t.Errorf("a stall of %s: kept %v, want %v", c.stall, m.kept, c.kept)
		}
		if forgotten := m.path.failing == 0; forgotten != c.forgotten {
			t.Errorf("a stall of %s: failures of the path are forgotten: %v, want %v", c.stall, forgotten, c.forgotten)
		}
		m.path.failing = 0
	}
	if m.stall != time.Second {
		t.Errorf("the longest stall is %s", m.stall)
	}
	if history.StallLeast != 20*time.Millisecond || pathStall != 50*time.Millisecond {
		t.Error("the bounds of stalls are others: what the record and the path's watch say of them is too")
	}
}

// A tick that is late by some time tells that the process stood still for as long. The files are counted at the first one, and again when
// it is time.
func TestTicksOfTheMonitor(t *testing.T) {
	self, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	m := &monitor{clock: history.StoppedClock(now, time.Minute), path: newPathWatch(func(error) {}), self: self, last: now}
	for _, c := range []struct {
		after, stall time.Duration // since the tick before; the longest so far
		counted      bool
	}{
		{stallTick + 7*time.Millisecond, 7 * time.Millisecond, true},
		{sampleEvery - 1, sampleEvery - 1 - stallTick, false},
		{1, sampleEvery - 1 - stallTick, true},
		{sampleEvery, sampleEvery - stallTick, true},
	} {
		now = now.Add(c.after)
		m.files = 0
		m.woke(now)
		if counted := m.files > 0; m.stall != c.stall || counted != c.counted {
			t.Errorf("a tick after %s: the longest stall is %s, %d files; want %s, counted: %v", c.after, m.stall, m.files, c.stall, c.counted)
		}
	}
}

func TestTimesOfTheMachine(t *testing.T) {
	busy, total := busyAndAll(cpu.TimesStat{User: 1, System: 2, Nice: 4, Irq: 8, Softirq: 16, Steal: 32, Idle: 64, Iowait: 128, Guest: 1000})
	if busy != 63 || total != 255 {
		t.Errorf("%g busy of %g, want 63 of 255", busy, total)
	}
	for _, c := range []struct{ busy, total, want float64 }{{1, 4, 0.25}, {5, 4, 1}, {-1, 4, 0}, {1, 0, 0}, {0, 0, 0}, {-1, -1, 0}, {0.5, 0.5, 1}} {
		if got := shareOfTime(c.busy, c.total); got != c.want {
			t.Errorf("%g of %g is %g, want %g", c.busy, c.total, got, c.want)
		}
	}
	if filesLimit() > 0 { // where the system tells anything of itself
		if busy, total := machineCPU(); busy <= 0 || total < busy {
			t.Errorf("the machine was busy for %g of %g seconds", busy, total)
		}
	}
	if got := (&monitor{}).ownCPU(); got != 0 {
		t.Errorf("a process that nobody found took %g seconds", got)
	}
}

// The time of a process is that of its user and of the system together.
func TestTheProcessorTimeOfThisProcess(t *testing.T) {
	used := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Skipf("this system does not tell: %v", err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	m := startMonitor(&connCount{}, newPathWatch(func(error) {}), history.NewClock())
	for before := used(); used() < before+0.05; { // asking takes time of the system
	}
	before := used()
	got := m.ownCPU()
	if after := used(); got < before-0.02 || got > after+0.02 { // the kernel tells it in hundredths of a second
		t.Errorf("it took %g seconds, want between %g and %g", got, before, after)
	}
	if h := m.stop(); h.CPU <= 0 || h.FilesMax == 0 {
		t.Errorf("it took %g cores and had %d files", h.CPU, h.FilesMax)
	}
}

func TestStartLagsAreRoundedUp(t *testing.T) {
	var l lagHistogram
	if l.quantile(0.5) != 0 || l.worst() != 0 {
		t.Error("without a hit there is a lag")
	}
	for _, lag := range []time.Duration{-5, 0, 1001, 10 * time.Millisecond} {
		l.add(lag)
	}
	// HdrHistogram counts from one microsecond on: nothing is less.
	for q, want := range map[float64]time.Duration{0.25: time.Microsecond, 0.5: time.Microsecond, 0.75: 2 * time.Microsecond} {
		if got := l.quantile(q); got != want {
			t.Errorf("quantile %g is %s, want %s", q, got, want)
		}
	}
	if got := l.quantile(1); got != 10*time.Millisecond || l.worst() != 10*time.Millisecond {
		t.Errorf("the largest lag is %s, exactly %s, want 10ms", got, l.worst())
	}
	l.add(100 * time.Hour) // more than the histogram holds
	if l.worst() != 100*time.Hour || l.quantile(1) < mostLag*time.Microsecond {
		t.Errorf("a lag of 100 hours is %s, in the histogram %s", l.worst(), l.quantile(1))
	}
	var one lagHistogram
	one.add(5)
	if one.quantile(1) != 5 {
		t.Errorf("the largest of all is %s, more than any", one.quantile(1))
	}
}

func TestLogsAreKeptInPart(t *testing.T) {
	c := &logCatcher{}
	if err := c.record(nil); err != nil { // there is nothing to write down
		t.Error(err)
	}
	for i := range keptLogLines + 2 {
		line := fmt.Appendf(nil, " %d%s\n", i, strings.Repeat("x", keptLogLine))
		if n, err := c.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if c.note.Lines != keptLogLines+2 || len(c.note.First) != keptLogLines || len(c.note.First[0]) != keptLogLine || c.note.First[4][0] != '4' {
		t.Errorf("of %d lines %d are kept, the first in %d bytes", c.note.Lines, len(c.note.First), len(c.note.First[0]))
	}
}

func TestMemoryIsTunedUnlessSomebodySaysOtherwise(t *testing.T) {
	before := debug.SetGCPercent(123)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	for _, c := range []struct {
		gogc, limit string
		want        int
	}{{"", "", 300}, {"77", "", 123}, {"", "1GiB", 123}, {"77", "1GiB", 123}} {
		t.Setenv("GOGC", c.gogc)
		t.Setenv("GOMEMLIMIT", c.limit)
		debug.SetGCPercent(123)
		TuneMemory()
		if got := debug.SetGCPercent(123); got != c.want {
			t.Errorf("GOGC=%s GOMEMLIMIT=%s: %d percent, want %d", c.gogc, c.limit, got, c.want)
		}
	}
}

// What net/http could send again gets a body that it cannot: of methods that mostly have none it then sends none.
func TestRequestsThatGoOutOnce(t *testing.T) {
	body := io.NopCloser(strings.NewReader("x"))
	for name, c := range map[string]struct {
		method string
		header http.Header
		body   io.ReadCloser
		want   bool // it gets a body
	}{
		"GET": {"GET", http.Header{}, nil, true}, "POST": {"POST", http.Header{}, nil, false}, "POST with a key": {"POST", http.Header{"Idempotency-Key": {"k"}}, nil, true},
		"POST with the other key": {"POST", http.Header{"X-Idempotency-Key": {"k"}}, nil, true}, "GET with a body": {"GET", http.Header{}, body, false}, "POST with a body": {"POST", http.Header{"Idempotency-Key": {"k"}}, body, false},
	} {
		req := &http.Request{Method: c.method, Header: c.header, Body: c.body, GetBody: func() (io.ReadCloser, error) { return body, nil }}
		if sentOnce(req); req.GetBody != nil || (req.Body == io.ReadCloser(nothing{})) != c.want || !c.want && req.Body != c.body {
			t.Errorf("%s: body %v", name, req.Body)
		}
	}
}

func TestPacingsThatCannotBe(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		pacing Pacing
		good   bool
	}{
		{Constant{1e-9}, true}, {Constant{0}, false}, {Constant{-1}, false}, {Constant{1e7}, true}, {Constant{1e7 + 1}, false}, {Constant{nan}, false}, {Constant{inf}, false},
		{Ramp{0, 1, 1}, true}, {Ramp{-1e-9, 1, 1}, false}, {Ramp{inf, 1, 1}, false}, {Ramp{nan, 1, 1}, false}, {Ramp{0, 0, 1}, false}, {Ramp{0, 1, 0}, false}, {Ramp{0, 1, -1}, false},
		{Recorded{}, true}, {Recorded{Speed: 0.1}, true}, {Recorded{Speed: -0.1}, false}, {Recorded{Speed: inf}, false}, {Recorded{Speed: nan}, false}, {Saturate{}, true},
	} {
		if err := c.pacing.check(); (err == nil) != c.good {
			t.Errorf("%v: %v, want good = %v", c.pacing, err, c.good)
		}
	}
	if (Recorded{}).speed() != 1 || (Recorded{Speed: 2}).speed() != 2 {
		t.Error("a recording without a speed is not replayed as it was")
	}
}

func TestRatesAreWrittenAsTheyAreRead(t *testing.T) {
	for rate, unit := range map[float64]string{1e-4: "/m", 0.25: "/m", 0.999: "/m", 1: "/s", 1.5: "/s", 300: "/s", 0: "/s"} {
		text := formatRate(rate)
		got, err := ParseRate(text)
		if !strings.HasSuffix(text, unit) || (err != nil) != (rate == 0) || math.Abs(got-rate) > rate/1e5 {
			t.Errorf("%g is written %s, which reads %g, %v", rate, text, got, err)
		}
	}
}

// The hits of a ramp come as its integral says, up to its end and after it, whether it rises, falls or stays.
func TestMomentsOfARamp(t *testing.T) {
	for _, c := range []struct {
		ramp Ramp
		j    uint64
		want time.Duration
	}{
		{Ramp{100, 100, 10 * time.Second}, 0, 0}, {Ramp{100, 100, 10 * time.Second}, 50, 500 * time.Millisecond}, {Ramp{100, 100, 10 * time.Second}, 2000, 20 * time.Second},
		{Ramp{0, 100, 10 * time.Second}, 125, 5 * time.Second}, {Ramp{0, 100, 10 * time.Second}, 500, 10 * time.Second}, {Ramp{0, 100, 10 * time.Second}, 700, 12 * time.Second},
		{Ramp{100, 0.5, 10 * time.Second}, 0, 0}, {Ramp{300, 100, 10 * time.Second}, 1250, 5 * time.Second}, {Ramp{300, 100, 10 * time.Second}, 2100, 11 * time.Second},
	} {
		if got := c.ramp.at(c.j); (got - c.want).Abs() > time.Microsecond {
			t.Errorf("%s: hit %d is due at %s, want %s", c.ramp, c.j, got, c.want)
		}
	}
	if seconds(math.Inf(1)) != never || seconds(1.5) != 1500*time.Millisecond || never != 876000*time.Hour {
		t.Errorf("a hit that is never due is due at %s, never is %s", seconds(math.Inf(1)), never)
	}
}

// A path is lost after five failures of which one was refused, or after ten that vanished, unless somebody else was answered meanwhile.
func TestThePathAtItsBounds(t *testing.T) {
	vanished := history.Hit{Class: history.ClassAmbiguous, Reason: history.ReasonDeadline}
	refused := history.Hit{Class: history.ClassIngress, Reason: history.ReasonRefused}
	repeat := func(n int, h history.Hit) []history.Hit { return slices.Repeat([]history.Hit{h}, n) }
	for name, c := range map[string]struct {
		hits []history.Hit
		lost bool
	}{
		"four refused":                       {repeat(4, refused), false},
		"five refused":                       {repeat(5, refused), true},
		"nine vanished":                      {repeat(9, vanished), false},
		"ten vanished":                       {repeat(10, vanished), true},
		"one refused and four vanished":      {append(repeat(1, refused), repeat(4, vanished)...), true},
		"four vanished and one refused":      {append(repeat(4, vanished), refused), true},
		"one refused and three vanished":     {append(repeat(1, refused), repeat(3, vanished)...), false},
		"refused before it worked once":      {append(append(repeat(4, refused), history.Hit{}), repeat(9, vanished)...), false},
		"refused, good, and then ten vanish": {append(append(repeat(4, refused), history.Hit{}), repeat(10, vanished)...), true},
	} {
		n := 0
		w := newPathWatch(func(error) { n++ })
		for _, h := range c.hits {
			w.see(&Path{}, &h)
		}
		if (n == 1) != c.lost || n > 1 {
			t.Errorf("%s: lost %d times, want %v", name, n, c.lost)
		}
		if c.lost {
			for _, h := range repeat(20, refused) {
				w.see(&Path{}, &h)
			}
			if n != 1 {
				t.Errorf("%s: it is told %d times", name, n)
			}
		}
	}
	// An answer to somebody else counts when it came after the failing hit began, whatever its status.
	for _, c := range []struct {
		code     uint16
		answered time.Duration
		lost     bool
	}{{200, 100, true}, {503, 101, false}, {0, 101, true}, {200, 99, true}} {
		n := 0
		w := newPathWatch(func(error) { n++ })
		w.other(&history.Hit{Code: c.code, At: c.answered - 1, Latency: 1})
		for range pathRefused {
			h := refused
			h.At = 100
			w.see(&Path{}, &h)
		}
		if (n > 0) != c.lost {
			t.Errorf("an answer %d at %d: lost %v, want %v", c.code, c.answered, n > 0, c.lost)
		}
	}
	// One that came between two failing hits begins their count anew.
	n := 0
	w := newPathWatch(func(error) { n++ })
	for i := range 8 {
		h := refused
		h.At = time.Duration(100 + 10*i)
		if i == 4 {
			w.other(&history.Hit{Code: 200, At: 120, Latency: 1})
		}
		w.see(&Path{}, &h)
	}
	if n != 0 {
		t.Error("failures before an answer count with those after it")
	}
	h := refused
	h.At = 200
	if w.see(&Path{}, &h); n != 1 {
		t.Error("five failures after an answer are no lost path")
	}
}

func TestProtocolsOfAnswers(t *testing.T) {
	for want, version := range map[string][2]int{"HTTP/1.0": {1, 0}, "HTTP/1.1": {1, 1}, "HTTP/2.0": {2, 0}} {
		var p protocols
		for range 2 {
			p.saw(&http.Response{ProtoMajor: version[0], ProtoMinor: version[1]})
		}
		if got := p.seen(); !slices.Equal(got, []string{want}) {
			t.Errorf("%v was seen as %q, want %s", version, got, want)
		}
	}
	for _, http2 := range []bool{true, false} {
		if p := offered(http2); !p.HTTP1() || p.HTTP2() != http2 || p.UnencryptedHTTP2() {
			t.Errorf("with HTTP/2 %v it offers %s", http2, p)
		}
	}
}

func TestSourcesAreTheFirstOfTheLoopbackRange(t *testing.T) {
	if !loopbackIsARange {
		t.Skip("127.0.0.1 alone is this machine's on this system")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for n, want := range map[int]string{1: "127.0.0.1", 2: "127.0.0.1 127.0.0.2", 3: "127.0.0.1 127.0.0.2 127.0.0.3"} {
		dial := fromMany(n, net.Dialer{})
		var seen []string
		for range 2 * n {
			conn, err := dial(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if from := netip.MustParseAddrPort(conn.LocalAddr().String()).Addr().String(); !slices.Contains(seen, from) {
				seen = append(seen, from)
			}
			conn.Close()
		}
		slices.Sort(seen)
		if got := strings.Join(seen, " "); got != want {
			t.Errorf("%d sources: connections from %s, want %s", n, got, want)
		}
	}
}

func TestTheEndOfATextThatMayBeASecret(t *testing.T) {
	s := secrets{"abcdefgh"}
	for text, want := range map[string]string{
		"x a": "x a", "x ab": "x ab", "x abc": "x redacted", "x abcdefg": "x redacted", "x abcdefgh": "x redacted", "abc": "redacted", "ab": "ab", "": "", "x abc ": "x abc ",
	} {
		if got := string(s.scrubBeginning([]byte(text))); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// What stands for a secret may end as one begins.
func TestASecretIsReplacedOnce(t *testing.T) {
	if got := string(secrets{"tedious"}.scrubBeginning([]byte("a tedio"))); got != "a redacted" {
		t.Errorf("it becomes %q", got)
	}
}

func TestWhatIsTakenForASecret(t *testing.T) {
	for name, c := range map[string]struct {
		add  func(*secrets)
		text string
		want string
	}{
		"five bytes":              {func(s *secrets) { s.add("12345") }, "12345", "12345"},
		"six bytes":               {func(s *secrets) { s.add("123456") }, "123456", "redacted"},
		"a word behind a tab":     {func(s *secrets) { s.addWords("a\tsecret") }, "secret", "redacted"},
		"a word behind a blank":   {func(s *secrets) { s.addWords("a secret") }, "secret", "redacted"},
		"a word behind a comma":   {func(s *secrets) { s.addWords("a,secret") }, "secret", "redacted"},
		"a word behind a mark":    {func(s *secrets) { s.addWords("a;secret") }, "secret", "redacted"},
		"a word behind a letter":  {func(s *secrets) { s.addWords("ansecret") }, "secret", "secret"},
		"a named value":           {func(s *secrets) { s.addWords(`id="secret"`) }, "secret", "redacted"},
		"the name of a value":     {func(s *secrets) { s.addWords("identity=secret") }, "identity", "identity"},
		"a password of Basic":     {func(s *secrets) { s.addField("authorization", "basic dXNlcjpzZWNyZXQ=") }, "secret user", "redacted user"},
		"Basic of a proxy":        {func(s *secrets) { s.addField("Proxy-Authorization", "Basic dXNlcjpzZWNyZXQ=") }, "secret", "redacted"},
		"what is no Basic":        {func(s *secrets) { s.addField("Authorization", "Bearer dXNlcjpzZWNyZXQ=") }, "secret", "secret"},
		"a scheme is none":        {func(s *secrets) { s.addField("Authorization", "Bearer secret-token") }, "Bearer secret-token or Bearer", "redacted or Bearer"},
		"what is no field of one": {func(s *secrets) { s.addField("X-Any", "Bearer secret-token") }, "a Bearer", "a redacted"},
	} {
		var s secrets
		c.add(&s)
		s.sort()
		if got := s.scrubText(c.text); got != c.want {
			t.Errorf("%s: %q becomes %q, want %q", name, c.text, got, c.want)
		}
		if got := string(s.scrub([]byte(c.text))); got != c.want {
			t.Errorf("%s: the bytes of %q become %q, want %q", name, c.text, got, c.want)
		}
	}
	once := secrets{}
	once.add("plain1")
	n := len(once)
	if once.add("plain1"); len(once) != n || n != 1 {
		t.Errorf("a secret without special characters is kept %d times, then %d times", n, len(once))
	}
	if s := secretsOf([]string{"http://h/", "http://user:pass-word@h/", "no URL"}, http.Header{"A": {"one-value", "two-value"}}); s.scrubText("pass-word one-value two-value") != "redacted redacted redacted" {
		t.Errorf("secrets %q", s)
	}
	if s := secretsOf([]string{"http://u:secret@h", "http://u:secret-and-more@h"}, nil); s.scrubText("secret-and-more") != "redacted" {
		t.Errorf("the shorter password comes first: %q", s)
	}
	long := secrets{"secret", "secret-and-more"}
	if long.sort(); long.scrubText("secret-and-more") != "redacted" {
		t.Errorf("the shorter one comes first: %q", long)
	}
}

func TestTargetsAreParts(t *testing.T) {
	for raw, want := range map[string]bool{"http://h": true, "https://h": true, "ftp://h": false, "http:///x": false, "h": false, "http://h:port": false, "": false} {
		if _, err := parseTarget(raw); (err == nil) != want {
			t.Errorf("%q is a target: %v, want %v", raw, err == nil, want)
		}
	}
	for raw, want := range map[string]string{"http://h": "http://h", "http://h/": "http://h", "http://h/a": "http://h/a", "http://h/a/": "http://h/a", "http://h?": "", "http://h?a": "", "http://h#a": ""} {
		u, err := parseTarget(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := u.base(); got != want || (err != nil) != (want == "") {
			t.Errorf("paths are appended to %q of %s, %v, want %q", got, raw, err, want)
		}
	}
	for raw, want := range map[string]string{
		"//u:p@h": "//redacted@h", "x//u:p@h": "redacted@h", "a://u:p@h/@": "a://redacted@h/@", "u@h": "redacted@h", "h": "h", "http://u:p@h?a@b": "http://redacted@h?a@b", "http://u@h#@": "http://redacted@h#@",
	} {
		if got := withoutUser(raw); got != want {
			t.Errorf("%q is shown as %q, want %q", raw, got, want)
		}
	}
	if got := shownTargets([]string{"http://u:p@h/", "u:p@h"}); !slices.Equal(got, []string{"http://h/", "redacted@h"}) {
		t.Errorf("targets are shown as %q", got)
	}
}

func TestHeadersAreNamedByTheirNumber(t *testing.T) {
	for _, name := range []string{"Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Upgrade", HitHeader} {
		if err := checkField(name, []string{"x"}); err == nil {
			t.Errorf("%s is not rollproof's own", name)
		}
	}
	if _, err := ParseHeader([]string{"A: b", "c"}); err == nil || !strings.Contains(err.Error(), "header 2:") {
		t.Errorf("the second header is wrong: %v", err)
	}
}

func TestStatusesThatAreExpected(t *testing.T) {
	for _, c := range []struct {
		accepted []int
		code     int
		want     bool
	}{{nil, 199, false}, {nil, 200, true}, {nil, 203, false}, {nil, 205, true}, {nil, 299, false}, {nil, 300, false}, {[]int{404}, 404, true}, {[]int{404}, 200, false}, {[]int{200, 404}, 404, true}} {
		if got := (&request{status: c.accepted}).expects(c.code); got != c.want {
			t.Errorf("%v accepts %d: %v, want %v", c.accepted, c.code, got, c.want)
		}
	}
}

func TestTrafficAtItsBounds(t *testing.T) {
	entry := func(more string) string { return `{"offset":"5ms","method":"GET","path":"/"` + more + "}\n" }
	route := func(n int) string { return entry(`,"route":"` + strings.Repeat("r", n) + `"`) }
	padded := func(size int) string { // a line of so many bytes with its end
		return strings.Repeat(" ", size-len(entry(""))) + entry("")
	}
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"plain": {entry(""), true}, "status 199": {entry(`,"status":[199]`), false}, "status 200": {entry(`,"status":[200]`), true}, "status 599": {entry(`,"status":[599]`), true},
		"status 600": {entry(`,"status":[600]`), false}, "no status": {entry(`,"status":[]`), true}, "a word for a status": {entry(`,"status":["3xx"]`), false}, "statuses that are no list": {entry(`,"status":200`), false},
		"a route of 80 bytes": {route(maxRoute), true}, "a route of 81 bytes": {route(maxRoute + 1), false}, "a route with a blank at its end": {entry(`,"route":"r "`), false},
		"a route that cannot be printed": {entry(`,"route":"r\u0007r"`), false}, "the method of proxies": {strings.Replace(entry(""), "GET", "CONNECT", 1), false}, "no method": {strings.Replace(entry(""), "GET", "G T", 1), false},
		"the same moment twice": {entry("") + entry(""), true}, "a moment before": {entry("") + strings.Replace(entry(""), "5ms", "4ms", 1), false}, "before the first moment": {strings.Replace(entry(""), "5ms", "-1ns", 1), false},
		"both bodies": {entry(`,"body":"","bodyBase64":""`), false}, "a body in base64": {entry(`,"bodyBase64":"AA=="`), true}, "a body that is none": {entry(`,"bodyBase64":"A"`), false},
		"a path with a blank": {strings.Replace(entry(""), `"/"`, `"/a b"`, 1), false}, "a path with a fragment": {strings.Replace(entry(""), `"/"`, `"/a#b"`, 1), false}, "a path nobody can read": {strings.Replace(entry(""), `"/"`, `"/%zz"`, 1), false},
		"the longest line": {padded(maxLine), true}, "a longer line": {padded(maxLine + 1), false}, "one byte more": {entry("") + "x", false}, "longer than the reader's buffer": {padded(100 << 10), true}, "without an end of line": {strings.TrimSpace(padded(100 << 10)), true},
		"a header of the harness": {entry(`,"headers":{"` + HitHeader + `":"x"}`), false}, "a header of the connection": {entry(`,"headers":{"connection":"x"}`), false}, "a header": {entry(`,"headers":{"a":"x"}`), true},
		"a header that is a number": {entry(`,"headers":{"a":1}`), false}, "a header of a wrong value": {entry(`,"headers":{"a":"\u0000"}`), false}, "a header of a wrong name": {entry(`,"headers":{"a b":"x"}`), false},
	} {
		r := NewReader(strings.NewReader(c.text))
		n, err := 0, error(nil)
		for err == nil {
			if _, err = r.Next(); err == nil {
				n++
			}
		}
		if (err == io.EOF) != c.good || c.good && n != strings.Count(strings.TrimSpace(c.text), "\n")+1 {
			t.Errorf("%s: %d entries, then %v, want good = %v", name, n, err, c.good)
		}
	}
}

// Every success is one word, and what stands to each side of them is written beside it.
func TestStatusesBesideEverySuccess(t *testing.T) {
	got, err := append(wireStatus{199}, append(Successes(), 300)...).MarshalJSON()
	if want := `["2xx",199,300]`; err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestEntriesReadAsTheyAreWritten(t *testing.T) {
	for name, e := range map[string]Entry{
		"plain":               {Offset: 5 * time.Millisecond, Method: "GET", Path: "/"},
		"all of it":           {Method: "PUT", Path: "/a?b=c", Header: http.Header{"A": {"1"}, "B": {"2", "3"}}, Body: []byte{0, 1}, Status: []int{404}, Route: "r"},
		"every success":       {Method: "GET", Path: "/", Status: Successes()},
		"every success but 1": {Method: "GET", Path: "/", Status: Successes()[1:]},
		"one more":            {Method: "GET", Path: "/", Status: append(Successes(), 300)},
		"not the last one":    {Method: "GET", Path: "/", Status: append(Successes()[:99:99], 300)},
	} {
		var out bytes.Buffer
		if err := e.Write(&out); err != nil {
			t.Fatal(err)
		}
		if all := slices.Contains(e.Status, 200) && slices.Contains(e.Status, 299); all != strings.Contains(out.String(), "2xx") || all && strings.Contains(out.String(), "2xx\",2") {
			t.Errorf("%s is written %s", name, &out)
		}
		got, err := NewReader(&out).Next()
		if err != nil || got.Offset != e.Offset || got.Method != e.Method || got.Path != e.Path || got.Route != e.Route || !bytes.Equal(got.Body, e.Body) ||
			!slices.Equal(got.Status, e.Status) || len(got.Header) != len(e.Header) || !slices.Equal(got.Header["B"], e.Header["B"]) {
			t.Errorf("%s reads %+v, %v, want %+v", name, got, err, e)
		}
	}
	if e, err := NewReader(strings.NewReader(`{"offset":1234,"method":"GET","path":"/"}`)).Next(); err != nil || e.Offset != 1234 {
		t.Errorf("1234 nanoseconds are %d, %v", e.Offset, err)
	}
	var one bytes.Buffer
	if err := (&Entry{Method: "GET", Path: "/", Header: http.Header{"A": {"1"}}}).Write(&one); err != nil || !strings.Contains(one.String(), `"A":"1"`) {
		t.Errorf("a header of one value is written %s, %v", &one, err)
	}
	if got := len(Successes()); got != 100 || Successes()[0] != 200 || Successes()[99] != 299 {
		t.Errorf("%d statuses say success", got)
	}
	twice := append(Successes()[:99:99], 200) // a hundred, and one is missing
	if wireStatus(twice).holdsEverySuccess() {
		t.Error("a status that comes twice counts for one that is missing")
	}
	if short, long := excerpt(bytes.Repeat([]byte("x"), 60)), excerpt(bytes.Repeat([]byte("x"), 61)); len(short) != 62 || len(long) != 62+len("…") {
		t.Errorf("lines are shown as %s and %s", short, long)
	}
}

func TestWhatATrafficFileHolds(t *testing.T) {
	line := func(ms int, method string) string {
		return fmt.Sprintf(`{"offset":"%dms","method":"%s","path":"/"}`+"\n", ms, method)
	}
	for name, c := range map[string]struct {
		text string
		want Traffic
	}{
		"one":   {line(10, "GET"), Traffic{Entries: 1, Last: 10 * time.Millisecond, Period: 10 * time.Millisecond}},
		"two":   {line(10, "GET") + line(30, "POST"), Traffic{Entries: 2, Unsafe: 1, Last: 30 * time.Millisecond, Period: 50 * time.Millisecond}},
		"three": {line(10, "PUT") + line(20, "HEAD") + line(40, "POST"), Traffic{Entries: 3, Unsafe: 2, Last: 40 * time.Millisecond, Period: 55 * time.Millisecond}},
	} {
		got, err := OpenTraffic(writeFile(t, c.text))
		if err != nil {
			t.Fatal(err)
		}
		if c.want.File = got.File; *got != c.want {
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
	}
}
