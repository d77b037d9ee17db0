package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"

	"bitvault.dev/rollproof/harness/words"
)

// mutant is one change of one place.
type mutant struct {
	ID      int    `json:"-"`
	Package string `json:"package"`
	File    string `json:"file"` // below the working directory
	Line    int    `json:"line"`
	Func    string `json:"func"`
	Was     string `json:"was"`
	Now     string `json:"now"`
}

// Name tells the mutant from others, whatever lines are added above it.
func (m *mutant) Name() string { return fmt.Sprintf("%s %s: %s -> %s", m.File, m.Func, m.Was, m.Now) }

// source is a package with the mutants in it.
type source struct {
	dir, name string
	files     map[string]string // its files with every mutant behind its switch, by absolute path
}

// mutate makes the mutants of packages.
func mutate(patterns []string) ([]*mutant, []source, error) {
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile |
			packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo,
	}, patterns...)
	if err != nil {
		return nil, nil, fmt.Errorf("read the packages to change: %w", err)
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, nil, fmt.Errorf("read the packages to change: %w", err)
	}
	var (
		all     []*mutant
		sources []source
	)
	for _, pkg := range pkgs {
		if len(pkg.Errors) > 0 {
			return nil, nil, fmt.Errorf("read package %s: %w", pkg.PkgPath, pkg.Errors[0])
		}
		src := source{dir: filepath.Dir(pkg.GoFiles[0]), name: pkg.Name, files: map[string]string{}}
		for _, file := range pkg.Syntax {
			path := pkg.Fset.File(file.FileStart).Name()
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, nil, fmt.Errorf("read the packages to change: %w", err)
			}
			rel, err := filepath.Rel(here, path)
			if err != nil {
				return nil, nil, fmt.Errorf("read the packages to change: %w", err)
			}
			c := &changer{pkg: pkg, file: file, text: string(text), rel: rel, next: len(all)}
			for _, decl := range file.Decls {
				c.walk(decl, nil)
			}
			if len(c.mutants) > 0 {
				all = append(all, c.mutants...)
				src.files[path] = c.render(c.offset(file.FileStart), len(text), c.sites)
			}
		}
		if len(src.files) > 0 {
			sources = append(sources, src)
		}
	}
	return all, sources, nil
}

// changer finds the places of one file that can be changed.
type changer struct {
	pkg     *packages.Package
	file    *ast.File
	text    string
	rel     string
	in      string // the function
	next    int
	mutants []*mutant
	sites   []*site // the outermost
}

// site is a place in the text: an expression of a type, or a statement.
type site struct {
	from, to int
	typ      string // of an expression
	choices  []choice
	inner    []*site
}

type choice struct {
	id   int
	text string
}

func (c *changer) offset(p token.Pos) int { return c.pkg.Fset.Position(p).Offset }

func (c *changer) textOf(n ast.Node) string { return c.text[c.offset(n.Pos()):c.offset(n.End())] }

// walk visits a node below the node in (nil at the top); sites are collected where they stand in the tree.
func (c *changer) walk(n ast.Node, parent ast.Node) {
	switch n := n.(type) {
	case nil:
		return
	case *ast.FuncDecl:
		if n.Body == nil {
			return
		}
		c.in = n.Name.Name
		c.walk(n.Body, n)
		c.in = ""
		return
	case *ast.GenDecl:
		if n.Tok != token.VAR {
			return
		}
	case *ast.Field, *ast.ArrayType, *ast.MapType, *ast.FuncType, *ast.StructType, *ast.InterfaceType, *ast.TypeSwitchStmt:
		if t, ok := n.(*ast.TypeSwitchStmt); ok {
			c.walk(t.Body, n)
		}
		return
	case *ast.CallExpr:
		if c.isWords(n) {
			return
		}
	case *ast.CaseClause:
		if _, ok := parent.(*ast.BlockStmt); ok && c.isTypeCase(n) {
			c.each(n, func(k ast.Node) {
				if s, ok := k.(ast.Stmt); ok {
					c.walk(s, n)
				}
			})
			return
		}
	case *ast.KeyValueExpr:
		c.walk(n.Value, n)
		return
	}
	s := c.siteOf(n, parent)
	outer := c.sites
	c.sites = nil
	if e, ok := n.(ast.Expr); !ok || c.pkg.TypesInfo.Types[e].Value == nil { // a constant is changed as a whole
		c.each(n, func(k ast.Node) { c.walk(k, n) })
	}
	inner := c.sites
	if s != nil {
		s.inner = inner
		inner = []*site{s}
	}
	c.sites = append(outer, inner...)
}

// each calls f with the direct children of a node.
func (c *changer) each(n ast.Node, f func(ast.Node)) {
	ast.Inspect(n, func(k ast.Node) bool {
		if k == nil || k == n {
			return k == n
		}
		f(k)
		return false
	})
}

