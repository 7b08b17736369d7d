package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// graph is which file of a package uses which: graph[a][b] is true if a function, type, method,
// field, constant or variable that b declares occurs in a.
type graph map[string]map[string]bool

// filesOf finds the graph of a package.
func filesOf(ctx context.Context, root string, p *pkg) (graph, error) {
	exports, err := exportsOf(ctx, root, p.ImportPath)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	open := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", open)}
	checked, err := config.Check(p.ImportPath, fset, files, &info)
	if err != nil {
		return nil, err
	}
	g := graph{}
	for _, name := range p.GoFiles {
		g[name] = map[string]bool{}
	}
	for id, object := range info.Uses {
		if object.Pkg() != checked {
			continue
		}
		from, to := fset.File(id.Pos()), fset.File(object.Pos())
		if to != nil && from != to {
			g[filepath.Base(from.Name())][filepath.Base(to.Name())] = true
		}
	}
	return g, nil
}

// exportsOf is where the compiler has put what the imports of a package export, by import path.
func exportsOf(ctx context.Context, root, importPath string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-export", "-json=ImportPath,Export", importPath)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", importPath, explained(err))
	}
	exports := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return exports, nil
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
	}
}
