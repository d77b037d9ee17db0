package images

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"
)

// moduleProxy serves modules from a folder, without any network, and an empty module cache of its own.
func moduleProxy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("GOPROXY", "file://"+dir)
	t.Setenv("GONOSUMDB", "*")
	t.Setenv("GOSUMDB", "off")
	cache := t.TempDir()
	t.Setenv("GOMODCACHE", cache)
	t.Cleanup(func() { // the module cache is read-only
		_ = filepath.Walk(cache, func(p string, info os.FileInfo, err error) error {
			if err == nil && info.IsDir() {
				_ = os.Chmod(p, 0o755)
			}
			return nil
		})
	})
	return dir
}

// serve adds a module to the proxy and returns its checksum.
func serve(t *testing.T, proxy, path, version string, files map[string]string) string {
	t.Helper()
	at := filepath.Join(proxy, path, "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for name, text := range files {
		w, err := z.Create(path + "@" + version + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{version + ".zip": packed.Bytes(), version + ".mod": []byte(files["go.mod"]), version + ".info": []byte(`{"Version":"` + version + `"}`)} {
		if err := os.WriteFile(filepath.Join(at, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := dirhash.HashZip(filepath.Join(at, version+".zip"), dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestUpstreamModuleIsBuiltInItsOwnFolder(t *testing.T) {
	p := newProject(t)
	proxy := moduleProxy(t)
	sum := serve(t, proxy, "example.test/up", "v1.0.0", map[string]string{
		"go.mod":          "module example.test/up\n\ngo 1.26.0\n\nrequire example.test/api v0.0.0\n\nreplace example.test/api => ./api\n\nreplace example.test/gone => ../gone\n",
		"cmd/up/main.go":  "package main\n\nimport \"example.test/api\"\n\nvar version = \"none\"\n\nfunc main() { println(api.Name, version) }\n",
		"cmd/up/extra.md": "x",
	})
	apiSum := serve(t, proxy, "example.test/api", "v1.5.0", map[string]string{
		"go.mod": "module example.test/api\n\ngo 1.26.0\n", "api.go": "package api\n\nconst Name = \"api\"\n"})
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("module example.test/api\n\ngo 1.26.0\n")), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	definition := func(sum string) string {
		return "about: x\nversion: v1.0.0\ngo:\n- source:\n    module: example.test/up\n    version: ${version}\n    sum: " + sum +
			"\n    packages: [./cmd/up]\n    replace: {example.test/api: example.test/api@v1.5.0}\n    dropReplace: [example.test/gone]\n    goSum: more.sum\n" +
			"  vars: {main.version: ${version}}\n  install: {/bin: [up]}\n"
	}
	p.component("up", definition(sum))
	p.write("fixtures/images/up/more.sum", "example.test/api v1.5.0 "+apiSum+"\nexample.test/api v1.5.0/go.mod "+modSum+"\n")
	made := p.ensure("up")
	if got := files(t, p.open("source"), made[0]); !strings.Contains(got["bin/up"], "v1.0.0") {
		t.Error("the binary is missing or lacks its version")
	}
	p.component("up", definition("h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	if _, err := p.open("source").Ensure(t.Context(), "up"); err == nil || !strings.Contains(err.Error(), "refusing to build") {
		t.Errorf("a module with another checksum: %v", err)
	}
}

func TestModuleThatDoesNotResolve(t *testing.T) {
	p := newProject(t)
	moduleProxy(t)
	p.write("fixtures/images/tool/go.mod", "module example.test/tool\n\ngo 1.26.0\n\ntool example.test/missing/cmd/x\n\nrequire example.test/missing v1.2.3\n")
	p.write("fixtures/images/tool/go.sum", "example.test/missing v1.2.3 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nexample.test/missing v1.2.3/go.mod h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	_, err := p.open("source").Ensure(t.Context(), "tool")
	if err == nil {
		t.Fatal("built")
	}
	for _, want := range []string{"component tool", "example.test/missing@v1.2.3", "does not resolve", "fixtures/images/tool/go.mod", "GOPROXY"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("said %q, which lacks %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	p.component("tool", "about: x\nversion: \"1\"\ngo:\n- source: {module: example.test/missing, version: v1.9.9, sum: 'h1:x', packages: [.]}\n")
	if _, err := p.open("source").Ensure(t.Context(), "tool"); err == nil || !strings.Contains(err.Error(), "module example.test/missing@v1.9.9 does not resolve") {
		t.Errorf("a source that is missing: %v", err)
	}
}

func TestCodeThatDoesNotCompileNamesTheLine(t *testing.T) {
	p := newProject(t)
	p.write("fixtures/images/tool/main.go", "package main\n\nfunc main() { nonsense }\n")
	_, err := p.open("source").Ensure(t.Context(), "tool")
	if err == nil || !strings.Contains(err.Error(), "main.go:3") || !strings.Contains(err.Error(), "log: ") {
		t.Errorf("error %v", err)
	}
}

func TestMissingGoCommand(t *testing.T) {
	p := newProject(t)
	s := p.open("source")
	t.Setenv("PATH", t.TempDir())
	if _, err := s.Ensure(t.Context(), "tool"); err == nil || !strings.Contains(err.Error(), "golang-go") {
		t.Errorf("error %v, want the package to install", err)
	}
	if _, err := p.open("source").Ensure(t.Context(), "house"); err != nil {
		t.Errorf("an image without Go code needs no go command: %v", err)
	}
}

func TestPackageOfTheProjectItself(t *testing.T) {
	p := newProject(t)
	p.write("fixtures/apps/server/main.go", "package main\n\nimport \"bitvault.dev/rollproof/inner\"\n\nfunc main() { println(inner.Name) }\n")
	p.write("inner/inner.go", "package inner\n\nconst Name = \"x\"\n")
	p.write("other/other.go", "package other\n")
	p.component("server", "about: x\nversion: \"1\"\ngo:\n- package: ./fixtures/apps/server\n  install: {/bin: [server]}\n")
	p.ensure()
	p.write("other/other.go", "package other\n\nconst Changed = true\n")
	if got := p.missing(); got != "" {
		t.Errorf("a package it does not import changed, and %q would be built", got)
	}
	p.write("inner/inner.go", "package inner\n\nconst Name = \"y\"\n")
	if got := p.missing(); got != "server" {
		t.Errorf("a package it imports changed, and %q would be built", got)
	}
}

func TestAMachineWithoutGoUsesABundle(t *testing.T) {
	p := newProject(t)
	p.write("fixtures/apps/server/main.go", "package main\n\nfunc main() {}\n")
	p.component("server", "about: x\nversion: \"1\"\ngo:\n- package: ./fixtures/apps/server\n  install: {/bin: [server]}\n")
	file := filepath.Join(t.TempDir(), "bundle.tar")
	saved, err := p.open("source").Save(t.Context(), file, "server")
	if err != nil {
		t.Fatal(err)
	}
	p.cache = t.TempDir()
	t.Setenv("PATH", t.TempDir())
	got, err := p.open("bundle:"+file).Ensure(t.Context(), "server")
	if err != nil || got[0].Digest != saved[0].Digest {
		t.Errorf("with a bundle: %v, %v", got, err)
	}
	states, err := p.open("source").List(t.Context(), "server")
	if err != nil || states[0].Cached || !strings.Contains(states[0].Why, "go command is missing") {
		t.Errorf("list: %+v, %v", states, err)
	}
	if _, err := p.open("source").Ensure(t.Context(), "server"); err == nil || !strings.Contains(err.Error(), "--images=bundle:FILE") {
		t.Errorf("without it: %v", err)
	}
}

func TestMissingDebootstrapAndDocker(t *testing.T) {
	p := newProject(t)
	p.component("deb", "about: x\nversion: \"1\"\ndebootstrap: {suite: bookworm}\n")
	t.Run("debootstrap", func(t *testing.T) {
		s := p.open("source")
		s.locker.toolchain = "go1"
		t.Setenv("PATH", t.TempDir())
		if _, err := s.Ensure(t.Context(), "deb"); err == nil || !strings.Contains(err.Error(), "debootstrap") || !strings.Contains(err.Error(), "--images=bundle:FILE") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("docker", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if err := (dockerCLI{}).answers(t.Context()); err == nil || !strings.Contains(err.Error(), "package docker.io") {
			t.Errorf("error %v", err)
		}
	})
}

// A file of a module is compiled from the component's folder, with the module's version and checksum as pinned; one that the module does
// not have is an error, for it would change nothing; another content is another build.
func TestAnOverlayTakesThePlaceOfAFile(t *testing.T) {
	p := newProject(t)
	proxy := moduleProxy(t)
	upMod := "module example.test/up\n\ngo 1.26.0\n"
	sum := serve(t, proxy, "example.test/up", "v1.0.0", map[string]string{
		"go.mod": upMod, "cmd/up/main.go": "package main\n\nimport \"example.test/up/clouds\"\n\nfunc main() { println(clouds.Names) }\n",
		"clouds/all.go": "package clouds\n\nconst Names = \"a hundred and ninety clouds\"\n",
	})
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(upMod)), nil })
	if err != nil {
		t.Fatal(err)
	}
	definition := func(file string) string {
		return "about: x\nversion: v1.0.0\ngo:\n- module: .\n  overlay: [{module: example.test/up, file: " + file + ", with: clouds.go}]\n  install: {/bin: [up]}\n"
	}
	p.component("up", definition("clouds/all.go"))
	p.write("fixtures/images/up/go.mod", "module example.test/image\n\ngo 1.26.0\n\ntool example.test/up/cmd/up\n\nrequire example.test/up v1.0.0\n")
	p.write("fixtures/images/up/go.sum", "example.test/up v1.0.0 "+sum+"\nexample.test/up v1.0.0/go.mod "+modSum+"\n")
	for _, names := range []string{"not one cloud", "one cloud only"} {
		p.write("fixtures/images/up/clouds.go", "package clouds\n\nconst Names = \""+names+"\"\n")
		binary := files(t, p.open("source"), p.ensure("up")[0])["bin/up"]
		if !strings.Contains(binary, names) || strings.Contains(binary, "a hundred and ninety clouds") {
			t.Errorf("the binary is not made of the file that says %q", names)
		}
	}
	p.component("up", definition("clouds/none.go"))
	if _, err := p.open("source").Ensure(t.Context(), "up"); err == nil || !strings.Contains(err.Error(), "it has no file clouds/none.go") {
		t.Errorf("an overlay of a file that is not there: %v", err)
	}
}
