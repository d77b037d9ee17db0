package load

import (
	"net/http"
	"slices"
	"testing"
)

func TestWrongStatusSaysExpectedAndFound(t *testing.T) {
	cases := map[string]struct {
		accepted []int
		out      Outcome
		want     string
	}{
		"a part":       {nil, Outcome{Code: 206}, "expected 200 or 201 or 202 or 204 or 205, found 206 Partial Content"},
		"any 2xx":      {nil, Outcome{Code: 503}, "expected 2xx, found 503 Service Unavailable"},
		"one status":   {[]int{200}, Outcome{Code: 201}, "expected 200, found 201 Created"},
		"several":      {[]int{200, 304}, Outcome{Code: 404}, "expected 200 or 304, found 404 Not Found"},
		"redirect":     {nil, Outcome{Code: 302, Location: "/login"}, "expected 2xx, found 302 Found, which redirects to /login"},
		"no such code": {nil, Outcome{Code: 999}, "expected 2xx, found 999"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := request{status: c.accepted}
			if got := r.wrongStatus(&c.out); got != c.want {
				t.Errorf("it says %q, want %q", got, c.want)
			}
		})
	}
}

// Without a status of its own a request is answered by what brings all that it asks for, and by nothing else that says success.
func TestWhichStatusesAreRight(t *testing.T) {
	ranged := http.Header{"Range": {"bytes=0-9"}}
	for name, c := range map[string]struct {
		request request
		want    []int
	}{
		"nothing is said":      {request{}, []int{200, 201, 202, 204, 205}},
		"a range is asked for": {request{header: ranged}, []int{200, 201, 202, 204, 205, 206}},
		"one is named":         {request{status: []int{206}}, []int{206}},
		"some are named":       {request{status: []int{200, 404}, header: ranged}, []int{200, 404}},
	} {
		var got []int
		for code := range 1000 {
			if c.request.expects(code) {
				got = append(got, code)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v are right, want %v", name, got, c.want)
		}
	}
	Right()[0] = 500
	if r := (&request{}); r.expects(500) {
		t.Error("what Right returns can be written into")
	}
}
