package accesslog

// Reason says why a line of a log gave no request, or what was changed of the one that it gave. It is what scripts read; Text is for
// people.
type Reason string

// What the log's own format says is no request that can be replayed.
const (
	Unsafe        Reason = "unsafe-method"
	BadRequest    Reason = "bad-request"
	EmptyRequest  Reason = "empty-request"
	TLSHandshake  Reason = "tls-handshake"
	Preface       Reason = "http2-preface"
	Connect       Reason = "connect"
	OtherProtocol Reason = "other-protocol"
	HTTP09        Reason = "http-0.9"
	NotHTTP       Reason = "not-http"
	MethodCase    Reason = "method-case"
	ServerWide    Reason = "server-wide"
	NoPath        Reason = "no-path"
	NoStatus      Reason = "no-status"
	Switched      Reason = "switched-protocols"
	LostBytes     Reason = "lost-bytes"
	CutOff        Reason = "cut-off"
)

// What belongs into a log beside its requests.
const (
	Blank        Reason = "blank-line"
	Directive    Reason = "directive"
	OtherProgram Reason = "other-program"
)

// What is not of the log's format. More of these than of others, and the log is refused.
const (
	ErrorLog Reason = "error-log"
	OtherAny Reason = "other-text"
	TooLong  Reason = "too-long"
)

// What was changed of a request so that it can be sent.
const (
	Escaped     Reason = "escaped"
	AbsoluteURI Reason = "absolute-uri"
)

var texts = map[Reason]string{
	Unsafe:        "POST and its like: a log does not hold what they carried",
	BadRequest:    "the server could not read the request, or gave up waiting for it (400, 408, 494 to 497)",
	EmptyRequest:  "a connection without a request",
	TLSHandshake:  "a TLS handshake on a plain port",
	Preface:       "the preface of HTTP/2 on a port without it",
	Connect:       "CONNECT: somebody looked for an open proxy",
	OtherProtocol: "another protocol: RTSP, SIP and their like",
	HTTP09:        "HTTP/0.9: a request without a version",
	NotHTTP:       "no HTTP request",
	MethodCase:    "a method in lower case: methods are case-sensitive",
	ServerWide:    "OPTIONS *: asks the server, not a resource",
	NoPath:        "a target that is no path",
	NoStatus:      "no answer was sent, or none is recorded",
	Switched:      "1xx: the connection became a WebSocket or its like",
	LostBytes:     "the log did not keep the bytes of the path",
	CutOff:        "the request is cut off",
	Blank:         "blank lines",
	Directive:     "directives of the log",
	OtherProgram:  "lines of other programs",
	ErrorLog:      "lines of an error log",
	OtherAny:      "not a line of this format",
	TooLong:       "longer than 1 MiB",
	Escaped:       "characters that a client has to escape are percent-encoded",
	AbsoluteURI:   "an absolute URI gave its path",
}

// Text says the reason in words.
func (r Reason) Text() string { return texts[r] }

// odd reports whether a line that is left out for r is not of the log's format.
func (r Reason) odd() bool { return r == ErrorLog || r == OtherAny || r == TooLong }

// usual reports whether --strict too leaves such a line out: every log has them.
func (r Reason) usual() bool {
	switch r {
	case Unsafe, BadRequest, EmptyRequest, ServerWide, Blank, Directive, OtherProgram:
		return true
	}
	return false
}

// Count is how many lines there were of one reason.
type Count struct {
	Reason Reason `json:"reason"`
	Lines  int    `json:"lines"`
	First  int    `json:"firstLine"` // number of its first line, from 1
}

// counts keeps reasons in the order in which they were first met.
type counts []Count

func (c *counts) add(r Reason, line int) {
	for i := range *c {
		if (*c)[i].Reason == r {
			(*c)[i].Lines++
			return
		}
	}
	*c = append(*c, Count{Reason: r, Lines: 1, First: line})
}
