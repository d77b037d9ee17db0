package rollproof_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

const module = "bitvault.dev/rollproof"

// allowed is design.md's "who may import whom": for each part of the tree, the parts it may import besides itself.
// A folder that is missing here may not exist; a new room is a decision, made in this table.
var allowed = map[string][]string{
	"harness/history":  {},
	"harness/progress": {"harness/words"},
	"harness/flock":    {},
	"harness/wait":     {"harness/words"},
	"harness/docker":   {"harness/progress", "harness/flock", "harness/wait"},
	"harness/images":   {"harness/progress", "harness/flock", "harness/docker", "harness/words"},
	"harness/kube":     {},
	"harness/resource": {"harness/history", "harness/kube"},
	// A kind of site is a folder of its own below site, and knows no other.
	"harness/site":          {"harness/kube", "harness/words"},
	"harness/site/existing": {"harness/site"},
	"harness/site/kind":     {"harness/site", "harness/kube", "harness/words", "harness/progress", "harness/docker", "harness/images", "harness/wait"},
	"harness/words":         {},
	"harness/timeline":      {"harness/history", "harness/resource", "harness/words"},
	"harness/judge":         {"harness/history", "harness/timeline", "harness/words"},
	"harness/checks":        {"harness/history", "harness/resource", "harness/timeline", "harness/judge", "harness/words"},
	"harness/probe":         {"harness/history"},
	"harness/load":          {"harness/history", "harness/probe", "harness/words"},
	"harness/ledger":        {"harness/history", "harness/probe", "harness/wait"},
	"harness/observe":       {"harness/history", "harness/resource", "harness/kube", "harness/wait", "harness/words"},
	"harness/disrupt":       {"harness/history", "harness/resource", "harness/kube", "harness/wait", "harness/words"},
	"harness/run":           {"harness"},
	"harness/suite":         {"harness/history", "harness/judge"},
	"reports":               {"harness/history", "harness/resource", "harness/timeline", "harness/judge", "harness/suite", "harness/words"},
	"fixtures":              {"harness"},
	"scenarios":             {"harness/run", "harness/disrupt", "harness/judge", "harness/checks", "harness/words", "fixtures"},
	"suites":                {""},
	"cmd":                   {""},
}

// inTests are exceptions: what the tests of a package import besides what the table allows. Each says why.
var inTests = map[string][]string{
	"harness/site/existing": {"harness/observe/apitest"},                    // the API server of the tests
	"harness/site/kind":     {"harness/site/existing"},                      // a cluster of ours, named as if somebody else had made it
	"harness/disrupt":       {"harness/observe", "harness/observe/apitest"}, // the API server of the tests; and whether what is disturbed is seen
	"scenarios":             {"harness/history"},                            // names of disturbances, which more than one type performs
}

// testOnly may be imported by suites and by _test.go files alone: everything else must run outside of `go test`.
var testOnly = []string{"testing", "github.com/onsi/"}

// aloneIn are packages that one room alone may import: what they are for is done in one place.
var aloneIn = map[string]string{
	"encoding/xml":                    "reports",       // JUnit
	"github.com/agnivade/levenshtein": "harness/words", // did you mean
}

func TestImportRules(t *testing.T) {
	for _, pkg := range load(t) {
		for _, broken := range violations(pkg) {
			t.Error(broken)
		}
	}
}

// ruled is a package as the table sees it: what it imports itself, and what its tests import besides.
type ruled struct {
	path          string // below the module
	imports       []string
	importsOfTest []string
}

// load reads every package of the module with its tests, whatever their build tags.
func load(t *testing.T) []ruled {
	t.Helper()
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedForTest, Tests: true,
		BuildFlags: []string{"-tags=bench,browser,docker,kind,netns,stores"},
	}, "./...")
	if err != nil {
		t.Fatalf("load packages: %v", err)
	}
	all := map[string]*ruled{}
	for _, pkg := range pkgs {
		path := cmp.Or(pkg.ForTest, pkg.PkgPath)
		if strings.HasSuffix(path, ".test") { // the program that go test makes of a package
			continue
		}
		r := all[path]
		if r == nil {
			r = &ruled{path: strings.TrimPrefix(strings.TrimPrefix(path, module), "/")}
			all[path] = r
		}
		imports := slices.Collect(maps.Keys(pkg.Imports))
		if pkg.ForTest == "" {
			r.imports = append(r.imports, imports...)
		} else {
			r.importsOfTest = append(r.importsOfTest, imports...)
		}
	}
	var packages []ruled
	tested := 0
	for _, path := range slices.Sorted(maps.Keys(all)) {
		packages = append(packages, *all[path])
		tested += min(1, len(all[path].importsOfTest))
	}
	if len(packages) == 0 || tested == 0 {
		t.Fatalf("%d packages were loaded, %d of them with tests: this test would prove nothing", len(packages), tested)
	}
	return packages
}

