package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"bitvault.dev/rollproof/harness/history"
)

// Outcome is what was seen of one hit that failed: all that Classify goes by.
type Outcome struct {
	Err       error  // of connecting, sending, or reading the answer; nil when the answer was whole
	Connected bool   // a connection was had
	Answered  bool   // the head of an answer arrived
	Code      int    // of that answer
	Version   string // the application's version header in it; empty: nothing proves that the application answered
	Mismatch  string // what was wrong with a whole answer: "digest", "digest malformed", "length"; empty: its status
}

// Classify says on whose account a failed hit goes, and why in a short and stable word. The rule, from the top, first match wins:
//
//  1. The harness ran out of something of its own (files, local addresses, buffers, name resolution): harness.
//  2. The deadline passed: ambiguous. A dead server, a lost packet and a starved generator look the same from here.
//  3. The network is unreachable, or TLS failed: ambiguous.
//  4. No head of an answer arrived (refused, reset, EOF, no HTTP): ingress. It is the other end of the harness's connection, and
//     a proxy that lost its backend in time answers 502 instead. With no ingress between, this is the server itself.
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

// reasonOther is an error that no rule knows. Its text is in the hit.
const reasonOther = "other"

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
	return class, "status " + strconv.Itoa(o.Code)
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
		return "deadline in body"
	}
	return "deadline"
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
	return ""
}

func brokenOff(o Outcome) string {
	in := ""
	if o.Answered {
		in = " in body"
	}
	text := o.Err.Error()
	switch {
	case errors.Is(o.Err, syscall.ECONNREFUSED):
		return history.ReasonRefused
	case errors.Is(o.Err, syscall.ECONNRESET), errors.Is(o.Err, syscall.EPIPE), errors.Is(o.Err, syscall.ECONNABORTED):
		return "reset" + in
	case o.Answered && (errors.Is(o.Err, io.ErrUnexpectedEOF) || errors.Is(o.Err, io.EOF)):
		return "truncated"
	case errors.Is(o.Err, io.EOF), errors.Is(o.Err, io.ErrUnexpectedEOF), strings.Contains(text, "server closed idle connection"):
		return "eof"
	case strings.Contains(text, "malformed"), strings.Contains(text, "invalid"), strings.Contains(text, "unsupported"):
		return "malformed" // net/http has no error values for an answer that is no HTTP
	}
	return reasonOther
}