func (c *changer) isTypeCase(n *ast.CaseClause) bool {
	return len(n.List) > 0 && c.pkg.TypesInfo.Types[n.List[0]].IsType()
}

// isWords reports whether a call puts something into words for people, or asks for memory: nothing hangs on its arguments.
func (c *changer) isWords(call *ast.CallExpr) bool {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name == "make" || f.Name == "panic"
	case *ast.SelectorExpr:
		if id, ok := f.X.(*ast.Ident); ok {
			if name, ok := c.pkg.TypesInfo.Uses[id].(*types.PkgName); ok {
				return slices.Contains([]string{"fmt", "errors", "words", "cmp"}, name.Imported().Name()) && f.Sel.Name != "Compare" || name.Imported().Name() == "bufio"
			}
		}
	}
	return false
}

// siteOf is the site that a node makes; nil where there is nothing to change.
func (c *changer) siteOf(n, parent ast.Node) *site {
	s := &site{from: c.offset(n.Pos()), to: c.offset(n.End())}
	switch n := n.(type) {
	case ast.Expr:
		tv, ok := c.pkg.TypesInfo.Types[n]
		if !ok || !tv.IsValue() || tv.Type == nil {
			return nil
		}
		if s.typ, ok = c.typeName(tv.Type); !ok {
			return nil
		}
		c.expression(s, n, tv, parent)
	case ast.Stmt:
		switch parent.(type) {
		case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
			c.statement(s, n)
		}
	}
	if len(s.choices) == 0 {
		return nil
	}
	return s
}

// typeName is how this file writes a type; false where it cannot, or where nothing of such a type is changed.
func (c *changer) typeName(t types.Type) (string, bool) {
	basic, ok := t.Underlying().(*types.Basic)
	if !ok || basic.Info()&(types.IsBoolean|types.IsNumeric) == 0 {
		return "", false
	}
	if b, ok := t.(*types.Basic); ok && b.Info()&types.IsUntyped != 0 {
		if b.Kind() == types.UntypedBool {
			return "bool", true
		}
		return "", false
	}
	known := true
	name := types.TypeString(t, func(p *types.Package) string {
		if p == c.pkg.Types {
			return ""
		}
		for _, imported := range c.file.Imports {
			if strings.Trim(imported.Path.Value, `"`) == p.Path() && imported.Name == nil {
				return p.Name()
			}
		}
		known = false
		return p.Name()
	})
	return name, known
}

// others are what a comparison may be mistaken for: across the bound, and the contrary.
var others = map[token.Token][]string{
	token.EQL: {"!="}, token.NEQ: {"=="},
	token.LSS: {"<=", ">="}, token.LEQ: {"<", ">"}, token.GTR: {">=", "<="}, token.GEQ: {">", "<"},
}

func (c *changer) expression(s *site, e ast.Expr, tv types.TypeAndValue, parent ast.Node) {
	if tv.Value != nil {
		c.constant(s, e, tv)
		return
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		c.binary(s, e, tv)
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			c.add(s, e, c.textOf(e.X))
		}
	case *ast.CallExpr:
		c.extreme(s, e)
	}
	branch, ok := parent.(*ast.IfStmt)
	if !ok || branch.Cond != e || c.isOfError(e) {
		return
	}
	switch e.(type) {
	case *ast.BinaryExpr, *ast.UnaryExpr:
	default:
		c.add(s, e, "!("+c.textOf(e)+")")
	}
	if branch.Else == nil && leaves(branch.Body) {
		c.add(s, e, "false")
	}
}

func (c *changer) binary(s *site, e *ast.BinaryExpr, tv types.TypeAndValue) {
	x, y := c.textOf(e.X), c.textOf(e.Y)
	switch e.Op {
	case token.LAND, token.LOR:
		other := map[token.Token]string{token.LAND: "||", token.LOR: "&&"}[e.Op]
		c.add(s, e, "("+x+") "+other+" ("+y+")")
		c.add(s, e, x)
		c.add(s, e, y)
	case token.ADD:
		c.add(s, e, x+" - ("+y+")")
	case token.SUB:
		c.add(s, e, x+" + "+y)
	default:
		if c.isOfError(e) {
			return
		}
		for _, other := range others[e.Op] {
			c.add(s, e, x+" "+other+" "+y)
		}
	}
}

// isOfError reports whether a condition asks only whether there was an error: what is done with errors of the machine is not judged here.
func (c *changer) isOfError(e ast.Expr) bool {
	b, ok := e.(*ast.BinaryExpr)
	if !ok || b.Op != token.EQL && b.Op != token.NEQ {
		return false
	}
	t := c.pkg.TypesInfo.TypeOf(b.X)
	return t != nil && types.Identical(t, types.Universe.Lookup("error").Type())
}

