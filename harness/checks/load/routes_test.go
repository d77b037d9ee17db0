package load

import "testing"

func TestPatternsOfPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/":          "/",
		"/items/17/": "/items/{id}/",
		"/v1/items":  "/v1/items",
		"/users/0B4C1E0A-6a3c-4d7e-9f55-0a1b2c3d4e5f/x": "/users/{id}/x",
		"/blob/9f86d081884c7d659a2feaa0c55ad015":        "/blob/{id}",
		"/cafe/bed":                                     "/cafe/bed",
		"/deadbeefdeadbeef":                             "/deadbeefdeadbeef",
		"/2026-11-26":                                   "/2026-11-26",
		"/a1b2":                                         "/a1b2",
		"/caf%C3%A9":                                    "/caf%C3%A9",
		"":                                              "",
	} {
		if got := pattern(path); got != want {
			t.Errorf("%s counts as %s, want %s", path, got, want)
		}
	}
}
