package load

import "testing"

func TestWrongStatusSaysExpectedAndFound(t *testing.T) {
	cases := map[string]struct {
		accepted []int
		out      Outcome
		want     string
	}{
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
