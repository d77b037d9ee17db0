package load

import (
	"net/url"
	"strings"
	"testing"
)

func TestTargetsKeepTheirCredentialsApart(t *testing.T) {
	for raw, want := range map[string]target{
		"http://h/":               {text: "http://h/"},
		"http://u:p@h/a?b=c":      {text: "http://h/a?b=c", auth: "Basic dTpw"},
		"http://u:a%40b%2F@h":     {text: "http://h", auth: "Basic dTphQGIv"}, // u:a@b/
		"https://token@[::1]:8/x": {text: "https://[::1]:8/x", auth: "Basic dG9rZW46"},
	} {
		got, err := parseTarget(raw)
		if err != nil || got.text != want.text || got.auth != want.auth || got.url.User != nil {
			t.Errorf("%s became %+v, %v, want %+v", raw, got, err, want)
		}
	}
}

func TestARefusedTargetDoesNotTellItsPassword(t *testing.T) {
	for _, raw := range []string{
		"ftp://u:secret@h/", "u:secret@h", "http://u:sec/secret@h/", "http://u:secret%zz@h", "http://u:secret@", "http://u:1secret@h:port/",
	} {
		_, err := parseTarget(raw)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want an error without the password", raw, err)
		}
	}
}

func TestRedact(t *testing.T) {
	for raw, want := range map[string]string{
		"http://u:secret@h/a@b?c=d@e": "http://redacted@h/a@b?c=d@e",
		"http://token@h:1":            "http://redacted@h:1",
		"http://h/@me":                "http://h/@me",
		"http://h":                    "http://h",
		"http://u:sec/ret@h":          "http://redacted@h",
		"u:secret@h/":                 "redacted@h/",
		"":                            "",
	} {
		if got := Redact(raw); got != want {
			t.Errorf("%s is shown as %s, want %s", raw, got, want)
		}
	}
}

func TestATargetWithAQueryCannotTakeThePathsOfATrafficFile(t *testing.T) {
	traffic, err := OpenTraffic(writeFile(t, `{"offset":0,"method":"GET","path":"/h"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"/x?a=1", "/x?", "/x#y"} {
		for _, pacing := range []Pacing{Recorded{}, Constant{10}} {
			err := Plan{Pacing: pacing, Traffic: traffic}.Check(arms(t, "http://u:secret@h"+suffix, "get"))
			if err == nil || !strings.Contains(err.Error(), "it cannot hold a ? or a #") || strings.Contains(err.Error(), "secret") {
				t.Errorf("target %s, %s: %v", suffix, pacing, err)
			}
		}
	}
	if err := (Plan{Pacing: Constant{10}}).Check(arms(t, "http://h/x?a=1", "get")); err != nil {
		t.Errorf("a query without a traffic file: %v", err)
	}
}

func TestParseHeader(t *testing.T) {
	header, err := ParseHeader([]string{"accept: text/html", "X-Two:1", "x-two: 2 : 3 ", "Host: app.test"})
	if err != nil || header.Get("Accept") != "text/html" || strings.Join(header["X-Two"], "|") != "1|2 : 3" || header.Get("Host") != "app.test" {
		t.Errorf("parsed %v, %v", header, err)
	}
	for line, want := range map[string]string{
		"secret":                   "header 1: want one like 'Name: value'",
		": secret":                 "header 1: want one like 'Name: value'",
		"Name:":                    "header 1: want one like 'Name: value'",
		"Na me: secret":            `header "Na me": want a field name like X-Version`,
		"Name: secret\x00":         "header Name: its value holds a character that no header may hold",
		"content-length: 12secret": "header Content-Length is set by the connection or by rollproof: leave it out",
	} {
		if _, err := ParseHeader([]string{line}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}

func TestSecretsAreScrubbedFromTexts(t *testing.T) {
	s := secretsOf([]string{"http://user:pass%20word@h/", "http://h/"}, map[string][]string{
		"Authorization": {"Bearer abcdefgh"}, "X-Key": {"0123456789"}, "Accept": {"a/b"}, "Cookie": {"id=0a1b2c3d; theme=sepia"}, "X-Phrase": {"open sesame now"},
	})
	for text, want := range map[string]string{
		"nothing of it: a/b":                             "nothing of it: a/b",
		"sent Authorization: Basic dXNlcjpwYXNzIHdvcmQ=": "sent Authorization: redacted",
		"dXNlcjpwYXNzIHdvcmQ=, pass word, abcdefgh":      "redacted, redacted, redacted",
		"key 0123456789, again 0123456789":               "key redacted, again redacted",
		"a word of several: sesame":                      "a word of several: redacted",
		`one cookie of several: "0a1b2c3d"`:              `one cookie of several: "redacted"`,
		"too short to be told from chance: open now":     "too short to be told from chance: open now",
		"cut in key 012345":                              "cut in key redacted",
		"cut in the password: pass":                      "cut in the password: redacted",
	} {
		if got := string(s.scrubBeginning([]byte(text))); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{"http://u:p@h/", "http://u:p/@h", "://@@", "a@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := parseTarget(raw)
		if err != nil {
			return
		}
		for _, shown := range []string{target.text, Redact(raw)} {
			if u, err := url.Parse(shown); err != nil || u.User != nil && u.User.String() != redacted {
				t.Errorf("%q is shown as %q", raw, shown)
			}
		}
	})
}
