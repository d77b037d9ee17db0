package load

import (
	"net/http"
	"strconv"
	"strings"
)

// uninvited is the first content coding of an answer that its request did not ask for; "" when there is none. HTTP lets a server choose
// where a request says nothing (RFC 9110, 12.5.3), but a client that says nothing reads the body as it comes.
func uninvited(asked, answer http.Header) string {
	for coding := range codings(answer["Content-Encoding"]) {
		if coding = alias(coding); coding != "identity" && !accepts(asked["Accept-Encoding"], coding) {
			return coding
		}
	}
	return ""
}

// accepts reports whether Accept-Encoding names a coding, or any, and does not rule it out.
func accepts(lines []string, coding string) bool {
	any := false
	for item := range codings(lines) {
		name, weight, _ := strings.Cut(item, ";")
		_, q, weighted := strings.Cut(weight, "q=")
		quality, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		wanted := !weighted || err == nil && quality > 0
		switch alias(strings.TrimSpace(name)) {
		case coding:
			return wanted
		case "*":
			any = wanted
		}
	}
	return any
}

// alias is the name of a coding that has two (RFC 9110, 8.4.1).
func alias(coding string) string {
	switch coding {
	case "x-gzip":
		return "gzip"
	case "x-compress":
		return "compress"
	}
	return coding
}

// codings yields the items of a list in header lines, in lower case.
func codings(lines []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for item := range strings.SplitSeq(line, ",") {
				if item = strings.ToLower(strings.TrimSpace(item)); item != "" && !yield(item) {
					return
				}
			}
		}
	}
}
