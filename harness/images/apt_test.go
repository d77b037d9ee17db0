package images

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMachineSources(t *testing.T) {
	cases := map[string]struct {
		files  map[string]string
		mirror string
		list   string
	}{
		"one-line format": {map[string]string{"sources.list": `
# deb http://commented.invalid/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://a.invalid/debian bookworm main contrib
deb-src http://a.invalid/debian bookworm main
deb http://a.invalid/debian bookworm-updates main # trailing
deb http://sec.invalid/debian-security bookworm-security main
deb http://other.invalid/thing nodistro main
deb cdrom:[x]/ bookworm main
`}, "http://a.invalid/debian",
			"deb http://a.invalid/debian bookworm main\ndeb http://a.invalid/debian bookworm-updates main\ndeb http://sec.invalid/debian-security bookworm-security main\n"},
		"deb822 format": {map[string]string{"sources.list.d/debian.sources": `Types: deb deb-src
# a comment in a stanza
URIs: http://b.invalid/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.invalid/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://src.invalid/debian
Suites: bookworm
Components: main
`}, "http://b.invalid/debian", "deb http://b.invalid/debian bookworm main\ndeb http://b.invalid/debian bookworm-updates main\n"},
		"other distribution": {map[string]string{"sources.list": "deb http://u.invalid/ubuntu noble main\n"}, "", ""},
		"no files":           {nil, "", ""},
		"ignored by apt":     {map[string]string{"sources.list.d/x.save": "deb http://a.invalid/debian bookworm main\n"}, "", ""},
		"only security":      {map[string]string{"sources.list": "deb http://s.invalid/s bookworm-security main\n"}, "", "deb http://s.invalid/s bookworm-security main\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "sources.list.d"), 0o755); err != nil {
				t.Fatal(err)
			}
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := machineSources(dir)
			if err != nil {
				t.Fatal(err)
			}
			if m := got.mirror("bookworm"); m != c.mirror {
				t.Errorf("mirror %q, want %q", m, c.mirror)
			}
			if l := got.of("bookworm").list(); l != c.list {
				t.Errorf("list\n%swant\n%s", l, c.list)
			}
		})
	}
}

func FuzzAptSources(f *testing.F) {
	f.Add([]byte("deb [a] http://x y main\n"))
	f.Add([]byte("Types: deb\nURIs: http://x\nSuites: y\nComponents: main\n"))
	f.Add([]byte(" \n\tdeb"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, s := range append(parseList(data), parseDeb822(data)...).of("bookworm") {
			if line := (aptSources{s}).list(); strings.Count(line, "\n") != 1 {
				t.Errorf("a source of more than one line: %q", line)
			}
		}
	})
}
