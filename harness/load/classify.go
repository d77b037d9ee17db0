package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"golang.org/x/net/http2"

	"bitvault.dev/rollproof/harness/history"
)

// Outcome is what was seen of one hit that failed: all that Classify goes by.
type Outcome struct {
	Err       error  // of connecting, sending, or reading the answer; nil when the answer was whole
	Connected bool   // a connection was had
	Answered  bool   // the head of an answer arrived
	Code      int    // of that answer
	Location  string // that it redirects to
	Version   string // the application's version header in it; empty: nothing proves that the application answered
	Mismatch  string // what was wrong with a whole answer: "digest", "digest malformed", "length"; empty: its status
}

// Classify says on whose account a failed hit goes, and why in a short and stable word. The rule, from the top, first match wins:
//
//  1. The harness ran out of something of its own (files, local addresses, buffers, name resolution): harness.
//  2. The deadline passed: ambiguous. A dead server, a lost packet and a starved generator look the same from here.
//  3. The network is unreachable, or TLS failed: ambiguous.
//  4. No head of an answer arrived (refused, reset, EOF, GOAWAY, no HTTP): ingress. It is the other end of the harness's connection,
//     and a proxy that lost its backend in time answers 502 instead. With no ingress between, this is the server itself.
//  5. The head arrived and the rest broke off or was wrong: application when the head carries its version, else ingress,
//     except wrong content, which is ambiguous without a version.
//  6. The status is not the expected one: application when the answer carries its version. Without: 404, 502, 503 and 504 are
//     what an ingress answers that has no backend: ingress. Every other status: ambiguous.
//
// docs/classification.md says the same to users.
func Classify(o Outcome) (history.Class, string) {
	if o.Err == nil {
		return classifyAnswer(o)
	}
	if reason := ownFault(o.Err); reason != "" {
		return history.ClassHarness, reason
	}
	if isDeadline(o.Err) {
		return history.ClassAmbiguous, deadlineReason(o)
	}
	if reason := untellable(o.Err); reason != "" {
		return history.ClassAmbiguous, reason
	}
	reason := brokenOff(o)
	if o.Answered && o.Version != "" {
		return history.ClassApplication, reason
	}
	if reason == reasonOther {
		return history.ClassAmbiguous, reason
	}
	return history.ClassIngress, reason
}

const reasonOther = "other" // an error that no rule knows; its text is in the hit

func classifyAnswer(o Outcome) (history.Class, string) {
	class := history.ClassAmbiguous
	if o.Version != "" {
		class = history.ClassApplication
	}
	if o.Mismatch != "" {
		return class, o.Mismatch
	}
	if o.Version == "" {
		switch o.Code {
		case http.StatusNotFound, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			class = history.ClassIngress
		}
	}
	return class, history.ReasonStatus(uint16(o.Code))
}

func ownFault(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "no files"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		return "no local address"
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return "no buffers"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok && !isDeadline(err) {
		return "name"
	}
	return ""
}

func isDeadline(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func deadlineReason(o Outcome) string {
	switch {
	case !o.Connected:
		return history.ReasonNotConnected
	case o.Answered:
		return history.ReasonDeadlineInBody
	}
	return history.ReasonDeadline
}

func untellable(err error) string {
	if errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) {
		return history.ReasonUnreachable
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return history.ReasonTLS
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return history.ReasonTLS
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return history.ReasonTLS
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return history.ReasonTLS
	}
	// An alert, of either side, is of a type that crypto/tls keeps to itself; the operation that failed is what it names in public.
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return history.ReasonTLS
	}
	return ""
}

func brokenOff(o Outcome) string {
	in := ""
	if o.Answered {
		in = history.ReasonInBody
	}
	text := o.Err.Error()
	switch {
	case errors.Is(o.Err, syscall.ECONNREFUSED):
		return history.ReasonRefused
	case errors.Is(o.Err, syscall.ECONNRESET), errors.Is(o.Err, syscall.EPIPE), errors.Is(o.Err, syscall.ECONNABORTED):
		return history.ReasonReset + in
	case o.Answered && (errors.Is(o.Err, io.ErrUnexpectedEOF) || errors.Is(o.Err, io.EOF)):
		return history.ReasonTruncated
	case errors.Is(o.Err, io.EOF), errors.Is(o.Err, io.ErrUnexpectedEOF), strings.Contains(text, "server closed idle connection"):
		return history.ReasonEOF // net/http has no error value for the last
	case errors.As(o.Err, &http2.StreamError{}):
		return history.ReasonReset + in
	case strings.Contains(text, "GOAWAY"): // nor for this, and the rest of HTTP/2
		return history.ReasonGoAway
	case !o.Connected, strings.Contains(text, "http2:"), isTransport(o.Err):
		return reasonOther
	}
	// A connection was had and the network did not fail: what came over it was no HTTP. net/http has error values for few of these.
	return "malformed"
}

// isTransport reports whether the network or the connection failed, and not what came over it. Errors of system calls and net.ErrClosed
// are a net.Error too.
func isTransport(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, context.Canceled)
}
