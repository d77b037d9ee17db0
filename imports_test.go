package rollproof_test

import (
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

const module = "bitvault.dev/rollproof"

// allowed is design.md's "who may import whom": for each part of the tree, the parts it may import besides itself.
// A folder that is missing here may not exist; a new room is a decision, made in this table.
var allowed = map[string][]string{
	"harness/history":  {},
	"harness/progress": {},
	"harness/flock":    {},
	"harness/wait":     {},
	"harness/docker":   {"harness/progress", "harness/flock", "harness/wait"},
	"harness/images":   {"harness/progress", "harness/flock", "harness/docker"},
	"harness/cluster":  {"harness/progress", "harness/docker", "harness/images", "harness/wait"},
	"harness/words":    {},
	"harness/timeline": {"harness/history", "harness/words"},
	"harness/judge":    {"harness/history", "harness/timeline", "harness/words"},
	"harness/checks":   {"harness/history", "harness/timeline", "harness/judge", "harness/words"},
	"harness/load":     {"harness/history"},
	"harness/ledger":   {"harness/history"},
	"harness/observe":  {"harness/history", "harness/wait"},
	"harness/disrupt":  {"harness/history", "harness/cluster", "harness/wait"},
	"harness/run":      {"harness"},
	"reports":          {"harness/history", "harness/judge"},
	"fixtures":         {"harness"},
	"scenarios":        {"harness/run", "harness/disrupt", "harness/judge", "harness/checks", "fixtures"},
	"suites":           {""},
	"cmd":              {""},
}

// testOnly may be imported by suites and by _test.go files alone: everything else must run outside of `go test`.
var testOnly = []string{"testing", "github.com/onsi/"}

func TestImportRules(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedImports}, "./...")
	if err != nil {
		t.Fatalf("load packages: %v", err)
	}
	if len(pkgs) == 0 {
		t.Fatal("no package was loaded: this test would prove nothing")
	}
	for _, pkg := range pkgs {
		for _, broken := range violations(pkg.PkgPath, imports(pkg)) {
			t.Error(broken)
		}
	}
}

func imports(pkg *packages.Package) []string {
	var paths []string
	for path := range pkg.Imports {
		paths = append(paths, path)
	}
	return paths
}

// violations says which of the imports of one package the table forbids.
func violations(pkgPath string, imports []string) []string {
	rel := strings.TrimPrefix(strings.TrimPrefix(pkgPath, module), "/")
	if rel == "" {
		return nil
	}
	room, ok := roomOf(rel)
	if !ok {
		return []string{rel + " has no room in the import table: add it, or put the code where a room exists"}
	}
	var broken []string
	for _, path := range imports {
		if room != "suites" && isTestOnly(path) {
			broken = append(broken, rel+" imports "+path+": only suites and _test.go files may")
		}
		ours, isOurs := strings.CutPrefix(path, module+"/")
		if isOurs && !inside(ours, room) && !mayImport(room, ours) {
			broken = append(broken, rel+" imports "+ours+": "+room+" may import only "+strings.Join(allowed[room], ", "))
		}
	}
	return broken
}

func roomOf(rel string) (string, bool) {
	for room := range allowed {
		if inside(rel, room) {
			return room, true
		}
	}
	return "", false
}

func mayImport(room, path string) bool {
	for _, ok := range allowed[room] {
		if ok == "" || inside(path, ok) {
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
		{"harness/timeline", "harness/judge", true},
		{"harness/checks/canary", "harness/checks/load", false},
		{"harness/judge", "harness/load", true},
		{"harness/history", "harness/judge", true},
		{"harness/run", "scenarios/canary", true},
		{"harness/run", "harness/judge", false},
		{"scenarios/canary", "harness/disrupt", false},
		{"scenarios/canary", "harness/cluster", true},
		{"suites/teeth", "scenarios/canary", false},
		{"util", "harness/history", true},
	}
	for _, c := range cases {
		got := violations(module+"/"+c.pkg, []string{module + "/" + c.imports})
		if (len(got) > 0) != c.broken {
			t.Errorf("%s importing %s: violations %q, want broken = %v", c.pkg, c.imports, got, c.broken)
		}
	}
	if got := violations(module+"/harness/load", []string{"testing"}); len(got) != 1 {
		t.Errorf("importing testing outside of tests gave %q, want one violation", got)
	}
}
