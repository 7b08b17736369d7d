// Package test holds what is tested from outside any one package. This file holds the tree to its architecture: who may
// import whom, what the pure packages may not touch, and that what is exported is explained.
package test

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/penstock/penstock/"

// mayImport says which of our packages each package may import. A package that is not listed here fails the test:
// a new one is entered with its place in the architecture. Folders below a listed package follow its rules and may
// import it.
var mayImport = map[string][]string{
	"cachepolicy":        {},
	"compress":           {},
	"config":             {},
	"proxy/flight":       {},
	"proxy/observe":      {},
	"proxy/rawjson":      {},
	"proxy/dotpath":      {},
	"proxy/aggregate":    {"cachepolicy", "proxy/dotpath", "proxy/rawjson"},
	"proxy/batch":        {"proxy/dotpath", "proxy/rawjson"},
	"proxy/paginate":     {"proxy/rawjson"},
	"proxy/advice":       {"proxy/observe"},
	"proxy/cost":         {"proxy/observe"},
	"proxy/board":        {"proxy/observe"},
	"proxy/store":        {"cachepolicy", "compress"},
	"proxy/store/shared": {"cachepolicy", "compress", "proxy/store", "proxy/write"},
	"proxy/write":        {"cachepolicy", "proxy/observe"},
	"proxy/stall":        {},
	"proxy/edge":         {"cachepolicy", "proxy/observe", "proxy/stall"},
	"proxy/route":        {"proxy/edge"},
	"proxy/admin": {
		"cachepolicy", "config", "proxy/advice", "proxy/board", "proxy/cost", "proxy/edge", "proxy/explain", "proxy/observe", "proxy/route", "proxy/store", "proxy/write",
	},
	"proxy/explain":  {"cachepolicy", "compress", "proxy/advice", "proxy/cache", "proxy/cache/entry", "proxy/cache/fill", "proxy/edge", "proxy/observe", "proxy/route", "proxy/store", "proxy/upstream"},
	"proxy/upstream": {"proxy/observe", "proxy/stall"},
	"proxy/wire":     {"proxy/observe", "proxy/stall"},
	"proxy/cache":    {"cachepolicy", "compress", "proxy/store", "proxy/flight", "proxy/observe", "proxy/edge"},

	"proxy/pools": {"config", "proxy/cache/fill", "proxy/upstream"},
	"proxy/figures": {
		"config", "proxy/advice", "proxy/board", "proxy/cache", "proxy/cost", "proxy/fleet", "proxy/observe", "proxy/observe/prom", "proxy/pools", "proxy/write",
	},
	"proxy/snapshot": {"cachepolicy", "proxy/cache", "proxy/edge", "proxy/explain", "proxy/observe", "proxy/route", "proxy/wire", "proxy/write"},
	"proxy/build": {
		"cachepolicy", "compress", "config", "proxy/aggregate", "proxy/batch", "proxy/cache", "proxy/cache/entry", "proxy/cache/fill", "proxy/edge",
		"proxy/edge/addresses", "proxy/edge/auth", "proxy/edge/files", "proxy/edge/rate", "proxy/observe", "proxy/paginate",
		"proxy/pools", "proxy/rawjson", "proxy/route", "proxy/snapshot", "proxy/store", "proxy/upstream", "proxy/write",
	},
	"proxy/fleet":       {"cachepolicy", "config", "proxy/cache", "proxy/cache/tiers", "proxy/cost", "proxy/store", "proxy/store/shared", "proxy/write", "proxy/write/file"},
	"proxy/cache/entry": {"cachepolicy", "compress", "proxy/store"},
	"proxy/cache/fill": {
		"cachepolicy", "compress", "proxy/store", "proxy/flight", "proxy/observe", "proxy/cache/tiers", "proxy/cache/entry", "proxy/cache/deliver",
	},
	"proxy/cache/tiers":   {"cachepolicy", "proxy/store", "proxy/observe", "proxy/cache/entry"},
	"proxy/cache/deliver": {"cachepolicy", "compress", "proxy/store", "proxy/observe", "proxy/cache/entry"},

	"proxy/edge/rate":      {},
	"proxy/edge/files":     {},
	"proxy/edge/addresses": {"proxy/edge/files"},
	"proxy/edge/auth":      {"proxy/edge", "proxy/edge/files", "proxy/observe"},

	"proxy/upstream/fault": {},
	"proxy/upstream/hop":   {"proxy/upstream/fault"},
	"proxy/upstream/link":  {"proxy/upstream/fault"},
	"proxy/upstream/send":  {"proxy/upstream/fault", "proxy/upstream/hop"},
	"proxy/upstream/h1":    {"proxy/upstream/fault", "proxy/upstream/hop", "proxy/upstream/link", "proxy/upstream/send"},
	"proxy/upstream/std":   {"proxy/upstream/fault", "proxy/upstream/hop", "proxy/upstream/link", "proxy/upstream/send"},

	"proxy": {
		"config", "proxy/admin", "proxy/build", "proxy/cache", "proxy/cost", "proxy/explain", "proxy/figures", "proxy/fleet", "proxy/observe", "proxy/pools",
		"proxy/snapshot", "proxy/write",
	},
	"cmd/penstock":           {"proxy", "proxy/admin", "proxy/explain", "proxy/observe", "config", "cmd/penstock/demo", "cmd/penstock/listen", "cmd/penstock/stats", "cmd/penstock/telemetry", "proxy/write/file"},
	"cmd/penstock/listen":    {"proxy/edge", "proxy/stall", "proxy/wire", "config"},
	"cmd/penstock/stats":     {"proxy/board", "proxy/cost"},
	"cmd/penstock/telemetry": {"config", "proxy/observe"},
	"cmd/penstock/demo":      {"proxy", "config"},
}

