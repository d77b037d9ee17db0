package images

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestMalformedDefinitionsAreOneClearLine(t *testing.T) {
	const head = "about: x\nversion: \"1\"\n"
	cases := map[string]struct{ text, want string }{
		"no yaml":             {":\n- [", "component.yaml"},
		"a misspelt field":    {head + "fils: []\n", `"fils"`},
		"a field twice":       {head + "about: y\nfiles: [{path: a, to: /}]\n", "about"},
		"no version":          {"about: x\nfiles: [{path: a, to: /}]\n", "version is missing"},
		"nothing to build":    {head, "nothing to build"},
		"two kinds of go":     {head + "go: [{module: a, package: ./b}]\n", "exactly one of module, package and source, not 2"},
		"an overlay outside":  {head + "go: [{module: a, overlay: [{module: example.test/m, file: a.go, with: ../b.go}]}]\n", "overlay: give module, file and with"},
		"overlay of a source": {head + "go: [{package: ./b, overlay: [{module: example.test/m, file: a.go, with: b.go}]}]\n", "overlay: give module, file and with"},
		"no kind of go":       {head + "go: [{tags: [a]}]\n", "exactly one of module, package and source, not 0"},
		"module outside":      {head + "go: [{module: ../x}]\n", "below the component's folder"},
		"package not local":   {head + "go: [{package: fmt}]\n", "begin with ./"},
		"relative install":    {head + "go: [{module: a, install: {bin: [a]}}]\n", "must be absolute"},
		"binary with a slash": {head + "go: [{module: a, install: {/bin: [../a]}}]\n", "not the name of a binary"},
		"file outside":        {head + "files: [{path: /etc/passwd, to: /}]\n", "below its folder"},
		"dockerfile, no from": {head + "dockerfile: Dockerfile\n", "needs from"},
		"preload alone":       {head + "from: b\npreload: [{as: x, component: b}]\n", "preload needs a dockerfile"},
		"preload of nothing":  {head + "from: b\ndockerfile: D\npreload: [{as: x}]\n", "either a component or binaries"},
		"preload bad name":    {head + "from: b\ndockerfile: D\npreload: [{as: 'X Y', component: b}]\n", "as:"},
		"bad ref":             {head + "ref: 'A B'\nfiles: [{path: a, to: /}]\n", "ref:"},
		"source without sum":  {head + "go: [{source: {module: example.test/a, version: v1.0.0, packages: [.]}}]\n", "sum"},
		"source bad version":  {head + "go: [{source: {module: example.test/a, version: '1', sum: 'h1:', packages: [.]}}]\n", "source:"},
		"maven outside":       {head + "maven: [{project: ../x, to: /opt}]\n", "maven[0]: project must lie below"},
		"maven to nowhere":    {head + "maven: [{project: x, to: opt}]\n", "to must be absolute"},
		"a relative link":     {head + "files: [{path: a, to: /}]\nlinks: {a: /b}\n", "a link lies at an absolute path"},
		"a link to nothing":   {head + "files: [{path: a, to: /}]\nlinks: {/a: ''}\n", "points to something"},
		"debootstrap on base": {head + "from: b\ndebootstrap: {suite: bookworm}\n", "debootstrap needs a suite"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseDefinition("x", []byte(c.text))
			if err == nil {
				t.Fatal("accepted")
			}
			if msg := err.Error(); !strings.Contains(msg, c.want) || !strings.HasPrefix(msg, "fixtures/images/x/component.yaml: ") || strings.Contains(msg, "\n") {
				t.Errorf("said %q, want one line with the file and %q", msg, c.want)
			}
		})
	}
}

func TestVersionIsFilledIn(t *testing.T) {
	d, err := parseDefinition("x", []byte("about: x\nversion: v1.2.3\nref: example.test/x:${version}\nfiles: [{path: a, to: /}]\n"))
	if err != nil || d.Ref != "example.test/x:v1.2.3" {
		t.Errorf("ref %+v, %v", d, err)
	}
}

func TestTheArchitectureIsFilledIn(t *testing.T) {
	d, err := parseDefinition("x", []byte("about: x\nversion: v1\nfiles: [{path: a, to: /}]\nlinks: {/tool: \"bin/tool_${arch}\"}\n"))
	if err != nil || d.Links["/tool"] != "bin/tool_"+runtime.GOARCH {
		t.Errorf("links %+v, %v", d, err)
	}
}

