package images

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeMaven puts a mvn in the path that copies the folder made, beside the project's pom, to target/files.
func fakeMaven(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	text := "#!/bin/sh\nfor last; do [ \"$before\" = --file ] && pom=$last; before=$last; done\ncd \"$(dirname \"$pom\")\" || exit 1\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "mvn"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func sums(files map[string]string) string {
	var text strings.Builder
	for name, content := range files {
		sum := sha256.Sum256([]byte(content))
		text.WriteString(hex.EncodeToString(sum[:]) + "  " + name + "\n")
	}
	return text.String()
}

// jarProject is a component with a Maven project that makes lib/a.jar and modules/b.jar.
func jarProject(t *testing.T, listed map[string]string) *project {
	t.Helper()
	p := newProject(t)
	p.component("store", "about: x\nversion: \"1\"\nmaven: [{project: jars, to: /opt/store}]\nlinks: {/store: opt/store}\n")
	p.write("fixtures/images/store/jars/pom.xml", "<project/>")
	p.write("fixtures/images/store/jars/"+checksumFile, sums(listed))
	return p
}

const makesTwo = "mkdir -p target/files/lib target/files/modules && printf a > target/files/lib/a.jar && printf b > target/files/modules/b.jar"

func TestMavenFilesGetIntoTheImage(t *testing.T) {
	fakeMaven(t, makesTwo)
	p := jarProject(t, map[string]string{"lib/a.jar": "a", "modules/b.jar": "b"})
	made := p.ensure("store")
	found := files(t, p.open("source"), made[0])
	for name, want := range map[string]string{"opt/store/lib/a.jar": "644 a", "opt/store/modules/b.jar": "644 b", "store": "-> opt/store"} {
		if found[name] != want {
			t.Errorf("%s is %q, want %q; there are %v", name, found[name], want, found)
		}
	}
	// The same project is fetched once, however often the image is made anew.
	fakeMaven(t, "echo it ran again >&2; exit 1")
	p.component("store", "about: x\nversion: \"2\"\nmaven: [{project: jars, to: /opt/store}]\n")
	p.ensure("store")
	p.write("fixtures/images/store/jars/pom.xml", "<project>changed</project>")
	if _, err := p.open("source").Ensure(t.Context(), "store"); err == nil || !strings.Contains(err.Error(), "it ran again") {
		t.Errorf("a changed project: error %v, want Maven to have run", err)
	}
}

func TestMavenFilesAreHeldAgainstTheirChecksums(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		listed map[string]string
		want   string
	}{
		"another content": {makesTwo, map[string]string{"lib/a.jar": "c", "modules/b.jar": "b"}, "fetched lib/a.jar with checksum"},
		"one more":        {makesTwo, map[string]string{"lib/a.jar": "a"}, "fetched modules/b.jar, which SHA256SUMS does not list"},
		"one less":        {makesTwo, map[string]string{"lib/a.jar": "a", "modules/b.jar": "b", "lib/c.jar": "c"}, "did not fetch lib/c.jar"},
		"nothing":         {"true", map[string]string{"lib/a.jar": "a"}, "did not fetch lib/a.jar"},
		"Maven complains": {"echo '[INFO] x'; echo '[ERROR] no such artifact'; echo '[ERROR] read the manual'; exit 1", nil, "mvn: exit status 1: [ERROR] no such artifact"},
	} {
		t.Run(name, func(t *testing.T) {
			fakeMaven(t, c.script)
			_, err := jarProject(t, c.listed).open("source").Ensure(t.Context(), "store")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, c.want)
			}
		})
	}
	p := jarProject(t, nil)
	p.write("fixtures/images/store/jars/"+checksumFile, "no checksum\n")
	fakeMaven(t, makesTwo)
	if _, err := p.open("source").Ensure(t.Context(), "store"); err == nil || !strings.Contains(err.Error(), `line "no checksum"`) {
		t.Errorf("a list that is none: error %v", err)
	}
}
