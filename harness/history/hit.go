package history

import (
	"strconv"
	"time"
)

// Class says on whose account a failed hit goes. The rules are in package load, where hits are classified.
type Class uint8

// The classes of a hit.
const (
	ClassOK          Class = iota // a complete, correct answer in its deadline
	ClassHarness                  // the generator itself failed: no sockets, no files, never sent
	ClassIngress                  // the ingress answered, or refused, in the application's place
	ClassApplication              // the application answered wrongly or broke off
	ClassAmbiguous                // it cannot be told from this side
)

var classNames = [...]string{"ok", "harness", "ingress", "application", "ambiguous"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Reasons of hits that never were at an application, which judges ask for. Package load has more; all are short and stable, for machines.
const (
	ReasonRefused      = "refused"
	ReasonNotConnected = "deadline connecting"
	ReasonUnreachable  = "unreachable"
	ReasonTLS          = "tls"
)

// Reasons of hits whose deadline passed: before the head of an answer, and in its body. Another is ReasonNotConnected.
const (
	ReasonDeadline       = "deadline"
	ReasonDeadlineInBody = "deadline in body"
)

// Reasons of hits whose connection was broken off: before the head of an answer, or, with ReasonInBody behind it, in its body.
const (
	ReasonReset     = "reset"
	ReasonEOF       = "eof"
	ReasonGoAway    = "goaway"    // of HTTP/2
	ReasonTruncated = "truncated" // in the body always
	ReasonInBody    = " in body"
)

// ReasonStatus is the reason of a whole answer with which nothing is wrong but its status.
func ReasonStatus(code uint16) string { return "status " + strconv.Itoa(int(code)) }

// ReasonExpected is the reason of a hit that is correct though its status is of a server that failed: its traffic file expects that status.
const ReasonExpected = "expected"

// Hit is one intended request and what became of it. The first group is what vegeta's Result has too.
type Hit struct {
	Arm      string        // vegeta: Attack
	Seq      uint64        // counts the arm's hits through the whole run, from 0
	Code     uint16        // 0 when there was no complete answer
	At       time.Duration // when it was started, since the run's start; vegeta: Timestamp
	Latency  time.Duration // from the start to the last byte of the answer, or to the failure
	BytesOut uint64
	BytesIn  uint64
	Error    string
	Body     []byte // the first bytes of the answer, kept for failed hits only
	Method   string
	URL      string

	Intended time.Duration // when it should have been started, since the run's start
	Window   int           // Window.Index
	Version  string        // of the application, as the answer says
	Pod      string        // that answered
	Class    Class
	Reason   string // short and stable, e.g. "refused", "reset", "truncated", "digest", "status 503"; empty when OK, or ReasonExpected
	Masked   int    // times Go's transport sent it again without telling
	// Unsent marks an intent that was never started; At is then the moment it was given up.
	Unsent bool
	Route  string // as the traffic file names it; empty: method and path tell
	Digest bool   // the answer carried a Content-Digest that its body can be compared with
	// Echoed: the answer carried the id of a hit. Where it is not this hit's own, the hit failed.
	Echoed bool
}

// Failed reports whether the hit got no complete, correct answer in its deadline.
func (h *Hit) Failed() bool { return h.Class != ClassOK }

// Overdue reports whether the hit failed by its deadline alone: nobody refused it, or broke it off.
func (h *Hit) Overdue() bool {
	return h.Failed() && (h.Reason == ReasonDeadline || h.Reason == ReasonNotConnected || h.Reason == ReasonDeadlineInBody)
}

// End is when the answer, or the failure, was complete, since the run's start.
func (h *Hit) End() time.Duration { return h.At + h.Latency }

// Lag is how much later than intended the hit was started.
func (h *Hit) Lag() time.Duration { return h.At - h.Intended }
