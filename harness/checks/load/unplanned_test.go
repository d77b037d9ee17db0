package load

import (
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/timeline"
)

// lostIn is a number of seconds under a loss that explains a share, each with hits and those of them that were lost.
func lostIn(share float64, hits, lost uint64, seconds int) (all []stretch) {
	for i := range seconds {
		from := time.Duration(10+i) * lossStep
		all = append(all, stretch{Span: timeline.Span{From: from, Until: from + lossStep}, hits: hits, lost: lost, explained: share * float64(hits)})
	}
	return all
}

// What a loss does not explain is seen in a moment, in a while, or in all of the time, and never in a loss that a router shares out evenly.
func TestWhatALossDoesNotExplain(t *testing.T) {
	for name, c := range map[string]struct {
		all         []stretch
		least, most uint64 // beyond the loss
		where       int    // stretches that show it
	}{
		"none":                          {nil, 0, 0, 0},
		"nothing was lost":              {lostIn(0.5, 50, 0, 75), 0, 0, 0},
		"its share":                     {lostIn(0.5, 50, 25, 75), 0, 0, 0},
		"a third":                       {lostIn(1.0/3, 150, 50, 75), 0, 0, 0},
		"all, where it took all":        {lostIn(1, 50, 50, 75), 0, 0, 0},
		"a second of everything":        {append(lostIn(0.5, 200, 100, 10), stretch{Span: timeline.Span{From: 20 * time.Second, Until: 21 * time.Second}, hits: 200, lost: 200, explained: 100}), 55, 70, 1},
		"a few hits, all of them":       {lostIn(0.5, 2, 2, 1), 0, 0, 0},
		"a few each second, all":        {lostIn(0.5, 2, 2, 75), 30, 50, 1},
		"a little more all of the time": {lostIn(0.5, 100, 60, 75), 400, 650, 1},
		"nothing is explained":          {lostIn(0, 100, 1, 1), 1, 1, 1},
	} {
		where, beyond, _ := excess(c.all)
		if beyond < c.least || beyond > c.most || len(where) != c.where {
			t.Errorf("%s: %d beyond it in %d stretches, want %d to %d in %d", name, beyond, len(where), c.least, c.most, c.where)
		}
	}
}

// All lengths of time together are one test: a router that draws for each request by itself has a false alarm no more often than that.
func TestALossIsOneTest(t *testing.T) {
	all := lostIn(0.5, 50, 0, 75)
	_, _, level := excess(all)
	var chance float64
	for steps := int64(1); ; steps *= 2 {
		sums := joined(all, steps)
		for i := range sums {
			chance += judge.AtLeast(sums[i].most(level)+1, sums[i].hits, 0.5)
		}
		if len(sums) == 1 {
			break
		}
	}
	if chance > judge.FalseAlarm || chance == 0 {
		t.Errorf("a false alarm comes with a chance of %g, want at most %g", chance, judge.FalseAlarm)
	}
}

func TestWhatMayBeLost(t *testing.T) {
	for name, c := range map[string]struct {
		hit  history.Hit
		want bool
	}{
		"a deadline":            {history.Hit{Class: history.ClassAmbiguous, Reason: history.ReasonDeadline}, true},
		"a deadline in a body":  {history.Hit{Class: history.ClassAmbiguous, Reason: history.ReasonDeadlineInBody}, true},
		"not connected":         {history.Hit{Class: history.ClassAmbiguous, Reason: history.ReasonNotConnected}, true},
		"unreachable":           {history.Hit{Class: history.ClassAmbiguous, Reason: history.ReasonUnreachable}, true},
		"refused":               {history.Hit{Class: history.ClassIngress, Reason: history.ReasonRefused}, true},
		"reset":                 {history.Hit{Class: history.ClassIngress, Reason: "reset"}, true},
		"reset in body":         {history.Hit{Class: history.ClassApplication, Reason: "reset in body"}, true},
		"eof":                   {history.Hit{Class: history.ClassIngress, Reason: "eof"}, true},
		"goaway":                {history.Hit{Class: history.ClassIngress, Reason: "goaway"}, true},
		"truncated":             {history.Hit{Class: history.ClassApplication, Reason: "truncated"}, true},
		"the harness's":         {history.Hit{Class: history.ClassHarness, Reason: history.ReasonRefused}, false},
		"no failure":            {history.Hit{Class: history.ClassOK, Reason: history.ReasonRefused}, false},
		"an unknown class":      {history.Hit{Class: 7, Reason: history.ReasonRefused}, false},
		"no HTTP":               {history.Hit{Class: history.ClassIngress, Reason: "malformed"}, false},
		"no reason":             {history.Hit{Class: history.ClassAmbiguous}, false},
		"TLS":                   {history.Hit{Class: history.ClassAmbiguous, Reason: history.ReasonTLS}, false},
		"502":                   {history.Hit{Code: 502, Class: history.ClassIngress, Reason: "status 502"}, true},
		"503":                   {history.Hit{Code: 503, Class: history.ClassIngress, Reason: "status 503"}, true},
		"504":                   {history.Hit{Code: 504, Class: history.ClassIngress, Reason: "status 504"}, true},
		"404":                   {history.Hit{Code: 404, Class: history.ClassIngress, Reason: "status 404"}, false},
		"500":                   {history.Hit{Code: 500, Class: history.ClassAmbiguous, Reason: "status 500"}, false},
		"503 by the app":        {history.Hit{Code: 503, Class: history.ClassApplication, Reason: "status 503"}, false},
		"502 of another digest": {history.Hit{Code: 502, Class: history.ClassIngress, Reason: "digest"}, false},
		"200 of another digest": {history.Hit{Code: 200, Class: history.ClassAmbiguous, Reason: "digest"}, false},
	} {
		if got := broughtNoAnswer(&c.hit); got != c.want {
			t.Errorf("%s may be lost: %v", name, got)
		}
	}
}
