package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tracer is the package that the calls in the copy go to.
//
//go:embed tracer.go.txt
var tracer string

// mark is a function that counts its calls.
type mark struct {
	function string // package.Function or package.Type.Method
	file     string // from the root
}

// instrument copies the files of pkgs, and what the build needs beside them, from root to dir, and
// has each function begin with a call of the tracer.
func instrument(root, dir string, pkgs []*pkg) ([]mark, error) {
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := copyFile(root, dir, name); err != nil {
			return nil, err
		}
	}
	var marks []mark
	for _, p := range pkgs {
		for _, name := range p.EmbedFiles {
			if err := copyFile(root, dir, filepath.Join(p.path, name)); err != nil {
				return nil, err
			}
		}
		for _, name := range p.GoFiles {
			rel := filepath.Join(p.path, name)
			source, err := os.ReadFile(filepath.Join(root, rel))
			if err != nil {
				return nil, err
			}
			source, found, err := insert(source, p.path, rel, len(marks))
			if err != nil {
				return nil, err
			}
			if err := write(filepath.Join(dir, rel), source); err != nil {
				return nil, err
			}
			marks = append(marks, found...)
		}
	}
	text := fmt.Sprintf("%s\nvar counts [%d]atomic.Uint32\n", tracer, len(marks))
	return marks, write(filepath.Join(dir, "journeytrace", "trace.go"), []byte(text))
}

// insert has each function of a file call the tracer with a number of its own, from first up. It
// changes no line's number and moves no comment, so that directives keep their place. Functions
// that must not split the stack, and those without a body, are left as they are.
func insert(source []byte, pkgPath, rel string, first int) ([]byte, []mark, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, rel, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	var marks []mark
	var out bytes.Buffer
	done := 0
	put := func(at token.Pos, text string) {
		offset := fset.Position(at).Offset
		out.Write(source[done:offset])
		out.WriteString(text)
		done = offset
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil || directive(f, "//go:nosplit") {
			continue
		}
		if len(marks) == 0 {
			put(file.Name.End(), fmt.Sprintf("; import journeytrace %q", module+"journeytrace"))
		}
		put(f.Body.Lbrace+1, fmt.Sprintf("journeytrace.Mark(%d);", first+len(marks)))
		marks = append(marks, mark{function: pkgPath + "." + nameOf(f), file: rel})
	}
	out.Write(source[done:])
	return out.Bytes(), marks, nil
}

// directive reports whether f's comment has a directive.
func directive(f *ast.FuncDecl, name string) bool {
	return f.Doc != nil && slices.ContainsFunc(f.Doc.List, func(c *ast.Comment) bool { return c.Text == name })
}

// nameOf is Function, or Type.Method without pointer and type parameters.
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return strings.Join([]string{x.Name, f.Name.Name}, ".")
		default:
			return f.Name.Name
		}
	}
}

func copyFile(root, dir, rel string) error {
	b, err := os.ReadFile(filepath.Join(root, rel))
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, rel), b)
}

func write(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}
