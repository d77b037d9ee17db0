package reports

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"bitvault.dev/rollproof/harness/history"
)

const (
	// maxFailures of one arm are kept each by itself, some 10 bytes each; what is beyond is in the buckets' counts alone,
	// and the report says so.
	maxFailures = 1 << 18
	// maxKinds bounds the texts: error texts may carry a port, and so differ from hit to hit.
	maxKinds = 5000
	maxText  = 240 // bytes of one text that a tooltip shows
)

// failureKind is everything about a failed hit that others may share.
type failureKind struct {
	Class   string `json:"class"`
	Code    uint16 `json:"code,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Error   string `json:"error,omitempty"`
	Version string `json:"version,omitempty"`
	Pod     string `json:"pod,omitempty"`
	Method  string `json:"method,omitempty"`
	URL     string `json:"url,omitempty"`
	Body    string `json:"body,omitempty"`
	Unsent  bool   `json:"unsent,omitempty"`
	// Injected says that it failed by plan.
	Injected bool `json:"injected,omitempty"`
	Cut      bool `json:"cut,omitempty"` // texts were left out because there were too many different ones
}

// failureLog keeps failed hits as a column of varints: for each the distance to the one before in At (us, signed) and Seq
// (signed), then Latency and lag (us, signed) and the number of its kind.
type failureLog struct {
	column  []byte
	kept    int
	beyond  uint64
	lastAt  int64
	lastSeq int64

	numbers map[failureKind]int
	kinds   []failureKind
	spans   []span // of each kind
}

// span counts the failures of one kind and says when they began and ended.
type span struct {
	count       uint64
	first, last time.Duration // when the first and the last was started
	answered    time.Duration // when the first that was complete was
	seq         uint64        // of the first that was started
}

func (s *span) add(h *history.Hit) {
	s.merge(span{1, h.At, h.At, h.End(), h.Seq})
}

func (s *span) merge(o span) {
	if s.count == 0 {
		*s = o
		return
	}
	if o.first < s.first {
		s.seq = o.seq
	}
	s.count += o.count
	s.first, s.last, s.answered = min(s.first, o.first), max(s.last, o.last), min(s.answered, o.answered)
}

func newFailureLog() failureLog { return failureLog{numbers: map[failureKind]int{}} }

func (l *failureLog) add(h *history.Hit, injected bool) {
	kind := l.kind(h, injected)
	l.spans[kind].add(h)
	if l.kept == maxFailures {
		l.beyond++
		return
	}
	at, seq := h.At.Microseconds(), int64(h.Seq)
	for _, v := range [...]int64{at - l.lastAt, seq - l.lastSeq, h.Latency.Microseconds(), h.Lag().Microseconds(), int64(kind)} {
		l.column = binary.AppendVarint(l.column, v)
	}
	l.kept++
	l.lastAt, l.lastSeq = at, seq
}

// kind numbers the kind of a hit. Once there are too many kinds, new ones lose their texts, and at last all but the class.
func (l *failureLog) kind(h *history.Hit, injected bool) int {
	full := failureKind{
		Class: h.Class.String(), Code: h.Code, Reason: shorten(h.Reason), Error: shorten(h.Error), Version: shorten(h.Version),
		Pod: shorten(h.Pod), Method: shorten(h.Method), URL: shorten(h.URL), Body: shorten(string(h.Body)), Unsent: h.Unsent, Injected: injected,
	}
	plain := failureKind{
		Class: full.Class, Code: full.Code, Reason: full.Reason, Version: full.Version, Pod: full.Pod, Unsent: full.Unsent, Injected: injected, Cut: true,
	}
	for limit, k := range [...]failureKind{full, plain} {
		if n, ok := l.number(k, maxKinds*(limit+1)); ok {
			return n
		}
	}
	n, _ := l.number(failureKind{Class: full.Class, Injected: injected, Cut: true}, maxKinds*3) // there are but few classes
	return n
}

func (l *failureLog) number(k failureKind, limit int) (int, bool) {
	n, ok := l.numbers[k]
	if !ok && len(l.kinds) < limit {
		n, ok = len(l.kinds), true
		l.numbers[k] = n
		l.kinds = append(l.kinds, k)
		l.spans = append(l.spans, span{})
	}
	return n, ok
}

// shorten makes a text of unknown origin fit to be shown: bounded, and valid UTF-8.
func shorten(s string) string {
	if len(s) > maxText {
		cut := maxText
		for cut > maxText-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
