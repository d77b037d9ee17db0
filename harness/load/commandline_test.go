package load

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestCommandLineWithoutSecrets(t *testing.T) {
	for name, c := range map[string]struct{ args, want []string }{
		"URLs": {
			[]string{"attack", "--target", "http://u:secret@h/?a=b", "--target=https://secret@h", "--control", "http://h/@b"},
			[]string{"attack", "--target", "http://redacted@h/?a=b", "--target=https://redacted@h", "--control", "http://h/@b"},
		},
		"URLs without a scheme": {
			[]string{"--target", "//u:secret@h/x", "--target=u:secret@h", "--control", "u:se/cret@h", "u:secret@h"},
			[]string{"--target", "//redacted@h/x", "--target=redacted@h", "--control", "redacted@h", "redacted@h"},
		},
		"URLs where none belong": {
			[]string{"--traffic", "http://u:secret@h/day", "--rate=http://u:secret@h", "-rate=http://u:secret@h", "--images", "bundle:http://u:secret@h"},
			[]string{"--traffic", "http://redacted@h/day", "--rate=http://redacted@h", "-rate=http://redacted@h", "--images", "bundle:http://redacted@h"},
		},
		"header fields": {
			[]string{"--header", "A: secret", "--header=B:secret", "--header", "secret", "--header", "--header", "--out", "out"},
			[]string{"--header", "A: redacted", "--header=B: redacted", "--header", "redacted", "--header", "redacted", "--out", "out"},
		},
		"header flags that are mistyped": {
			[]string{"-header=Authorization:secret", "-header", "A: secret", "--headers=A: secret", "-HA: secret", "-H", "A: secret", "-header:Authorization: secret", "--haeder", "X-Token: secret"},
			[]string{"-header=Authorization: redacted", "-header", "A: redacted", "--headers=A: redacted", "-HA: redacted", "-H", "A: redacted", "-header:Authorization: redacted", "--haeder", "X-Token: redacted"},
		},
		"header fields that the shell tore": {
			[]string{"--header", "Authorization:", "Bearer", "secret", "--header=Authorization:", "secret", "--loop", "day"},
			[]string{"--header", "Authorization: redacted", "redacted", "redacted", "--header=Authorization: redacted", "redacted", "--loop", "day"},
		},
		"a header field without its flag": {[]string{"attack", "Authorization: Bearer secret"}, []string{"attack", "Authorization: redacted"}},
		"a switch before a header":        {[]string{"--loop", "--header", "A: secret"}, []string{"--loop", "--header", "A: redacted"}},
		"nothing secret": {
			[]string{"judge", "me@home", "--out", "me@home", "--traffic=a=b@c", "--images", "bundle:x.tar", "--target", "http://auth:8080/", "--out=//server/share"},
			[]string{"judge", "me@home", "--out", "me@home", "--traffic=a=b@c", "--images", "bundle:x.tar", "--target", "http://auth:8080/", "--out=//server/share"},
		},
	} {
		line := ReadCommandLine(c.args)
		if !slices.Equal(line.Args, c.want) {
			t.Errorf("%s: got\n%q, want\n%q", name, line.Args, c.want)
		}
		// Whatever repeats the arguments, as they are or quoted, says no more.
		for _, arg := range c.args {
			if got := line.Redact("cannot take " + arg + ", really"); strings.Contains(got, "secret") {
				t.Errorf("%s: %q is repeated in %q", name, arg, got)
			}
		}
		if want := slices.Equal(c.args, c.want); line.IsOpen() != want {
			t.Errorf("%s: the command line is open: %v, want %v", name, line.IsOpen(), want)
		}
	}
}

// What is secret comes back in parts and in the language of a text; what is not secret by its name stays readable.
func TestRedactedTexts(t *testing.T) {
	line := ReadCommandLine([]string{"--target", "http://name:pass%2Fword@h/", "--header", `Authorization: Bearer tok"en-of-ours`, "--header=Cookie: id=cookie-of-ours; theme=dark-theme",
		"--header", "Host: app.test", "--header", "ab"})
	for text, want := range map[string]string{
		`dial http://name:pass%2Fword@h/`:        `dial http://redacted@h/`,
		`user name:pass%2Fword@ of`:              `user redacted@ of`,
		`password pass/word`:                     `password redacted`,
		`parse "Bearer tok\"en-of-ours"`:         `parse "redacted"`,
		`a tok"en-of-ours alone`:                 `a redacted alone`,
		`{"id":"cookie-of-ours"}`:                `{"id":"redacted"}`,
		`invalid argument "Host: app.test"`:      `invalid argument "Host: redacted"`,
		`app.test does not answer; about a cab`:  `app.test does not answer; about a cab`,
		`"ab" belongs to no flag`:                `"redacted" belongs to no flag`,
		`http://h/ got 300/s, nothing to redact`: `http://h/ got 300/s, nothing to redact`,
	} {
		if got := line.Redact(text); got != want {
			t.Errorf("%q becomes\n%q, want\n%q", text, got, want)
		}
	}
	var out bytes.Buffer
	text := "at pass/word\n"
	if n, err := io.WriteString(line.Writer(&out), text); n != len(text) || err != nil || out.String() != "at redacted\n" {
		t.Errorf("wrote %d bytes, %v: %q", n, err, out.String())
	}
}

func FuzzCommandLine(f *testing.F) {
	f.Add("--target", "http://u:p@h/", "Authorization: x")
	f.Add("--header", "A:", "-H")
	f.Add("//@", "a:@", "-=")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		line := ReadCommandLine([]string{a, b, c})
		if len(line.Args) != 3 {
			t.Fatalf("%d arguments of 3: %q", len(line.Args), line.Args)
		}
		if line.IsOpen() && !slices.Equal(line.Args, []string{a, b, c}) {
			t.Errorf("nothing is secret, and the arguments are %q of %q", line.Args, []string{a, b, c})
		}
	})
}

type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// Where nothing could be written nothing counts as written.
func TestARedactedTextThatCannotBeWritten(t *testing.T) {
	w := &redactor{Writer: closed{}, line: &CommandLine{}}
	if n, err := w.Write([]byte("text")); n != 0 || err != io.ErrClosedPipe {
		t.Errorf("%d bytes are written, %v", n, err)
	}
}