// onlyIn says which package alone may import a library or one of our packages, so that replacing it is work in one place.
var onlyIn = map[string]string{
	"github.com/go-chi/chi":              "proxy/route",
	"go.yaml.in/yaml":                    "config",
	"github.com/dgraph-io/ristretto":     "proxy/store",
	"github.com/redis/go-redis":          "proxy/store/shared",
	"go.etcd.io/bbolt":                   "proxy/write/file",
	module + "proxy/store/shared":        "proxy/fleet",
	"github.com/klauspost/compress":      "compress",
	"github.com/molecule-man/go-brrr":    "compress",
	"github.com/andybalholm/brotli":      "compress",
	"compress/gzip":                      "compress",
	"compress/flate":                     "compress",
	"compress/zlib":                      "compress",
	"github.com/golang-jwt/jwt":          "proxy/edge/auth",
	"github.com/KimMachineGun":           "cmd/penstock",
	"github.com/fsnotify/fsnotify":       "cmd/penstock",
	"github.com/prometheus":              "proxy/observe/prom",
	"go.opentelemetry.io/otel/sdk":       "cmd/penstock/telemetry",
	"go.opentelemetry.io/otel/exporters": "cmd/penstock/telemetry",
}

// impure are the imports and the calls that a pure file may not have: it is given the time and the bytes, and asks for neither.
var (
	impureImports = []string{"context", "os", "os/exec", "net", "io", "log", "log/slog", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand", "runtime", "unsafe"}
	impureCalls   = []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick"}
)

// isPure tells whether a file belongs to the pure part of the tree.
func isPure(f *file) bool {
	switch f.pkg {
	case "cachepolicy":
		return true
	case "compress":
		return f.name == "negotiate.go" || f.name == "eligible.go"
	case "proxy/edge/rate":
		return f.name == "gcra.go"
	}
	return false
}

type file struct {
	pkg  string // directory from the module's root
	name string
	ast  *ast.File
	fset *token.FileSet
}

func (f *file) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d", path.Join(f.pkg, f.name), f.fset.Position(p).Line)
}

func (f *file) imports() map[string]token.Pos {
	out := map[string]token.Pos{}
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		out[p] = spec.Pos()
	}
	return out
}