func TestReferencesBetweenComponents(t *testing.T) {
	p := newProject(t)
	p.component("house", "about: x\nversion: \"1\"\nfrom: flor\nfiles: [{path: roof, to: /}]\n")
	if _, err := LoadDefinitions(p.root); err == nil || !strings.Contains(err.Error(), `did you mean floor?`) {
		t.Errorf("a base that does not exist: %v", err)
	}
	p.component("house", "about: x\nversion: \"1\"\nfrom: hut\nfiles: [{path: roof, to: /}]\n")
	p.component("hut", "about: x\nversion: \"1\"\nfrom: house\nfiles: [{path: roof, to: /}]\n")
	if _, err := LoadDefinitions(p.root); err == nil || !strings.Contains(err.Error(), "circle: house -> hut -> house") {
		t.Errorf("a circle: %v", err)
	}
}

func TestUnknownComponentNamesTheNearest(t *testing.T) {
	s := newProject(t).open("source")
	for given, want := range map[string]string{"tol": `did you mean tool?`, "hause": `did you mean house?`, "zzzzzzzzzzzzz": "there are floor, house and tool"} {
		if _, err := s.Ensure(t.Context(), given); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("component %q: %v, want %q", given, err, want)
		}
	}
}

func TestFindRoot(t *testing.T) {
	p := newProject(t)
	deep := filepath.Join(p.root, "fixtures", "images", "tool") // has a go.mod of its own, which is not the project's
	got, err := FindRoot(deep)
	want, _ := filepath.Abs(p.root)
	if err != nil || got != want {
		t.Errorf("root of %s is %q, %v; want %q", deep, got, err, want)
	}
	if _, err := FindRoot(t.TempDir()); err == nil || !strings.Contains(err.Error(), "inside of its repository") {
		t.Errorf("outside of the project: %v", err)
	}
}

func TestUnknownSource(t *testing.T) {
	p := newProject(t)
	for _, source := range []string{"sauce", "bundle", "bundle:"} {
		if _, err := Open(t.Context(), Options{Root: p.root, Cache: p.cache, Source: source}); err == nil || !strings.Contains(err.Error(), "choose source, pull, bundle:FILE or auto") {
			t.Errorf("--images=%s: %v", source, err)
		}
	}
}

// The project's own components: the node's version is the one its modules build.
func TestOwnComponents(t *testing.T) {
	root, err := FindRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	defs, err := LoadDefinitions(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"base", "netbase", "node", "probe", "registry", "routes"} {
		if defs[want] == nil {
			t.Errorf("component %s is missing", want)
		}
	}
	node := defs["node"]
	if node == nil {
		t.FailNow()
	}
	pins := map[string]string{"kubernetes": "k8s.io/kubernetes", "containerd": "github.com/containerd/containerd/v2",
		"etcd": "go.etcd.io/etcd/server/v3", "coredns": "github.com/coredns/coredns"}
	versions := map[string]string{}
	for folder, path := range pins {
		mod, err := readModule(filepath.Join(node.Dir, folder))
		if err != nil {
			t.Fatal(err)
		}
		version, sum := mod.pin(path)
		if version == "" || !strings.HasPrefix(sum, "h1:") {
			t.Errorf("node/%s does not pin %s with a checksum: %q %q", folder, path, version, sum)
		}
		versions[folder] = version
	}
	if versions["kubernetes"] != node.Version {
		t.Errorf("node is %s, its module builds Kubernetes %s", node.Version, versions["kubernetes"])
	}
	for _, g := range node.Go {
		if v, ok := g.Vars["github.com/containerd/containerd/v2/version.Version"]; ok && v != versions["containerd"] {
			t.Errorf("containerd says %s, its module builds %s", v, versions["containerd"])
		}
	}
	for folder, prefix := range map[string]string{"etcd": "registry.k8s.io/etcd:", "coredns": "registry.k8s.io/coredns/coredns:"} {
		found := false
		for _, p := range node.Preload {
			if rest, ok := strings.CutPrefix(p.As, prefix); ok {
				found = found || strings.HasPrefix("v"+strings.TrimPrefix(rest, "v"), versions[folder])
			}
		}
		if !found {
			t.Errorf("no preloaded image %s has version %s of its module", prefix, versions[folder])
		}
	}
}

func FuzzDefinition(f *testing.F) {
	for _, c := range []string{"about: x\nversion: \"1\"\nfiles: [{path: a, to: /}]\n", "about: x\nversion: v1\ngo: [{module: a}]\n", ":", "[]", "about: {}"} {
		f.Add([]byte(c))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseDefinition("x", data)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
		if err == nil && (d.Version == "" || d.About == "") {
			t.Errorf("accepted without version or about: %q", data)
		}
	})
}

func TestRegularFilesRefusesLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := regularFiles(dir); err == nil {
		t.Error("a link was accepted")
	}
}