// extreme swaps min and max.
func (c *changer) extreme(s *site, e *ast.CallExpr) {
	name, ok := e.Fun.(*ast.Ident)
	if !ok {
		return
	}
	if _, ok := c.pkg.TypesInfo.Uses[name].(*types.Builtin); !ok {
		return
	}
	if other := map[string]string{"min": "max", "max": "min"}[name.Name]; other != "" {
		c.add(s, e, other+strings.TrimPrefix(c.textOf(e), name.Name))
	}
}

// constant moves a number by one, or makes it twice or half as large where it is a time or a share.
func (c *changer) constant(s *site, e ast.Expr, tv types.TypeAndValue) {
	text := c.textOf(e)
	switch {
	case tv.Value.Kind() == constant.Bool:
		if flipped := map[string]string{"true": "false", "false": "true"}[text]; flipped != "" {
			c.add(s, e, flipped)
		}
	case tv.Value.Kind() == constant.String || strings.HasPrefix(text, "0o") || constant.Sign(tv.Value) < 0:
	case tv.Type.String() == "time.Duration", s.typ == "float64":
		if size, _ := constant.Float64Val(tv.Value); size > 0 && size < 1<<62 {
			c.add(s, e, "2 * ("+text+")")
			c.add(s, e, "("+text+") / 2")
		}
	case tv.Value.Kind() == constant.Int && isPlain(tv.Type):
		n, exact := constant.Int64Val(tv.Value)
		if !exact || n >= math.MaxInt32 {
			return
		}
		if isByte := s.typ == "byte" || s.typ == "uint8"; !isByte || n < 255 {
			c.add(s, e, text+" + 1")
		}
		if n > 0 {
			c.add(s, e, text+" - 1")
		}
	}
}

// isPlain reports whether a type is a number as it is, and no enumeration.
func isPlain(t types.Type) bool {
	_, ok := t.(*types.Basic)
	return ok
}

// statement drops what leaves a loop, what counts, and what is called for its effect.
func (c *changer) statement(s *site, n ast.Stmt) {
	switch n := n.(type) {
	case *ast.BranchStmt:
		if n.Tok == token.CONTINUE || n.Tok == token.BREAK {
			c.add(s, n, "")
		}
	case *ast.IncDecStmt:
		c.add(s, n, "")
	case *ast.AssignStmt:
		if (n.Tok == token.ADD_ASSIGN || n.Tok == token.SUB_ASSIGN) && !isString(c.pkg.TypesInfo.TypeOf(n.Lhs[0])) {
			c.add(s, n, "")
		}
	case *ast.ExprStmt:
		if call, ok := n.X.(*ast.CallExpr); ok && !c.isWords(call) && !isUpkeep(call) {
			c.add(s, n, "")
		}
	}
}

func isString(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}

// isUpkeep reports whether a call locks or gives something back: what comes of its absence is a race or a leak.
func isUpkeep(call *ast.CallExpr) bool {
	name := ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
	}
	return slices.Contains([]string{"Lock", "Unlock", "RLock", "RUnlock", "Close", "Stop", "close", "clear"}, name)
}

// leaves reports whether a block ends by leaving what it is in.
func leaves(b *ast.BlockStmt) bool {
	if len(b.List) == 0 {
		return false
	}
	switch s := b.List[len(b.List)-1].(type) {
	case *ast.ReturnStmt:
		return true
	case *ast.BranchStmt:
		return s.Tok == token.CONTINUE || s.Tok == token.BREAK
	}
	return false
}

func (c *changer) add(s *site, n ast.Node, now string) {
	m := &mutant{
		ID: c.next, Package: c.pkg.PkgPath, File: c.rel, Line: c.pkg.Fset.Position(n.Pos()).Line, Func: c.in,
		Was: words.OneLine(c.textOf(n)), Now: words.OneLine(now),
	}
	if m.Now == "" {
		m.Now = "nothing"
	}
	c.next++
	c.mutants = append(c.mutants, m)
	s.choices = append(s.choices, choice{id: m.ID, text: now})
}

// render is a stretch of the text with every mutant of its sites behind a switch.
func (c *changer) render(from, to int, sites []*site) string {
	var b strings.Builder
	for _, s := range sites {
		b.WriteString(c.text[from:s.from])
		from = s.to
		now := c.render(s.from, s.to, s.inner)
		if s.typ == "" {
			fmt.Fprintf(&b, "if mutantIsOn(%d) { %s } else { %s }", s.choices[0].id, s.choices[0].text, now)
			continue
		}
		fmt.Fprintf(&b, "func() %s {", s.typ)
		for _, choice := range s.choices {
			fmt.Fprintf(&b, " if mutantIsOn(%d) { return %s };", choice.id, choice.text)
		}
		fmt.Fprintf(&b, " return %s }()", now)
	}
	b.WriteString(c.text[from:to])
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
