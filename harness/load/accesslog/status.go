package accesslog

import (
	"slices"

	"bitvault.dev/rollproof/harness/load"
)

// statusRefused says why a request with such an answer is not replayed.
func statusRefused(status int) Reason {
	switch {
	case status == 0:
		return NoStatus
	case status < 200:
		return Switched
	case status > 599:
		return NoStatus
	}
	switch status {
	case 400, 408, 494, 495, 496, 497: // from 494 on nginx's own: what is wrong is in headers, certificate or port, not in the request line
		return BadRequest
	}
	return ""
}

// accepted lists the statuses that are right in a replay; empty: those of load.Right. A success that is none of them is right where the log
// holds it, but for 206: a replay asks for the whole.
//
// A status that hangs on what the log does not hold may come again or not: on headers (304, 406, 412, 416, 417, 431), on what the client
// sent before (429). Where client or server hung up (nginx's 444 and 499, 460 of AWS) or the server failed, the replay is not to repeat it.
func accepted(status int) []int {
	switch status {
	case 304, 406, 412, 416, 417, 429, 431:
		return append(load.Right(), status)
	case 444, 460, 499, 206:
		return nil
	}
	if status < 300 && !slices.Contains(load.Right(), status) {
		return append(load.Right(), status)
	}
	if status >= 300 && status < 500 {
		return []int{status}
	}
	return nil
}