// sources parses every file of the module that a plain build would compile, tests left out.
func sources(t *testing.T) []*file {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var out []*file
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() {
			if skipDir(filepath.ToSlash(rel), d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		if dir == "." || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		if ok, err := build.Default.MatchFile(filepath.Dir(p), d.Name()); err != nil || !ok {
			return err
		}
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		out = append(out, &file{pkg: dir, name: d.Name(), ast: f, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("found %d files under %s: the walk is wrong", len(out), root)
	}
	return out
}

func skipDir(rel, name string) bool {
	if rel == "." {
		return false
	}
	return strings.HasPrefix(name, ".") || name == "testdata" || rel == "bin" || rel == "dist" || rel == "test"
}

// rulesFor finds the entry of mayImport that a package falls under: its own, or that of the folder it lives in.
func rulesFor(pkg string) (allowed []string, ok bool) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if own, found := mayImport[p]; found {
			if p != pkg {
				own = append(slices.Clone(own), p)
			}
			return own, p == pkg || path.Base(p) != "proxy"
		}
	}
	return nil, false
}

func TestImportsKeepTheirDirection(t *testing.T) {
	for _, f := range sources(t) {
		allowed, ok := rulesFor(f.pkg)
		if !ok {
			t.Errorf("%s: package %s has no place in the architecture; enter it in mayImport", f.at(f.ast.Package), f.pkg)
			continue
		}
		for imp, pos := range f.imports() {
			ours, found := strings.CutPrefix(imp, module)
			below := strings.HasPrefix(ours, f.pkg+"/") && f.pkg != "proxy" // the list of proxy keeps it thin
			if found && !slices.Contains(allowed, ours) && !below {
				t.Errorf("%s: %s may not import %s", f.at(pos), f.pkg, ours)
			}
		}
	}
}

func TestLibrariesStayInTheirPackage(t *testing.T) {
	for _, f := range sources(t) {
		for imp, pos := range f.imports() {
			for lib, home := range onlyIn {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && f.pkg != home {
					t.Errorf("%s: %s is for %s alone", f.at(pos), lib, home)
				}
			}
		}
	}
}

// TestOnlyTheCacheAsks keeps decisions in one place: Decide and Settle are the cache's two questions.
func TestOnlyTheCacheAsks(t *testing.T) {
	for _, f := range sources(t) {
		if f.pkg == "proxy/cache" || f.pkg == "proxy/cache/tiers" || f.pkg == "proxy/cache/fill" || f.pkg == "cachepolicy" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Decide" || sel.Sel.Name == "Settle") {
					t.Errorf("%s: %s is called outside proxy/cache", f.at(n.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestPureCodeIsPure(t *testing.T) {
	seen := 0
	for _, f := range sources(t) {
		if !isPure(f) {
			continue
		}
		seen++
		for imp, pos := range f.imports() {
			if slices.Contains(impureImports, imp) {
				t.Errorf("%s: pure code may not import %s", f.at(pos), imp)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if what := impurity(n); what != "" {
				t.Errorf("%s: %s in pure code", f.at(n.Pos()), what)
			}
			return true
		})
	}
	if seen == 0 {
		t.Fatal("no pure file found: the list is out of date")
	}
}

// impurity names what makes n impure, or is empty.
func impurity(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a goroutine"
	case *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
		return "a channel"
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && slices.Contains(impureCalls, x.Name+"."+n.Sel.Name) {
			return x.Name + "." + n.Sel.Name
		}
	}
	return ""
}

// TestPackagesHoldNoState refuses init functions and package variables that start empty: what starts empty is there to be
// written later. Tables and sentinels have a value from the start; pools start empty by nature, and embedded files and
// main's version are set by the toolchain.
func TestPackagesHoldNoState(t *testing.T) {
	for _, f := range sources(t) {
		for _, decl := range f.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s: init function", f.at(d.Pos()))
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					v, ok := spec.(*ast.ValueSpec)
					if ok && d.Tok == token.VAR && len(v.Values) == 0 && !startsEmpty(f, d, v) {
						t.Errorf("%s: package variable %s is mutable state", f.at(v.Pos()), v.Names[0].Name)
					}
				}
			}
		}
	}
}

// startsEmpty tells the variables that may.
func startsEmpty(f *file, d *ast.GenDecl, v *ast.ValueSpec) bool {
	if f.pkg == "cmd/penstock" && v.Names[0].Name == "version" {
		return true
	}
	if d.Doc != nil && strings.HasPrefix(d.Doc.List[len(d.Doc.List)-1].Text, "//go:embed ") {
		return true
	}
	typ := v.Type
	for {
		array, ok := typ.(*ast.ArrayType)
		if !ok {
			break
		}
		typ = array.Elt
	}
	sel, ok := typ.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Pool"
}

func TestPackagesAreNamedForWhatTheyDo(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range sources(t) {
		documented[f.pkg] = documented[f.pkg] || f.ast.Doc != nil
		for _, bad := range []string{"util", "utils", "helper", "helpers", "common", "misc"} {
			if f.ast.Name.Name == bad {
				t.Errorf("%s: package %s says nothing", f.at(f.ast.Package), bad)
			}
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

func TestExportedNamesAreExplained(t *testing.T) {
	for _, f := range sources(t) {
		if f.ast.Name.Name == "main" {
			continue
		}
		for _, decl := range f.ast.Decls {
			for _, n := range unexplained(decl) {
				t.Errorf("%s: exported %s has no comment", f.at(n.Pos()), n.Name)
			}
		}
	}
}

// unexplained lists the exported names of a declaration that no comment explains. In a group of several constants each
// arm needs a comment of its own, above it or beside it.
func unexplained(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var out []*ast.Ident
		for _, spec := range d.Specs {
			out = append(out, unexplainedSpec(d, spec)...)
		}
		return out
	}
	return nil
}

func unexplainedSpec(d *ast.GenDecl, spec ast.Spec) []*ast.Ident {
	alone := len(d.Specs) == 1 && d.Doc != nil
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && !alone {
			return []*ast.Ident{s.Name}
		}
	case *ast.ValueSpec:
		if s.Doc != nil || s.Comment != nil || alone || (d.Tok == token.VAR && d.Doc != nil) {
			return nil
		}
		return slices.DeleteFunc(slices.Clone(s.Names), func(n *ast.Ident) bool { return !n.IsExported() })
	}
	return nil
}

// exportedReceiver is true for functions and for methods of exported types.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}
