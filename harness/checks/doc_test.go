package checks_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"bitvault.dev/rollproof/harness/checks"
	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/words"
)

// docs/checks.md is made of what each check says of itself, of its budgets' defaults, and of the comments on their fields. -update writes it.
func TestTheDocumentationIsOfTheseChecks(t *testing.T) {
	b := checks.DefaultBudgets()
	comments := fieldComments(t, "../judge/*.go", "*/*.go")
	intro, err := os.ReadFile(filepath.Join("testdata", "checks.intro.md"))
	must(t, err)
	var doc strings.Builder
	var always []string
	for _, check := range checks.All(b).For(history.Run{}) {
		always = append(always, "`"+check.Slug+"`")
	}
	doc.WriteString(strings.Replace(string(intro), "ALWAYS", words.List(always), 1))
	doc.WriteString("\n")
	writeLimits(t, &doc, comments, b.Tolerance, b.Strategy)
	for _, check := range checks.All(b) {
		writeCheck(t, &doc, comments, check)
	}
	path := filepath.Join("..", "..", "docs", "checks.md")
	if *update {
		must(t, os.WriteFile(path, []byte(doc.String()), 0o644))
	}
	have, err := os.ReadFile(path)
	must(t, err)
	if string(have) != doc.String() {
		t.Error("docs/checks.md is stale: run go test ./harness/checks -run Documentation -update")
	}
}

func writeCheck(t *testing.T, doc *strings.Builder, comments map[string]string, check judge.Check) {
	t.Helper()
	d := check.Doc
	if d.Proves == "" || d.Inconclusive == "" {
		t.Errorf("%s does not say what it proves, or when it is inconclusive", check.Slug)
	}
	fmt.Fprintf(doc, "\n## %s\n%s.\n\n", check.Slug, upper(check.Promise))
	for _, line := range []struct{ about, text string }{
		{"Proves:", d.Proves}, {"Cannot:", d.Cannot}, {"Excepted:", d.Excepts}, {"Fails:", d.Fails}, {"Inconclusive:", d.Inconclusive},
		{"The scenario must say", strings.Join(check.Unsaid, ", ")},
	} {
		if line.text != "" {
			doc.WriteString(wrapped("- **" + line.about + "** " + strings.TrimSuffix(line.text, ".") + "."))
		}
	}
	for _, budgets := range d.Budgets {
		doc.WriteString("\n")
		writeLimits(t, doc, comments, budgets)
	}
}

// writeLimits is a table of the fields of structs.
func writeLimits(t *testing.T, doc *strings.Builder, comments map[string]string, limits ...any) {
	t.Helper()
	doc.WriteString("| budget | default | |\n|---|---|---|\n")
	for _, limit := range limits {
		v := reflect.ValueOf(limit)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			comment := comments[v.Type().Name()+"."+field.Name]
			if comment == "" {
				t.Errorf("field %s of %s has no comment: it is its documentation", field.Name, v.Type())
			}
			fmt.Fprintf(doc, "| `%s` | %s | %s |\n", name, valueText(v.Field(i)), comment)
		}
	}
}

func valueText(v reflect.Value) string {
	if v.IsZero() {
		return "the scenario says it"
	}
	if d, ok := v.Interface().(time.Duration); ok {
		return words.Span(d)
	}
	return fmt.Sprint(v.Interface())
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// wrapped breaks a line of a list at 140 columns.
func wrapped(text string) string {
	const width = 140
	var out strings.Builder
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			out.WriteString(line + "\n")
			line = "  " + word
			continue
		}
		line += strings.Repeat(" ", min(len(line), 1)) + word
	}
	return out.String() + line + "\n"
}

// fieldComments are the comments on the fields of structs, by "Type.Field".
func fieldComments(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			must(t, err)
			ast.Inspect(parsed, func(n ast.Node) bool {
				if spec, ok := n.(*ast.TypeSpec); ok {
					addFields(all, spec)
				}
				return true
			})
		}
	}
	return all
}

func addFields(all map[string]string, spec *ast.TypeSpec) {
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range structure.Fields.List {
		text := strings.Join(strings.Fields(cmp.Or(field.Comment.Text(), field.Doc.Text())), " ")
		for _, name := range field.Names {
			all[spec.Name.Name+"."+name.Name] = text
		}
	}
}