// violations says which of the imports of one package, or of its tests, the table forbids.
func violations(pkg ruled) []string {
	if pkg.path == "" {
		return nil
	}
	room, ok := roomOf(pkg.path)
	if !ok {
		return []string{pkg.path + " has no room in the import table: add it, or put the code where a room exists"}
	}
	var broken []string
	for _, path := range pkg.imports {
		if room != "suites" && isTestOnly(path) {
			broken = append(broken, pkg.path+" imports "+path+": only suites and _test.go files may")
		}
		if only := aloneIn[path]; only != "" && only != room {
			broken = append(broken, pkg.path+" imports "+path+": only "+only+" may")
		}
		if ours, forbidden := forbiddenIn(room, path); forbidden {
			broken = append(broken, pkg.path+" imports "+ours+": "+room+" may import only "+strings.Join(allowed[room], ", "))
		}
	}
	for _, path := range pkg.importsOfTest {
		if ours, forbidden := forbiddenIn(room, path); forbidden && !slices.Contains(inTests[pkg.path], ours) {
			broken = append(broken, "a test of "+pkg.path+" imports "+ours+": "+room+" may import only "+strings.Join(allowed[room], ", "))
		}
	}
	slices.Sort(broken)
	return slices.Compact(broken)
}

// forbiddenIn reports whether a room may not import a path, which is one of ours below the module.
func forbiddenIn(room, path string) (ours string, forbidden bool) {
	ours, isOurs := strings.CutPrefix(path, module+"/")
	home, _ := roomOf(ours)
	return ours, isOurs && home != room && !mayImport(room, ours)
}

// roomOf is the innermost room of the table that a path lies in.
func roomOf(rel string) (room string, found bool) {
	for r := range allowed {
		if inside(rel, r) && len(r) > len(room) {
			room, found = r, true
		}
	}
	return room, found
}

func mayImport(room, path string) bool {
	home, _ := roomOf(path)
	for _, ok := range allowed[room] {
		if _, isRoom := allowed[ok]; ok == "" || home == ok || !isRoom && inside(path, ok) { // a room within a room is named by itself
			return true
		}
	}
	return false
}

func isTestOnly(path string) bool {
	for _, p := range testOnly {
		if path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// inside reports whether path is dir or lies below it.
func inside(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func TestViolationsAreSeen(t *testing.T) {
	cases := []struct {
		pkg, imports string
		broken       bool
	}{
		{"harness/judge", "harness/history", false},
		{"harness/judge", "harness/timeline", false},
		{"harness/judge", "harness/checks", true},
		{"harness/judge", "harness/load", true},
		{"harness/history", "harness/judge", true},
		{"harness/timeline", "harness/judge", true},
		{"harness/checks/canary", "harness/checks/load", false},
		{"harness/checks/canary", "harness/observe", true},
		{"harness/run", "scenarios/canary", true},
		{"harness/run", "harness/judge", false},
		{"scenarios/canary", "harness/disrupt", false},
		{"scenarios/canary", "harness/site/kind", true},
		{"harness/site/kind", "harness/site", false},
		{"harness/site/existing", "harness/site/kind", true},
		{"harness/site", "harness/site/kind", true},
		{"harness/run", "harness/site/kind", false},
		{"suites/teeth", "scenarios/canary", false},
		{"util", "harness/history", true},
	}
	for _, c := range cases {
		path := []string{module + "/" + c.imports}
		if got := violations(ruled{path: c.pkg, imports: path}); (len(got) > 0) != c.broken {
			t.Errorf("%s importing %s: violations %q, want broken = %v", c.pkg, c.imports, got, c.broken)
		}
		if got := violations(ruled{path: c.pkg, importsOfTest: path}); (len(got) > 0) != c.broken {
			t.Errorf("a test of %s importing %s: violations %q, want broken = %v", c.pkg, c.imports, got, c.broken)
		}
	}
	if got := violations(ruled{path: "harness/load", imports: []string{"testing"}}); len(got) != 1 {
		t.Errorf("importing testing outside of tests gave %q, want one violation", got)
	}
	if got := violations(ruled{path: "suites", imports: []string{"encoding/xml"}}); len(got) != 1 {
		t.Errorf("a second writer of XML gave %q, want one violation", got)
	}
	if got := violations(ruled{path: "reports", imports: []string{"encoding/xml"}}); len(got) != 0 {
		t.Errorf("the one writer of XML gave %q, want none", got)
	}
	if got := violations(ruled{path: "harness/load", importsOfTest: []string{"testing"}}); len(got) != 0 {
		t.Errorf("importing testing in a test gave %q, want none", got)
	}
}

// An exception that nothing uses any more is one too many.
func TestExceptionsAreInUse(t *testing.T) {
	for _, pkg := range load(t) {
		for _, path := range inTests[pkg.path] {
			if room, _ := roomOf(pkg.path); !slices.Contains(pkg.importsOfTest, module+"/"+path) || mayImport(room, path) {
				t.Errorf("tests of %s need no exception to import %s: remove it", pkg.path, path)
			}
		}
	}
}
