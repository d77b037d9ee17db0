package load

import (
	"net/http"
	"strings"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
)

// marks are the parts of an answer that tell who gave it, and to which hit.
type marks uint8

const (
	markVersion marks = 1 << iota
	markPod
	markDigest
	markEcho
	allMarks = 1<<iota - 1
)

// text says what is wrong with a whole answer that lacks them.
func (m marks) text() string {
	var names []string
	for i, name := range []string{"version", "pod", "digest", "echo of the hit's id"} {
		if m&(1<<i) != 0 {
			names = append(names, "no "+name)
		}
	}
	return "a whole answer with " + strings.Join(names, ", ") + ", which other answers carry: somebody else gave it, or it was changed on its way"
}

// marksOf are those that an answer carries.
func marksOf(h *history.Hit) marks {
	var m marks
	if h.Version != "" {
		m |= markVersion
	}
	if h.Pod != "" {
		m |= markPod
	}
	if h.Digest {
		m |= markDigest
	}
	if h.Echoed {
		m |= markEcho
	}
	return m
}

// owed are the marks that an answer must carry where its like do: one without a body needs no digest.
func owed(h *history.Hit) marks {
	if h.Method == http.MethodHead || h.Code == http.StatusNoContent || h.Code == http.StatusNotModified {
		return allMarks &^ markDigest
	}
	return allMarks
}

// identity remembers what answers of one kind carry, whole ones of any status, and holds the correct ones to it. Whatever their order,
// which were wrong is known when all were seen.
type identity struct {
	carried marks
	lacking [allMarks + 1]*lacking // correct answers, by what they lack
}

// lacking are correct answers that lack the same.
type lacking struct {
	routes map[*routeCounts]uint64
	found  judge.Findings
}

// see takes note of a whole answer.
func (i *identity) see(h *history.Hit, correct bool, route *routeCounts) {
	if i == nil {
		return
	}
	carries := marksOf(h)
	i.carried |= carries
	lacks := owed(h) &^ carries
	if lacks == 0 || !correct {
		return
	}
	l := i.lacking[lacks]
	if l == nil {
		l = &lacking{routes: map[*routeCounts]uint64{}}
		i.lacking[lacks] = l
	}
	l.routes[route]++
	if l.found.Wants(h.At) {
		l.found.Keep(anonymous(h))
	}
}

// wrong yields the correct answers that lack what others carried.
func (i *identity) wrong(yield func(*lacking)) {
	for lacks, l := range i.lacking {
		missing := marks(lacks) & i.carried
		if l == nil || missing == 0 {
			continue
		}
		for k := range l.found.Kept {
			l.found.Kept[k].Text = missing.text()
		}
		yield(l)
	}
}

// anonymous is the finding about such an answer, but for its text.
func anonymous(h *history.Hit) judge.Finding {
	f := judge.HitFinding(h, "")
	f.Class = history.ClassAmbiguous.String()
	if h.Version != "" {
		f.Class = history.ClassApplication.String()
	}
	return f
}
