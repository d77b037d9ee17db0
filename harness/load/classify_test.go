package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"

	"golang.org/x/net/http2"

	"bitvault.dev/rollproof/harness/history"
)

// What sockets make in sick_test.go and starved_test.go is not repeated here.
func TestClassify(t *testing.T) {
	app, ingress, ambiguous, harness := history.ClassApplication, history.ClassIngress, history.ClassAmbiguous, history.ClassHarness
	dial := func(no syscall.Errno) error {
		return &url.Error{Op: "Get", URL: "http://h", Err: &net.OpError{Op: "dial", Err: fmt.Errorf("connect: %w", no)}}
	}
	for name, c := range map[string]struct {
		outcome Outcome
		class   history.Class
		reason  string
	}{
		"table of files full":         {Outcome{Err: dial(syscall.ENFILE)}, harness, "no files"},
		"local port taken":            {Outcome{Err: dial(syscall.EADDRINUSE)}, harness, "no local address"},
		"buffers":                     {Outcome{Err: dial(syscall.ENOBUFS)}, harness, "no buffers"},
		"no files, though answered":   {Outcome{Err: dial(syscall.EMFILE), Answered: true, Version: "v1"}, harness, "no files"},
		"name service slow":           {Outcome{Err: &net.DNSError{IsTimeout: true}}, ambiguous, "deadline connecting"},
		"no route":                    {Outcome{Err: dial(syscall.EHOSTUNREACH)}, ambiguous, "unreachable"},
		"no network":                  {Outcome{Err: dial(syscall.ENETUNREACH)}, ambiguous, "unreachable"},
		"connection timed out":        {Outcome{Err: dial(syscall.ETIMEDOUT)}, ambiguous, "deadline connecting"},
		"deadline, though versioned":  {Outcome{Err: context.DeadlineExceeded, Connected: true, Answered: true, Version: "v1"}, ambiguous, "deadline in body"},
		"broken pipe":                 {Outcome{Err: dial(syscall.EPIPE), Connected: true}, ingress, "reset"},
		"reset in body, anonymous":    {Outcome{Err: dial(syscall.ECONNRESET), Connected: true, Answered: true}, ingress, "reset in body"},
		"idle close":                  {Outcome{Err: errors.New("http: server closed idle connection"), Connected: true}, ingress, "eof"},
		"cut in the head":             {Outcome{Err: io.ErrUnexpectedEOF, Connected: true}, ingress, "eof"},
		"unknown, connecting":         {Outcome{Err: errors.New("what is this")}, ambiguous, "other"},
		"unknown, of the connection":  {Outcome{Err: &net.OpError{Op: "read", Err: errors.New("what is this")}, Connected: true}, ambiguous, "other"},
		"unknown, of HTTP/2":          {Outcome{Err: errors.New("http2: what is this"), Connected: true}, ambiguous, "other"},
		"unknown, of the answer":      {Outcome{Err: errors.New("what is this"), Connected: true}, ingress, "malformed"},
		"unknown, in versioned body":  {Outcome{Err: errors.New("what is this"), Connected: true, Answered: true, Version: "v1"}, app, "malformed"},
		"refused by TLS":              {Outcome{Err: &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, Connected: true}, ambiguous, "tls"},
		"stream of HTTP/2 reset":      {Outcome{Err: http2.StreamError{Code: http2.ErrCodeInternal}, Connected: true}, ingress, "reset"},
		"404 by the ingress":          {Outcome{Answered: true, Code: 404}, ingress, "status 404"},
		"404 by the application":      {Outcome{Answered: true, Code: 404, Version: "v1"}, app, "status 404"},
		"502":                         {Outcome{Answered: true, Code: 502}, ingress, "status 502"},
		"504":                         {Outcome{Answered: true, Code: 504}, ingress, "status 504"},
		"500 by nobody knows":         {Outcome{Answered: true, Code: 500}, ambiguous, "status 500"},
		"500 by the application":      {Outcome{Answered: true, Code: 500, Version: "v1"}, app, "status 500"},
		"429 by nobody knows":         {Outcome{Answered: true, Code: 429}, ambiguous, "status 429"},
		"unexpected 200":              {Outcome{Answered: true, Code: 200, Version: "v1"}, app, "status 200"},
		"wrong length, by nobody":     {Outcome{Answered: true, Code: 200, Mismatch: "length"}, ambiguous, "length"},
		"wrong digest, with a 502 on": {Outcome{Answered: true, Code: 502, Mismatch: "digest"}, ambiguous, "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			if class, reason := Classify(c.outcome); class != c.class || reason != c.reason {
				t.Errorf("%s, %q, want %s, %q", class, reason, c.class, c.reason)
			}
		})
	}
}

func FuzzParseDigest(f *testing.F) {
	for _, s := range []string{"sha-256=:AAAA:", "sha-512=:AA==:;a=1, b=2", "sha-256=(1 2)", "sha-256", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		var buf [32]byte
		quick, quickErr := parseDigest([]string{field}, &buf)
		full, fullErr := parseDigestFully([]string{field})
		if (quickErr == nil) != (fullErr == nil) || string(quick.sha256) != string(full.sha256) || string(quick.sha512) != string(full.sha512) {
			t.Fatalf("%q: quickly %+v, %v; fully %+v, %v", field, quick, quickErr, full, fullErr)
		}
	})
}

// A SHA-256 alone is read into the place that is given for it.
func TestALoneDigestIsReadWithoutAllocating(t *testing.T) {
	var buf [32]byte
	want, err := parseDigest([]string{appDigest}, &buf)
	if err != nil || len(want.sha256) != len(buf) || &want.sha256[0] != &buf[0] || buf != appSum {
		t.Errorf("%+v, %v; want %x in its place", want, err, appSum)
	}
}

// An answer without a body has nothing that is compared with its digest, not even with one that cannot be read.
func TestDigestsOfAnAnswerWithoutABody(t *testing.T) {
	for _, line := range []string{appDigest, "sha-256=?"} {
		resp := &http.Response{Header: http.Header{"Content-Digest": {line}}, ContentLength: -1, ProtoMajor: 2}
		var buf [32]byte
		if d := digestsOf(resp, true, &buf); !d.carried || !d.bodyless || d.malformed != nil || d.head.sha256 != nil || d.hashed != (hashed{}) {
			t.Errorf("%q without a body: %+v", line, d)
		}
	}
}
